"""Joint training: half and half at every size, the source's start, and a plain generator at the end."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest
import torch

from graftbench.errors import GraftbenchError
from graftbench.plugins import registry
from graftbench.plugins.config import config_of
from graftbench.training.adversarial import Adversary
from graftbench.training.samplers import GeneratorSampler, to_float

if TYPE_CHECKING:
    from collections.abc import Callable

joint = importlib.import_module("graftbench.methods.joint")


def mixture(world: Callable[..., Any], source_share: float = 0.5) -> Any:
    """Source images that are all black and target images that are all white would look like this one's."""
    task = world(32).task(registry.methods()["joint"])
    return joint.DomainBatches(task, source_share), task


@pytest.mark.parametrize(
    ("size", "share", "expected"),
    [(1, 0.5, 0), (2, 0.5, 1), (3, 0.5, 1), (32, 0.5, 16), (33, 0.5, 16), (100, 0.29, 29), (5, 0.0, 0), (4, 0.75, 3)],
)
def test_shares(world: Callable[..., Any], size: int, share: float, expected: int) -> None:
    """The source's share is rounded down, exactly; the target has the rest."""
    both, _ = mixture(world, share)
    (domains,) = both.domains(size)
    assert domains.dtype == torch.int64
    assert domains.tolist() == [joint.SOURCE] * expected + [joint.TARGET] * (size - expected)
    assert both.images(size).shape == (size, 3, 32, 32)


def test_images_are_of_the_domains_that_are_told(world: Callable[..., Any]) -> None:
    """Every image of the source's part is one of the source's, every other one of the target's."""
    both, task = mixture(world)
    images, (domains,) = both.images(9), both.domains(9)
    for image, domain in zip(images, domains, strict=True):
        there = to_float(task.source_images if domain == joint.SOURCE else task.images)
        assert (there == image).flatten(1).all(dim=1).any()


def test_before_the_first_step_it_is_the_source(world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that do nothing leave the source model's generator: it is folded to the bit."""
    monkeypatch.setattr(Adversary, "__call__", lambda *_: False)
    sampler = world(32).fit("joint").sampler
    source = world(32).task(registry.methods()["joint"]).source_model.tensors
    assert type(sampler) is GeneratorSampler
    assert all(torch.equal(tensor, source[f"generator.{key}"]) for key, tensor in sampler.state()[0].items())


@pytest.mark.slow
def test_both_domains_are_learnt(world: Callable[..., Any]) -> None:
    """Each domain's γ and β move, and apart; the sampler has the target's."""
    fit = world(32).fit("joint", precision="float32", ema_decay=0.0, images=24)
    norm = fit.task.log.networks["generator"].stem_norm
    start = fit.task.source_model.tensors["generator.stem_norm.weight"]
    source, target = norm.weight.detach()
    assert not torch.equal(source, start)
    assert not torch.equal(target, start)
    assert not torch.equal(source, target)
    torch.testing.assert_close(fit.sampler.network.stem_norm.weight, target)


def test_all_real_images_count(world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Source images spend the budget, too: of 10 images in batches of 4, 4 and 2, five are the target's."""
    counts = []
    of_source = joint.DomainBatches.of_source
    monkeypatch.setattr(
        joint.DomainBatches, "images", lambda self, n, make=joint.DomainBatches.images: log(self, n) or make(self, n)
    )

    def log(both: Any, n: int) -> None:
        counts.append((of_source(both, n), n))

    assert world(32).fit("joint").meter.images_seen == 10
    assert counts == [(2, 4), (2, 4), (1, 2)]


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_bad_share(share: float) -> None:
    """The target is never left out."""
    with pytest.raises(GraftbenchError, match=r"source_share must be in \[0, 1\)"):
        config_of(registry.methods()["joint"].Config, {"source_share": share}, "[parameters.joint]")
