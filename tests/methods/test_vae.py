"""The VAE's two terms against closed forms, and that training lowers their sum."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from graftbench import registry
from graftbench.errors import GraftbenchError
from graftbench.suite import config_of

if TYPE_CHECKING:
    from collections.abc import Callable

vae = importlib.import_module("graftbench.methods.vae")


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    """Float64 noise."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_kl() -> None:
    """KL(N(μ, σ²) ‖ N(0, 1)) summed over z, mean over the batch, is torch.distributions' closed form."""
    mean, log_variance = noise(6, 5), noise(6, 5, seed=1)
    posterior = Normal(mean, (log_variance / 2).exp())
    expected = kl_divergence(posterior, Normal(torch.zeros_like(mean), 1.0)).sum(dim=1).mean()
    torch.testing.assert_close(vae.gaussian_kl(mean, log_variance), expected)


def test_kl_of_the_prior() -> None:
    """It is 0 at the prior, ½ at μ = 1 in one dimension."""
    zero, one = torch.zeros(1, 1), torch.ones(1, 1)
    assert float(vae.gaussian_kl(zero, zero)) == 0
    assert float(vae.gaussian_kl(one, zero)) == 0.5


def test_likelihood_at_the_best_sigma() -> None:
    """The value is −log N(x; x̂, σ²) of torch.distributions at σ² = MSE, and no other σ gives less."""
    x, reconstruction = noise(4, 3, 8, 8), noise(4, 3, 8, 8, seed=1)
    sigma = (x - reconstruction).square().mean().sqrt()

    def nll(scale: torch.Tensor) -> torch.Tensor:
        return -Normal(reconstruction, scale).log_prob(x).sum(dim=(1, 2, 3)).mean()

    found = vae.optimal_sigma_nll(reconstruction, x)
    torch.testing.assert_close(found, nll(sigma))
    assert found < nll(sigma * 1.01)
    assert found < nll(sigma * 0.99)


def test_gradient_of_the_likelihood() -> None:
    """It is that of D/2 · log MSE, σ moving along: (x̂ − x) / (B · MSE)."""
    x, reconstruction = noise(4, 3, 8, 8), noise(4, 3, 8, 8, seed=1).requires_grad_()
    (gradient,) = torch.autograd.grad(vae.optimal_sigma_nll(reconstruction, x), reconstruction)
    difference = (reconstruction - x).detach()
    torch.testing.assert_close(gradient, difference / (len(x) * difference.square().mean()))


def test_likelihood_is_bounded() -> None:
    """A perfect reconstruction costs D/2 · log(2π / 255²), not −∞, and has no gradient."""
    x = noise(2, 3, 4, 4)
    reconstruction = x.clone().requires_grad_()
    loss = vae.optimal_sigma_nll(reconstruction, x)
    (gradient,) = torch.autograd.grad(loss, reconstruction)
    torch.testing.assert_close(loss.detach(), 24 * torch.tensor(2 * torch.pi / 255**2, dtype=torch.float64).log())
    assert not gradient.any()


@pytest.mark.parametrize("resolution", [8, 32, 64])
def test_encoder(resolution: int) -> None:
    """Mean and log-variance per latent dimension, the log-variance within ±10 whatever comes in."""
    encoder = vae.Encoder(resolution, vae.Config(latent=7))
    mean, log_variance = encoder(torch.rand(3, 3, resolution, resolution) * 1e6)
    assert mean.shape == log_variance.shape == (3, 7)
    assert log_variance.abs().max() <= 10


def test_training_lowers_the_bound(world: Callable[..., Any]) -> None:
    """Over 40 steps on real images the negative ELBO falls; reconstructing 12 images is learnt in that time."""
    fit = world(32).fit("vae", images=320, batch_size=8, precision="float32")
    bounds = [losses["reconstruction"] + losses["kl"] for _, _, losses in fit.task.log.curve]
    assert bounds[-1] < bounds[0] - 100


def test_beta_weighs_the_kl(world: Callable[..., Any]) -> None:
    """A heavier KL term ends with a smaller KL."""
    ends = []
    for beta in (0.0, 100.0):
        fit = world(32).fit("vae", images=320, batch_size=8, precision="float32", beta=beta)
        ends.append(fit.task.log.curve[-1][2]["kl"])
    assert ends[1] < ends[0] / 2


@pytest.mark.parametrize(
    "parameters", [{"lr": 0}, {"lr": float("nan")}, {"beta": -1.0}, {"latent": 0}, {"channels": 0}]
)
def test_bad_parameters(parameters: dict[str, float]) -> None:
    """Values that cannot work are refused when the suite is read."""
    with pytest.raises(GraftbenchError, match="must be positive"):
        config_of(registry.methods()["vae"].Config, parameters, "[parameters.vae]")
