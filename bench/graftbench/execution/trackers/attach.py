"""Lets trackers follow a run: told what the user is told, by the driver, when a record is on the disk."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from graftbench.errors import GraftbenchError
from graftbench.execution.trackers.base import Tracker
from graftbench.execution.trackers.group import group_of
from graftbench.execution.trackers.queue import Sink
from graftbench.execution.trackers.subprocess_tracker import Apart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from graftbench.execution.progress import Progress
    from graftbench.records.cell_spec import CellSpec
    from graftbench.records.record import Record

END_SECONDS = 60.0
"""After the last cell all trackers together get so long to take what they have not taken."""

QUIET_SECONDS = 2.0
"""A wait of more than that is announced."""

STOPPED_SECONDS = 5.0
"""Likewise, where the run was broken off."""


def find(wanted: Iterable[str | Tracker | type[Tracker]]) -> list[Tracker]:
    """Trackers as asked for, checked: nothing has to run before it is known that one cannot work.

    Args:
        wanted: `NAME` or `NAME:key=value,key=value` (NAME may be a Python file), which gets a process of its own; in
            Python also a tracker, or the class of one, which works in a thread of this one.

    Raises:
        GraftbenchError: An unknown name or option, a package that is missing, the same tracker twice.
    """
    found = [_tracker(one) for one in wanted]
    for name, times in Counter(tracker.name for tracker in found).items():
        if times > 1:
            raise GraftbenchError(f"Tracker '{name}' is given {times} times; it shows a run once.")
    for tracker in found:
        tracker.check()
    return found


def _tracker(wanted: object) -> Tracker:
    if isinstance(wanted, Tracker):
        return wanted
    if isinstance(wanted, type) and issubclass(wanted, Tracker):
        return wanted()
    if not isinstance(wanted, str):
        raise GraftbenchError(f"A tracker is a name, a Tracker or its class; found {wanted!r}.")
    return Apart(wanted)


class Chosen:
    """The trackers of a run, found and checked before anything runs; none of them has done anything yet.

    Args:
        wanted: As in `find`.

    Raises:
        GraftbenchError: See there.
    """

    def __init__(self, wanted: Sequence[str | Tracker | type[Tracker]]) -> None:
        self._trackers = find(wanted)
        self._wanted = list(wanted)

    @contextmanager
    def following(self, told: Progress, suite: str, folder: Path, records: Iterable[Record] = ()) -> Iterator[Progress]:
        """Let the trackers hear what is said inside.

        Args:
            told: Who else is told; gets the trackers' own troubles.
            suite: The suite's name.
            folder: The run folder.
            records: Cells that were recorded before the first was started, by this driver.

        Yields:
            What is to be told in place of `told`.
        """
        if not self._trackers:
            yield told
            return
        group = group_of(suite, folder)
        sinks = [
            Sink(tracker, group, told.say, _again(folder, asked))
            for tracker, asked in zip(self._trackers, self._wanted, strict=True)
        ]
        for record in records:
            for sink in sinks:
                sink.ended(record)
        try:
            yield Told(told, sinks)
        except BaseException:
            _close(sinks, told, STOPPED_SECONDS)
            raise
        _close(sinks, told, END_SECONDS)


def _again(folder: Path, asked: object) -> str:
    """What sends the run to a tracker later."""
    if isinstance(asked, str):
        return shlex.join(["graftbench", "export", str(folder), "--tracker", asked])
    return f"graftbench.execution.trackers.replay.send({str(folder)!r}, [...])"


def _close(sinks: Sequence[Sink], told: Progress, seconds: float) -> None:
    """Wait for all of them together; Ctrl-C ends the wait and nothing else: every cell is recorded."""
    with suppress(KeyboardInterrupt):
        soon, until = (time.monotonic() + limit for limit in (min(QUIET_SECONDS, seconds), seconds))
        slow = [sink for sink in sinks if not sink.wait(soon - time.monotonic())]
        if slow and seconds > QUIET_SECONDS:
            names = " and ".join(f"'{sink.name}'" for sink in slow)
            told.say(f"Waiting {seconds:.0f} s at most until {names} has everything; Ctrl-C ends only the wait.")
        for sink in slow:
            sink.wait(until - time.monotonic())
    for sink in sinks:
        sink.close()


class Told:
    """Tells somebody and the trackers. The trackers' part never waits and never raises.

    Args:
        told: Somebody.
        sinks: The trackers.
    """

    def __init__(self, told: Progress, sinks: Sequence[Sink]) -> None:
        self._told, self._sinks = told, sinks

    def say(self, sentence: str) -> None:
        """Nothing for trackers."""
        self._told.say(sentence)

    def begin(self, total: int, done: int, statuses: Mapping[str, int] | None = None) -> None:
        """Nothing for trackers."""
        self._told.begin(total, done, statuses)

    def plan(self, waiting: Iterable[CellSpec], expected: Callable[[CellSpec], float | None] | None = None) -> None:
        """Nothing for trackers."""
        self._told.plan(waiting, expected)

    def started(self, cell: CellSpec, folder: Path | None) -> None:
        """A cell was started."""
        self._told.started(cell, folder)
        for sink in self._sinks:
            sink.started(cell, folder)

    def ended(self, record: Record, seconds: float) -> None:
        """A cell's record is on the disk."""
        self._told.ended(record, seconds)
        for sink in self._sinks:
            sink.ended(record)

    def stopping(self, first: bool) -> None:  # noqa: FBT001 - see Progress
        """Nothing for trackers."""
        self._told.stopping(first)
