"""Which images of a set are there again, in the set itself or in another one, told by their features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

TOLERANCE = 1e-5
"""Distance of two rows, as a share of their length, up to which they are those of one image: room for what the size of
a batch does to float32."""


def count_distinct(rows: NDArray[np.float32]) -> int:
    """Return how many of the rows n×D no row before them equals."""
    return sum(not any(earlier < i for earlier in equal) for i, equal in enumerate(_equal_rows(rows, rows)))


def count_shared(rows: NDArray[np.float32], others: NDArray[np.float32]) -> int:
    """Return how many of the rows n×D are among the others m×D too."""
    return sum(any(True for _ in equal) for equal in _equal_rows(rows, others))


def _equal_rows(rows: NDArray[np.float32], others: NDArray[np.float32]) -> Iterator[Iterator[int]]:
    """Yield for each row the positions of the others that equal it, in any order.

    Two rows are compared only where their projections on one fixed direction are near enough, which for sets of ten
    thousands leaves a few comparisons a row.
    """
    direction = np.random.default_rng(0).normal(size=rows.shape[1]).astype(np.float32)
    direction /= np.linalg.norm(direction)
    order = np.argsort(others @ direction, kind="stable")
    projections, own = (others @ direction)[order], rows @ direction
    reach = 2 * TOLERANCE * np.linalg.norm(rows, axis=1)  # twice: a projection is off by rounding too
    begins, ends = np.searchsorted(projections, own - reach), np.searchsorted(projections, own + reach, side="right")
    for row, distance, begin, end in zip(rows, reach / 2, begins, ends, strict=True):
        yield (int(j) for j in order[begin:end] if np.linalg.norm(row - others[j]) <= distance)
