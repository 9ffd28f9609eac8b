"""Read a side of a comparison: a run folder, a folder of repeats, a records file, or a baseline by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from graftbench.errors import GraftbenchError, unknown
from graftbench.records import store
from graftbench.records.domain_names import with_printed_names
from graftbench.records.run import RECORDS
from graftbench.records.selection import select
from graftbench.regression import baselines

if TYPE_CHECKING:
    from graftbench.records.record import Record


@dataclass(frozen=True)
class Side:
    """The base or the new run.

    Attributes:
        name: As it was called.
        repeats: The records of each repeat; of an ordinary run there is one.
        warnings: Unfinished last lines, in sentences.
    """

    name: str
    repeats: tuple[list[Record], ...]
    warnings: tuple[str, ...] = ()


def read_side(run: str, *, folder: Path = baselines.FOLDER, selection: str = "") -> Side:
    """Read the records behind a path or a name.

    A path wins over a baseline of the same name. A folder without records of its own whose subfolders have some is one
    of repeats, taken in the order of their names.

    Args:
        run: A run folder, a folder of them, a records.jsonl, or a baseline's name.
        folder: Where baselines lie.
        selection: Which cells, as in `graftbench.records.selection`; empty for all.

    Raises:
        GraftbenchError: There is neither such a path nor such a baseline (naming the nearest), or it cannot be read.
    """
    path = Path(run)
    if path.exists():
        read = [store.read(file) for file in _files(path)]
        runs = tuple(_chosen(list(store.latest(records).values()), selection) for records, _ in read)
        return Side(run, runs, tuple(warning for _, warnings in read for warning in warnings))
    names = baselines.names(folder)
    if run in names:
        about, records = baselines.load(run, folder)
        return Side(f"{run} ({about.suite}, {about.finished_at[:10]})", (_chosen(records, selection),))
    if "/" in run or "\\" in run or run.endswith(".jsonl"):
        raise GraftbenchError(f"There is nothing at '{run}'; expected a run folder, a records.jsonl or a baseline.")
    where = f"(no such path, and no such baseline in '{folder}'; `graftbench baseline save {run} RUN` saves one)"
    raise unknown("run or baseline", run, names, where=where)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if (path / RECORDS).is_file():
        return [path / RECORDS]
    repeats = sorted(path.glob(f"*/{RECORDS}"))
    if not repeats:
        raise GraftbenchError(f"'{path}' is no run folder: neither it nor a folder in it holds {RECORDS}.")
    return repeats


def _chosen(records: list[Record], selection: str) -> list[Record]:
    named = with_printed_names(records)
    return list(select(named, selection)) if selection and named else named
