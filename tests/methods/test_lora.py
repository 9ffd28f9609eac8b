"""LoRA: what is added to the source generator is of low rank, is all that is trained of it, and ends up merged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from graftbench.errors import GraftbenchError
from graftbench.nn.generator import Generator
from graftbench.plugins import registry
from graftbench.plugins.config import config_of
from graftbench.training.adversarial import source_networks

if TYPE_CHECKING:
    from collections.abc import Callable

Lora = registry.methods()["lora"]


def updates(fit: Any) -> dict[str, torch.Tensor]:
    """By layer: merged minus source weight, as a matrix in float64."""
    source = source_networks(fit.task.source_model, 32)[0].state_dict()
    tuned = fit.sampler.network.state_dict()
    layers = [name for name, weight in source.items() if weight.ndim > 1]
    return {name: (tuned[name].double() - source[name].double()).flatten(1) for name in layers}


@pytest.mark.parametrize("rank", [1, 4])
def test_the_update_is_of_low_rank(world: Callable[..., Any], rank: int) -> None:
    """Every layer's update has r singular values above rounding (3 at most for the last layer), and no more."""
    for name, update in updates(world(32).fit("lora", rank=rank)).items():
        values = torch.linalg.svdvals(update)
        most = min(rank, 3) if name == "to_rgb.weight" else rank
        # The merged weight was rounded to float32: entries below 1 carry errors of up to 6e-8 each, and the spectral
        # norm of their matrix is at most √(entries) times that.
        noise = 6e-8 * update.numel() ** 0.5
        assert (values[most:] <= noise).all(), name
        assert values[0] > 10 * noise, name


def test_nothing_else_of_the_generator_moves(world: Callable[..., Any]) -> None:
    """Biases and batch norms, statistics included, are the source model's to the bit."""
    fit = world(32).fit("lora")
    source = source_networks(fit.task.source_model, 32)[0].state_dict()
    tuned = fit.sampler.network.state_dict()
    held = [name for name, weight in source.items() if weight.ndim < 2]
    assert any("running_mean" in name for name in held)
    assert all(torch.equal(tuned[name], source[name]) for name in held)


def test_norms_move_if_asked(world: Callable[..., Any]) -> None:
    """Then their scales, shifts and statistics follow the target, and the record counts them."""
    fit = world(32).fit("lora", norms=True)
    source = source_networks(fit.task.source_model, 32)[0]
    norms = [name for name, part in source.named_modules() if isinstance(part, nn.BatchNorm2d)]
    for name in norms:
        before, after = source.get_submodule(name), fit.sampler.network.get_submodule(name)
        assert not any(torch.equal(tensor, after.state_dict()[key]) for key, tensor in before.state_dict().items())
    without = world(32).fit("lora").task.log.parameters_trained
    scales = sum(p.numel() for name in norms for p in source.get_submodule(name).parameters())
    assert fit.task.log.parameters_trained == without + scales


def test_the_record_counts_what_is_trained(world: Callable[..., Any]) -> None:
    """The discriminator, and r·(rows + columns) numbers a layer; the total counts source and update."""
    fit = world(32).fit("lora", rank=2)
    generator, discriminator = source_networks(fit.task.source_model, 32)
    matrices = [p.flatten(1).shape for p in generator.parameters() if p.ndim > 1]
    added = sum(2 * (rows + columns) for rows, columns in matrices)
    own = [sum(p.numel() for p in network.parameters()) for network in (generator, discriminator)]
    assert fit.task.log.parameters_trained == own[1] + added
    assert fit.task.log.parameters_total == sum(own) + added


def test_it_ends_in_a_plain_generator(world: Callable[..., Any]) -> None:
    """The sampler knows nothing of updates: same names, same numbers of parameters as the source generator."""
    fit = world(32).fit("lora")
    network = fit.sampler.network
    assert type(network) is Generator
    assert network.state_dict().keys() == source_networks(fit.task.source_model, 32)[0].state_dict().keys()
    assert not network.training


def test_a_rank_too_high_for_the_source_model(world: Callable[..., Any]) -> None:
    """The last block's convolution has 16 outputs; nothing is trained before that is said."""
    with pytest.raises(GraftbenchError, match=r"'blocks\.2\.conv' \(16×288\) has a rank of at most 16; found 17\.$"):
        world(32).fit("lora", rank=17)


@pytest.mark.parametrize("parameters", [{"rank": 0}, {"alpha": 0.0}, {"alpha": float("inf")}])
def test_bad_settings(parameters: dict[str, Any]) -> None:
    """They fail when a run is planned."""
    with pytest.raises(GraftbenchError, match=r"(rank must be at least 1|alpha must be positive)"):
        config_of(Lora.Config, parameters, "[parameters.lora]")
