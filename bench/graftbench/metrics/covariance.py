"""Mean and covariance of features, from a matrix or from batches as they come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.linalg

from graftbench.errors import GraftbenchError
from graftbench.metrics.arrays import Array, check_widths, checked, matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graftbench.metrics.arrays import FeatureMatrix

_BLOCK = 4096  # images centred at a time: 67 MB for 2048 features; fewer make the product slower


@dataclass(frozen=True)
class Moments:
    """Mean and covariance of features; computed once for a reference set, used against every generated one.

    Attributes:
        mean: D, float64.
        root: R×D, float64, with rootᵀ·root = Σ, the unbiased covariance. For n ≤ D it is the centred data over √(n−1),
            so that no D×D matrix is ever formed; for n > D a triangular D×D factor, R < D where Σ is singular, or the
            centred data too (`moments_by_rows`).
        n: Number of images.
    """

    mean: Array
    root: Array
    n: int

    @property
    def width(self) -> int:
        """Return the number of features, D."""
        return self.mean.size

    @property
    def variance(self) -> float:
        """Return the trace of the covariance."""
        return float(np.square(self.root).sum())


def moments(features: FeatureMatrix, what: str = "features") -> Moments:
    """Return mean and covariance of N×D features.

    Raises:
        GraftbenchError: Unusable features, or fewer than 2 rows.
    """
    array = checked(features, what)
    if len(array) < 2:
        raise GraftbenchError(f"A covariance needs at least 2 images; the {what} have {len(array)}.")
    return moments_of(array)


def moments_of(array: NDArray[Any]) -> Moments:
    """Return mean and covariance of checked features, N×D with N ≥ 2, of any real type.

    More images than features are taken in blocks: no float64 copy of all of them is made.
    """
    n, width = array.shape
    if n <= width:
        return moments_by_rows(array)
    mean = array.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((width, width))
    for start in range(0, n, _BLOCK):
        centred = array[start : start + _BLOCK] - mean
        covariance += centred.T @ centred
    covariance /= n - 1
    return Moments(mean, root_of(covariance), n)


def moments_by_rows(array: NDArray[Any]) -> Moments:
    """Return mean and covariance of checked features, N×D with N ≥ 2, the latter as centred data alone."""
    mean = array.mean(axis=0, dtype=np.float64)
    return Moments(mean, (array - mean) / np.sqrt(len(array) - 1), len(array))


def root_of(covariance: Array) -> Array:
    """Return R×D with rootᵀ·root = covariance: by Cholesky, or by eigenvectors where it is singular.

    A covariance of more images than features is singular when features are constant (dead units) or images repeat.
    Rounding then leaves eigenvalues of either sign around zero; a variance is not negative, so they are dropped.
    """
    try:
        return scipy.linalg.cholesky(covariance, check_finite=False)
    except np.linalg.LinAlgError:
        values, vectors = scipy.linalg.eigh(covariance, check_finite=False)
        keep = values > max(values[-1], 0.0) * np.finfo(np.float64).eps * values.size
        return np.sqrt(values[keep])[:, None] * vectors[:, keep].T


class StreamingMoments:
    """Mean and covariance of features that come in batches, of which none is kept: memory is D×D for any number.

    The sums are taken about the first batch's mean, so that little cancels when the products are corrected for the mean
    at the end: the result agrees with `moments` to about 1e-12 of the variance.

    Attributes:
        n: Images so far.
    """

    def __init__(self) -> None:
        self.n = 0
        self._origin: Array = np.empty(0)
        self._sum: Array = np.empty(0)
        self._products: Array = np.empty(0)
        self._rows: list[Array] | None = []  # until there are more of them than features

    def add(self, features: FeatureMatrix) -> None:
        """Take in a batch N×D.

        Raises:
            GraftbenchError: Unusable features, or another width than before.
        """
        array = matrix(features, "features")
        if not len(array):
            return
        if not self.n:
            self._origin = array.mean(axis=0)
            self._sum = np.zeros_like(self._origin)
        check_widths(array.shape[1], self._origin.size)
        centred = array - self._origin
        self._sum += centred.sum(axis=0)
        self.n += len(array)
        if self._rows is not None:
            self._rows.append(centred)
            if self.n > self._origin.size:
                rows = np.concatenate(self._rows)
                self._products, self._rows = rows.T @ rows, None
        else:
            self._products += centred.T @ centred

    def moments(self) -> Moments:
        """Return mean and covariance of the batches so far.

        Raises:
            GraftbenchError: Fewer than 2 images.
        """
        if self._rows is not None and self.n >= 2:
            part = moments(np.concatenate(self._rows))
            return Moments(part.mean + self._origin, part.root, self.n)
        if self.n < 2:
            raise GraftbenchError(f"A covariance needs at least 2 images; found {self.n}.")
        shift = self._sum / self.n
        covariance = (self._products - self.n * np.outer(shift, shift)) / (self.n - 1)
        return Moments(self._origin + shift, root_of(covariance), self.n)
