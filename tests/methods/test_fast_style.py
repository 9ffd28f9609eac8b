"""Fast style trains a translator against the target set's mean Gram matrices."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest
import torch

from graftbench.errors import GraftbenchError
from graftbench.nn.style import gram, total_variation
from graftbench.plugins import registry
from graftbench.plugins.config import config_of
from graftbench.training.samplers import to_float

if TYPE_CHECKING:
    from collections.abc import Callable

fast_style = importlib.import_module("graftbench.methods.fast_style")


def features(seed: int, n: int = 3) -> list[torch.Tensor]:
    """Maps of two layers."""
    rng = torch.Generator().manual_seed(seed)
    return [torch.randn(n, c, side, side, generator=rng) for c, side in ((2, 6), (4, 3))]


def test_the_style_is_the_batchs_mean_gram() -> None:
    """C×C per layer that was asked for, the mean over the images."""
    maps = features(0)
    styles = fast_style.mean_grams(maps, (1,))
    assert styles.keys() == {1}
    torch.testing.assert_close(styles[1], sum(gram(image[None])[0] for image in maps[1]) / 3)


def test_style_distance_by_hand() -> None:
    """An image is at 0 from its own Gram matrix; maps of 0 are at 1 from any; layers are averaged."""
    alone = features(0, n=1)
    styles = fast_style.mean_grams(alone, (0, 1))
    assert fast_style.style_distance(alone, styles).item() == 0
    nothing = [torch.zeros_like(maps) for maps in alone]
    assert fast_style.style_distance(nothing, styles).item() == pytest.approx(1)
    assert fast_style.style_distance([alone[0], nothing[1]], styles).item() == pytest.approx(0.5)


def test_style_distance_is_per_image() -> None:
    """A batch's distance is the mean of its images': their errors do not cancel."""
    batch, styles = features(1), fast_style.mean_grams(features(2), (0, 1))
    each = [fast_style.style_distance([maps[i : i + 1] for maps in batch], styles) for i in range(3)]
    torch.testing.assert_close(fast_style.style_distance(batch, styles), torch.stack(each).mean())


@pytest.mark.slow
def test_weight_on_variation_alone_smooths(world: Callable[..., Any]) -> None:
    """With no weight on content and style what remains to learn is flatness: the variation falls below a half."""
    weights = {"content_weight": 0.0, "style_weight": 0.0, "variation_weight": 1.0}
    fit = world(32).fit("fast-style", images=48, channels=4, **weights)
    first, last = (fit.task.log.curve[i][2] for i in (0, -1))
    assert last["variation"] < 0.5 * first["variation"]
    assert first["content"] == first["style"] == 0
    made = to_float(fit.sampler.sample(10, torch.Generator().manual_seed(0)))
    assert total_variation(made) < total_variation(to_float(fit.task.source_images))


@pytest.mark.slow
def test_the_translator_learns(world: Callable[..., Any]) -> None:
    """Within 24 steps of 4, content and style together fall below 0.8 of the first step's."""
    fit = world(32).fit("fast-style", images=96, channels=8)
    losses = [loss["content"] + loss["style"] for _, _, loss in fit.task.log.curve]
    assert sum(losses[-3:]) / 3 < 0.8 * losses[0]
    assert fit.task.log.parameters_trained == sum(p.numel() for p in fit.sampler.network.parameters())


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"style_layers": []}, "stages 0 to 3"),
        ({"content_layer": 4}, "stages 0 to 3"),
        ({"channels": 0}, "channels must be at least 1"),
        ({"variation_weight": -0.1}, "variation_weight must be at least 0 and finite"),
    ],
)
def test_bad_parameters(parameters: dict[str, Any], message: str) -> None:
    """Values that cannot work are refused when the suite is read."""
    with pytest.raises(GraftbenchError, match=message):
        config_of(registry.methods()["fast-style"].Config, parameters, "[parameters.fast-style]")
