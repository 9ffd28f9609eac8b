"""Domains prepared at once in processes of their own: the same images, and no error before its turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from graftbench.contracts import Domain, DomainImages
from graftbench.images import prepared
from graftbench.images.resizing import DEFAULT
from graftbench.images.side_by_side import Preparation, prepare_side_by_side
from graftbench.plugins.registry import make_domain

if TYPE_CHECKING:
    from pathlib import Path


class Unreachable(Domain):
    """A class that another process cannot import."""

    name = "unreachable"
    title = description = license = attribution = source = "made for a test"

    def fingerprint(self) -> str:
        """One version."""
        return "1"

    def images(self, resolution: int) -> DomainImages:
        """Nobody gets this far."""
        raise AssertionError(resolution)


def _asked(name: str, cache: Path) -> Preparation:
    return Preparation(make_domain(name), name, 16, cache, DEFAULT)


@pytest.mark.slow
def test_two_domains_are_in_the_cache_afterwards_and_equal(tmp_path: Path) -> None:
    """The manifest, a hash over ids, splits and pixels, is that of images prepared in one process."""
    names = ("avatars:micah?images=12", "avatars:lorelei?images=12")
    lines: list[str] = []
    prepare_side_by_side([_asked(name, tmp_path / "two") for name in names], 2, lines.append)
    assert sorted(lines) == sorted(f"preparing {name}@16" for name in names)
    for name in names:
        assert not _asked(name, tmp_path / "two").is_missing
        alone = prepared.load(make_domain(name), name, 16, tmp_path / "one")
        assert prepared.load(make_domain(name), name, 16, tmp_path / "two").manifest == alone.manifest


def test_one_domain_or_one_process_is_left_to_who_loads(tmp_path: Path) -> None:
    """No process is started where nothing can be gained."""
    one, other = _asked("avatars:micah?images=2", tmp_path), _asked("avatars:lorelei?images=2", tmp_path)
    prepare_side_by_side([one], 2)
    prepare_side_by_side([one, other], 1)
    assert one.is_missing
    assert other.is_missing


@pytest.mark.slow
def test_what_fails_elsewhere_is_silent(tmp_path: Path) -> None:
    """A class that cannot be imported there, and an argument that is wrong, stop nobody: loading says what it is."""
    unreachable = Preparation(Unreachable(), "unreachable", 16, tmp_path, DEFAULT)
    wrong = _asked("folder:" + str(tmp_path / "nowhere"), tmp_path)
    good, another = _asked("avatars:micah?images=2", tmp_path), _asked("avatars:lorelei?images=2", tmp_path)
    prepare_side_by_side([unreachable, wrong, good, another], 2)
    assert not wrong.is_missing
    assert unreachable.is_missing
    assert not good.is_missing
    assert not another.is_missing
