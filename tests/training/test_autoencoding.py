"""The two terms of the ELBO against closed forms, and the encoder's ranges."""

from __future__ import annotations

import math

import pytest
import torch
from random_inputs import noise64
from torch import nn
from torch.distributions import Normal, kl_divergence

from graftbench.contracts import SourceModel
from graftbench.errors import GraftbenchError
from graftbench.nn.build import seeded
from graftbench.training.autoencoding import (
    Encoder,
    EncoderSpec,
    best_sigma_nll,
    gaussian_kl,
    gaussian_parameters,
    optimal_sigma_nll,
    posterior_gaussian,
    source_autoencoder,
    source_sampler,
)


def test_kl() -> None:
    """KL(N(μ, σ²) ‖ N(0, 1)) summed over z, mean over the batch, is torch.distributions' closed form."""
    mean, log_variance = noise64(6, 5), noise64(6, 5, seed=1)
    posterior = Normal(mean, (log_variance / 2).exp())
    expected = kl_divergence(posterior, Normal(torch.zeros_like(mean), 1.0)).sum(dim=1).mean()
    torch.testing.assert_close(gaussian_kl(mean, log_variance), expected)


def test_kl_of_the_prior() -> None:
    """It is 0 at the prior, ½ at μ = 1 in one dimension, ½ (e − 2) at σ² = e."""
    zero, one = torch.zeros(1, 1), torch.ones(1, 1)
    assert float(gaussian_kl(zero, zero)) == 0
    assert float(gaussian_kl(one, zero)) == 0.5
    assert float(gaussian_kl(zero, one)) == pytest.approx((math.e - 2) / 2, rel=1e-6)


class TwoNumbers(nn.Module):
    """An encoder whose mean is an image's first two values of red, and whose variances are 0.25 and 4."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map B×3×H×W to B×2 twice."""
        assert not self.training
        mean = x[:, 0, 0, :2]
        return mean, torch.tensor([0.25, 4.0]).log().expand_as(mean)


def test_gaussian_of_the_posteriors() -> None:
    """Mean and covariance are those of the mixture of the posteriors: of their means, plus the mean of their variances.

    The means are (−1, −1), (1, 1) and (1, −1): mean (1/3, −1/3), variances 8/9, covariance 4/9.
    """
    images = torch.zeros(3, 3, 2, 2, dtype=torch.uint8)
    images[1, 0, 0] = 255
    images[2, 0, 0, 0] = 255
    encoder = TwoNumbers()
    gaussian = posterior_gaussian(encoder, images, 2, torch.device("cpu"))
    assert encoder.training
    torch.testing.assert_close(gaussian.mean, torch.tensor([1 / 3, -1 / 3]))
    expected = torch.tensor([[8 / 9 + 0.25, 4 / 9], [4 / 9, 8 / 9 + 4.0]])
    torch.testing.assert_close(gaussian.factor @ gaussian.factor.T, expected)
    z = torch.eye(2)
    torch.testing.assert_close(gaussian(z), gaussian.mean + gaussian.factor.T)


def test_a_frozen_part_of_the_encoder_stays_frozen() -> None:
    """Every part of the encoder is left in the mode that it was in."""
    encoder = TwoNumbers()
    encoder.frozen = nn.BatchNorm2d(3).eval()
    posterior_gaussian(encoder, torch.zeros(1, 3, 2, 2, dtype=torch.uint8), 2, torch.device("cpu"))
    assert (encoder.training, encoder.frozen.training) == (True, False)


def test_one_image_has_a_gaussian() -> None:
    """A single training image leaves its own posterior."""
    gaussian = posterior_gaussian(TwoNumbers(), torch.zeros(1, 3, 2, 2, dtype=torch.uint8), 2, torch.device("cpu"))
    torch.testing.assert_close(gaussian.factor, torch.diag(torch.tensor([0.5, 2.0])))


def test_likelihood_at_the_best_sigma() -> None:
    """The value is −log N(x; x̂, σ²) of torch.distributions at σ² = MSE, and no other σ gives less."""
    x, reconstruction = noise64(4, 3, 8, 8), noise64(4, 3, 8, 8, seed=1)
    sigma = (x - reconstruction).square().mean().sqrt()

    def nll(scale: torch.Tensor) -> torch.Tensor:
        return -Normal(reconstruction, scale).log_prob(x).sum(dim=(1, 2, 3)).mean()

    found = optimal_sigma_nll(reconstruction, x)
    torch.testing.assert_close(found, nll(sigma))
    assert found < nll(sigma * 1.01)
    assert found < nll(sigma * 0.99)


def test_learnt_sigma_is_the_optimum() -> None:
    """Minimising −log N over log σ by Newton's method arrives at σ² = MSE: the closed form is what learning finds."""
    x, reconstruction = noise64(4, 3, 8, 8), noise64(4, 3, 8, 8, seed=1)
    error = (x - reconstruction).square().mean()
    log_sigma = torch.zeros((), dtype=torch.float64)
    for _ in range(20):  # per dimension, f(s) = s + ½ error e^(−2s); f' = 1 − error e^(−2s); f'' = 2 error e^(−2s)
        ratio = error * (-2 * log_sigma).exp()
        log_sigma = log_sigma - (1 - ratio) / (2 * ratio)
    learnt = -Normal(reconstruction, log_sigma.exp()).log_prob(x).sum(dim=(1, 2, 3)).mean()
    torch.testing.assert_close(optimal_sigma_nll(reconstruction, x), learnt)


def test_gradient_of_the_likelihood() -> None:
    """It is that of D/2 · log MSE, σ moving along: (x̂ − x) / (B · MSE)."""
    x, reconstruction = noise64(4, 3, 8, 8), noise64(4, 3, 8, 8, seed=1).requires_grad_()
    (gradient,) = torch.autograd.grad(optimal_sigma_nll(reconstruction, x), reconstruction)
    difference = (reconstruction - x).detach()
    torch.testing.assert_close(gradient, difference / (len(x) * difference.square().mean()))


def test_likelihood_is_bounded() -> None:
    """A perfect reconstruction costs D/2 · log(2π / 255²), not −∞, and has no gradient."""
    x = noise64(2, 3, 4, 4)
    reconstruction = x.clone().requires_grad_()
    loss = optimal_sigma_nll(reconstruction, x)
    (gradient,) = torch.autograd.grad(loss, reconstruction)
    torch.testing.assert_close(loss.detach(), 24 * torch.tensor(2 * torch.pi / 255**2, dtype=torch.float64).log())
    assert not gradient.any()


def test_nll_per_dimension_by_hand() -> None:
    """Errors of 1/(2πe) cost nothing, e times as much ½; each error of several has its own σ."""
    nothing = 1 / (2 * math.pi * math.e)
    found = best_sigma_nll(torch.tensor([nothing, nothing * math.e]))
    torch.testing.assert_close(found, torch.tensor([0.0, 0.5]), atol=1e-6, rtol=0)


def test_gaussian_parameters() -> None:
    """The first half is the mean, as it is; the second the log-variance, within ±10; float32 whatever comes in."""
    mean, log_variance = gaussian_parameters(torch.tensor([[1.0, -2e4, 3.0, 2e4]], dtype=torch.bfloat16))
    assert mean.dtype == log_variance.dtype == torch.float32
    assert mean.tolist() == [[1.0, -19968.0]]  # the nearest bfloat16
    assert log_variance.tolist() == [[3.0, 10.0]]


@pytest.mark.parametrize("resolution", [8, 32, 64])
def test_encoder(resolution: int) -> None:
    """Mean and log-variance per latent dimension, the log-variance within ±10 whatever comes in."""
    shape = EncoderSpec(resolution, channels=8, latent=7)
    encoder = seeded(lambda: Encoder(shape), torch.Generator().manual_seed(0))
    mean, log_variance = encoder(torch.rand(3, 3, resolution, resolution) * 1e6)
    assert mean.shape == log_variance.shape == (3, 7)
    assert log_variance.abs().max() <= 10


def test_a_source_model_of_another_kind() -> None:
    """A GAN has no encoder, and the message says what it has."""
    model = SourceModel("gan-x", {}, {"id": "gan-x", "generator": "{}", "discriminator": "{}"})
    with pytest.raises(GraftbenchError, match=r"no.* describe a network 'encoder'; it describes discriminator, gen"):
        source_autoencoder(model, 32)


def test_a_source_model_of_another_resolution() -> None:
    """A decoder of 64 px does not serve a task of 32."""
    model = SourceModel("vae-x", {}, {"encoder": '{"resolution": 64}', "decoder": '{"resolution": 64}'})
    with pytest.raises(GraftbenchError, match=r"vae-x is of 64 px \(encoder\); the task needs 32"):
        source_sampler(model, 32)
