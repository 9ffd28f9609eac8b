"""DoRA: what is trained turns a layer by a low-rank update and scales each output; it ends up merged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from graftbench.errors import GraftbenchError
from graftbench.nn.generator import Generator
from graftbench.plugins import registry
from graftbench.plugins.config import config_of
from graftbench.training.adversarial import source_networks

if TYPE_CHECKING:
    from collections.abc import Callable

CLS = registry.methods()["dora"]


def states(fit: Any) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """State of the source generator, and of the merged one, in float64."""
    source = source_networks(fit.task.source_model, 32)[0].state_dict()
    tuned = fit.sampler.network.state_dict()
    return {k: v.double() for k, v in source.items()}, {k: v.double() for k, v in tuned.items()}


@pytest.mark.parametrize("rank", [1, 4])
def test_weights_are_length_times_direction(world: Callable[..., Any], rank: int) -> None:
    """Each layer computes with m (W + (α/r) up·down) / ‖…‖, W the source's, m of another length than W by now.

    Recomputed in float64; float32's rounding of sums of up to 1,152 products is below 1e-5 of an entry's scale.
    """
    fit = world(32).fit("dora", rank=rank)
    source, _ = states(fit)
    network = fit.task.log.networks["generator"]
    for name, weight in source.items():
        if weight.ndim < 2:
            continue
        layer = network.get_submodule(name.removesuffix(".weight"))
        update, length = layer.parametrizations.weight
        ranked = 4 / update.up.shape[1] * update.up.detach().double() @ update.down.detach().double()
        assert update.up.shape[1] == min(rank, 3) if name == "to_rgb.weight" else rank
        direction = weight.flatten(1) + ranked
        expected = length.magnitude.detach().double()[:, None] * direction / direction.norm(dim=1, keepdim=True)
        torch.testing.assert_close(layer.weight.detach().double().flatten(1), expected, rtol=1e-4, atol=1e-6)
        assert not torch.equal(length.magnitude.detach().double(), weight.flatten(1).norm(dim=1))


def test_lengths_of_the_outputs_are_what_was_trained(world: Callable[..., Any]) -> None:
    """The rows of the merged weights have the averaged lengths, and those are no longer the source's."""
    fit = world(32).fit("dora")
    source, tuned = states(fit)
    moved = [
        not torch.allclose(tuned[name].flatten(1).norm(dim=1), weight.flatten(1).norm(dim=1), rtol=1e-6)
        for name, weight in source.items()
        if weight.ndim > 1
    ]
    assert all(moved)


def test_nothing_else_of_the_generator_moves(world: Callable[..., Any]) -> None:
    """Biases and batch norms, statistics included, are the source model's to the bit."""
    source, tuned = states(world(32).fit("dora"))
    held = [name for name, weight in source.items() if weight.ndim < 2]
    assert any("running_mean" in name for name in held)
    assert all(torch.equal(tuned[name], source[name]) for name in held)


def test_the_record_counts_what_is_trained(world: Callable[..., Any]) -> None:
    """What LoRA trains at the same rank, and one number more for each output of a layer."""
    fit, lora = world(32).fit("dora", rank=2), world(32).fit("lora", rank=2)
    outputs = sum(len(p) for p in source_networks(fit.task.source_model, 32)[0].parameters() if p.ndim > 1)
    assert fit.task.log.parameters_trained == lora.task.log.parameters_trained + outputs


def test_it_ends_in_a_plain_generator(world: Callable[..., Any]) -> None:
    """The sampler knows nothing of updates: its names are the source generator's."""
    fit = world(32).fit("dora")
    assert type(fit.sampler.network) is Generator
    assert fit.sampler.network.state_dict().keys() == source_networks(fit.task.source_model, 32)[0].state_dict().keys()


@pytest.mark.parametrize("parameters", [{"rank": 0}, {"alpha": 0.0}, {"alpha": float("inf")}, {"norms": True}])
def test_bad_settings(parameters: dict[str, Any]) -> None:
    """They fail when a run is planned; LoRA's `norms` is no setting of this method."""
    with pytest.raises(GraftbenchError, match=r"(rank must be at least 1|alpha must be positive|norms)"):
        config_of(CLS.Config, parameters, "[parameters.dora]")
