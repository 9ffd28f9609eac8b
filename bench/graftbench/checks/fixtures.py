"""Real images, source models of four steps, and fits on them: what the checks of a method look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import torch

from graftbench.checks.strict_task import HOOKS, OfferedTask, SnapshotLog, WatchedMeter
from graftbench.errors import GraftbenchError
from graftbench.images import prepared
from graftbench.plugins import registry
from graftbench.plugins.config import config_of
from graftbench.records.cell_spec import ComputeBudget
from graftbench.scoring.task_kinds import training_pairs
from graftbench.training import source
from graftbench.training.source import SourceModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graftbench.contracts import Method, Sampler, SourceModel, Task
    from graftbench.images.prepared import ImageSet

SMALL: dict[str, Any] = {
    "batch_size": 4,
    "steps": 2,
    "sampling_steps": 2,
    "discriminator_steps": 1,
    "lr_discriminator": 2e-3,
}
"""Settings that make a method cheap and everything move within three steps, for those methods that have them.

While all logits lie within the hinge loss's margins, the gradient of the discriminator's last bias is −1 + 1 = 0: ten
times the usual rate takes a logit out of them in time.
"""

IMAGES = 12
"""Target images of a fit, if nothing else is said."""

BUDGET = 10
"""Training images of a fit's compute budget, likewise: not a multiple of the batch."""


@dataclass(frozen=True)
class Fit:
    """Results of a fit."""

    method: Method
    task: Task
    meter: WatchedMeter
    sampler: Sampler


@dataclass(frozen=True)
class World:
    """Images and source models at one resolution, and fits on them.

    Attributes:
        source: The source domain.
        target: The target domain.
        folder: Where source models are kept and fits may write.
        tell: Told what a fit asks its budget.
        device: Where fits compute.
    """

    source: ImageSet
    target: ImageSet
    folder: Path
    tell: Callable[[str], None] = field(default=lambda _: None)
    device: torch.device = field(default=torch.device("cpu"))

    def pixels(self, images: ImageSet, n: int, split: str = "train") -> torch.Tensor:
        """Return the first n images of a split: uint8 n×3×R×R."""
        return torch.from_numpy(images.images(split)[:n]).to(self.device)

    def source_model(self, kind: str) -> SourceModel:
        """Train a source model of four steps."""
        recipe = source.recipe_for(SourceModelSpec(kimg=0.016, parameters={"batch_size": 4}), kind, self.source)
        file = self.folder / f"{recipe.id}.safetensors"
        if not file.is_file():
            source.train(recipe, self.source, file)
        return source.load(file, recipe.id)

    def task(self, cls: type[Method], *, seed: int = 0, n: int = IMAGES) -> Task:
        """Make a task with n target images for a method: with source model and held-out images if it may have them."""
        scratch = self.folder / "fits" / f"{cls.name}-{seed}-{n}"
        scratch.mkdir(parents=True, exist_ok=True)
        offer: dict[str, object] = {
            "resolution": self.target.resolution,
            "device": self.device,
            "generator": torch.Generator().manual_seed(seed),
            "log": SnapshotLog(),
            "images": self.pixels(self.target, n),
            "kind": cls.kinds[0],
            "folder": scratch,
            "n_generated": IMAGES,
        }
        if cls.kinds[0] != "generate":
            chosen = [int(i) for i in self.target.positions("train")[:n]]
            pairs = training_pairs(cls.kinds[0], self.source, self.target, chosen)
            offer["pairs"] = tuple(images.to(self.device) for images in pairs)
        offer |= dict.fromkeys(HOOKS, lambda *_, **__: None)
        if cls.needs_source_images:
            offer["source_images"] = self.pixels(self.source, 40)
        if cls.source_model:
            offer["source_model"] = self.source_model(cls.source_model)
        if cls.family == "reference":
            offer["held_out"] = self.pixels(self.target, 20, "validation").cpu()
        return cast("Task", OfferedTask(**offer))

    def meter(self, images: int = BUDGET) -> WatchedMeter:
        """Make a budget of so many images."""
        return WatchedMeter(ComputeBudget(kimg=images / 1000), self.tell)

    def fit(
        self, method: str | type[Method], *, seed: int = 0, n: int = IMAGES, images: int = BUDGET, **parameters: object
    ) -> Fit:
        """Fit a method, or the registered one of a name, within a budget of so many images, with cheap settings."""
        made = self.method(method, **parameters)
        task, meter = self.task(type(made), seed=seed, n=n), self.meter(images)
        return Fit(made, task, meter, made.fit(task, meter))

    def method(self, method: str | type[Method], **parameters: object) -> Method:
        """Make a method, or the registered one of a name, with cheap settings."""
        return with_small_settings(registry.methods()[method] if isinstance(method, str) else method, parameters)


def with_small_settings(cls: type[Method], parameters: dict[str, object]) -> Method:
    """Make a method with `SMALL` as far as it has such parameters and takes such values.

    Raises:
        GraftbenchError: The parameters are none of this method.
    """
    small = {key: value for key, value in SMALL.items() if key in cls.Config.__struct_fields__}
    try:
        return cls(config_of(cls.Config, {**cls.defaults, **small, **parameters}, cls.name))
    except GraftbenchError:
        return cls(config_of(cls.Config, {**cls.defaults, **parameters}, cls.name))


def worlds(cache_folder: Path, folder: Path, tell: Callable[[str], None] = lambda _: None) -> Callable[[int], World]:
    """Give the world at a resolution: Twemoji to OpenMoji at 32 px; at others Twemoji to itself, which is drawn faster.

    Args:
        cache_folder: For the domains' images.
        folder: For source models and whatever a fit writes.
        tell: Told what a fit asks its budget.
    """

    @cache
    def at(resolution: int) -> World:
        def load(name: str) -> ImageSet:
            return prepared.load(registry.make_domain(name), name, resolution, cache_folder)

        return World(load("twemoji"), load("openmoji" if resolution == 32 else "twemoji"), folder, tell)

    return at
