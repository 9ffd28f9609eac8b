"""The time and memory that cells take: by past records, and, while a run goes on, by what its own cells took.

No torch here, and nothing is read from the disk: records, or their heads, come in and numbers go out.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING

from graftbench.records.cell_spec import SAMPLES
from graftbench.records.record import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from graftbench.records.cell_spec import CellSpec, ComputeBudget
    from graftbench.records.heads import Head
    from graftbench.records.record import Record

    RecordedCost = Record | Head
    """What estimates rest on: a record, or its head."""

FULL_DURATION = (Status.OK, Status.TIMEOUT)
"""Statuses whose duration says something about other cells: a cell that fails may fail at once."""


@dataclass(frozen=True)
class CellEstimate:
    """A number and what it rests on.

    Attributes:
        value: The median, or None where nothing is known.
        records: How many records it is the median of.
        basis: Which: `same method and budget`, `same method, scaled by budget`, `all methods`; empty if none.
        fit_only: Seconds of the fit alone: none of those records says how long its process took, which is some
            seconds more (start, sampling, scoring).
    """

    value: float | None = None
    records: int = 0
    basis: str = ""
    fit_only: bool = False


@dataclass(frozen=True)
class WallTime:
    """The expected time of several cells.

    Attributes:
        seconds: From the first start to the last end, of the cells that something is known of; None if of none, 0
            without cells.
        cell_seconds: The sum over the cells that something is known of.
        unknown: How many of the cells nothing is known of.
    """

    seconds: float | None
    cell_seconds: float
    unknown: int


class Estimates:
    """Expected seconds and memory of cells, as medians over records that say it.

    Asked of a cell, the first of these groups of records that is not empty answers: the same method and compute
    budget at the same resolution; the same method at that resolution, the fit scaled by the budget; the same method
    and budget at any resolution; the same method, scaled; all methods at that resolution, scaled; everything, scaled.
    A fit is scaled in proportion to the budget, where both are in one unit (thousands of images, seconds, FLOPs);
    what a process takes beside its fit is not, and memory neither.

    Only cells that ended `ok` count: the others ended at once, or at a limit. Times and memory of two devices do not
    mix either.

    Attributes:
        device: The device that the records are from (`cpu`, or the CUDA device's name); empty if there is none.
        records: How many records of that device were `ok`.
    """

    def __init__(self, records: Sequence[RecordedCost], device: str) -> None:
        self.device = device
        self.records = len(records)
        self._groups: defaultdict[_Key, list[RecordedCost]] = defaultdict(list)
        for record in records:
            for _basis, key in _levels(record.cell):
                self._groups[key].append(record)
        self._answers: dict[tuple[Callable, tuple], CellEstimate] = {}

    @classmethod
    def of(cls, records: Iterable[RecordedCost], device: str | None = None) -> Estimates:
        """Return the estimates of one device.

        Args:
            records: Those of failed cells, of images that were handed in and of other devices are left out.
            device: As in `Resources.device`; None for the one with the most `ok` records, the later one of two equal.
        """
        by_device = cls.by_device(records)
        if device is None and by_device:
            return max(by_device.values(), key=lambda estimates: estimates.records)
        return by_device.get(device or "", cls([], device or ""))

    @classmethod
    def by_device(cls, records: Iterable[RecordedCost]) -> dict[str, Estimates]:
        """Return the estimates of each device that there are records of, the device of the latest record first."""
        by_device: defaultdict[str, list[RecordedCost]] = defaultdict(list)
        for record in reversed(list(records)):
            if record.status == Status.OK and record.resources is not None and record.cell.variant_of != SAMPLES:
                by_device[record.resources.device].append(record)
        return {device: cls(measured, device) for device, measured in by_device.items()}

    def seconds(self, cell: CellSpec) -> float | None:
        """Return the expected seconds from the start of the cell's process to its end, or None."""
        return self.time(cell).value

    def memory_mib(self, cell: CellSpec) -> float | None:
        """Return the expected peak memory of the fit in MiB: of the device on CUDA, resident on a CPU; or None."""
        return self.memory(cell).value

    def time(self, cell: CellSpec) -> CellEstimate:
        """Return `seconds` with what it rests on."""
        return self._first(cell, _seconds)

    def memory(self, cell: CellSpec) -> CellEstimate:
        """Return `memory_mib` with what it rests on."""
        return self._first(cell, _memory)

    def wall_time(self, cells: Sequence[CellSpec], jobs: int) -> WallTime:
        """Return the expected wall time of cells that are started in order, `jobs` of them side by side."""
        seconds = [s for cell in cells if (s := self.seconds(cell)) is not None]
        wall = makespan(seconds, jobs) if seconds or not cells else None
        return WallTime(wall, sum(seconds), len(cells) - len(seconds))

    def _first(
        self, cell: CellSpec, measure: Callable[[Sequence[RecordedCost], ComputeBudget], CellEstimate]
    ) -> CellEstimate:
        """Return the answer of the first group that has one; remembered, for thousands of cells ask the same."""
        question = measure, (cell.method, cell.task.resolution, cell.compute_budget)
        if question not in self._answers:
            answers = ((basis, measure(self._groups.get(key, ()), cell.compute_budget)) for basis, key in _levels(cell))
            self._answers[question] = next(
                (replace(answer, basis=basis) for basis, answer in answers if answer.value is not None), CellEstimate()
            )
        return self._answers[question]


def makespan(seconds: Iterable[float], jobs: int) -> float:
    """Return the wall time in seconds of jobs started in order, each in the first of `jobs` slots that is free."""
    slots = [0.0] * max(1, jobs)
    for duration in seconds:
        heapq.heapreplace(slots, slots[0] + duration)
    return max(slots)


_Key = tuple[str | None, int | None, "ComputeBudget | None"]
"""Method, resolution, compute budget; None: any."""


def _levels(cell: CellSpec) -> tuple[tuple[str, _Key], ...]:
    """Return what an estimate may rest on, the best first."""
    method, side, budget = cell.method, cell.task.resolution, cell.compute_budget
    return (
        ("same method and budget", (method, side, budget)),
        ("same method, scaled by budget", (method, side, None)),
        ("same method and budget, another resolution", (method, None, budget)),
        ("same method, scaled by budget, another resolution", (method, None, None)),
        ("all methods", (None, side, None)),
        ("all methods, another resolution", (None, None, None)),
    )


def _seconds(records: Sequence[RecordedCost], budget: ComputeBudget) -> CellEstimate:
    """Return the median wall time, the fit scaled to a budget; of the fits alone where no record has a wall time."""
    walls = [_scaled(r, budget) for r in records if r.wall_seconds is not None]
    seconds = walls or [_scaled(r, budget) for r in records]
    return CellEstimate(median(seconds), len(seconds), fit_only=not walls) if seconds else CellEstimate()


def _scaled(record: RecordedCost, budget: ComputeBudget) -> float:
    """Return a record's seconds, had its fit had that budget."""
    assert record.resources is not None
    fit = record.resources.fit_seconds or 0.0
    wall = fit if record.wall_seconds is None else record.wall_seconds
    return wall + fit * (_ratio(budget, record.cell.compute_budget) - 1)


def _ratio(one: ComputeBudget, other: ComputeBudget) -> float:
    """Return how many times larger one budget is than the other; 1 where they are in different units."""
    for name in one.__struct_fields__:
        mine, theirs = getattr(one, name), getattr(other, name)
        if mine is not None and theirs is not None:
            return mine / theirs
    return 1.0


def _memory(records: Sequence[RecordedCost], _budget: ComputeBudget) -> CellEstimate:
    costs = [r.resources for r in records if r.resources is not None]
    peaks = [cost.peak_memory_mib for cost in costs if cost.peak_memory_mib is not None]
    return CellEstimate(median(peaks), len(peaks)) if peaks else CellEstimate()


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
class _Rate:
    """Measured seconds by work of cells that have ended."""

    work: float = 0.0
    seconds: float = 0.0

    def add(self, work: float, seconds: float) -> None:
        self.work += work
        self.seconds += seconds

    @property
    def value(self) -> float | None:
        return self.seconds / self.work if self.work else None


def _work(expected: float | None) -> float:
    """Return the work of a cell: its expected seconds; 1 where nothing is expected, so that cells are counted."""
    return 1.0 if expected is None else expected


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
    # By method (None: all) and by whether something was expected of the cells.
    _rates: defaultdict[tuple[str | None, bool], _Rate] = field(default_factory=lambda: defaultdict(_Rate))
    _waiting: defaultdict[tuple[str, bool], float] = field(default_factory=lambda: defaultdict(float))
    _cells: dict[str, tuple[str, float | None]] = field(default_factory=dict)

    def wait_for(self, cells: Iterable[CellSpec]) -> None:
        """Add cells that are going to run."""
        for cell in cells:
            expected = self.expected(cell)
            self._cells[cell.id] = cell.method, expected
            self._waiting[cell.method, expected is not None] += _work(expected)

    def take(self, cell_id: str) -> None:
        """Count a cell no longer among the waiting."""
        if cell_id in self._cells:
            method, expected = self._cells.pop(cell_id)
            self._waiting[method, expected is not None] -= _work(expected)

    def ended(self, cell: CellSpec, status: Status, seconds: float) -> None:
        """Note that a cell ended after so many seconds; 0 where it did not run now."""
        if status not in FULL_DURATION or seconds <= 0:
            return
        expected = self.expected(cell)
        for method in (cell.method, None):
            self._rates[method, False].add(1.0, seconds)
            if expected:
                self._rates[method, True].add(expected, seconds)

    def seconds_of(self, cell: CellSpec) -> float | None:
        """Estimate how long a cell takes from its start; None where nothing is known."""
        expected = self.expected(cell)
        rate = self._rate(cell.method, is_expected=expected is not None)
        return None if rate is None else _work(expected) * rate

    def _rate(self, method: str, *, is_expected: bool) -> float | None:
        """Return the seconds by work of a method, else of all; without either 1 by expected second, None by cell."""
        rates = (self._rates[of, is_expected].value for of in (method, None))
        return next((rate for rate in rates if rate is not None), 1.0 if is_expected else None)

    def _waiting_seconds(self) -> float | None:
        total = 0.0
        for (method, is_expected), work in self._waiting.items():
            rate = self._rate(method, is_expected=is_expected)
            if work and rate is None:
                return None
            total += work * (rate or 0.0)
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
