"""Scores against the number of training images: the area under the curve, and how many images a quality takes."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isinf
from typing import TYPE_CHECKING, Literal

import numpy as np

from graftbench.comparison.aggregate import task_mean
from graftbench.comparison.bootstrap import Estimated, expanded_tail, jackknife, resample, stratified_interval
from graftbench.comparison.checks import check_level, finite, per_task
from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from graftbench.comparison.bootstrap import Strata


def _logarithms(budgets: ArrayLike) -> NDArray[np.float64]:
    """Return log2 of the numbers of images.

    Raises:
        GraftbenchError: Fewer than two, not increasing, or below 1.
    """
    images = finite(budgets, "data budgets", 1)
    if len(images) < 2 or images[0] < 1 or (np.diff(images) <= 0).any():
        raise GraftbenchError(f"Expected two or more increasing data budgets of at least 1; found {images.tolist()}.")
    return np.log2(images)


def _curves(budgets: ArrayLike, curves: ArrayLike) -> NDArray[np.float64]:
    values = finite(curves, "curves (seeds by budgets)", 2)
    if values.shape[1] != np.size(budgets):
        raise GraftbenchError(f"Expected a value for each of {np.size(budgets)} data budgets; found {values.shape[1]}.")
    return values


# ---------------------------------------------------------------------------------------------- area under the curve


def curve_areas(budgets: ArrayLike, curves: ArrayLike) -> NDArray[np.float64]:
    """Return the area under each curve by trapezia over log2 of the images, over the width: a mean height.

    Args:
        budgets: Numbers of images, increasing; shape (b,), b at least 2.
        curves: Shape (seeds, b).

    Returns:
        Shape (seeds,), in the unit of the curves: a constant curve has its own value. Doubling the number of images
        weighs the same everywhere.

    Raises:
        GraftbenchError: Budgets that do not increase, another shape, or values that are not finite.
    """
    log_budgets = _logarithms(budgets)
    return np.trapezoid(_curves(budgets, curves), log_budgets, axis=1) / (log_budgets[-1] - log_budgets[0])


def area_under_budgets(
    budgets: ArrayLike,
    tasks: Sequence[ArrayLike],
    *,
    level: float = 0.95,
) -> Estimated:
    """Average `curve_areas` over tasks and seeds, with Student's interval over seeds: a seed's curve is one value.

    Args:
        budgets: Numbers of images, increasing; shape (b,).
        tasks: One array of curves a task, shape (seeds, b), at least two seeds each.
        level: Nominal coverage, strictly between 0 and 1.

    Raises:
        GraftbenchError: As `curve_areas`; fewer than two seeds in a task.
    """
    areas = per_task([curve_areas(budgets, curves) for curves in tasks])
    return stratified_interval(areas, task_mean, rng=np.random.default_rng(0), level=level, way="student")  # no draws


# --------------------------------------------------------------------------------------------------- data efficiency


@dataclass(frozen=True)
class ImageCount:
    """A number of images, or that it lies outside what was measured.

    Attributes:
        relation: `=`, or `<` the smallest budget, or `>` the largest.
        images: The number; at the ends the smallest or the largest budget.
    """

    relation: Literal["=", "<", ">"]
    images: float

    def __str__(self) -> str:
        return f"{'' if self.relation == '=' else self.relation + ' '}{self.images:.3g}"


@dataclass(frozen=True)
class Efficiency:
    """The number of images that one method takes for the quality of another.

    Attributes:
        images: The number for the mean curve and the mean quality.
        low: Lower end of its interval.
        high: Upper end.
        level: Nominal coverage.
        seeds: Seeds of the curve.
    """

    images: ImageCount
    low: ImageCount
    high: ImageCount
    level: float
    seeds: int


def images_needed(budgets: ArrayLike, curve: ArrayLike, quality: float, *, lower_is_better: bool = True) -> ImageCount:
    """Return how many images a curve takes to reach a quality.

    The curve is made monotone by isotonic least squares (more images are not worse) and read in between on a
    logarithmic axis. Where it is flat at just that quality, the smaller number is the answer.

    Args:
        budgets: Numbers of images, increasing; shape (b,), b at least 2.
        curve: Shape (b,).
        quality: In the unit of the curve.
        lower_is_better: As for KID and FID.

    Raises:
        GraftbenchError: Budgets that do not increase, another shape, or values that are not finite.
    """
    log_budgets = _logarithms(budgets)
    values = _curves(budgets, np.atleast_2d(np.asarray(curve, dtype=np.float64)))[0]
    goal = float(finite(quality, "a quality", 0))
    sign = 1.0 if lower_is_better else -1.0
    return _answer(float(_reached(log_budgets, sign * values[None], np.array([sign * goal]))[0]), log_budgets)


def data_efficiency(
    budgets: ArrayLike,
    curves: ArrayLike,
    qualities: ArrayLike,
    *,
    rng: np.random.Generator,
    lower_is_better: bool = True,
    paired: bool = False,
    level: float = 0.95,
    resamples: int = 2_000,
) -> Efficiency:
    """Return how many images method A takes for the mean quality that B has at some number, with its interval.

    Percentiles of the resamples, taken further out for few seeds as in `bootstrap`, with one degree of freedom less
    than the smaller number of seeds. Ends are resampled answers, never a mean of two: an answer may lie outside the
    budgets. Between two budgets the curve is taken to be straight over the logarithm, and the interval does not know
    how far that is from the truth.

    Args:
        budgets: Numbers of images, increasing; shape (b,).
        curves: Of A, shape (seeds, b), at least two seeds.
        qualities: Of B at its number of images, shape (seeds of B,), at least two.
        rng: The source of all draws.
        lower_is_better: As for KID and FID.
        paired: Whether the rows of both are the same seeds, in the same order, and so are drawn together.
        level: Nominal coverage, strictly between 0 and 1.
        resamples: How many draws.

    Raises:
        GraftbenchError: Budgets that do not increase, another shape, unequal numbers of seeds if paired, fewer than two
            seeds, values that are not finite, a level outside 0 to 1.
    """
    check_level(level)
    log_budgets = _logarithms(budgets)
    a, b = per_task([_curves(budgets, curves)], 2)[0], per_task([qualities])[0]
    if paired and len(a) != len(b):
        raise GraftbenchError(f"Paired seeds come in equal numbers; found {len(a)} of A and {len(b)} of B.")
    sign = 1.0 if lower_is_better else -1.0
    strata: Strata = [np.column_stack((a, b))] if paired else [a, b[:, None]]

    def gap(drawn: Strata) -> NDArray[np.float64]:
        """Return where the mean curve reaches the mean quality."""
        means = np.concatenate([rows.mean(axis=1) for rows in drawn], axis=1)
        return _reached(log_budgets, sign * means[:, :-1], sign * means[:, -1])

    value = float(gap([rows[None] for rows in strata])[0])
    few = min(len(a), len(b))
    spread = jackknife([np.arange(float(few))], task_mean)  # few - 1 degrees of freedom, factor √(few / (few - 1))
    tail = expanded_tail(level, spread)
    draws = np.sort(resample(strata, gap, rng, resamples))
    out = int(tail * resamples)
    ends = draws[out], draws[-1 - out]
    low, high = (_answer(float(end), log_budgets) for end in ends)
    return Efficiency(_answer(value, log_budgets), low, high, level, len(a))


def _reached(
    log_budgets: NDArray[np.float64], values: NDArray[np.float64], qualities: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Find where curves, lower being better, first come down to a quality, in log2; ∓inf outside the budgets.

    Args:
        log_budgets: log2 of the budgets, shape (b,).
        values: Shape (R, b).
        qualities: Shape (R,).
    """
    fitted, goal = _falling(values), qualities[:, None]
    after = np.argmax(fitted <= goal, axis=1)  # 0 too where none is
    rows, before = np.arange(len(fitted)), np.maximum(after - 1, 0)
    drop = fitted[rows, before] - fitted[rows, after]
    share = (fitted[rows, before] - qualities) / np.where(drop > 0, drop, 1.0)
    crossings = log_budgets[before] + share * (log_budgets[after] - log_budgets[before])
    crossings = np.where(after == 0, np.where(fitted[:, 0] < qualities, -inf, log_budgets[0]), crossings)
    return np.where(fitted[:, -1] <= qualities, crossings, inf)


def _falling(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit each row by falling isotonic least squares: at i the least over a ≤ i of the largest mean of a..b ≥ i.

    The max-min formula of Barlow et al. 1972: for a few budgets and thousands of rows it is quicker than pooling.
    """
    count = values.shape[1]
    sums = np.concatenate((np.zeros((len(values), 1)), np.cumsum(values, axis=1)), axis=1)
    lengths = np.arange(count)[None, :] - np.arange(count)[:, None] + 1
    means = (sums[:, None, 1:] - sums[:, :-1, None]) / np.where(lengths > 0, lengths, 1)  # (R, a, b)
    means = np.where(lengths > 0, means, -inf)
    means[:, range(count), range(count)] = values  # as they are: a quality that a curve just reaches is reached
    largest = np.maximum.accumulate(means[:, :, ::-1], axis=2)[:, :, ::-1]  # over b ≥ i
    least = np.minimum.accumulate(largest, axis=1)  # over a ≤ i
    return np.diagonal(least, axis1=1, axis2=2)


def _answer(crossing: float, log_budgets: NDArray[np.float64]) -> ImageCount:
    """Turn log2 into images."""
    relation, log_images = "=", crossing
    if isinf(crossing):
        relation, log_images = ("<", log_budgets[0]) if crossing < 0 else (">", log_budgets[-1])
    return ImageCount(relation, float(2**log_images))
