"""DiffAugment is the baseline with a policy, and the policy is applied wherever the discriminator looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from graftbench.errors import GraftbenchError
from graftbench.nn.augment import DiffAugment
from graftbench.plugins import registry
from graftbench.plugins.config import config_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

POLICY = "color,translation,cutout"


@pytest.mark.slow
def test_it_is_the_baseline_with_a_policy(world: Callable[..., Any]) -> None:
    """`diffaugment` is `dcgan` with the paper's policy, and without a policy it is `dcgan`: to the bit."""
    plain = world(32).fit("dcgan").sampler.state()[0]
    augmented = world(32).fit("dcgan", augment=POLICY).sampler.state()[0]
    assert any(not torch.equal(augmented[key], plain[key]) for key in plain)
    for parameters, expected in (({}, augmented), ({"augment": ""}, plain)):
        found = world(32).fit("diffaugment", **parameters).sampler.state()[0]
        assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_all_that_the_discriminator_sees_is_augmented(
    world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step three times: real and generated images without gradient, and generated ones with it."""
    calls: list[tuple[int, bool]] = []
    augment = DiffAugment.__call__

    def counted(self: DiffAugment, x: Tensor) -> Tensor:
        changed = augment(self, x)
        assert not torch.equal(changed, x)
        calls.append((len(x), changed.requires_grad))
        return changed

    monkeypatch.setattr(DiffAugment, "__call__", counted)
    world(32).fit("diffaugment", images=10)
    assert calls == [(size, gradient) for size in (4, 4, 2) for gradient in (False, False, True)]


def test_unknown_step() -> None:
    """A policy that is not known fails when a run is planned, and the nearest is named."""
    with pytest.raises(GraftbenchError, match="Did you mean 'cutout'"):
        config_of(registry.methods()["diffaugment"].Config, {"augment": "cut-out"}, "diffaugment")
