"""Many sign-flip tests of equally many pairs at once: `graftbench.comparison.stats.sign_flip_test`, a column a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graftbench.comparison.checks import finite
from graftbench.comparison.stats import EXACT

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_COLUMNS = 64
"""Tests that are in memory at once: 16,385 patterns of each are 8 MiB."""


@dataclass(frozen=True)
class SignFlips:
    """P-values of many tests; each field has shape (tests,).

    Attributes:
        p: One-sided, small if differences are above zero.
        p_two_sided: Small if they are far from zero on either side.
    """

    p: NDArray[np.float64]
    p_two_sided: NDArray[np.float64]


def sign_flips(differences: ArrayLike) -> SignFlips:
    """Return the p-values that `sign_flip_test` gives for each column.

    Args:
        differences: Shape (pairs, tests); positive ones speak for a claim.

    Raises:
        GraftbenchError: No differences, one that is not finite, or another shape.
    """
    values = finite(differences, "paired differences (pairs by tests)", 2)
    largest = np.abs(values).max(axis=0)
    scaled = values / np.where(largest > 0, largest, 1.0)  # so that no sum overflows
    signs = _signs(len(values))
    one_sided: list[NDArray[np.float64]] = []
    two_sided: list[NDArray[np.float64]] = []
    for start in range(0, scaled.shape[1], _COLUMNS):
        part = scaled[:, start : start + _COLUMNS]
        sums, tie = signs @ part, 1e-12 * np.abs(part).sum(axis=0)
        one_sided.append((sums >= sums[0] - tie).mean(axis=0))
        two_sided.append((np.abs(sums) >= np.abs(sums[0]) - tie).mean(axis=0))
    return SignFlips(np.concatenate(one_sided), np.concatenate(two_sided))


def _signs(pairs: int) -> NDArray[np.float64]:
    """Return every pattern of signs, or as many as `sign_flip_test` draws, by the same seed; the first is all +1."""
    if pairs <= EXACT:
        negative = np.arange(2**pairs)[:, None] >> np.arange(pairs) & 1
    else:
        drawn = np.random.default_rng(0).integers(0, 2, (2**EXACT, pairs))
        negative = np.concatenate((np.zeros((1, pairs), drawn.dtype), drawn))
    return np.where(negative > 0, -1.0, 1.0)
