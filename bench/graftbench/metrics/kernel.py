"""Kernel Inception Distance: the full U-statistic with its standard error, and the subset protocol of other tools.

Binkowski et al. 2018 (arXiv 1801.01401). All in float64, and in row blocks: memory grows with N, not N².
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from graftbench.errors import GraftbenchError
from graftbench.metrics.arrays import Array, pair, too_few
from graftbench.metrics.estimate import Estimate
from graftbench.metrics.mmd import BLOCK, discrepancy, estimate_of

if TYPE_CHECKING:
    from graftbench.metrics.arrays import FeatureMatrix


def polynomial_kernel(x: Array, y: Array) -> Array:
    """Return k(x, y) = (x·y/D + 1)³ for all pairs: M×D and N×D give M×N."""
    base = x @ y.T
    base /= x.shape[1]
    base += 1.0
    cube = base * base  # two products in place: NumPy's ** goes through the general power
    cube *= base
    return cube


def kid(generated: FeatureMatrix, real: FeatureMatrix) -> Estimate:
    """Return the Kernel Inception Distance: the unbiased estimate of MMD² from all pairs, with its standard error.

    Args:
        generated: Pooled features M×D.
        real: Pooled features N×D; N need not equal M.

    Returns:
        A value that may be slightly negative (it is unbiased, and the true value may be 0); undefined below 2 images on
        a side. Standard error and interval, those of the U-statistic, need 4 images on each.

    Raises:
        GraftbenchError: Widths differ, or entries are NaN or infinite.

    References:
        Binkowski et al. 2018 (arXiv 1801.01401); Gretton et al. 2012, lemma 6.
    """
    x, y = pair(generated, real)
    m, n = len(x), len(y)
    if reason := too_few(2, m, n, "an unbiased kernel distance"):
        return Estimate(name="kid", undefined=reason, n_generated=m, n_reference=n)
    offset = float(polynomial_kernel(x.mean(axis=0, keepdims=True), y.mean(axis=0, keepdims=True))[0, 0])
    return estimate_of("kid", discrepancy(x, y, polynomial_kernel, offset), m, n)


def kid_subsets(
    generated: FeatureMatrix, real: FeatureMatrix, subsets: int = 100, subset_size: int = 1000, seed: int = 2020
) -> Estimate:
    """Return KID as torch-fidelity computes it: the mean over random subsets, the same subsets for the same seed.

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
    x, y = pair(generated, real)
    define = partial(Estimate, name=f"kid_{subsets}x{subset_size}", n_generated=len(x), n_reference=len(y))
    if reason := too_few(subset_size, len(x), len(y), f"KID over subsets of {subset_size}"):
        return define(undefined=reason)
    in_x, in_y = _indicators(len(x), len(y), subsets, subset_size, seed)
    pairs = subset_size * (subset_size - 1)
    between = 2.0 * _sums_between(in_x, x, y, in_y) / subset_size**2
    values = (_sums_within(in_x, x) + _sums_within(in_y, y)) / pairs - between
    return define(value=float(values.mean()), spread=float(values.std()))


def _indicators(m: int, n: int, subsets: int, size: int, seed: int) -> tuple[Array, Array]:
    """Draw the images of each subset, in torch-fidelity's order: subsets×m and subsets×n of zeros and ones."""
    rng = np.random.RandomState(seed)  # torch-fidelity's generator
    in_x, in_y = np.zeros((subsets, m)), np.zeros((subsets, n))
    for i in range(subsets):
        in_x[i, rng.choice(m, size, replace=False)] = 1.0
        in_y[i, rng.choice(n, size, replace=False)] = 1.0
    return in_x, in_y


def _sums_between(in_x: Array, x: Array, y: Array, in_y: Array) -> Array:
    """Sum k(x, y) over all pairs of each subset."""
    total = np.zeros(len(in_x))
    for start in range(0, len(x), BLOCK):
        k = polynomial_kernel(x[start : start + BLOCK], y)
        total += ((in_x[:, start : start + BLOCK] @ k) * in_y).sum(axis=1)
    return total


def _sums_within(in_x: Array, x: Array) -> Array:
    """Sum k(x, x') over all ordered pairs i ≠ j of each subset, from the triangle as in `mmd._within`."""
    total = np.zeros(len(in_x))
    for start in range(0, len(x), BLOCK):
        k = polynomial_kernel(x[start : start + BLOCK], x[start:])
        size = len(k)
        np.fill_diagonal(k, 0.0)
        k[:, size:] *= 2.0
        total += ((in_x[:, start : start + size] @ k) * in_x[:, start:]).sum(axis=1)
    return total
