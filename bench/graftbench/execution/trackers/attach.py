"""Lets trackers follow a run: the driver tells them of a cell when its record is on the disk."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from graftbench.errors import GraftbenchError
from graftbench.execution.progress import Progress
from graftbench.execution.trackers.base import Tracker
from graftbench.execution.trackers.group import group_of
from graftbench.execution.trackers.queue import TrackerThread
from graftbench.execution.trackers.subprocess_tracker import SubprocessTracker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from graftbench.records.cell_spec import CellSpec
    from graftbench.records.record import Record

END_SECONDS = 60.0
"""After the last cell all trackers together get so long to take what they have not taken."""

QUIET_SECONDS = 2.0
"""A wait of more than that is announced."""

STOPPED_SECONDS = 5.0
"""Seconds that trackers get to finish where the run was broken off."""


def find(requested: Iterable[str | Tracker | type[Tracker]]) -> list[Tracker]:
    """Make the requested trackers and check them: nothing has to run before it is known that one cannot work.

    Args:
        requested: `NAME` or `NAME:key=value,key=value` (NAME may be a Python file), which gets a process of its own; in
            Python also a tracker, or the class of one, which works in a thread of this one.

    Raises:
        GraftbenchError: An unknown name or option, a package that is missing, the same tracker twice.
    """
    trackers = [_tracker(request) for request in requested]
    for name, times in Counter(tracker.name for tracker in trackers).items():
        if times > 1:
            raise GraftbenchError(f"Tracker '{name}' is given {times} times; it shows a run once.")
    for tracker in trackers:
        tracker.check()
    return trackers


def _tracker(requested: object) -> Tracker:
    if isinstance(requested, Tracker):
        return requested
    if isinstance(requested, type) and issubclass(requested, Tracker):
        return requested()
    if not isinstance(requested, str):
        raise GraftbenchError(f"A tracker is a name, a Tracker or its class; found {requested!r}.")
    return SubprocessTracker(requested)


class RunTrackers:
    """The trackers of a run, made and checked before anything runs; none of them has done anything yet.

    Args:
        requested: As in `find`.

    Raises:
        GraftbenchError: See there.
    """

    def __init__(self, requested: Sequence[str | Tracker | type[Tracker]]) -> None:
        self._trackers = find(requested)
        self._requested = list(requested)

    @contextmanager
    def follow(
        self, progress: Progress, suite: str, folder: Path, records: Iterable[Record] = ()
    ) -> Iterator[Progress]:
        """Let the trackers follow what is reported inside.

        Args:
            progress: Shows the run otherwise, and the trackers' own troubles.
            suite: The suite's name.
            folder: The run folder.
            records: Cells that were recorded before the first was started, by this driver.

        Yields:
            The progress to report to in place of `progress`.
        """
        if not self._trackers:
            yield progress
            return
        group = group_of(suite, folder)
        threads = [
            TrackerThread(tracker, group, progress.say, _again(folder, request))
            for tracker, request in zip(self._trackers, self._requested, strict=True)
        ]
        for record in records:
            for thread in threads:
                thread.ended(record)
        try:
            yield TrackedProgress(progress, threads)
        except BaseException:
            _close(threads, progress, STOPPED_SECONDS)
            raise
        _close(threads, progress, END_SECONDS)


def _again(folder: Path, request: object) -> str:
    """Return the command that sends the run to a tracker later."""
    if isinstance(request, str):
        return shlex.join(["graftbench", "export", str(folder), "--tracker", request])
    return f"graftbench.execution.trackers.replay.send({str(folder)!r}, [...])"


def _close(threads: Sequence[TrackerThread], progress: Progress, seconds: float) -> None:
    """Wait for all of them together; Ctrl-C ends the wait and nothing else: every cell is recorded."""
    with suppress(KeyboardInterrupt):
        soon, until = (time.monotonic() + limit for limit in (min(QUIET_SECONDS, seconds), seconds))
        slow = [thread for thread in threads if not thread.wait(soon - time.monotonic())]
        if slow and seconds > QUIET_SECONDS:
            names = " and ".join(f"'{thread.name}'" for thread in slow)
            progress.say(f"Waiting {seconds:.0f} s at most until {names} has everything; Ctrl-C ends only the wait.")
        for thread in slow:
            thread.wait(until - time.monotonic())
    for thread in threads:
        thread.close()


class TrackedProgress(Progress):
    """A progress that passes on to another one, and to trackers. The trackers' part never waits and never raises.

    Args:
        progress: The other one.
        threads: The trackers.
    """

    def __init__(self, progress: Progress, threads: Sequence[TrackerThread]) -> None:
        self._progress, self._threads = progress, threads

    def say(self, sentence: str) -> None:
        """Pass it on to the other progress alone."""
        self._progress.say(sentence)

    def begin(self, total: int, done: int, statuses: Mapping[str, int] | None = None) -> None:
        """Pass it on to the other progress alone."""
        self._progress.begin(total, done, statuses)

    def plan(self, waiting: Iterable[CellSpec], expected: Callable[[CellSpec], float | None] | None = None) -> None:
        """Pass it on to the other progress alone."""
        self._progress.plan(waiting, expected)

    def started(self, cell: CellSpec, folder: Path | None) -> None:
        """Report that a cell was started."""
        self._progress.started(cell, folder)
        for thread in self._threads:
            thread.started(cell, folder)

    def ended(self, record: Record, seconds: float) -> None:
        """Report that a cell's record is on the disk."""
        self._progress.ended(record, seconds)
        for thread in self._threads:
            thread.ended(record)

    def stopping(self, first: bool) -> None:  # noqa: FBT001 - see Progress
        """Pass it on to the other progress alone."""
        self._progress.stopping(first)
