"""Statistics over seeds: mean, spread, a Student-t interval that says how many seeds it stands on, a sign-flip test.

A seed draws the data subset, the initialisation, the training order and the samples, so seeds are the independent
repetitions of a cell. Images within a cell are not: no interval here is made from them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence


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
        """Return whether the value lies between the ends, ends included."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class SeedSummary:
    """Summary of the n values of a sample.

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
    """Return the arithmetic mean, summed exactly, so that the order of the values does not matter.

    Raises:
        GraftbenchError: No values, or one that is not finite.
    """
    numbers = _checked(values)
    try:
        return math.fsum(numbers) / len(numbers)
    except OverflowError:  # the sum is larger than a float can be, the mean is not
        return math.fsum(number / len(numbers) for number in numbers)


def standard_deviation(values: Sequence[float]) -> float | None:
    """Return the sample standard deviation, √(Σ(x - mean)² / (n - 1)); None for one value.

    Raises:
        GraftbenchError: No values, or one that is not finite.
    """
    numbers = _checked(values)
    if len(numbers) < 2:
        return None
    center = mean(numbers)
    try:
        return math.sqrt(math.fsum((number - center) ** 2 for number in numbers) / (len(numbers) - 1))
    except OverflowError:  # the squares are larger than a float can be, the deviation is not
        return math.hypot(*(number - center for number in numbers)) / math.sqrt(len(numbers) - 1)


def standard_error(values: Sequence[float]) -> float | None:
    """Return the standard error of the mean, sd / √n; None for one value.

    Raises:
        GraftbenchError: No values, or one that is not finite.
    """
    sd = standard_deviation(values)
    return None if sd is None else sd / math.sqrt(len(values))


def student_interval(values: Sequence[float], level: float = 0.95) -> Interval | None:
    """Return the Student-t interval of the mean: mean ± t(n - 1, (1 + level) / 2) · sd / √n; None for one value.

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
    return None if error is None else _interval(mean(values), error, len(values), level)


def _interval(center: float, error: float, n: int, level: float) -> Interval:
    half = _student_quantile(n - 1, (1 + level) / 2) * error
    return Interval(low=center - half, high=center + half, level=level, n=n)


@lru_cache(maxsize=1024)  # a report asks for the same few tens of thousands of times
def _student_quantile(freedom: int, probability: float) -> float:
    """Return the quantile of Student's t distribution."""
    from scipy.special import stdtrit  # noqa: PLC0415 - the command line must not pay for scipy

    return float(stdtrit(freedom, probability))


def summarize(values: Sequence[float], level: float = 0.95) -> SeedSummary:
    """Summarise values: mean, standard deviation, standard error and interval.

    Raises:
        GraftbenchError: No values, one that is not finite, or a level outside 0 to 1.
    """
    if not 0 < level < 1:
        raise GraftbenchError(f"The level of an interval lies strictly between 0 and 1; found {level}.")
    numbers = _checked(values)
    n = len(numbers)
    center = math.fsum(numbers) / n
    if n < 2:
        return SeedSummary(n=n, mean=center, sd=None, standard_error=None, interval=None)
    sd = math.sqrt(math.fsum((number - center) ** 2 for number in numbers) / (n - 1))
    error = sd / math.sqrt(n)
    return SeedSummary(n=n, mean=center, sd=sd, standard_error=error, interval=_interval(center, error, n, level))


# ------------------------------------------------------------------------------------------------ paired differences

EXACT = 14
"""Most pairs of which every pattern of signs is looked at, 2¹⁴ = 16,384; of more pairs as many patterns are drawn."""


@dataclass(frozen=True)
class SignFlip:
    """A sign-flip permutation test of paired differences, in either direction and two-sided.

    Attributes:
        n: Number of pairs, at least 1.
        mean: Mean difference.
        p: Share of the patterns of signs whose mean is at least the observed one: small if differences are above zero.
        p_opposite: Share whose mean is at most the observed one: small if differences are below zero.
        p_two_sided: Share whose mean is at least as far from zero as the observed one, on either side.
        least: The smallest one-sided p that so many pairs can give: 2⁻ⁿ, or 1/16,385 where patterns are drawn; the
            least two-sided one is 2¹⁻ⁿ.
    """

    n: int
    mean: float
    p: float
    p_opposite: float
    p_two_sided: float
    least: float


def sign_flip_test(differences: Sequence[float], *, seed: int = 0) -> SignFlip:
    """Test whether paired differences are above zero: every difference might have had the other sign.

    Exact if the differences are independent and each is distributed symmetrically around zero under the null, as it is
    where the two sides of a pair are exchangeable; nothing else is assumed. All 2ⁿ patterns of signs are counted, the
    observed one included. Of more than 14 pairs 16,384 patterns are drawn, and the observed one is counted as one more,
    so that p is never 0 and the level is kept (Phipson and Smyth 2010). Sums within 1e-12 of the largest possible are
    ties, and ties count.

    Args:
        differences: One a pair; positive ones speak for the claim.
        seed: Of the draw of patterns.

    Raises:
        GraftbenchError: No differences, or one that is not finite.

    References:
        Fisher 1935, The Design of Experiments, section 21; Phipson & Smyth 2010 (arXiv 1603.05766).
    """
    numbers = _checked(differences)
    import numpy as np  # noqa: PLC0415 - the command line must not pay for NumPy

    n, largest = len(numbers), max(map(abs, numbers))
    scaled = np.array(numbers) / (largest or 1.0)  # so that no sum overflows
    if n <= EXACT:
        negative = np.arange(2**n)[:, None] >> np.arange(n) & 1
    else:
        negative = np.random.default_rng(seed).integers(0, 2, (2**EXACT, n))
        negative = np.concatenate((np.zeros((1, n), negative.dtype), negative))
    sums = (1 - 2 * negative) @ scaled
    tie = 1e-12 * float(np.abs(scaled).sum())
    return SignFlip(
        n=n,
        mean=mean(numbers),
        p=float((sums >= sums[0] - tie).mean()),
        p_opposite=float((sums <= sums[0] + tie).mean()),
        p_two_sided=float((np.abs(sums) >= abs(sums[0]) - tie).mean()),
        least=1.0 / len(sums),
    )
