"""Feeds a tracker from a thread of its own: whatever the tracker does, the run goes on."""

from __future__ import annotations

import functools
import queue
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from graftbench.execution.progress import read_curves
from graftbench.execution.trackers.base import words_of
from graftbench.execution.trackers.entries import began_of, cell_of, points_of, result_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from graftbench.execution.trackers.base import TrackedCell, TrackedPoint, TrackedRun, Tracker
    from graftbench.records.cell_spec import CellSpec
    from graftbench.records.record import CurvePoint, Record, Snapshot

WAITING = 1000
"""Events that wait for a slow tracker at most; a record is some 10 kB. What comes when there are more is left out."""

READ_SECONDS = 2.0
"""A running cell's curve is looked at this often: cells write it no more often."""

FAILURES = 3
"""A tracker that failed so often in a row is left alone: it is down, and each try may take a minute."""

WAKE_SECONDS = 0.2
"""So long the thread sleeps at most where nothing happens."""

SHOWN_CHARACTERS = 300


@dataclass
class _OpenCell:
    """A cell that a tracker shows.

    Attributes:
        cell: As the tracker knows it.
        folder: Where its process writes its curve; None for a cell that has ended.
        sent: Images seen and names of the points that the tracker has.
    """

    cell: TrackedCell
    folder: Path | None = None
    sent: set[tuple[int, tuple[str, ...]]] = field(default_factory=set)

    def new(self, curve: Iterable[CurvePoint], snapshots: Iterable[Snapshot]) -> list[TrackedPoint]:
        """Return the points that were not sent before, and count them as sent."""
        new = []
        for point in points_of(curve, snapshots):
            key = (point.images_seen, tuple(sorted(point.values)))
            if key not in self.sent:
                self.sent.add(key)
                new.append(point)
        return new


class Feed:
    """Passes cells on to a tracker, each point once, and lets its errors through: for a replay and a thread.

    Args:
        tracker: The tracker.
        group: The run folder.
    """

    def __init__(self, tracker: Tracker, group: TrackedRun) -> None:
        self._tracker, self._group = tracker, group
        self.open: dict[str, _OpenCell] = {}

    def begin(self, cell: TrackedCell, folder: Path | None = None) -> None:
        """Begin a cell, for the first time or again."""
        self.open.pop(cell.id, None)
        self._tracker.begin(cell)
        self.open[cell.id] = _OpenCell(cell, folder)

    def look(self, cell_id: str) -> None:
        """Send the points that a running cell has written since the last look."""
        cell = self.open[cell_id]
        if cell.folder is not None:
            curves = read_curves(cell.folder)
            if points := cell.new(curves.curve, curves.snapshots):
                self._tracker.points(cell.cell, points)

    def end(self, record: Record) -> None:
        """End a cell: send the rest of its curve, then its result. One that was not begun is begun before."""
        if record.id not in self.open:
            self.begin(cell_of(record.cell, began_of(record), record.id))
        cell = self.open.pop(record.id)
        if points := cell.new(record.curve, record.snapshots):
            self._tracker.points(cell.cell, points)
        self._tracker.end(cell.cell, result_of(record, self._group.folder))


class TrackerThread:
    """Feeds a tracker from a thread of its own. No method waits, but `wait`, and none raises.

    Args:
        tracker: The tracker; checked.
        group: The run folder.
        say: Tells the user a sentence; called from the thread too.
        again: What sends the run later: a command, or a line of Python.
    """

    def __init__(self, tracker: Tracker, group: TrackedRun, say: Callable[[str], None], again: str) -> None:
        self.name = tracker.name
        self._tracker, self._group, self._say, self._again = tracker, group, say, again
        self._feed = Feed(tracker, group)
        self._events: queue.Queue[tuple[str, str, Callable[[], None]]] = queue.Queue(WAITING)
        self._over, self._abandoned = threading.Event(), threading.Event()
        self._finished = threading.Event()  # not Thread.join: before Python 3.13 Ctrl-C in it marks the thread as ended
        self._ended = self._arrived = 0
        self._failures = 0
        self._opened = self._reported = False
        threading.Thread(target=self._work, name=f"tracker {tracker.name}", daemon=True).start()

    def started(self, cell: CellSpec, folder: Path | None) -> None:
        """Report that a cell was started, for the first time or again."""
        now = time.time()
        self._enqueue(cell.id, f"beginning {cell}", lambda: self._feed.begin(cell_of(cell, now), folder))

    def ended(self, record: Record) -> None:
        """Report that a cell's record is on the disk."""
        self._ended += 1
        self._enqueue(record.id, f"{record.cell}", lambda: self._end(record))

    def wait(self, seconds: float) -> bool:
        """Wait until the tracker has everything and is closed, so many seconds at most; return whether it is."""
        self._over.set()
        return self._finished.wait(max(0.0, seconds))

    def close(self) -> None:
        """Abandon a tracker that is not done, and say what it lacks."""
        self._abandoned.set()
        missing = self._ended - self._arrived
        late = ""
        if not self._finished.is_set():
            late = " was not done in time after the run and is left behind"
            self._abandon()
        if late or missing:
            lacks = f"{missing} of the {self._ended} cells that were recorded now did not arrive" if missing else ""
            sentence = f"Tracker '{self.name}'{late}{': ' if lacks else ''}{lacks}."
            self._tell(sentence if self._reported or not lacks else f"{sentence} Send them with: {self._again}")

    def _enqueue(self, cell: str, activity: str, event: Callable[[], None]) -> None:
        with suppress(queue.Full):  # what did not arrive is counted at the end
            self._events.put_nowait((cell, activity, event))

    # ------------------------------------------------------------------------------------------------- in the thread

    def _work(self) -> None:
        looked = time.monotonic()
        while not (self._abandoned.is_set() or (self._over.is_set() and self._events.empty())):
            with suppress(queue.Empty):
                cell, activity, event = self._events.get(timeout=WAKE_SECONDS)
                self._do(cell, activity, event)
            if time.monotonic() - looked >= READ_SECONDS:
                for cell_id, open_cell in list(self._feed.open.items()):
                    activity = f"the curve of {open_cell.cell.name}"
                    self._do(cell_id, activity, functools.partial(self._feed.look, cell_id))
                looked = time.monotonic()
        if self._opened:
            self._do("", "closing", self._tracker.close)
        self._abandon()
        self._finished.set()

    def _end(self, record: Record) -> None:
        self._feed.end(record)
        self._arrived += 1
        self._failures = 0

    def _do(self, cell: str, activity: str, event: Callable[[], None]) -> None:
        """Do something with the tracker, unless it failed too often.

        A cell with which something went wrong counts as not begun: its end begins it again, with its whole curve.
        """
        if self._failures >= FAILURES or self._abandoned.is_set():
            return
        try:
            if not self._opened:
                self._tracker.open(self._group)
                self._opened = True
            event()
        except BaseException as error:  # noqa: BLE001 - a tracker may raise anything; the thread has no other work
            self._failures += 1
            self._feed.open.pop(cell, None)
            if not (self._reported or self._abandoned.is_set()):
                self._reported = True
                words = words_of(error)
                short = words if len(words) <= SHOWN_CHARACTERS else f"{words[:SHOWN_CHARACTERS]} …"
                moment = activity if self._opened else "opening"
                self._tell(
                    f"Tracker '{self.name}' failed at {moment} ({short}). The run goes on and records everything; send "
                    f"it later with: {self._again}"
                )

    def _abandon(self) -> None:
        with suppress(Exception):  # nothing more is wanted of it
            self._tracker.abandon()

    def _tell(self, sentence: str) -> None:
        with suppress(Exception):  # where nobody listens any more the run still ends in order
            self._say(sentence)
