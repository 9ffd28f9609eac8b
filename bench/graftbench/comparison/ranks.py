"""Ranks of methods over blocks, and which methods the one test of `graftbench.comparison.paired` tells apart.

A block is what all methods were put to: a task, a number of images and a seed. Ranks order the methods; whether two of
them differ is not a question of ranks here, but of the same paired test as everywhere, so that the two never disagree.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from graftbench.comparison.checks import check_level, finite
from graftbench.comparison.multiplicity import holm
from graftbench.comparison.paired import LEVEL, paired

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from graftbench.comparison.paired import Setting


def average_ranks(scores: ArrayLike, *, lower_is_better: bool = True) -> NDArray[np.float64]:
    """Return each method's average rank over blocks, 1 the best, ties averaged.

    Args:
        scores: Shape (blocks, methods), finite.
        lower_is_better: As for KID and FID.

    Returns:
        Shape (methods,).

    Raises:
        GraftbenchError: No scores, another shape, or values that are not finite.
    """
    from scipy.stats import rankdata  # noqa: PLC0415 - it takes half a second to import

    values = finite(scores, "scores (blocks by methods)", 2)
    return rankdata(values if lower_is_better else -values, axis=1).mean(axis=0)


def told_apart(scores: Sequence[Mapping[Setting, float]], level: float = LEVEL) -> set[tuple[int, int]]:
    """Return the pairs of methods (i, j), i < j, that differ by the paired test, with Holm's correction over all pairs.

    Args:
        scores: Setting -> finite score, for each method.
        level: Of all tests together, strictly between 0 and 1.

    Raises:
        GraftbenchError: A level outside 0 to 1.
    """
    check_level(level, "a test")
    p: dict[tuple[int, int], float] = {}
    for i, j in combinations(range(len(scores)), 2):
        differences = paired(scores[i], scores[j])
        if differences is not None and differences.p is not None:
            p[i, j] = differences.p
    if not p:
        return set()
    return {pair for pair, adjusted in zip(p, holm(list(p.values())), strict=True) if adjusted <= level}


def groups(order: Sequence[int], apart: Collection[tuple[int, int]]) -> list[tuple[int, ...]]:
    """Return the longest runs of neighbours in an order of which no two are told apart.

    Such a group is what these blocks do not tell apart, which is not the same as equal.

    Args:
        order: Indices of methods, the best first.
        apart: Pairs that differ, as `told_apart` has them.

    Returns:
        Positions in the order, groups of one included, none within another.
    """
    runs: list[tuple[int, ...]] = []
    for start in range(len(order)):
        end = start + 1
        while end < len(order) and not any(
            (min(order[i], order[end]), max(order[i], order[end])) in apart for i in range(start, end)
        ):
            end += 1
        if not runs or end > runs[-1][-1] + 1:
            runs.append(tuple(range(start, end)))
    return runs
