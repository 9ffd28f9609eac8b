"""LeCam's anchors and regulariser, by hand over three steps, and the baseline that is left without it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest
import torch

from graftbench.errors import GraftbenchError
from graftbench.plugins import registry
from graftbench.plugins.config import config_of
from graftbench.training.adversarial import DiscriminatorPass

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

lecam = importlib.import_module("graftbench.methods.lecam")


def seen(real: list[float], fake: list[float]) -> DiscriminatorPass:
    """A pass with these logits; the regulariser looks at nothing else."""
    nothing = torch.empty(0)
    real_logits, fake_logits = (torch.tensor(values, requires_grad=True) for values in (real, fake))
    return DiscriminatorPass(nothing, nothing, real_logits, fake_logits, ())


def value(term: Callable[..., dict[str, Tensor]], real: list[float], fake: list[float]) -> float:
    """The regulariser's value after a pass."""
    return float(term(seen(real, fake))["lecam"].detach())


@pytest.mark.parametrize(("one_sided", "expected"), [(False, (20, 11.25, 0.8125)), (True, (20, 0, 0.8125))])
def test_three_steps_by_hand(one_sided: bool, expected: tuple[float, ...]) -> None:  # noqa: FBT001 - a parameter
    """With decay ½ and λ 1; a step's own means enter the anchors first.

    Real 1, 3 and fake 0, −2: anchors 2 and −1; ((1+1)² + (3+1)²)/2 = 10 and ((0−2)² + (−2−2)²)/2 = 10. One-sided the
    same: every real logit is above the generated ones' anchor, every generated one below the real ones'.
    Real 0, 0 and fake 4, 4: anchors 1 and 1.5; 1.5² + 3² = 11.25, one-sided 0: they are on the wrong sides.
    Real 2, fake 1: anchors 1.5 and 1.25; 0.75² + 0.5² = 0.8125, one-sided the same.
    """
    term = lecam._Regularizer(lecam.Config(weight=1.0, decay=0.5, one_sided=one_sided))
    steps = [([1.0, 3.0], [0.0, -2.0]), ([0.0, 0.0], [4.0, 4.0]), ([2.0], [1.0])]
    assert [value(term, *step) for step in steps] == pytest.approx(expected)


def test_anchors_are_constants() -> None:
    """The gradient is that of the logits alone: 2λ (D − α)/n, though the anchors hold this step's means."""
    term = lecam._Regularizer(lecam.Config(weight=0.3))
    given = seen([1.0, 3.0], [0.0, -2.0])
    term(given)["lecam"].backward()
    for logits, anchor in ((given.real_logits, -1), (given.fake_logits, 2)):
        assert logits.grad is not None
        torch.testing.assert_close(logits.grad, 0.3 * (logits.detach() - anchor))


def test_decay() -> None:
    """Anchors forget as decay^t: constant new logits after one first step leave that share of the old ones."""
    term = lecam._Regularizer(lecam.Config(weight=1.0, decay=0.9))
    value(term, [10.0], [10.0])
    found = [value(term, [0.0], [0.0]) for _ in range(5)]
    assert found[-1] == pytest.approx(2 * (10 * 0.9**5) ** 2, rel=1e-5)


@pytest.mark.slow
def test_without_weight_it_is_the_baseline(world: Callable[..., Any]) -> None:
    """λ = 0 trains `dcgan`, to the bit; λ = 0.3 does not."""
    baseline = world(32).fit("dcgan").sampler.state()[0]
    for weight, same in ((0.0, True), (0.3, False)):
        tensors = world(32).fit("lecam", weight=weight).sampler.state()[0]
        assert all(torch.equal(tensors[key], baseline[key]) for key in baseline) == same


def test_the_regulariser_is_logged(world: Callable[..., Any]) -> None:
    """Its weighted value stands beside the two losses."""
    curve = world(32).fit("lecam").task.log.curve
    assert all(set(losses) == {"discriminator", "generator", "lecam"} for _, _, losses in curve)
    assert all(losses["lecam"] > 0 for _, _, losses in curve)


@pytest.mark.parametrize("parameters", [{"weight": -0.1}, {"decay": 1.0}])
def test_out_of_range(parameters: dict[str, float]) -> None:
    """It fails when a run is planned."""
    name = next(iter(parameters))
    with pytest.raises(GraftbenchError, match=name):
        config_of(registry.methods()["lecam"].Config, parameters, "lecam")
