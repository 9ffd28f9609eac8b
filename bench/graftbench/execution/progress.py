"""Shows a run while it runs: a live board on a terminal, plain lines in a log."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from graftbench.execution.board import Board, BoardLine, FailureLine, clock
from graftbench.execution.job import PROGRESS
from graftbench.records.record import CurvePoint, Snapshot, Status
from graftbench.suites.estimates import Remaining, Running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from rich.console import Console

    from graftbench.records.cell_spec import CellSpec
    from graftbench.records.record import Record

READ_SECONDS = 1.0
"""A running cell's progress.json is read at most this often."""


class Progress(Protocol):
    """The listener that `graftbench.run` reports to."""

    def say(self, sentence: str) -> None:
        """Report a sentence that is worth knowing."""

    def begin(self, total: int, done: int, statuses: Mapping[str, int] | None = None) -> None:
        """Begin a run of `total` cells, of which `done` have ended already; `statuses` says how, where it is known."""

    def plan(self, waiting: Iterable[CellSpec], expected: Callable[[CellSpec], float | None] | None = None) -> None:
        """Take note of the cells that are going to run, and of the seconds expected of one (None: nothing is known)."""

    def started(self, cell: CellSpec, folder: Path | None) -> None:
        """Report that a cell was started, for the first time or again; its job's folder may get a `progress.json`."""

    def ended(self, record: Record, seconds: float) -> None:
        """Report that a cell left its record; seconds from start to end, 0 where it did not run now."""

    def stopping(self, first: bool) -> None:  # noqa: FBT001 - the first Ctrl-C or the second: there is no other argument
        """Report that the run is asked to stop: after the running cells (`first`), or at once."""


class Silent(Progress):
    """A progress that shows nothing."""


class ReportedProgress(msgspec.Struct, frozen=True):
    """The progress of a running cell, in its progress.json.

    Attributes:
        share: Share of the budget that is spent, 0 to 1.
        images_seen: Training images shown.
        images_per_second: Of the fit.
        kid: KID of the newest snapshot.
        phase: `fit` or `score`.
    """

    share: float = 0.0
    images_seen: int = 0
    images_per_second: float | None = None
    kid: float | None = None
    phase: str = "fit"


class RunningCurves(msgspec.Struct, frozen=True):
    """The newest part of a running cell's curve, in its progress.json beside `ReportedProgress`.

    Attributes:
        curve: The newest points of the training log.
        snapshots: The snapshots so far.
    """

    curve: list[CurvePoint] = []
    snapshots: list[Snapshot] = []


_Part = TypeVar("_Part", ReportedProgress, RunningCurves)


def read_curves(folder: Path) -> RunningCurves:
    """Read the curves of a running cell; none where it has not written anything, or nothing readable."""
    return _read(folder, RunningCurves) or RunningCurves()


def read_report(folder: Path) -> ReportedProgress | None:
    """Read what a running cell reports; None where it has not written anything, or nothing readable."""
    report = _read(folder, ReportedProgress)
    return report and msgspec.structs.replace(report, share=min(1.0, max(0.0, report.share)))


def _read(folder: Path, kind: type[_Part]) -> _Part | None:
    try:
        return msgspec.json.decode((folder / PROGRESS).read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


class _RunningCell:
    """A running cell as the display knows it."""

    def __init__(self, cell: CellSpec, folder: Path | None, since: float) -> None:
        self.cell = cell
        self.folder = folder
        self.state = Running(since)
        self.report = ReportedProgress()
        self._read = -READ_SECONDS

    def read(self, now: float) -> None:
        """Read progress.json, if that is due."""
        if self.folder is None or now - self._read < READ_SECONDS:
            return
        self._read = now
        report = read_report(self.folder)
        if report is not None and report != self.report:
            self.report = report
            self.state.hear(now, report.share)

    def line(self, now: float) -> BoardLine:
        """Return the cell's line on the board."""
        cell, report = self.cell, self.report
        return BoardLine(
            method=cell.method,
            task=str(cell.task),
            images=cell.data_budget,
            seed=cell.seed,
            elapsed=now - self.state.since,
            share=self.state.share,
            scoring=report.phase == "score",
            images_per_second=report.images_per_second,
            kid=report.kid,
        )


class ConsoleProgress(Progress):
    """One line per finished cell; on a terminal, inside `live()`, a board that is drawn again and again instead.

    The board is drawn by a thread of rich's. What both threads touch is guarded by a lock that is never held while
    something is printed, for printing waits for the thread that draws. The lock can be taken twice by one thread:
    `stopping` may be called by a signal handler in the middle of another method.

    Args:
        console: Where to print.
        jobs: Cells side by side, for the estimate of the remaining time.
        clock: Seconds that never jump.
    """

    def __init__(self, console: Console, *, jobs: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._jobs = jobs
        self._clock = clock
        self._lock = threading.RLock()
        self._live = False
        self._over = False
        self._total = self._done = 0
        self._began = clock()
        self._statuses: dict[str, int] = {}
        self._failures: list[FailureLine] = []
        self._running: dict[str, _RunningCell] = {}
        self._remaining = Remaining(jobs)
        self._stopping = ""

    @contextmanager
    def live(self) -> Iterator[ConsoleProgress]:
        """Show the board while inside, if the console is a terminal that can; its last state stays on the screen."""
        if not self._console.is_terminal or self._console.is_dumb_terminal:
            yield self
            return
        from rich.live import Live  # noqa: PLC0415 - only on a terminal

        self._live = True
        try:
            with Live(get_renderable=self.board, console=self._console, refresh_per_second=4):
                try:
                    yield self
                finally:
                    self._over = True
        finally:
            self._live = False

    def say(self, sentence: str) -> None:
        """Print a sentence, above the board if there is one."""
        self._console.print(sentence, highlight=False, soft_wrap=True, markup=False)

    def begin(self, total: int, done: int, statuses: Mapping[str, int] | None = None) -> None:
        """Start the clock."""
        with self._lock:
            self._total, self._done, self._began = total, done, self._clock()
            self._statuses = dict(statuses or {})

    def plan(self, waiting: Iterable[CellSpec], expected: Callable[[CellSpec], float | None] | None = None) -> None:
        """Note the cells that are to run, for the remaining time."""
        with self._lock:
            self._remaining = Remaining(self._jobs, expected or (lambda _: None))
            self._remaining.wait_for(waiting)

    def started(self, cell: CellSpec, folder: Path | None) -> None:
        """Show a cell among the running."""
        with self._lock:
            self._running[cell.id] = _RunningCell(cell, folder, self._clock())
            self._remaining.take(cell.id)

    def ended(self, record: Record, seconds: float) -> None:
        """Count a finished cell; print its line where there is no board."""
        with self._lock:
            self._running.pop(record.id, None)
            self._remaining.take(record.id)
            self._remaining.ended(record.cell, record.status, seconds)
            self._done += 1
            self._statuses[record.status] = self._statuses.get(record.status, 0) + 1
            if record.status != Status.OK:
                self._failures.append(FailureLine(str(record.cell), str(record.status), record.reason))
                del self._failures[:-10]  # more than are ever shown
            line = "" if self._live else self._sentence(record, seconds)
        if line:
            self.say(line)

    def stopping(self, first: bool) -> None:  # noqa: FBT001 - see Progress
        """Say what Ctrl-C has done, and what it does when it is pressed again."""
        with self._lock:
            self._stopping = "first" if first else "second"
            notice = self._notice()
        if not self._live:
            self.say(notice)

    def _notice(self) -> str:
        if not self._stopping or self._over:
            return ""
        cells = f"{len(self._running)} running cell{'' if len(self._running) == 1 else 's'}"
        return f"finishing {cells}; Ctrl-C again stops at once" if self._stopping == "first" else f"stopping {cells}"

    def _sentence(self, record: Record, seconds: float) -> str:
        kid = record.score("kid")
        result = f"KID×10³ {kid.value * 1000:z.0f}" if kid and kid.value is not None else record.reason
        status = "" if record.status == Status.OK else f"{record.status}: "
        width = len(str(self._total))
        now = self._clock()
        for running in self._running.values():
            running.read(now)
        return (
            f"[{self._done:>{width}}/{self._total}] {record.cell}  {seconds:.1f} s  {status}{result}"
            f"  (elapsed {clock(now - self._began)}, remaining {self._remaining_time(now)})"
        )

    def _remaining_time(self, now: float) -> str:
        running = [(r.cell, r.state) for r in self._running.values()]
        seconds = self._remaining.seconds(running, now, stopping=bool(self._stopping))
        return "?" if seconds is None else f"about {clock(seconds)}"

    def board(self) -> Board:
        """Return the board as it stands."""
        now = self._clock()
        with self._lock:
            running = list(self._running.values())
        for cell in running:  # outside the lock: the driver does not wait for a slow disk
            cell.read(now)
        with self._lock:
            return Board(
                total=self._total,
                done=self._done,
                statuses=[(str(name), self._statuses[name]) for name in Status if self._statuses.get(name)],
                elapsed=now - self._began,
                remaining="" if self._over else self._remaining_time(now),
                notice=self._notice(),
                running=[] if self._over else [cell.line(now) for cell in running],
                failures=list(self._failures),
            )
