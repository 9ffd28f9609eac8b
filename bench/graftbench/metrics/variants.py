"""Known truth: which variants of the factors that real images are made of a generator makes, and how often.

Labels are matrices: a row per image, a column per factor (hair, mouth, …), in it the number of the image's variant.
Generated images have theirs from a classifier, real images by how they were made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import xlogy

from graftbench.errors import GraftbenchError
from graftbench.metrics.estimate import Estimate, student_bounds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Labels = NDArray[np.int64]

COVERED_SHARE = 0.25
"""A variant is covered if it is generated at least this share as often as it is real."""

RESAMPLES = 500
"""Bootstrap samples of the generated images, for the intervals of `modes` and `variant_pairs`."""

COMMON_SHARE = 0.01
"""Pairs of variants count from this share of the reference images on: 600 images have six of the rarest."""

_PSEUDOCOUNT = 0.5


@dataclass(frozen=True)
class VariantShares:
    """The shares of real and of generated images that have a variant.

    Attributes:
        factor: Column of the factor.
        variant: Number of the variant.
        true: Share of the reference images that have it, above 0.
        generated: Share of the generated images that have it.
    """

    factor: int
    variant: int
    true: float
    generated: float

    @property
    def ratio(self) -> float:
        """Return generated over true share."""
        return self.generated / self.true

    @property
    def needed(self) -> float:
        """Return the generated share from which on it is covered, less what rounding may take away."""
        return COVERED_SHARE * self.true * (1.0 - 1e-9)

    @property
    def covered(self) -> bool:
        """Return whether it is generated often enough."""
        return self.generated >= self.needed


def variant_shares(generated: Labels, reference: Labels) -> list[VariantShares]:
    """Return every variant that the reference shows, the most neglected (by generated over true share) first.

    Args:
        generated: n×F; −1 where an image shows no variant.
        reference: m×F; −1 where an image's variant cannot be read, so that it is no variant here.

    Raises:
        GraftbenchError: The matrices have other numbers of columns, or one of them has no row or column.
    """
    _check(generated, reference)
    shares = [
        VariantShares(
            factor, int(variant), int(count) / len(reference), float(np.mean(generated[:, factor] == variant))
        )
        for factor in range(reference.shape[1])
        for variant, count in zip(*np.unique(reference[:, factor], return_counts=True), strict=True)
        if variant >= 0
    ]
    return sorted(shares, key=lambda shares: (shares.ratio, -shares.true, shares.factor, shares.variant))


def modes(generated: Labels, reference: Labels, seed: int = 0) -> Estimate:
    """Return how many of the variants that the reference shows are covered by the generated images.

    A variant is covered if its share among the generated images is at least a quarter of its share among the reference
    images. So one that half of all real images have is not covered by a single image of it. All factors' variants are
    counted together; how many there are is `len(variant_shares(...))`.

    Args:
        generated: Labels n×F; −1 where an image shows no variant.
        reference: Labels m×F; −1 where an image's variant cannot be read.
        seed: Of the bootstrap. The same seed gives the same interval.

    Returns:
        0 to the number of variants. The standard error is the bootstrap's over generated images (whole rows are drawn,
        so factors that hang together do so there); it is 0 where every image drawn again would leave the count as it
        is.

    Raises:
        GraftbenchError: As `variant_shares`.
    """
    shares = variant_shares(generated, reference)
    n = len(generated)
    factors = np.array([each.factor for each in shares], dtype=np.int64)
    has = generated[:, factors] == np.array([each.variant for each in shares], dtype=np.int64)
    needed = n * np.array([each.needed for each in shares])
    value = sum(each.covered for each in shares)

    # Draw the images again: how often each is drawn, and so each variant.
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(np.float32)
    error = float((drawn @ has.astype(np.float32) >= needed).sum(axis=1).std(ddof=1))
    return Estimate(
        name="modes",
        value=float(value),
        standard_error=error,
        interval=student_bounds(value, error, low=0.0, high=float(len(shares))),
        method="bootstrap",
        n_generated=n,
        n_reference=len(reference),
    )


def variant_pairs(generated: Labels, reference: Labels, seed: int = 0) -> Estimate:
    """Return how many pairs of variants of two factors are covered, of those that the reference shows often enough.

    Twenty-five images may show every variant, and only a fraction of how they combine: `modes` cannot tell a generator
    that recombines what it saw from one that replays it, pairs can. The idea is that of the thousand modes of Stacked
    MNIST (Metz et al. 2017, arXiv 1611.02163), there all combinations of three digits. A pair is covered as a variant
    is in `modes`; how many there are is `len(variant_shares(*pair_labels(generated, reference)))`.

    Args:
        generated: Labels n×F; −1 where an image shows no variant.
        reference: Labels m×F; −1 where an image's variant cannot be read.
        seed: Of the bootstrap, as in `modes`.

    Returns:
        0 to the number of pairs; undefined where there are no two factors.

    Raises:
        GraftbenchError: As `variant_shares`.
    """
    _check(generated, reference)
    n, m = len(generated), len(reference)
    if generated.shape[1] < 2:
        why = f"pairs of variants need two factors that can be read; found {generated.shape[1]}"
        return Estimate(name="variant_pairs", undefined=why, n_generated=n, n_reference=m)
    return replace(modes(*pair_labels(generated, reference), seed), name="variant_pairs")


def pair_labels(generated: Labels, reference: Labels) -> tuple[Labels, Labels]:
    """Return the labels with a column per pair of factors, and in it the number of the pair of variants.

    A pair of which a variant is not shown or cannot be read is −1, as is in the reference one that fewer than
    `COMMON_SHARE` of the images have.
    """
    pairs = list(combinations(range(reference.shape[1]), 2))
    made = np.empty((len(generated), len(pairs)), np.int64)
    real = np.empty((len(reference), len(pairs)), np.int64)
    for column, (one, other) in enumerate(pairs):
        width = 1 + max(generated[:, other].max(), reference[:, other].max())
        is_shown = (generated[:, one] >= 0) & (generated[:, other] >= 0)
        made[:, column] = np.where(is_shown, generated[:, one] * width + generated[:, other], -1)
        is_read = (reference[:, one] >= 0) & (reference[:, other] >= 0)
        both = np.where(is_read, reference[:, one] * width + reference[:, other], -1)
        numbers, counts = np.unique(both, return_counts=True)
        rare = numbers[counts < COMMON_SHARE * len(reference)]
        real[:, column] = np.where(np.isin(both, rare), -1, both)
    return made, real


def factor_kl(generated: Labels, reference: Labels) -> Estimate:
    """Return the mean over factors of KL(generated ‖ true) of the factor's variants, in nats.

    In this direction it needs no smoothing where a variant is not generated, and is log(1/p) for a generator that makes
    nothing but a variant of the probability p; papers score Stacked MNIST likewise. The true shares have half an image
    added to every variant, so that one that the reference lacks does not make it infinite. To show no variant for sure
    counts as a variant of its own on both sides, so give both sides labels of the same reader: then what it cannot read
    weighs only as far as generated images are harder to read than real ones. Like every plug-in estimate it is biased
    upwards, by about (variants − 1) / 2n per factor: compare with the floor, which has the same.

    Args:
        generated: Labels n×F; −1 where an image shows no variant.
        reference: Labels m×F, as `generated` read.

    Returns:
        0 or above. The standard error is the infinitesimal jackknife's over generated images. Near the truth, where
        the first order vanishes, it is up to √2 too large.

    Raises:
        GraftbenchError: As `variant_shares`.
    """
    _check(generated, reference)
    n, columns = generated.shape
    value, influence = 0.0, np.zeros(n)
    for column in range(columns):
        both = np.concatenate((generated[:, column], reference[:, column]))
        variants, codes = np.unique(both, return_inverse=True)
        counts, true = (np.bincount(side, minlength=len(variants)) for side in (codes[:n], codes[n:]))
        p = (true + _PSEUDOCOUNT) / (true.sum() + _PSEUDOCOUNT * len(variants))
        q = counts / n
        value += float(np.sum(xlogy(q, q) - xlogy(q, p))) / columns
        influence += np.log(q[codes[:n]] / p[codes[:n]]) / columns  # the derivative by an image's weight
    error = float(influence.std()) / math.sqrt(n)
    value = max(0.0, value)  # rounding
    define = partial(Estimate, name="factor_kl", value=value, n_generated=n, n_reference=len(reference))
    return define(
        standard_error=error, interval=student_bounds(value, error, low=0.0), method="infinitesimal jackknife"
    )


def _check(generated: Labels, reference: Labels) -> None:
    """Refuse labels that cannot be compared.

    Raises:
        GraftbenchError: It says what was found.
    """
    shapes = generated.shape, reference.shape
    if any(len(shape) != 2 or 0 in shape for shape in shapes) or generated.shape[1] != reference.shape[1]:
        raise GraftbenchError(
            f"Labels are two matrices, a row per image and a column per factor; found the shapes {shapes[0]} and "
            f"{shapes[1]}."
        )
    if generated.min() < -1:
        raise GraftbenchError(f"Labels are 0 or above, or −1 for none; found {generated.min()}.")
