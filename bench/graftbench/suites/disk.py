"""Estimate the bytes that a run's cells will write to the disk, and compare them with what is free there."""

from __future__ import annotations

import shutil
from statistics import median
from typing import TYPE_CHECKING

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from graftbench.records.cell_spec import CellSpec
    from graftbench.suites.estimates import RecordedCost

NETWORK_BYTES = 4_000_000
"""Guess for a saved network at up to 64×64: the suite's generators and denoisers take 1.4 to 1.8 MB at 32×32."""

SHEET_TILES = 32
"""Images on a contact sheet; guessed as if PNG did not compress at all (it takes a third to three quarters)."""

RECORD_BYTES = 50_000
"""Guess for a line of records.jsonl (12 KB and the curve) and a log."""

SPARE_BYTES = 100_000_000
"""Bytes that must stay free, for jobs at work, checkpoints and reports."""

_BANKS = ("style", "submitted", "reference")
"""Families whose samplers may be banks of images instead of networks."""

_COUNTED = 50
"""Cells of a method whose folders are measured, the newest: the median of so many is as good as that of all."""


def free_bytes(folder: Path) -> int:
    """Return what an ordinary user can still write on the disk of a folder, which need not exist.

    Raises:
        GraftbenchError: The disk does not say.
    """
    existing = folder.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    try:
        return shutil.disk_usage(existing).free
    except OSError as error:
        raise GraftbenchError(f"The disk of '{folder}' does not say how much is free ({error.strerror}).") from error


def kept_bytes(folder: Path, keep: str) -> int:
    """Return what a cell's folder would hold under `keep` (as in `CellJob.keep`); 0 if it is not there."""
    left_out = {"sampler": (), "samples": (".safetensors",), "nothing": (".safetensors", ".png")}[keep]
    try:
        files = [path for path in folder.iterdir() if path.is_file() and path.suffix not in left_out]
        return sum(path.stat().st_size for path in files)
    except OSError:
        return 0


def recorded_bytes(run: Path, records: Iterable[RecordedCost], keep: str) -> dict[str, list[int]]:
    """Return method -> bytes that `ok` cells of a run folder have left. Folders that are gone tell nothing."""
    ids: dict[str, dict[str, None]] = {}
    for record in records:
        if record.status == "ok":
            ids.setdefault(record.cell.method, {})[record.id] = None
    newest = {method: list(cell_ids)[-_COUNTED:] for method, cell_ids in ids.items()}
    sizes = {method: [kept_bytes(run / "cells" / i, keep) for i in cell_ids] for method, cell_ids in newest.items()}
    return {method: list(filter(None, counts)) for method, counts in sizes.items() if any(counts)}


def guessed_bytes(cell: CellSpec, keep: str) -> int:
    """Guess what a cell may leave where no cell tells: record, log, four sheets, a network or a bank of images."""
    image = 3 * cell.task.resolution**2
    network = NETWORK_BYTES * max(1, cell.task.resolution // 64)
    bank = image * cell.protocol.n_generated if cell.family in _BANKS else 0
    sheets = 4 * SHEET_TILES * image
    return RECORD_BYTES + {"sampler": sheets + max(network, bank), "samples": sheets, "nothing": 0}[keep]


def needed_bytes(cells: Iterable[CellSpec], sizes: Mapping[str, Sequence[int]], keep: str) -> int:
    """Estimate what cells are going to leave: their method's median, else a guess by resolution and number of images.

    Args:
        cells: The cells that are going to run.
        sizes: Method -> bytes that cells of it have left (`recorded_bytes`).
        keep: As in `CellJob.keep`.
    """
    medians = {method: round(median(counts)) + RECORD_BYTES for method, counts in sizes.items() if counts}
    return sum(medians[c.method] if c.method in medians else guessed_bytes(c, keep) for c in cells)


def check_space(run: Path, cells: Sequence[CellSpec], records: Iterable[RecordedCost], keep: str) -> None:
    """Refuse to start what the disk has no room for.

    Args:
        run: The run folder, there or not.
        cells: The cells that are going to run.
        records: Records of the folder.
        keep: As in `CellJob.keep`.

    Raises:
        GraftbenchError: It names what is needed and what is free.
    """
    if not cells:
        return
    needed = needed_bytes(cells, recorded_bytes(run, records, keep), keep) + SPARE_BYTES
    free = free_bytes(run)
    if needed > free:
        less = {"sampler": "keep less (--keep samples)", "samples": "keep less (--keep nothing)"}.get(keep)
        raise GraftbenchError(
            f"{len(cells)} cells need about {megabytes(needed)} in '{run}'; {megabytes(free)} are free there. "
            f"Make room (graftbench clean), {f'{less}, ' if less else ''}or choose another folder."
        )


def megabytes(size: int) -> str:
    """Write a size as `1,234.5 MB`, a megabyte being 10⁶ bytes."""
    return f"{size / 1e6:,.1f} MB"
