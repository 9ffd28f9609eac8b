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
from graftbench.metrics.distances import Neighbours, Pairs, Rows, Sets, squared_distances
from graftbench.metrics.estimate import Bounds, Estimate, jackknife_variance, quantile, wilson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from graftbench.metrics.arrays import FeatureMatrix

    Float32: TypeAlias = NDArray[np.float32]
    Near: TypeAlias = tuple[Rows, Rows, Float32]

LeaveOneOut: TypeAlias = "tuple[Array, Array | None, Array | None]"
"""A score of G pairs of sets, and what it is without each point and without each ball's image, or the generated and the
real image: G, G×P, G×B numbers."""

_HALF = 128  # images of the larger side in a half: more take time and change the correction little
_SMALLEST_HALF = 20  # images of the smaller side in a half, as far as there are so many
_LARGEST_HALF = 1024  # images of the larger side where the smaller side asks for more than _HALF
_ENTRIES = 1 << 19  # pairs of a point and a ball that are unpacked, or whose distances are held, at a time


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
    copies of real images are inside, and so are images that all look alike. The package `prdc` (0.2) takes < for all
    four and scores identical constant features 0; torch-fidelity's precision and recall take ≤, as here. All decisions
    are those of float64.

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
        scores["null_coverage"] = BallScore((np.full(balls.groups, null), None, None), "")
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

    There are G groups, each with points and balls of its own. Points and balls are numbered through all groups.

    Attributes:
        k: Neighbours that a ball reaches to.
        neighbours: Numbers of these within the group, G×B×k.
        in_balls: Number of balls that hold each point, G×P.
        sole_ball: Sum of the numbers of these balls within the group: the ball's number where there is one.
        in_ball: Number of points in each ball, G×B.
        sole_point: Sum of the numbers of these points within the group.
        in_shell: Number of points in each shell, G×B.
        shells: Whether a point is in a shell, one bit for each ball of the group: GP×⌈B/8⌉.
        inside: Likewise for the balls; no columns unless `kept`.
    """

    def __init__(self, points: int, neighbours: Rows, k: int, *, kept: bool = False) -> None:
        groups, balls, _ = neighbours.shape
        self.k = k
        self.neighbours = neighbours[:, :, :k]
        self.in_balls, self.sole_ball = (np.zeros((groups, points), dtype=np.intp) for _ in range(2))
        self.in_ball, self.sole_point, self.in_shell = (np.zeros((groups, balls), dtype=np.intp) for _ in range(3))
        self.shells = np.zeros((groups * points, -(-balls // 8)), dtype=np.uint8)
        self.inside = np.zeros_like(self.shells) if kept else np.zeros((groups * points, 0), dtype=np.uint8)

    def add(self, point: Rows, ball: Rows, inside: NDArray[np.bool_], inside_grown: NDArray[np.bool_]) -> None:
        """Count pairs of a point and a ball of one group; each pair once."""
        p, b = point[inside], ball[inside]
        _count(self.in_balls, p)
        _count(self.sole_ball, p, b % self.in_ball.shape[1])
        _count(self.in_ball, b)
        _count(self.sole_point, b, p % self.in_balls.shape[1])
        if self.inside.size:
            _set_bits(self.inside, p, b % self.in_ball.shape[1])
        shell = inside_grown & ~inside
        p, b = point[shell], ball[shell]
        _count(self.in_shell, b)
        _set_bits(self.shells, p, b % self.in_ball.shape[1])

    def covered(self) -> LeaveOneOut:
        """Return the share of points in at least one ball: the value, without each point, without each ball's image."""
        inside, points, balls = self.in_balls > 0, self.in_balls.shape[1], self.in_ball.shape[1]
        total = inside.sum(axis=1)
        without_point = (total[:, None] - inside) / (points - 1) if points > 1 else None
        without_ball = (total[:, None] + self._change()) / points if balls > self.k + 1 else None
        return total / points, without_point, without_ball

    def _change(self) -> Rows:
        """Return by how many points fewer or more are covered without each ball's image, G×B."""
        change = np.zeros_like(self.in_ball)
        low = np.flatnonzero(self.in_balls < 2)  # the rest stays covered whoever is left out: balls only grow
        for points in self._parts(low):
            group = points // self.in_balls.shape[1]
            # Whether a ball that grows without image j comes to cover the point.
            grown = np.zeros((points.size, self.in_ball.shape[1]), dtype=bool)
            point, ball = self._in_shells(points)
            grown[point[:, None], self.neighbours[group[point], ball]] = True
            # Points in no ball are gained where a ball grows over them.
            bare = self.in_balls.ravel()[points] == 0
            of, image = np.nonzero(grown[bare])
            np.add.at(change, (group[bare][of], image), 1)
            # Points in one ball are lost without its image, unless another ball grows over them.
            sole = self.sole_ball.ravel()[points[~bare]]
            lost = ~grown[np.flatnonzero(~bare), sole]
            np.add.at(change, (group[~bare][lost], sole[lost]), -1)
        return change

    def _parts(self, points: Rows) -> Iterator[Rows]:
        """Yield points, as many at a time as may be unpacked."""
        size = max(1, _ENTRIES // self.in_ball.shape[1])
        return (points[start : start + size] for start in range(0, points.size, size))

    def _in_shells(self, points: Rows) -> tuple[Rows, Rows]:
        """Return all pairs of a position in `points` and a ball of that point's group in whose shell it lies."""
        point, ball = np.nonzero(np.unpackbits(self.shells[points], axis=1, count=self.in_ball.shape[1]))
        return point, ball

    def density(self) -> LeaveOneOut:
        """Return the mean number of balls that hold a point, over k: the value, and without each point, each image."""
        points, balls, total = self.in_balls.shape[1], self.in_ball.shape[1], self.in_balls.sum(axis=1)
        without_point = (total[:, None] - self.in_balls) / (self.k * (points - 1)) if points > 1 else None
        without_ball = None
        if balls > self.k + 1:
            without_ball = (total[:, None] - self.in_ball + self._grown(self.in_shell)) / (self.k * points)
        return total / (self.k * points), without_point, without_ball

    def _grown(self, gains: Rows) -> Rows:
        """Return the sum, for each image, of the gains G×B of the balls that grow without it: G×B."""
        grown = np.zeros_like(self.in_ball)
        group, ball = np.nonzero(gains)
        images = group[:, None] * grown.shape[1] + self.neighbours[group, ball]
        _count(grown, images.ravel(), np.repeat(gains[group, ball], self.k))
        return grown

    def filled(self) -> LeaveOneOut:
        """Return the share of balls that hold a point: the value, without each point, without each ball's image."""
        points, balls, full = self.in_balls.shape[1], self.in_ball.shape[1], self.in_ball > 0
        total = full.sum(axis=1)
        without_point = without_ball = None
        if points > 1:
            emptied = np.zeros_like(self.in_balls)
            group, ball = np.nonzero(self.in_ball == 1)
            _count(emptied, group * points + self.sole_point[group, ball])
            without_point = (total[:, None] - emptied) / balls
        if balls > self.k + 1:
            filled = self._grown((~full & (self.in_shell > 0)).astype(np.intp))
            without_ball = (total[:, None] - full + filled) / (balls - 1)
        return total / balls, without_point, without_ball

    def clipped_density(self, *, same: bool = False) -> LeaveOneOut:
        """Return the mean over points of min(1, number of balls that hold it / k), and without each; needs `kept`.

        Args:
            same: The points are the images of the balls, none in its own: without an image both go.
        """
        points, balls = self.in_balls.shape[1], self.in_ball.shape[1]
        each = np.minimum(self.in_balls, self.k)
        total = each.sum(axis=1)
        without_point = (total[:, None] - each) / (self.k * (points - 1)) if points > 1 else None
        without_ball = None
        if balls > self.k + 1:
            sums = total[:, None] + self._clipped_change(same=same)
            without_ball = ((sums - each) / (points - 1) if same else sums / points) / self.k
        return total / (self.k * points), without_point, without_ball

    def _clipped_change(self, *, same: bool) -> Rows:
        """Return by how much Σ min(k, balls that hold a point) rises or falls without each ball's image, G×B."""
        change = np.zeros_like(self.in_ball)
        low = np.flatnonzero(self.in_balls <= self.k)  # the rest stays full: an image takes away one ball at most
        for points in self._parts(low):
            # Without image j its ball is lost, and the balls that reach over j grow.
            group, number = np.divmod(points, self.in_balls.shape[1])
            gained = -np.unpackbits(self.inside[points], axis=1, count=change.shape[1]).astype(np.intp)
            point, ball = self._in_shells(points)
            np.add.at(gained, (point[:, None], self.neighbours[group[point], ball]), 1)
            if same:
                gained[np.arange(points.size), number] = 0
            counts = self.in_balls.ravel()[points, None]
            changes = np.minimum(counts + gained, self.k) - counts
            first = np.flatnonzero(np.diff(group, prepend=-1))  # points are in order, so a group's are together
            change[group[first]] += np.add.reduceat(changes, first, axis=0)
        return change

    def clipped_filled(self) -> LeaveOneOut:
        """Return the mean over balls of min(1, number of points in it / k), and without each; needs `kept`."""
        points, balls = self.in_balls.shape[1], self.in_ball.shape[1]
        each = np.minimum(self.in_ball, self.k)
        total = each.sum(axis=1)
        without_point = without_ball = None
        if points > 1:
            lost = np.zeros(self.in_balls.size, dtype=np.intp)
            for part in self._parts(np.arange(lost.size)):
                held = np.unpackbits(self.inside[part], axis=1, count=balls)
                scarce = self.in_ball[part // points] <= self.k
                lost[part] = (held & scarce).sum(axis=1)
            without_point = (total[:, None] - lost.reshape(-1, points)) / (self.k * balls)
        if balls > self.k + 1:
            more = self._grown(np.minimum(self.in_ball + self.in_shell, self.k) - each)
            without_ball = (total[:, None] - each + more) / (self.k * (balls - 1))
        return total / (self.k * balls), without_point, without_ball


def _count(counts: Rows, places: Rows, weights: Rows | None = None) -> None:
    """Add 1, or weights, to the counts at places of the flattened array, in place; a place may come several times."""
    np.add.at(counts.reshape(-1), places, 1 if weights is None else weights)


def _set_bits(bits: NDArray[np.uint8], row: Rows, column: Rows) -> None:
    """Set single bits of rows of packed bits, in place."""
    values = (128 >> column % 8).astype(np.uint8)
    np.bitwise_or.at(bits.reshape(-1), row * bits.shape[1] + column // 8, values)


@dataclass(frozen=True)
class AllBalls:
    """All balls that families ask for, with the points in them; those that need more images than there are left out.

    Attributes:
        groups: Number of pairs of sets.
        n_generated: Number of generated images of each pair.
        n_real: Number of real images of each.
        real: Neighbours -> balls around real images; points are generated images.
        generated: Neighbours -> balls around generated images; points are real images.
        capped: Neighbours -> balls around real images, no larger than their median; points are generated images.
        capped_real: The same balls; points are the other real images.
    """

    groups: int
    n_generated: int
    n_real: int
    real: dict[int, Balls]
    generated: dict[int, Balls]
    capped: dict[int, Balls]
    capped_real: dict[int, Balls]


@dataclass(frozen=True)
class _Neighbours:
    """Nearest neighbours within each of G sets, as many as there are up to some depth K.

    Attributes:
        rows: G×N×K, within the set.
        distances: G×N×K, ascending.
    """

    rows: Rows
    distances: NDArray[np.floating]

    def limits(self, columns: list[int]) -> Array:
        """Return the distances to some of the neighbours, numbered from 0, of all sets' images."""
        sets, images, _ = self.distances.shape
        return self.distances[:, :, columns].reshape(sets * images, len(columns)).astype(np.float64)


def _no_neighbours(sets: int, images: int) -> _Neighbours:
    return _Neighbours(np.empty((sets, images, 0), dtype=np.intp), np.empty((sets, images, 0)))


def _scores(x: Array, y: Array, families: Sequence[BallFamily]) -> dict[str, _Score]:
    """Compute every score that is defined for so many images, of this one pair of sets."""
    m, n = len(x), len(y)
    if not (m and n):
        return {}
    sets = Sets(x, y)

    def neighbours(images: int, k: int, find: Callable[[int], Neighbours]) -> tuple[Rows, Neighbours | _Neighbours]:
        depth = min(k + 1, images - 1)
        found = find(depth) if min(k, depth) > 0 else _no_neighbours(1, images)
        return found.rows.reshape(1, images, -1), found

    rows_x, of_generated = neighbours(m, _deepest(families, "generated"), sets.nearest_in_x)
    rows_y, of_real = neighbours(n, _deepest(families, "real", "capped"), sets.nearest_in_y)
    if isinstance(of_real, Neighbours) and _deepest(families, "capped"):
        of_real = _Neighbours(rows_y, of_real.distances()[None])

    def search(columns_x: list[int], columns_y: list[int], caps: Array) -> Iterator[Pairs]:
        limits_y = of_real.limits(columns_y)
        if isinstance(limits_y, np.ndarray):
            limits_y = np.hstack((limits_y, caps))
        return sets.pairs_within(of_generated.limits(columns_x), limits_y)

    def search_real(limits: Array) -> Iterator[Pairs]:
        # The neighbours are all that a ball holds, unless the last of them is on its surface: others may be as far.
        assert isinstance(of_real, _Neighbours)
        distances, rows = of_real.distances[0], of_real.rows[0]
        ball = np.repeat(np.arange(n), rows.shape[1])
        within = distances.reshape(-1, 1) <= limits[ball]
        yield Pairs(rows.ravel(), ball, within[:, :0], within)
        tied = np.flatnonzero(distances[:, -1] <= limits[:, 0]) if rows.shape[1] < n - 1 else []
        for pairs in sets.pairs_within_y(np.asarray(tied, dtype=np.intp), limits):
            known = (rows[pairs.y] == pairs.x[:, None]).any(axis=1)
            yield Pairs(pairs.x[~known], pairs.y[~known], pairs.within_x[~known], pairs.within_y[~known])

    limits_of_real = of_real.limits if isinstance(of_real, _Neighbours) else None
    found = _collect(rows_x, rows_y, limits_of_real, families, search=search, search_real=search_real)
    return {
        name: _Score(name, (m, n), score.counted, score.cut, *_single(score.left_out)) for name, score in found.items()
    }


def _single(score: LeaveOneOut) -> tuple[float, Array | None, Array | None]:
    """Return the score of the only pair of sets; None for values of which one is undefined."""
    one, other = (None if side is None or np.isnan(side).any() else side[0] for side in score[1:])
    return float(score[0][0]), one, other


def _deepest(families: Sequence[BallFamily], *sides: Literal["generated", "real", "capped"]) -> int:
    """Return the largest number of neighbours that any family asks for on these sides; 0 for none."""
    return max((k for family in families for side in sides for k in getattr(family, side)), default=0)


@dataclass(frozen=True)
class _Distances:
    """Distances of few images, of which many pairs of sets are drawn.

    Attributes:
        between: Of generated and real images.
        within_x: Of generated images; infinite on the diagonal.
        within_y: Of real images; infinite on the diagonal.
    """

    between: Float32
    within_x: Float32
    within_y: Float32

    def scores(self, rows_x: Rows, rows_y: Rows, families: Sequence[BallFamily]) -> dict[str, BallScore]:
        """Compute the scores of pairs of sets: the generated images `rows_x` G×M against the real ones `rows_y` G×N."""
        groups, m, n = *rows_x.shape, rows_y.shape[1]

        def pairs(
            matrix: Float32, one: Rows, other: Rows, near: Callable[[Float32, slice], NDArray[np.bool_]]
        ) -> Iterator[Near]:
            size = max(1, _ENTRIES // (one.shape[1] * other.shape[1]))
            for start in range(0, groups, size):
                part = slice(start, start + size)
                distances = _submatrices(matrix, one[part], other[part])
                places = np.flatnonzero(near(distances, part))
                first, second = np.divmod(places, other.shape[1])
                group = first // one.shape[1]
                yield (
                    first + start * one.shape[1],
                    second + (group + start) * other.shape[1],
                    distances.reshape(-1)[places][:, None],
                )

        of_generated = _nearest_of_sets(self.within_x, rows_x, _deepest(families, "generated"))
        of_real = _nearest_of_sets(self.within_y, rows_y, _deepest(families, "real", "capped"))

        def search(columns_x: list[int], columns_y: list[int], caps: Array) -> Iterator[Pairs]:
            limits_x, limits_y = of_generated.limits(columns_x), np.hstack((of_real.limits(columns_y), caps))
            widest_x, widest_y = _widest(limits_x, (groups, m, 1)), _widest(limits_y, (groups, 1, n))

            def near(distances: Float32, part: slice) -> NDArray[np.bool_]:
                return (distances <= widest_x[part]) | (distances <= widest_y[part])

            for x, y, distance in pairs(self.between, rows_x, rows_y, near):
                yield Pairs(x, y, distance <= limits_x[x], distance <= limits_y[y])

        def search_real(limits: Array) -> Iterator[Pairs]:
            widest = _widest(limits, (groups, 1, n))
            for point, ball, distance in pairs(
                self.within_y, rows_y, rows_y, lambda distances, part: distances <= widest[part]
            ):
                within = distance <= limits[ball]
                yield Pairs(point, ball, within[:, :0], within)

        rows = of_generated.rows, of_real.rows
        return _collect(*rows, of_real.limits, families, search=search, search_real=search_real)


def _widest(limits: Array, shape: tuple[int, int, int]) -> Float32:
    return limits.max(axis=1, initial=-np.inf).astype(np.float32).reshape(shape)


def _submatrices(matrix: Float32, rows: Rows, columns: Rows) -> Float32:
    """Return the parts of a matrix at rows G×M and columns G×N: G×M×N."""
    parts = np.empty((*rows.shape, columns.shape[1]), dtype=matrix.dtype)
    for number, (i, j) in enumerate(zip(rows, columns, strict=True)):
        parts[number] = matrix.take(i, axis=0).take(j, axis=1)  # a third of the time of matrix[np.ix_(i, j)]
    return parts


def _nearest_of_sets(within: Float32, rows: Rows, k: int) -> _Neighbours:
    """Find the k + 1 nearest neighbours (all, if there are fewer) within each of G sets of images, G×N.

    The images' neighbours are sorted once; those of a set are the first of them that are in it.
    """
    groups, n = rows.shape
    depth = min(k + 1, n - 1) if k else 0
    if depth < 1:
        return _no_neighbours(groups, n)
    order = np.argsort(within, axis=1, kind="stable")[:, :-1]  # the last is the image itself, at an infinite distance
    place = np.full((groups, len(within)), -1)  # of each image in each set
    np.put_along_axis(place, rows, np.broadcast_to(np.arange(n), rows.shape), axis=1)
    found, distances = np.empty((groups, n, depth), np.intp), np.empty((groups, n, depth), within.dtype)
    likely = 8 * depth  # neighbours among which those of a half are found
    size = max(1, _ENTRIES // (n * likely))
    for start in range(0, groups, size):
        part = np.arange(start, min(start + size, groups))
        for width in (likely, order.shape[1]):
            sorted_rows = order[rows[part], :width]
            places = place[part[:, None, None], sorted_rows]
            chosen = places >= 0
            chosen &= np.cumsum(chosen, axis=2, dtype=np.int32) <= depth
            if np.count_nonzero(chosen) == part.size * n * depth:
                break
        found[part] = places[chosen].reshape(-1, n, depth)
        one, other = np.repeat(rows[part].ravel(), depth), sorted_rows[chosen]
        distances[part] = within[one, other].reshape(-1, n, depth)
    return _Neighbours(found, distances)


def _collect(
    rows_x: Rows,
    rows_y: Rows,
    limits_y: Callable[[list[int]], Array] | None,
    families: Sequence[BallFamily],
    *,
    search: Callable[[list[int], list[int], Array], Iterable[Pairs]],
    search_real: Callable[[Array], Iterable[Pairs]],
) -> dict[str, BallScore]:
    """Compute every score that is defined, from neighbours within the sets and searches for pairs.

    Images are numbered through all sets of a side.

    Args:
        rows_x: Neighbours of generated images among themselves, G×M×K.
        rows_y: Likewise of real images.
        limits_y: Numbers of neighbours, from 0 -> distances to them, of all real images; needed for capped balls.
        families: What to compute.
        search: Numbers of neighbours of generated and of real images, further limits of real images -> pairs between
            the two sets of each pair of sets that are closer than one of these.
        search_real: Limits of real images -> pairs (another real image of the set, the image whose limit it is).
    """
    # Balls of each side, of all sizes that are asked for; each has a radius to neighbour k and one to k + 1.
    (groups, m, depth_x), (_, n, depth_y) = rows_x.shape, rows_y.shape
    kept = {k for family in families for k in family.kept}
    real = {k: Balls(m, rows_y, k, kept=k in kept) for k in _sizes(families, "real", n)}
    capped = {k: Balls(m, rows_y, k, kept=True) for k in _sizes(families, "capped", n)}
    capped_real = {k: Balls(n, rows_y, k, kept=True) for k in capped}
    generated = {k: Balls(n, rows_x, k) for k in _sizes(families, "generated", m)}
    columns_x = [column for k in generated for column in (k - 1, min(k, depth_x - 1))]
    columns_y = [column for k in real for column in (k - 1, min(k, depth_y - 1))]
    caps = {}
    for k in capped:
        assert limits_y is not None
        radii = limits_y([k - 1, min(k, depth_y - 1)]).reshape(groups, n, 2)
        caps[k] = np.minimum(radii, np.median(radii[:, :, :1], axis=1, keepdims=True)).reshape(-1, 2)
    # The images in them.
    for pairs in search(columns_x, columns_y, np.hstack([np.empty((groups * n, 0)), *caps.values()])):
        for i, balls in enumerate(generated.values()):
            balls.add(pairs.y, pairs.x, pairs.within_x[:, 2 * i], pairs.within_x[:, 2 * i + 1])
        for i, balls in enumerate((*real.values(), *capped.values())):
            balls.add(pairs.x, pairs.y, pairs.within_y[:, 2 * i], pairs.within_y[:, 2 * i + 1])
    for k, balls in capped_real.items():
        for pairs in search_real(caps[k]):
            balls.add(pairs.x, pairs.y, pairs.within_y[:, 0], pairs.within_y[:, 1])
    # The scores.
    every = AllBalls(groups, m, n, real, generated, capped, capped_real)
    return {name: score for family in families for name, score in family.scores(every).items()}


def _sizes(families: Sequence[BallFamily], side: Literal["generated", "real", "capped"], images: int) -> list[int]:
    """Return the numbers of neighbours that families ask for on a side, each once, as far as there are so many."""
    return list(dict.fromkeys(k for family in families for k in getattr(family, side) if k < images))


def _f_score(precision: LeaveOneOut, recall: LeaveOneOut) -> LeaveOneOut:
    """Return the harmonic mean of two scores, 0 where both are 0, and of their leave-one-out values."""

    def mean(p: Array, r: Array) -> Array:
        total = p + r
        return 2.0 * p * r / np.where(total > 0.0, total, 1.0)

    def mean_of(p: Array | None, r: Array | None) -> Array | None:
        return None if p is None or r is None else mean(p, r)

    return mean(precision[0], recall[0]), mean_of(precision[1], recall[1]), mean_of(precision[2], recall[2])


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
    orders = [(rng.permutation(len(x)), rng.permutation(len(y))) for _ in range(splits)]
    rows_x, rows_y = (np.stack(side).reshape(2 * splits, -1) for side in zip(*orders, strict=True))
    factors = {}
    for name, score in _Distances(between, within_x, within_y).scores(rows_x, rows_y, families).items():
        values, without_generated, without_real = score.left_out
        if without_generated is not None and without_real is not None:
            claimed = _jackknife_variances(without_generated) + _jackknife_variances(without_real)
            claimed = claimed.reshape(splits, 2)
            counted = ~np.isnan(claimed).all(axis=1)
            true = np.square(values[::2] - values[1::2])[counted].sum() / 2.0
            total = np.nan_to_num(claimed).sum() / 2.0
            factors[name] = min(1.0, float(true / total)) if total else 1.0
    return factors


def _jackknife_variances(left_out: Array) -> Array:
    """Return the jackknife's variance of each row, as `jackknife_variance`."""
    deviations = left_out - left_out.mean(axis=1, keepdims=True)
    images = left_out.shape[1]
    return (images - 1) / images * np.einsum("ij,ij->i", deviations, deviations)


def _half_sizes(m: int, n: int) -> tuple[int, int]:
    """Return the images of each side in a half: in the ratio m:n, and as few as will do."""
    if not min(m, n):
        return 0, 0
    part = max(_HALF / max(m, n), _SMALLEST_HALF / min(m, n))
    half_m, half_n = (min(size // 2, round(part * size), _LARGEST_HALF) for size in (m, n))
    return half_m, half_n


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
