"""Removes what a run folder or the cache can do without. Records are never touched."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from filelock import lock_descriptor

from graftbench.errors import GraftbenchError
from graftbench.execution.job import OUTPUT, RESULT
from graftbench.execution.run_folder import SUITE, RunFolder, remove
from graftbench.records.artifacts import own_folder
from graftbench.records.domain_names import with_printed_names
from graftbench.records.heads import Head
from graftbench.records.store import latest, read
from graftbench.suites.matrix import place_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


Keep = Literal["sampler", "samples", "nothing"]
"""Choices of what stays, as in `CellJob.keep`."""

_REMOVED: dict[Keep, tuple[str, ...]] = {
    "sampler": (),
    "samples": ("sampler",),
    "nothing": ("sampler", "samples", "progress", "neighbors", "interpolation", "trace", "profile"),
}
"""Kinds of artifacts that are removed. Logs stay: they are small, and the only witness of a failure."""

_REGENERABLE = ("domains", "features", "moments", "floors", "factors")
_SOURCE_MODELS = "source_models"

_OLD_SECONDS = 86_400
"""A temporary file of the cache that is older is no longer written: no write takes a day."""


@dataclass(frozen=True)
class Removal:
    """A file or folder to remove.

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
    """The outcome of cleaning.

    Attributes:
        items: What was removed, or would be.
        in_use: Entries of the cache that were kept, for a process holds their lock.
    """

    items: list[Removal] = field(default_factory=list)
    in_use: list[Path] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Return the bytes that become free."""
        return sum(item.size for item in self.items)

    def kinds(self) -> dict[str, tuple[int, int]]:
        """Return kind -> number and bytes of its items, the largest first."""
        totals: dict[str, tuple[int, int]] = {}
        for item in self.items:
            count, size = totals.get(item.kind, (0, 0))
            totals[item.kind] = count + 1, size + item.size
        return dict(sorted(totals.items(), key=lambda pair: -pair[1][1]))


def clean_run(
    run: Path, *, keep: Keep = "sampler", superseded: bool = False, work: bool = False, dry_run: bool = False
) -> Cleaned:
    """Remove artifacts and leftovers from a run folder.

    Args:
        run: The run folder.
        keep: Which artifacts of recorded cells stay, in the words of `graftbench run --keep`: `sampler` (all of them),
            `samples` (sheets and logs) or `nothing` (logs alone).
        superseded: Remove the folders in `cells/` of records that another record of the same place in the suite has
            replaced (a cell of edited code, or of other parameters), and those that no record names. What the suite
            planned when it was last run stays, and so do cells of a folder or file whose images changed since: they
            cannot be told from those of another one of that name.
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
        heads = latest(read(folder.records, Head)[0])
        items = _work(folder) if work else []
        old_cells = _superseded(folder, heads) if superseded else []
        items += [*old_cells, *_artifacts(folder, heads, keep, {item.path for item in old_cells})]
        _remove(items, dry_run=dry_run)
        return Cleaned(items)


def clean_cache(cache: Path, *, source_models: bool = False, dry_run: bool = False) -> Cleaned:
    """Remove from the cache what is made again when it is needed.

    That is prepared domains, features, moments, floors and classifiers of factors.

    What a process prepares at this moment is left alone, and so are the lock files themselves (`cache.locked` says
    why). A run that goes on meanwhile reads its images from the cache: its next cells fail when they are gone.

    Args:
        cache: The cache folder.
        source_models: Trained source models, too: to make them again takes their whole training.
        dry_run: Remove nothing; say what would be.

    Raises:
        GraftbenchError: A file cannot be removed.
    """
    cleaned = Cleaned()
    for name in (*_REGENERABLE, *([_SOURCE_MODELS] if source_models else [])):
        for path in sorted((cache / name).iterdir()) if (cache / name).is_dir() else []:
            if path.suffix == ".lock":
                continue
            with _free(path) as free:
                if not free:
                    cleaned.in_use.append(path)
                    continue
                item = Removal(name.replace("_", " "), path, _size(path))
                _remove([item], dry_run=dry_run)
                cleaned.items.append(item)
    return cleaned


# --------------------------------------------------------------------------------------------------------------- a run


def _work(folder: RunFolder) -> list[Removal]:
    """Return the folders of jobs that an earlier driver did not see to the end."""
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


def _superseded(folder: RunFolder, heads: dict[str, Head]) -> list[Removal]:
    """Return folders in `cells/` of no record, and those of records whose place in the suite another one has taken.

    A cell that was planned last keeps its place, and else the newest. Two folders of one name are two places.
    """
    planned = folder.planned()
    named = {head.id: head for head in with_printed_names(list(heads.values()))}
    by_plan = sorted(named, key=lambda cell_id: cell_id in planned)  # the planned ones last
    current = {place_of(named[cell_id].cell): cell_id for cell_id in by_plan}
    cells = folder.path / "cells"
    items = []
    for path in sorted(cells.iterdir()) if cells.is_dir() else []:
        head = named.get(path.name)
        if path.name in planned:
            continue
        if head is None:
            items.append(Removal("folders of no record", path, _size(path)))
        elif current[place_of(head.cell)] != head.id:
            items.append(Removal("superseded cells", path, _size(path)))
    return items


def _artifacts(folder: RunFolder, heads: dict[str, Head], keep: Keep, removed: set[Path]) -> list[Removal]:
    """Return the artifacts of records that `keep` does not name, if they lie in the cell's own folder.

    The output of foreign programs is removed with the sampler.
    """
    items = []
    for head in heads.values():
        home = folder.cell(head.id)
        if home in removed or own_folder(home) is None:
            continue
        for kind in _REMOVED[keep]:
            path = home / Path(head.artifacts.get(kind, "")).name
            if kind in head.artifacts and (path.is_file() or path.is_symlink()):
                items.append(Removal(kind, path, _size(path)))
        if keep != "sampler" and own_folder(home / OUTPUT) is not None:
            items.append(Removal("output of foreign programs", home / OUTPUT, _size(home / OUTPUT)))
    return items


# ----------------------------------------------------------------------------------------------------------- the cache


@contextmanager
def _free(path: Path) -> Iterator[bool]:
    """Yield whether no process prepares a cache entry; its lock is held inside, so that none begins.

    Temporary files have no lock of their own: they count as in use until they are old. A temporary folder has the lock
    of the entry that it is going to be.
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
    """Return the bytes that become free: none for a file that has another hard link (`merge --link`)."""
    files: Sequence[Path] = list(path.rglob("*")) if path.is_dir() and not path.is_symlink() else [path]
    stats = [file.lstat() for file in files if file.is_symlink() or file.is_file()]
    return sum(stat.st_size for stat in stats if stat.st_nlink == 1)


def _remove(items: Sequence[Removal], *, dry_run: bool) -> None:
    """Remove files and folders, unless it is a dry run.

    Raises:
        GraftbenchError: One cannot be removed.
    """
    for item in () if dry_run else items:
        try:
            remove(item.path)
        except OSError as error:
            raise GraftbenchError(f"'{item.path}' cannot be removed ({error.strerror}).") from error
