"""AdaIN trains a decoder alone, towards the content's maps with the style's moments."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest
import torch

from graftbench.errors import GraftbenchError
from graftbench.extractors.load import lite0_file
from graftbench.nn.lite0 import Lite0Blocks
from graftbench.plugins import registry
from graftbench.plugins.config import config_of

if TYPE_CHECKING:
    from collections.abc import Callable

adain = importlib.import_module("graftbench.methods.adain")


def test_style_distance_by_hand() -> None:
    """Two maps shifted by 3 and by 4: means differ by (9 + 16)/2, deviations by nothing; layers add up."""
    maps = torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shifted = maps + torch.tensor([3.0, 4.0], dtype=torch.float64)[:, None, None]
    assert adain.style_distance([shifted], [maps]).item() == pytest.approx(12.5)
    assert adain.style_distance([shifted, maps], [maps, maps]).item() == pytest.approx(12.5)
    assert adain.style_distance([shifted, shifted], [maps, maps]).item() == pytest.approx(25)


def test_style_distance_sees_deviations() -> None:
    """Maps of deviation 1 against three times that: (3 − 1)² = 4, the means being 0."""
    maps = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64).view(1, 1, 2, 2)
    assert adain.style_distance([3 * maps], [maps]).item() == pytest.approx(4, rel=1e-4)  # ε of 1e-5 under the roots


def test_the_sampler_holds_what_was_trained_with(world: Callable[..., Any]) -> None:
    """Contents are the source images, styles the target images, and the encoder is the installed one, untouched."""
    fit = world(32).fit("adain")
    assert torch.equal(fit.sampler.contents.images, fit.task.source_images)
    assert torch.equal(fit.sampler.styles, fit.task.images)
    fresh = Lite0Blocks(lite0_file()).state_dict()
    encoder = fit.sampler.network.encoder.state_dict()
    assert encoder
    assert all(torch.equal(tensor, fresh[name]) for name, tensor in encoder.items())
    decoder = fit.sampler.network.decoder
    assert fit.task.log.parameters_trained == sum(p.numel() for p in decoder.parameters())


@pytest.mark.slow
def test_the_decoder_learns(world: Callable[..., Any]) -> None:
    """Within 24 steps of 4 the weighted loss falls below 0.8 of the first step's (measured: see below)."""
    fit = world(32).fit("adain", images=96)
    losses = [loss["content"] + 10 * loss["style"] for _, _, loss in fit.task.log.curve]
    assert sum(losses[-3:]) / 3 < 0.8 * losses[0]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"depth": 4}, "depth is a stage, 0 to 3; found 4"),
        ({"enlarge": 3}, "enlarge is 1 or 2; found 3"),
        ({"style_weight": -1.0}, "style_weight must be at least 0 and finite"),
        ({"lr": 0.0}, "lr must be positive and finite"),
    ],
)
def test_bad_parameters(parameters: dict[str, Any], message: str) -> None:
    """Values that cannot work are refused when the suite is read."""
    with pytest.raises(GraftbenchError, match=message):
        config_of(registry.methods()["adain"].Config, parameters, "[parameters.adain]")
