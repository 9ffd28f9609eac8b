"""Memorization: four metrics, from features, of how much a generator copies its training images; all in float64.

Distances are Euclidean distances of features. Standard errors and intervals are over drawing the generated (and the
held-out) images again while the **training set stays fixed**: it is what may have been copied, and the question is
asked of this one. Where nearly all images are copies the few that are not carry the mean, and a small sample may show
none of them; intervals then reach to what the share of such images could be (`_unseen`).
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from graftbench.errors import GraftbenchError
from graftbench.metrics.arrays import Array, check_widths, matrix, pair, too_few, unit_rows, zero_rows
from graftbench.metrics.covariance import Moments
from graftbench.metrics.distances import nearest
from graftbench.metrics.estimate import Estimate, jackknife_variance, quantile, student_bounds, wilson_bounds
from graftbench.metrics.frechet import fid
from graftbench.metrics.frechet_error import fid_variance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graftbench.metrics.arrays import FeatureMatrix

    Rows = NDArray[np.intp]

_BLOCK = 1024  # rows of a similarity matrix held at a time: 82 MB against 10,000 images

IDENTICAL = 1e-12
"""A mean cosine distance below this counts as 0: features that differ by 1e-6 of their length have 5e-13."""


def _too_few_train(needed: int, n_train: int, why: str) -> str:
    return f"{why} needs at least {needed} training images; found {n_train}" if n_train < needed else ""


def _to_train(images: Array, train: Array) -> tuple[Array, Rows]:
    """Return the distance of each image to its nearest training image, and that image's row.

    The distance is taken from the difference itself, in the features' own units: it keeps every digit of near copies.
    """
    rows = nearest(images, train)[1][:, 0]
    return np.linalg.norm(images - train[rows], axis=1), rows


def _unseen(n: int) -> float:
    """Return Wilson's upper limit for the share of a kind of image that is not among n: about 4/(n+4)."""
    return wilson_bounds(0, n)[1]


# ----------------------------------------------------------------------------------------- ratio of mean distances


def train_distance_ratio(generated: FeatureMatrix, held_out: FeatureMatrix, train: FeatureMatrix) -> Estimate:
    """Return the mean distance of generated images to their nearest training image, over that of held-out images.

    1: generated images are as far from the training set as new real images are. Towards 0: copies. Above 1: further off
    than new real images.

    Args:
        generated: Features M×D.
        held_out: Features N×D of real images that were not trained on.
        train: Features T×D of the training images.

    Returns:
        A ratio ≥ 0. Standard error by the delta method for two independent means; the interval is the delta method's on
        the logarithm, with Student's quantile at Welch and Satterthwaite's degrees of freedom. It reaches at least to
        where a share of generated images that the sample may have missed, as far off as held-out ones, would put the
        ratio: without this a sample of copies alone would leave no doubt. Undefined below 2 images on a side, without
        training images, and where every held-out image is a training image.

    Raises:
        GraftbenchError: Widths differ, or entries are NaN or infinite.
    """
    x, t = pair(generated, train, "training")
    y = matrix(held_out, "held-out features")
    check_widths(x.shape[1], y.shape[1])
    m, n, why = len(x), len(y), "a ratio of mean distances"
    define = partial(Estimate, name="train_distance_ratio", n_generated=m, n_reference=n, n_train=len(t))
    if reason := too_few(2, m, n, why) or _too_few_train(1, len(t), why):
        return define(undefined=reason)
    a, b = _to_train(x, t)[0], _to_train(y, t)[0]
    if not b.any():
        return define(undefined="every held-out image is a training image: their mean distance is 0")
    mean_a, mean_b = a.mean(), b.mean()
    ratio = float(mean_a / mean_b)
    # Relative variances of the two means; of the first, times ratio², so that ratio 0 needs no division.
    part_a = float(a.var(ddof=1) / (m * mean_b**2))
    part_b = float(b.var(ddof=1) / (n * mean_b**2)) * ratio**2
    error, bounds = float(np.sqrt(part_a + part_b)), _ratio_bounds(ratio, part_a, part_b, m, n)
    return define(value=ratio, standard_error=error, interval=bounds, method="delta method")


def _welch(part_a: float, part_b: float, m: int, n: int) -> float:
    """Return Welch and Satterthwaite's degrees of freedom of a sum of two estimated variances."""
    if part_a + part_b == 0.0:
        return np.inf
    share = part_a / (part_a + part_b)
    return 1.0 / (share**2 / (m - 1) + (1.0 - share) ** 2 / (n - 1))


def _ratio_bounds(ratio: float, part_a: float, part_b: float, m: int, n: int) -> tuple[float, float]:
    """Return the interval of a ratio on the logarithmic scale, where its distribution is closer to a normal one."""
    missed = ratio + _unseen(m) * (1.0 - ratio)
    if ratio == 0.0:
        return 0.0, missed
    relative = float(np.sqrt(part_a + part_b)) / ratio
    low, high = student_bounds(0.0, min(relative, 50.0), _welch(part_a, part_b, m, n))  # e^±600 is still a number
    return ratio * float(np.exp(max(low, -600.0))), max(ratio * float(np.exp(min(high, 600.0))), missed)


# ------------------------------------------------------------------------------------------------- authenticity


def authpct(generated: FeatureMatrix, train: FeatureMatrix) -> Estimate:
    """Return AuthPct: the percentage of generated images further from the training set than it is from itself.

    With r the nearest training image of a generated g, and r' the nearest other training image of r, g is authentic if
    d(g, r) > d(r, r'). At equality g counts as a copy: a copy of an image that the training set holds twice has both
    distances 0.

    New real images do not score 100. A new image of a continuous distribution is inauthentic where it and its nearest
    training image are nearest to each other, which happens to 2/3 of the points on a line, 62 % in the plane and 1/2 in
    many dimensions (1/(2 − I) with I = I_¾((d+1)/2, ½), the regularized incomplete beta function), where training
    images are many: it scores about 33 to 50. In networks' features, where a few images are nearest to many others, it
    scores more (66 to 74 for OpenMoji under lite0). Compare with what reference images score; only values far below
    that speak of copying.

    Args:
        generated: Features M×D.
        train: Features T×D of the training images.

    Returns:
        A percentage from 0 to 100 with Wilson's interval (given the training set generated images are independent).
        Undefined without generated images and below 2 training images.

    Raises:
        GraftbenchError: Widths differ, or entries are NaN or infinite.

    References:
        Alaa et al. 2021 (arXiv 2102.08921), section 3.3, in the form of Stein et al. 2023 (arXiv 2306.04675).
    """
    x, t = pair(generated, train, "training")
    m = len(x)
    define = partial(Estimate, name="authpct", n_generated=m, n_train=len(t))
    why = "the distance of a training image to another one"
    if reason := too_few(1, m, None, "a share of images") or _too_few_train(2, len(t), why):
        return define(undefined=reason)
    distances, rows = _to_train(x, t)
    between_train = np.linalg.norm(t - t[nearest(t)[1][:, 0]], axis=1)
    authentic = int((distances > between_train[rows]).sum())
    share = authentic / m
    low, high = wilson_bounds(authentic, m)
    return define(
        value=100.0 * share,
        standard_error=100.0 * float(np.sqrt(share * (1.0 - share) / m)),
        interval=(100.0 * low, 100.0 * high),
        method="Wilson",
    )


# --------------------------------------------------------------------------------------------------------- C_T


def copying_z(
    generated: FeatureMatrix,
    held_out: FeatureMatrix,
    train: FeatureMatrix,
    *,
    cells: int | None = None,
    least: int = 10,
    seed: int = 0,
) -> Estimate:
    """Return C_T: the z of how much nearer to the training set generated images are than held-out ones, cell by cell.

    The training features are partitioned by k-means. In each cell the distances to the nearest training image, of
    generated against held-out images, give a Mann–Whitney z: mid-ranks and the tie-corrected variance, no continuity
    correction. C_T is their mean, weighted by the cells' shares of held-out images. Far below 0: copying (−3 and less
    is hard to get by chance); around 0: like new images; far above 0: further off than new images (underfitting).
    Like every z it grows with the numbers of images.

    The authors' code takes the nearest training image within the cell (ours: in the whole training set, so that no
    copy is missed across a border), adds ½ for continuity and has no correction for ties.

    Args:
        generated: Features M×D.
        held_out: Features N×D of real images that were not trained on.
        train: Features T×D of the training images.
        cells: Number of cells; None for one per 20 images of the smallest of the three sets, from 1 to 10.
        least: Cells with fewer generated or fewer held-out images than this are left out, and the note says so. (The
            paper asks for a least share of the generated images only.)
        seed: Seed of k-means.

    Returns:
        A z-score of either sign. Standard error by the jackknife over both sets, which for one cell is DeLong's from
        the placements: a z-score has the standard deviation 1 only where both sets have the same distribution. It
        lets counts per cell and ties vary too, but keeps the partition and the choice of cells. The interval reaches at
        least to (1−s)·z, s the share of images that the smaller set may have missed: sets that do not overlap have the
        standard error 0. Undefined where no cell has enough images or all distances of every cell are equal.

    Raises:
        GraftbenchError: cells < 1, least < 2, widths differ, or entries are NaN or infinite.

    References:
        Meehan et al. 2020 (arXiv 2004.05675), section 4; DeLong et al. 1988 for the variance.
    """
    if (cells is not None and cells < 1) or least < 2:
        raise GraftbenchError(f"C_T needs at least 1 cell of at least 2 images; found {cells} cells of {least}.")
    x, t = pair(generated, train, "training")
    y = matrix(held_out, "held-out features")
    check_widths(x.shape[1], y.shape[1])
    m, n = len(x), len(y)
    define = partial(Estimate, name="copying_z", n_generated=m, n_reference=n, n_train=len(t))
    if cells is None:
        cells = max(1, min(10, min(m, n, len(t)) // 20))
    few_train = _too_few_train(cells, len(t), f"a partition into {cells} cells")
    if reason := too_few(least, m, n, "a Mann–Whitney z") or few_train:
        return define(undefined=reason)
    # Distances to the training set, by cell.
    a, b = _to_train(x, t)[0], _to_train(y, t)[0]
    centres = k_means(t, cells, seed)
    cell_x, cell_y = (nearest(side, centres)[1][:, 0] for side in (x, y))
    parts = [(a[cell_x == cell], b[cell_y == cell]) for cell in range(len(centres))]
    # Cells with enough images, and among them those with different distances.
    large = [(one, two) for one, two in parts if min(one.size, two.size) >= least]
    varied = [(one, two) for one, two in large if np.ptp(np.concatenate((one, two))) > 0.0]
    if not large:
        return define(undefined=f"none of {len(parts)} cells has {least} generated and {least} held-out images")
    if not varied:
        return define(undefined=f"all distances to the training set are equal in each of {len(large)} cells")
    # The mean z of these cells, and its interval.
    value, part_a, part_b = _weighted_z([_RankTest(one, two) for one, two in varied])
    error = float(np.sqrt(part_a + part_b))
    low, high = student_bounds(value, error, _welch(part_a, part_b, m, n))
    missed = value * (1.0 - _unseen(min(sum(one.size for one, _ in varied), sum(two.size for _, two in varied))))
    bounds = (min(low, missed), max(high, missed))
    skipped = len(parts) - len(varied)
    note = f"{skipped} of {len(parts)} cells left out: too few images or all distances equal." if skipped else ""
    return define(value=value, standard_error=error, interval=bounds, method="jackknife", note=note)


class _RankTest:
    """A Mann–Whitney test of a against b, and what it becomes without any one of the values.

    Attributes:
        n: Number of values in b.
        z: (U − mn/2)/σ with U the number of pairs a > b, ties counted ½, and σ² = mn/12·(N+1−T/(N(N−1))), N = m+n, T
            the sum of t³−t over groups of t tied values.
        without_a: z without each value of a.
        without_b: z without each value of b.
    """

    def __init__(self, a: Array, b: Array) -> None:
        m, n = a.size, b.size
        self.n = n
        # Placements: for each value the number of values of the other set below it, and for b above it.
        sorted_a, sorted_b = np.sort(a), np.sort(b)
        placements_a = (np.searchsorted(sorted_b, a, "left") + np.searchsorted(sorted_b, a, "right")) / 2.0
        placements_b = m - (np.searchsorted(sorted_a, b, "left") + np.searchsorted(sorted_a, b, "right")) / 2.0
        # T, and T without each value.
        _, group, sizes = np.unique(np.concatenate((a, b)), return_inverse=True, return_counts=True)
        ties = float((sizes**3.0 - sizes).sum())
        size = sizes[group].astype(np.float64)
        fewer_ties = ties - 3.0 * size * (size - 1.0)  # (t³−t) − ((t−1)³−(t−1)) = 3t(t−1)
        u = placements_a.sum()
        self.z = float(_z(u, m, n, np.array(ties)))
        self.without_a = _z(u - placements_a, m - 1, n, fewer_ties[:m])
        self.without_b = _z(u - placements_b, m, n - 1, fewer_ties[m:])


def _z(u: Array, m: int, n: int, ties: Array) -> Array:
    """Return the z of U; 0 where all values are tied, when U is exactly mn/2."""
    total = m + n
    variance = m * n / 12.0 * (total + 1.0 - ties / (total * (total - 1.0)))
    some = variance > 1e-9 * m * n * total  # what remains of all tied is rounding; one untied value gives mn/4
    return np.where(some, (u - m * n / 2.0) / np.sqrt(np.where(some, variance, 1.0)), 0.0)


def _weighted_z(tests: list[_RankTest]) -> tuple[float, float, float]:
    """Return the mean of z weighted by n, and its jackknife variance from leaving out values of a, and of b.

    Without one value of a only its cell's z changes; without one of b the weights change too.
    """
    total = sum(test.n for test in tests)
    summed = sum(test.n * test.z for test in tests)
    value = summed / total
    without_a = np.concatenate([value + test.n * (test.without_a - test.z) / total for test in tests])
    without_b = np.concatenate(
        [(summed - test.n * test.z + (test.n - 1) * test.without_b) / (total - 1) for test in tests]
    )
    return value, jackknife_variance(without_a), jackknife_variance(without_b)


def k_means(points: Array, k: int, seed: int, iterations: int = 100) -> Array:
    """Return the centres of Lloyd's k-means from a k-means++ start.

    Args:
        points: N×D, float64, N ≥ 1.
        k: Number of centres, at least 1.
        seed: Seed of the start.
        iterations: Most rounds of assignment; it stops before where no assignment changes.

    Returns:
        Centres, at most k×D: fewer where the points have fewer than k different values. A centre that loses all its
        points stays where it was.

    References:
        Arthur & Vassilvitskii 2007.
    """
    rng = np.random.default_rng(seed)
    centres = points[[rng.integers(len(points))]]
    while len(centres) < k:
        d2 = nearest(points, centres)[0][:, 0] ** 2
        if not d2.any():
            break
        centres = np.concatenate((centres, points[[rng.choice(len(points), p=d2 / d2.sum())]]))
    labels = np.full(len(points), -1)
    for _ in range(iterations):
        previous, labels = labels, nearest(points, centres)[1][:, 0]
        if np.array_equal(previous, labels):
            break
        for cell in np.unique(labels):
            centres[cell] = points[labels == cell].mean(axis=0)
    return centres


# ------------------------------------------------------------------------------------------------------- MiFID


def mifid(
    generated: FeatureMatrix,
    real: FeatureMatrix | Moments,
    train: FeatureMatrix,
    *,
    threshold: float = 0.1,
    distance: Estimate | None = None,
    interval: bool = False,
    seed: int = 0,
) -> Estimate:
    """Return MiFID: FID divided by the mean cosine distance to the training set where that is small.

    The divisor m is the mean over **generated** images of the least 1 − |cos| to a **training** image; it is replaced
    by 1 where m ≥ threshold. torchmetrics 1.9 takes the mean over the other side (for each real image the nearest
    generated one), which a generator that copies some of the images need not lower.

    Args:
        generated: Features M×D.
        real: Features N×D of the reference images, or their moments.
        train: Features T×D of the training images.
        threshold: Mean cosine distance from which nothing is taken to be memorized. 0.1 is the competition's, for
            Inception's pool features; other extractors have other scales.
        distance: FID of the same images if it was computed before, with its interval if one is asked for.
        interval: Estimate the standard error too, as `fid` does, the training set as it is.
        seed: Seed of the random directions of that estimate.

    Returns:
        A value ≥ 0. It is undefined, being infinite, where every generated
        image is a copy (m < 1e-12); also where a feature vector is 0 and has no direction, below 2 generated or
        reference images, and without training images.

    Raises:
        GraftbenchError: threshold ≤ 0, widths differ, or entries are NaN or infinite.

    References:
        Bai et al. 2021 (arXiv 2106.03062), section 3.
    """
    if not 0.0 < threshold <= 1.0:
        raise GraftbenchError(f"The threshold of MiFID is a cosine distance in (0, 1]; found {threshold}.")
    x, t = pair(generated, train, "training")
    reference = real if isinstance(real, Moments) else matrix(real, "reference features")
    n, width = (reference.n, reference.width) if isinstance(reference, Moments) else reference.shape
    check_widths(x.shape[1], width)
    define = partial(Estimate, name="mifid", n_generated=len(x), n_reference=n, n_train=len(t))
    reason = too_few(2, len(x), n, "a covariance") or _too_few_train(1, len(t), "a distance to the training set")
    if reason := reason or zero_rows(x, "generated") or zero_rows(t, "training"):
        return define(undefined=reason)
    # The divisor.
    gaps = _cosine_gaps(x, t)
    if gaps.mean() < IDENTICAL:
        return define(undefined="every generated image is a copy of a training image: MiFID is infinite")
    gap = float(gaps.mean())
    note = f"The mean cosine distance to the training set is {gap:.4g}."
    penalised = gap < threshold
    # The value.
    if distance is None:
        distance = fid(x, reference, interval=interval and not penalised, seed=seed)
    assert distance.value is not None  # there are two images a side
    value = distance.value / gap if penalised else distance.value
    if not interval:
        return define(value=value, note=note)
    # Its standard error and interval.
    if abs(gap - threshold) < quantile() * float(gaps.std(ddof=1)) / math.sqrt(len(x)):
        note += f" New images could move it across {threshold:g}, where MiFID jumps: it has no interval here."
        return define(value=value, note=note)
    if not penalised:
        return replace(distance, name="mifid", n_train=len(t), note=note)
    variance = fid_variance(x, reference, seed, divisors=gaps)
    error = math.sqrt(variance.value)
    # A quotient is skewed where its divisor is small; its logarithm is less so.
    factor = math.exp(quantile(variance.degrees) * error / value) if value else 1.0
    bounds = (value / factor, value * factor)
    return define(value=value, standard_error=error, interval=bounds, method="jackknife", note=note)


def _cosine_gaps(x: Array, t: Array) -> Array:
    """Return the least 1 − |cos| of each row of x to a row of t, as ‖u ∓ v‖²/2, which has no digits to lose near 0."""
    u, v = unit_rows(x), unit_rows(t)
    gaps = np.empty(len(u))
    for start in range(0, len(u), _BLOCK):
        part = u[start : start + _BLOCK]
        cosines = part @ v.T
        rows = np.abs(cosines).argmax(axis=1)
        signs = np.where(np.take_along_axis(cosines, rows[:, None], axis=1) < 0.0, -1.0, 1.0)
        gaps[start : start + _BLOCK] = np.square(part - signs * v[rows]).sum(axis=1) / 2.0
    return gaps
