"""The worlds in which methods are tested: real images, tiny source models, tasks that offer what the contract names."""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import torch

from graftbench.checks.fixtures import worlds
from graftbench.checks.method_subject import MethodSubject
from graftbench.nn.build import freeze
from graftbench.nn.patch import TwoLevelDiscriminator
from graftbench.plugins import registry
from graftbench.training.adversarial import source_networks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graftbench.checks.fixtures import Fit, World


@pytest.fixture(scope="session")
def world(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], World]:
    """The world at a resolution: Twemoji to OpenMoji at 32 px; at 64 px Twemoji to itself, which is drawn faster."""
    return worlds(shared_cache, tmp_path_factory.mktemp("source_models"))


@pytest.fixture(scope="session")
def subject(world: Callable[[int], World], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], MethodSubject]:
    """`subject(name)`: a registered method and its fits, for the checks of the contract."""
    folder = tmp_path_factory.mktemp("checks")

    @cache
    def of(name: str) -> MethodSubject:
        return MethodSubject(registry.methods()[name], world, folder)

    return of


@pytest.fixture(scope="session")
def fitted(subject: Callable[[str], MethodSubject]) -> Callable[..., Fit]:
    """`fitted(name, resolution, seed)`: a fit that several tests look at; it is made once."""

    def fit(name: str, resolution: int = 32, seed: int = 0) -> Fit:
        return subject(name).fitted(resolution, seed)

    return fit


@pytest.fixture
def players(world: Callable[[int], World]) -> Callable[..., Any]:
    """`players(name, disturbance=0.0)`: what a term of a method with relaxed realism looks at, from the source model.

    The blocks of the trained generator are disturbed by so many times the deviation of their weights.
    """
    relaxed = importlib.import_module("graftbench.methods._relaxed_realism")

    def make(name: str, *, disturbance: float = 0.0) -> Any:
        task = world(32).task(registry.methods()[name])
        source, judge = source_networks(task.source_model, 32)
        generator, _ = source_networks(task.source_model, 32)
        freeze(source)
        with torch.no_grad():
            for block in generator.blocks:
                weight = block.get_parameter("conv.weight")
                noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
                weight.add_(disturbance * weight.std() * noise)
        return relaxed.Players(task, generator, source, TwoLevelDiscriminator(judge, 1), relaxed.LastBatch(task))

    return make
