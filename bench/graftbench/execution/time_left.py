"""How long a run still takes: from the cells that have ended, from what was expected, and from what the running did."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from graftbench.records.record import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from graftbench.records.cell_spec import CellSpec

TELLING = (Status.OK, Status.TIMEOUT)
"""Endings whose duration says something about other cells: a cell that fails may fail at once."""


@dataclass
class _Ended:
    """Cells that have ended, summed up. Seconds of those with an expectation stand beside what was expected of them."""

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
        return self.seconds / self.count if self.count else None

    @property
    def pace(self) -> float | None:
        """Measured seconds per expected second."""
        return self.expected_seconds / self.expected if self.expected else None


@dataclass
class _Waiting:
    """Cells of a method that wait: the sum of what is expected of them, and the number of those without expectation."""

    expected: float = 0.0
    unknown: int = 0


@dataclass
class Running:
    """A running cell.

    Attributes:
        since: When it was started, by the run's clock.
        share: Share of its budget that it has spent, 0 to 1, when last heard of; None where nothing was heard.
        heard: When that was.
        first: (when, share) of the first that was heard: a cell that goes on from a checkpoint starts in the middle.
    """

    since: float
    share: float | None = None
    heard: float = 0.0
    first: tuple[float, float] | None = None

    def hear(self, now: float, share: float) -> None:
        """Take note of a share."""
        self.share, self.heard = share, now
        if self.first is None:
            self.first = now, share

    def by_share(self, now: float) -> float | None:
        """Seconds until the budget is spent at the rate so far; None until the share has grown by a hundredth."""
        if self.share is None or self.first is None:
            return None
        began, start = self.first
        if self.share - start < 0.01 or self.heard <= began:
            return None
        at_last = (1 - self.share) * (self.heard - began) / (self.share - start)
        return max(0.0, at_last - (now - self.heard))


@dataclass
class Remaining:
    """The remaining time of a run.

    A cell is taken to last what was expected of it, times how much longer than expected cells of its method have taken
    so far (of all methods, where none of its own has ended). Where nothing was expected, as long as its method's cells
    on average; where none of these has ended, as long as all.

    Attributes:
        jobs: Cells side by side.
        expected: Seconds expected of a cell, or None: from records of earlier runs.
    """

    jobs: int = 1
    expected: Callable[[CellSpec], float | None] = lambda _: None
    _all: _Ended = field(default_factory=_Ended)
    _methods: dict[str, _Ended] = field(default_factory=lambda: defaultdict(_Ended))
    _waiting: dict[str, _Waiting] = field(default_factory=lambda: defaultdict(_Waiting))
    _cells: dict[str, tuple[str, float | None]] = field(default_factory=dict)

    def wait_for(self, cells: Iterable[CellSpec]) -> None:
        """Cells that are going to run."""
        for cell in cells:
            expected = self.expected(cell)
            self._cells[cell.id] = cell.method, expected
            self._count(cell.method, expected, 1)

    def take(self, cell_id: str) -> None:
        """A cell waits no more."""
        if (found := self._cells.pop(cell_id, None)) is not None:
            self._count(*found, -1)

    def _count(self, method: str, expected: float | None, sign: int) -> None:
        waiting = self._waiting[method]
        if expected is None:
            waiting.unknown += sign
        else:
            waiting.expected += sign * expected

    def ended(self, cell: CellSpec, status: Status, seconds: float) -> None:
        """A cell ended after so many seconds; 0 where it did not run now."""
        if status in TELLING and seconds > 0:
            expected = self.expected(cell)
            self._all.add(seconds, expected)
            self._methods[cell.method].add(seconds, expected)

    def seconds_of(self, cell: CellSpec) -> float | None:
        """How long a cell takes; None where nothing is known."""
        expected = self.expected(cell)
        return self._mean(cell.method) if expected is None else expected * self._pace(cell.method)

    def _pace(self, method: str) -> float:
        return (self._methods[method].pace if method in self._methods else None) or self._all.pace or 1.0

    def _mean(self, method: str) -> float | None:
        found = self._methods[method].mean if method in self._methods else None
        return self._all.mean if found is None else found

    def _waiting_seconds(self) -> float | None:
        total = 0.0
        for method, waiting in self._waiting.items():
            total += waiting.expected * self._pace(method)
            if waiting.unknown:
                mean = self._mean(method)
                if mean is None:
                    return None
                total += waiting.unknown * mean
        return total

    def of_running(self, cell: CellSpec, running: Running, now: float) -> float | None:
        """How long a running cell still takes: by its share where it tells one, else what it usually takes."""
        by_share = running.by_share(now)
        if by_share is not None:
            return by_share
        usual = self.seconds_of(cell)
        return None if usual is None else max(0.0, usual - (now - running.since))

    def seconds(
        self, running: Iterable[tuple[CellSpec, Running]], now: float, *, stopping: bool = False
    ) -> float | None:
        """Seconds until the last cell ends; None where that cannot be known.

        No schedule is simulated: the work that is left, spread over the jobs, or what the longest of the running cells
        still takes, whichever is more.

        Args:
            running: The running cells.
            now: By the run's clock.
            stopping: The waiting cells are not going to run.
        """
        rests = [self.of_running(cell, state, now) for cell, state in running]
        known = [rest for rest in rests if rest is not None]
        if len(known) < len(rests):
            return None
        if stopping:
            return max(known, default=0.0)
        waiting = self._waiting_seconds()
        if waiting is None:
            return None
        side_by_side = max(1, min(self.jobs, len(self._cells) + len(rests)))
        return max((waiting + sum(known)) / side_by_side, *known, 0.0)
