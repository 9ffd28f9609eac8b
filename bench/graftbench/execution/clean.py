"""Removes what a run folder or the cache holds and can do without. Records are never touched."""

from __future__ import annotations

import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from filelock import lock_descriptor

from graftbench.errors import GraftbenchError
from graftbench.execution.job import OUTPUT, RESULT
from graftbench.execution.run_folder import SUITE, RunFolder
from graftbench.records.heads import Head
from graftbench.records.store import latest, read
from graftbench.suites.matrix import place_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


Keep = Literal["sampler", "samples", "nothing"]
"""As in `CellJob.keep`."""

_REMOVED: dict[Keep, tuple[str, ...]] = {
    "sampler": (),
    "samples": ("sampler",),
    "nothing": ("sampler", "samples", "progress", "neighbors", "interpolation"),
}
"""Kinds of artifacts that go. Logs stay: they are small, and the only witness of a failure."""

_REGENERABLE = ("domains", "features", "moments", "floors")
_SOURCE_MODELS = "source_models"

_OLD_SECONDS = 86_400
"""A temporary file of the cache that is older is nobody's any more: no write takes a day."""


@dataclass(frozen=True)
class Removal:
    """Something to remove.

    Attributes:
        kind: What it is, in a word or two.
        path: A file or a folder.
        size: Bytes that become free.
    """

    kind: str
    path: Path
    size: int


@dataclass(frozen=True)
class Cleaned:
    """What was removed, or would be.

    Attributes:
        items: What.
        in_use: Entries of the cache that were left alone, for a process holds their lock.
    """

    items: list[Removal] = field(default_factory=list)
    in_use: list[Path] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes that become free."""
        return sum(item.size for item in self.items)

    def kinds(self) -> dict[str, tuple[int, int]]:
        """Kind -> number and bytes, the largest first."""
        found: dict[str, tuple[int, int]] = {}
        for item in self.items:
            count, size = found.get(item.kind, (0, 0))
            found[item.kind] = count + 1, size + item.size
        return dict(sorted(found.items(), key=lambda pair: -pair[1][1]))


def clean_run(
    run: Path, *, keep: Keep = "sampler", superseded: bool = False, work: bool = False, dry_run: bool = False
) -> Cleaned:
    """Remove artifacts and leftovers from a run folder.

    Args:
        run: The run folder.
        keep: Which artifacts of recorded cells stay, in the words of `graftbench run --keep`: `sampler` (all of them),
            `samples` (sheets and logs) or `nothing` (logs alone).
        superseded: Remove the folders in `cells/` of records that a later record of the same place in the suite has
            replaced (a cell of edited code, other data or parameters), and those that no record names.
        work: Remove what killed runs left in `work/`. A result or a checkpoint in there would be made use of by the
            next run, were it not removed.
        dry_run: Remove nothing; say what would be.

    Raises:
        GraftbenchError: It is no run folder, a driver works in it, a record cannot be read, or a file not be removed.
    """
    folder = RunFolder(run)
    if not (run / SUITE).is_file():
        raise GraftbenchError(f"'{run}' is no run folder: it holds no {SUITE}.")
    with folder.claimed(folder.suite().name):
        known = latest(read(folder.records, Head)[0])
        items = _work(folder) if work else []
        gone = _superseded(folder, known) if superseded else []
        items += [*gone, *_artifacts(folder, known, keep, {item.path for item in gone})]
        return _removed(Cleaned(items), dry_run=dry_run)


def clean_cache(cache: Path, *, source_models: bool = False, dry_run: bool = False) -> Cleaned:
    """Remove from the cache what is made again when it is needed: prepared domains, features, moments, floors.

    What a process prepares at this moment is left alone, and so are the lock files themselves (`cache.locked` says
    why). A run that goes on meanwhile reads its images from the cache: its next cells fail when they are gone.

    Args:
        cache: The cache folder.
        source_models: Trained source models, too: to make them again takes their whole training.
        dry_run: Remove nothing; say what would be.

    Raises:
        GraftbenchError: A file cannot be removed.
    """
    found = Cleaned()
    for name in (*_REGENERABLE, *([_SOURCE_MODELS] if source_models else [])):
        for path in sorted((cache / name).iterdir()) if (cache / name).is_dir() else []:
            if path.suffix == ".lock":
                continue
            with _free(path) as free:
                if not free:
                    found.in_use.append(path)
                    continue
                one = Cleaned([Removal(name.replace("_", " "), path, _size(path))])
                found.items.extend(_removed(one, dry_run=dry_run).items)
    return found


# --------------------------------------------------------------------------------------------------------------- a run


def _work(folder: RunFolder) -> list[Removal]:
    items = []
    for _, path in folder.left_behind():
        if (path / RESULT).exists():
            kind = "unrecorded results"
        elif any(path.glob("checkpoint*")):
            kind = "checkpoints"
        else:
            kind = "unfinished jobs"
        items.append(Removal(kind, path, _size(path)))
    return items


def _superseded(folder: RunFolder, known: dict[str, Head]) -> list[Removal]:
    """Folders in `cells/` that are of no record, or of one whose place a later record has taken."""
    current = {place_of(head.cell): cell_id for cell_id, head in known.items()}
    cells = folder.path / "cells"
    items = []
    for path in sorted(cells.iterdir()) if cells.is_dir() else []:
        head = known.get(path.name)
        if head is None:
            items.append(Removal("folders of no record", path, _size(path)))
        elif current[place_of(head.cell)] != head.id:
            items.append(Removal("superseded cells", path, _size(path)))
    return items


def _artifacts(folder: RunFolder, known: dict[str, Head], keep: Keep, gone: set[Path]) -> list[Removal]:
    """Files that records name, of the kinds that do not stay; only such that lie in the cell's own folder.

    What a foreign program has written there goes with the sampler.
    """
    items = []
    for head in known.values():
        home = folder.cell(head.id)
        if home in gone:
            continue
        for kind in _REMOVED[keep]:
            path = folder.path / head.artifacts.get(kind, "")
            if path.parent.resolve() == home.resolve() and (path.is_file() or path.is_symlink()):
                items.append(Removal(kind, path, _size(path)))
        if keep != "sampler" and (home / OUTPUT).is_dir():
            items.append(Removal("output of foreign programs", home / OUTPUT, _size(home / OUTPUT)))
    return items


# ----------------------------------------------------------------------------------------------------------- the cache


@contextmanager
def _free(path: Path) -> Iterator[bool]:
    """Whether nobody prepares a cache entry; its lock is held inside, so that nobody begins.

    Temporary files have no lock of their own: they are somebody's until they are old. A temporary folder has that of
    the entry that it is going to be.
    """
    name = path.name
    if name.startswith(".") and path.is_file():
        yield time.time() - path.stat().st_mtime > _OLD_SECONDS
        return
    entry = path.with_name(name.removeprefix(".").removesuffix(".partial")) if name.startswith(".") else path
    locks = [path.with_name(f"{entry.name}.lock"), entry.with_suffix(".lock")]
    lock = next((candidate for candidate in locks if candidate.exists()), None)
    if lock is None:
        yield True
        return
    with lock.open("r+b") as file:  # closing it frees the lock
        yield lock_descriptor(file.fileno(), blocking=False)


# -------------------------------------------------------------------------------------------------------------- removal


def _size(path: Path) -> int:
    """Bytes that become free when it goes: none for a file that has another hard link (`merge --link`)."""
    files: Sequence[Path] = list(path.rglob("*")) if path.is_dir() and not path.is_symlink() else [path]
    found = [file.lstat() for file in files if file.is_symlink() or file.is_file()]
    return sum(status.st_size for status in found if status.st_nlink == 1)


def _removed(found: Cleaned, *, dry_run: bool) -> Cleaned:
    for item in () if dry_run else found.items:
        try:
            if item.path.is_dir() and not item.path.is_symlink():
                shutil.rmtree(item.path)
            else:
                item.path.unlink(missing_ok=True)
        except OSError as error:
            raise GraftbenchError(f"'{item.path}' cannot be removed ({error.strerror}).") from error
    return found
