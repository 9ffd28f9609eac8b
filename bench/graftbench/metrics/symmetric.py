"""Symmetric precision and symmetric recall: each overlap seen by the balls of both sets."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from graftbench.metrics.catalogue import Metric
from graftbench.metrics.manifold import (
    AllBalls,
    BallFamily,
    BallScore,
    LeaveOneOut,
    ball_scores,
    swapped,
    too_few_for_generated_balls,
    too_few_for_real_balls,
)

if TYPE_CHECKING:
    from graftbench.metrics.arrays import Array, FeatureMatrix
    from graftbench.metrics.estimate import Estimate
    from graftbench.metrics.sides import Sides


METRICS = (
    Metric(
        "symmetric_precision",
        "symmetric precision",
        "the lesser of precision and the share of generated neighbourhoods with a reference image in them (k = 5)",
        better=1,
        paper="2306.09618",
        sets=("clipped",),
        panel="Fidelity and diversity",
        text="**Symmetric precision, symmetric recall** (Khayatkhoei & AbdAlmageed 2023; k = 5). In many dimensions "
        "images slightly inside the real ones have a precision of 1 and slightly outside of 0, though both are as far "
        "off. The lesser of precision and its complement (the share of generated images whose own ball holds a real "
        "one), and of recall and coverage, treats both alike.",
    ),
    Metric(
        "symmetric_recall",
        "symmetric recall",
        "the lesser of recall and coverage, both with k = 5",
        better=1,
        paper="2306.09618",
        sets=("clipped",),
        panel="Fidelity and diversity",
    ),
)


def symmetric_precision(
    generated: FeatureMatrix, real: FeatureMatrix, *, k: int = 5, splits: int = 50, seed: int = 0
) -> Estimate:
    """Return the lesser of precision and its complement: the share of generated balls that hold a real image.

    In many dimensions precision and recall are no mirror images of each other: a generated distribution slightly inside
    the real one has a precision of 1, one slightly outside 0, though both are as far off. The complement falls where
    precision does not, and the lesser of both treats both alike.

    Args:
        generated: Pooled features M×D.
        real: Pooled features N×D.
        k: Neighbours that a ball reaches to; 5 in the paper.
        splits: As for `prdc`.
        seed: As for `prdc`.

    Returns:
        A share from 0 to 1, with standard error and interval as `prdc`. Undefined where a set has fewer than k + 1
        images.

    Raises:
        GraftbenchError: k < 1, a negative number of splits, widths differ, or entries are NaN or infinite.

    References:
        Khayatkhoei & AbdAlmageed 2023 (arXiv 2306.09618), section 5.
    """
    return ball_scores(generated, real, [symmetric_family(k)], splits=splits, seed=seed)["symmetric_precision"]


def symmetric_recall(
    generated: FeatureMatrix, real: FeatureMatrix, *, k: int = 5, splits: int = 50, seed: int = 0
) -> Estimate:
    """Return the lesser of recall and its complement, which is coverage; as `symmetric_precision`."""
    return ball_scores(generated, real, [symmetric_family(k)], splits=splits, seed=seed)["symmetric_recall"]


def symmetric_family(k: int = 5) -> BallFamily:
    """Return both scores as a family.

    Raises:
        GraftbenchError: k < 1.
    """
    return BallFamily(real=(k,), generated=(k,), reasons=partial(_reasons, k=k), scores=partial(_scores, k=k))


def _reasons(m: int, n: int, k: int) -> dict[str, str]:
    reason = too_few_for_real_balls(m, n, k) or too_few_for_generated_balls(m, n, k)
    return {"symmetric_precision": reason, "symmetric_recall": reason}


def _scores(balls: AllBalls, k: int) -> dict[str, BallScore]:
    if k not in balls.real or k not in balls.generated:
        return {}
    real, generated = balls.real[k], balls.generated[k]
    precision = _lesser(real.covered(), swapped(generated.filled()))
    recall = _lesser(swapped(generated.covered()), real.filled())
    return {"symmetric_precision": BallScore(precision, "generated"), "symmetric_recall": BallScore(recall, "real")}


def _lesser(one: LeaveOneOut, other: LeaveOneOut) -> LeaveOneOut:
    """Return the lesser of two scores, and of their values without each image."""

    def least(a: Array | None, b: Array | None) -> Array | None:
        return None if a is None or b is None else np.minimum(a, b)

    return np.minimum(one[0], other[0]), least(one[1], other[1]), least(one[2], other[2])


FAMILY = symmetric_family()
"""The scores as `evaluate` takes them, in one pass over the distances with others."""


def compute(sides: Sides) -> list[Estimate]:
    """Return both scores."""
    return [sides.ball_scores[name] for name in ("symmetric_precision", "symmetric_recall")]
