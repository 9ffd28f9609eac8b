"""DDPM's step is the paper's simple loss, and a U-Net of fresh weights learns from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from graftbench.budget import Meter
from graftbench.contracts import Diverged
from graftbench.errors import GraftbenchError
from graftbench.nn.build import freeze
from graftbench.plugins import registry
from graftbench.records.cell_spec import ComputeBudget
from graftbench.training.diffusion import DiffusionConfig, diffuse, fit_diffusion, new_unet
from graftbench.training.samplers import to_float

if TYPE_CHECKING:
    from collections.abc import Callable

CLS = registry.methods()["ddpm"]


def test_first_step_is_the_simple_loss(world: Callable[..., Any]) -> None:
    """The loss of a fit's first step is ‖ε − √(1 − ᾱ_t) x_t‖², the mean over the batch's numbers.

    For the layers start at zero. The chances are drawn in this order: network, images, levels, noise.
    """
    task = world(32).task(CLS)
    alpha_bars = new_unet(task, DiffusionConfig()).spec.schedule.alpha_bars()
    x = task.images[torch.randint(12, (4,), generator=task.generator)].double() / 127.5 - 1
    share = alpha_bars[torch.randint(1000, (4,), generator=task.generator)][:, None, None, None]
    noise = torch.randn(4, 3, 32, 32, generator=task.generator)
    residual = noise - (1 - share).sqrt() * (share.sqrt() * x + (1 - share).sqrt() * noise)
    losses = world(32).fit("ddpm", images=4, precision="float32").task.log.curve[0][2]
    assert losses == pytest.approx({"denoising": float(residual.square().mean())}, rel=1e-5)


@pytest.mark.slow
def test_training_lowers_the_loss(world: Callable[..., Any]) -> None:
    """After 40 steps the averaged network's loss on the images it saw is less than three quarters of a fresh one's.

    Both are asked about the same noise at the same levels: a batch's own loss varies more with its levels than with
    40 steps.
    """
    fit = world(32).fit("ddpm", images=320, batch_size=8, precision="float32")
    x, t = to_float(fit.task.images), torch.arange(40, 1000, 80)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    losses = []
    for unet in (new_unet(fit.task, DiffusionConfig()), fit.sampler.network):
        with torch.no_grad():
            losses.append(float(F.mse_loss(unet(diffuse(x, noise, unet.alpha_bars[t]), t), noise)))
    assert losses[1] < 3 / 4 * losses[0]


def test_settings_reach_network_and_sampler(world: Callable[..., Any]) -> None:
    """Schedule, levels and channels are the network's; steps and η the sampler's."""
    chosen = {"schedule": "linear", "timesteps": 50, "channels": 32, "sampling_steps": 4, "eta": 1.0}
    sampler = world(32).fit("ddpm", images=4, **chosen).sampler
    assert (sampler.network.spec.schedule.name, sampler.network.spec.schedule.steps) == ("linear", 50)
    assert sampler.network.spec.channels == 32
    assert (sampler.steps, sampler.eta) == (4, 1.0)


def test_last_batch_of_one(world: Callable[..., Any]) -> None:
    """A budget that leaves one image for the last step is spent to that image."""
    assert world(32).fit("ddpm", images=5).meter.images_seen == 5


def test_frozen_parts_rest(world: Callable[..., Any]) -> None:
    """A fit moves what wants gradients and nothing else."""
    task, config = world(32).task(CLS), DiffusionConfig(batch_size=4)
    unet = new_unet(task, config)
    freeze(unet.down)
    before = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    fit_diffusion(task, Meter(ComputeBudget(kimg=0.012)), config, unet)
    same = {name for name, tensor in unet.state_dict().items() if torch.equal(tensor, before[name])}
    assert same == {name for name in before if name.startswith("down.")}


def test_divergence_is_seen(world: Callable[..., Any]) -> None:
    """Weights that are not finite end the fit."""
    task, config = world(32).task(CLS), DiffusionConfig(batch_size=4)
    unet = new_unet(task, config)
    nn.init.constant_(unet.to_rgb.weight, float("nan"))
    with pytest.raises(Diverged, match="denoising loss is nan"):
        fit_diffusion(task, Meter(ComputeBudget(kimg=0.008)), config, unet)


def test_compute_can_be_bounded_in_flops(world: Callable[..., Any]) -> None:
    """The first batch's arithmetic is counted: forward and backward of 0.1 GFLOP forward, three times that."""
    assert world(32).fit("ddpm", images=4).meter.flops_per_image == pytest.approx(0.3e9, rel=0.2)


def test_bad_parameters(world: Callable[..., Any]) -> None:
    """A suite's mistakes are found before anything is trained, here a schedule that nobody knows."""
    with pytest.raises(GraftbenchError, match="schedule"):
        world(32).fit("ddpm", schedule="quadratic")


@pytest.mark.long
def test_one_image_is_learnt(world: Callable[..., Any]) -> None:
    """Shown one image for 300 steps, most of what it draws is that image: within a quarter of its distance to others.

    Most, not all: a sample starts at the highest noise levels, which count least in the loss and are learnt last.
    """
    fit = world(32).fit("ddpm", n=1, images=2400, batch_size=8)
    own, others = fit.task.images.float(), world(32).pixels(world(32).target, 40)[1:].float()
    samples = fit.sampler.sample(8, torch.Generator().manual_seed(0)).float()
    assert (samples - own).square().mean(dim=(1, 2, 3)).median() < (others - own).square().mean() / 4
