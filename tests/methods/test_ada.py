"""ADA's probability: when it moves, by how much, how far, and what is left of the method without it."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from graftbench.errors import GraftbenchError
from graftbench.nn.ada import AdaptiveAugment
from graftbench.plugins import registry
from graftbench.plugins.config import config_of
from graftbench.training.adversarial import DiscriminatorPass

if TYPE_CHECKING:
    from collections.abc import Callable

ada = importlib.import_module("graftbench.methods.ada")


class Steering:
    """A controller on a budget of 100 steps, and what it does to p."""

    def __init__(self, **parameters: float) -> None:
        self.augment = AdaptiveAugment(torch.Generator())
        self.steps = 0
        budget = SimpleNamespace(share=lambda: self.steps / 100)
        self.controller = ada._Controller(ada.Config(**parameters), self.augment, budget)

    def step(self, *logits: float) -> float:
        """A discriminator step with these logits of real images; p after it."""
        nothing, real = torch.empty(0), torch.tensor(logits)
        assert self.controller(DiscriminatorPass(nothing, nothing, real, nothing, ())) == {}
        self.steps += 1
        return self.augment.p


def test_pace_and_direction() -> None:
    """At a share of 0.25 for the whole way, a change after 1 % of the budget is 0.04, up or down."""
    steering = Steering(interval=1, adjust_share=0.25)
    up = [steering.step(1.0, 2.0) for _ in range(5)]
    assert up == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
    down = [steering.step(1.0, -2.0) for _ in range(3)]
    assert down == pytest.approx([0.12, 0.08, 0.04])


def test_the_sign_counts_not_the_size() -> None:
    """Target 0: of four logits two below 0, however near, let p rest; one lets it rise and three let it fall."""
    for negative, expected in ((1, 0.54), (2, 0.5), (3, 0.46)):
        steering = Steering(interval=1, adjust_share=0.25, target=0.0)
        steering.steps, steering.augment.p = 1, 0.5
        logits = [-1e-3] * negative + [1e3] * (4 - negative)
        assert steering.step(*logits) == pytest.approx(expected)


def test_p_stays_in_its_range() -> None:
    """It stops at p_max and at 0, and turns back from there at once."""
    steering = Steering(interval=1, adjust_share=0.1, p_max=0.35)
    assert [steering.step(1.0) for _ in range(6)] == pytest.approx([0, 0.1, 0.2, 0.3, 0.35, 0.35])
    assert [steering.step(-1.0) for _ in range(5)] == pytest.approx([0.25, 0.15, 0.05, 0, 0])
    assert steering.step(1.0) == pytest.approx(0.1)
    assert steering.controller.highest == 0.35


def test_it_looks_at_intervals() -> None:
    """Every four steps, at the mean sign of all four, and by the share that was spent since the last change.

    Steps 0 to 3 are read in step 3, before it is counted: 3 %; steps 4 to 7 in step 7: 4 % more.
    """
    steering = Steering(interval=4, adjust_share=0.5)
    found = [steering.step(1.0) for _ in range(8)]
    assert found == pytest.approx([0, 0, 0, 0.06, 0.06, 0.06, 0.06, 0.14])
    after = [steering.step(logit) for logit in (1.0, 1.0, 1.0, -1.0)]  # mean 0.5 < 0.6
    assert after[-1] == pytest.approx(0.06)


def test_without_augmentation_it_is_the_baseline(world: Callable[..., Any]) -> None:
    """With p held at 0 it trains `dcgan`, to the bit; with p let go it does not."""
    baseline = world(32).fit("dcgan").sampler.state()[0]
    for p_max, same in ((0.0, True), (0.8, False)):
        tensors = world(32).fit("ada", p_max=p_max, interval=1, target=-1.0).sampler.state()[0]
        assert all(torch.equal(tensors[key], baseline[key]) for key in baseline) == same


def test_the_record_says_where_p_ended(world: Callable[..., Any]) -> None:
    """A budget of 10 images in batches of 4: changes after shares 0, 0.4 and 0.8 reach 0.8 at a pace of 1 a budget."""
    notes = world(32).fit("ada", interval=1, target=-1.0, adjust_share=1.0).task.log.notes
    assert "The augmentation probability was 0.80 at the end, at most 0.80." in notes


@pytest.mark.parametrize(
    "parameters", [{"target": 1.5}, {"interval": 0}, {"adjust_share": 0.0}, {"p_max": 1.1}, {"augment": "color"}]
)
def test_out_of_range(parameters: dict[str, Any]) -> None:
    """It fails when a run is planned."""
    with pytest.raises(GraftbenchError, match=next(iter(parameters))):
        config_of(registry.methods()["ada"].Config, parameters, "ada")
