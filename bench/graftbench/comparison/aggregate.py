"""One number for a method over seeds and tasks: mean, median, interquartile mean, each with a stratified interval.

Values of different tasks must be in one unit first: KID on one domain is not KID on another. A ratio to a baseline is,
or a place between the floor and the source model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from graftbench.comparison.bootstrap import Estimated, Statistic, Strata, Way, stratified_interval
from graftbench.comparison.checks import per_task
from graftbench.errors import unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

Aggregate = Literal["mean", "median", "interquartile mean"]


def task_mean(strata: Strata) -> NDArray[np.float64]:
    """Return the mean over tasks of the mean over seeds; (R, seeds) a task -> (R,). Every task counts the same."""
    return np.mean([rows.mean(axis=1) for rows in strata], axis=0)


def task_median(strata: Strata) -> NDArray[np.float64]:
    """Return the median over tasks of the mean over seeds, as in rliable; (R, seeds) a task -> (R,).

    With one task it is that task's mean, not the median of its seeds.
    """
    return np.median([rows.mean(axis=1) for rows in strata], axis=0)


def interquartile_mean(strata: Strata) -> NDArray[np.float64]:
    """Return the mean of the middle half of all runs of all tasks; (R, seeds) a task -> (R,).

    ⌊n/4⌋ of the n values are cut on either side, as `scipy.stats.trim_mean` does and with it rliable (Agarwal et al.
    2021, arXiv 2108.13264). Others weight the values at the border.
    """
    pooled = np.sort(np.concatenate(list(strata), axis=1), axis=1)
    cut = pooled.shape[1] // 4
    return pooled[:, cut : pooled.shape[1] - cut].mean(axis=1)


AGGREGATES: dict[str, Statistic] = {
    "mean": task_mean,
    "median": task_median,
    "interquartile mean": interquartile_mean,
}


BEST: dict[str, Way] = {"mean": "student", "median": "student", "interquartile mean": "expanded"}
"""The way that covers best of few seeds (docs/statistics.md)."""


def aggregate(
    tasks: Sequence[ArrayLike],
    what: Aggregate = "interquartile mean",
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    way: Way | None = None,
    resamples: int = 10_000,
) -> Estimated:
    """Aggregate over tasks and seeds, with an interval over seeds.

    Args:
        tasks: One sequence of values a task, one value a seed; at least two seeds each, unequal numbers allowed.
        what: Which aggregate.
        rng: The source of all draws.
        level: Nominal coverage, strictly between 0 and 1.
        way: How the interval is made, see `bootstrap.stratified_interval`; None for what covers best, as in `BEST`.
        resamples: How many draws, where there are any.

    Raises:
        GraftbenchError: No tasks, fewer than two seeds in one, values that are not finite, an unknown aggregate or way.
    """
    if what not in AGGREGATES:
        raise unknown("aggregate", what, AGGREGATES)
    return stratified_interval(
        per_task(tasks), AGGREGATES[what], rng=rng, level=level, way=way or BEST[what], resamples=resamples
    )
