"""Real images, tiny source models, and a task that offers what the contract names and not one attribute more."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import pytest
import torch

from graftbench import imageset, registry, source
from graftbench.budget import Meter
from graftbench.contracts import FitLog, Method, ReferenceTask, Task
from graftbench.kinds import training_pairs
from graftbench.record import ComputeBudget
from graftbench.suite import SourceModelSpec, config_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graftbench.contracts import Sampler, SourceModel
    from graftbench.imageset import ImageSet

CONTRACT = {*Task.__annotations__, *Task.__abstractmethods__, "pairs"}
"""What every task offers, beside HOOKS."""

HOOKS = ("keep", "resume", "snapshot", "checkpoint")
"""What the loop calls for snapshots and checkpoints; here nothing comes of it."""

HELD_OUT = ReferenceTask.__abstractmethods__ - Task.__abstractmethods__
"""What the family `reference` is offered beside it."""

SMALL = {"batch_size": 4, "steps": 2, "sampling_steps": 2, "discriminator_steps": 1, "lr_discriminator": 2e-3}
"""Settings that make a method cheap and everything move within three steps, for those methods that have them.

While all logits lie within the hinge loss's margins, the gradient of the discriminator's last bias is −1 + 1 = 0: ten
times the usual rate takes a logit out of them in time.
"""


class OfferedTask:
    """Holds what it is given; a method that asks for anything else fails with an AssertionError, `hasattr` included."""

    def __init__(self, **offer: object) -> None:
        vars(self).update(offer)

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        raise AssertionError(f"the method asked its task for '{name}', which it is not offered")


class SnapshotLog(FitLog):
    """Keeps every network that takes part in a fit, and what it held when the log first heard of it.

    Attributes:
        networks: Name -> network.
        before: "network.tensor" -> copy of the tensor, buffers included.
    """

    def __init__(self) -> None:
        super().__init__()
        self.networks: dict[str, torch.nn.Module] = {}
        self.before: dict[str, torch.Tensor] = {}

    def watch(self, **networks: torch.nn.Module) -> None:
        """Remember, then count."""
        for name, network in networks.items():
            if name not in self.networks:
                self.networks[name] = network
                self.before |= {f"{name}.{key}": tensor.clone() for key, tensor in network.state_dict().items()}
        super().watch(**networks)


@dataclass(frozen=True)
class Fit:
    """What a fit left."""

    method: Method
    task: Task
    meter: Meter
    sampler: Sampler


@dataclass(frozen=True)
class World:
    """Images and source models at one resolution, and fits on them.

    Attributes:
        source: The source domain.
        target: The target domain.
        folder: Where source models are kept.
    """

    source: ImageSet
    target: ImageSet
    folder: Path

    def pixels(self, images: ImageSet, n: int, split: str = "train") -> torch.Tensor:
        """The first n images of a split: uint8 n×3×R×R."""
        return torch.from_numpy(images.images(split)[:n])

    def source_model(self, kind: str) -> SourceModel:
        """A source model of four steps."""
        recipe = source.recipe_for(SourceModelSpec(kimg=0.016, parameters={"batch_size": 4}), kind, self.source)
        file = self.folder / f"{recipe.id}.safetensors"
        if not file.is_file():
            source.train(recipe, self.source, file)
        return source.load(file, recipe.id)

    def task(self, cls: type[Method], *, seed: int = 0, n: int = 12) -> Task:
        """A task with n target images for a method: a source model if it declares one, held-out images if it may."""
        offer: dict[str, object] = {
            "resolution": self.target.resolution,
            "device": torch.device("cpu"),
            "generator": torch.Generator().manual_seed(seed),
            "log": SnapshotLog(),
            "images": self.pixels(self.target, n),
            "kind": cls.kinds[0],
        }
        if cls.kinds[0] != "generate":
            chosen = [int(i) for i in self.target.positions("train")[:n]]
            offer["pairs"] = training_pairs(cls.kinds[0], self.source, self.target, chosen)
        offer |= dict.fromkeys(HOOKS, lambda *_, **__: None)
        if cls.needs_source_images:
            offer["source_images"] = self.pixels(self.source, 40)
        if cls.source_model:
            offer["source_model"] = self.source_model(cls.source_model)
        if cls.family == "reference":
            offer["held_out"] = self.pixels(self.target, 20, "validation")
        return cast("Task", OfferedTask(**offer))

    def fit(self, name: str, *, seed: int = 0, n: int = 12, images: int = 10, **parameters: Any) -> Fit:
        """Fit a registered method within a budget of so many images, with cheap settings."""
        method = self.method(name, **parameters)
        task, meter = self.task(type(method), seed=seed, n=n), Meter(ComputeBudget(kimg=images / 1000))
        return Fit(method, task, meter, method.fit(task, meter))

    def method(self, name: str, **parameters: Any) -> Method:
        """A registered method with cheap settings."""
        cls = registry.methods()[name]
        small = {key: value for key, value in SMALL.items() if key in cls.Config.__struct_fields__}
        return cls(config_of(cls.Config, small | parameters, name))


@pytest.fixture(scope="session")
def world(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], World]:
    """The world at a resolution: Twemoji to OpenMoji at 32 px; at 64 px Twemoji to itself, which is drawn faster."""
    folder = tmp_path_factory.mktemp("source_models")

    @cache
    def at(resolution: int) -> World:
        def load(name: str) -> ImageSet:
            return imageset.load(registry.make_domain(name), name, resolution, shared_cache)

        return World(load("twemoji"), load("openmoji" if resolution == 32 else "twemoji"), folder)

    return at


@pytest.fixture(scope="session")
def fitted(world: Callable[[int], World]) -> Callable[..., Fit]:
    """`fitted(name, resolution, seed)`: a fit that several tests look at; it is made once."""

    @cache
    def fit(name: str, resolution: int = 32, seed: int = 0) -> Fit:
        return world(resolution).fit(name, seed=seed)

    return fit
