"""RKE, the Rényi kernel entropy's number of modes: how many groups of alike images there are."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from graftbench.errors import GraftbenchError
from graftbench.metrics.arrays import Array, check_widths, matrix, too_few
from graftbench.metrics.catalogue import Metric
from graftbench.metrics.distances import squared_distances
from graftbench.metrics.estimate import Estimate, jackknife_variance, student_bounds

if TYPE_CHECKING:
    from graftbench.metrics.arrays import FeatureMatrix
    from graftbench.metrics.sides import Sides

METRICS = (
    Metric(
        "rke",
        "RKE",
        "number of groups of alike generated images, at half the reference images' distance; garbage counts too",
        better=1,
        paper="jalali2023information",
        sets=("effective",),
        panel="Fidelity and diversity",
        text="**RKE** (Jalali et al. 2023). 1/‖K/n‖² of a Gaussian kernel: m far groups of equally many alike images "
        "score m. It knows nothing of fidelity: of our example sets the one that is half garbage scores highest, so "
        "the set `effective` has clipped density and coverage beside it. The bandwidth σ is half the root mean square "
        "distance of the reference images (ours; the function takes any), so two values compare only against one "
        "reference and at equal n.",
    ),
)


_BLOCK = 1024  # rows of the kernel matrix held at a time


def rke(generated: FeatureMatrix, *, real: FeatureMatrix | None = None, sigma: float | None = None) -> Estimate:
    """Return 1/‖K/n‖²_F for a Gaussian kernel: m for m groups of alike images that are far apart and equally large.

    K holds exp(−‖x−y‖²/(2σ²)). It is the Hill number of order 2 of K/n's eigenvalues, so `vendi` of order 2 with
    another kernel, and it needs no eigenvalues. It knows nothing of fidelity: a set of garbage is diverse, so read it
    beside a score that does. Two values compare only at equal n and σ.

    Args:
        generated: Features N×D.
        real: Features of real images, for `bandwidth`; needed unless σ is given.
        sigma: σ in units of the features, above 0: images much closer are alike, much farther are not.

    Returns:
        A value from 1 to N. Standard error from 3 images on, by the jackknife (every value without an image is exact)
        and, for a σ of real images, their part by the delta method; interval on the logarithm. Undefined without
        images, and where real images are fewer than 2 or all the same.

    Raises:
        GraftbenchError: Neither or both of σ and real images are given, σ is not above 0 or not finite, widths differ,
            or entries are NaN or infinite.

    References:
        Jalali, Li & Farnia 2023, "An Information-Theoretic Evaluation of Generative Models in Learning Multi-modal
        Distributions", NeurIPS. The bandwidth is ours.
    """
    if (sigma is None) == (real is None):
        raise GraftbenchError("RKE needs a bandwidth, sigma, or real images to take it from, one of them.")
    x = matrix(generated, "generated features")
    n, n_reference, spread = len(x), 0, 0.0
    if real is not None:
        y = matrix(real, "reference features")
        check_widths(x.shape[1], y.shape[1])
        n_reference, (sigma, spread) = len(y), bandwidth(y)
    define = partial(Estimate, name="rke", n_generated=n, n_reference=n_reference)
    reason = too_few(1, n, None, "RKE")
    if real is not None and sigma == 0.0:
        reason = reason or "RKE takes its bandwidth from at least 2 reference images that differ"
    if reason:
        return define(undefined=reason)
    if sigma is None or not 0.0 < sigma < math.inf:
        raise GraftbenchError(f"The bandwidth of RKE is a number above 0; found sigma = {sigma}.")

    # The value, with its slope by log σ.
    sums, slopes = _squared_kernel_sums(x, sigma)
    total = float(sums.sum())
    value = min(max(n**2 / total, 1.0), float(n))  # beyond by rounding only
    if n < 3:  # without one of two images the score is 1, whatever the other
        return define(value=value)

    # Its logarithm without each image; what another σ would have made of it.
    without = 2.0 * np.log(n - 1.0) - np.log(total - 2.0 * sums + 1.0)
    relative = math.hypot(math.sqrt(jackknife_variance(without)), float(slopes.sum()) / total * spread)
    low, high = student_bounds(math.log(value), relative, n - 1, low=0.0, high=math.log(n))
    interval = (min(math.exp(low), value), max(math.exp(high), value))
    return define(value=value, standard_error=value * relative, interval=interval, method="jackknife")


def bandwidth(real: Array) -> tuple[float, float]:
    """Return half the root mean square distance of real images, and the standard error of its logarithm.

    Two images at that distance have the kernel e⁻² = 0.14, at a quarter of it 0.88. Taken from real images it is the
    same for all generators. The mean square is twice the sum of the features' variances. (0, 0) without two images that
    differ.
    """
    if len(real) < 2:
        return 0.0, 0.0
    squares = np.square(real - real.mean(axis=0)).sum(axis=1)
    if not squares.any():
        return 0.0, 0.0
    sigma = 0.5 * math.sqrt(2.0 * float(squares.sum()) / (len(real) - 1))
    return sigma, 0.5 * float(squares.std(ddof=1) / squares.mean()) / math.sqrt(len(real))


def _squared_kernel_sums(x: Array, sigma: float) -> tuple[Array, Array]:
    """Return Σ_j K²(i, j) of each image i, itself included, and its derivative by log σ; in blocks."""
    centred = x - x.mean(axis=0)  # distances do not change, and lose fewer digits
    sums, slopes = np.empty(len(x)), np.empty(len(x))
    for start in range(0, len(x), _BLOCK):
        d2 = squared_distances(centred[start : start + _BLOCK], centred)
        np.fill_diagonal(d2[:, start:], 0.0)
        d2 /= -(sigma**2)
        squares = np.exp(d2)
        sums[start : start + _BLOCK] = squares.sum(axis=1)
        slopes[start : start + _BLOCK] = -2.0 * np.einsum("ij,ij->i", squares, d2)
    return sums, slopes


def compute(sides: Sides) -> list[Estimate]:
    """Return RKE at the bandwidth of the reference images."""
    return [rke(sides.x, real=sides.y)]
