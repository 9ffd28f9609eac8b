"""What cells are going to take, from what past cells took: seconds, memory, and the wall time of a whole run.

No torch here, and nothing is read from the disk: records, or their heads, come in and numbers go out.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Protocol

from graftbench.records.cell_spec import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from graftbench.records.cell_spec import CellSpec, ComputeBudget


class _Cost(Protocol):
    @property
    def device(self) -> str: ...
    @property
    def fit_seconds(self) -> float | None: ...
    @property
    def peak_memory_mib(self) -> float | None: ...


class RecordedCost(Protocol):
    """What is needed of a record, or of its head."""

    @property
    def cell(self) -> CellSpec:
        """The cell."""
        ...

    @property
    def status(self) -> str:
        """How it ended."""
        ...

    @property
    def resources(self) -> _Cost | None:
        """What it cost."""
        ...

    @property
    def wall_seconds(self) -> float | None:
        """From the start of its process to the end."""
        ...


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
        self._groups = _grouped(records)
        self._known: dict[tuple[Callable, tuple], CellEstimate] = {}

    @classmethod
    def of(cls, records: Iterable[RecordedCost], device: str | None = None) -> Estimates:
        """From records or their heads.

        Args:
            records: Those of failed cells, of images that were handed in and of other devices are left out.
            device: As in `Resources.device`; None for the one with the most `ok` records, the later one of two equal.
        """
        ok = [
            record
            for record in records
            if record.status == "ok" and record.resources is not None and record.cell.variant_of != SAMPLES
        ]
        if device is None:
            devices = Counter(_device(record) for record in reversed(ok))
            device = devices.most_common(1)[0][0] if devices else ""
        return cls([record for record in ok if _device(record) == device], device)

    def seconds(self, cell: CellSpec) -> float | None:
        """Return the expected seconds from the start of the cell's process to its end, or None."""
        return self.time(cell).value

    def memory_mib(self, cell: CellSpec) -> float | None:
        """Return the expected peak memory of the fit in MiB: of the device on CUDA, resident on a CPU; or None."""
        return self.memory(cell).value

    def time(self, cell: CellSpec) -> CellEstimate:
        """As `seconds`, with what it rests on."""
        return self._first(cell, _seconds)

    def memory(self, cell: CellSpec) -> CellEstimate:
        """As `memory_mib`, with what it rests on."""
        return self._first(cell, _memory)

    def _first(
        self, cell: CellSpec, measure: Callable[[Sequence[RecordedCost], ComputeBudget], CellEstimate]
    ) -> CellEstimate:
        """Return the answer of the first group that has one; remembered, for thousands of cells ask the same."""
        asked = measure, (cell.method, cell.task.resolution, cell.compute_budget)
        if asked not in self._known:
            self._known[asked] = next(
                (
                    CellEstimate(found.value, found.records, basis, found.fit_only)
                    for basis, key in _levels(cell)
                    if (found := measure(self._groups.get(key, ()), cell.compute_budget)).value is not None
                ),
                CellEstimate(),
            )
        return self._known[asked]


def makespan(seconds: Iterable[float], jobs: int) -> float:
    """Wall time in seconds of jobs that are started in order, each in the first of `jobs` slots that is free."""
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


def _grouped(records: Sequence[RecordedCost]) -> dict[_Key, list[RecordedCost]]:
    groups: defaultdict[_Key, list[RecordedCost]] = defaultdict(list)
    for record in records:
        for _basis, key in _levels(record.cell):
            groups[key].append(record)
    return groups


def _device(record: RecordedCost) -> str:
    assert record.resources is not None
    return record.resources.device


def _seconds(records: Sequence[RecordedCost], budget: ComputeBudget) -> CellEstimate:
    """Median wall time, the fit scaled to a budget; of the fits alone where no record has a wall time."""
    walls = [_scaled(r, budget) for r in records if r.wall_seconds is not None]
    found = walls or [_scaled(r, budget) for r in records]
    return CellEstimate(median(found), len(found), fit_only=not walls) if found else CellEstimate()


def _scaled(record: RecordedCost, budget: ComputeBudget) -> float:
    """Return a record's seconds, had its fit had that budget."""
    assert record.resources is not None
    fit = record.resources.fit_seconds or 0.0
    wall = fit if record.wall_seconds is None else record.wall_seconds
    return wall + fit * (_ratio(budget, record.cell.compute_budget) - 1)


def _ratio(one: ComputeBudget, other: ComputeBudget) -> float:
    """How many times larger one budget is than the other; 1 where they are in different units."""
    for name in one.__struct_fields__:
        mine, theirs = getattr(one, name), getattr(other, name)
        if mine is not None and theirs is not None:
            return mine / theirs
    return 1.0


def _memory(records: Sequence[RecordedCost], _budget: ComputeBudget) -> CellEstimate:
    found = [r.resources.peak_memory_mib for r in records if r.resources is not None]
    known = [peak for peak in found if peak is not None]
    return CellEstimate(median(known), len(known)) if known else CellEstimate()
