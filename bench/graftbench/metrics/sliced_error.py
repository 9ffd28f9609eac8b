"""The variance of MIND over new draws of the images: FID's method (`frechet_error`) for a sliced distance.

The derivative of a squared Wasserstein distance by the weight of an image is its Kantorovich potential; the potentials,
averaged over directions, are the influences of the infinitesimal jackknife. Second differences along random directions
in the space of weights give the second-order variance that the jackknife counts twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graftbench.metrics.frechet_error import STEP, EstimatedVariance, corrected, signs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graftbench.metrics.arrays import Array

_FEWER = 128  # directions that the second differences use: their noise is the same at both ends and cancels


def sliced_variance(a: Array, b: Array, seed: int = 0) -> EstimatedVariance:
    """Estimate the variance of the mean over directions of the squared Wasserstein distance.

    A nominal 95 % interval made of it covers 92 to 98 % in simulations with 50 to 300 images, 89 to 95 % with 20.

    Args:
        a: Projections of one side, L×M, a row per direction, unsorted.
        b: Projections of the other side, L×N.
        seed: Seed of the random directions in the space of weights.
    """
    order_a, order_b = np.argsort(a, axis=1), np.argsort(b, axis=1)
    sorted_a, sorted_b = np.take_along_axis(a, order_a, axis=1), np.take_along_axis(b, order_b, axis=1)
    influences = [
        _per_image(_potentials(sorted_a, sorted_b), order_a),
        _per_image(_potentials(sorted_b, sorted_a), order_b),
    ]
    few = slice(min(_FEWER, len(a)))

    def distance_at(factors_a: Array, factors_b: Array) -> float:
        weights = factors_a[order_a[few]] / factors_a.size, factors_b[order_b[few]] / factors_b.size
        return float(_distances(sorted_a[few], sorted_b[few], *weights).mean())

    rng = np.random.default_rng(seed)
    m, n = a.shape[1], b.shape[1]
    centre = distance_at(np.ones(m), np.ones(n))
    return corrected(influences, distance_at, centre, lambda: (STEP * signs(m, rng), STEP * signs(n, rng)))


def _per_image(potentials: Array, order: NDArray[np.intp]) -> Array:
    """Return potentials L×M in sorted order as their mean over directions for each image: M."""
    total = np.zeros(order.shape[1])
    np.add.at(total, order.ravel(), potentials.ravel())
    return total / len(order)


def _potentials(a: Array, b: Array) -> Array:
    """Return the Kantorovich potentials of the points a, L×M, less their means: a² − 2∫T, T the monotone map to b.

    Both sides are sorted.
    Between a point and the next T is the quantile of b at the level between them; at a jump of b, the middle of it.
    """
    m, n = a.shape[1], b.shape[1]
    levels = np.arange(1, m) * n  # in units of 1/(mn)
    between = (b[:, (levels - 1) // m] + b[:, np.minimum(levels // m, n - 1)]) / 2.0
    steps = np.diff(np.square(a), axis=1) - 2.0 * between * np.diff(a, axis=1)
    potentials = np.concatenate([np.zeros((len(a), 1)), np.cumsum(steps, axis=1)], axis=1)
    return potentials - potentials.mean(axis=1, keepdims=True)


def _distances(a: Array, b: Array, weights_a: Array, weights_b: Array) -> Array:
    """Return the squared Wasserstein distance of each row's weighted points, sorted: L×M and L×N give L."""
    levels_a, levels_b = np.cumsum(weights_a, axis=1), np.cumsum(weights_b, axis=1)
    levels_a[:, -1] = levels_b[:, -1] = 1.0
    levels = np.concatenate([levels_a, levels_b], axis=1)
    order = np.argsort(levels, axis=1, kind="stable")
    levels = np.take_along_axis(levels, order, axis=1)
    of_a = order < a.shape[1]
    rank_a = np.minimum(np.cumsum(of_a, axis=1) - of_a, a.shape[1] - 1)
    rank_b = np.minimum(np.cumsum(~of_a, axis=1) - ~of_a, b.shape[1] - 1)
    gaps = np.take_along_axis(a, rank_a, axis=1) - np.take_along_axis(b, rank_b, axis=1)
    return (np.diff(levels, axis=1, prepend=0.0) * np.square(gaps)).sum(axis=1)
