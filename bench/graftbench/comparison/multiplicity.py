"""Several tests at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graftbench.comparison.checks import finite
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


def after_holm(comparisons: int) -> str:
    """Write what stands beside a corrected p: `after Holm's correction over 3 comparisons`."""
    return f"after Holm's correction over {comparisons:,} comparison{'' if comparisons == 1 else 's'}"
