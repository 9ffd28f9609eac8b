"""The step of flow matching is the conditional loss, and a U-Net of fresh weights learns from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from graftbench.budget import Meter
from graftbench.contracts import Diverged
from graftbench.nn.build import freeze
from graftbench.plugins import registry
from graftbench.records.cell_spec import ComputeBudget
from graftbench.training.flow_matching import FlowConfig, between, fit_flow, new_velocity
from graftbench.training.samplers import to_float

if TYPE_CHECKING:
    from collections.abc import Callable

CLS = registry.methods()["flow"]


@pytest.mark.slow
def test_training_lowers_the_loss(world: Callable[..., Any]) -> None:
    """After 40 steps the averaged network's loss on the images it saw is less than three quarters of a fresh one's.

    Both are asked about the same noise at the same times.
    """
    fit = world(32).fit("flow", images=320, batch_size=8)
    x, t = to_float(fit.task.images), torch.linspace(0.04, 0.96, 12)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    losses = []
    for unet in (new_velocity(fit.task, FlowConfig()), fit.sampler.network):
        with torch.no_grad():
            losses.append(float(F.mse_loss(unet(between(noise, x, t), t), x - noise)))
    assert losses[1] < 3 / 4 * losses[0]


def test_settings_reach_network_and_sampler(world: Callable[..., Any]) -> None:
    """Channels are the network's; steps and solver the sampler's."""
    sampler = world(32).fit("flow", images=4, channels=32, sampling_steps=4, solver="heun").sampler
    assert sampler.network.spec.channels == 32
    assert (sampler.steps, sampler.solver) == (4, "heun")


def test_frozen_parts_rest(world: Callable[..., Any]) -> None:
    """A fit moves what wants gradients and nothing else."""
    task, config = world(32).task(CLS), FlowConfig(batch_size=4)
    unet = new_velocity(task, config)
    freeze(unet.down)
    before = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    fit_flow(task, Meter(ComputeBudget(kimg=0.012)), config, unet)
    same = {name for name, tensor in unet.state_dict().items() if torch.equal(tensor, before[name])}
    assert same == {name for name in before if name.startswith("down.")}


def test_divergence_is_seen(world: Callable[..., Any]) -> None:
    """Weights that are not finite end the fit."""
    task, config = world(32).task(CLS), FlowConfig(batch_size=4)
    unet = new_velocity(task, config)
    nn.init.constant_(unet.to_rgb.weight, float("nan"))
    with pytest.raises(Diverged, match="velocity loss is nan"):
        fit_flow(task, Meter(ComputeBudget(kimg=0.008)), config, unet)
