"""The variance of FID over new draws of the images: the infinitesimal jackknife, corrected for its excess.

FID is a smooth function of the images' weights (1/n each). Its first derivatives are the influences of the images, and
the sum of their squares is the infinitesimal jackknife's variance (Jaeckel 1972; Efron 1982, chapter 6). Hoeffding's
decomposition gives FID a first-order variance V₁, a second-order V₂ and so on, of which the jackknife estimates
V₁ + 2V₂ + …: too much, by up to a factor of 2 where both sides have one distribution and V₁ vanishes, which is where a
good generator ends (Efron & Stein 1981). So V₂ is estimated too, from second differences along random directions in the
space of weights, and taken off.

The naive bootstrap is of no use here: images that are drawn twice lower the rank, and its interval lies wholly above
the estimate.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg

from graftbench.metrics.covariance import Moments, root_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graftbench.metrics.arrays import Array

_DIRECTIONS = 10  # V₂ is then known to √(2/9) = 0.47 of itself, and it is at most half of what the jackknife gives
STEP = 0.5
"""Weights of (1 ± 0.5)/n: no image is lost, so the rank stays as it is."""


@dataclass(frozen=True)
class EstimatedVariance:
    """A variance of a score by the jackknife, and the degrees of freedom of that estimate (Satterthwaite 1946)."""

    value: float
    degrees: float


def fid_variance(x: Array, y: Array | Moments, seed: int = 0, *, divisors: Array | None = None) -> EstimatedVariance:
    """Estimate the variance of FID, or of FID over the mean of some divisors, over new draws of the images.

    A nominal 95 % interval made of it covers 92 to 98 % in simulations with Gaussian features of decaying spectrum and
    20 to 600 images a side. It is too wide (covering 99 %) where all directions vary alike and one side alone has fewer
    images than features.

    Args:
        x: Features of one side N₁×D, N₁ ≥ 2.
        y: Features of the other side N₂×D; or its moments, and then that side is taken as fixed.
        seed: Seed of the random directions.
        divisors: N₁ numbers, one per image of the first side: FID is divided by their mean (MiFID's penalty).
    """
    # Influences of the images.
    rows_suffice = rows_instead_of_root(x, y)
    first = _Rows.of(x, whole=rows_suffice)
    second = y if isinstance(y, Moments) else _Rows.of(y, whole=rows_suffice)
    shift = first.mean - second.mean
    u, s, v = _singular(first.root @ second.root.T)
    influences = [_influences(first, 2.0 * shift, u, s)]
    if isinstance(second, _Rows):
        influences.append(_influences(second, -2.0 * shift, v, s))
    unit = 1.0
    if divisors is not None:
        unit = float(divisors.mean())
        influences[0] = influences[0] - _distance(first, second) / unit * (divisors - unit)
    # The correction, and the unit of what FID is divided by.
    rng = np.random.default_rng(seed)
    n, m = len(first.rows), len(second.rows) if isinstance(second, _Rows) else 0
    at = _evaluation(first, second)
    centre = at(np.ones(n), np.ones(m))
    variance = corrected(influences, at, centre, lambda: (STEP * signs(n, rng), STEP * signs(m, rng)))
    return EstimatedVariance(variance.value / unit**2, variance.degrees)


def rows_instead_of_root(x: Array, y: Array | Moments) -> bool:
    """Tell whether the rows of both sides are multiplied as they are, and no root of a covariance is taken.

    Where one side has no more images than features, the product's smaller side is theirs: a D×D root of the other side
    would shrink the larger one alone, and takes longer than the product unless that side has many times D images.
    """
    if isinstance(y, Moments):
        return False
    fewer, more = sorted((len(x), len(y)))
    return fewer <= x.shape[1] and more <= 2 * x.shape[1]


def corrected(
    influences: Sequence[Array],
    at: Callable[[Array, Array], float],
    centre: float,
    draw: Callable[[], tuple[Array, Array]],
) -> EstimatedVariance:
    """Return the jackknife's variance less V₂, for any function of the weights of two sides.

    V₂ is a quarter of the variance of T(w+e) + T(w−e) − 2T(w) over directions e of random signs: with signs over n,
    that is Σᵢⱼ eᵢeⱼ·T″ᵢⱼ/n², whose variance over signs is 4·Σ_{i<j} T″ᵢⱼ²/n⁴ = 4V₂; the step's square is divided out.

    Args:
        influences: n times the derivative by each image's weight, of mean 0, for each side that varies.
        at: The function at weights factors/n of the sides.
        centre: Its value at equal weights.
        draw: Random steps of both sides' factors.
    """
    parts = [float(side @ side) / side.size**2 for side in influences]
    jackknife = sum(parts)
    if jackknife == 0.0:
        return EstimatedVariance(0.0, np.inf)
    degrees = jackknife**2 / sum(part**2 / (side.size - 1) for part, side in zip(parts, influences, strict=True))
    differences = []
    for _ in range(_DIRECTIONS):
        e, f = draw()
        differences.append((at(1.0 + e, 1.0 + f) + at(1.0 - e, 1.0 - f) - 2.0 * centre) / STEP**2)
    second_order = float(np.var(differences, ddof=1)) / 4.0
    # V₁ ≥ 0 bounds V₁ + V₂ from below by half of V₁ + 2V₂.
    return EstimatedVariance(max(jackknife - second_order, jackknife / 2.0), degrees)


@dataclass(frozen=True)
class _Rows:
    """One side's images.

    Attributes:
        mean: D.
        rows: N×D: features less their mean, over √(n−1), so that rowsᵀ·rows is the covariance.
        whole: Whether the rows serve as the root, however many they are.
    """

    mean: Array
    rows: Array
    whole: bool = False

    @classmethod
    def of(cls, features: Array, *, whole: bool = False) -> _Rows:
        mean = features.mean(axis=0)
        return cls(mean, (features - mean) / np.sqrt(len(features) - 1), whole)

    @property
    def tall(self) -> bool:
        """Tell whether images outnumber features, so that the covariance has the smaller side."""
        return not self.whole and self.rows.shape[0] > self.rows.shape[1]

    @cached_property
    def root(self) -> Array:
        """Return R×D with rootᵀ·root = Σ, as in `Moments`."""
        return root_of(self.rows.T @ self.rows) if self.tall else self.rows

    def per_image(self, vectors: Array) -> Array:
        """Turn singular vectors R×K of a product with `root` into those of the product with `rows`: N×K.

        For tall rows = Q·root with orthonormal Q, and the vectors are Q times those of the root.
        """
        if not self.tall:
            return vectors
        if self.root.shape[0] == self.root.shape[1]:
            return self.rows @ scipy.linalg.solve_triangular(self.root, vectors, check_finite=False)
        gram = self.root @ self.root.T  # singular covariance: diagonal
        return self.rows @ (self.root.T @ (vectors / np.diag(gram)[:, None]))

    def weighted(self, factors: Array) -> _Rows:
        """Return these images with weights factors/n, which sum to 1."""
        change = factors @ self.rows / len(self.rows)  # of the mean, over √(n−1)
        rows = (self.rows - change) * np.sqrt(factors)[:, None]
        return _Rows(self.mean + change * np.sqrt(len(self.rows) - 1), rows, self.whole)


def _singular(product: Array) -> tuple[Array, Array, Array]:
    """Return left vectors R₁×K, singular values K and right vectors R₂×K, values of rounding's size left out.

    By the eigenvectors of the smaller Gram matrix, in half the time of a singular value decomposition. What enters an
    influence is s·v², so that the digits which small values lose do not matter.
    """
    if product.shape[0] > product.shape[1]:
        v, s, u = _singular(product.T)
        return u, s, v
    squared, u = scipy.linalg.eigh(product @ product.T, overwrite_a=True, check_finite=False)
    keep = squared > squared[-1] * np.finfo(np.float64).eps * squared.size if squared.size else slice(0)
    u, s = u[:, keep], np.sqrt(squared[keep])
    return u, s, product.T @ (u / s)


def _influences(side: _Rows, direction: Array, vectors: Array, values: Array) -> Array:
    """Return n times the derivative of FID by the weight of each image of one side: N numbers of mean 0.

    For an image at a = x − μ it is direction·a + aᵀ(1−T)a less its mean, T = Σ₁^(-½)(Σ₁^½Σ₂Σ₁^½)^½Σ₁^(-½) being the
    optimal map of one Gaussian to the other. The images' aᵀTa are the diagonal of the root of A·Σ₂·Aᵀ, which has the
    singular vectors and values of A·Bᵀ.
    """
    n = len(side.rows)
    transported = np.square(side.per_image(vectors)) @ values
    effects = n * (np.square(side.rows).sum(axis=1) - transported) + np.sqrt(n - 1) * (side.rows @ direction)
    return effects - effects.mean()


def _evaluation(first: _Rows, second: _Rows | Moments) -> Callable[[Array, Array], float]:
    """Return FID as a function of both sides' weights: by products of rows unless both sides outnumber the features."""
    both_tall = first.tall and isinstance(second, _Rows) and second.tall
    return partial(_distance_at, first, second) if both_tall else _Products(first, second).distance_at


def signs(n: int, rng: np.random.Generator) -> Array:
    """Draw +1 for half of the images and −1 for the rest, less their mean where n is odd; n is 0 for a fixed side."""
    if not n:
        return np.empty(0)
    signs = rng.permutation(np.where(np.arange(n) % 2 == 0, 1.0, -1.0))
    return signs - signs.mean()


def _distance_at(first: _Rows, second: _Rows | Moments, factors_x: Array, factors_y: Array) -> float:
    """Return FID at weights factors_x/n and factors_y/m, by its definition."""
    return _distance(first.weighted(factors_x), second if isinstance(second, Moments) else second.weighted(factors_y))


class _Products:
    """FID at many weights, where one side has no more rows than features: all products of rows are taken once.

    Weights change the mean, which is a product of weights and rows, and scale what is left: no evaluation touches the
    features again.
    """

    def __init__(self, first: _Rows, second: _Rows | Moments) -> None:
        other = np.ascontiguousarray(second.root if isinstance(second, Moments) else second.rows)
        self._fixed = isinstance(second, Moments)
        self._n = len(first.rows), len(other)
        self._rows = first.rows, other
        self._cross = first.rows @ other.T
        self._squares = np.square(first.rows).sum(axis=1), np.square(other).sum(axis=1)
        self._shift = first.mean - second.mean

    def distance_at(self, factors_x: Array, factors_y: Array) -> float:
        """Return FID at weights factors_x/n and factors_y/m, the latter ignored where that side is fixed."""
        n, m = self._n
        x, y = self._rows
        a = factors_x @ x / n
        product = self._cross - y @ a
        shift = self._shift + a * np.sqrt(n - 1)
        variance = float(factors_x @ self._squares[0]) - n * float(a @ a)
        if self._fixed:
            variance += float(self._squares[1].sum())
        else:
            b = factors_y @ y / m
            product -= (x @ b)[:, None] - float(a @ b)
            product *= np.sqrt(factors_y)
            shift = shift - b * np.sqrt(m - 1)
            variance += float(factors_y @ self._squares[1]) - m * float(b @ b)
        product *= np.sqrt(factors_x)[:, None]
        return float(shift @ shift) + variance - 2.0 * _nuclear_norm(product)


def _distance(first: _Rows | Moments, second: _Rows | Moments) -> float:
    """Return FID with half of `frechet_distance`'s digits in the smallest singular values: enough for a variance."""
    variances = float(np.square(first.root).sum() + np.square(second.root).sum())
    shift = first.mean - second.mean
    return float(shift @ shift) + variances - 2.0 * _nuclear_norm(first.root @ second.root.T)


def _nuclear_norm(product: Array) -> float:
    """Sum the singular values, by the eigenvalues of the smaller Gram matrix: a third of the time."""
    gram = product @ product.T if product.shape[0] <= product.shape[1] else product.T @ product
    squared = scipy.linalg.eigvalsh(gram, overwrite_a=True, check_finite=False)
    return float(np.sqrt(squared.clip(min=0.0)).sum())
