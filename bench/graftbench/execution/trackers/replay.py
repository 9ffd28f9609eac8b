"""Sends a recorded run to a tracker: the cells that the tracker missed, or all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.errors import GraftbenchError
from graftbench.execution.trackers.attach import find
from graftbench.execution.trackers.base import words_of
from graftbench.execution.trackers.group import group_of
from graftbench.execution.trackers.queue import Feed
from graftbench.records.run import read_run
from graftbench.records.selection import select as selected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from graftbench.execution.trackers.base import Tracker
    from graftbench.records.record import Record


def send(
    run: str | Path,
    trackers: Sequence[str | Tracker | type[Tracker]],
    *,
    select: str = "",
    report: Callable[[Record], object] = lambda _: None,
) -> dict[str, int]:
    """Send a run folder to trackers, one after the other.

    Args:
        run: The run folder.
        trackers: As in `graftbench.run`.
        select: Only these cells: `method=dcgan,finetune budget<=100`; empty for all.
        report: Called with each record that was sent.

    Returns:
        Name of the tracker -> how many cells were sent.

    Raises:
        GraftbenchError: There is no such run, cell or tracker, or a tracker failed.
    """
    checked, source = find(trackers), read_run(run)
    records = selected(source.records, select) if select else source.records
    return {tracker.name: replay(tracker, source.name, source.folder, records, report) for tracker in checked}


def replay(
    tracker: Tracker, suite: str, folder: Path, records: Iterable[Record], report: Callable[[Record], object]
) -> int:
    """Show every record as a run would have shown it. Cells that the tracker shows already are replaced.

    Args:
        tracker: The tracker; checked.
        suite: Name of the suite.
        folder: The run folder.
        records: The newest record of each cell.
        report: Called with each record that was sent.

    Returns:
        How many cells were sent.

    Raises:
        GraftbenchError: The tracker failed; it says at which cell.
    """
    group, sent, where = group_of(suite, folder), 0, "opening"
    feed = Feed(tracker, group)
    try:
        tracker.open(group)
        try:
            for record in records:
                where = str(record.cell)
                feed.end(record)
                report(record)
                sent += 1
            where = "closing"
        finally:
            tracker.close()
    except Exception as error:  # a tracker may raise anything
        raise GraftbenchError(
            f"Tracker '{tracker.name}' failed at {where} ({words_of(error)}). {sent} cells were sent."
        ) from error
    return sent
