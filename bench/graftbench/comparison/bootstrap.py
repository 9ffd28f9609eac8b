"""Bootstrap over seeds, stratified by task: the tasks are as they are, seeds are drawn again within each.

A statistic takes one array a task, of shape (R, seeds, ...), and gives (R,): it reduces the axis of the seeds. A row is
one seed's value, or all that the seed has (a curve, two methods' values), which then stays together.

Of few seeds a plain percentile interval is too narrow, for two reasons. Drawing n of n gives a variance that is
(n - 1)/n of the unbiased one, and the normal quantile is not Student's. `expanded` takes percentiles further out by
just that (Hesterberg 2014, "What teachers should know about the bootstrap", arXiv 1411.5279), with n and the degrees of
freedom from a jackknife.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from graftbench.comparison.checks import check_level
from graftbench.comparison.stats import Interval
from graftbench.errors import GraftbenchError, unknown

if TYPE_CHECKING:
    from numpy.typing import NDArray

Strata = Sequence["NDArray[np.float64]"]
Statistic = Callable[[Strata], "NDArray[np.float64]"]
Way = Literal["student", "expanded", "bca", "percentile"]

_CHUNK = 1000
"""Resamples that are in memory at once."""


@dataclass(frozen=True)
class Estimated:
    """A statistic and its interval.

    Attributes:
        value: The statistic of the seeds as they are.
        interval: Two-sided interval; its `n` is the number of seeds over all tasks.
    """

    value: float
    interval: Interval


@dataclass(frozen=True)
class Jackknife:
    """The estimates that result when one seed at a time is left out (jackknife).

    Attributes:
        variance: Of the statistic: the sum over tasks of (n - 1)/n Σ(θ₋ᵢ - their mean)².
        degrees: Satterthwaite's degrees of freedom of that sum; tasks that do not matter do not count.
        factor: √(variance / the bootstrap's variance) for a linear statistic: √(n/(n - 1)) for equal numbers of seeds.
        acceleration: Of BCa (Efron 1987), for strata (Davison & Hinkley 1997).
    """

    variance: float
    degrees: float
    factor: float
    acceleration: float


def resample(strata: Strata, statistic: Statistic, rng: np.random.Generator, resamples: int) -> NDArray[np.float64]:
    """Return the statistic of `resamples` draws with replacement, seeds within each task; shape (resamples,)."""
    draws = []
    for start in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - start)
        draws.append(statistic([rows[rng.integers(0, len(rows), (size, len(rows)))] for rows in strata]))
    return np.concatenate(draws)


def jackknife(strata: Strata, statistic: Statistic) -> Jackknife:
    """Leave out one seed at a time, of one task at a time."""
    variances, shrunk, degrees, cubes, squares = [], [], [], 0.0, 0.0
    for index, rows in enumerate(strata):
        n = len(rows)
        subsets = np.array([np.delete(np.arange(n), i) for i in range(n)])
        remaining = [rows[subsets] if i == index else np.repeat(s[None], n, 0) for i, s in enumerate(strata)]
        without_one = statistic(remaining)
        influence = (n - 1) * (without_one.mean() - without_one)  # of one seed, times n_t: (n-1)(θ̄ - θ₋ᵢ)
        variance = float((influence**2).sum()) / (n * (n - 1))
        variances.append(variance)
        shrunk.append(variance * (n - 1) / n)
        degrees.append(variance**2 / (n - 1))
        cubes += float(((influence / n) ** 3).sum())
        squares += float(((influence / n) ** 2).sum())
    total = sum(variances)
    if total == 0:
        return Jackknife(0.0, float(sum(len(rows) - 1 for rows in strata)), 1.0, 0.0)
    return Jackknife(total, total**2 / sum(degrees), float(np.sqrt(total / sum(shrunk))), cubes / (6 * squares**1.5))


def expanded_tail(level: float, spread: Jackknife) -> float:
    """Return the share of resamples to leave out on each side: Φ(-factor · t), with Student's quantile t.

    0.025 for many seeds at a level of 0.95, 0.011 for 6 tasks of 5, 0.001 for one task of 5.
    """
    return float(ndtr(-spread.factor * stdtrit(spread.degrees, (1 + level) / 2)))


def stratified_interval(
    strata: Strata,
    statistic: Statistic,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    way: Way = "expanded",
    resamples: int = 10_000,
) -> Estimated:
    """Estimate the interval of a statistic over drawing the seeds again, the tasks being as they are.

    Args:
        strata: One array a task, shape (seeds, ...), at least two seeds each.
        statistic: From arrays of shape (R, seeds, ...), one a task, to (R,).
        rng: The source of all draws.
        level: Nominal coverage, strictly between 0 and 1.
        way: `expanded` percentiles (see above); `percentile` as rliable has it; `bca`, corrected for bias and skewness
            (Efron 1987) but not for few seeds; `student`, the value ± Student's quantile times the jackknife's standard
            error, without a draw: best for means, and for one task of
            few seeds, whose resamples do not reach beyond the smallest and largest.
        resamples: How many draws.

    Raises:
        GraftbenchError: A level outside 0 to 1, an unknown way, fewer than two seeds in a task.
    """
    check_level(level)
    if way not in get_args(Way):
        raise unknown("way to make an interval", way, get_args(Way))
    if not strata or min(map(len, strata)) < 2:
        raise GraftbenchError("An interval over seeds needs at least one task and two seeds in each task.")
    value = float(statistic([rows[None] for rows in strata])[0])
    spread = jackknife(strata, statistic)
    if way == "student":
        half = float(stdtrit(spread.degrees, (1 + level) / 2)) * spread.variance**0.5
        low, high = value - half, value + half
    else:
        draws = resample(strata, statistic, rng, resamples)
        tails = _tails(way, level, spread, draws, value)
        low, high = (float(end) for end in np.quantile(draws, tails))
    return Estimated(value, Interval(low, high, level, sum(map(len, strata))))


def _tails(way: Way, level: float, spread: Jackknife, draws: NDArray[np.float64], value: float) -> tuple[float, float]:
    """Return the two quantiles of the resamples that are the ends."""
    if way == "expanded":
        tail = expanded_tail(level, spread)
        return tail, 1 - tail
    tail = (1 - level) / 2
    if way == "percentile":
        return tail, 1 - tail
    below = float((draws < value).mean() + (draws == value).mean() / 2)
    bias = float(ndtri(np.clip(below, 1 / (2 * len(draws)), 1 - 1 / (2 * len(draws)))))
    moved = [bias + float(ndtri(p)) for p in (tail, 1 - tail)]
    first, second = (float(ndtr(bias + m / (1 - spread.acceleration * m))) for m in moved)
    return first, second
