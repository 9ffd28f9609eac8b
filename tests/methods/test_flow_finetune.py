"""The fine-tuned flow starts where the source model is, and moves all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from random_inputs import rng

from graftbench.plugins import registry
from graftbench.training.flow_matching import FlowConfig, flow_sampler, source_velocity

if TYPE_CHECKING:
    from collections.abc import Callable


def test_starts_at_the_source_model(world: Callable[..., Any]) -> None:
    """With a rate too small to move a weight it draws the source model's images, to the bit."""
    fit = world(32).fit("flow-finetune", lr=1e-30, sampling_steps=5)
    source = source_velocity(world(32).source_model("flow"), 32)
    expected = flow_sampler(source, FlowConfig(sampling_steps=5)).sample(5, rng())
    assert torch.equal(fit.sampler.sample(5, rng()), expected)


def test_leaves_the_source_model(world: Callable[..., Any]) -> None:
    """At its own rate three steps move every parameter away from it."""
    fit = world(32).fit("flow-finetune")
    source = dict(source_velocity(world(32).source_model("flow"), 32).named_parameters())
    assert all(not torch.equal(p, source[name]) for name, p in fit.task.log.networks["unet"].named_parameters())


def test_keeps_the_source_architecture(world: Callable[..., Any]) -> None:
    """A setting that is for fresh networks does not change the source model's."""
    assert world(32).fit("flow-finetune", channels=32).sampler.network.spec.channels == FlowConfig().channels


def test_differs_from_scratch_in_its_start_alone() -> None:
    """Same settings, same networks that move."""
    scratch, tuned = registry.methods()["flow"], registry.methods()["flow-finetune"]
    assert tuned.Config is scratch.Config
    assert tuned.moves == scratch.moves
