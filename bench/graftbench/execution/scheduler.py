"""Which cell runs when: side by side while there is room, once more where a retry can mend what went wrong."""

from __future__ import annotations

import signal
import threading
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from graftbench.errors import GraftbenchError
from graftbench.execution.job import LOG, RESULT, Cause, CellJob
from graftbench.execution.run_folder import read_result
from graftbench.records.record import Record, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from graftbench.execution.executors import Executor
    from graftbench.execution.job import Ended
    from graftbench.execution.progress import Progress
    from graftbench.records.cell_spec import CellSpec, Origin
    from graftbench.suites.suite import Limits

LOG_TAIL_CHARACTERS = 4000

TRIES_WHEN_LOST = 3
"""A cell whose machine or starting process died is started so often in all: that is not the cell's fault."""

EXIT_DISK_FULL = 74
"""Exit code of a job that could not write (`graftbench.execution.worker`)."""


@dataclass(frozen=True)
class Waiting:
    """A cell that has to run.

    Attributes:
        cell: The cell.
        attempts: How often it was started already.
        folder: A job folder with a checkpoint to go on from.
    """

    cell: CellSpec
    attempts: int = 0
    folder: Path | None = None


@dataclass
class _Started:
    waiting: Waiting
    folder: Path
    alone: bool = True
    """Whether no other cell has run at the same time."""


class Stop:
    """Whether the user wants the run to end: after the running cells (first Ctrl-C), or at once (second Ctrl-C)."""

    def __init__(self, told: Callable[[], None]) -> None:
        self.wanted = False
        self._told = told

    @contextmanager
    def listening(self) -> Iterator[Stop]:
        """Handle SIGINT and SIGTERM (at once) inside; only the main thread of a program can."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        signal.signal(signal.SIGINT, self._interrupted)
        signal.signal(signal.SIGTERM, self._terminated)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _interrupted(self, *_: object) -> None:
        if self.wanted:
            raise KeyboardInterrupt
        self.wanted = True
        self._told()

    def _terminated(self, *_: object) -> None:
        raise KeyboardInterrupt


@dataclass(kw_only=True)
class Scheduler:
    """Starts cells and hands their records to the driver, which alone writes them.

    Attributes:
        executor: Runs the cells.
        work: Makes an empty folder for a cell's job.
        job: (cell, job folder) -> what its process is told.
        keep: Records a cell: (record, job folder).
        limits: Hard limits per cell.
        progress: Told what happens.
        stop: Whether the user wants the run to end.
        environment: What a record says about where it was made, for cells that could not say it themselves.
        expected_mib: Cell -> memory that it is expected to hold, None where nobody knows.
        origins: Method -> who makes its generators, where that is not the suite.
    """

    executor: Executor
    work: Callable[[str], Path]
    job: Callable[[CellSpec, Path], CellJob]
    keep: Callable[[Record, Path], None]
    limits: Limits
    progress: Progress
    stop: Stop
    environment: Callable[[], dict[str, Any]]
    expected_mib: Callable[[CellSpec], float | None] = lambda _: None
    origins: Mapping[str, Origin] = field(default_factory=dict)
    _started: dict[str, _Started] = field(default_factory=dict)

    def run(self, cells: Sequence[Waiting]) -> None:
        """Run cells until all are recorded, or the user wants to stop and the running ones are."""
        waiting, alone = deque(cells), deque[Waiting]()
        while self._started or ((waiting or alone) and not self.stop.wanted):
            if not self.stop.wanted:
                self._fill(waiting, alone)
            for ended in self.executor.wait(0.2):
                again = self._collect(ended)
                if again is not None:
                    alone.append(again)

    def _fill(self, waiting: deque[Waiting], alone: deque[Waiting]) -> None:
        """Start what there is room for; cells that have to run alone come last."""
        while waiting and self.executor.room(self.expected_mib(waiting[0].cell)):
            self._start(waiting.popleft())
        if alone and not waiting and not self._started:
            self._start(alone.popleft())

    def _start(self, waiting: Waiting) -> None:
        cell = waiting.cell
        folder = waiting.folder or self.work(cell.id)
        (folder / RESULT).unlink(missing_ok=True)  # of the try before
        self.executor.start(
            cell.id,
            self.job(cell, folder),
            folder,
            seconds=self.limits.cell_seconds,
            memory_mib=self.limits.memory_mib,
            expected_mib=self.expected_mib(cell),
        )
        started = _Started(replace(waiting, attempts=waiting.attempts + 1), folder, alone=not self._started)
        for other in self._started.values():
            other.alone = False
        self._started[cell.id] = started
        self.progress.started(cell, folder)

    def _collect(self, ended: Ended) -> Waiting | None:
        """Record how a cell ended, or return it to be tried again.

        Raises:
            GraftbenchError: The disk is full.
        """
        started = self._started.pop(ended.key)
        cell = started.waiting.cell
        if ended.exit_code == EXIT_DISK_FULL:
            raise GraftbenchError(
                f"The disk is full: cell {cell} could not write ('{started.folder}'). Nothing recorded is lost; make "
                "room and run the same command again."
            )
        killed = ended.cause in (Cause.TIME, Cause.MEMORY)  # what it wrote meanwhile came after its end
        left = None if killed else read_result(started.folder, cell.id)
        record = left or self._dead(cell, ended, started.folder)
        if self._retry_mends(record, ended, started):
            return replace(started.waiting, folder=started.folder)
        record = msgspec.structs.replace(
            record, wall_seconds=round(ended.seconds, 3), attempts=started.waiting.attempts
        )
        self.keep(record, started.folder)
        self.progress.ended(record, ended.seconds)
        return None

    def _retry_mends(self, record: Record, ended: Ended, started: _Started) -> bool:
        """Whether the cell deserves another try: it was lost, or it lacked memory that its neighbours held."""
        if record.status == Status.LOST:
            return started.waiting.attempts < TRIES_WHEN_LOST
        own_limit = ended.cause == Cause.MEMORY and self.limits.memory_mib is not None
        crowded = record.status == Status.OOM and not started.alone and not own_limit
        return crowded and started.waiting.attempts == 1

    def _dead(self, cell: CellSpec, ended: Ended, folder: Path) -> Record:
        """The row of a cell whose process left no record."""
        status, reason = _status(ended)
        log = folder / LOG
        text = log.read_bytes()[-LOG_TAIL_CHARACTERS:].decode("utf-8", "replace") if log.exists() else ""
        return Record(
            id=cell.id,
            cell=cell,
            status=status,
            reason=ended.detail or reason,
            exit_code=ended.exit_code,
            log_tail=text,
            origin=self.origins.get(cell.method, ""),
            environment=self.environment(),
            artifacts={"log": f"cells/{cell.id}/{LOG}"},
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )


def _status(ended: Ended) -> tuple[Status, str]:
    """The status of a cell that left no record, and a sentence."""
    if ended.cause == Cause.TIME:
        return Status.TIMEOUT, "killed because its time was up"
    if ended.cause == Cause.MEMORY:
        return Status.OOM, "killed for want of memory"
    if ended.cause == Cause.LOST or ended.exit_code is None:
        return Status.LOST, "the machine or the process that started the cell is gone"
    if ended.exit_code < 0:
        return Status.KILLED, f"the cell's process was ended by signal {-ended.exit_code} ({_name(-ended.exit_code)})"
    return Status.ERROR, f"the cell's process ended with code {ended.exit_code} and left no record"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
