"""The fine-tuned DDPM starts where the source model is, keeps its noise schedule, and moves all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from random_inputs import rng

from graftbench.nn.schedule import ScheduleSpec
from graftbench.plugins import registry
from graftbench.training.diffusion import DiffusionConfig, sampler_of, source_unet

if TYPE_CHECKING:
    from collections.abc import Callable

CLS = registry.methods()["ddpm-finetune"]


@pytest.mark.slow
def test_starts_at_the_source_model(world: Callable[..., Any]) -> None:
    """With a rate too small to move a weight it draws the source model's images, to the bit."""
    fit = world(32).fit("ddpm-finetune", lr=1e-30, sampling_steps=5)
    source = source_unet(world(32).source_model("diffusion"), 32)
    expected = sampler_of(source, DiffusionConfig(sampling_steps=5)).sample(5, rng())
    assert torch.equal(fit.sampler.sample(5, rng()), expected)


def test_leaves_the_source_model(world: Callable[..., Any]) -> None:
    """At its own rate three steps move every parameter away from it."""
    fit = world(32).fit("ddpm-finetune")
    source = dict(source_unet(world(32).source_model("diffusion"), 32).named_parameters())
    assert all(not torch.equal(p, source[name]) for name, p in fit.task.log.networks["unet"].named_parameters())


def test_keeps_the_source_schedule(world: Callable[..., Any]) -> None:
    """What a level of the source network means is not changed by a setting that is for fresh networks."""
    spec = world(32).fit("ddpm-finetune", schedule="linear", timesteps=40, channels=32).sampler.network.spec
    assert spec.schedule == ScheduleSpec("cosine", 1000)
    assert spec.channels == DiffusionConfig().channels


def test_shares_the_loss_with_the_scratch_method(world: Callable[..., Any]) -> None:
    """The two methods differ in where they start and in nothing else: same settings, same networks, same log."""
    scratch = registry.methods()["ddpm"]
    assert CLS.Config is scratch.Config
    assert CLS.moves == scratch.moves
    curves = [world(32).fit(name, images=4).task.log.curve[0] for name in ("ddpm", "ddpm-finetune")]
    assert curves[0][2].keys() == curves[1][2].keys() == {"denoising"}
