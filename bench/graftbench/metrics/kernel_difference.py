"""The difference of two generators' KIDs against one shared reference, with the variance that both have together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from graftbench.metrics.arrays import pair, too_few
from graftbench.metrics.estimate import Estimate, quantile
from graftbench.metrics.kernel import polynomial_kernel
from graftbench.metrics.mmd import difference

if TYPE_CHECKING:
    from graftbench.metrics.arrays import FeatureMatrix


def kid_difference(a: FeatureMatrix, b: FeatureMatrix, real: FeatureMatrix) -> Estimate:
    """Return KID(a, real) − KID(b, real) with its standard error; below 0 the generator of `a` is nearer.

    The two KIDs share their reference images, so their errors are correlated, and two separate intervals are too wide
    for their difference: with 50 reference images about twice (docs/statistics.md). This interval is about the two
    *generators*, whose images were drawn; it says nothing of two *methods*, which another seed would train anew.

    Args:
        a: Pooled features M×D of one generator.
        b: Pooled features N×D of the other, drawn independently.
        real: Pooled features R×D of the reference images of both.

    Returns:
        The unbiased difference with standard error and 95 % interval; `n_generated` is the smaller of M and N.
        Undefined below 4 images in any of the three.

    Raises:
        GraftbenchError: Widths differ, or entries are NaN or infinite.

    References:
        Bounliphone et al. 2016, "A test of relative similarity for model selection in generative models" (arXiv
        1511.04581); KID: Binkowski et al. 2018 (arXiv 1801.01401).
    """
    x, reference = pair(a, real)
    y, _ = pair(b, real)
    generated = min(len(x), len(y))
    if reason := too_few(4, generated, len(reference), "the difference of two kernel distances"):
        return Estimate(name="kid_difference", undefined=reason, n_generated=generated, n_reference=len(reference))
    center = reference.mean(axis=0, keepdims=True)
    offset = float(polynomial_kernel(center, center)[0, 0])
    value, variance = difference(x, y, reference, polynomial_kernel, offset)
    error = math.sqrt(variance)
    half = quantile(min(generated, len(reference)) - 1) * error
    return Estimate(
        name="kid_difference",
        value=value,
        standard_error=error,
        interval=(value - half, value + half),
        method="U-statistic",
        n_generated=generated,
        n_reference=len(reference),
    )
