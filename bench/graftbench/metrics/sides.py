"""What metrics are computed from: features of generated, reference and training images, and what several metrics share.

A file of metrics gets them in its `compute(sides)`. It is called only if what its metrics need is there: `x`, and `y`
and `t` where they name `reference` and `train`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from graftbench.metrics.covariance import Moments
from graftbench.metrics.features import Features
from graftbench.metrics.frechet import fid
from graftbench.metrics.manifold import BallFamily, ball_scores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from graftbench.metrics.estimate import Estimate

INTERVAL_LIMIT = 10_000
"""Up to this many images a side, FID and MiFID get an interval: beyond, it takes minutes and tells little."""


@dataclass(frozen=True)
class Sides:
    """The features of all sides.

    Attributes:
        generated: Of generated images.
        reference: Of real images; None without any.
        train: Of the training images; None without any.
        intervals: Whether intervals that take long are wanted.
        seed: Seed of what metrics draw.
        families: Scores made of balls that are computed together, in `ball_scores`; a file's is its `FAMILY`.
    """

    generated: Features | Moments
    reference: Features | Moments | None
    train: Features | None
    intervals: bool
    seed: int
    families: tuple[BallFamily, ...] = ()

    @property
    def x(self) -> NDArray:
        """Return the generated images' features, M×D."""
        return self.features(self.generated).pooled

    @property
    def y(self) -> NDArray:
        """Return the reference images' features, N×D."""
        return self.features(self.reference).pooled

    @property
    def t(self) -> NDArray:
        """Return the training images' features, T×D."""
        return self.features(self.train).pooled

    @cached_property
    def fid(self) -> Estimate:
        """Return FID, which MiFID is made of too."""
        return fid(
            self.matrix(self.generated), self.matrix(self.reference), interval=self.with_interval, seed=self.seed
        )

    @cached_property
    def ball_scores(self) -> dict[str, Estimate]:
        """Return the scores of all families, from one pass over the distances."""
        return ball_scores(self.x, self.y, self.families, seed=self.seed)

    @property
    def with_interval(self) -> bool:
        """Return whether an interval that takes long is wanted, and the images are few enough for it."""
        return self.intervals and max(count_of(self.generated), count_of(self.reference)) <= INTERVAL_LIMIT

    @staticmethod
    def features(side: Features | Moments | None) -> Features:
        """Return a side of which there are features."""
        assert isinstance(side, Features)
        return side

    @staticmethod
    def thumbnails(side: Features | Moments | None) -> NDArray[np.uint8]:
        """Return the thumbnails of a side that has them."""
        thumbnails = Sides.features(side).thumbnails
        assert thumbnails is not None
        return thumbnails

    @staticmethod
    def matrix(side: Features | Moments | None) -> NDArray | Moments:
        """Return a side's features as a matrix, or its moments."""
        return side if isinstance(side, Moments) else Sides.features(side).pooled


def count_of(side: Features | Moments | None) -> int:
    """Return the number of images of a side; 0 where there is none."""
    if side is None:
        return 0
    return len(side) if isinstance(side, Features) else side.n
