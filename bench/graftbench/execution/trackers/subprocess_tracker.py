"""A tracker in a process of its own: what it imports, prints, delays or breaks does not touch the run.

The packages that trackers need have hooks at the program's end that may wait for a network for minutes, ask for a
password, or start processes. Here they do so in a process that can be ended at any moment, with all that it started.
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
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from graftbench.execution.trackers.base import Failed, Tracker, words_of
from graftbench.execution.trackers.find import make_tracker
from graftbench.execution.trackers.group import FOLDER
from graftbench.resources import processes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.execution.trackers.base import TrackedCell, TrackedPoint, TrackedResult, TrackedRun

ORPHAN_SECONDS = 10.0
"""A tracker whose driver has died may take so long to send what it has."""


class SubprocessTracker(Tracker):
    """Passes every call on to a tracker in another process, and waits for it.

    What that process prints is in `trackers/NAME.log` of the run folder.

    Args:
        request: As the user wrote it: `NAME` or `NAME:key=value`.
    """

    def __init__(self, request: str) -> None:
        super().__init__()
        self._request = request
        self._tracker = make_tracker(request)  # for its name and checks; the other process makes its own
        self._process: subprocess.Popen[bytes] | None = None
        self.name = self._tracker.name  # pyright: ignore[reportAttributeAccessIssue] - one class for all of them

    def check(self) -> None:
        """Check as the tracker does, in this process: nothing heavy is imported."""
        self._tracker.check()

    def open(self, group: TrackedRun) -> None:
        """Start the process, in place of one that could not open, and open the tracker in it."""
        self.abandon()
        self._pipe, child_pipe = Pipe()
        command = [*processes.PYTHON, "-m", __name__, str(child_pipe.fileno()), str(ORPHAN_SECONDS)]
        with child_pipe, _open_log(group.folder / FOLDER / f"{self.name}.log") as log:
            self._process = subprocess.Popen(  # noqa: S603 - this very program
                command,
                pass_fds=[child_pipe.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the driver alone
            )
        try:
            self._call("open", self._request, group)
        except Failed:
            self.abandon()
            raise

    def begin(self, cell: TrackedCell) -> None:
        """Show a cell."""
        self._call("begin", cell)

    def points(self, cell: TrackedCell, points: Sequence[TrackedPoint]) -> None:
        """Add to a cell's curves."""
        self._call("points", cell, list(points))

    def end(self, cell: TrackedCell, result: TrackedResult) -> None:
        """Complete a cell."""
        self._call("end", cell, result)

    def close(self) -> None:
        """Close the tracker and wait for the end of its process."""
        try:
            self._call("close")
            self._pipe.close()
            if self._process is not None:  # its number stays its own until `abandon` has looked for its children
                os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """End the process and all that it started."""
        if self._process is not None and self._process.returncode is None:
            processes.kill_tree(self._process.pid)
            self._process.wait()

    def _call(self, method: str, *arguments: Any) -> None:  # noqa: ANN401 - of any method
        """Call a method of the tracker in the other process.

        Raises:
            Failed: The method raised, or the process has ended.
        """
        try:
            self._pipe.send((method, *arguments))
            error = self._pipe.recv()
        except (EOFError, OSError) as broken:
            self.abandon()
            raise Failed("its process has ended") from broken
        if error:
            raise Failed(error)


def _open_log(path: Path) -> IO[bytes]:
    """Open a log to append to; where it cannot be written, the null device."""
    try:
        return path.open("ab")
    except OSError:
        return Path(os.devnull).open("ab")


# ------------------------------------------------------------------------------------------------- the other process


def serve(pipe: Connection, orphan_seconds: float) -> None:
    """Carry out the driver's calls until the driver is gone; then close the tracker."""
    calls: queue.Queue[tuple[Any, ...] | None] = queue.Queue()
    threading.Thread(target=_listen, args=(pipe, calls, orphan_seconds), daemon=True).start()
    tracker: Tracker | None = None
    closed = False
    while (call := calls.get()) is not None:
        name, *arguments = call
        try:
            if name == "open":
                request, *arguments = arguments
                tracker = tracker or make_tracker(request)
            getattr(tracker, name)(*arguments)
            closed = name == "close"
            error = ""
        except Exception as raised:  # noqa: BLE001 - whatever it is, the driver reports it
            error = words_of(raised)
        with suppress(OSError):
            pipe.send(error)
    if tracker is not None and not closed:
        tracker.close()


def _listen(pipe: Connection, calls: queue.Queue[tuple[Any, ...] | None], orphan_seconds: float) -> None:
    """Queue the driver's calls. When it is gone, the call that lasts must not last for ever: set a timer."""
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
