"""The path is straight; following a known velocity gives the distribution that the velocity belongs to."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import torch
from random_inputs import rng

from graftbench.contracts import SourceModel
from graftbench.errors import GraftbenchError
from graftbench.nn.build import seeded
from graftbench.nn.unet import UNetSpec, VelocityUNet
from graftbench.plugins.config import config_of
from graftbench.training.flow_matching import (
    FlowConfig,
    FlowSampler,
    between,
    draw_times,
    flow_sampler,
    follow,
    source_sampler,
    source_velocity,
)
from graftbench.training.samplers import load_sampler, save_sampler

if TYPE_CHECKING:
    from pathlib import Path

    from graftbench.training.flow_matching import Solver

MEAN, DEVIATION = 0.3, 0.5
"""Of the Gaussian that stands for the data where the answer is known."""

BOTH = pytest.mark.parametrize("solver", ["euler", "heun"])


def slope(t: float) -> float:
    """Slope in x of the best velocity for data N(m, s²): Cov(x_1 − x_0, x_t) / Var(x_t)."""
    return (t * DEVIATION**2 - (1 - t)) / (t**2 * DEVIATION**2 + (1 - t) ** 2)


def best(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """E[x_1 − x_0 | x_t] = m + slope(t) (x_t − t m)."""
    now = float(t[0])
    return MEAN + slope(now) * (x - now * MEAN)


def draw(n: int, seed: int = 0) -> torch.Tensor:
    """Float64 noise, n×3×4×4."""
    return torch.randn(n, 3, 4, 4, generator=rng(seed), dtype=torch.float64)


# ----------------------------------------------------------------------------------------------------- path and times


def test_between() -> None:
    """Three quarters of the noise and a quarter of the image at t = 1/4; each image at its own time."""
    noise, images = draw(3), draw(3, seed=1)
    expected = torch.stack([noise[0], 0.75 * noise[1] + 0.25 * images[1], images[2]])
    torch.testing.assert_close(between(noise, images, torch.tensor([0, 0.25, 1], dtype=torch.float64)), expected)


def test_loss_of_the_best_velocity() -> None:
    """On Gaussian data no velocity gets below Var(x_1 − x_0 | x_t) = s² / (t² s² + (1 − t)²), and `best` gets there.

    Five standard errors of the mean of N squares of a Gaussian: 5 √(2/N).
    """
    noise, images = draw(2000), MEAN + DEVIATION * draw(2000, seed=1)
    for t in (0.0, 0.3, 0.9, 1.0):
        times = torch.full((2000,), t, dtype=torch.float64)
        loss = (best(between(noise, images, times), times) - (images - noise)).square().mean()
        least = DEVIATION**2 / (t**2 * DEVIATION**2 + (1 - t) ** 2)
        assert float(loss) == pytest.approx(least, rel=5 * math.sqrt(2 / noise.numel()))


def test_uniform_times() -> None:
    """They fill [0, 1): mean 1/2, variance 1/12, to five standard errors of 20,000 draws."""
    t = draw_times(20_000, "uniform", rng()).double()
    assert t.min() >= 0
    assert t.max() < 1
    assert float(t.mean()) == pytest.approx(1 / 2, abs=5 * math.sqrt(1 / 12 / 20_000))
    assert float(t.var()) == pytest.approx(1 / 12, rel=5 * math.sqrt(0.8 / 20_000))  # kurtosis 1.8: 1.8 − 1


def test_logit_normal_times() -> None:
    """The logit of a time is N(0, 1): the quarters of the times lie at the logistic function of the normal's quartiles.

    Five standard errors of a share of 20,000: 5 √(0.25 · 0.75 / 20,000).
    """
    t = draw_times(20_000, "logit-normal", rng()).double()
    for share, quantile in ((0.25, -0.67449), (0.5, 0.0), (0.75, 0.67449)):
        below = float((t < 1 / (1 + math.exp(-quantile))).double().mean())
        assert below == pytest.approx(share, abs=5 * math.sqrt(0.25 * 0.75 / 20_000))


# ------------------------------------------------------------------------------------------------------------- solver


def factors(steps: int, solver: Solver) -> float:
    """What a deviation from the mean is multiplied by on the way: each step is linear."""
    factor, edges = 1.0, [i / steps for i in range(steps + 1)]
    for now, after in itertools.pairwise(edges):
        h, a = after - now, slope(now)
        mean = a if solver == "euler" else (a + slope(after) * (1 + h * a)) / 2
        factor *= 1 + h * mean
    return factor


@BOTH
@pytest.mark.parametrize("steps", [1, 3, 25])
def test_gaussian_data(solver: Solver, steps: int) -> None:
    """With the best velocity of N(m, s²) the solver leads x_0 to m + f x_0, f the product of its steps' factors."""
    x = draw(20)
    torch.testing.assert_close(follow(best, x, steps=steps, solver=solver), MEAN + factors(steps, solver) * x)


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2)])
def test_order_of_the_solvers(solver: Solver, order: int) -> None:
    """The exact flow multiplies by s. Twice the steps: half of Euler's error, a quarter of Heun's."""
    errors = [abs(factors(steps, solver) - DEVIATION) for steps in (200, 400)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.05)


@BOTH
def test_straight_paths_need_one_step(solver: Solver) -> None:
    """A velocity that does not change leads to its end at once, whatever the steps."""
    x, v = draw(2), draw(2, seed=1)
    for steps in (1, 7):
        torch.testing.assert_close(follow(lambda *_: v, x, steps=steps, solver=solver), x + v)


@pytest.mark.parametrize(("solver", "expected"), [("euler", [0.0, 0.5]), ("heun", [0.0, 0.5, 0.5, 1.0])])
def test_times_that_are_asked_for(solver: Solver, expected: list[float]) -> None:
    """Euler asks at the start of each step alone, Heun at both ends; the network sees no other time."""
    asked: list[float] = []

    def velocity(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        assert t.shape == (2,)
        asked.append(float(t[0]))
        return x

    follow(velocity, draw(2), steps=2, solver=solver)
    assert asked == expected


# ------------------------------------------------------------------------------------------------------------ sampler


def unet(resolution: int = 8) -> VelocityUNet:
    """A U-Net that predicts something."""
    network = seeded(lambda: VelocityUNet(UNetSpec(resolution)), rng())
    torch.nn.init.normal_(network.to_rgb.weight, std=0.1, generator=rng(1))
    return network


@BOTH
def test_sampler(tmp_path: Path, solver: Solver) -> None:
    """One seed one set of images, also after saving and loading; steps and solver come back."""
    sampler = FlowSampler(unet(), steps=3, solver=solver)
    images = sampler.sample(40, rng())  # two batches
    assert images.shape == (40, 3, 8, 8)
    assert torch.equal(sampler.sample(40, rng()), images)
    assert not torch.equal(sampler.sample(40, rng(1)), images)
    save_sampler(sampler, tmp_path / "sampler.safetensors")
    loaded = load_sampler(tmp_path / "sampler.safetensors")
    assert isinstance(loaded, FlowSampler)
    assert (loaded.steps, loaded.solver, loaded.network.spec) == (3, solver, sampler.network.spec)
    assert torch.equal(loaded.sample(40, rng()), images)


def test_fresh_network_draws_noise() -> None:
    """The layers begin at zero: the velocity is nothing, and samples are the noise that they started from."""
    network = VelocityUNet(UNetSpec(8))
    noise = torch.randn(3, 3, 8, 8, generator=rng())
    expected = noise.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    assert torch.equal(FlowSampler(network, steps=4, solver="heun").sample(3, rng()), expected)


# ------------------------------------------------------------------------------------------------------- source model


def source_model(network: VelocityUNet) -> SourceModel:
    """A source model that holds a velocity network."""
    tensors = {f"velocity.{name}": tensor for name, tensor in network.state_dict().items()}
    spec = msgspec.json.encode(network.spec).decode()
    return SourceModel("flow-x", tensors, {"id": "flow-x", "velocity": spec})


def test_source_model_comes_back() -> None:
    """Weights and architecture are those of the model; its sampler draws what the network draws."""
    network = unet()
    loaded = source_velocity(source_model(network), 8)
    assert loaded.spec == network.spec
    assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in network.state_dict().items())
    expected = flow_sampler(network, FlowConfig()).sample(3, rng())
    assert torch.equal(source_sampler(source_model(network), 8).sample(3, rng()), expected)


def test_source_model_of_another_kind() -> None:
    """A diffusion model's U-Net predicts noise: it is not taken for a velocity; nor is one of another side."""
    with pytest.raises(GraftbenchError, match="does not describe a network 'velocity'; it describes unet"):
        source_velocity(SourceModel("diffusion-x", {}, {"id": "diffusion-x", "unet": "{}"}), 8)
    with pytest.raises(GraftbenchError, match=r"is of 8 px \(velocity\); the task needs 16"):
        source_velocity(source_model(unet()), 16)


# ------------------------------------------------------------------------------------------------------------- config


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"lr": 0.0}, "lr must be positive and finite; found 0"),
        ({"sampling_steps": 0}, "sampling_steps must be at least 1; found 0"),
        ({"channels": 24}, "channels must be a multiple of 16; found 24"),
        ({"solver": "rk4"}, "solver"),
        ({"times": "cosine"}, "times"),
        ({"batch_size": 1}, "batch_size must be at least 2"),
        ({"eta": 1.0}, "eta"),
    ],
)
def test_bad_parameters(parameters: dict[str, Any], message: str) -> None:
    """Values that cannot work are refused when the suite is read."""
    with pytest.raises(GraftbenchError, match=message):
        config_of(FlowConfig, parameters, "[parameters.flow]")
