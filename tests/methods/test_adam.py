"""AdAM keeps the kernels that the adaptation minds, up to a rank-one factor, and frees the others."""

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
    from collections.abc import Callable

    from graftbench.contracts import FitLog

adam = importlib.import_module("graftbench.methods.adam")

MODULATED = ["stem", "blocks.0.conv", "blocks.1.conv", "blocks.2.conv"]


def test_most_important() -> None:
    """Half of four are the two largest; a share that rounds to none or all leaves one on the other side."""
    importance = torch.tensor([0.1, 4.0, 2.0, 3.0])
    assert adam.most_important(importance, 0.5).tolist() == [False, True, False, True]
    assert adam.most_important(importance, 0.01).tolist() == [False, True, False, False]
    assert adam.most_important(importance, 0.99).tolist() == [False, True, True, True]
    assert adam.most_important(torch.zeros(4), 0.5).sum() == 2


@pytest.mark.slow
def test_importance_is_the_information_of_v(world: Callable[..., Any]) -> None:
    """Per kernel of either network it is the mean of squared gradients of v_k, one sample at a time.

    Two samples in float32, once batched and once not: 1e-3 of a layer's largest.
    """
    task = world(32).task(registry.methods()["adam"])
    networks = adam._Modulated(task)
    config = adam.Config(fisher_samples=2)
    state = task.generator.get_state()
    found = networks.importance(task, config)
    task.generator.set_state(state)
    z = torch.randn(2, 128, generator=task.generator)
    signs = ((networks.of_generator, -1), (networks.of_discriminator, 1))
    for (modulations, sign), importance in zip(signs, found, strict=True):
        vs = [modulation.v for modulation in modulations.values()]
        losses = [F.softplus(sign * networks.discriminator(networks.generator(x[None]))).sum() for x in z]
        gradients = [torch.autograd.grad(loss, vs) for loss in losses]
        assert list(importance) == list(modulations)
        for layer, *squares in zip(modulations, *gradients, strict=True):
            expected = torch.stack(squares).square().mean(dim=0)
            torch.testing.assert_close(importance[layer], expected, rtol=1e-2, atol=1e-3 * float(expected.max()))


def networks_of(log: FitLog) -> dict[str, Any]:
    """The networks that took part, as training left them."""
    return log._networks


@pytest.mark.slow
def test_kernels_keep_their_promise(world: Callable[..., Any]) -> None:
    """Half of each layer's kernels are the source's times 1 + v u, to float32's precision; the others moved freely."""
    fit = world(32).fit("adam", images=24)
    starts = source_networks(fit.task.source_model, 32)
    networks = networks_of(fit.task.log)
    layers = (MODULATED, [f"blocks.{i}.0" for i in range(6)])
    for names, start, network in zip(layers, starts, ("generator", "discriminator"), strict=True):
        state, before = networks[network].state_dict(), start.state_dict()
        for name in names:
            weight, original = f"{name}.weight", f"{name}.parametrizations.weight.original"
            source = before[original] if original in before else before[weight]
            u, v, held = (state[f"{name}.parametrizations.weight.0.{part}"] for part in ("u", "v", "held"))
            modulated = networks[network].get_submodule(f"{name}.parametrizations.weight.0")(state[original])
            factor = 1 + torch.outer(10 * v, 10 * u).view_as(source)
            assert int(held.sum()) == round(len(held) / 2)
            torch.testing.assert_close(modulated[held], (source * factor)[held], rtol=1e-5, atol=1e-7)
            assert torch.equal(state[original][held], source[held])
            assert torch.equal(modulated[~held], state[original][~held])
            assert (modulated != source).flatten(1).any(dim=1).all()


@pytest.mark.slow
def test_sampler_is_a_plain_generator(fitted: Callable[..., Any]) -> None:
    """Modulations are merged: the sampler has the source's names and shapes, and differs from it in every layer."""
    fit = fitted("adam")
    source, _ = source_networks(fit.task.source_model, 32)
    before, after = source.state_dict(), fit.sampler.network.state_dict()
    assert before.keys() == after.keys()
    for layer in MODULATED:
        changed = (before[f"{layer}.weight"] != after[f"{layer}.weight"]).flatten(1).any(dim=1)
        assert changed.all()  # every kernel: by its modulation or freely


def test_probing_trains_modulations_alone(world: Callable[..., Any]) -> None:
    """While it probes, no weight of the source moves but the discriminator's last layer; the average rests."""
    fit = world(32).fit("adam", images=24, probing=0.99)
    source, judge = source_networks(fit.task.source_model, 32)
    networks = networks_of(fit.task.log)
    for start, network in ((source, networks["probed_generator"]), (judge, networks["probed_discriminator"])):
        for name, before in start.named_parameters():
            plain, modulated = network.state_dict(), name.replace(".weight", ".parametrizations.weight.original")
            after = plain[name] if name in plain else plain[modulated]
            assert torch.equal(after, before) != name.startswith("head."), name
    sampled = fit.sampler.network.state_dict()
    assert all(torch.equal(sampled[name], before) for name, before in source.state_dict().items() if "norm" in name)


@pytest.mark.parametrize(
    "parameters", [{"probing": 0.0}, {"probing": 1.0}, {"important": 0.0}, {"important": 1.5}, {"fisher_samples": 0}]
)
def test_bad_parameters(parameters: dict[str, float]) -> None:
    """Values that cannot work are refused when the suite is read."""
    with pytest.raises(GraftbenchError, match=r"must be (in \(0, 1\)|at least 1)"):
        config_of(registry.methods()["adam"].Config, parameters, "[parameters.adam]")
