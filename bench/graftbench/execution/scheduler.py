"""Decides which cell runs when: side by side while there is room, and again where a retry can help."""

from __future__ import annotations

import signal
import threading
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import msgspec

from graftbench.errors import GraftbenchError
from graftbench.execution.job import EXIT_DISK_FULL, LOG, RESULT, Cause, CellJob, log_tail, new_record
from graftbench.execution.run_folder import read_result
from graftbench.records.record import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from graftbench.execution.executors import Executor
    from graftbench.execution.job import Ended
    from graftbench.execution.progress import Progress
    from graftbench.records.cell_spec import CellSpec, Origin
    from graftbench.records.record import Record
    from graftbench.suites.suite import CellLimits

LOG_TAIL_CHARACTERS = 4000

TRIES_WHEN_LOST = 3
"""Most starts of a cell whose machine or starting process died: that is not the cell's fault."""


@dataclass(frozen=True)
class Waiting:
    """A cell that has to run.

    Attributes:
        cell: The cell.
        attempts: How often it has been started.
        folder: A job folder with a checkpoint to resume from.
    """

    cell: CellSpec
    attempts: int = 0
    folder: Path | None = None


@dataclass
class _Started:
    waiting: Waiting
    folder: Path
    alone: bool = True
    """No other cell has run at the same time."""


class Stop:
    """The user's wish to end the run: after the running cells (first Ctrl-C), or at once (second Ctrl-C)."""

    def __init__(self, notify: Callable[[], None]) -> None:
        self.requested = False
        self._notify = notify

    @contextmanager
    def listening(self) -> Iterator[Stop]:
        """Handle SIGINT and SIGTERM (at once) inside; only the main thread of a program can."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, _: object) -> None:
        if self.requested or number == signal.SIGTERM:
            raise KeyboardInterrupt
        self.requested = True
        self._notify()


@dataclass(kw_only=True)
class Scheduler:
    """Starts cells and hands their records to the driver, which alone writes them.

    Attributes:
        executor: Runs the cells.
        work: Makes an empty folder for a cell's job.
        job: (cell, job folder) -> its job.
        keep: Records a cell: (record, job folder).
        limits: Hard limits per cell.
        progress: Hears what happens.
        stop: Says whether the user wants the run to end.
        environment: Describes the environment, for the records of cells that left none.
        expected_mib: Cell -> memory that it is expected to hold, None where nobody knows.
        origins: Method -> who makes its generators, where that is not the suite.
    """

    executor: Executor
    work: Callable[[str], Path]
    job: Callable[[CellSpec, Path], CellJob]
    keep: Callable[[Record, Path], None]
    limits: CellLimits
    progress: Progress
    stop: Stop
    environment: Callable[[], dict[str, Any]]
    expected_mib: Callable[[CellSpec], float | None] = lambda _: None
    origins: Mapping[str, Origin] = field(default_factory=dict)
    _started: dict[str, _Started] = field(default_factory=dict)

    def run(self, cells: Sequence[Waiting]) -> None:
        """Run cells until all are recorded, or the user wants to stop and the running ones are."""
        waiting, alone = deque(cells), deque[Waiting]()
        while self._started or ((waiting or alone) and not self.stop.requested):
            if not self.stop.requested:
                self._fill(waiting, alone)
            for ended in self.executor.wait(0.2):
                if (retry := self._collect(ended)) is not None:
                    alone.append(retry)

    def _fill(self, waiting: deque[Waiting], alone: deque[Waiting]) -> None:
        """Start cells while there is room; those that have to run alone come last."""
        while waiting and self.executor.room(self.expected_mib(waiting[0].cell)):
            self._start(waiting.popleft())
        if alone and not waiting and not self._started:
            self._start(alone.popleft())

    def _start(self, waiting: Waiting) -> None:
        cell = waiting.cell
        folder = waiting.folder or self.work(cell.id)
        (folder / RESULT).unlink(missing_ok=True)  # of an earlier attempt
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
        killed = ended.cause in (Cause.TIME, Cause.MEMORY)  # a result from after the limit does not count
        result = None if killed else read_result(started.folder, cell.id)
        record = result or self._record_of_dead(cell, ended, started.folder)
        if self._retry_helps(record, ended, started):
            return replace(started.waiting, folder=started.folder)
        attempts = started.waiting.attempts
        record = msgspec.structs.replace(record, wall_seconds=round(ended.seconds, 3), attempts=attempts)
        self.keep(record, started.folder)
        self.progress.ended(record, ended.seconds)
        return None

    def _retry_helps(self, record: Record, ended: Ended, started: _Started) -> bool:
        """Return whether to try a cell again: it was lost, or it lacked memory that its neighbours held."""
        if record.status == Status.LOST:
            return started.waiting.attempts < TRIES_WHEN_LOST
        own_limit = ended.cause == Cause.MEMORY and self.limits.memory_mib is not None
        crowded = record.status == Status.OOM and not started.alone and not own_limit
        return crowded and started.waiting.attempts == 1

    def _record_of_dead(self, cell: CellSpec, ended: Ended, folder: Path) -> Record:
        """Make the record of a cell whose process left none."""
        status, reason = _status(ended)
        return new_record(
            cell,
            status,
            self.environment(),
            reason=ended.detail or reason,
            exit_code=ended.exit_code,
            log_tail=log_tail(folder, LOG_TAIL_CHARACTERS),
            origin=self.origins.get(cell.method, ""),
            artifacts={"log": f"cells/{cell.id}/{LOG}"},
        )


def _status(ended: Ended) -> tuple[Status, str]:
    """Return the status of a cell that left no record, and the reason in a sentence."""
    if ended.cause == Cause.TIME:
        return Status.TIMEOUT, "killed because its time was up"
    if ended.cause == Cause.MEMORY:
        return Status.OOM, "killed for want of memory"
    if ended.cause == Cause.LOST or ended.exit_code is None:
        return Status.LOST, "the machine or the process that started the cell is gone"
    if ended.exit_code < 0:
        number = -ended.exit_code
        name = signal.Signals(number).name if number in list(signal.Signals) else "unknown"
        return Status.KILLED, f"the cell's process was ended by signal {number} ({name})"
    return Status.ERROR, f"the cell's process ended with code {ended.exit_code} and left no record"
