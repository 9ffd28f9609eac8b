"""The VAE's step is the ELBO's, and training lowers it."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Normal, kl_divergence

from graftbench.budget import Meter
from graftbench.contracts import Diverged
from graftbench.errors import GraftbenchError
from graftbench.nn.build import freeze
from graftbench.plugins import registry
from graftbench.plugins.config import config_of
from graftbench.records.cell_spec import ComputeBudget
from graftbench.training.autoencoding import VaeConfig, fit_vae, new_autoencoder

if TYPE_CHECKING:
    from collections.abc import Callable

CLS = registry.methods()["vae"]


def test_first_step_is_the_elbo(world: Callable[..., Any]) -> None:
    """The losses of a fit's first step are those computed from the paper: float32, one batch of four.

    The chances are drawn in this order: decoder, encoder, images, noise. Relative 1e-4: sums over 3,072 numbers, and
    the loop's convolutions run channels last.
    """
    task = world(32).task(CLS)
    config = VaeConfig(batch_size=4, precision="float32")
    encoder, decoder = new_autoencoder(task, config)
    x = task.images[torch.randint(12, (4,), generator=task.generator)].float() / 127.5 - 1
    with torch.no_grad():
        mean, log_variance = encoder(x)
        posterior = Normal(mean, (log_variance / 2).exp())
        decoded = decoder.train()(mean + posterior.scale * torch.randn(4, 128, generator=task.generator))
        sigma = F.mse_loss(decoded, x).sqrt()
        reconstruction = -Normal(decoded, sigma).log_prob(x).sum() / 4
        kl = kl_divergence(posterior, Normal(torch.zeros(1), torch.ones(1))).sum() / 4
    losses = world(32).fit("vae", images=4, precision="float32").task.log.curve[0][2]
    assert losses == pytest.approx({"reconstruction": float(reconstruction), "kl": float(kl)}, rel=1e-4)


@pytest.mark.slow
def test_training_lowers_the_bound(world: Callable[..., Any]) -> None:
    """Over 40 steps on real images the negative ELBO falls; reconstructing 12 images is learnt in that time."""
    fit = world(32).fit("vae", images=320, batch_size=8, precision="float32")
    bounds = [losses["reconstruction"] + losses["kl"] for _, _, losses in fit.task.log.curve]
    assert bounds[-1] < bounds[0] - 100


@pytest.mark.slow
def test_beta_weighs_the_kl(world: Callable[..., Any]) -> None:
    """A heavier KL term ends with a smaller KL."""
    ends = []
    for beta in (0.0, 100.0):
        fit = world(32).fit("vae", images=160, batch_size=8, precision="float32", beta=beta)
        ends.append(fit.task.log.curve[-1][2]["kl"])
    assert ends[1] < ends[0] / 2


def test_what_is_frozen_stays(world: Callable[..., Any]) -> None:
    """`fit_vae` trains what wants gradients: a frozen encoder keeps its numbers, the decoder moves."""
    task = world(32).task(CLS)
    config = VaeConfig(batch_size=4)
    encoder, decoder = new_autoencoder(task, config)
    freeze(encoder)
    before = [parameter.clone() for parameter in (*encoder.parameters(), *decoder.parameters())]
    fit_vae(task, Meter(ComputeBudget(kimg=0.008)), config, encoder, decoder)
    equal = [torch.equal(a, b) for a, b in zip(before, (*encoder.parameters(), *decoder.parameters()), strict=True)]
    frozen = len(list(encoder.parameters()))
    assert all(equal[:frozen])
    assert not any(equal[frozen:])


@pytest.mark.parametrize("n", [1, 12])
def test_collapse(world: Callable[..., Any], n: int) -> None:
    """A decoder that gives one image for all has collapsed, unless one image is all there is to reconstruct."""
    task = world(32).task(CLS, n=n)
    config = VaeConfig(batch_size=4)
    encoder, decoder = new_autoencoder(task, config)
    decoder.to_rgb.weight.data.zero_()
    freeze(decoder.to_rgb)
    meter = Meter(ComputeBudget(kimg=0.012))
    with nullcontext() if n == 1 else pytest.raises(Diverged, match="the output collapsed at step 1"):
        fit_vae(task, meter, config, encoder, decoder)


@pytest.mark.parametrize(
    "parameters", [{"lr": 0}, {"lr": float("nan")}, {"beta": -1.0}, {"latent": 0}, {"channels": 0}]
)
def test_bad_parameters(parameters: dict[str, float]) -> None:
    """Values that cannot work are refused when the suite is read."""
    with pytest.raises(GraftbenchError, match=r"must be (positive|at least)"):
        config_of(CLS.Config, parameters, "[parameters.vae]")
