"""`finetune-diffaugment` is `finetune` with a policy, and in nothing else another method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from graftbench.errors import GraftbenchError
from graftbench.plugins import registry
from graftbench.plugins.config import config_of

if TYPE_CHECKING:
    from collections.abc import Callable


def same(first: Any, second: Any) -> bool:
    """Whether two fits ended with the same sampler and the same losses, to the bit."""
    ours, theirs = first.sampler.state()[0], second.sampler.state()[0]
    losses = [[losses for _, _, losses in fit.task.log.curve] for fit in (first, second)]
    return losses[0] == losses[1] and all(torch.equal(tensor, theirs[key]) for key, tensor in ours.items())


@pytest.mark.slow
def test_it_is_finetune_with_the_policy(world: Callable[..., Any]) -> None:
    """Each of the two, given the other's policy, is the other."""
    at = world(32)
    assert same(at.fit("finetune-diffaugment", augment=""), at.fit("finetune"))
    assert same(at.fit("finetune-diffaugment"), at.fit("finetune", augment="color,translation,cutout"))
    assert not same(at.fit("finetune-diffaugment"), at.fit("finetune"))


def test_unknown_policy() -> None:
    """The nearest step is named before anything is trained."""
    with pytest.raises(GraftbenchError, match="Did you mean 'cutout'"):
        config_of(registry.methods()["finetune-diffaugment"].Config, {"augment": "cutouts"}, "here")
