"""Whole images are asked for at the anchors alone, and what terms look at is as it was afterwards."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest
import torch

from graftbench.plugins import registry
from graftbench.plugins.config import config_of

if TYPE_CHECKING:
    from collections.abc import Callable

relaxed = importlib.import_module("graftbench.methods._relaxed_realism")


def anchors(world: Callable[..., Any], n: int = 3, **parameters: Any) -> Any:
    """Anchors for n target images."""
    cls = registry.methods()["cdc"]
    return relaxed.Anchors(world(32).task(cls, n=n), config_of(cls.Config, parameters, "cdc"), 128)


def test_anchored_rows(world: Callable[..., Any]) -> None:
    """A quarter of a batch lies at an anchor but for noise of the stated size; the rest is N(0, I).

    Deviations of 8·128 and 24·128 numbers: their standard deviation is known to 1/√(2·1024) = 2 % and 1.3 %.
    """
    made = anchors(world)
    z = made.latents(32)
    (whole,) = made.conditions(32)
    assert whole.tolist() == [True] * 8 + [False] * 24
    distances = torch.cdist(z[whole], made.anchors)
    nearest = made.anchors[distances.argmin(dim=1)]
    assert (z[whole] - nearest).std().item() == pytest.approx(0.1, rel=0.1)
    assert z[~whole].std().item() == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize(
    ("share", "size", "count"), [(0.25, 1, 1), (0.25, 5, 2), (0.0, 5, 0), (1.0, 5, 5), (0.25, 4, 1)]
)
def test_count_of_anchored_rows(world: Callable[..., Any], share: float, size: int, count: int) -> None:
    """The share of a batch, rounded up."""
    made = anchors(world, n=1, anchor_share=share)
    assert int(made.conditions(size)[0].sum()) == made.count(size) == count
    assert made.latents(size).shape == (size, 128)


def test_looking_changes_nothing(players: Callable[..., Any]) -> None:
    """Stages and images of both generators are looked at in eval mode; no buffer moves, and training goes on.

    Gradients flow into the trained generator alone.
    """
    pair = players("cdc")
    pair.generator.train()
    z = torch.randn(3, 128, generator=torch.Generator().manual_seed(0))
    before = {name: tensor.clone() for name, tensor in pair.generator.state_dict().items()}
    kept, adapted = pair.both_stages(z)
    images = pair.both_images(z)
    assert all(torch.equal(a, b) for a, b in zip(kept, adapted, strict=True))
    assert torch.equal(*images)
    assert not any(stage.requires_grad for stage in (*kept, images[0]))
    assert all(stage.requires_grad for stage in (*adapted, images[1]))
    assert pair.generator.training
    assert not pair.source.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in pair.generator.state_dict().items())


def test_last_batch(world: Callable[..., Any]) -> None:
    """What was drawn last is remembered, and drawing is that of `Batches`."""
    task = world(32).task(registry.methods()["cdc"])
    real = relaxed.LastBatch(task)
    assert not len(real.images)
    for n in (3, 5):
        assert real.draw(n) is real.images
        assert real.images.shape == (n, 3, 32, 32)
