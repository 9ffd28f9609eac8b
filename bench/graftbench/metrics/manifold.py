"""Precision and recall, density and coverage: how two sets of images overlap, by balls around nearest neighbours.

Kynkäänniemi et al. 2019 (arXiv 1904.06991) and Naeem et al. 2020 (arXiv 2002.09797). One pass over the distances gives
all four and every leave-one-out value of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from graftbench.errors import GraftbenchError
from graftbench.metrics.arrays import Array, pair, too_few
from graftbench.metrics.distances import Pairs, Rows, Sets, squared_distances
from graftbench.metrics.estimate import Bounds, Estimate, jackknife_variance, quantile, wilson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from graftbench.metrics.arrays import FeatureMatrix

    Float32: TypeAlias = NDArray[np.float32]

LeaveOneOut: TypeAlias = "tuple[float, Array | None, Array | None]"
"""A score, and what it is without each point and without each ball's image, or the generated and the real image."""

_HALF = 128  # images of the larger side in a half: more take time and change the correction little
_SMALLEST_HALF = 20  # images of the smaller side in a half, as far as there are so many
_LARGEST_HALF = 1024  # images of the larger side where the smaller side asks for more than _HALF
_LOW = 256  # points whose shells are unpacked at a time


def prdc(
    generated: FeatureMatrix,
    real: FeatureMatrix,
    *,
    k_precision: int = 3,
    k_density: int = 5,
    splits: int = 50,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Return precision, recall, their F-score, density, coverage, and the coverage of equal distributions.

    A ball around an image reaches to its k-th nearest neighbour in its own set. Then, with M generated and N real
    images:

    - precision: share of generated images in at least one ball of a real image (k = `k_precision`);
    - recall: share of real images in at least one ball of a generated image (k = `k_precision`);
    - f_score: harmonic mean of the two, 0 where both are 0;
    - density: number of real images' balls that hold a generated image, over k·M (k = `k_density`); 1 on average for
      equal distributions, and not bounded by 1;
    - coverage: share of the balls of real images that hold at least one generated image (k = `k_density`);
    - null_coverage: the coverage expected for these M and N if both sets came from one continuous distribution. Where
      it is near 1, coverage can only tell large differences.

    An image on a ball's surface is inside, and equality up to float64's rounding (`distances.ROUNDING`) is equality, so
    copies of real images are inside, and so are images that all look alike. The package `prdc` takes < for density and
    coverage and scores identical constant features 0; torch-fidelity's precision and recall take ≤, as here. All
    decisions are those of float64.

    Values, standard errors and intervals hold for these M and N: all scores depend on them, so compare only scores at
    equal numbers. The standard error is the jackknife's over both sets, corrected by random halves (see
    `_inflation`); the interval is Wilson's for the effective number of trials, and on the logarithm for density (see
    `_interval`). In simulations with Gaussians of 2, 16 and 64 dimensions and 30 to 600 images a side it covers 90 to
    98 % at a nominal 95 % (87 to 97 % for 2000 images against 100), and more where a score is almost always 0 or 1. It
    covers only 79 to 94 % where few images at the edge of a shifted low-dimensional distribution decide (2 dimensions,
    shifted by 1.5 standard deviations or more; precision and recall suffer most).

    Args:
        generated: Pooled features M×D.
        real: Pooled features N×D; N need not equal M.
        k_precision: Neighbours for precision and recall; 3 in the paper and in torch-fidelity.
        k_density: Neighbours for density and coverage; 5 in the paper.
        splits: Random splits into halves; 0 leaves the plain jackknife, whose variance is 1.2 to 8 times too large.
        seed: Seed of the splits. No value depends on it, only standard errors and intervals.

    Returns:
        Estimates by name, in the order above. A score whose balls need more images than there are is undefined: k + 1
        on the side with the balls, 1 on the other. The standard error needs k + 2 and 2, the correction two halves with
        as many; without it the plain jackknife's is given and no interval.

    Raises:
        GraftbenchError: k < 1, a negative number of splits, widths differ, or entries are NaN or infinite.
    """
    if min(k_precision, k_density) < 1 or splits < 0:
        raise GraftbenchError(
            "Balls need at least 1 neighbour, and the number of splits is not negative; "
            f"found k_precision = {k_precision}, k_density = {k_density} and splits = {splits}."
        )
    x, y = pair(generated, real)
    m, n = len(x), len(y)
    reasons = _reasons(m, n, k_precision, k_density)
    scores = _scores(x, y, k_precision, k_density)
    factors = _inflation(x, y, k_precision, k_density, splits=splits, seed=seed) if splits else {}
    estimates = {}
    for name, reason in reasons.items():
        define = partial(Estimate, name=name, n_generated=m, n_reference=n)
        if reason:
            estimates[name] = define(undefined=reason)
        elif name == "null_coverage":
            estimates[name] = define(value=null_coverage(m, n, k_density))
        else:
            estimates[name] = _estimate(scores[name], factors.get(name), splits)
    return estimates


def null_coverage(n_generated: int, n_real: int, k: int = 5) -> float:
    """Return the coverage that is expected if both sets come from one continuous distribution.

    A ball is empty if the k nearest of all N−1+M other images are real ones. All orders are equally likely, so that
    happens with probability (N−1 over k)/(N+M−1 over k) = ∏_{i=1..k} (N−i)/(N+M−i).

    References:
        Naeem et al. 2020 (arXiv 2002.09797), lemma 2.
    """
    return 1.0 - math.prod((n_real - i) / (n_real + n_generated - i) for i in range(1, k + 1))


def _reasons(m: int, n: int, k_precision: int, k_density: int) -> dict[str, str]:
    """Return by score the reason why it is undefined, "" where it is defined."""
    # k + 1 stands for "enough" on the side that needs but one image.
    precision, density = (
        too_few(k + 1, min(m, 1) * (k + 1), n, f"a ball to neighbour {k} of each reference image")
        for k in (k_precision, k_density)
    )
    k = k_precision
    recall = too_few(k + 1, m, min(n, 1) * (k + 1), f"a ball to neighbour {k} of each generated image")
    return {
        "precision": precision,
        "recall": recall,
        "f_score": precision or recall,
        "density": density,
        "coverage": density,
        "null_coverage": density,
    }


# -------------------------------------------------------------------------------------- values and leave-one-out values


@dataclass(frozen=True)
class _Score:
    """A score and what it would be without each single image.

    Attributes:
        name: As in the estimate.
        images: Numbers of generated and of real images.
        value: The score.
        without_generated: M scores, each without one generated image; None where it takes more images.
        without_real: N scores, each without one real image; None where it takes more images.
    """

    name: str
    images: tuple[int, int]
    value: float
    without_generated: Array | None
    without_real: Array | None

    def variances(self) -> tuple[float, float] | None:
        """Return the jackknife's variance from each set, (n−1)/n·Σ(θ₋ᵢ − mean)²; None where it takes more images."""
        if self.without_generated is None or self.without_real is None:
            return None
        return jackknife_variance(self.without_generated), jackknife_variance(self.without_real)


class _Balls:
    """Counts of points in balls, and in shells: between a ball and the same ball with one neighbour more.

    Without one of the k images that a ball reaches over, it grows to neighbour k + 1. So what is lost and gained
    without any single image follows from which points are in exactly one ball, and in which shells.

    Attributes:
        k: Neighbours that a ball reaches to.
        neighbours: Rows of these, B×k.
        in_balls: Number of balls that hold each point, P.
        sole_ball: Sum of the numbers of these balls: the ball's number where there is one.
        in_ball: Number of points in each ball, B.
        sole_point: Sum of the numbers of these points.
        in_shell: Number of points in each shell, B.
        shells: Whether a point is in a shell, one bit for each: P×⌈B/8⌉.
    """

    def __init__(self, points: int, neighbours: Rows, k: int) -> None:
        balls = len(neighbours)
        self.k = k
        self.neighbours = neighbours[:, :k]
        self.in_balls, self.sole_ball = np.zeros(points, dtype=np.intp), np.zeros(points, dtype=np.intp)
        self.in_ball, self.sole_point = np.zeros(balls, dtype=np.intp), np.zeros(balls, dtype=np.intp)
        self.in_shell = np.zeros(balls, dtype=np.intp)
        self.shells = np.zeros((points, -(-balls // 8)), dtype=np.uint8)

    def add(self, point: Rows, ball: Rows, inside: NDArray[np.bool_], inside_grown: NDArray[np.bool_]) -> None:
        """Count pairs of a point and a ball; each pair once."""
        p, b = point[inside], ball[inside]
        np.add.at(self.in_balls, p, 1)
        np.add.at(self.sole_ball, p, b)
        np.add.at(self.in_ball, b, 1)
        np.add.at(self.sole_point, b, p)
        shell = inside_grown & ~inside
        p, b = point[shell], ball[shell]
        np.add.at(self.in_shell, b, 1)
        np.bitwise_or.at(self.shells.reshape(-1), p * self.shells.shape[1] + b // 8, (128 >> b % 8).astype(np.uint8))

    def covered(self) -> LeaveOneOut:
        """Return the share of points in at least one ball: the value, without each point, without each ball's image."""
        inside, points, balls = self.in_balls > 0, self.in_balls.size, self.in_ball.size
        total = int(np.count_nonzero(inside))
        without_point = (total - inside) / (points - 1) if points > 1 else None
        without_ball = (total + self._change()) / points if balls > self.k + 1 else None
        return total / points, without_point, without_ball

    def _change(self) -> Rows:
        """Return by how many points fewer or more are covered without each ball's image, B."""
        balls = self.in_ball.size
        change = np.zeros(balls, dtype=np.intp)
        low = np.flatnonzero(self.in_balls < 2)  # the rest stays covered whoever is left out: balls only grow
        for start in range(0, low.size, _LOW):
            points = low[start : start + _LOW]
            point, ball = np.nonzero(np.unpackbits(self.shells[points], axis=1, count=balls))
            grown = np.zeros((points.size, balls), dtype=bool)  # whether a grown ball covers the point without image j
            grown[point[:, None], self.neighbours[ball]] = True
            # Points in no ball are gained where a ball grows over them.
            bare = self.in_balls[points] == 0
            change += np.count_nonzero(grown[bare], axis=0)
            # Points in one ball are lost without its image, unless another ball grows over them.
            sole = self.sole_ball[points[~bare]]
            lost = ~grown[np.flatnonzero(~bare), sole]
            np.add.at(change, sole[lost], -1)
        return change

    def density(self) -> LeaveOneOut:
        """Return the mean number of balls that hold a point, over k: the value, and without each point, each image."""
        points, balls, total = self.in_balls.size, self.in_ball.size, int(self.in_balls.sum())
        without_point = (total - self.in_balls) / (self.k * (points - 1)) if points > 1 else None
        without_ball = None
        if balls > self.k + 1:
            grown = np.zeros(balls, dtype=np.intp)
            np.add.at(grown, self.neighbours.ravel(), np.repeat(self.in_shell, self.k))
            without_ball = (total - self.in_ball + grown) / (self.k * points)
        return total / (self.k * points), without_point, without_ball

    def filled(self) -> LeaveOneOut:
        """Return the share of balls that hold a point: the value, without each point, without each ball's image."""
        points, balls, full = self.in_balls.size, self.in_ball.size, self.in_ball > 0
        total = int(np.count_nonzero(full))
        without_point = without_ball = None
        if points > 1:
            emptied = np.zeros(points, dtype=np.intp)
            np.add.at(emptied, self.sole_point[self.in_ball == 1], 1)
            without_point = (total - emptied) / balls
        if balls > self.k + 1:
            grown = np.zeros(balls, dtype=np.intp)
            np.add.at(grown, self.neighbours[~full & (self.in_shell > 0)].ravel(), 1)
            without_ball = (total - full + grown) / (balls - 1)
        return total / balls, without_point, without_ball


@dataclass(frozen=True)
class _Neighbours:
    """Nearest neighbours within one set, as many as there are up to some depth K.

    Attributes:
        distances: N×K, ascending.
        rows: N×K.
    """

    distances: NDArray[np.floating]
    rows: Rows

    def limits(self, k: int) -> Array:
        """Return the radii of the balls to neighbour k, and to neighbour k + 1 (the same if there is none), N×2."""
        return self.distances[:, [k - 1, min(k, self.rows.shape[1] - 1)]].astype(np.float64)


def _scores(x: Array, y: Array, k_precision: int, k_density: int) -> dict[str, _Score]:
    """Compute every score that is defined for so many images."""

    def neighbours(images: int, k: int, find: Callable[[int], tuple[Array, Rows]]) -> _Neighbours:
        depth = min(k + 1, images - 1)
        if depth < 1:
            return _Neighbours(np.empty((images, 0)), np.empty((images, 0), dtype=np.intp))
        return _Neighbours(*find(depth))

    if not (len(x) and len(y)):
        return {}
    sets = Sets(x, y)
    of_generated = neighbours(len(x), k_precision, sets.nearest_in_x)
    of_real = neighbours(len(y), max(k_precision, k_density), sets.nearest_in_y)
    return _collect(of_generated, of_real, k_precision, k_density, sets.pairs_within)


def _scores_of_distances(
    between: Float32, within_x: Float32, within_y: Float32, k_precision: int, k_density: int
) -> dict[str, _Score]:
    """Compute the scores of few images from distance matrices M×N, M×M and N×N (infinite on the diagonal)."""

    def neighbours(within: Float32, k: int) -> _Neighbours:
        depth = min(k + 1, len(within) - 1)
        rows = np.argpartition(within, depth - 1, axis=1)[:, :depth]
        distances = np.take_along_axis(within, rows, axis=1)
        order = np.argsort(distances, axis=1)
        return _Neighbours(np.take_along_axis(distances, order, axis=1), np.take_along_axis(rows, order, axis=1))

    def search(limits_x: Array, limits_y: Array) -> list[Pairs]:
        widest_x, widest_y = (z.max(axis=1, initial=-np.inf).astype(np.float32) for z in (limits_x, limits_y))
        near = (between <= widest_x[:, None]) | (between <= widest_y)
        x, y = np.divmod(np.flatnonzero(near), between.shape[1])
        distance = between[x, y][:, None]
        return [Pairs(x, y, distance <= limits_x[x], distance <= limits_y[y])]

    of_generated, of_real = neighbours(within_x, k_precision), neighbours(within_y, max(k_precision, k_density))
    return _collect(of_generated, of_real, k_precision, k_density, search)


def _collect(
    of_generated: _Neighbours,
    of_real: _Neighbours,
    k_precision: int,
    k_density: int,
    search: Callable[[Array, Array], Iterable[Pairs]],
) -> dict[str, _Score]:
    """Compute every score that is defined, from neighbours within the sets and a search for pairs between them."""
    # Balls of each side, of one or two sizes.
    m, n = len(of_generated.rows), len(of_real.rows)
    real = {k: _Balls(m, of_real.rows, k) for k in (k_precision, k_density) if k < n}
    generated = {k: _Balls(n, of_generated.rows, k) for k in (k_precision,) if k < m}
    limits_x = np.hstack([np.empty((m, 0)), *(of_generated.limits(k) for k in generated)])
    limits_y = np.hstack([np.empty((n, 0)), *(of_real.limits(k) for k in real)])
    # The images in them.
    for pairs in search(limits_x, limits_y):
        for i, balls in enumerate(generated.values()):
            balls.add(pairs.y, pairs.x, pairs.within_x[:, 2 * i], pairs.within_x[:, 2 * i + 1])
        for i, balls in enumerate(real.values()):
            balls.add(pairs.x, pairs.y, pairs.within_y[:, 2 * i], pairs.within_y[:, 2 * i + 1])
    # The scores.
    scores: dict[str, LeaveOneOut] = {}
    if k_precision in real:
        scores["precision"] = real[k_precision].covered()
    if k_precision in generated:
        value, without_real, without_generated = generated[k_precision].covered()
        scores["recall"] = value, without_generated, without_real
    if k_precision in real and k_precision in generated:
        scores["f_score"] = _f_score(scores["precision"], scores["recall"])
    if k_density in real:
        scores["density"], scores["coverage"] = real[k_density].density(), real[k_density].filled()
    return {name: _Score(name, (m, n), *score) for name, score in scores.items()}


def _f_score(precision: LeaveOneOut, recall: LeaveOneOut) -> LeaveOneOut:
    """Return the harmonic mean of two scores, 0 where both are 0, and of their leave-one-out values."""

    def mean(p: Array | None, r: Array | None) -> Array | None:
        if p is None or r is None:
            return None
        total = p + r
        return 2.0 * p * r / np.where(total > 0.0, total, 1.0)

    p, r = precision[0], recall[0]
    value = 2.0 * p * r / (p + r) if p + r else 0.0
    return value, mean(precision[1], recall[1]), mean(precision[2], recall[2])


# -------------------------------------------------------------------------------------- standard errors and intervals


def _inflation(x: Array, y: Array, k_precision: int, k_density: int, *, splits: int, seed: int) -> dict[str, float]:
    """Measure the true variance over the jackknife's expected variance, for each score, on halves of the data.

    The jackknife's variance is too large on average (Efron & Stein 1981): what depends on m images jointly it counts m
    times, and a count of balls depends on k or more jointly, however many images there are. But two disjoint halves of
    both sets are independent, so (θ₁−θ₂)²/2 estimates the variance of a half's score without bias, and the jackknife
    inside the halves tells what it makes of that. The ratio of the two, over many random splits, is the correction;
    it is taken to be that of the whole sets, because a ball's surroundings look alike at either size as long as the
    ratio M:N is kept. By Efron and Stein it is at most 1.

    Large sets are first thinned out at random, in equal parts as far as the smaller side allows.

    Returns:
        A factor for each score that has a jackknife in the halves; 1 where nothing varies.

    References:
        Efron & Stein 1981, "The jackknife estimate of variance", Annals of Statistics 9(3).
    """
    # Distances of as many images as two halves need.
    half_x, half_y = _half_sizes(len(x), len(y))
    if min(half_x, half_y) < 2:
        return {}
    rng = np.random.default_rng(seed)
    x, y = (z[rng.permutation(len(z))[: 2 * half]] for z, half in ((x, half_x), (y, half_y)))
    centre = y.mean(axis=0)
    x, y = x - centre, y - centre
    between, within_x, within_y = (
        np.sqrt(squared_distances(a, b)).astype(np.float32) for a, b in ((x, y), (x, x), (y, y))
    )
    between *= 1.0 - 1e-6  # copies of real images stay inside although each matrix rounds in its own way
    np.fill_diagonal(within_x, np.inf)
    np.fill_diagonal(within_y, np.inf)
    # Random halves: the variance between two of them, and what the jackknife inside them claims.
    true: dict[str, float] = {}
    claimed: dict[str, float] = {}
    for _ in range(splits):
        order_x, order_y = rng.permutation(len(x)), rng.permutation(len(y))
        first, second = (
            _scores_of_distances(
                _part(between, i, j), _part(within_x, i, i), _part(within_y, j, j), k_precision, k_density
            )
            for i, j in ((order_x[:half_x], order_y[:half_y]), (order_x[half_x:], order_y[half_y:]))
        )
        for name, score in first.items():
            variances = [v for half in (score, second[name]) for v in half.variances() or ()]
            if variances:
                true[name] = true.get(name, 0.0) + (score.value - second[name].value) ** 2 / 2.0
                claimed[name] = claimed.get(name, 0.0) + sum(variances) / 2.0
    return {name: min(1.0, true[name] / claimed[name]) if claimed[name] else 1.0 for name in true}


def _half_sizes(m: int, n: int) -> tuple[int, int]:
    """Return the images of each side in a half: in the ratio m:n, and as few as will do."""
    if not min(m, n):
        return 0, 0
    part = max(_HALF / max(m, n), _SMALLEST_HALF / min(m, n))
    half_m, half_n = (min(size // 2, round(part * size), _LARGEST_HALF) for size in (m, n))
    return half_m, half_n


def _part(whole: Float32, rows: Rows, columns: Rows) -> Float32:
    return whole.take(rows, axis=0).take(columns, axis=1)  # a third of the time of whole[np.ix_(rows, columns)]


def _estimate(score: _Score, factor: float | None, splits: int) -> Estimate:
    """Return a score with standard error and interval; `factor` is None where the correction needs more images."""
    m, n = score.images
    define = partial(Estimate, name=score.name, value=score.value, n_generated=m, n_reference=n)
    variances = score.variances()
    if variances is None:
        return define()
    if factor is None:
        return define(standard_error=math.sqrt(sum(variances)), method="jackknife")
    error = math.sqrt(sum(variances) * factor)
    bounds = _interval(score, error, _degrees(score, splits))
    return define(standard_error=error, interval=bounds, method="jackknife corrected by halves")


def _degrees(score: _Score, splits: int) -> float:
    """Return the degrees of freedom of the corrected variance, after Satterthwaite: 2 over its relative variance.

    A sum of n squared deviations with kurtosis κ has the relative variance (κ−1)/n; each set's part of the variance
    weighs it; and the mean of `splits` squared differences of halves, each about a χ² of 1 degree, adds 2/splits.
    """
    relative = 2.0 / splits
    variances = score.variances() or (0.0, 0.0)
    for variance, without in zip(variances, (score.without_generated, score.without_real), strict=True):
        if without is not None and variance > 0.0:
            squares = np.square(without - without.mean())
            kurtosis = float(np.square(squares).mean() / squares.mean() ** 2)
            relative += (variance / sum(variances)) ** 2 * (kurtosis - 1.0) / without.size
    return max(1.0, 2.0 / relative)


def _interval(score: _Score, error: float, degrees: float) -> Bounds | None:
    """Return the 95 % interval, with Student's quantile q.

    A share p with standard error s is as certain as the share of p(1−p)/s² independent trials, so its interval is
    Wilson's for so many, which stays within 0 and 1 and does not shrink to a point at either. (Korn & Graubard 1998 do
    so for surveys.) Where s or p(1−p) is 0 the trials are the images: those that are counted, or for the F-score the
    fewer of both sets. Density has no upper bound and a spread in proportion to its size: value·exp(±q·s/value); there
    is no interval where value or s is 0.
    """
    value, q = score.value, quantile(degrees)
    m, n = score.images
    if score.name == "density":
        if value == 0.0 or error == 0.0:
            return None
        width = math.exp(q * error / value)
        return value / width, value * width
    spread = value * (1.0 - value)
    images = {"precision": m, "recall": n, "coverage": n, "f_score": min(m, n)}[score.name]
    low, high = wilson(value, spread / error**2 if error > 0.0 and spread > 0.0 else images, q)
    return max(0.0, low), min(1.0, high)
