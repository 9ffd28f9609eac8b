"""FastGAN as a method: its log, its sampler, what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from graftbench.errors import GraftbenchError
from graftbench.plugins import registry
from graftbench.plugins.config import config_of

if TYPE_CHECKING:
    from collections.abc import Callable

FastGan = registry.methods()["fastgan"]


@pytest.mark.slow
def test_log_names_the_reconstruction(world: Callable[..., Any], fitted: Callable[..., Any]) -> None:
    """It stands in the log, and not where its weight is 0."""
    assert set(fitted("fastgan").task.log.curve[-1][2]) == {"discriminator", "generator", "reconstruction"}
    without = world(32).fit("fastgan", reconstruction=0.0)
    assert set(without.task.log.curve[-1][2]) == {"discriminator", "generator"}


def test_small_images_are_refused() -> None:
    """At 16 px there is no map of an eighth of the side; it is said when a run is planned."""
    with pytest.raises(GraftbenchError, match=r"^FastGAN's images have at least 32 px; found 16\.$"):
        FastGan().check(16)
    FastGan().check(256)


@pytest.mark.parametrize("parameters", [{"reconstruction": -1.0}, {"beta1": 1.0}, {"channels_generator": 0}])
def test_bad_parameters(parameters: dict[str, float]) -> None:
    """Values that cannot work are refused when the suite is read."""
    with pytest.raises(GraftbenchError, match=r"must be (at least|in \[0, 1\))"):
        config_of(FastGan.Config, parameters, "[parameters.fastgan]")
