"""Fréchet Inception Distance, exact and rank-aware, and its extrapolation to infinitely many generated images."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from graftbench.metrics.arrays import check_widths, checked, matrix, too_few
from graftbench.metrics.covariance import Moments, moments_by_rows, moments_of
from graftbench.metrics.estimate import Estimate, student_bounds
from graftbench.metrics.frechet_error import fid_variance, rows_instead_of_root

if TYPE_CHECKING:
    from graftbench.metrics.arrays import FeatureMatrix


def _trace_of_root(first: Moments, second: Moments) -> float:
    """Return the trace of (Σ₁Σ₂)^½: the nuclear norm of A·Bᵀ for any roots AᵀA = Σ₁ and BᵀB = Σ₂.

    Proof: Σ₁Σ₂ = AᵀA·BᵀB has the nonzero eigenvalues of (A·Bᵀ)(A·Bᵀ)ᵀ, which are the squared singular values of A·Bᵀ.
    """
    product = first.root @ second.root.T
    if 0 in product.shape:
        return 0.0
    if min(product.shape) < first.width:
        # Rank-deficient: the squared values would lose half of the digits of every singular value that is zero.
        return float(np.linalg.svd(product, compute_uv=False).sum())
    # Full rank, D×D: the eigenvalues of the Gram matrix cost 0.4 of the singular values (D = 2048, one thread).
    squared = scipy.linalg.eigvalsh(product @ product.T, overwrite_a=True, check_finite=False)
    return float(np.sqrt(squared.clip(min=0.0)).sum())  # a Gram matrix has none below zero but by rounding


def frechet_distance(first: Moments, second: Moments) -> float:
    """Return ‖μ₁−μ₂‖² + tr(Σ₁ + Σ₂ − 2(Σ₁Σ₂)^½), the squared Fréchet distance of two Gaussians.

    Symmetric up to rounding, and ≥ 0: a negative result is rounding and becomes 0.

    Raises:
        GraftbenchError: The widths differ.

    References:
        Heusel et al. 2017 (arXiv 1706.08500), equation 6; Dowson & Landau 1982.
    """
    check_widths(first.width, second.width)
    shift = float(np.square(first.mean - second.mean).sum())
    return max(0.0, shift + first.variance + second.variance - 2.0 * _trace_of_root(first, second))


Side = NDArray[Any] | Moments


def _sides(generated: FeatureMatrix | Moments, real: FeatureMatrix | Moments) -> tuple[Side, Side]:
    first, second = (
        side if isinstance(side, Moments) else checked(side, what)
        for side, what in ((generated, "generated features"), (real, "reference features"))
    )
    widths = [side.width if isinstance(side, Moments) else side.shape[1] for side in (first, second)]
    check_widths(widths[0], widths[1])
    return first, second


def _count(side: Side) -> int:
    return side.n if isinstance(side, Moments) else side.shape[0]


def _moments(first: Side, second: Side) -> tuple[Moments, ...]:
    """Return the moments of both sides, by way of their rows alone where that is less work."""
    if isinstance(first, Moments) or isinstance(second, Moments):
        return tuple(side if isinstance(side, Moments) else moments_of(side) for side in (first, second))
    of = moments_by_rows if rows_instead_of_root(first, second) else moments_of
    return of(first), of(second)


def fid(
    generated: FeatureMatrix | Moments, real: FeatureMatrix | Moments, *, interval: bool = False, seed: int = 0
) -> Estimate:
    """Return the Fréchet Inception Distance of generated to real images, in float64.

    FID is biased upwards, the more the fewer images there are on either side, and the bias depends on the generator:
    two values compare only at equal numbers of images. The interval is one of the score at these numbers of images,
    bias and all.

    Args:
        generated: Pooled features N₁×D, or their moments.
        real: Pooled features N₂×D, or their moments. Against moments the interval is one over new generated images
            alone, the reference being as it is.
        interval: Estimate the standard error too, by the corrected infinitesimal jackknife (`fid_variance`): takes
            ten to twenty times as long as the value.
        seed: Seed of the random directions of that correction.

    Returns:
        A value ≥ 0; undefined where one side has fewer than 2 images. No standard error for generated moments.

    Raises:
        GraftbenchError: Widths differ, or entries are NaN or infinite.
    """
    first, second = _sides(generated, real)
    define = partial(Estimate, name="fid", n_generated=_count(first), n_reference=_count(second))
    if reason := too_few(2, _count(first), _count(second), "a covariance"):
        return define(undefined=reason)
    value = frechet_distance(*_moments(first, second))
    if not interval or isinstance(first, Moments):
        return define(value=value)
    fixed = isinstance(second, Moments)
    variance = fid_variance(first.astype(np.float64), second if fixed else second.astype(np.float64), seed)
    error = float(np.sqrt(variance.value))
    bounds = student_bounds(value, error, variance.degrees, low=0.0)
    method = "jackknife, reference fixed" if fixed else "jackknife"
    return define(value=value, standard_error=error, interval=bounds, method=method)


_SIZES = 15


def fid_inf(generated: FeatureMatrix, real: FeatureMatrix | Moments, seed: int = 0) -> Estimate:
    """Return FID∞: FID extrapolated to infinitely many generated images.

    FID of N generated images goes as FID∞ + c/N once their covariance has full rank, so the intercept of a line through
    15 sizes from N/2 to N, random subsets each, removes the generated side's bias. It cannot remove the reference
    side's: against 1,000 reference images most of the bias stays (at D = 2048, 31.2 of 34.0 for equal distributions).
    The paper takes 5,000 to 50,000 images, N/10 to N; from N/2 the line is straighter where N is not many times D.

    Args:
        generated: Pooled features N×D.
        real: Pooled features N₂×D, or their moments.
        seed: Seed of the subsets.

    Returns:
        The intercept, which may be negative; undefined for N ≤ 2D, where the smallest subset has no full rank and the
        line is none. No standard error: the subsets overlap.

    Raises:
        GraftbenchError: Widths differ, or entries are NaN or infinite.

    References:
        Chong & Forsyth 2020 (arXiv 1911.07023).
    """
    first, second = matrix(generated, "generated features"), _sides(generated, real)[1]
    n_generated, n_reference, width = len(first), _count(second), first.shape[1]
    define = partial(Estimate, name="fid_inf", n_generated=n_generated, n_reference=n_reference)
    reason = too_few(2, n_generated, n_reference, "a covariance")
    if not reason and n_generated <= 2 * width:
        reason = (
            f"FID is a line in 1/N only from D = {width} generated images on, and half of them must reach that: it "
            f"needs more than {2 * width}; found {n_generated}"
        )
    if reason:
        return define(undefined=reason)
    rng = np.random.default_rng(seed)
    reference = second if isinstance(second, Moments) else moments_of(second)
    sizes = np.linspace(n_generated // 2, n_generated, _SIZES).astype(int)
    subsets = (first[rng.choice(n_generated, size, replace=False)] for size in sizes)
    values = [frechet_distance(moments_of(subset), reference) for subset in subsets]
    intercept = float(np.polyfit(1.0 / sizes, values, 1)[1])
    return define(value=intercept, note=f"the bias of {n_reference} reference images is still in it")
