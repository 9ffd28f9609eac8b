"""StyleGAN2 as methods: their logs, their penalties, where the fine-tuned one starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from random_inputs import rng

from graftbench.plugins import registry
from graftbench.training.stylegan2 import source_sampler, source_style_networks

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.slow
def test_log_names_the_penalties(world: Callable[..., Any], fitted: Callable[..., Any]) -> None:
    """R1 by default, path lengths where they weigh something; a point has those that were due since the last."""
    assert named(fitted("stylegan2")) == {"discriminator", "generator", "r1"}
    assert named(world(32).fit("stylegan2", r1=0.0, path_length=2.0)) == {"discriminator", "generator", "path length"}


def named(fit: Any) -> set[str]:
    """The losses in a fit's curve."""
    return {name for _, _, losses in fit.task.log.curve for name in losses}


@pytest.mark.slow
def test_starts_at_the_source_model(world: Callable[..., Any]) -> None:
    """With rates too small to move a weight it draws the source model's images, to the bit."""
    fit = world(32).fit("stylegan2-finetune", lr_generator=1e-30, lr_discriminator=1e-30)
    expected = source_sampler(world(32).source_model("stylegan2"), 32).sample(5, rng())
    assert torch.equal(fit.sampler.sample(5, rng()), expected)


@pytest.mark.slow
def test_keeps_the_source_architecture(world: Callable[..., Any]) -> None:
    """A setting that is for fresh networks does not change the source model's."""
    source, _ = source_style_networks(world(32).source_model("stylegan2"), 32)
    assert world(32).fit("stylegan2-finetune", channels_generator=8).sampler.network.spec == source.spec


def test_differs_from_scratch_in_its_start_alone() -> None:
    """Same settings, same networks that move."""
    scratch, tuned = registry.methods()["stylegan2"], registry.methods()["stylegan2-finetune"]
    assert tuned.Config is scratch.Config
    assert tuned.moves == scratch.moves
