"""Kernel Inception Distance: the full U-statistic with its standard error, and the subset protocol of other tools.

Binkowski et al. 2018 (arXiv 1801.01401). All in float64, and in row blocks: memory grows with N, not N².
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graftbench.errors import GraftbenchError
from graftbench.metrics.arrays import Array, check_widths, matrix, too_few
from graftbench.metrics.estimate import Estimate

if TYPE_CHECKING:
    from graftbench.metrics.arrays import FeatureMatrix

_BLOCK = 1024  # rows of the kernel matrix held at a time: 82 MB against 10,000 images


def polynomial_kernel(x: Array, y: Array) -> Array:
    """k(x, y) = (x·y/D + 1)³ for all pairs: M×D and N×D give M×N."""
    base = x @ y.T
    base /= x.shape[1]
    base += 1.0
    cube = base * base  # two products in place: NumPy's ** goes through the general power
    cube *= base
    return cube


def _both(generated: FeatureMatrix, real: FeatureMatrix) -> tuple[Array, Array]:
    x, y = matrix(generated, "generated features"), matrix(real, "reference features")
    check_widths(x.shape[1], y.shape[1])
    return x, y


# ------------------------------------------------------------------------------------------------ full U-statistic


@dataclass(frozen=True)
class _Sums:
    """What estimate and standard error need of a kernel matrix.

    Attributes:
        rows: Sum of each row (within one sample: without the diagonal).
        columns: Sum of each column.
        squares: Sum of all squared entries (within one sample: without the diagonal).
    """

    rows: Array
    columns: Array
    squares: float


def _between(x: Array, y: Array, offset: float) -> _Sums:
    rows, columns, squares = np.empty(len(x)), np.zeros(len(y)), 0.0
    for start in range(0, len(x), _BLOCK):
        k = polynomial_kernel(x[start : start + _BLOCK], y)
        k -= offset
        rows[start : start + _BLOCK] = k.sum(axis=1)
        columns += k.sum(axis=0)
        squares += float(np.vdot(k, k))
    return _Sums(rows, columns, squares)


def _within(x: Array, offset: float) -> _Sums:
    """Only the triangle is computed: each block of rows against itself and the rows that follow."""
    rows, squares = np.zeros(len(x)), 0.0
    for start in range(0, len(x), _BLOCK):
        k = polynomial_kernel(x[start : start + _BLOCK], x[start:])
        k -= offset
        size = len(k)
        np.fill_diagonal(k, 0.0)
        rows[start : start + size] += k.sum(axis=1)
        rows[start + size :] += k[:, size:].sum(axis=0)
        squares += 2.0 * float(np.vdot(k, k)) - float(np.vdot(k[:, :size], k[:, :size]))
    return _Sums(rows, rows, squares)


def kid(generated: FeatureMatrix, real: FeatureMatrix) -> Estimate:
    """Kernel Inception Distance: the unbiased estimate of MMD² from all pairs, with its standard error.

    The standard error is the square root of the U-statistic's whole variance, estimated from the same kernel sums (see
    `_variance`): first- and second-order terms, because the first-order (Hájek) term alone vanishes where both sides
    have the same distribution, which is where a good generator ends.

    Args:
        generated: Pooled features M×D.
        real: Pooled features N×D; N need not equal M.

    Returns:
        A value that may be slightly negative (it is unbiased, and the true value may be 0); undefined below 2 images on
        a side. The standard error needs 4 images on each.

    Raises:
        GraftbenchError: Widths differ, or entries are NaN or infinite.

    References:
        Binkowski et al. 2018 (arXiv 1801.01401); Gretton et al. 2012, lemma 6.
    """
    x, y = _both(generated, real)
    m, n = len(x), len(y)
    reason = too_few(2, m, n, "an unbiased kernel distance")
    if reason:
        return Estimate(name="kid", value=None, undefined=reason, n_generated=m, n_reference=n)
    # A constant subtracted from every kernel entry leaves the estimate as it is and keeps the digits that differ.
    offset = float(polynomial_kernel(x.mean(axis=0, keepdims=True), y.mean(axis=0, keepdims=True))[0, 0])
    xx, yy, xy = _within(x, offset), _within(y, offset), _between(x, y, offset)
    value = xx.rows.sum() / (m * (m - 1)) + yy.rows.sum() / (n * (n - 1)) - 2.0 * xy.rows.sum() / (m * n)
    error = float(np.sqrt(_variance(xx, yy, xy))) if min(m, n) >= 4 else None
    return Estimate(name="kid", value=float(value), standard_error=error, n_generated=m, n_reference=n)


def _variance(xx: _Sums, yy: _Sums, xy: _Sums) -> float:
    """Variance of the two-sample U-statistic, by analysis of variance of the kernel matrices.

    Hoeffding's decomposition writes k(x,x') = θ + p(x) + p(x') + κ(x,x'), k(x,y) = θ' + q(x) + r(y) + κ'(x,y) and
    k(y,y') = θ'' + s(y) + s(y') + κ''(y,y') with uncorrelated parts, so that exactly

        Var = 4 Var(p−q)/m + 4 Var(s−r)/n + 2 Var κ/(m(m−1)) + 2 Var κ''/(n(n−1)) + 4 Var κ'/(mn).

    Each part is estimated without bias: κ by the residual mean squares, p−q by the spread of the row effects less what
    κ and κ' add to it. The estimate of the two first-order terms can come out negative where they are 0 by nature
    (equal distributions); it is then set to 0, which makes the whole too large rather than too small there: up to twice
    the variance where the features vary in one direction only, nearly none where they vary in many. (For equal sizes:
    Sutherland & Deka 2019, arXiv 1906.02104.)
    """
    m, n = xx.rows.size, yy.rows.size
    kappa_xx, kappa_yy, kappa_xy = _residual_within(xx), _residual_within(yy), _residual_between(xy)
    effect_x = xx.rows / (m - 2) - xy.rows / n
    effect_y = yy.rows / (n - 2) - xy.columns / m
    first_x = effect_x.var(ddof=1) - kappa_xx / (m - 2) - kappa_xy / n
    first_y = effect_y.var(ddof=1) - kappa_yy / (n - 2) - kappa_xy / m
    second = 2.0 * kappa_xx / (m * (m - 1)) + 2.0 * kappa_yy / (n * (n - 1)) + 4.0 * kappa_xy / (m * n)
    return float(max(0.0, 4.0 * first_x / m + 4.0 * first_y / n) + second)


def _residual_within(sums: _Sums) -> float:
    """Mean square of κ(x,x') over the pairs i<j: m(m−3)/2 degrees of freedom."""
    m, total = sums.rows.size, sums.rows.sum() / 2.0
    all_pairs = sums.squares / 2.0 - 2.0 * total**2 / (m * (m - 1))
    row_effects = np.square(sums.rows).sum() / (m - 2) - 4.0 * total**2 / (m * (m - 2))
    return max(0.0, float(all_pairs - row_effects) / (m * (m - 3) / 2.0))  # negative by rounding only


def _residual_between(sums: _Sums) -> float:
    """Mean square of κ'(x,y): (m−1)(n−1) degrees of freedom."""
    m, n, total = sums.rows.size, sums.columns.size, sums.rows.sum()
    correction = total**2 / (m * n)
    effects = np.square(sums.rows).sum() / n + np.square(sums.columns).sum() / m - 2.0 * correction
    return max(0.0, float(sums.squares - correction - effects) / ((m - 1) * (n - 1)))  # negative by rounding only


# ------------------------------------------------------------------------------------------------- subset protocol


def kid_subsets(
    generated: FeatureMatrix, real: FeatureMatrix, subsets: int = 100, subset_size: int = 1000, seed: int = 2020
) -> Estimate:
    """KID as torch-fidelity computes it: the mean over random subsets, the same subsets for the same seed.

    The kernel matrix is computed once; a subset's sum is then a product with its indicator vector. `kid` uses every
    pair and is the better estimate; this one is for comparison with published numbers.

    Args:
        generated: Pooled features M×D.
        real: Pooled features N×D.
        subsets: Number of subsets.
        subset_size: Images in each, drawn without replacement.
        seed: Seed of NumPy's legacy generator, as torch-fidelity's `rng_seed`.

    Returns:
        The mean, with the standard deviation over subsets as `spread`; no standard error, because subsets overlap
        (where the subset is the whole set the spread is rounding noise). Undefined below `subset_size` images on a
        side.

    Raises:
        GraftbenchError: subsets < 1, subset_size < 2, widths differ, or entries are NaN or infinite.
    """
    if subsets < 1 or subset_size < 2:
        raise GraftbenchError(
            f"KID needs at least 1 subset of at least 2 images; found {subsets} subsets of {subset_size}."
        )
    x, y = _both(generated, real)
    name = f"kid_{subsets}x{subset_size}"
    reason = too_few(subset_size, len(x), len(y), f"KID over subsets of {subset_size}")
    if reason:
        return Estimate(name=name, value=None, undefined=reason, n_generated=len(x), n_reference=len(y))
    in_x, in_y = _indicators(len(x), len(y), subsets, subset_size, seed)
    pairs = subset_size * (subset_size - 1)
    values = (_sums_within(in_x, x) + _sums_within(in_y, y)) / pairs - 2.0 * _sums_between(
        in_x, x, y, in_y
    ) / subset_size**2
    return Estimate(
        name=name,
        value=float(values.mean()),
        spread=float(values.std()),
        n_generated=len(x),
        n_reference=len(y),
    )


def _indicators(m: int, n: int, subsets: int, size: int, seed: int) -> tuple[Array, Array]:
    """Which images each subset holds: subsets×m and subsets×n of zeros and ones, drawn in torch-fidelity's order."""
    rng = np.random.RandomState(seed)  # torch-fidelity's generator
    in_x, in_y = np.zeros((subsets, m)), np.zeros((subsets, n))
    for i in range(subsets):
        in_x[i, rng.choice(m, size, replace=False)] = 1.0
        in_y[i, rng.choice(n, size, replace=False)] = 1.0
    return in_x, in_y


def _sums_between(in_x: Array, x: Array, y: Array, in_y: Array) -> Array:
    """Sum of k(x, y) over all pairs of each subset."""
    total = np.zeros(len(in_x))
    for start in range(0, len(x), _BLOCK):
        k = polynomial_kernel(x[start : start + _BLOCK], y)
        total += ((in_x[:, start : start + _BLOCK] @ k) * in_y).sum(axis=1)
    return total


def _sums_within(in_x: Array, x: Array) -> Array:
    """Sum of k(x, x') over all ordered pairs i ≠ j of each subset, from the triangle as in `_within`."""
    total = np.zeros(len(in_x))
    for start in range(0, len(x), _BLOCK):
        k = polynomial_kernel(x[start : start + _BLOCK], x[start:])
        size = len(k)
        np.fill_diagonal(k, 0.0)
        k[:, size:] *= 2.0
        total += ((in_x[:, start : start + size] @ k) * in_x[:, start:]).sum(axis=1)
    return total
