"""Wilcoxon's signed-rank test and the shift that goes with it, both exact at any number of pairs.

Differences whose sizes agree to 1e-12 of the largest are ties; a difference below that is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

from graftbench.comparison.checks import check_level, finite
from graftbench.comparison.stats import Interval
from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MOST = 1000
"""Most pairs: the exact distribution costs n³ operations."""


@dataclass(frozen=True)
class SignedRank:
    """Wilcoxon's signed-rank test of paired differences.

    Attributes:
        n: Number of pairs that differ.
        zeros: Number of pairs that do not; they are left out.
        statistic: Sum of the ranks of the positive differences.
        p: One-sided p, small if differences are above zero.
        p_opposite: One-sided p, small if they are below.
        p_two_sided: Twice the smaller one, at most 1.
        least: The smallest one-sided p that so many pairs can give, 2⁻ⁿ.
    """

    n: int
    zeros: int
    statistic: float
    p: float
    p_opposite: float
    p_two_sided: float
    least: float


@dataclass(frozen=True)
class Shift:
    """Hodges and Lehmann's estimate of a shift.

    Attributes:
        n: Number of pairs.
        value: Median of the means of all pairs of differences, each with itself included, in their unit.
        interval: Exact interval for symmetric differences; None where so few pairs have none of that level.
        coverage: What the interval covers where there are no ties, at least its level; without an interval, the most
            that so many pairs can reach, 1 - 2¹⁻ⁿ.
    """

    n: int
    value: float
    interval: Interval | None
    coverage: float


def signed_rank_test(differences: ArrayLike) -> SignedRank:
    """Test by Wilcoxon's signed ranks, exact with ties too: ranks are fixed, every pattern of signs is as likely.

    Exact if the differences are independent and symmetric around zero under the null. Against the sign-flip test of the
    mean it gives outliers less weight. Pairs without a difference are left out, as Wilcoxon did and SciPy does by
    default; Pratt ranks them first. With ties SciPy's default is a normal approximation instead.

    Args:
        differences: One a pair, at most 1,000; positive ones speak for the claim.

    Raises:
        GraftbenchError: No differences, one that is not finite, or too many.

    References:
        Wilcoxon 1945, "Individual comparisons by ranking methods", Biometrics Bulletin 1.
    """
    values = finite(differences, "paired differences", 1)
    if len(values) > MOST:
        raise GraftbenchError(f"The exact signed-rank test takes at most {MOST} pairs; found {len(values)}.")
    rounded = np.round(values / (np.abs(values).max() or 1.0), 12)
    nonzero = rounded[rounded != 0]
    if len(nonzero) == 0:
        return SignedRank(0, len(values), 0.0, 1.0, 1.0, 1.0, 1.0)
    doubled = np.rint(2 * rankdata(np.abs(nonzero))).astype(int)  # mean ranks of ties are halves
    chances = _distribution(doubled)
    observed = int(doubled[nonzero > 0].sum())
    above, below = float(chances[observed:].sum()), float(chances[: observed + 1].sum())
    above, below = min(1.0, above), min(1.0, below)
    return SignedRank(
        n=len(nonzero),
        zeros=len(values) - len(nonzero),
        statistic=observed / 2,
        p=above,
        p_opposite=below,
        p_two_sided=min(1.0, 2 * min(above, below)),
        least=0.5 ** len(nonzero),
    )


def hodges_lehmann(differences: ArrayLike, level: float = 0.95) -> Shift:
    """Estimate the shift between the sides of a pair, with the interval that inverts the signed-rank test.

    The interval runs from the k-th smallest to the k-th largest of the n(n + 1)/2 means of pairs, with the largest k
    that keeps the level. 5 pairs have no interval of 95 %: at most 1 - 2⁻⁴ = 93.75 %. 6 have, of 96.9 %.

    Args:
        differences: One a pair, at most 1,000; pairs without a difference stay in.
        level: Least coverage, strictly between 0 and 1.

    Raises:
        GraftbenchError: No differences, one that is not finite, too many, or a level outside 0 to 1.

    References:
        Hodges & Lehmann 1963, "Estimates of location based on rank tests", Annals of Mathematical Statistics 34; the
        interval: Hollander & Wolfe 1999, Nonparametric Statistical Methods, chapter 3.
    """
    check_level(level)
    values = finite(differences, "paired differences", 1)
    n = len(values)
    if n > MOST:
        raise GraftbenchError(f"The exact interval of a shift takes at most {MOST} pairs; found {n}.")
    first, second = np.triu_indices(n)
    means = np.sort(values[first] / 2 + values[second] / 2)
    below = np.cumsum(_distribution(np.arange(1, n + 1)))  # P(W ≤ 0), P(W ≤ 1), ...
    rank = int(np.searchsorted(below, (1 - level) / 2 * (1 + 1e-12), side="right"))  # how many w have P(W ≤ w) ≤ α/2
    if rank == 0:
        return Shift(n, float(np.median(means)), None, 1 - 2 * 0.5**n)
    ends = Interval(float(means[rank - 1]), float(means[-rank]), level, n)
    return Shift(n, float(np.median(means)), ends, float(1 - 2 * below[rank - 1]))


def _distribution(ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return P(the sum of the ranks of a random half = 0, 1, ..., Σ ranks): each rank is in or out with chance ½."""
    chances = np.zeros(int(ranks.sum()) + 1)
    chances[0] = 1.0
    reached = 0
    for rank in ranks:
        moved = chances[: reached + 1].copy()
        reached += int(rank)
        chances[: reached + 1] *= 0.5
        chances[rank : reached + 1] += 0.5 * moved
    return chances
