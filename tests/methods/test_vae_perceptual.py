"""The feature loss is each map's likelihood at its own σ, and without it the method is the plain VAE."""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.distributions import Normal

from graftbench.errors import GraftbenchError
from graftbench.extractors.load import lite0_file
from graftbench.nn.lite0 import Lite0Blocks
from graftbench.plugins import registry
from graftbench.plugins.config import config_of

if TYPE_CHECKING:
    from collections.abc import Callable

perceptual = importlib.import_module("graftbench.methods.vae_perceptual")


def images(seed: int) -> torch.Tensor:
    """Noise in [−1, 1]."""
    return torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_loss_against_distributions(share: float) -> None:
    """D · ((1 − s) · mean over maps + s · pixels) of −log N per number, each map divided by its root mean square.

    Each term from torch.distributions at σ² = the mean squared error.
    """
    backbone = Lite0Blocks(lite0_file())
    x, reconstruction = images(0), images(1)

    def nll(found: torch.Tensor, target: torch.Tensor) -> float:
        sigma = (found - target).square().mean().sqrt()
        return float(-Normal(found, sigma).log_prob(target).mean())

    maps = []
    for found, target in zip(backbone(reconstruction), backbone(x), strict=True):
        unit = target.square().mean().sqrt()
        maps.append(nll(found / unit, target / unit))
    layers = (0, 2)
    expected = (1 - share) * sum(maps[layer] for layer in layers) / len(layers) + share * nll(reconstruction, x)
    config = perceptual.Config(layers=layers, pixel_share=share)
    found = perceptual.feature_nll(backbone, config, reconstruction, x)
    assert float(found) == pytest.approx(3 * 32 * 32 * expected, rel=1e-4)


def test_a_perfect_reconstruction() -> None:
    """Costs D/2 · log(2π / 255²): as in the plain VAE, however many maps look at it."""
    backbone, x = Lite0Blocks(lite0_file()), images(0)
    found = perceptual.feature_nll(backbone, perceptual.Config(layers=(0, 1, 3)), x, x)
    assert float(found) == pytest.approx(3 * 32 * 32 / 2 * math.log(2 * math.pi / 255**2), rel=1e-5)


def test_pixels_alone_are_the_plain_vae(world: Callable[..., Any]) -> None:
    """With the pixels' share at 1 the fit is `vae`'s to the bit."""
    plain = world(32).fit("vae").sampler.state()[0]
    found = world(32).fit("vae-perceptual", pixel_share=1.0).sampler.state()[0]
    assert all(torch.equal(tensor, plain[name]) for name, tensor in found.items())


@pytest.mark.slow
def test_training_lowers_the_feature_error(world: Callable[..., Any]) -> None:
    """Over 30 steps of 8 images the maps' likelihood rises."""
    fit = world(32).fit("vae-perceptual", images=240, batch_size=8, precision="float32", lr=3e-3)
    losses = [losses["reconstruction"] for _, _, losses in fit.task.log.curve]
    assert losses[-1] < losses[0] - 100


def test_the_backbone_is_counted_and_rests(fitted: Callable[..., Any]) -> None:
    """The log counts its parameters among those that take part, not among those that move."""
    log = fitted("vae-perceptual").task.log
    plain = fitted("vae").task.log
    backbone = sum(parameter.numel() for parameter in Lite0Blocks(lite0_file()).parameters())
    assert log.parameters_total == plain.parameters_total + backbone
    assert log.parameters_trained == plain.parameters_trained


def test_leaks() -> None:
    """Scores under the default extractor are marked."""
    assert registry.methods()["vae-perceptual"]().leaks == "lite0"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"layers": []}, "stages 0 to 3"),
        ({"layers": [4]}, "stages 0 to 3"),
        ({"pixel_share": 1.1}, r"in \[0, 1\]; found 1\.1"),
        ({"enlarge": 0}, "at least 1; found 0"),
        ({"lr": 0.0}, "must be positive"),
    ],
)
def test_bad_parameters(parameters: dict[str, Any], message: str) -> None:
    """Values that cannot work are refused when the suite is read."""
    with pytest.raises(GraftbenchError, match=message):
        config_of(perceptual.Config, parameters, "[parameters.vae-perceptual]")
