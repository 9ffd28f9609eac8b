"""The worlds in which methods are tested: real images, tiny source models, tasks that offer what the contract names."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from graftbench.checks.fixtures import worlds
from graftbench.checks.method_subject import MethodSubject
from graftbench.plugins import registry

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
