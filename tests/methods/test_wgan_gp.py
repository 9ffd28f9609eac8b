"""WGAN-GP: five critic steps to one of the generator, a critic without normalisation, a penalty between the images."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from graftbench.errors import GraftbenchError
from graftbench.nn.penalties import lipschitz_penalty
from graftbench.plugins import registry
from graftbench.plugins.config import config_of

if TYPE_CHECKING:
    from collections.abc import Callable

wgan_gp = importlib.import_module("graftbench.methods.wgan_gp")


def moved(fit: Any, network: str) -> bool:
    """Whether a fit changed any parameter of a network."""
    log = fit.task.log
    return any(
        not torch.equal(p, log.before[f"{network}.{key}"]) for key, p in log.networks[network].named_parameters()
    )


def test_defaults_are_algorithm_1() -> None:
    """λ, n_critic, α, β₁, β₂ of the paper's algorithm 1."""
    config: Any = registry.methods()["wgan-gp"].Config()
    assert (config.penalty_weight, config.discriminator_steps) == (10, 5)
    assert (config.lr_generator, config.lr_discriminator, config.beta1, config.beta2) == (1e-4, 1e-4, 0, 0.9)


@pytest.mark.parametrize(("images", "expected"), [(16, False), (20, True)])
def test_five_critic_steps_to_one(world: Callable[..., Any], images: int, expected: bool) -> None:  # noqa: FBT001 - a parameter
    """In batches of 4 the generator rests for 16 images and moves with the 20th; the critic moves from the first on."""
    fit = world(32).fit("wgan-gp", images=images, discriminator_steps=5)
    assert moved(fit, "discriminator")
    assert moved(fit, "generator") == expected


def test_critic_has_no_normalisation(fitted: Callable[..., Any]) -> None:
    """Neither of the batch, which would mix the images' gradients, nor spectral, which the penalty stands for."""
    critic = fitted("wgan-gp").task.log.networks["discriminator"]
    kinds = {type(module) for module in critic.modules() if not list(module.children())}
    assert kinds == {nn.Conv2d, nn.Linear, nn.LeakyReLU}


def test_the_critics_last_bias_rests(world: Callable[..., Any]) -> None:
    """A constant added to all outputs changes no loss: its gradient would be rounding error, which Adam blows up."""
    log = world(32).fit("wgan-gp", images=20, batch_size=3).task.log
    assert torch.equal(log.networks["discriminator"].head.bias, log.before["discriminator.head.bias"])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_penalty_of_a_step(world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    """Taken in float32 whatever the networks run in, at points between this step's images, and logged times λ."""
    values: list[float] = []

    def watched(critic: nn.Module, images: Tensor) -> Tensor:
        assert images.dtype == torch.float32
        assert critic(images).dtype == torch.float32
        assert images.shape == (4, 3, 32, 32)
        assert images.abs().max() <= 1
        value = lipschitz_penalty(critic, images)
        values.append(float(value.detach()))
        return value

    monkeypatch.setattr(wgan_gp, "lipschitz_penalty", watched)
    fit = world(32).fit("wgan-gp", images=4, precision=precision, penalty_weight=7.0)
    assert len(values) == 1
    assert fit.task.log.curve[0][2]["penalty"] == pytest.approx(7 * values[0], rel=1e-6)


def test_out_of_range() -> None:
    """A negative weight fails when a run is planned."""
    with pytest.raises(GraftbenchError, match="penalty_weight must be at least 0 and finite; found -1"):
        config_of(registry.methods()["wgan-gp"].Config, {"penalty_weight": -1.0}, "wgan-gp")
