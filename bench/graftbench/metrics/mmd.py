"""Maximum mean discrepancy under any kernel, with its standard error: the common part of KID and CMMD.

All in float64, and in row blocks: memory grows with N, not N².
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from graftbench.metrics.estimate import Estimate, quantile

if TYPE_CHECKING:
    from collections.abc import Callable

    from graftbench.metrics.arrays import Array
    from graftbench.metrics.estimate import Bounds

    Kernel: TypeAlias = Callable[[Array, Array], Array]

BLOCK = 1024  # rows of the kernel matrix held at a time: 82 MB against 10,000 images


@dataclass(frozen=True)
class DiscrepancyVariance:
    """The variance of the U-statistic at any true discrepancy θ: second_order + slope·θ for θ ≥ 0.

    By Hoeffding's decomposition the variance is that of the single images' effects (first order) and of the pairs'
    (second order). The second-order part is there whatever the two distributions; the first-order part vanishes where
    they are equal and grows in proportion to θ near it.

    Attributes:
        second_order: Estimated without bias.
        slope: First-order variance by θ. Far from equality it is the estimated first-order part over the estimated θ.
            Near it both are noise (and of one sign, so that an interval made of them is too narrow where θ is
            underestimated), and the slope that differences of mean by chance would have takes over: it weighs as much
            as a θ of two standard deviations under equality.
    """

    second_order: float
    slope: float

    def at(self, discrepancy: float) -> float:
        """Return the variance where the true discrepancy is this."""
        return self.second_order + self.slope * max(0.0, discrepancy)

    def bounds(self, estimate: float, quantile: float) -> Bounds:
        """Return all θ that the estimate is at most `quantile` standard deviations from, the variance being θ's own.

        (θ − e)² = q²(s + cθ) is a quadratic in θ ≥ 0; below 0 the variance is s.
        """
        reach = quantile**2 * self.second_order
        middle = quantile**2 * self.slope / 2.0
        flat = math.sqrt(reach)
        inner = middle**2 + 2.0 * middle * estimate + reach
        if inner < 0.0:  # so far below 0 that no θ ≥ 0 is near enough
            return estimate - flat, estimate + flat
        low, high = estimate + middle - math.sqrt(inner), estimate + middle + math.sqrt(inner)
        return (low if low >= 0.0 else estimate - flat), (high if high >= 0.0 else estimate + flat)


@dataclass(frozen=True)
class Discrepancy:
    """Both estimates of MMD², and the variance of the unbiased one.

    Attributes:
        unbiased: The U-statistic: pairs of an image with itself are left out. It may be slightly negative.
        biased: The V-statistic: they are counted in, which adds about (k(x,x) − E k)/n for each side.
        variance: Variance of the U-statistic; None below 4 images on a side.
    """

    unbiased: float
    biased: float
    variance: DiscrepancyVariance | None


def discrepancy(x: Array, y: Array, kernel: Kernel, offset: float) -> Discrepancy:
    """Estimate MMD² of x and y, with its variance.

    Args:
        x: M×D, M ≥ 2.
        y: N×D, N ≥ 2; N need not equal M.
        kernel: M×D and N×D to the kernel of all pairs, M×N.
        offset: A constant near the kernel's values: subtracted from every entry it leaves the result as it is and keeps
            the digits that differ.

    References:
        Gretton et al. 2012, "A kernel two-sample test", lemma 6 and equation 5.
    """
    m, n = len(x), len(y)
    xx, yy, xy = _within(x, kernel, offset), _within(y, kernel, offset), _between(x, y, kernel, offset)
    between = 2.0 * xy.rows.sum() / (m * n)
    unbiased = float(xx.rows.sum() / (m * (m - 1)) + yy.rows.sum() / (n * (n - 1)) - between)
    return Discrepancy(
        unbiased=unbiased,
        biased=float((xx.rows.sum() + xx.diagonal) / m**2 + (yy.rows.sum() + yy.diagonal) / n**2 - between),
        variance=_variance(unbiased, xx, yy, xy) if min(m, n) >= 4 else None,
    )


def estimate_of(name: str, mmd: Discrepancy, n_generated: int, n_reference: int, scale: float = 1.0) -> Estimate:
    """Return the U-statistic as an estimate; the interval uses Student's quantile for the smaller side."""
    value = scale * mmd.unbiased
    define = partial(Estimate, name=name, value=value, n_generated=n_generated, n_reference=n_reference)
    if mmd.variance is None:
        return define()
    low, high = mmd.variance.bounds(mmd.unbiased, quantile(min(n_generated, n_reference) - 1))
    error = math.sqrt(mmd.variance.at(mmd.unbiased))
    return define(standard_error=scale * error, interval=(scale * low, scale * high), method="U-statistic")


@dataclass(frozen=True)
class _Sums:
    """The sums over a kernel matrix that the estimates and their variance are made of.

    Attributes:
        rows: Sum of each row (within one sample: without the diagonal).
        columns: Sum of each column.
        squares: Sum of all squared entries (within one sample: without the diagonal).
        diagonal: Sum of the diagonal (within one sample; else 0).
    """

    rows: Array
    columns: Array
    squares: float
    diagonal: float = 0.0


def _between(x: Array, y: Array, kernel: Kernel, offset: float) -> _Sums:
    rows, columns, squares = np.empty(len(x)), np.zeros(len(y)), 0.0
    for start in range(0, len(x), BLOCK):
        k = kernel(x[start : start + BLOCK], y)
        k -= offset
        rows[start : start + BLOCK] = k.sum(axis=1)
        columns += k.sum(axis=0)
        squares += float(np.vdot(k, k))
    return _Sums(rows, columns, squares)


def _within(x: Array, kernel: Kernel, offset: float) -> _Sums:
    """Sum the kernel matrix of one sample from its triangle: each block of rows against itself and what follows."""
    rows, squares, diagonal = np.zeros(len(x)), 0.0, 0.0
    for start in range(0, len(x), BLOCK):
        k = kernel(x[start : start + BLOCK], x[start:])
        k -= offset
        size = len(k)
        diagonal += float(np.trace(k))
        np.fill_diagonal(k, 0.0)
        rows[start : start + size] += k.sum(axis=1)
        rows[start + size :] += k[:, size:].sum(axis=0)
        squares += 2.0 * float(np.vdot(k, k)) - float(np.vdot(k[:, :size], k[:, :size]))
    return _Sums(rows, rows, squares, diagonal)


def _variance(estimate: float, xx: _Sums, yy: _Sums, xy: _Sums) -> DiscrepancyVariance:
    """Estimate the variance of the two-sample U-statistic, by analysis of variance of the kernel matrices.

    Hoeffding's decomposition writes k(x,x') = θ + p(x) + p(x') + κ(x,x'), k(x,y) = θ' + q(x) + r(y) + κ'(x,y) and
    k(y,y') = θ'' + s(y) + s(y') + κ''(y,y') with uncorrelated parts, so that exactly

        Var = 4 Var(p−q)/m + 4 Var(s−r)/n + 2 Var κ/(m(m−1)) + 2 Var κ''/(n(n−1)) + 4 Var κ'/(mn).

    Each part is estimated without bias: κ by the residual mean squares, p−q by the spread of the row effects less what
    κ and κ' add to it. (For equal sizes: Sutherland & Deka 2019, arXiv 1906.02104.)

    Under equality the kernel's eigenvalues λ give the second order 2(1/m+1/n)²Σλ² and the noise of the means a
    discrepancy of (1/m+1/n)Σλ with a first-order variance of 4(1/m+1/n)²Σλ²: the slope by chance is their ratio.
    """
    m, n = xx.rows.size, yy.rows.size
    # Second order, then what the row effects hold beyond it: first order.
    kappa_xx, kappa_yy, kappa_xy = _residual_within(xx), _residual_within(yy), _residual_between(xy)
    effect_x = xx.rows / (m - 2) - xy.rows / n
    effect_y = yy.rows / (n - 2) - xy.columns / m
    first_x = effect_x.var(ddof=1) - kappa_xx / (m - 2) - kappa_xy / n
    first_y = effect_y.var(ddof=1) - kappa_yy / (n - 2) - kappa_xy / m
    first = max(0.0, float(4.0 * first_x / m + 4.0 * first_y / n))
    second = 2.0 * kappa_xx / (m * (m - 1)) + 2.0 * kappa_yy / (n * (n - 1)) + 4.0 * kappa_xy / (m * n)
    # The slope: first order over θ, weighed against the slope by chance.
    noise = _trace(xx) / m + _trace(yy) / n
    by_chance = 2.0 * second / noise if noise > 0.0 else 0.0
    weight = 2.0 * math.sqrt(second)
    total = max(0.0, estimate) + weight
    return DiscrepancyVariance(second, (first + by_chance * weight) / total if total > 0.0 else 0.0)


def _trace(sums: _Sums) -> float:
    """Sum the eigenvalues of the centred kernel: its mean diagonal less its mean elsewhere."""
    n = sums.rows.size
    return float(sums.diagonal / n - sums.rows.sum() / (n * (n - 1)))


def _residual_within(sums: _Sums) -> float:
    """Return the mean square of κ(x,x') over the pairs i<j: m(m−3)/2 degrees of freedom."""
    m, total = sums.rows.size, sums.rows.sum() / 2.0
    all_pairs = sums.squares / 2.0 - 2.0 * total**2 / (m * (m - 1))
    row_effects = np.square(sums.rows).sum() / (m - 2) - 4.0 * total**2 / (m * (m - 2))
    return max(0.0, float(all_pairs - row_effects) / (m * (m - 3) / 2.0))  # negative by rounding only


def _residual_between(sums: _Sums) -> float:
    """Return the mean square of κ'(x,y): (m−1)(n−1) degrees of freedom."""
    m, n, total = sums.rows.size, sums.columns.size, sums.rows.sum()
    correction = total**2 / (m * n)
    effects = np.square(sums.rows).sum() / n + np.square(sums.columns).sum() / m - 2.0 * correction
    return max(0.0, float(sums.squares - correction - effects) / ((m - 1) * (n - 1)))  # negative by rounding only


def difference(x: Array, y: Array, reference: Array, kernel: Kernel, offset: float) -> tuple[float, float]:
    """Return MMD²(x, reference) − MMD²(y, reference), both unbiased, and the variance of this difference.

    Both are measured against one sample, so what the reference's draw does to both cancels: its pairs with itself
    entirely, and of its pairs with x and y what they have in common. In the decomposition of `_variance`, with the
    effect r of a reference image on x and t on y,

        Var = 4 Var(p−q)/m + 4 Var(s−u)/n + 4 Var(r−t)/N + 2 Var κx/(m(m−1)) + 2 Var κy/(n(n−1))
              + 4 Var κxr/(mN) + 4 Var κyr/(nN),

    each part estimated without bias.

    Args:
        x: M×D, M ≥ 4.
        y: N×D, N ≥ 4; another draw than x.
        reference: R×D, R ≥ 4.
        kernel: As in `discrepancy`.
        offset: As in `discrepancy`.

    References:
        Bounliphone et al. 2016 (arXiv 1511.04581), whose estimate of the joint variance is of first order alone.
    """
    first, second, value = 0.0, 0.0, 0.0
    effects = np.zeros(len(reference))
    correction = 0.0
    for sign, sample in ((1.0, x), (-1.0, y)):
        n = len(sample)
        own, cross = _within(sample, kernel, offset), _between(sample, reference, kernel, offset)
        kappa_own, kappa_cross = _residual_within(own), _residual_between(cross)
        value += sign * float(own.rows.sum() / (n * (n - 1)) - 2.0 * cross.rows.sum() / (n * len(reference)))
        effect = own.rows / (n - 2) - cross.rows / len(reference)
        own_effect = effect.var(ddof=1) - kappa_own / (n - 2) - kappa_cross / len(reference)
        first += 4.0 * float(own_effect) / n
        second += 2.0 * kappa_own / (n * (n - 1)) + 4.0 * kappa_cross / (n * len(reference))
        effects += sign * cross.columns / n
        correction += kappa_cross / n
    first += 4.0 * float(effects.var(ddof=1) - correction) / len(reference)
    return value, max(0.0, first) + second
