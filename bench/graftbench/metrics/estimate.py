"""The result of a metric: a value, or the reason why there is none, and how far it can be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scipy.special import ndtri, stdtrit

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEVEL = 0.95
"""Nominal coverage of every interval."""

Bounds = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One metric's value with what is known about its precision.

    Attributes:
        name: `fid`, `kid`, `inception_score`, …
        value: The estimate, finite; None where the metric is undefined.
        undefined: Why there is no value; empty where there is one.
        standard_error: Estimated standard deviation of `value` if the images were drawn again; None where no valid one
            is known.
        interval: 95 % confidence interval (low, high) of what the metric scores on average at these numbers of images;
            None where no valid one is known. It does not reach for the value at infinitely many images: the bias of
            FID, say, is no uncertainty, and no interval can remove it.
        method: How standard error and interval were made (`jackknife`, `U-statistic`, …); empty where there are none.
        spread: Standard deviation over subsets or splits as other tools print it after ±. Not a standard error: subsets
            overlap, and a split is smaller than the set. None for metrics without either.
        n_generated: Number of generated images.
        n_reference: Number of reference images; 0 for a metric that needs none.
        n_train: Number of training images; 0 for a metric that needs none.
        note: A caveat for the reader of the number; a sentence or empty.

    Raises:
        GraftbenchError: Neither or both of a finite value and a reason are given, or the interval is no interval.
    """

    name: str
    value: float | None = None
    undefined: str = ""
    standard_error: float | None = None
    interval: Bounds | None = None
    method: str = ""
    spread: float | None = None
    n_generated: int
    n_reference: int = 0
    n_train: int = 0
    note: str = ""

    def __post_init__(self) -> None:
        if (self.value is None) != bool(self.undefined):
            raise GraftbenchError(
                f"An estimate of {self.name} has either a value or a reason why it is undefined; "
                f"found value {self.value} and reason '{self.undefined}'."
            )
        if self.value is not None and not math.isfinite(self.value):
            raise GraftbenchError(f"An estimate of {self.name} must be finite; found {self.value}.")
        if self.interval is not None and not self.interval[0] <= self.interval[1]:
            raise GraftbenchError(f"The interval of {self.name} must go from low to high; found {self.interval}.")


def quantile(degrees: float = math.inf) -> float:
    """Return Student's two-sided 95 % quantile: 1.96 for infinitely many degrees of freedom."""
    tail = 1.0 - (1.0 - LEVEL) / 2.0
    return float(ndtri(tail) if math.isinf(degrees) else stdtrit(degrees, tail))


def student_bounds(
    value: float, standard_error: float, degrees: float = math.inf, *, low: float = -math.inf, high: float = math.inf
) -> Bounds:
    """Return the 95 % interval value ± q·standard_error, cut to the metric's range.

    Args:
        value: The estimate.
        standard_error: Its estimated standard deviation.
        degrees: Degrees of freedom of the standard error: q is Student's quantile for them.
        low: Lowest possible value of the metric.
        high: Highest possible value.
    """
    reach = quantile(degrees) * standard_error
    return max(low, value - reach), min(high, value + reach)


def wilson(share: float, trials: float, quantile: float) -> Bounds:
    """Return Wilson's interval of a share for a quantile of the normal (or Student's) distribution."""
    z2 = quantile**2
    centre = (share + z2 / (2 * trials)) / (1.0 + z2 / trials)
    half = math.sqrt(z2 * (share * (1.0 - share) / trials + z2 / (4 * trials**2))) / (1.0 + z2 / trials)
    return centre - half, centre + half


def wilson_bounds(successes: int, trials: int) -> Bounds:
    """Return Wilson's 95 % interval of a share: it keeps its coverage near 0 and 1 and for few trials.

    Raises:
        GraftbenchError: Not 0 ≤ successes ≤ trials, or no trials.

    References:
        Wilson 1927; Brown, Cai & DasGupta 2001.
    """
    if not 0 <= successes <= trials or trials < 1:
        raise GraftbenchError(f"A share needs 0 ≤ successes ≤ trials and a trial; found {successes} of {trials}.")
    low, high = wilson(successes / trials, trials, quantile())
    # At the ends the bounds are 0 and 1 in exact arithmetic; rounding must not leave the share itself outside.
    return (low if successes else 0.0), (high if successes < trials else 1.0)


def jackknife_variance(left_out: NDArray[np.float64]) -> float:
    """Return (n−1)/n·Σ(θ₋ᵢ − mean)², the variance of an estimate by its n values with one image left out each."""
    deviations = left_out - left_out.sum() / left_out.size  # `var` takes three times as long for a hundred values
    return float((left_out.size - 1) / left_out.size * (deviations @ deviations))
