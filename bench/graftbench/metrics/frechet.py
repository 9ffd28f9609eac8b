"""Fréchet Inception Distance, exact and rank-aware."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg

from graftbench.errors import GraftbenchError
from graftbench.metrics.arrays import Array, check_widths, matrix, too_few
from graftbench.metrics.estimate import Estimate

if TYPE_CHECKING:
    from graftbench.metrics.arrays import FeatureMatrix


@dataclass(frozen=True)
class Moments:
    """Mean and covariance of features; computed once for a reference set, used against every generated one.

    Attributes:
        mean: D, float64.
        root: R×D, float64, with rootᵀ·root = Σ, the unbiased covariance. For n ≤ D it is the centred data over √(n−1),
            so that no D×D matrix is ever formed; for n > D a triangular D×D factor; R < D where Σ is singular.
        n: Number of images.
    """

    mean: Array
    root: Array
    n: int

    @property
    def width(self) -> int:
        """Number of features, D."""
        return self.mean.size

    @property
    def variance(self) -> float:
        """Trace of the covariance."""
        return float(np.square(self.root).sum())


def moments(features: FeatureMatrix, what: str = "features") -> Moments:
    """Mean and covariance of N×D features.

    Raises:
        GraftbenchError: Unusable features, or fewer than 2 rows.
    """
    array = matrix(features, what)
    n, width = array.shape
    if n < 2:
        raise GraftbenchError(f"A covariance needs at least 2 images; the {what} have {n}.")
    mean = array.mean(axis=0)
    centred = (array - mean) / np.sqrt(n - 1)
    return Moments(mean, centred if n <= width else _root(centred.T @ centred), n)


def _root(covariance: Array) -> Array:
    """R×D with rootᵀ·root = covariance: by Cholesky, or by eigenvectors where it is singular.

    A covariance of more images than features is singular when features are constant (dead units) or images repeat.
    Rounding then leaves eigenvalues of either sign around zero; a variance is not negative, so they are dropped.
    """
    try:
        return scipy.linalg.cholesky(covariance, check_finite=False)
    except np.linalg.LinAlgError:
        values, vectors = scipy.linalg.eigh(covariance, check_finite=False)
        keep = values > max(values[-1], 0.0) * np.finfo(np.float64).eps * values.size
        return np.sqrt(values[keep])[:, None] * vectors[:, keep].T


def _trace_of_root(first: Moments, second: Moments) -> float:
    """The trace of (Σ₁Σ₂)^½: the nuclear norm of A·Bᵀ for any roots AᵀA = Σ₁ and BᵀB = Σ₂.

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
    """‖μ₁−μ₂‖² + tr(Σ₁ + Σ₂ − 2(Σ₁Σ₂)^½), the squared Fréchet distance of two Gaussians.

    Symmetric up to rounding, and ≥ 0: a negative result is rounding and becomes 0.

    Raises:
        GraftbenchError: The widths differ.

    References:
        Heusel et al. 2017 (arXiv 1706.08500), equation 6; Dowson & Landau 1982.
    """
    check_widths(first.width, second.width)
    shift = float(np.square(first.mean - second.mean).sum())
    return max(0.0, shift + first.variance + second.variance - 2.0 * _trace_of_root(first, second))


def fid(generated: FeatureMatrix | Moments, real: FeatureMatrix | Moments) -> Estimate:
    """Fréchet Inception Distance of generated to real images, in float64.

    FID is biased upwards, the more the fewer images there are on either side, and the bias depends on the generator:
    two values compare only at equal numbers of images. No standard error is given: the naive bootstrap of FID is
    biased.

    Args:
        generated: Pooled features N₁×D, or their moments.
        real: Pooled features N₂×D, or their moments.

    Returns:
        A value ≥ 0; undefined where one side has fewer than 2 images.

    Raises:
        GraftbenchError: Widths differ, or entries are NaN or infinite.
    """
    sides = [
        side if isinstance(side, Moments) else matrix(side, what)
        for side, what in ((generated, "generated features"), (real, "reference features"))
    ]
    n_generated, n_reference = (side.n if isinstance(side, Moments) else side.shape[0] for side in sides)
    check_widths(*(side.width if isinstance(side, Moments) else side.shape[1] for side in sides))
    reason = too_few(2, n_generated, n_reference, "a covariance")
    value = None
    if not reason:
        first, second = (side if isinstance(side, Moments) else moments(side) for side in sides)
        value = frechet_distance(first, second)
    return Estimate(name="fid", value=value, undefined=reason, n_generated=n_generated, n_reference=n_reference)
