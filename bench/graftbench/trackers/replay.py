"""Sends a run that is there to a tracker: what the tracker missed, or what was never sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.errors import GraftbenchError
from graftbench.trackers.group import group_of
from graftbench.trackers.sink import Feed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from graftbench.record import Record
    from graftbench.trackers.contract import Tracker


def replay(
    tracker: Tracker, suite: str, folder: Path, records: Iterable[Record], said: Callable[[Record], None]
) -> int:
    """Show every record as a run would have shown it. Cells that the tracker shows already are replaced.

    Args:
        tracker: Where; checked.
        suite: Name of the suite.
        folder: The run folder.
        records: The newest record of each cell.
        said: Told of each cell that was sent.

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
                said(record)
                sent += 1
            where = "closing"
        finally:
            tracker.close()
    except Exception as error:  # a tracker may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise GraftbenchError(
            f"Tracker '{tracker.name}' failed at {where} ({reason}). {sent} cells were sent; nothing else was changed."
        ) from error
    return sent
