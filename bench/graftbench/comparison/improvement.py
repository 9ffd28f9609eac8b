"""Probability of improvement: how often a run of one method beats a run of another on the same task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from graftbench.comparison.bootstrap import Estimated
from graftbench.comparison.checks import check_level, finite
from graftbench.comparison.stats import Interval
from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray


def probability_of_improvement(
    x: Sequence[ArrayLike], y: Sequence[ArrayLike], *, lower_is_better: bool = True, level: float = 0.95
) -> Estimated:
    """Estimate the mean over tasks of P(a run of X is better than one of Y), ties counted half.

    P is the Mann-Whitney U over its maximum.

    The interval is Newcombe's fifth, which takes the variance of U at the interval's own ends, so that it has a width
    where every run of X beats every run of Y; the variances of the tasks are averaged as if all had the mean
    probability, which is wide where they differ. rliable (Agarwal et al. 2021, arXiv 2108.13264) has a percentile
    bootstrap, which has no width there. Runs that share a seed are treated as independent.

    Args:
        x: One sequence of values a task, one value a seed; numbers of seeds may differ.
        y: As x, the same tasks in the same order.
        lower_is_better: As for KID and FID.
        level: Nominal coverage, strictly between 0 and 1.

    Returns:
        The probability, 0 to 1, and its interval; its `n` is the number of runs of X and Y over all tasks.

    Raises:
        GraftbenchError: No tasks, unequal numbers of tasks, a task without values or with fewer than three for X and Y
            together, values that are not finite, a level outside 0 to 1.

    References:
        Newcombe 2006, "Confidence intervals for an effect size measure based on the Mann-Whitney statistic. Part 2:
        asymptotic methods and evaluation", Statistics in Medicine 25; Hanley & McNeil 1982, Radiology 143, for the
        variance.
    """
    check_level(level)
    if not x or len(x) != len(y):
        raise GraftbenchError(f"Expected as many tasks of X as of Y, at least one; found {len(x)} and {len(y)}.")
    pairs = [(finite(a, "values of X", 1), finite(b, "values of Y", 1)) for a, b in zip(x, y, strict=True)]
    sizes = np.array([(len(a), len(b)) for a, b in pairs], dtype=np.float64)
    if sizes.sum(axis=1).min() < 3:
        raise GraftbenchError("A probability of improvement takes at least three runs in each task; one has two.")
    value = float(np.mean([_better(*((a, b) if lower_is_better else (b, a))) for a, b in pairs]))
    low, high = _ends(value, sizes, float(ndtri((1 + level) / 2)))
    return Estimated(value, Interval(low, high, level, int(sizes.sum())))


def _better(lower: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the share of pairs in which the first is lower, ties counted half."""
    differences = other[None, :] - lower[:, None]
    return float((differences > 0).mean() + (differences == 0).mean() / 2)


def _variance(p: float, sizes: NDArray[np.float64]) -> float:
    """Return the variance of the mean over tasks if every task has the probability p; sizes (tasks, 2)."""
    product, rest = sizes.prod(axis=1), sizes.sum(axis=1) / 2 - 1
    tasks = p * (1 - p) / product * (1 + rest * ((1 - p) / (2 - p) + p / (1 + p)))
    return float(tasks.mean() / len(tasks))


def _ends(value: float, sizes: NDArray[np.float64], z: float) -> tuple[float, float]:
    """Find where the value is z standard errors away, on both sides; 0 and 1 if nowhere."""

    def outside(p: float) -> float:
        return (value - p) ** 2 - z**2 * _variance(p, sizes)

    near = 1e-9
    low = _root(outside, 0.0, value - near) if value > near else 0.0
    high = _root(outside, value + near, 1.0) if value < 1 - near else 1.0
    return low, high


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Find where a function changes sign between two numbers, by bisection to the last bit."""
    positive = function(low) > 0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if (function(middle) > 0) == positive else (low, middle)
    return (low + high) / 2
