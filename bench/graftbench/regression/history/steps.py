"""Find where a series of results changes its level, and whether it drifts.

A history is taken for levels that change seldom, a line through time at most, and noise in which single points may lie
anywhere. Steps are where the penalised cost

    Q = Σᵢ min(((yᵢ - b·i - level(i)) / σ)², K) + β · (number of steps + [b ≠ 0])

is least over all numbers and places of steps, all levels, and the slopes b that are tried.

- *Optimal partitioning* (Jackson et al. 2005, arXiv math/0309285) finds the least cost exactly, by a recursion over the
  last step; PELT (Killick, Fearnhead & Eckley 2012, arXiv 1101.1438) prunes it. Here the recursion runs over levels, as
  in functional pruning: F(t, θ) = min(F(t - 1, θ), min F(t - 1, ·) + β) + loss(yₜ - θ), with θ on a grid of σ/5 around
  the data. It takes O(n · levels), needs nothing of the loss, and is exact but for the grid: a level is at most σ/10
  off, which costs a point at most 0.01.
- *The loss is bounded* (Fearnhead & Rigaill 2017, arXiv 1609.07363, who call it the biweight loss): beyond √K σ a point
  says no more than that it lies elsewhere. Only bounded losses withstand arbitrarily wild points. As K < β, a point
  alone never pays for a step, in the middle or at an end, whatever its value: a level has at least two points.
- *The noise* σ is 1.4826/√2 times the median size of the first differences, which steps and single wild points hardly
  move. Where a twentieth of them or more are 0, the values are coarse (rounded; a share of few images; the same but now
  and then), and the median says little: σ is then at least the root mean square of the differences over √2, each cut
  at `CUT` times the median of those that are not 0, times `COARSE`. Only of what is known to be exact σ is 0, and any
  change that lasts is a step.
- *The penalty* β(n) is what noise alone passes in less than 5 % of series; docs/tracking.md has the table. It grows
  with log n, as in Schwarz's criterion (Yao 1988), and is constant for short series, where σ is poorly known.

asv's step_detect has the same idea, and differs: absolute deviations, a penalty chosen on the data by an information
criterion with a hand-set factor, and noise that may depend on the point before. Noise that does is not modelled here:
docs/tracking.md says what it costs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEAST = 6
"""Points of a series below which no step is looked for: two levels of two points, and two to tell the noise by."""
GRID = 0.2
"""Distance of the levels that are tried, in σ."""
REACH = 1.5
"""Distance from a point, in σ, up to which levels are tried: the best level lies so near to one of its points."""
CLIP = 0.9
"""K / β. Below 1, so that one point makes no step; above 1/2, so that two do."""
SHORT, SLOPE = 14.0, 3.0
"""The penalty is the larger of `SHORT` and `SLOPE` · log n."""
EXACT = 1e-9
"""Noise of exact data, as a share of the largest value: what rounding of sums does to equal results."""
CUT = 3.0
"""Of coarse values, differences count at most so many times the median of those that are not 0: steps are larger."""
COARSE = 1.2
"""Factor on that σ: coarse noise is skewed, and its rare values gather more easily than the penalty allows for."""
TIES = 0.05
"""Share of differences that are 0 from which on values are coarse: of smooth noise hardly any are."""
ROUNDS = 4
"""Most times that slope and steps are fitted in turn."""


@dataclass(frozen=True)
class Step:
    """A change of level.

    Attributes:
        last: Index of the last point of the old level, in the series as given.
        first: Index of the first point of the new level; more than one further where points are missing.
        before: The old level, at the step.
        after: The new level, at the step.
        sigma: Standard deviation of the noise, in the unit of the values; 0 for exact or constant data.
    """

    last: int
    first: int
    before: float
    after: float
    sigma: float

    @property
    def size(self) -> float:
        """Return the relative change: 2 (after - before) / (|after| + |before|), as in `graftbench gate`."""
        return relative(self.before, self.after)


@dataclass(frozen=True)
class Drift:
    """A line through time.

    Attributes:
        slope: Change from a run to the next.
        start: The line at the first point.
        end: The line at the last point, steps not counted.
    """

    slope: float
    start: float
    end: float

    @property
    def size(self) -> float:
        """Return the relative change from the first point to the last, as of a step."""
        return relative(self.start, self.end)


@dataclass(frozen=True)
class Level:
    """Neighbouring points without a step between them.

    Attributes:
        first: Index of the first one, in the series as given.
        last: Index of the last one.
        start: Fitted value at the first one.
        end: Fitted value at the last one; differs from `start` where the series drifts.
    """

    first: int
    last: int
    start: float
    end: float


@dataclass(frozen=True)
class Segmentation:
    """Steps and drift of a series.

    Attributes:
        n: Number of points.
        sigma: Standard deviation of the noise; 0 for exact or constant data, None of fewer than `LEAST` points.
        levels: The fit, in time; empty of no points. Of fewer than `LEAST` points one level, their median.
        steps: Between the levels.
        drift: None where no line is needed.
    """

    n: int
    sigma: float | None
    levels: tuple[Level, ...] = ()
    steps: tuple[Step, ...] = ()
    drift: Drift | None = None


def relative(before: float, after: float) -> float:
    """Return 2 (after - before) / (|after| + |before|), in -2 to 2; 0 if both are 0.

    It is the logarithm of the ratio to second order, changes its sign with the direction, and is defined for values of
    either sign (an unbiased KID may be negative). A share of the old value, the other convention, has neither.
    """
    size = (abs(before) + abs(after)) / 2
    return (after - before) / size if size else 0.0


def find(values: Sequence[float | None], *, exact: bool = False) -> Segmentation:
    """Find the levels, steps and drift of a series in the order of time.

    Args:
        values: One a run; None or a number that is not finite where there is none. Runs are taken as equally far apart.
        exact: Whether they are known to have no noise (counts), so that neighbours that differ are no chance.

    Returns:
        With indices into `values`.
    """
    indices = [i for i, value in enumerate(values) if value is not None and math.isfinite(value)]
    y = np.array([values[i] for i in indices], dtype=np.float64)
    if not indices:
        return Segmentation(0, None)
    if len(y) < LEAST:
        middle = float(np.median(y))
        return Segmentation(len(y), None, (Level(indices[0], indices[-1], middle, middle),))
    sigma = noise(y, exact=exact)
    unit = sigma or EXACT * float(np.abs(y).max()) or 1.0
    fit = _best((y - np.median(y)) / unit, np.array(indices, dtype=np.float64), exact=not sigma)
    return _segmentation(fit, y, indices, sigma, unit)


def noise(y: Floats, *, exact: bool = False) -> float:
    """Estimate the standard deviation of the noise of two points or more, as the module says.

    Args:
        y: The values.
        exact: Whether they have none where most neighbours are equal.
    """
    differences = np.abs(np.diff(y))
    differences[differences <= EXACT * np.abs(y).max()] = 0.0
    sigma = 1.4826 / math.sqrt(2) * float(np.median(differences))
    moved = np.sort(differences[differences > 0])
    if exact or not len(moved) or len(moved) > (1 - TIES) * len(differences):
        return sigma
    usual = float(moved[(len(moved) - 1) // 2])
    return max(sigma, COARSE * math.sqrt(float((np.minimum(differences, CUT * usual) ** 2).mean()) / 2))


def penalty(n: int) -> float:
    """Return β: what a step must save, in squared σ, in a series of n points. docs/tracking.md has its calibration."""
    return max(SHORT, SLOPE * math.log(n))


# ------------------------------------------------------------------------------------------------------------ the fit


@dataclass(frozen=True)
class _StepFit:
    """Cost, starts of the levels (as positions in y, the first 0) and slope, values in units of σ."""

    cost: float
    starts: tuple[int, ...]
    slope: float = 0.0


def _best(z: Floats, time: Floats, *, exact: bool) -> _StepFit:
    """Return the fit of least cost: without a slope, or with one of those tried."""
    beta = penalty(len(z))
    best = _partition(z, beta, exact=exact)
    slope = _theil_sen(z, time)
    if len(best.starts) == 1 and slope**2 * float(((time - time.mean()) ** 2).sum()) < beta / 2:
        return best  # a line that saves so little is no drift
    for _ in range(ROUNDS):
        flat = z - slope * time
        sloped = _partition(flat, beta, exact=exact)
        best = min(best, _StepFit(sloped.cost + beta, sloped.starts, slope), key=lambda fit: fit.cost)
        change = _slope_within(flat, time, sloped.starts, CLIP * beta)
        if abs(change) * float(np.ptp(time)) < GRID / 2:  # below what the grid can tell
            break
        slope += change
    return best


def _partition(z: Floats, beta: float, *, exact: bool) -> _StepFit:
    """Return least cost and starts of the levels, by the recursion over levels; unit noise."""
    levels = np.unique(z) if exact else _grid(z)
    costs = np.zeros(len(levels))  # of the best fit so far that ends on each level
    starts = np.zeros(len(levels), dtype=np.int64)  # where its last level began
    best, began = [0.0], [0]  # of the best fit of the first t points: its cost, where its last level began
    for t, value in enumerate(z):
        if t:
            new = best[-1] + beta
            starts[costs > new] = t
            np.minimum(costs, new, out=costs)
        costs += np.minimum((value - levels) ** 2, CLIP * beta)
        least = int(costs.argmin())
        best.append(float(costs[least]))
        began.append(int(starts[least]))
    level_starts = [began[-1]]
    while level_starts[-1]:
        level_starts.append(began[level_starts[-1]])
    return _StepFit(best[-1], tuple(reversed(level_starts)))


def _grid(z: Floats) -> Floats:
    """Return the levels that are tried: multiples of `GRID` within `REACH` of a point."""
    reach = round(REACH / GRID)
    near = np.unique(np.rint(z / GRID))
    return np.asarray(np.unique(near[:, None] + np.arange(-reach, reach + 1)) * GRID, dtype=np.float64)


def _theil_sen(z: Floats, time: Floats) -> float:
    """Return the median of the slopes between all pairs (Sen 1968)."""
    i, j = np.triu_indices(len(z), 1)
    return float(np.median((z[j] - z[i]) / (time[j] - time[i])))


def _slope_within(z: Floats, time: Floats, starts: tuple[int, ...], clip: float) -> float:
    """Return the least-squares slope that all levels share, of the points that no level clips."""
    above = below = 0.0
    for start, stop in zip(starts, (*starts[1:], len(z)), strict=True):
        near = (z[start:stop] - np.median(z[start:stop])) ** 2 < clip
        t = time[start:stop][near]
        t = t - t.mean() if len(t) else t
        above += float(t @ z[start:stop][near])
        below += float(t @ t)
    return above / below if below else 0.0


# ------------------------------------------------------------------------------------------------------------ in words


def _segmentation(fit: _StepFit, y: Floats, indices: list[int], sigma: float, unit: float) -> Segmentation:
    """Return the fit in the unit and the indices of the series as given."""
    time = np.array(indices, dtype=np.float64)
    slope = fit.slope * unit
    flat = y - slope * time
    clip = math.sqrt(CLIP * penalty(len(y))) * unit
    levels = []
    for start, stop in zip(fit.starts, (*fit.starts[1:], len(y)), strict=True):
        values = flat[start:stop]
        near = np.abs(values - np.median(values)) < clip  # the loss clips no others, seen from the median
        height = float(values[near].mean() if near.any() else np.median(values))
        first, last = indices[start], indices[stop - 1]
        levels.append(Level(first, last, height + slope * first, height + slope * last))
    steps = tuple(
        Step(old.last, new.first, old.end, new.start - slope * (new.first - old.last), sigma)
        for old, new in pairwise(levels)
    )
    drift = None
    if slope:
        drift = Drift(slope, levels[0].start, levels[0].start + slope * (indices[-1] - indices[0]))
    return Segmentation(len(y), sigma, tuple(levels), steps, drift)
