"""The encoder is the frozen backbone under a linear head."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest
import torch

from graftbench.errors import GraftbenchError
from graftbench.extractors.load import lite0_file
from graftbench.nn.build import seeded, train_unfrozen
from graftbench.nn.lite0 import Lite0Blocks
from graftbench.plugins import registry
from graftbench.plugins.config import config_of

if TYPE_CHECKING:
    from collections.abc import Callable

frozen = importlib.import_module("graftbench.methods.frozen_encoder_vae")


def images(n: int = 6, resolution: int = 32) -> torch.Tensor:
    """Noise in [−1, 1]."""
    return torch.rand(n, 3, resolution, resolution, generator=torch.Generator().manual_seed(0)) * 2 - 1


def encoder(**parameters: Any) -> Any:
    """An encoder in training mode where it trains."""
    network = seeded(
        lambda: frozen.FrozenEncoder(Lite0Blocks(lite0_file()), frozen.Config(**parameters)),
        torch.Generator().manual_seed(0),
    )
    train_unfrozen(network)
    return network


def test_channels_are_the_backbones() -> None:
    """The table of channels is what the backbone gives."""
    assert tuple(m.shape[1] for m in Lite0Blocks(lite0_file())(images(1))) == frozen.CHANNELS


@pytest.mark.parametrize("resolution", [8, 32, 64])
@pytest.mark.parametrize("parameters", [{}, {"layers": (2,), "grid": 2, "latent": 7}])
def test_shapes(resolution: int, parameters: dict[str, Any]) -> None:
    """Mean and log-variance per latent dimension at any resolution, from a head that does not grow with it."""
    network = encoder(**parameters)
    latent = parameters.get("latent", 128)
    mean, log_variance = network(images(3, resolution))
    assert mean.shape == log_variance.shape == (3, latent)
    assert network.head.in_features == (24 * 4 if parameters else 112 * 16)


def test_it_is_linear_in_standardised_features() -> None:
    """Mean and log-variance are W f + b with f the pooled maps, each channel standardised over batch and grid.

    Standardised by hand (population variance, ε of 1e-5): 1e-4, float32 sums over 1,792 numbers.
    """
    network = encoder(layers=(1, 3), grid=4)
    x = images()
    maps = Lite0Blocks(lite0_file())(x)
    pooled = torch.cat([torch.nn.functional.avg_pool2d(maps[1], 4), maps[3]], dim=1)
    mean, variance = pooled.mean(dim=(0, 2, 3), keepdim=True), pooled.var(dim=(0, 2, 3), correction=0, keepdim=True)
    expected = network.head(((pooled - mean) / (variance + 1e-5).sqrt()).flatten(1))
    found = torch.cat(network(x), dim=1)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_gradients_reach_the_head_alone() -> None:
    """The backbone gets none, and stays in eval mode: its batch norm's statistics rest."""
    network = encoder()
    before = {name: tensor.clone() for name, tensor in network.backbone.state_dict().items()}
    mean, log_variance = network(images())
    (mean.sum() + log_variance.sum()).backward()
    assert {name for name, p in network.named_parameters() if p.grad is not None} == {"head.weight", "head.bias"}
    assert not any(module.training for module in network.backbone.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.backbone.state_dict().items())


def test_backbone_rests_in_a_fit(fitted: Callable[..., Any]) -> None:
    """What the log says is trained is the head and the decoder."""
    log = fitted("frozen-encoder-vae").task.log
    head = 112 * 16 * 256 + 256
    decoder = sum(parameter.numel() for parameter in fitted("frozen-encoder-vae").sampler.network.parameters())
    assert log.parameters_trained == head + decoder
    backbone = sum(parameter.numel() for parameter in Lite0Blocks(lite0_file()).parameters())
    assert log.parameters_total == head + decoder + backbone


@pytest.mark.slow
def test_training_lowers_the_bound(world: Callable[..., Any]) -> None:
    """Over 30 steps of 8 images the negative ELBO falls."""
    fit = world(32).fit("frozen-encoder-vae", images=240, batch_size=8, precision="float32", lr=3e-3)
    bounds = [losses["reconstruction"] + losses["kl"] for _, _, losses in fit.task.log.curve]
    assert bounds[-1] < bounds[0] - 100


def test_leaks() -> None:
    """Scores under the default extractor are marked."""
    assert registry.methods()["frozen-encoder-vae"]().leaks == "lite0"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"layers": []}, "stages 0 to 3"),
        ({"layers": [-1]}, "stages 0 to 3"),
        ({"grid": 0}, "grid must be at least 1"),
        ({"enlarge": 0}, "enlarge must be at least 1"),
        ({"beta": -1.0}, "must be at least 0"),
    ],
)
def test_bad_parameters(parameters: dict[str, Any], message: str) -> None:
    """Values that cannot work are refused when the suite is read."""
    with pytest.raises(GraftbenchError, match=message):
        config_of(frozen.Config, parameters, "[parameters.frozen-encoder-vae]")
