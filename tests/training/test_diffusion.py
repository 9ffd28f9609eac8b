"""The forward process has its moments; sampling with a known score gives the distribution the score belongs to."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import pytest
import torch
from random_inputs import rng

from graftbench.contracts import SourceModel
from graftbench.errors import GraftbenchError
from graftbench.nn.build import seeded
from graftbench.nn.schedule import ScheduleName, ScheduleSpec
from graftbench.nn.unet import DenoisingUNet, DenoisingUNetSpec
from graftbench.plugins.config import config_of
from graftbench.training.diffusion import (
    DiffusionConfig,
    DiffusionSampler,
    ddim_step,
    denoise,
    diffuse,
    sampler_of,
    source_sampler,
    source_unet,
    visited,
)
from graftbench.training.samplers import load_sampler, save_sampler

if TYPE_CHECKING:
    from pathlib import Path

    from graftbench.training.diffusion import Denoiser

MEAN, DEVIATION = 0.3, 0.1
"""Of the Gaussian that stands for the data where the answer is known: ten deviations lie within [−1, 1], so that the
clipping of x_0 does nothing."""

BOTH = pytest.mark.parametrize("name", ["cosine", "linear"])


def optimal(alpha_bars: torch.Tensor) -> Denoiser:
    """The best prediction of the noise for data N(MEAN, DEVIATION²): E[ε | x_t] = √(1 − ᾱ) (x_t − √ᾱ m) / v.

    v = ᾱ s² + 1 − ᾱ is the variance of x_t, √(1 − ᾱ) its covariance with ε.
    """

    def predict(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        share = alpha_bars[t].view(-1, *[1] * (x.ndim - 1))
        return (1 - share).sqrt() * (x - share.sqrt() * MEAN) / (share * DEVIATION**2 + 1 - share)

    return predict


def draw(n: int, seed: int = 0) -> torch.Tensor:
    """Float64 noise, n×3×4×4."""
    return torch.randn(n, 3, 4, 4, generator=rng(seed), dtype=torch.float64)


# ------------------------------------------------------------------------------------------------- forward process


def test_diffuse() -> None:
    """0.6 of the image and 0.8 of the noise at ᾱ = 0.36; each image at its own level."""
    x, noise = draw(2), draw(2, seed=1)
    found = diffuse(x, noise, torch.tensor([0.36, 1.0], dtype=torch.float64))
    torch.testing.assert_close(found, torch.stack([0.6 * x[0] + 0.8 * noise[0], x[1]]))


@BOTH
def test_forward_process_is_the_chain_of_its_steps(name: ScheduleName) -> None:
    """N(√ᾱ_t x_0, 1 − ᾱ_t) is what t steps x ← √(1 − β) x + √β ε lead to: the mean's factor and the variance."""
    spec, factor, variance = ScheduleSpec(name, 50), 1.0, 0.0
    for beta, alpha_bar in zip(spec.betas().tolist(), spec.alpha_bars().tolist(), strict=True):
        factor, variance = factor * math.sqrt(1 - beta), (1 - beta) * variance + beta
        assert factor == pytest.approx(math.sqrt(alpha_bar))
        assert variance == pytest.approx(1 - alpha_bar)


@pytest.mark.parametrize("t", [0, 300, 999])
def test_loss_of_the_best_predictor(t: int) -> None:
    """On Gaussian data no predictor gets below Var(ε | x_t) = ᾱ s² / (ᾱ s² + 1 − ᾱ), and `optimal` gets there.

    Five standard errors of the mean of N squares of a Gaussian: 5 √(2/N).
    """
    alpha_bars = ScheduleSpec().alpha_bars()
    noise, share = draw(2000, seed=1), float(alpha_bars[t])
    x = diffuse(MEAN + DEVIATION * draw(2000), noise, alpha_bars[t].expand(2000))
    loss = (optimal(alpha_bars)(x, torch.full((2000,), t)) - noise).square().mean()
    least = share * DEVIATION**2 / (share * DEVIATION**2 + 1 - share)
    assert float(loss) == pytest.approx(least, rel=5 * math.sqrt(2 / noise.numel()))


# -------------------------------------------------------------------------------------------------------- sampling


@pytest.mark.parametrize(
    ("timesteps", "steps", "expected"), [(5, 5, [4, 3, 2, 1, 0]), (9, 3, [8, 4, 0]), (9, 2, [8, 0]), (9, 1, [8])]
)
def test_visited(timesteps: int, steps: int, expected: list[int]) -> None:
    """Evenly spaced, from the noisiest level down to the cleanest."""
    assert visited(timesteps, steps) == expected


@pytest.mark.parametrize("steps", [1, 2, 25, 999, 1000])
def test_no_level_is_visited_twice(steps: int) -> None:
    """As many levels as steps, each lower than the one before."""
    times = visited(1000, steps)
    assert len(times) == steps
    assert all(a > b for a, b in itertools.pairwise(times))


@BOTH
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 10, 50])
def test_gaussian_data(name: ScheduleName, eta: float, steps: int) -> None:
    """With the best predictor of N(m, s²) each step is linear: mean and deviation of the samples are known exactly.

    z = x − √ᾱ m becomes (√ᾱ' √ᾱ s² + √(1 − ᾱ' − σ²) √(1 − ᾱ)) / v · z + σ ε, with σ from eq. 16; it starts at
    N(−√ᾱ_T m, 1). Five standard errors of N numbers: 5 d/√N for the mean, 5 d/√(2N) for the deviation.
    """
    alpha_bars = ScheduleSpec(name).alpha_bars()
    levels = [*alpha_bars[visited(1000, steps)].tolist(), 1.0]
    mean, variance = -math.sqrt(levels[0]) * MEAN, 1.0
    for now, after in itertools.pairwise(levels):
        sigma2 = eta**2 * (1 - after) / (1 - now) * (1 - now / after)
        factor = math.sqrt(after * now) * DEVIATION**2 + math.sqrt((1 - after - sigma2) * (1 - now))
        factor /= now * DEVIATION**2 + 1 - now
        mean, variance = factor * mean, factor**2 * variance + sigma2
    x = denoise(optimal(alpha_bars), alpha_bars, draw(2000), steps=steps, eta=eta, generator=rng(1))
    deviation, n = math.sqrt(variance), x.numel()
    assert float(x.mean()) == pytest.approx(MEAN + mean, abs=5 * deviation / math.sqrt(n) + 1e-12)
    assert float(x.std()) == pytest.approx(deviation, rel=5 / math.sqrt(2 * n))


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_many_steps_give_the_data_back(eta: float) -> None:
    """With all 1000 levels the samples are N(m, s²) up to a few per cent; with 10 they are too narrow.

    A last step to the posterior's mean loses the variance that the first level's noise hides: (1 − ᾱ_1) / s² = 0.4 %.
    Five standard errors of a deviation from 200·48 numbers are 3.6 %.
    """
    alpha_bars = ScheduleSpec().alpha_bars()
    deviations = [
        float(denoise(optimal(alpha_bars), alpha_bars, draw(200), steps=steps, eta=eta, generator=rng(1)).std())
        for steps in (10, 1000)
    ]
    assert deviations[0] < 0.9 * DEVIATION
    assert deviations[1] == pytest.approx(DEVIATION, rel=0.04)


def test_ancestral_step_is_the_posterior() -> None:
    """With η = 1 a step draws from q(x_{t−1} | x_t, x_0) (arXiv 2006.11239, eq. 6 and 7) at the x_0 it predicts."""
    spec, t = ScheduleSpec("linear", 100), 40
    beta, now, after = float(spec.betas()[t]), *spec.alpha_bars()[[t, t - 1]].tolist()
    clean, noise = draw(4).tanh(), draw(4, seed=1)
    x = math.sqrt(now) * clean + math.sqrt(1 - now) * noise
    mean, sigma = ddim_step(x, noise, now, after, 1.0)
    expected = math.sqrt(after) * beta / (1 - now) * clean + math.sqrt(1 - beta) * (1 - after) / (1 - now) * x
    torch.testing.assert_close(mean, expected)
    assert sigma**2 == pytest.approx((1 - after) / (1 - now) * beta)


def test_perfect_prediction_is_followed() -> None:
    """Without new noise, a step with the true noise lands on the same image's x at the next level; the last on x_0."""
    clean, noise = draw(4).tanh(), draw(4, seed=1)
    x = 0.6 * clean + 0.8 * noise
    for after, expected in ((0.64, 0.8 * clean + 0.6 * noise), (1.0, clean)):
        found, sigma = ddim_step(x, noise, 0.36, after, 0.0)
        torch.testing.assert_close(found, expected)
        assert sigma == 0


def test_images_stay_in_range() -> None:
    """Whatever a network says, what comes out is an image: the prediction of x_0 is clipped to [−1, 1]."""
    alpha_bars = ScheduleSpec().alpha_bars()
    x = denoise(lambda x, t: 100 * x + t.sum(), alpha_bars, draw(3), steps=7, eta=0.0, generator=rng())
    assert x.abs().max() <= 1


# --------------------------------------------------------------------------------------------------------- sampler


def unet(resolution: int = 8, *, timesteps: int = 1000) -> DenoisingUNet:
    """A U-Net that predicts something."""
    network = seeded(
        lambda: DenoisingUNet(DenoisingUNetSpec(resolution, schedule=ScheduleSpec(steps=timesteps))), rng()
    )
    torch.nn.init.normal_(network.to_rgb.weight, std=0.1, generator=rng(1))
    return network


@pytest.mark.parametrize("eta", [0.0, 0.7])
def test_sampler(tmp_path: Path, eta: float) -> None:
    """One seed one set of images, also after saving and loading; steps, η and schedule come back."""
    sampler = DiffusionSampler(unet(timesteps=40), steps=3, eta=eta)
    images = sampler.sample(40, rng())  # two batches
    assert images.shape == (40, 3, 8, 8)
    assert torch.equal(sampler.sample(40, rng()), images)
    assert not torch.equal(sampler.sample(40, rng(1)), images)
    save_sampler(sampler, tmp_path / "sampler.safetensors")
    loaded = load_sampler(tmp_path / "sampler.safetensors")
    assert isinstance(loaded, DiffusionSampler)
    assert (loaded.steps, loaded.eta, loaded.network.spec) == (3, eta, sampler.network.spec)
    assert torch.equal(loaded.sample(40, rng()), images)


def test_sampler_of_fewer_levels() -> None:
    """A network of fewer noise levels than the sampling steps that are asked for visits each once."""
    assert sampler_of(unet(timesteps=7), DiffusionConfig(sampling_steps=25)).steps == 7
    assert sampler_of(unet(timesteps=70), DiffusionConfig(sampling_steps=25, eta=0.5)).steps == 25


# ---------------------------------------------------------------------------------------------------- source model


def source_model(network: DenoisingUNet) -> SourceModel:
    """A source model that holds a U-Net."""
    import msgspec

    tensors = {f"unet.{name}": tensor for name, tensor in network.state_dict().items()}
    return SourceModel(
        "diffusion-x", tensors, {"id": "diffusion-x", "unet": msgspec.json.encode(network.spec).decode()}
    )


def test_source_model_comes_back() -> None:
    """Weights, architecture and schedule are those of the model; its sampler draws what the network draws."""
    network = unet(timesteps=40)
    model = source_model(network)
    loaded = source_unet(model, 8)
    assert loaded.spec == network.spec
    assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in network.state_dict().items())
    expected = sampler_of(network, DiffusionConfig()).sample(3, rng())
    assert torch.equal(source_sampler(model, 8).sample(3, rng()), expected)


def test_source_model_of_another_resolution() -> None:
    """Is refused with both sides."""
    with pytest.raises(GraftbenchError, match=r"is of 8 px \(unet\); the task needs 16"):
        source_unet(source_model(unet()), 16)


def test_source_model_of_another_kind() -> None:
    """A model without a U-Net says what it holds."""
    with pytest.raises(GraftbenchError, match="does not describe a network 'unet'; it describes generator"):
        source_unet(SourceModel("gan-x", {}, {"id": "gan-x", "generator": "{}"}), 8)


# ---------------------------------------------------------------------------------------------------------- config


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"lr": 0.0}, "lr must be positive and finite; found 0"),
        ({"lr": math.inf}, "lr must be positive and finite; found inf"),
        ({"timesteps": 0}, "timesteps must be at least 1"),
        ({"sampling_steps": 0}, r"sampling_steps must be at least 1; found 0"),
        ({"sampling_steps": 1001}, r"sampling_steps must be at most timesteps \(1000\); found 1001"),
        ({"eta": -0.1}, r"eta must be in \[0, 1\]; found -0.1"),
        ({"eta": 1.1}, r"eta must be in \[0, 1\]; found 1.1"),
        ({"channels": 8}, "channels must be a multiple of 16; found 8"),
        ({"schedule": "quadratic"}, "schedule"),
        ({"batch_size": 1}, "batch_size must be at least 2"),
    ],
)
def test_bad_parameters(parameters: dict[str, object], message: str) -> None:
    """Values that cannot work are refused when the suite is read."""
    with pytest.raises(GraftbenchError, match=message):
        config_of(DiffusionConfig, parameters, "[parameters.ddpm]")
