"""The projected discriminator: mixing by hand, the heads' sizes, and that only the heads are trained."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from random_inputs import rng
from torch import nn

from graftbench.nn.backbone import FeatureMaps
from graftbench.nn.build import count_parameters, seeded
from graftbench.nn.projected import ProjectedDiscriminator, Projections, head


def discriminator(seed: int = 0) -> ProjectedDiscriminator:
    """Through Lite0 at 64 px, 8 channels."""
    backbone = FeatureMaps("lite0", side=64)
    return seeded(lambda: ProjectedDiscriminator(backbone, 64, 8), rng(seed))


def test_mixing_by_hand() -> None:
    """With 1×1 weights a, b across channels and c, d across scales: the coarse map b·y·d goes up and into the fine one.

    Maps are constant, so enlarging changes their side alone.
    """
    projections = Projections([1, 1], channels=1)
    numbers = {"channel.0": 2.0, "channel.1": 3.0, "scale.0": 5.0, "scale.1": 7.0}
    for name, value in numbers.items():
        layer = projections.get_submodule(name)
        assert isinstance(layer, nn.Conv2d)
        nn.init.constant_(layer.weight, value)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
    fine, coarse = projections([torch.full((1, 1, 8, 8), 10.0), torch.full((1, 1, 4, 4), 1.0)])
    assert (fine.shape[-1], coarse.shape[-1]) == (16, 8)
    # Across channels the coarse map has 2 channels of 3·1; across scales they become one of 7·(3 + 3) = 42.
    torch.testing.assert_close(coarse, torch.full_like(coarse, 42.0))
    # The fine one: 5·(2·10 + 42).
    torch.testing.assert_close(fine, torch.full_like(fine, 310.0))


def test_the_order_of_enlarging_is_free() -> None:
    """As in the published code, enlarged by two first and convolved then: the same maps (float32, 1e-5)."""
    projections = seeded(lambda: Projections([3, 5, 7], channels=4), rng())
    maps = [torch.randn(2, c, s, s, generator=rng(c)) for c, s in ((3, 8), (5, 4), (7, 2))]
    x, expected = torch.zeros(2, 16, 2, 2), []
    for level in (2, 1, 0):
        x = x + projections.channel[level](maps[level])
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        x = projections.scale[level](x)
        expected.insert(0, x)
    for found, wanted in zip(projections(maps), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    assert projections.outputs == [map_.shape[1] for map_ in expected] == [4, 4, 8]


@pytest.mark.parametrize(
    ("seen", "halvings", "logits"),
    [(224, [4, 3, 2, 1], 16), (64, [3, 2, 1, 0], 1), (32, [2, 1, 0, 0], 1)],
)
def test_heads(seen: int, halvings: list[int], logits: int) -> None:
    """At 224 px the published sizes: all heads halve down to 7×7 and give 4×4 logits. Smaller ones end at one logit."""
    for level, expected in enumerate(halvings):
        side, channels = seen // 2 // 2**level, 2 * max(1, 2 ** (level - 1))
        judge = head(side, level, channels=2)
        assert sum(isinstance(layer, nn.LeakyReLU) for layer in judge) == expected
        assert judge(torch.zeros(1, channels, side, side)).shape == (1, logits)


def test_channels_of_a_head() -> None:
    """c, c, 2c, 4c, 8c on the way down, whichever map a head starts at (the published table, 64 to 512)."""
    for level, expected in enumerate([[64, 64, 128, 256, 512], [64, 128, 256, 512], [128, 256, 512], [256, 512]]):
        convolutions = [part for part in head(112 // 2**level, level, 64).modules() if isinstance(part, nn.Conv2d)]
        assert [part.in_channels for part in convolutions] == expected


def test_spectral_norm() -> None:
    """Every weight of a head has largest singular value 1, once the power iteration has settled (1e-3)."""
    judge = seeded(lambda: head(16, 1, channels=8), rng()).train()
    for _ in range(300):
        judge(torch.zeros(1, 8, 16, 16))
    for part in judge.eval().modules():
        if isinstance(part, nn.Conv2d):
            assert float(torch.linalg.matrix_norm(part.weight.detach().flatten(1), 2)) == pytest.approx(1, abs=1e-3)


def test_only_heads_are_trained() -> None:
    """B×4 logits; backbone and projections want no gradient, heads and pixels get one."""
    judge = discriminator()
    pixels = torch.rand(3, 3, 32, 32, generator=rng()).requires_grad_()
    logits = judge(pixels)
    assert logits.shape == (3, 4)
    logits.sum().backward()
    assert pixels.grad is not None
    assert pixels.grad.any()
    trained = {name.partition(".")[0] for name, p in judge.named_parameters() if p.requires_grad}
    assert trained == {"heads"}
    assert all(p.grad is not None and p.grad.any() for p in judge.heads.parameters())
    assert count_parameters([judge.backbone, judge.projections], trained_only=True) == 0


def test_projections_come_from_the_generator_given() -> None:
    """One seed, one projection; another seed, another one; the backbone is the same."""
    first, again, other = discriminator(0), discriminator(0), discriminator(1)
    name = "projections.channel.0.weight"
    assert torch.equal(first.state_dict()[name], again.state_dict()[name])
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])
    pairs = zip(first.backbone.parameters(), other.backbone.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
