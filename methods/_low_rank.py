"""Parts that LoRA and DoRA share: low-rank updates of all weighted layers of a generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.nn.build import seeded
from graftbench.nn.lowrank import add_low_rank
from graftbench.training.foreign import weighted_layers

if TYPE_CHECKING:
    from torch import nn

    from graftbench.contracts import Task
    from graftbench.training.foreign import AnyGenerator

OUTPUTS = 3
"""Channels of an image: the last layer's update has no higher rank."""


def add_updates(generator: AnyGenerator, task: Task, *, rank: int, alpha: float) -> dict[str, nn.Module]:
    """Freeze a generator, and give each weighted layer an update from the task's randomness; return the layers by name.

    Args:
        generator: Changed in place.
        task: Its generator of randomness draws the first numbers.
        rank: Of every update but the last layer's, which is `OUTPUTS` at most.
        alpha: The updates are scaled by alpha/rank.
    """
    layers = weighted_layers(generator)
    ranks = dict.fromkeys(layers, rank) | {list(layers)[-1]: min(rank, OUTPUTS)}
    seeded(lambda: add_low_rank(generator, ranks, alpha), task.generator)
    return layers
