"""The two readings of a discriminator."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from graftbench.nn.discriminator import Discriminator, DiscriminatorSpec
from graftbench.nn.patch import TwoLevelDiscriminator


def judge(block: int, *, resolution: int = 32, spectral_norm: bool = True) -> TwoLevelDiscriminator:
    """A discriminator with both readings, in eval mode."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        image = Discriminator(DiscriminatorSpec(resolution, channels=4, spectral_norm=spectral_norm))
        return TwoLevelDiscriminator(image, block).eval()


@pytest.mark.parametrize("resolution", [32, 64])
def test_each_row_has_its_reading(resolution: int) -> None:
    """Rows judged as a whole repeat the discriminator's logit; the others are the new convolution's map."""
    discriminator, x = judge(1, resolution=resolution), torch.rand(3, 3, resolution, resolution) * 2 - 1
    found = discriminator(x, torch.tensor([True, False, True]))
    side = resolution // 2
    assert found.shape == (3, side * side)
    logits = discriminator.image(x)
    torch.testing.assert_close(found[[0, 2]], logits[[0, 2], None].expand(2, side * side))
    features = discriminator.image.blocks[1](discriminator.image.blocks[0](x))
    torch.testing.assert_close(found[1], discriminator.patch(features)[1].flatten())


@pytest.mark.parametrize(("block", "side"), [(0, 8), (1, 12), (2, 22), (3, 30)])
def test_what_a_patch_sees(block: int, side: int) -> None:
    """The gradient of one inner logit reaches exactly so many pixels in each direction."""
    discriminator = judge(block, resolution=64)
    x = torch.rand(1, 3, 64, 64).requires_grad_()
    logits = discriminator(x, torch.tensor([False]))
    size = round(logits.shape[1] ** 0.5)
    middle = logits.view(size, size)[size // 2, size // 2]
    (gradient,) = torch.autograd.grad(middle, x)
    rows = gradient.abs().sum(dim=(0, 1, 3)).nonzero()
    assert int(rows.max() - rows.min()) + 1 == side


def test_spectral_norm_as_the_discriminator_has_it() -> None:
    """The new convolution is under spectral norm where the others are."""
    assert is_parametrized(judge(0).patch, "weight")
    plain = judge(0, spectral_norm=False).patch
    assert isinstance(plain, nn.Conv2d)
    assert not is_parametrized(plain, "weight")
