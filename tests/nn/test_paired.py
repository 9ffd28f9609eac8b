"""Networks of pairs: sizes, what a patch sees, what is frozen, and the enlargement against Pillow's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from random_inputs import random_images, rng

from graftbench.nn.build import seeded
from graftbench.nn.paired import FrozenUNet, FrozenUNetSpec, PairedUNet, PairedUNetSpec, PairJudge, enlarged


@pytest.mark.parametrize("side", [8, 32, 64])
@pytest.mark.parametrize("times", [1, 4])
def test_an_image_for_each_input(side: int, times: int) -> None:
    """Inputs of the full or a quarter of the side become images of the side, within [−1, 1]."""
    for network in (PairedUNet(PairedUNetSpec(side, 4)), FrozenUNet(FrozenUNetSpec(side, 4))):
        made = seeded(lambda network=network: network, rng()).eval()(random_images(2, side // times))
        assert made.shape == (2, 3, side, side)
        assert made.abs().max() <= 1


def test_widths_double_up_to_eight_times() -> None:
    """At 256 px the paper's encoder without its last layer: 64-128-256-512-512-512-512, from 128 to 2 px."""
    assert PairedUNetSpec(256, 64).widths == [64, 128, 256, 512, 512, 512, 512]
    assert PairedUNetSpec(8, 4).widths == [4, 8]


@pytest.mark.parametrize("spec", [(24, 4), (4, 4), (32, 0)])
def test_impossible_architectures_are_refused(spec: tuple[int, int]) -> None:
    """A side that cannot be halved down to 2, or no channels."""
    with pytest.raises(ValueError, match=r"resolution|channels"):
        PairedUNetSpec(*spec)
    with pytest.raises(ValueError, match=r"resolution|channels"):
        FrozenUNetSpec(*spec)


@pytest.mark.parametrize(("halvings", "width"), [(1, 16), (2, 34), (3, 70)])
def test_patches_are_the_papers(halvings: int, width: int) -> None:
    """The gradient of one logit in the middle reaches so many pixels across, as in section 6.1.2."""
    judge = PairJudge(4, halvings).eval()
    x = torch.zeros(1, 3, 128, 128, requires_grad=True)
    logits = judge(x, random_images(1, 128))
    assert logits.shape == (1, 128 // 2**halvings - 2, 128 // 2**halvings - 2)
    middle = logits.shape[1] // 2
    (reached,) = torch.autograd.grad(logits[0, middle, middle], x)
    columns = reached.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    assert int(columns[-1] - columns[0]) + 1 == width


def test_the_encoder_is_frozen() -> None:
    """No parameter of it wants a gradient; those of the decoder do."""
    network = FrozenUNet(FrozenUNetSpec(32, 4))
    assert not any(p.requires_grad for p in network.encoder.parameters())
    assert all(p.requires_grad for p in network.decoder.parameters())


def test_the_way_up_sees_every_pixel() -> None:
    """A change of one pixel changes the answer there: the finest map joins without a loss of places."""
    network = FrozenUNet(FrozenUNetSpec(32, 8)).eval()
    x = random_images(1, 32)
    y = x.clone()
    y[0, :, 16, 16] *= -1
    with torch.no_grad():
        moved = (network(x) - network(y)).abs().sum(dim=(0, 1))
    assert moved[16, 16] > 0


def test_enlargement_is_pillows() -> None:
    """Pillow's bicubic within a grey level, for it rounds after each axis and clips to 0…255 between."""
    x = torch.randint(64, 192, (3, 8, 8), generator=rng(), dtype=torch.uint8)  # so that nothing is clipped between
    expected = np.asarray(Image.fromarray(x.permute(1, 2, 0).numpy()).resize((32, 32), Image.Resampling.BICUBIC))
    found = enlarged(x[None].float(), 32)[0].permute(1, 2, 0).round().clamp(0, 255).numpy()
    assert np.abs(found - expected).max() <= 1
    assert enlarged(random_images(1, 32), 32).shape == (1, 3, 32, 32)
