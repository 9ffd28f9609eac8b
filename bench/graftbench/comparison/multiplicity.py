"""Several tests at once, and how many pairs a claim needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from graftbench.comparison.checks import check_level, finite
from graftbench.comparison.stats import EXACT, pairs_needed
from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Return Holm's adjusted p: reject where one is at most the level, and the chance of any false alarm is at most it.

    The i-th smallest of m, from 0, becomes max over j ≤ i of (m - j) p₍ⱼ₎, at most 1. No independence is assumed; never
    weaker than Bonferroni's m · p.

    Args:
        p: Shape (m,), each 0 to 1.

    Returns:
        Shape (m,), in the order given.

    Raises:
        GraftbenchError: No p, or one outside 0 to 1.

    References:
        Holm 1979, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6.
    """
    values = finite(p, "p-values", 1)
    if values.min() < 0 or values.max() > 1:
        raise GraftbenchError(f"A p-value lies between 0 and 1; found {values.min():g} to {values.max():g}.")
    order = np.argsort(values, kind="stable")
    grown = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(grown, 1.0)
    return adjusted


@dataclass(frozen=True)
class Enough:
    """Whether so many pairs can support a claim at all.

    Attributes:
        pairs: Number of pairs, at least 0.
        level: Level of the test (of all tests together).
        sides: 1 or 2.
        tests: How many claims share the level.
        least: The smallest p that so many pairs can reach, adjusted for the number of tests, at most 1.
        needed: How many pairs can reach the level; None where no number can, as patterns of signs are drawn.
    """

    pairs: int
    level: float
    sides: int
    tests: int
    least: float
    needed: int | None

    @property
    def enough(self) -> bool:
        """Return whether the level can be reached."""
        return self.least <= self.level

    def __str__(self) -> str:
        seeds = f"{self.pairs} pair{'' if self.pairs == 1 else 's'}"
        if self.enough:
            return f"{seeds} can reach a level of {self.level:g}: their least p is {self.least:.2g}."
        ending = "no number of pairs can" if self.needed is None else f"it takes {self.needed} pairs"
        return f"Seeds too few: {seeds} cannot reach a level of {self.level:g} (least p {self.least:.2g}); {ending}."


def enough(n_pairs: int, level: float = 0.05, *, sides: Literal[1, 2] = 1, tests: int = 1) -> Enough:
    """Return the least p that a sign-flip or signed-rank test of so many pairs can reach, and the pairs it takes.

    Of n pairs that all agree p is sides · 2⁻ⁿ; Holm multiplies the smallest of m by m. Above 14 pairs `sign_flip_test`
    draws 16,384 patterns, so that no p of its is below 1/16,385.

    Args:
        n_pairs: At least 0.
        level: Strictly between 0 and 1.
        sides: Of the test.
        tests: How many tests share the level by Holm's correction, at least 1.

    Raises:
        GraftbenchError: A negative number of pairs, a level outside 0 to 1, other sides, or no tests.
    """
    check_level(level, "a test")
    if n_pairs < 0 or tests < 1 or sides not in {1, 2}:
        raise GraftbenchError(
            f"Expected at least 0 pairs, at least 1 test, and 1 or 2 sides; found {n_pairs}, {tests} and {sides}."
        )
    share = level / tests
    least = _least(n_pairs, sides)
    needed = pairs_needed(share / sides)
    return Enough(
        n_pairs, level, sides, tests, min(1.0, tests * least), needed if _least(needed, sides) <= share else None
    )


def _least(pairs: int, sides: int) -> float:
    """Return the smallest p of so many pairs."""
    return min(1.0, sides * 0.5**pairs) if pairs <= EXACT else 1 / (2**EXACT + 1)
