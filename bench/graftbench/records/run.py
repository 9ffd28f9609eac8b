"""A run folder as reports read it: its records and its suite."""

from __future__ import annotations

import gc
import logging
import os
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from graftbench.errors import GraftbenchError
from graftbench.records import store
from graftbench.records.domain_names import with_printed_names
from graftbench.records.selection import select

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graftbench.records.record import Record

RECORDS = "records.jsonl"
SUITE = "suite.toml"


def read_run(path: str | Path) -> Run:
    """Read what a report reads of a run folder: the newest record of every cell, and the suite's name and size.

    Name, tasks and number of cells come from the keys `name`, `tasks` and `cells` of suite.toml; a folder without that
    file (two runs merged by hand) goes by the folder's name, its size unknown.

    Args:
        path: The run folder, or the records.jsonl in it.

    Raises:
        GraftbenchError: There is no run at that path, or one of its files cannot be read.
    """
    file = records_file(path)
    folder = file.parent
    suite = _suite(folder / SUITE)
    cells = suite.get("cells", 0)
    expected = len(cells) if isinstance(cells, list) else cells if isinstance(cells, int) else 0
    name = str(suite.get("name") or folder.resolve().name)
    listed = suite.get("tasks", [])
    tasks = tuple(map(str, listed)) if isinstance(listed, list) else ()
    return Run(name=name, records=newest_records(file), folder=folder, expected=expected, tasks=tasks)


def read_runs(paths: Sequence[Path], selection: str = "") -> Run:
    """Read the runs of one or several folders (or records.jsonl) as one, with the cells that a selection leaves.

    Of several records of a cell the newest counts (by `finished_at`; of equal ones that of the later path). Artifacts
    stay where they are.

    Raises:
        GraftbenchError: There is no run at a path, or the selection is wrong or leaves nothing.
    """
    runs = [read_run(path) for path in paths]
    if len(runs) == 1:
        run = runs[0]
    else:
        folder = Path(os.path.commonpath([run.folder.resolve() for run in runs]))
        newest: dict[str, Record] = {}
        for run in runs:
            for record in run.records:
                if record.id not in newest or newest[record.id].finished_at <= record.finished_at:
                    newest[record.id] = _moved(record, run.folder.resolve(), folder)
        names = list(dict.fromkeys(run.name for run in runs))
        expected = sum(run.expected for run in runs) if len(names) == len(runs) else max(run.expected for run in runs)
        records = with_printed_names(list(newest.values()))
        tasks = tuple(dict.fromkeys(task for run in runs for task in run.tasks))
        run = Run(name=" + ".join(names), records=records, folder=folder, expected=expected, tasks=tasks)
    if not selection:
        return run
    return replace(run, records=select(run.records, selection), expected=0)


def _moved(record: Record, old: Path, new: Path) -> Record:
    """Return the record with the paths of its artifacts seen from another folder."""
    paths = {kind: Path(os.path.relpath(old / path, new)).as_posix() for kind, path in record.artifacts.items()}
    return msgspec.structs.replace(record, artifacts=paths)


def _suite(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise GraftbenchError(f"{file} cannot be read as a suite ({error}).") from error


def records_file(path: str | Path) -> Path:
    """Return the path of a run's records.jsonl.

    Raises:
        GraftbenchError: There is none.
    """
    path = Path(path)
    file = path / RECORDS if path.is_dir() else path
    if not file.is_file():
        raise GraftbenchError(f"There are no records at '{file}'; expected a run folder with {RECORDS}, or that file.")
    return file


@contextmanager
def _no_collection() -> Iterator[None]:
    """Search for no cycles meanwhile: records have none, and 10,000 of them take twice as long with it."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def newest_records(file: Path) -> list[Record]:
    """Read the newest record of every cell, under printed names; what could not be read is logged as a warning."""
    with _no_collection():
        records, warnings = store.read(file)
    for warning in warnings:
        logging.getLogger(__name__).warning(warning)
    return with_printed_names(list(store.latest(records).values()))


@dataclass(frozen=True)
class Run:
    """A run as reports read it.

    Attributes:
        name: Name of the suite.
        records: The newest record of every cell.
        folder: The run folder, for the sample sheets that the records name; nothing else in it is read.
        expected: Number of cells of the suite, 0 if not known: a report says which are still missing.
        baseline: The method that comparisons are made with; empty for the report's own choice.
        tasks: The suite's tasks in its order, as it writes them; empty where no suite is known.
    """

    name: str
    records: Sequence[Record]
    folder: Path
    expected: int = 0
    baseline: str = ""
    tasks: tuple[str, ...] = ()
