"""The remaining time of a run: from finished cells, from expectations, and from the progress of running cells."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from graftbench.records.record import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from graftbench.records.cell_spec import CellSpec

FULL_DURATION = (Status.OK, Status.TIMEOUT)
"""Statuses whose duration says something about other cells: a cell that fails may fail at once."""


@dataclass
class _Durations:
    """Sums over finished cells; for those with an expectation, of both their seconds and the expected seconds."""

    count: int = 0
    seconds: float = 0.0
    expected: float = 0.0
    expected_seconds: float = 0.0

    def add(self, seconds: float, expected: float | None) -> None:
        self.count += 1
        self.seconds += seconds
        if expected:
            self.expected += expected
            self.expected_seconds += seconds

    @property
    def mean(self) -> float | None:
        """Return the mean seconds of a cell; None where none has ended."""
        return self.seconds / self.count if self.count else None

    @property
    def pace(self) -> float | None:
        """Return measured seconds per expected second; None where nothing was expected."""
        return self.expected_seconds / self.expected if self.expected else None


@dataclass
class _WaitingCells:
    """Waiting cells of a method: the sum of their expected seconds, and how many have no expectation."""

    expected: float = 0.0
    unknown: int = 0


@dataclass
class Running:
    """A running cell.

    Attributes:
        since: When it was started, by the run's clock.
        share: Share of its budget that it has spent, 0 to 1, by its last report; None before the first.
        heard: When it last reported.
        first: (when, share) of its first report: a cell that resumes from a checkpoint starts in the middle.
    """

    since: float
    share: float | None = None
    heard: float = 0.0
    first: tuple[float, float] | None = None

    def hear(self, now: float, share: float) -> None:
        """Note a reported share."""
        self.share, self.heard = share, now
        if self.first is None:
            self.first = now, share

    def seconds_by_share(self, now: float) -> float | None:
        """Extrapolate the seconds until the budget is spent; None until the share has grown by a hundredth."""
        if self.share is None or self.first is None:
            return None
        first_time, first_share = self.first
        if self.share - first_share < 0.01 or self.heard <= first_time:
            return None
        # (1 − share) / rate, rate = Δshare / Δtime, as of the last report; since then time has passed.
        seconds_then = (1 - self.share) * (self.heard - first_time) / (self.share - first_share)
        return max(0.0, seconds_then - (now - self.heard))


@dataclass
class Remaining:
    """The remaining time of a run.

    A cell is taken to last its expected seconds times the pace of its method: measured by expected seconds of the
    cells that have ended (of all methods, where none of its own has). Without an expectation it is taken to last as
    long as its method's cells on average; where none of these has ended, as all cells.

    Attributes:
        jobs: Cells side by side.
        expected: Cell -> its expected seconds by the records of earlier runs, or None.
    """

    jobs: int = 1
    expected: Callable[[CellSpec], float | None] = lambda _: None
    _all: _Durations = field(default_factory=_Durations)
    _methods: dict[str, _Durations] = field(default_factory=lambda: defaultdict(_Durations))
    _waiting: dict[str, _WaitingCells] = field(default_factory=lambda: defaultdict(_WaitingCells))
    _cells: dict[str, tuple[str, float | None]] = field(default_factory=dict)

    def wait_for(self, cells: Iterable[CellSpec]) -> None:
        """Add cells that are going to run."""
        for cell in cells:
            expected = self.expected(cell)
            self._cells[cell.id] = cell.method, expected
            self._count(cell.method, expected, 1)

    def take(self, cell_id: str) -> None:
        """Count a cell no longer among the waiting."""
        if (waiting := self._cells.pop(cell_id, None)) is not None:
            self._count(*waiting, -1)

    def _count(self, method: str, expected: float | None, sign: int) -> None:
        waiting = self._waiting[method]
        if expected is None:
            waiting.unknown += sign
        else:
            waiting.expected += sign * expected

    def ended(self, cell: CellSpec, status: Status, seconds: float) -> None:
        """Note that a cell ended after so many seconds; 0 where it did not run now."""
        if status in FULL_DURATION and seconds > 0:
            expected = self.expected(cell)
            self._all.add(seconds, expected)
            self._methods[cell.method].add(seconds, expected)

    def seconds_of(self, cell: CellSpec) -> float | None:
        """Estimate how long a cell takes from its start; None where nothing is known."""
        expected = self.expected(cell)
        return self._mean(cell.method) if expected is None else expected * self._pace(cell.method)

    def _pace(self, method: str) -> float:
        return self._methods[method].pace or self._all.pace or 1.0

    def _mean(self, method: str) -> float | None:
        mean = self._methods[method].mean
        return self._all.mean if mean is None else mean

    def _waiting_seconds(self) -> float | None:
        total = 0.0
        for method, waiting in self._waiting.items():
            mean = self._mean(method)
            if waiting.unknown and mean is None:
                return None
            total += waiting.expected * self._pace(method)
            total += waiting.unknown * (mean or 0.0)
        return total

    def of_running(self, cell: CellSpec, running: Running, now: float) -> float | None:
        """Estimate a running cell's remaining seconds: by its share where it reports one, else by its usual ones."""
        by_share = running.seconds_by_share(now)
        if by_share is not None:
            return by_share
        usual = self.seconds_of(cell)
        return None if usual is None else max(0.0, usual - (now - running.since))

    def seconds(
        self, running: Iterable[tuple[CellSpec, Running]], now: float, *, stopping: bool = False
    ) -> float | None:
        """Estimate the seconds until the last cell ends; None where that cannot be known.

        No schedule is simulated: the estimate is the remaining work spread over the jobs, or the rest of the longest
        running cell, whichever is more.

        Args:
            running: The running cells.
            now: The time by the run's clock.
            stopping: The waiting cells are not going to run.
        """
        rests = [self.of_running(cell, state, now) for cell, state in running]
        waiting = 0.0 if stopping else self._waiting_seconds()
        running_seconds = [rest for rest in rests if rest is not None]
        if waiting is None or len(running_seconds) < len(rests):
            return None
        longest = max(running_seconds, default=0.0)
        if stopping:
            return longest
        side_by_side = max(1, min(self.jobs, len(self._cells) + len(rests)))
        return max((waiting + sum(running_seconds)) / side_by_side, longest)
