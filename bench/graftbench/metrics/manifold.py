"""Precision and recall, density and coverage: how two sets of images overlap, by balls around nearest neighbours.

Kynkäänniemi et al. 2019 (arXiv 1904.06991) and Naeem et al. 2020 (arXiv 2002.09797). One pass over the distances gives
all four and every leave-one-out value of them. Other scores made of balls (`clipped`, `symmetric`) join that pass, and
the random halves behind the intervals, as a `BallFamily`.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from scipy.special import ndtr

from graftbench.errors import GraftbenchError
from graftbench.metrics.arrays import Array, pair, too_few
from graftbench.metrics.distances import Pairs, Rows, Sets, squared_distances
from graftbench.metrics.estimate import Bounds, Estimate, jackknife_variance, quantile, wilson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

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
    return ball_scores(generated, real, [prdc_family(k_precision, k_density)], splits=splits, seed=seed)


def ball_scores(
    generated: FeatureMatrix, real: FeatureMatrix, families: Sequence[BallFamily], *, splits: int = 50, seed: int = 0
) -> dict[str, Estimate]:
    """Return the scores of families, all from one pass over the distances and from the same random halves.

    Values, standard errors and intervals of a family are the same whichever others it is computed with.

    Args:
        generated: Pooled features M×D.
        real: Pooled features N×D.
        families: Which balls are needed, and what is made of them.
        splits: Random splits into halves; 0 leaves the plain jackknife.
        seed: Seed of the splits.

    Raises:
        GraftbenchError: A negative number of splits, widths differ, or entries are NaN or infinite.
    """
    if splits < 0:
        raise GraftbenchError(f"The number of splits is not negative; found {splits}.")
    x, y = pair(generated, real)
    m, n = len(x), len(y)
    scores = _scores(x, y, families)
    factors = _inflation(x, y, families, splits=splits, seed=seed) if splits else {}
    estimates = {}
    for family in families:
        for name, reason in family.reasons(m, n).items():
            if reason:
                estimates[name] = Estimate(name=name, undefined=reason, n_generated=m, n_reference=n)
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


def prdc_family(k_precision: int = 3, k_density: int = 5) -> BallFamily:
    """Return precision, recall, F-score, density, coverage and null coverage as a family."""
    return BallFamily(
        real=(k_precision, k_density),
        generated=(k_precision,),
        reasons=partial(_prdc_reasons, k_precision=k_precision, k_density=k_density),
        scores=partial(_prdc_scores, k_precision=k_precision, k_density=k_density),
    )


def _prdc_reasons(m: int, n: int, k_precision: int, k_density: int) -> dict[str, str]:
    precision, density = (too_few_for_real_balls(m, n, k) for k in (k_precision, k_density))
    recall = too_few_for_generated_balls(m, n, k_precision)
    return {
        "precision": precision,
        "recall": recall,
        "f_score": precision or recall,
        "density": density,
        "coverage": density,
        "null_coverage": density,
    }


def _prdc_scores(balls: AllBalls, k_precision: int, k_density: int) -> dict[str, BallScore]:
    scores: dict[str, BallScore] = {}
    if k_precision in balls.real:
        scores["precision"] = BallScore(balls.real[k_precision].covered(), "generated")
    if k_precision in balls.generated:
        scores["recall"] = BallScore(swapped(balls.generated[k_precision].covered()), "real")
    if len(scores) == 2:
        scores["f_score"] = BallScore(_f_score(scores["precision"].left_out, scores["recall"].left_out), "fewer")
    if k_density in balls.real:
        ball = balls.real[k_density]
        null = null_coverage(balls.n_generated, balls.n_real, k_density)
        scores["density"] = BallScore(ball.density(), "")
        scores["coverage"] = BallScore(ball.filled(), "real")
        scores["null_coverage"] = BallScore((null, None, None), "")
    return scores


def too_few_for_real_balls(m: int, n: int, k: int) -> str:
    """Return why balls to neighbour k around N real images need more images, "" where they do not."""
    # k + 1 stands for "enough" on the side that needs but one image.
    return too_few(k + 1, min(m, 1) * (k + 1), n, f"a ball to neighbour {k} of each reference image")


def too_few_for_generated_balls(m: int, n: int, k: int) -> str:
    """Return why balls to neighbour k around M generated images need more images, "" where they do not."""
    return too_few(k + 1, m, min(n, 1) * (k + 1), f"a ball to neighbour {k} of each generated image")


# ----------------------------------------------------------------------------------------------------------- families


@dataclass(frozen=True)
class BallFamily:
    """Scores made of the same balls.

    Attributes:
        real: Numbers of neighbours to which balls around real images reach.
        generated: The same for balls around generated images.
        capped: Likewise for balls around real images whose radius is at most the median of those radii; points in them
            are generated images, and the other real images.
        kept: Of the numbers in `real`, those for which a family asks which points are in which balls.
        reasons: Numbers of generated and of real images -> name -> why a score is undefined, "" where it is not.
        scores: Balls -> name -> score, for all that are defined.
    """

    _: KW_ONLY
    real: tuple[int, ...] = ()
    generated: tuple[int, ...] = ()
    capped: tuple[int, ...] = ()
    kept: tuple[int, ...] = ()
    reasons: Callable[[int, int], dict[str, str]]
    scores: Callable[[AllBalls], dict[str, BallScore]]

    def __post_init__(self) -> None:
        """Refuse balls that reach to no neighbour.

        Raises:
            GraftbenchError: A number of neighbours is below 1.
        """
        if (k := min((*self.real, *self.generated, *self.capped), default=1)) < 1:
            raise GraftbenchError(f"Balls need at least 1 neighbour; found k = {k}.")


@dataclass(frozen=True)
class BallScore:
    """A score of a family.

    Attributes:
        left_out: Its value, and its values without each generated and without each real image.
        counted: Which images a share counts, for its interval where nothing varies; empty for what is no share.
        cut: Values above 1 are taken as 1, and leave-one-out values go beyond.
    """

    left_out: LeaveOneOut
    counted: Literal["generated", "real", "fewer", ""]
    cut: bool = False


def swapped(score: LeaveOneOut) -> LeaveOneOut:
    """Return a score whose points are real images with its values without generated images first."""
    value, without_real, without_generated = score
    return value, without_generated, without_real


# -------------------------------------------------------------------------------------- values and leave-one-out values


@dataclass(frozen=True)
class _Score:
    """A score and what it would be without each single image.

    Attributes:
        name: As in the estimate.
        images: Numbers of generated and of real images.
        counted: As in `BallScore`.
        cut: As in `BallScore`.
        value: The score.
        without_generated: M scores, each without one generated image; None where it takes more images.
        without_real: N scores, each without one real image; None where it takes more images.
    """

    name: str
    images: tuple[int, int]
    counted: str
    cut: bool
    value: float
    without_generated: Array | None
    without_real: Array | None

    def variances(self) -> tuple[float, float] | None:
        """Return the jackknife's variance from each set, (n−1)/n·Σ(θ₋ᵢ − mean)²; None where it takes more images."""
        if self.without_generated is None or self.without_real is None:
            return None
        return jackknife_variance(self.without_generated), jackknife_variance(self.without_real)


class Balls:
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
        inside: Likewise for the balls; no columns unless `kept`.
    """

    def __init__(self, points: int, neighbours: Rows, k: int, *, kept: bool = False) -> None:
        balls = len(neighbours)
        self.k = k
        self.neighbours = neighbours[:, :k]
        self.in_balls, self.sole_ball = np.zeros(points, dtype=np.intp), np.zeros(points, dtype=np.intp)
        self.in_ball, self.sole_point = np.zeros(balls, dtype=np.intp), np.zeros(balls, dtype=np.intp)
        self.in_shell = np.zeros(balls, dtype=np.intp)
        self.shells = np.zeros((points, -(-balls // 8)), dtype=np.uint8)
        self.inside = np.zeros_like(self.shells) if kept else np.zeros((points, 0), dtype=np.uint8)

    def add(self, point: Rows, ball: Rows, inside: NDArray[np.bool_], inside_grown: NDArray[np.bool_]) -> None:
        """Count pairs of a point and a ball; each pair once."""
        p, b = point[inside], ball[inside]
        np.add.at(self.in_balls, p, 1)
        np.add.at(self.sole_ball, p, b)
        np.add.at(self.in_ball, b, 1)
        np.add.at(self.sole_point, b, p)
        if self.inside.size:
            _set_bits(self.inside, p, b)
        shell = inside_grown & ~inside
        p, b = point[shell], ball[shell]
        np.add.at(self.in_shell, b, 1)
        _set_bits(self.shells, p, b)

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

    def clipped_density(self, *, same: bool = False) -> LeaveOneOut:
        """Return the mean over points of min(1, number of balls that hold it / k), and without each; needs `kept`.

        Args:
            same: The points are the images of the balls, none in its own: without an image both go.
        """
        points, balls = self.in_balls.size, self.in_ball.size
        each = np.minimum(self.in_balls, self.k)
        total = int(each.sum())
        without_point = (total - each) / (self.k * (points - 1)) if points > 1 else None
        without_ball = None
        if balls > self.k + 1:
            change = self._clipped_change(same=same)
            without_ball = (total - each + change) / (points - 1) if same else (total + change) / points
            without_ball = without_ball / self.k
        return total / (self.k * points), without_point, without_ball

    def _clipped_change(self, *, same: bool) -> Rows:
        """Return by how much Σ min(k, balls that hold a point) rises or falls without each ball's image, B."""
        balls = self.in_ball.size
        change = np.zeros(balls, dtype=np.intp)
        low = np.flatnonzero(self.in_balls <= self.k)  # the rest stays full: an image takes away one ball at most
        for start in range(0, low.size, _LOW):
            points = low[start : start + _LOW]
            # Without image j its ball is lost, and the balls that reach over j grow.
            gained = -np.unpackbits(self.inside[points], axis=1, count=balls).astype(np.intp)
            point, ball = np.nonzero(np.unpackbits(self.shells[points], axis=1, count=balls))
            np.add.at(gained, (point[:, None], self.neighbours[ball]), 1)
            if same:
                gained[np.arange(points.size), points] = 0
            counts = self.in_balls[points, None]
            change += (np.minimum(counts + gained, self.k) - counts).sum(axis=0)
        return change

    def clipped_filled(self) -> LeaveOneOut:
        """Return the mean over balls of min(1, number of points in it / k), and without each; needs `kept`."""
        points, balls = self.in_balls.size, self.in_ball.size
        each = np.minimum(self.in_ball, self.k)
        total = int(each.sum())
        without_point = without_ball = None
        if points > 1:
            scarce = self.in_ball <= self.k
            lost = [
                np.unpackbits(self.inside[start : start + _LOW], axis=1, count=balls)[:, scarce].sum(axis=1)
                for start in range(0, points, _LOW)
            ]
            without_point = (total - np.concatenate(lost).astype(np.intp)) / (self.k * balls)
        if balls > self.k + 1:
            more = np.minimum(self.in_ball + self.in_shell, self.k) - each
            grown = np.zeros(balls, dtype=np.intp)
            np.add.at(grown, self.neighbours.ravel(), np.repeat(more, self.k))
            without_ball = (total - each + grown) / (self.k * (balls - 1))
        return total / (self.k * balls), without_point, without_ball


def _set_bits(bits: NDArray[np.uint8], row: Rows, column: Rows) -> None:
    """Set single bits of rows of packed bits, in place."""
    values = (128 >> column % 8).astype(np.uint8)
    np.bitwise_or.at(bits.reshape(-1), row * bits.shape[1] + column // 8, values)


@dataclass(frozen=True)
class AllBalls:
    """All balls that families ask for, with the points in them; those that need more images than there are left out.

    Attributes:
        n_generated: Number of generated images.
        n_real: Number of real images.
        real: Neighbours -> balls around real images; points are generated images.
        generated: Neighbours -> balls around generated images; points are real images.
        capped: Neighbours -> balls around real images, no larger than their median; points are generated images.
        capped_real: The same balls; points are the other real images.
    """

    n_generated: int
    n_real: int
    real: dict[int, Balls]
    generated: dict[int, Balls]
    capped: dict[int, Balls]
    capped_real: dict[int, Balls]


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


def _scores(x: Array, y: Array, families: Sequence[BallFamily]) -> dict[str, _Score]:
    """Compute every score that is defined for so many images."""

    def neighbours(images: int, k: int, find: Callable[[int], tuple[Array, Rows]]) -> _Neighbours:
        depth = min(k + 1, images - 1)
        if min(k, depth) < 1:
            return _Neighbours(np.empty((images, 0)), np.empty((images, 0), dtype=np.intp))
        return _Neighbours(*find(depth))

    if not (len(x) and len(y)):
        return {}
    sets = Sets(x, y)
    of_generated = neighbours(len(x), _deepest(families, "generated"), sets.nearest_in_x)
    of_real = neighbours(len(y), _deepest(families, "real", "capped"), sets.nearest_in_y)

    def search_real(limits: Array) -> Iterator[Pairs]:
        # The neighbours are all that a ball holds, unless the last of them is on its surface: others may be as far.
        ball = np.repeat(np.arange(len(y)), of_real.rows.shape[1])
        within = of_real.distances.reshape(-1, 1) <= limits[ball]
        yield Pairs(of_real.rows.ravel(), ball, within[:, :0], within)
        tied = np.flatnonzero(of_real.distances[:, -1] <= limits[:, 0]) if of_real.rows.shape[1] < len(y) - 1 else []
        for pairs in sets.pairs_within_y(np.asarray(tied, dtype=np.intp), limits):
            known = (of_real.rows[pairs.y] == pairs.x[:, None]).any(axis=1)
            yield Pairs(pairs.x[~known], pairs.y[~known], pairs.within_x[~known], pairs.within_y[~known])

    return _collect(of_generated, of_real, families, sets.pairs_within, search_real)


def _deepest(families: Sequence[BallFamily], *sides: Literal["generated", "real", "capped"]) -> int:
    """Return the largest number of neighbours that any family asks for on these sides; 0 for none."""
    return max((k for family in families for side in sides for k in getattr(family, side)), default=0)


def _scores_of_distances(
    between: Float32, within_x: Float32, within_y: Float32, families: Sequence[BallFamily]
) -> dict[str, _Score]:
    """Compute the scores of few images from distance matrices M×N, M×M and N×N (infinite on the diagonal)."""

    def neighbours(within: Float32, k: int) -> _Neighbours:
        depth = min(k + 1, len(within) - 1) if k else 0
        if depth < 1:
            return _Neighbours(np.empty((len(within), 0)), np.empty((len(within), 0), dtype=np.intp))
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

    def search_real(limits: Array) -> list[Pairs]:
        point, ball = np.divmod(np.flatnonzero(within_y <= limits.max(axis=1).astype(np.float32)), len(within_y))
        within = within_y[point, ball][:, None] <= limits[ball]
        return [Pairs(point, ball, within[:, :0], within)]

    of_generated = neighbours(within_x, _deepest(families, "generated"))
    of_real = neighbours(within_y, _deepest(families, "real", "capped"))
    return _collect(of_generated, of_real, families, search, search_real)


def _collect(
    of_generated: _Neighbours,
    of_real: _Neighbours,
    families: Sequence[BallFamily],
    search: Callable[[Array, Array], Iterable[Pairs]],
    search_real: Callable[[Array], Iterable[Pairs]],
) -> dict[str, _Score]:
    """Compute every score that is defined, from neighbours within the sets and searches for pairs.

    Args:
        of_generated: Neighbours of generated images among themselves.
        of_real: Likewise of real images.
        families: What to compute.
        search: Limits of generated and of real images -> pairs between the sets.
        search_real: Limits of real images -> pairs (another real image, the image whose limit it is).
    """
    # Balls of each side, of all sizes that are asked for.
    m, n = len(of_generated.rows), len(of_real.rows)
    kept = {k for family in families for k in family.kept}
    real = {k: Balls(m, of_real.rows, k, kept=k in kept) for k in _sizes(families, "real", n)}
    capped = {k: Balls(m, of_real.rows, k, kept=True) for k in _sizes(families, "capped", n)}
    capped_real = {k: Balls(n, of_real.rows, k, kept=True) for k in capped}
    generated = {k: Balls(n, of_generated.rows, k) for k in _sizes(families, "generated", m)}
    caps = {k: np.minimum(of_real.limits(k), np.median(of_real.limits(k)[:, 0])) for k in capped}
    limits_x = np.hstack([np.empty((m, 0)), *(of_generated.limits(k) for k in generated)])
    limits_y = np.hstack([np.empty((n, 0)), *(of_real.limits(k) for k in real), *caps.values()])
    # The images in them.
    for pairs in search(limits_x, limits_y):
        for i, balls in enumerate(generated.values()):
            balls.add(pairs.y, pairs.x, pairs.within_x[:, 2 * i], pairs.within_x[:, 2 * i + 1])
        for i, balls in enumerate((*real.values(), *capped.values())):
            balls.add(pairs.x, pairs.y, pairs.within_y[:, 2 * i], pairs.within_y[:, 2 * i + 1])
    for k, balls in capped_real.items():
        for pairs in search_real(caps[k]):
            balls.add(pairs.x, pairs.y, pairs.within_y[:, 0], pairs.within_y[:, 1])
    # The scores.
    every = AllBalls(m, n, real, generated, capped, capped_real)
    return {
        name: _Score(name, (m, n), score.counted, score.cut, *score.left_out)
        for family in families
        for name, score in family.scores(every).items()
    }


def _sizes(families: Sequence[BallFamily], side: Literal["generated", "real", "capped"], images: int) -> list[int]:
    """Return the numbers of neighbours that families ask for on a side, each once, as far as there are so many."""
    return list(dict.fromkeys(k for family in families for k in getattr(family, side) if k < images))


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


def _inflation(x: Array, y: Array, families: Sequence[BallFamily], *, splits: int, seed: int) -> dict[str, float]:
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
            _scores_of_distances(_part(between, i, j), _part(within_x, i, i), _part(within_y, j, j), families)
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
    define = partial(Estimate, name=score.name, n_generated=m, n_reference=n)
    variances = score.variances()
    if variances is None:
        return define(value=min(score.value, 1.0) if score.cut else score.value)
    error = math.sqrt(sum(variances) * (1.0 if factor is None else factor))
    bounds = None if factor is None else _interval(score, error, _degrees(score, splits))
    value, error, bounds = _cut(score.value, error, bounds) if score.cut else (score.value, error, bounds)
    method = "jackknife" if factor is None else "jackknife corrected by halves"
    return define(value=value, standard_error=error, interval=bounds, method=method)


def _cut(value: float, error: float, bounds: Bounds | None) -> tuple[float, float, Bounds | None]:
    """Return value, standard error and interval of min(1, X) for those of a normal X.

    With a = (1 − μ)/s, E max(0, 1 − X) = s·(φ(a) + a·Φ(a)) and E max(0, 1 − X)² = s²·((1 + a²)·Φ(a) + a·φ(a)). The ends
    of the interval are the means of min(1, X) for the ends of X's, for such means are what an interval is for.
    """

    def missing(mean: float) -> tuple[float, float]:
        a = (1.0 - mean) / error
        density, below = math.exp(-0.5 * a * a) / math.sqrt(2.0 * math.pi), float(ndtr(a))
        return error * (density + a * below), error**2 * ((1.0 + a * a) * below + a * density)

    least = min(value, 1.0)
    if error == 0.0:
        return least, error, None if bounds is None else (min(bounds[0], 1.0), min(bounds[1], 1.0))
    first, second = missing(value)
    ends = (
        None if bounds is None else (min(1.0 - missing(bounds[0])[0], least), max(1.0 - missing(bounds[1])[0], least))
    )
    return least, math.sqrt(max(second - first**2, 0.0)), ends


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
    fewer of both sets. Density, and what goes beyond 1 before it is cut, has no upper bound and a spread in proportion
    to its size: value·exp(±q·s/value). Where value or s is 0, it has Wilson's for its images if it is a share, else
    none.
    """
    value, q = score.value, quantile(degrees)
    m, n = score.images
    if (score.cut or not score.counted) and value > 0.0 and error > 0.0:
        width = math.exp(q * error / value)
        return value / width, value * width
    if not score.counted:
        return None
    spread = max(0.0, value * (1.0 - value))
    images = {"generated": m, "real": n, "fewer": min(m, n)}[score.counted]
    low, high = wilson(min(value, 1.0), spread / error**2 if error > 0.0 and spread > 0.0 else images, q)
    return max(0.0, low), min(1.0, high)
