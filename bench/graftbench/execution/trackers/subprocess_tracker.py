"""A tracker in a process of its own: what it imports, prints, holds up or breaks is not the run's.

The packages that trackers need have hooks at the program's end that may wait for a network for minutes, ask for a
password, or start processes. Here they do so to a process that can be ended at any moment, with all that it started.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from typing import TYPE_CHECKING, Any

from graftbench.execution.trackers.base import Failed, Tracker, words_of
from graftbench.execution.trackers.find import asked_for
from graftbench.execution.trackers.group import FOLDER
from graftbench.resources import processes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.execution.trackers.base import TrackedCell, TrackedPoint, TrackedResult, TrackedRun

ORPHAN_SECONDS = 10.0
"""So long a tracker whose driver has died may take to send what it has."""


class Apart(Tracker):
    """A tracker by its name, in another process. Its prints are in `trackers/NAME.log` of the run folder.

    Args:
        written: As the user wrote it: `NAME` or `NAME:key=value`.
    """

    def __init__(self, written: str) -> None:
        super().__init__()
        self._there = asked_for(written)
        self._written = written
        self._process: subprocess.Popen[bytes] | None = None
        self.name = self._there.name  # pyright: ignore[reportAttributeAccessIssue] - one class for all of them

    def check(self) -> None:
        """As the tracker does: nothing heavy is imported."""
        self._there.check()

    def open(self, group: TrackedRun) -> None:
        """Start the process, in place of one that could not open."""
        self.abandon()
        ours, theirs = Pipe()
        try:
            log = (group.folder / FOLDER / f"{self.name}.log").open("ab")
        except OSError:
            log = open(os.devnull, "ab")  # noqa: PTH123, SIM115 - closed below
        with theirs, log:
            self._process = subprocess.Popen(  # noqa: S603 - this very program
                [
                    sys.executable,
                    "-m",
                    "graftbench.execution.trackers.subprocess_tracker",
                    str(theirs.fileno()),
                    str(ORPHAN_SECONDS),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is the driver's to understand
            )
        self._pipe = ours
        try:
            self._call("open", self._written, group)
        except Failed:
            self.abandon()
            raise

    def begin(self, cell: TrackedCell) -> None:
        """There."""
        self._call("begin", cell)

    def points(self, cell: TrackedCell, points: Sequence[TrackedPoint]) -> None:
        """There."""
        self._call("points", cell, list(points))

    def end(self, cell: TrackedCell, result: TrackedResult) -> None:
        """There."""
        self._call("end", cell, result)

    def close(self) -> None:
        """There; then the process is over."""
        try:
            self._call("close")
            self._pipe.close()
            if self._process is not None:  # its number stays its own until `abandon` has looked for its children
                os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """End the process and what it started."""
        if self._process is not None and self._process.returncode is None:
            processes.kill_tree(self._process.pid)
            self._process.wait()

    def _call(self, *call: Any) -> None:  # noqa: ANN401 - a method's name and its arguments
        try:
            self._pipe.send(call)
            error = self._pipe.recv()
        except (EOFError, OSError) as broken:
            self.abandon()
            raise Failed("its process has ended") from broken
        if error:
            raise Failed(error)


# ------------------------------------------------------------------------------------------------- the other process


def serve(pipe: Connection, orphan_seconds: float) -> None:
    """Do what the driver says until it is gone."""
    calls: queue.Queue[tuple[Any, ...] | None] = queue.Queue()
    threading.Thread(target=_listen, args=(pipe, calls, orphan_seconds), daemon=True).start()
    tracker: Tracker | None = None
    closed = False
    while (call := calls.get()) is not None:
        name, *arguments = call
        try:
            if name == "open":
                written, *arguments = arguments
                tracker = tracker or asked_for(written)
            getattr(tracker, name)(*arguments)
            closed = name == "close"
            error = ""
        except Exception as raised:  # noqa: BLE001 - whatever it is, the driver says it
            error = words_of(raised)
        with suppress(OSError):
            pipe.send(error)
    if tracker is not None and not closed:
        tracker.close()


def _listen(pipe: Connection, calls: queue.Queue[tuple[Any, ...] | None], orphan_seconds: float) -> None:
    """Hear at once that the driver is gone, also while a call lasts: then it must not last for ever."""
    with suppress(EOFError, OSError):
        while True:
            calls.put(pipe.recv())
    calls.put(None)
    end = threading.Timer(orphan_seconds, _end)
    end.daemon = True
    end.start()


def _end() -> None:
    """End this process and all that it has started."""
    family = processes.Family(os.getpid())
    family.look(processes.table())
    family.kill(spare=os.getpid())
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])), float(sys.argv[2]))
