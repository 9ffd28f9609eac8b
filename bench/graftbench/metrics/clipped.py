"""Clipped density and clipped coverage: shares of good images that outliers cannot move; from the paper's formulas."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaln

from graftbench.metrics.catalogue import Metric
from graftbench.metrics.manifold import (
    AllBalls,
    BallFamily,
    BallScore,
    LeaveOneOut,
    ball_scores,
    too_few_for_real_balls,
)

if TYPE_CHECKING:
    from graftbench.metrics.arrays import Array, FeatureMatrix
    from graftbench.metrics.estimate import Estimate
    from graftbench.metrics.sides import Sides

METRICS = (
    Metric(
        "clipped_density",
        "clipped density",
        "density in which no image counts more than once and outliers have no large balls (k = 5); about the share of "
        "good images",
        better=1,
        paper="2507.01761",
        sets=("clipped", "effective"),
        panel="Fidelity and diversity",
        text="**Clipped density, clipped coverage** (Salvy et al. 2026; k = 5). Where half of the generated images are "
        "garbage coverage still reads 0.75 against 0.90 when all are good; these two read about one half, as shares of "
        "good images. Density's balls end at the median radius, an image counts at most once, and real images, each in "
        "the balls of the others, set what 1 is. Coverage fills each ball with up to k images and is mapped to the "
        "share of good images that would fill them so; between whole numbers of images linearly, so that M good ones "
        "are 1. Both are cut at 1. "
        "Clipped density says nothing against images that crowd in the middle of the real ones.",
    ),
    Metric(
        "clipped_coverage",
        "clipped coverage",
        "share of the generated images that would have to be good to fill the reference images' neighbourhoods (k = 5) "
        "as they do",
        better=1,
        paper="2507.01761",
        sets=("clipped", "effective"),
        panel="Fidelity and diversity",
    ),
)


_MOST = 4  # largest share of good images before it is cut at 1: then nothing is known of its error


def clipped_density(
    generated: FeatureMatrix, real: FeatureMatrix, *, k: int = 5, splits: int = 50, seed: int = 0
) -> Estimate:
    """Return the density in which no image counts more than once, over what real images have, at most 1.

    A ball around a real image reaches to its k-th nearest real neighbour, but no further than the median of these
    radii, so that outliers have no large balls. An image scores min(1, number of balls that hold it / k). The mean over
    generated images is divided by that over real images, each in the balls of the others.

    Args:
        generated: Pooled features M×D.
        real: Pooled features N×D.
        k: Neighbours that a ball reaches to; 5 in the paper.
        splits: As for `prdc`.
        seed: As for `prdc`.

    Returns:
        A value from 0 to 1: about the share of generated images that are good. Standard error by the jackknife with the
        median kept, corrected by halves as in `prdc`, before the cut at 1; the interval is on the logarithm and ends at
        1. Undefined where there are fewer than k + 1 real images or no generated one.

    Raises:
        GraftbenchError: k < 1, a negative number of splits, widths differ, or entries are NaN or infinite.

    References:
        Salvy, Talbot & Thirion 2026 (arXiv 2507.01761).
    """
    return ball_scores(generated, real, [clipped_family(k)], splits=splits, seed=seed)["clipped_density"]


def clipped_coverage(
    generated: FeatureMatrix, real: FeatureMatrix, *, k: int = 5, splits: int = 50, seed: int = 0
) -> Estimate:
    """Return the share of generated images that would have to be good for the real images to be covered as they are.

    A real image's ball reaches to its k-th nearest real neighbour and is filled to min(1, number of generated images in
    it / k). The mean over real images is mapped to the share m/M for which it is expected (see `expected_filling`).

    Args:
        generated: Pooled features M×D.
        real: Pooled features N×D.
        k: Neighbours that a ball reaches to; 5 in the paper.
        splits: As for `prdc`.
        seed: As for `prdc`.

    Returns:
        A share from 0 to 1, with standard error and interval as for coverage in `prdc`. Undefined where there are fewer
        than k + 1 real images or no generated one.

    Raises:
        GraftbenchError: k < 1, a negative number of splits, widths differ, or entries are NaN or infinite.

    References:
        Salvy, Talbot & Thirion 2026 (arXiv 2507.01761).
    """
    return ball_scores(generated, real, [clipped_family(k)], splits=splits, seed=seed)["clipped_coverage"]


def clipped_family(k: int = 5) -> BallFamily:
    """Return both scores as a family.

    Raises:
        GraftbenchError: k < 1.
    """
    reasons, scores = partial(_reasons, k=k), partial(_scores, k=k)
    return BallFamily(real=(k,), capped=(k,), kept=(k,), reasons=reasons, scores=scores)


def expected_filling(most: int, n_real: int, k: int) -> Array:
    """Return the mean of min(1, C/k) where m images of the real distribution were generated, for m from 0 to `most`.

    C counts those in the ball of a real image to its k-th neighbour among the N − 1 others. The share of the
    distribution in that ball is Beta(k, N − k), so C is beta-binomial, and E[min(C, k)]/k = Σ_{c<k} P(C > c)/k.

    Args:
        most: Largest m.
        n_real: Number of real images N, above k.
        k: Neighbours.

    Returns:
        Shares in ascending order from 0, `most` + 1 of them.
    """
    m, c = np.arange(most + 1.0)[:, None], np.arange(float(k))
    rest = np.maximum(m - c, 0.0)
    choose = gammaln(m + 1.0) - gammaln(c + 1.0) - gammaln(rest + 1.0)
    betas = gammaln(k + c) + gammaln(n_real - k + rest) - gammaln(n_real + m)
    scale = gammaln(n_real) - gammaln(k) - gammaln(n_real - k)
    exactly = np.where(c <= m, np.exp(choose + betas + scale), 0.0)
    return (1.0 - np.cumsum(exactly, axis=1)).clip(min=0.0).mean(axis=1)


def _reasons(m: int, n: int, k: int) -> dict[str, str]:
    reason = too_few_for_real_balls(m, n, k)
    return {"clipped_density": reason, "clipped_coverage": reason}


def _scores(balls: AllBalls, k: int) -> dict[str, BallScore]:
    if k not in balls.real:
        return {}
    density = _ratio(balls.capped[k].clipped_density(), balls.capped_real[k].clipped_density(same=True))
    coverage = _as_share(balls.real[k].clipped_filled(), balls.n_generated, balls.n_real, k)
    return {
        "clipped_density": BallScore(density, "generated", cut=True),
        "clipped_coverage": BallScore(coverage, "real", cut=True),
    }


def _ratio(generated: LeaveOneOut, real: LeaveOneOut) -> LeaveOneOut:
    """Return the generated images' mean over the real images', and without each image.

    The balls are those of the real images, so without one of them both means change. Of a handful of images the rest
    may lie in no ball at all without one of them; the value without that real image is then undefined, NaN.
    """
    value, without_generated, without_real = generated
    ratios = None
    if without_real is not None and real[2] is not None:
        ratios = without_real / np.where(real[2] > 0.0, real[2], np.nan)
    return value / real[0], None if without_generated is None else without_generated / real[0][:, None], ratios


def _as_share(filling: LeaveOneOut, m: int, n: int, k: int) -> LeaveOneOut:
    """Map mean fillings to shares of good images, linearly between whole numbers of them.

    Shares go on above 1, where a filling is what more images than there are would give, up to `_MOST`.
    """

    def share(values: Array, images: int, real: int) -> Array:
        most = _MOST * images
        return np.asarray(np.interp(values, expected_filling(most, real, k), np.arange(most + 1.0)) / images)

    value, without_generated, without_real = filling
    return (
        share(value, m, n),
        None if without_generated is None else share(without_generated, m - 1, n),
        None if without_real is None else share(without_real, m, n - 1),
    )


FAMILY = clipped_family()
"""The scores as `evaluate` takes them, in one pass over the distances with others."""


def compute(sides: Sides) -> list[Estimate]:
    """Return both scores."""
    return [sides.ball_scores[name] for name in ("clipped_density", "clipped_coverage")]
