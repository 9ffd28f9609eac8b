"""The nearest training images of generated images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graftbench.metrics.distances import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


COLUMNS, ROWS = 8, 4
"""Tiles of a sheet."""


NEAREST = ROWS - 1
"""Training images shown for each generated one."""


@dataclass(frozen=True, eq=False)
class Neighbors:
    """The training images nearest to the first few generated ones, in the extractor's features.

    Attributes:
        positions: Of the training images in their domain, n×k, the nearest first; n ≤ 8, k ≤ 3.
        distances: Euclidean, in the features' own units, float64 n×k.
    """

    positions: NDArray[np.intp]
    distances: NDArray[np.float64]


def neighbors_of(
    generated: NDArray[np.float32], train: NDArray[np.float32], positions: Sequence[int]
) -> Neighbors | None:
    """Find the nearest training images of the first eight generated ones; None where there are none on a side.

    Args:
        generated: Features M×D, finite.
        train: Features T×D of the training images, finite.
        positions: Of the training images in their domain, T.
    """
    shown = generated[:COLUMNS]
    if not len(shown) or not len(train):
        return None
    distances, rows = nearest(shown.astype(np.float64), train.astype(np.float64), min(NEAREST, len(train)))
    return Neighbors(np.asarray(positions, dtype=np.intp)[rows], distances)
