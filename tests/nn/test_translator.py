"""The image-to-image network and its discriminator: shapes, what they mix and what they do not."""

from __future__ import annotations

import pytest
import torch
from random_inputs import random_images, rng
from torch import nn

from graftbench.nn.build import seeded
from graftbench.nn.discriminator import DiscriminatorSpec
from graftbench.nn.translator import InstanceNorm, PatchDiscriminator, Residual, Translator, TranslatorSpec

SMALL = TranslatorSpec(channels=4, blocks=1)


@pytest.mark.parametrize("resolution", [8, 16, 32, 64])
@pytest.mark.parametrize("blocks", [0, 2])
def test_shape_and_range(resolution: int, blocks: int) -> None:
    """An image becomes one of the same size in [−1, 1]."""
    network = seeded(lambda: Translator(TranslatorSpec(channels=2, blocks=blocks)), rng())
    made = network(random_images(3, resolution))
    assert made.shape == (3, 3, resolution, resolution)
    assert made.abs().max() <= 1


def test_an_image_does_not_depend_on_its_batch() -> None:
    """Instance norm has the image's own statistics, in training too."""
    network = seeded(lambda: Translator(SMALL), rng()).train()
    batch = random_images(4, 16)
    torch.testing.assert_close(network(batch)[:1], network(batch[:1]), rtol=1e-4, atol=1e-5)


def test_every_parameter_gets_a_gradient() -> None:
    """There is no bias in front of a norm, whose gradient would be 0."""
    network = seeded(lambda: Translator(SMALL), rng())
    network(random_images(2, 16)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 1e-6 for p in network.parameters())


def test_instance_norm_is_torchs() -> None:
    """The same numbers, channels last in memory."""
    x = torch.randn(2, 3, 4, 5, generator=rng()).contiguous(memory_format=torch.channels_last)
    made = InstanceNorm(3)(x)
    torch.testing.assert_close(made, nn.InstanceNorm2d(3)(x))
    assert made.is_contiguous(memory_format=torch.channels_last)


def test_a_residual_block_that_adds_nothing() -> None:
    """With weights 0 it is the identity."""
    block = Residual(3)
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    x = torch.randn(1, 3, 4, 4, generator=rng())
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("parameters", [{"channels": 0}, {"blocks": -1}])
def test_wrong_translator(parameters: dict[str, int]) -> None:
    """The sentence says what is right."""
    with pytest.raises(ValueError, match=r"channels must be at least 1 and blocks at least 0; found"):
        TranslatorSpec(**parameters)


@pytest.mark.parametrize("resolution", [8, 32, 64])
@pytest.mark.parametrize("spectral_norm", [True, False])
def test_one_logit_per_patch(resolution: int, spectral_norm: bool) -> None:  # noqa: FBT001 - parametrised
    """R/2^k × R/2^k logits."""
    spec = DiscriminatorSpec(resolution, channels=2, spectral_norm=spectral_norm)
    network = PatchDiscriminator(spec, halvings=1)
    assert network(random_images(3, resolution)).shape == (3, resolution // 2, resolution // 2)


@pytest.mark.parametrize(("halvings", "width"), [(1, 12), (2, 30)])
def test_a_logit_sees_its_patch_and_no_more(halvings: int, width: int) -> None:
    """The gradient of a logit in the middle is not 0 over a square of the documented width, and 0 around it.

    Counted by hand for k = 1: 4×4 at stride 2 sees 4, 3×3 after it 8, the head's 3×3 after it 12.
    """
    network = seeded(lambda: PatchDiscriminator(DiscriminatorSpec(64, channels=4), halvings), rng())
    x = random_images(1, 64).requires_grad_()
    logits = network(x)
    middle = logits.shape[1] // 2
    logits[0, middle, middle].backward()
    assert x.grad is not None
    seen = x.grad[0].abs().sum(dim=0) > 0
    rows, columns = seen.any(dim=1).nonzero(), seen.any(dim=0).nonzero()
    assert int(rows.max() - rows.min() + 1) == int(columns.max() - columns.min() + 1) == width
