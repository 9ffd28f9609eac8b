"""RICK holds the filters that matter, prunes those that do not, and warms the discriminator up first."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F

from graftbench.errors import GraftbenchError
from graftbench.nn.sieve import Sieve
from graftbench.plugins import registry
from graftbench.plugins.config import config_of
from graftbench.training.adversarial import source_networks

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

rick = importlib.import_module("graftbench.methods.rick")


def sieves_of(network: nn.Module) -> list[Sieve]:
    """The sieves of a network, in order."""
    return [part for part in network.modules() if isinstance(part, Sieve)]


def test_choices_by_hand() -> None:
    """The largest two of four; the least important of two layers beside each layer's mean.

    Layers (1, 3) and (10, 90, 200) have means 2 and 100: relative 0.5, 1.5 and 0.1, 0.9, 2.
    """
    assert rick.largest(torch.tensor([0.1, 4.0, 2.0, 3.0]), 2).tolist() == [False, True, False, True]
    assert not rick.largest(torch.tensor([0.1, 4.0]), 0).any()
    importance = {"a": torch.tensor([1.0, 3.0]), "b": torch.tensor([10.0, 90.0, 200.0])}
    one = rick.least_important(importance, 0.01)
    assert [one["a"].tolist(), one["b"].tolist()] == [[False, False], [True, False, False]]
    two = rick.least_important(importance, 0.4)
    assert [two["a"].tolist(), two["b"].tolist()] == [[True, False], [True, False, False]]
    assert not any(mark.any() for mark in rick.least_important(importance, 0.0).values())
    rick.least_important({"a": torch.zeros(3)}, 0.5)  # nothing matters: no division by 0


def filters_of(world: Callable[..., Any], **settings: Any) -> Any:
    """The filters of fresh source networks."""
    task = world(32).task(registry.methods()["rick"])
    return rick._Filters(task, rick.Config(**settings), *source_networks(task.source_model, 32))


def test_importance_is_the_information_of_filters(world: Callable[..., Any]) -> None:
    """Per filter it is the mean over weights of squared gradients, one sample at a time.

    Two samples in float32, once batched and once not: 1e-3 of a layer's largest.
    """
    filters = filters_of(world, fisher_samples=2)
    generator, discriminator = (network.eval() for network in filters._networks())
    state = filters._task.generator.get_state()
    found = filters._importance()
    filters._task.generator.set_state(state)
    z = torch.randn(2, 128, generator=filters._task.generator)
    for network, sign, importance in zip((generator, discriminator), (-1, 1), found, strict=True):
        weights = [rick.weight_of(network, layer) for layer in importance]
        losses = [F.softplus(sign * discriminator(generator(x[None]))).sum() for x in z]
        gradients = [torch.autograd.grad(loss, weights, retain_graph=True) for loss in losses]
        for layer, *squares in zip(importance, *gradients, strict=True):
            expected = torch.stack(squares).square().mean(dim=0).flatten(1).mean(dim=1)
            torch.testing.assert_close(importance[layer], expected, rtol=1e-2, atol=1e-3 * float(expected.max()))


def test_each_choice_prunes_on_top(world: Callable[..., Any]) -> None:
    """Half of each layer is held; what was pruned stays 0 in the next choice, and is measured like all others."""
    filters = filters_of(world, fisher_samples=2, pruned=0.1)
    filters.choose()
    sieves = [sieve for both in filters._sieves() for sieve in both.values()]
    first = [sieve.pruned.clone() for sieve in sieves]
    counts = [sum(len(sieve.pruned) for sieve in both.values()) for both in filters._sieves()]
    assert sum(int(mark.sum()) for mark in first) == sum(round(0.1 * count) for count in counts)
    assert all(int(sieve.held.sum()) == round(len(sieve.held) / 2) for sieve in sieves)
    filters.choose()
    assert all((sieve.pruned | ~mark).all() for sieve, mark in zip(sieves, first, strict=True))
    for network, both in zip(filters._networks(), filters._sieves(), strict=True):
        for layer, sieve in both.items():
            weight = rick.weight_of(network, layer)
            assert not sieve(weight)[sieve.pruned].any()
            assert torch.equal(sieve(weight)[sieve.held & ~sieve.pruned], sieve.anchor[sieve.held & ~sieve.pruned])


def test_warm_up_moves_the_last_layer_alone(world: Callable[..., Any]) -> None:
    """Of both networks nothing but the discriminator's last layer has moved; the sampler is the source's generator."""
    fit = world(32).fit("rick", images=24, warm_up=0.99)
    source, judge = source_networks(fit.task.source_model, 32)
    networks = fit.task.log._networks
    for start, network in ((source, networks["generator"]), (judge, networks["discriminator"])):
        for name, before in start.named_parameters():
            plain = network.state_dict()
            sifted = name.replace("weight.original", "weight").replace(".parametrizations", "")
            sifted = sifted.replace(".weight", ".parametrizations.weight.original")
            after = plain[name] if name in plain else plain[sifted]
            assert torch.equal(after, before) != name.startswith("head."), name
    sampled = fit.sampler.network.state_dict()
    assert all(torch.equal(sampled[name], before) for name, before in source.state_dict().items())


def test_sampler_is_a_plain_generator(world: Callable[..., Any]) -> None:
    """Sieves are merged: names are the source's, pruned filters are 0, stem and last layer the source's own."""
    fit = world(32).fit("rick", images=24, fisher_samples=2, pruned=0.1)
    source, _ = source_networks(fit.task.source_model, 32)
    before, after = source.state_dict(), fit.sampler.network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], before[name]) for name in before if name.startswith(("stem", "to_rgb")))
    for i, sieve in enumerate(sieves_of(fit.task.log._networks["generator"])):
        weight = after[f"blocks.{i}.conv.weight"]
        assert (~weight.flatten(1).any(dim=1)).tolist() == sieve.pruned.tolist()


@pytest.mark.parametrize(
    "parameters",
    [
        *({"warm_up": 0.0}, {"warm_up": 1.0}, {"held": 1.0}, {"pruned": -0.1}, {"choices": 0}),
        {"fisher_samples": 0},
    ],
)
def test_bad_parameters(parameters: dict[str, float]) -> None:
    """Values that cannot work are refused when the suite is read."""
    with pytest.raises(GraftbenchError, match=r"must be (in [(\[]0, 1\)|at least 1)"):
        config_of(registry.methods()["rick"].Config, parameters, "[parameters.rick]")
