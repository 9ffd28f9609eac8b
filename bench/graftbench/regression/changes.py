"""By how much paired values changed, and whether that is more than noise."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from scipy.special import nctdtr, stdtr, stdtrit

from graftbench.comparison.stats import sign_flip_test
from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from graftbench.records.record import Record
    from graftbench.regression.matching import Pair, Series
    from graftbench.regression.measures import Measure

    _Unit = Callable[[Record], float | None]

Test = Literal["student", "sign-flip"]
POWER = 0.8
"""With which chance a change of the threshold's size should be found by as many pairs as are said to be needed."""
MOST_PAIRS = 10_000
SAME = 1e-9
"""Changes that differ by no more than this share of the largest are the same: what is left is rounding."""


@dataclass(frozen=True)
class Change:
    """Relative changes of paired values, turned so that above zero is worse.

    Attributes:
        n: Number of pairs.
        base: Mean of the base's values.
        new: Mean of the new values.
        mean: Mean change relative to the mean size of both sides.
        sd: Standard deviation of the pairs' changes; None of one pair.
        p_worse: One-sided p of "it is not worse"; None where there are too few pairs for any p.
        p_better: Likewise of "it is not better".
    """

    n: int
    base: float
    new: float
    mean: float
    sd: float | None
    p_worse: float | None
    p_better: float | None

    @property
    def none(self) -> bool:
        """Return whether the values of each pair are equal: nothing happened, and no test can raise a false alarm."""
        return self.mean == 0 and not self.sd

    def interval(self, level: float = 0.95) -> tuple[float, float] | None:
        """Return the two-sided Student interval of the mean change; None of one pair."""
        if self.sd is None:
            return None
        half = float(stdtrit(self.n - 1, (1 + level) / 2)) * self.sd / math.sqrt(self.n)
        return self.mean - half, self.mean + half


def change_of(
    pairs: Iterable[Pair],
    measure: Measure,
    *,
    test: Test = "student",
    unit: _Unit | None = None,
) -> Change | None:
    """Return the change of a measure over pairs of cells; None where no pair has it on both sides.

    A pair's change is 2 (new - base) / (scale_base + scale_new), where a side's scale is the mean size of its values in
    the series (cells that differ in the seed alone). It is the logarithm of the ratio to second order, defined for
    values of either sign (an unbiased KID may be negative), and changes sign where base and new are swapped, so that
    both tests are those of a symmetric null. `student` is the paired t test over all pairs of all series (conservative
    where series differ in noise or in effect); `sign-flip` is exact without normality, and needs more pairs.

    A method that does not look at the data budget scores the same at each: such a pair counts once.

    Args:
        pairs: Cells that ended well on both sides.
        measure: What is read from their records; of several repeats the median of the changes, repeat by repeat.
        test: Which test.
        unit: What to divide a record's value by (the time of the calibration kernel); a record without one is left out.

    Raises:
        GraftbenchError: An unknown test.
    """
    series: dict[Series, list[_Couple]] = defaultdict(list)
    counted: set[object] = set()
    for pair in pairs:
        couple = _couple(pair, measure, unit)
        if couple is None or (measure.kind == "quality" and (pair.method, pair.task, pair.seed, couple) in counted):
            continue
        counted.add((pair.method, pair.task, pair.seed, couple))
        series[pair.series].append(couple)
    changes: list[float] = []
    for couples in series.values():
        sides = zip(*((abs(median(couple.base)), abs(median(couple.new))) for couple in couples), strict=True)
        size = sum(float(np.mean(medians)) for medians in sides) / 2
        changes += [-measure.better * couple.difference / size if size else 0.0 for couple in couples]
    if not changes:
        return None
    medians = [couple.medians for couples in series.values() for couple in couples]
    base, new = (float(np.mean(values)) for values in zip(*medians, strict=True))
    sd = float(np.std(changes, ddof=1)) if len(changes) > 1 else None
    p_worse, p_better = _test(changes, test, measured=measure.kind == "quality")
    return Change(len(changes), base, new, float(np.mean(changes)), sd, p_worse, p_better)


class _Couple(NamedTuple):
    """Values of one pair: as compared, one a repeat, and their medians in the measure's own unit."""

    base: tuple[float, ...]
    new: tuple[float, ...]
    medians: tuple[float, float]

    @property
    def difference(self) -> float:
        """Return the median difference of repeats that ran side by side; of unequal numbers, that of the medians."""
        if len(self.base) == len(self.new):
            return median(late - old for old, late in zip(self.base, self.new, strict=True))
        return median(self.new) - median(self.base)


def _couple(pair: Pair, measure: Measure, unit: _Unit | None) -> _Couple | None:
    base, new = (_values(side, measure, unit) for side in (pair.base, pair.new))
    if not base or not new:
        return None
    raw = [median(_values(side, measure, None)) for side in (pair.base, pair.new)]
    return _Couple(base, new, (raw[0], raw[1]))


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


def _test(changes: list[float], test: Test, *, measured: bool) -> tuple[float | None, float | None]:
    """Return p of not worse and p of not better.

    Changes that are all the same leave Student no noise: of a cost, what differs, differs (p = 0); of a score they are
    steps of a coarse measure (one image more in a neighbourhood), and p is the chance that n signs agree, 2⁻ⁿ.
    """
    if test not in ("student", "sign-flip"):
        raise GraftbenchError(f"The test is 'student' or 'sign-flip'; found '{test}'.")
    n, largest = len(changes), max(map(abs, changes))
    if largest == 0:
        return 1.0, 1.0
    if n > 1 and max(changes) - min(changes) <= SAME * largest:
        least = 0.0 if test == "student" and not measured else 0.5**n
        return (least, 1.0) if changes[0] > 0 else (1.0, least)
    if test == "sign-flip":
        result = sign_flip_test(changes)
        return result.p, result.p_opposite
    if n < 2:
        return None, None
    t = float(np.mean(changes)) / (float(np.std(changes, ddof=1)) / math.sqrt(n))
    return float(stdtr(n - 1, -t)), float(stdtr(n - 1, t))


def least_pairs(test: Test, level: float) -> int:
    """Return the fewest pairs with which a test can reach a level: Student's 2, sign flips' n with 2⁻ⁿ ≤ level."""
    return 2 if test == "student" else max(1, math.ceil(-math.log2(level) - 1e-9))


def pairs_needed(sd: float | None, threshold: float, level: float) -> int | None:
    """Return how many pairs find a change of the threshold's size in 80 % of cases, by a t test at this level.

    By the noncentral t distribution, exact for normal changes. None where the noise is unknown, the threshold is 0, or
    the number would exceed 10,000.

    Args:
        sd: Standard deviation of the pairs' changes.
        threshold: Change that should be found, in the same unit.
        level: One-sided level of the test.
    """
    if sd is None or threshold <= 0 or (sd and _power(threshold / sd, MOST_PAIRS, level) < POWER):
        return None
    few, many = 1, 2  # `many` is enough, `few` is not
    while sd and _power(threshold / sd, many, level) < POWER:
        few, many = many, 2 * many
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if _power(threshold / sd, middle, level) >= POWER else (middle, many)
    return many


def _power(effect: float, n: int, level: float) -> float:
    """Return the chance that a one-sided t test of n pairs finds an effect, in standard deviations."""
    return 1 - float(nctdtr(n - 1, effect * math.sqrt(n), stdtrit(n - 1, 1 - level)))
