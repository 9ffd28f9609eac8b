"""Ranks of methods over blocks: Friedman's test, Nemenyi's critical difference, groups that do not differ.

A block is what all methods were put to: a task, with the mean over its seeds. Several seeds of one task are no blocks
of their own where the question is which method is better on tasks like these (Demšar 2006, JMLR 7).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import chdtrc, fdtrc
from scipy.stats import rankdata, studentized_range

from graftbench.comparison.checks import check_level, finite
from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Friedman:
    """Friedman's test of no difference between methods.

    Attributes:
        blocks: Number of blocks, at least 2.
        methods: Number of methods, at least 3.
        statistic: χ² with methods - 1 degrees of freedom, corrected for ties; 0 where all methods tie in all blocks.
        p: Of χ², as `scipy.stats.friedmanchisquare` has it: too large where blocks are few.
        f: Iman and Davenport's F, infinite where all blocks agree.
        p_f: Of F with methods - 1 and (methods - 1)(blocks - 1) degrees of freedom: nearer to its level, but too small
            for 2 or 3 blocks (0 where all agree, which 3 methods do in 2 blocks once in 6 times): see
            `friedman_permutation_p`.
    """

    blocks: int
    methods: int
    statistic: float
    p: float
    f: float
    p_f: float


def _ranks(scores: ArrayLike, *, lower_is_better: bool) -> NDArray[np.float64]:
    """Return the ranks in each block, 1 the best, ties averaged; (blocks, methods)."""
    values = finite(scores, "scores (blocks by methods)", 2)
    return rankdata(values if lower_is_better else -values, axis=1)


def _friedman_ranks(scores: ArrayLike) -> tuple[NDArray[np.float64], int, int]:
    """Return the ranks, the number of blocks, at least 2, and the number of methods, at least 3."""
    ranks = _ranks(scores, lower_is_better=True)
    n, k = ranks.shape
    if n < 2 or k < 3:
        raise GraftbenchError(f"Friedman's test takes at least 2 blocks and 3 methods; found {n} and {k}.")
    return ranks, n, k


def average_ranks(scores: ArrayLike, *, lower_is_better: bool = True) -> NDArray[np.float64]:
    """Return the mean rank of each method over the blocks, 1 the best; ties share the mean of theirs.

    Args:
        scores: Shape (blocks, methods), every method in every block.
        lower_is_better: As for KID and FID.

    Returns:
        Shape (methods,); they add up to methods (methods + 1) / 2.

    Raises:
        GraftbenchError: No scores, one that is not finite, or another shape.
    """
    return _ranks(scores, lower_is_better=lower_is_better).mean(axis=0)


def friedman_test(scores: ArrayLike) -> Friedman:
    """Test whether any method ranks otherwise than the rest; the direction of the scores does not matter.

    Args:
        scores: Shape (blocks, methods), at least 2 by 3.

    Raises:
        GraftbenchError: Too few blocks or methods, a score that is not finite, or another shape.

    References:
        Friedman 1937, "The use of ranks to avoid the assumption of normality implicit in the analysis of variance",
        JASA 32; Iman & Davenport 1980, "Approximations of the critical region of the Friedman statistic",
        Communications in Statistics A 9, as in Demšar 2006, section 3.2.2.
    """
    ranks, n, k = _friedman_ranks(scores)
    spread = float(((ranks - (k + 1) / 2) ** 2).sum())  # n k (k² - 1) / 12 without ties
    if spread == 0:
        return Friedman(n, k, 0.0, 1.0, 0.0, 1.0)
    statistic = float((k - 1) * n**2 * ((ranks.mean(axis=0) - (k + 1) / 2) ** 2).sum() / spread)
    rest = n * (k - 1) - statistic
    f = (n - 1) * statistic / rest if rest > 1e-9 * n else float("inf")
    p_f = 0.0 if f == float("inf") else float(fdtrc(k - 1, (k - 1) * (n - 1), f))
    return Friedman(n, k, statistic, float(chdtrc(k - 1, statistic)), f, p_f)


DRAWS = 9_999
"""Rearrangements of a permutation test, beside the one observed."""


def friedman_permutation_p(scores: ArrayLike, *, seed: int = 0) -> float:
    """Return p of Friedman's test without an approximation.

    It is how often ranks that are drawn anew in every block differ as much. It holds its level at any number of blocks
    and with ties; 9,999 draws and the observed ranks as one more, so that p is never below 0.0001 (Phipson and Smyth
    2010, arXiv 1603.05766), with a standard error of 0.002 near 0.05.

    Args:
        scores: Shape (blocks, methods), at least 2 by 3.
        seed: Of the draws.

    Raises:
        GraftbenchError: Too few blocks or methods, a score that is not finite, or another shape.
    """
    ranks, n, k = _friedman_ranks(scores)
    rng = np.random.default_rng(seed)
    observed = float((ranks.sum(axis=0) ** 2).sum())
    least = observed * (1 - 1e-12)  # sums of squares that differ by rounding are ties
    chunk = max(1, 1_000_000 // ranks.size)
    as_extreme = 1
    for start in range(0, DRAWS, chunk):
        size = min(chunk, DRAWS - start)
        drawn = rng.permuted(np.broadcast_to(ranks, (size, n, k)), axis=2)
        as_extreme += int(((drawn.sum(axis=1) ** 2).sum(axis=1) >= least).sum())
    return as_extreme / (DRAWS + 1)


def nemenyi_difference(methods: int, blocks: int, level: float = 0.05) -> float:
    """Return Nemenyi's critical difference of average ranks: q √(k(k + 1) / 6N).

    q is the studentised range's quantile over √2.

    Two methods differ if their average ranks are further apart. Normal theory, for many blocks; simulated false alarms
    of 5 methods are 4.7 % with 6 blocks and 3.5 % with 12. The test looks at the ranks of all methods, so leaving one
    out can change the verdict on two others.

    Args:
        methods: k, at least 2.
        blocks: N, at least 2.
        level: Chance of any false alarm among all pairs of methods, strictly between 0 and 1.

    Raises:
        GraftbenchError: Too few methods or blocks, or a level outside 0 to 1.

    References:
        Nemenyi 1963, Distribution-free multiple comparisons (thesis, Princeton); Demšar 2006, "Statistical comparisons
        of classifiers over multiple data sets", JMLR 7, section 3.2.2 and table 5.
    """
    check_level(level, "a test")
    if methods < 2 or blocks < 2:
        raise GraftbenchError(
            f"A critical difference takes at least 2 methods and 2 blocks; found {methods} and {blocks}."
        )
    quantile = float(studentized_range.ppf(1 - level, methods, np.inf))
    return quantile / 2**0.5 * (methods * (methods + 1) / (6 * blocks)) ** 0.5


def nemenyi_p(scores: ArrayLike) -> NDArray[np.float64]:
    """Return p of every pair of methods, adjusted for all pairs; (methods, methods), symmetric, 1 on the diagonal.

    Args:
        scores: Shape (blocks, methods), at least 2 by 2.

    Raises:
        GraftbenchError: Too few blocks or methods, a score that is not finite, or another shape.
    """
    ranks = average_ranks(scores)
    n, k = np.shape(scores)
    if n < 2 or k < 2:
        raise GraftbenchError(f"Nemenyi's test takes at least 2 blocks and 2 methods; found {n} and {k}.")
    first, second = np.triu_indices(k, 1)
    p_values = np.ones((k, k))
    apart = np.abs(ranks[first] - ranks[second]) * (12 * n / (k * (k + 1))) ** 0.5
    p_values[first, second] = p_values[second, first] = studentized_range.sf(apart, k, np.inf)
    return p_values


def groups(ranks: Sequence[float] | NDArray[np.float64], difference: float) -> list[tuple[int, ...]]:
    """Return the largest groups of methods whose average ranks all lie within a critical difference of each other.

    Groups may overlap; a method that differs from all others is a group of its own. That two methods share a group does
    not say that they are equal, only that these blocks do not tell them apart.

    Args:
        ranks: Average ranks, shape (methods,).
        difference: Critical difference, at least 0; ranks exactly so far apart share a group.

    Returns:
        Indices of methods, the best first, in the order of each group's best.

    Raises:
        GraftbenchError: No ranks, or one that is not finite.
    """
    values = finite(ranks, "average ranks", 1)
    order = np.argsort(values, kind="stable")
    cliques: list[tuple[int, ...]] = []
    reached = 0
    for start, best in enumerate(order):
        end = int((values <= values[best] + difference * (1 + 1e-12)).sum())
        if end > reached:  # else all of it lies in the group before
            cliques.append(tuple(int(i) for i in order[start:end]))
            reached = end
    return cliques
