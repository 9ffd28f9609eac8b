"""MineGAN: the source at the start, a generator that rests while it is mined, and one optimiser throughout."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest
import torch

from graftbench.errors import GraftbenchError
from graftbench.plugins import registry
from graftbench.plugins.config import config_of
from graftbench.training.adversarial import Adversary, source_sampler
from graftbench.training.samplers import to_uint8

if TYPE_CHECKING:
    from collections.abc import Callable

minegan = importlib.import_module("graftbench.methods.minegan")


def moved(fit: Any, network: str) -> set[str]:
    """Names of the tensors of a network that changed in a fit, buffers included."""
    log = fit.task.log
    state = log.networks[network].state_dict()
    return {key for key, tensor in state.items() if not torch.equal(tensor, log.before[f"{network}.{key}"])}


def test_before_the_first_step_it_is_the_source(world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that do nothing leave the source model: the same images, pixel for pixel."""
    monkeypatch.setattr(Adversary, "__call__", lambda *_: False)
    fit = world(32).fit("minegan")
    source = source_sampler(fit.task.source_model, 32)
    draws = [sampler.sample(20, torch.Generator().manual_seed(0)) for sampler in (fit.sampler, source)]
    assert torch.equal(*draws)


def test_the_generator_rests_while_it_is_mined(world: Callable[..., Any]) -> None:
    """With the whole budget for mining the generator keeps every bit, and is counted as frozen."""
    fit = world(32).fit("minegan", mining_share=1.0)
    log = fit.task.log
    assert moved(fit, "generator") == set()
    assert moved(fit, "miner") == {"expand.weight", "expand.bias", "merge.weight", "merge.bias"}
    assert "head.bias" in moved(fit, "discriminator")
    frozen = sum(p.numel() for p in log.networks["generator"].parameters())
    assert log.parameters_trained == log.parameters_total - frozen


@pytest.mark.parametrize(("share", "steps"), [(0.0, 3), (0.25, 2), (0.4, 2), (0.5, 1)])
def test_stages(world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, share: float, steps: int) -> None:
    """Of three steps (4, 4, 2 of 10 images) those that begin after the share has been spent train the generator, too.

    The miner's Adam goes on from one stage to the next.
    """
    made: list[Adversary] = []

    def recorded(*given: Any) -> Adversary:
        made.append(Adversary(*given))
        return made[-1]

    monkeypatch.setattr(minegan, "Adversary", recorded)
    fit = world(32).fit("minegan", mining_share=share)
    (adversary,) = made
    miner, generator = (fit.task.log.networks[name] for name in ("miner", "generator"))
    assert float(adversary.adam_g.state[miner.merge.weight]["step"]) == 3
    assert float(adversary.adam_g.state[generator.to_rgb.weight]["step"]) == steps
    assert fit.task.log.parameters_trained == fit.task.log.parameters_total


@pytest.mark.slow
def test_sampler_mines(world: Callable[..., Any]) -> None:
    """What is sampled is generator(miner(z)): without the miner the images are others."""
    sampler = world(32).fit("minegan", precision="float32", images=40, lr_generator=1e-2).sampler
    z = torch.randn(5, sampler.network.spec.latent, generator=torch.Generator().manual_seed(0))
    found = sampler.sample(5, torch.Generator().manual_seed(0))
    with torch.inference_mode():
        mined, plain = sampler.network.generator(sampler.network.mapping(z)), sampler.network.generator(z)
    assert torch.equal(found, to_uint8(mined))
    assert not torch.equal(found, to_uint8(plain))


@pytest.mark.slow
def test_older_samplers_are_read(world: Callable[..., Any]) -> None:
    """A sampler that was saved when the miner's weights were named `miner.…` gives the same images."""
    sampler = world(32).fit("minegan", precision="float32", images=40).sampler
    tensors, metadata = sampler.state()
    older = {name.replace("mapping.", "miner."): tensor for name, tensor in tensors.items()}
    assert older.keys() != tensors.keys()
    loaded = type(sampler).from_state(older, metadata)
    z = [each.sample(5, torch.Generator().manual_seed(0)) for each in (loaded, sampler)]
    assert torch.equal(*z)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_bad_share(share: float) -> None:
    """A share is a share."""
    with pytest.raises(GraftbenchError, match=r"mining_share must be in \[0, 1\]"):
        config_of(registry.methods()["minegan"].Config, {"mining_share": share}, "[parameters.minegan]")
