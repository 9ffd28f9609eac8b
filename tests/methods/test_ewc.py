"""EWC draws the generator back to the source, most where the source discriminator would mind most."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F

from graftbench.errors import GraftbenchError
from graftbench.plugins import registry
from graftbench.plugins.config import config_of
from graftbench.training.adversarial import source_networks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

ewc = importlib.import_module("graftbench.methods.ewc")


def test_penalty_by_hand() -> None:
    """Weights (1, 2) and 3 moved to (2, 2) and 1, stiffness (5, 7) and 0.5: 5·1² + 7·0² + 0.5·2² = 7."""
    anchors = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor(3.0)}
    weights = {"a": torch.tensor([2.0, 2.0]), "b": torch.tensor(1.0)}
    stiffness = {"a": torch.tensor([5.0, 7.0]), "b": torch.tensor(0.5)}
    assert ewc.elastic_penalty(weights, anchors, stiffness).item() == 7
    assert ewc.elastic_penalty(anchors, anchors, stiffness).item() == 0


def test_stiffness_has_no_unit() -> None:
    """Divided by the weights' size it costs 1 to leave for 0 or for twice the weights; a factor of F drops out."""
    rng = torch.Generator().manual_seed(0)
    anchors = {"a": torch.randn(3, 4, generator=rng), "b": torch.randn(5, generator=rng)}
    fisher = {name: torch.rand(tensor.shape, generator=rng) for name, tensor in anchors.items()}
    stiffness = ewc.per_size(fisher, anchors)
    for factor in (0.0, 2.0):
        moved = {name: factor * tensor for name, tensor in anchors.items()}
        torch.testing.assert_close(ewc.elastic_penalty(moved, anchors, stiffness), torch.tensor(1.0))
    larger = ewc.per_size({name: 1e6 * tensor for name, tensor in fisher.items()}, anchors)
    torch.testing.assert_close(larger, stiffness)


def test_fisher_of_the_generator(world: Callable[..., Any]) -> None:
    """It is the mean of squared gradients of −log sigmoid(D(G(z))), one sample at a time, for every parameter.

    A sum of 2 squares in float32, the forward pass once batched and once not: 1e-3 of the largest entry of a tensor.
    """
    source = world(32).task(registry.methods()["ewc"]).source_model
    generator, discriminator = (network.eval() for network in source_networks(source, 32))
    z = torch.randn(2, 128, generator=torch.Generator().manual_seed(0))
    found = ewc.generator_fisher(generator, discriminator, z)
    names, parameters = zip(*generator.named_parameters(), strict=True)
    losses = [-F.logsigmoid(discriminator(generator(sample[None]))).sum() for sample in z]
    gradients = [torch.autograd.grad(loss, parameters) for loss in losses]
    assert tuple(found) == names
    for name, *squares in zip(names, *gradients, strict=True):
        expected = torch.stack(squares).square().mean(dim=0)
        torch.testing.assert_close(found[name], expected, rtol=1e-2, atol=1e-3 * float(expected.max()))
        assert "norm" not in name or found[name].any()  # batch norm's γ and β are held too


def change(fit: Any) -> float:
    """Norm of the change of the generator's parameters since the source model."""
    source, _ = source_networks(fit.task.source_model, 32)
    before: Mapping[str, Tensor] = dict(source.named_parameters())
    after = fit.sampler.network.named_parameters()
    return float(torch.stack([(value.detach() - before[name].detach()).norm() for name, value in after]).norm())


def test_without_strength_it_is_fine_tuning(world: Callable[..., Any]) -> None:
    """λ = 0 gives the fine-tuned generator to the bit."""
    tuned = world(32).fit("finetune").sampler.state()[0]
    loose = world(32).fit("ewc", strength=0.0).sampler.state()[0]
    assert tuned.keys() == loose.keys()
    assert all(torch.equal(tensor, tuned[name]) for name, tensor in loose.items())


@pytest.mark.slow
def test_a_stiff_spring_holds(world: Callable[..., Any]) -> None:
    """The stronger the penalty, the less the generator's weights move in the same steps."""
    moved = [change(world(32).fit("ewc", images=80, strength=strength)) for strength in (0.0, 1e4, 1e8)]
    assert moved[0] > moved[1] > moved[2] > 0


def test_the_first_step_costs_nothing(fitted: Callable[..., Any]) -> None:
    """The penalty begins with the second step: at the source weights it is 0."""
    first, *later = (losses for _, _, losses in fitted("ewc").task.log.curve)
    assert "elastic" not in first
    assert all(losses["elastic"] > 0 for losses in later)


@pytest.mark.parametrize("parameters", [{"strength": -1.0}, {"strength": float("inf")}, {"fisher_samples": 0}])
def test_bad_parameters(parameters: dict[str, float]) -> None:
    """Values that cannot work are refused when the suite is read."""
    with pytest.raises(GraftbenchError, match="must be at least"):
        config_of(registry.methods()["ewc"].Config, parameters, "[parameters.ewc]")
