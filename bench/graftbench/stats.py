"""Statistics over seeds: mean, spread, and a Student-t interval that says how many seeds it stands on.

A seed draws the data subset, the initialisation, the training order and the samples, so seeds are the independent
repetitions of a cell. Images within a cell are not: no interval here is made from them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Interval:
    """A two-sided confidence interval of a mean.

    Attributes:
        low: Lower end, in the unit of the values.
        high: Upper end.
        level: Nominal coverage, 0 to 1.
        n: Number of values that it stands on, at least 2.
    """

    low: float
    high: float
    level: float
    n: int

    def contains(self, value: float) -> bool:
        """Whether the value lies between the ends, ends included."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Summary:
    """What n values say about their distribution.

    Attributes:
        n: Number of values, at least 1.
        mean: Arithmetic mean.
        sd: Sample standard deviation (divisor n - 1); None when n < 2.
        standard_error: sd / √n; None when n < 2.
        interval: Student-t interval of the mean; None when n < 2.
    """

    n: int
    mean: float
    sd: float | None
    standard_error: float | None
    interval: Interval | None


def _checked(values: Sequence[float]) -> list[float]:
    numbers = [float(value) for value in values]
    if not numbers:
        raise GraftbenchError("No values were given; a mean needs at least one.")
    if not all(map(math.isfinite, numbers)):
        raise GraftbenchError(f"Statistics were asked for of {numbers}; every value must be a finite number.")
    return numbers


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean, summed exactly, so that the order of the values does not matter.

    Raises:
        GraftbenchError: No values, or one that is not finite.
    """
    numbers = _checked(values)
    return math.fsum(numbers) / len(numbers)


def standard_deviation(values: Sequence[float]) -> float | None:
    """Sample standard deviation, √(Σ(x - mean)² / (n - 1)); None for one value.

    Raises:
        GraftbenchError: No values, or one that is not finite.
    """
    numbers = _checked(values)
    if len(numbers) < 2:
        return None
    center = mean(numbers)
    return math.sqrt(math.fsum((number - center) ** 2 for number in numbers) / (len(numbers) - 1))


def standard_error(values: Sequence[float]) -> float | None:
    """Standard error of the mean, sd / √n; None for one value.

    Raises:
        GraftbenchError: No values, or one that is not finite.
    """
    sd = standard_deviation(values)
    return None if sd is None else sd / math.sqrt(len(values))


def student_interval(values: Sequence[float], level: float = 0.95) -> Interval | None:
    """Student-t interval of the mean: mean ± t(n - 1, (1 + level) / 2) · sd / √n; None for one value.

    Exact for normal values at any n (Student, "The probable error of a mean", Biometrika 6, 1908). At n = 2 the factor
    is 12.7 standard errors: two seeds seldom settle anything, and the interval says so.

    Args:
        values: One value a seed.
        level: Nominal coverage, strictly between 0 and 1.

    Raises:
        GraftbenchError: No values, one that is not finite, or a level outside 0 to 1.
    """
    if not 0 < level < 1:
        raise GraftbenchError(f"The level of an interval lies strictly between 0 and 1; found {level}.")
    error = standard_error(values)
    if error is None:
        return None
    from scipy.special import stdtrit  # noqa: PLC0415 - the command line must not pay for scipy

    half = float(stdtrit(len(values) - 1, (1 + level) / 2)) * error
    center = mean(values)
    return Interval(low=center - half, high=center + half, level=level, n=len(values))


def summarize(values: Sequence[float], level: float = 0.95) -> Summary:
    """All of the above in one named result.

    Raises:
        GraftbenchError: No values, one that is not finite, or a level outside 0 to 1.
    """
    return Summary(
        n=len(values),
        mean=mean(values),
        sd=standard_deviation(values),
        standard_error=standard_error(values),
        interval=student_interval(values, level),
    )


def paired_difference(a: Mapping[int, float], b: Mapping[int, float], level: float = 0.95) -> Summary | None:
    """Summary of a - b over the seeds that both have; None if they share no seed.

    Cells of one seed share their data subset, so pairing takes out what the subset does to both.

    Args:
        a: Seed -> value.
        b: Seed -> value.
        level: Nominal coverage of the interval, strictly between 0 and 1.
    """
    shared = sorted(a.keys() & b.keys())
    return summarize([a[seed] - b[seed] for seed in shared], level) if shared else None
