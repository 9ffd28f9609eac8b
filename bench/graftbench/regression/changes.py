"""By how much paired values changed between two runs: pairs of cells, given to the test of `comparison.paired`."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from graftbench.comparison.paired import differences_of
from graftbench.comparison.stats import mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from graftbench.comparison.paired import Couple, PairedDifferences, Test
    from graftbench.records.record import Record
    from graftbench.regression.matching import Pair, Series
    from graftbench.regression.measures import Measure

    _Unit = Callable[[Record], float | None]


@dataclass(frozen=True)
class Change:
    """The change of a measure over pairs of cells.

    Attributes:
        base: Mean of the base's values.
        new: Mean of the new values.
        differences: Of new and base.
        better: -1 if lower is better, +1 if higher is.
    """

    base: float
    new: float
    differences: PairedDifferences
    better: int

    @property
    def worse(self) -> float:
        """Return the logarithm of the ratio of the new and the old, turned so that above zero is worse."""
        return -self.better * self.differences.log_ratio

    @property
    def interval(self) -> tuple[float, float] | None:
        """Return the 95 % interval of `worse`; None of one pair."""
        ends = self.differences.interval()
        if ends is None:
            return None
        return (ends.low, ends.high) if self.better < 0 else (-ends.high, -ends.low)


def change_of(
    pairs: Iterable[Pair],
    measure: Measure,
    *,
    test: Test = "student",
    unit: _Unit | None = None,
) -> Change | None:
    """Return the change of a measure over pairs of cells; None where no pair has it on both sides.

    A method that does not look at the data budget scores the same at each: such a pair counts once.

    Args:
        pairs: Cells that ended well on both sides.
        measure: What is read from their records; of several repeats the median of the changes, repeat by repeat.
        test: Which test.
        unit: What to divide a record's value by (the time of the calibration kernel); a record without one is left out.

    Raises:
        GraftbenchError: An unknown test.
    """
    series: dict[Series, list[Couple]] = defaultdict(list)
    medians: dict[Series, list[tuple[float, float]]] = defaultdict(list)
    counted: set[object] = set()
    draws: set[tuple[str, int]] = set()
    for pair in pairs:
        new, base = (_values(side, measure, unit) for side in (pair.new, pair.base))
        key = pair.method, pair.task, pair.seed, new, base
        if not base or not new or (measure.kind == "quality" and key in counted):
            continue
        counted.add(key)
        draws.add((pair.task, pair.seed))
        series[pair.series].append((new, base))
        raw = [median(_values(side, measure, None)) for side in (pair.base, pair.new)]
        medians[pair.series].append((raw[0], raw[1]))
    measured = measure.kind == "quality"
    differences = differences_of(series.values(), measured=measured, test=test, draws=len(draws) if measured else None)
    if differences is None:
        return None
    both = [pair for pairs in medians.values() for pair in pairs]
    base, new = mean([pair[0] for pair in both]), mean([pair[1] for pair in both])
    return Change(base, new, differences, measure.better)


def _values(
    records: Sequence[Record], measure: Measure, unit: Callable[[Record], float | None] | None
) -> tuple[float, ...]:
    values = []
    for record in records:
        value = measure.of(record)
        if value is not None and unit is not None:
            size = unit(record)
            value = None if not size else value * size if measure.better > 0 else value / size  # a rate, a duration
        if value is not None:
            values.append(value)
    return tuple(values)
