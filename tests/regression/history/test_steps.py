"""Steps and drift of series whose truth is known."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from graftbench.regression.history import steps
from graftbench.regression.history.steps import LEAST, find, noise, penalty, relative

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def noisy(n: int, seed: int) -> NDArray[np.float64]:
    """Ten plus normal noise of unit size."""
    return 10 + np.random.default_rng(seed).standard_normal(n)


def places(values: object) -> list[tuple[int, int]]:
    """Last and first index of each step."""
    return [(step.last, step.first) for step in find(list(np.asarray(values, dtype=float))).steps]


# ------------------------------------------------------------------------------------------------------- known truth


@pytest.mark.parametrize("size", [6.0, -6.0])
def test_a_step(size: float) -> None:
    """Up or down, at its place, with the levels that were put in."""
    found = find(list(noisy(40, 0) + size * (np.arange(40) >= 20)))
    (step,) = found.steps
    assert (step.last, step.first, found.drift, found.n) == (19, 20, None, 40)
    # Each level is the mean of 20 points of unit noise: four standard errors are 4 / √20 = 0.9.
    assert step.before == pytest.approx(10, abs=0.9)
    assert step.after == pytest.approx(10 + size, abs=0.9)
    assert step.size == relative(step.before, step.after)
    assert math.copysign(1, step.size) == math.copysign(1, size)


def test_two_steps() -> None:
    """Up and down again: both, and three levels that cover the series without a gap."""
    found = find(list(noisy(60, 1) + 6 * (np.arange(60) >= 20) - 9 * (np.arange(60) >= 40)))
    assert [(step.last, step.first) for step in found.steps] == [(19, 20), (39, 40)]
    assert [(level.first, level.last) for level in found.levels] == [(0, 19), (20, 39), (40, 59)]


def test_a_drift_is_no_staircase() -> None:
    """A line of 12 σ over 60 runs is a drift of its slope, without steps."""
    found = find(list(noisy(60, 2) + 0.2 * np.arange(60)))
    assert found.steps == ()
    assert found.drift is not None
    # The standard error of a slope is σ / √(n³/12) = 1 / √18,000 = 0.0075; four of them.
    assert found.drift.slope == pytest.approx(0.2, abs=0.03)
    assert found.drift.end - found.drift.start == pytest.approx(59 * found.drift.slope)
    assert len(found.levels) == 1


@pytest.mark.parametrize("size", [8.0, -8.0])
def test_a_step_in_a_drift(size: float) -> None:
    """Both are found, and the step's levels are those at the step, without what the line adds meanwhile."""
    found = find(list(noisy(60, 3) + 0.2 * np.arange(60) + size * (np.arange(60) >= 30)))
    (step,) = found.steps
    assert (step.last, step.first) == (29, 30)
    assert step.after - step.before == pytest.approx(size, abs=1.5)
    assert found.drift is not None
    assert found.drift.slope == pytest.approx(0.2, abs=0.05)


@pytest.mark.parametrize("place", [0, 1, 20, 38, 39])
@pytest.mark.parametrize("size", [10.0, -1e3, 1e9])
def test_one_wild_point_is_no_step(place: int, size: float) -> None:
    """Wherever it stands, at either end too, and however far off it is."""
    values = noisy(40, 4)
    values[place] += size
    found = find(list(values))
    assert found.steps == ()
    assert found.drift is None
    assert found.levels[0].start == pytest.approx(10, abs=0.7)


def test_the_second_point_makes_a_step() -> None:
    """Two runs at the end on another level are one; the first of them alone was none."""
    values = noisy(41, 5) + 8 * (np.arange(41) >= 39)
    assert places(values[:40]) == []
    assert places(values) == [(38, 39)]


def test_a_wild_point_beside_a_step() -> None:
    """It moves neither the place nor the levels."""
    values = noisy(40, 6) + 6 * (np.arange(40) >= 20)
    clean = places(values)
    values[10], values[30] = 500.0, -500.0
    assert places(values) == clean == [(19, 20)]


def test_missing_points() -> None:
    """None and NaN take no part, and a step names the points around the gap by their indices."""
    values: list[float | None] = list(noisy(40, 7) + 8 * (np.arange(40) >= 22))
    values[3], values[20], values[21], values[22] = None, None, math.nan, None
    found = find(values)
    assert [(step.last, step.first) for step in found.steps] == [(19, 23)]
    assert found.n == 36


def test_the_unit_does_not_matter() -> None:
    """A series in other units, shifted, or upside down has the same steps; upside down in time, mirrored ones."""
    values = noisy(50, 8) + 5 * (np.arange(50) >= 15) - 7 * (np.arange(50) >= 35)
    expected = places(values)
    assert expected == [(14, 15), (34, 35)]
    for changed in (values * 1e-9, values * 1e12, values - 1e4, -values):
        assert places(changed) == expected
    assert places(values[::-1]) == [(14, 15), (34, 35)]


# -------------------------------------------------------------------------------------------------------- exact data


@pytest.mark.parametrize("value", [0.0, 3.5, -1e-12, 1e15])
def test_a_constant_series(value: float) -> None:
    """No noise, no step, one level at the value."""
    found = find([value] * 12)
    assert (found.sigma, found.steps, found.drift) == (0.0, (), None)
    assert (found.levels[0].start, found.levels[0].end) == (value, value)


def test_exact_data_step_as_soon_as_they_stay_changed() -> None:
    """Of counts any change that lasts two runs is a step, however small; one run is none."""
    for values, steps_of_it in (
        ([5.0] * 10 + [5.001], []),
        ([5.0] * 10 + [5.001] * 2, [(9, 10)]),
        ([5.0] * 5 + [6.0] + [5.0] * 5, []),
        ([5.0] * 5 + [5.0 * (1 + 1e-12)] * 5, []),  # rounding of a sum
        ([1.0, 2.0] + [2.0] * 8 + [3.0, 3.0, 4.0, 4.0], [(9, 10), (11, 12)]),
    ):
        found = find(values, exact=True)
        assert (found.sigma, [(step.last, step.first) for step in found.steps]) == (0.0, steps_of_it)


@pytest.mark.parametrize(("n", "last"), [(7, 3), (8, 2), (8, 4), (10, 2), (40, 2), (40, 20)])
def test_scores_of_deterministic_runs_step_too(n: int, last: int) -> None:
    """One change in an else constant series is a step, where so few coarse values can tell it from chance."""
    assert places([5.0] * (n - last) + [5.001] * last) == [(n - last - 1, n - last)]


def test_coarse_values_have_noise() -> None:
    """Most differences are 0 and σ is not: of 0 and 1 by chance q it is 1.2 √(q(1 - q)), steps and all."""
    rng = np.random.default_rng(16)
    for q in (0.05, 0.2, 0.4):
        values = (rng.random(20_000) < q).astype(float)
        # The standard error of a share is √(q(1 - q)/n), and neighbouring differences depend on each other: 5 %.
        expected = steps.COARSE * math.sqrt(q * (1 - q))
        assert noise(values) == pytest.approx(expected, rel=0.05)
        values[10_000:] += 3
        assert noise(values) == pytest.approx(expected, rel=0.05)
    assert noise(np.array([5.0] * 9 + [6.0] * 9), exact=True) == 0


def test_an_exact_line_drifts() -> None:
    """2, 4, 6, … is a line, to the digit."""
    found = find([2.0 * i for i in range(1, 21)])
    assert found.drift is not None
    assert found.drift.slope == pytest.approx(2.0, rel=1e-9)
    assert found.steps == ()


def test_alternating_values_are_noise() -> None:
    """Two values in turn, as of a memory allocator, are no steps."""
    assert places([3.0, 4.0] * 10) == []


# ------------------------------------------------------------------------------------------------------- short series


@pytest.mark.parametrize("n", range(LEAST))
def test_too_few_points(n: int) -> None:
    """Below the least number nothing is looked for, and nothing fails; the level is the median."""
    values = [1.0, 2.0, 9.0, 9.0, 9.0][:n]
    found = find(values)
    assert (found.n, found.sigma, found.steps, found.drift) == (n, None, (), None)
    assert [level.start for level in found.levels] == ([float(np.median(values))] if n else [])


def test_the_shortest_series_with_a_step() -> None:
    """Six points, three on each level."""
    assert places([1.0, 1.1, 0.9, 9.0, 9.1, 8.9]) == [(2, 3)]


# ------------------------------------------------------------------------------------------------- parts of the method


def test_noise_is_that_of_normal_values_and_blind_to_steps() -> None:
    """Unit noise reads one, with or without a step and wild points."""
    # The median of |differences| of n = 4,000 normal points has a relative standard error of about 1.6 / √n; four.
    values = np.random.default_rng(9).standard_normal(4000)
    assert noise(values) == pytest.approx(1, abs=0.1)
    changed = values + 50 * (np.arange(4000) >= 1000)
    changed[::500] = 1e6
    assert noise(changed) == pytest.approx(noise(values), abs=0.02)


def test_relative_changes() -> None:
    """By hand; the sign turns with the direction, and zero and negative values have one."""
    assert relative(1.0, 1.5) == pytest.approx(0.4)
    assert relative(1.5, 1.0) == -relative(1.0, 1.5)
    assert relative(0.0, 0.0) == 0.0
    assert relative(0.0, 3.0) == 2.0
    assert relative(-1.0, 1.0) == 2.0


def brute_force(z: NDArray[np.float64], beta: float) -> float:
    """Least cost over all partitions, levels tried on a fine grid of their own."""
    levels = np.linspace(z.min() - 1, z.max() + 1, 2001)
    losses = np.minimum((z[:, None] - levels) ** 2, steps.CLIP * beta)
    n, best = len(z), math.inf
    for cuts in itertools.product((False, True), repeat=n - 1):
        starts = [0, *(i + 1 for i, cut in enumerate(cuts) if cut), n]
        cost = sum(float(losses[a:b].sum(0).min()) for a, b in itertools.pairwise(starts))
        best = min(best, cost + beta * sum(cuts))
    return best


@pytest.mark.parametrize("seed", range(4))
def test_the_partition_is_the_best_of_all(seed: int) -> None:
    """The recursion finds the least cost that trying all 2⁸ partitions finds, up to the grid."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal(9) + rng.choice([0.0, 6.0], 9).cumsum() * (seed > 1)
    beta = 4.0
    found = steps._partition(z, beta, exact=False)
    # A level on the grid is at most σ/10 off: Σ (y - θ)² exceeds that at the mean by at most n · 0.1² = 0.09.
    assert 0 <= found.cost - brute_force(z, beta) + 1e-3 <= 0.1


def test_levels_have_two_points() -> None:
    """Of any noise: the bound of the loss is below the penalty."""
    assert steps.CLIP < 1
    rng = np.random.default_rng(11)
    for _ in range(200):
        z = 3 * rng.standard_cauchy(25)
        starts = [*steps._partition(z, 6.0, exact=False).starts, 25]
        assert min(b - a for a, b in itertools.pairwise(starts)) >= 2


def test_the_penalty_grows() -> None:
    """Constant up to about 100 points, then with the logarithm."""
    assert penalty(6) == penalty(100) == 14
    assert penalty(1000) == pytest.approx(3 * math.log(1000))


# ----------------------------------------------------------------------------------------------- how often it is right

NOISES: dict[str, Callable[[np.random.Generator, int], NDArray[Any]]] = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "t3": lambda rng, n: rng.standard_t(3, n),
    "rounded to 0.5 σ": lambda rng, n: np.round(rng.standard_normal(n) / 0.5) * 0.5,
    "rounded to 1.4 σ": lambda rng, n: np.round(rng.standard_normal(n) / 1.4) * 1.4,
    "rounded to 2 σ": lambda rng, n: np.round(rng.standard_normal(n) / 2) * 2,
    "recall near 0": lambda rng, n: rng.binomial(300, 0.0005, (n, 3)).mean(axis=1) / 300,
    "another value in 10 %": lambda rng, n: 1.0 * (rng.random(n) < 0.1),
    "another value in 20 %": lambda rng, n: 1.0 * (rng.random(n) < 0.2),
    "two values": lambda rng, n: 1.0 * (rng.random(n) < 0.5),
    "mostly constant": lambda rng, n: (rng.random(n) < 0.3) * rng.standard_normal(n),
}


def alarms(kind: str, n: int, repetitions: int) -> float:
    """Share of series of pure noise in which anything is found."""
    rng = np.random.default_rng(12)
    found = (find(list(10 + NOISES[kind](rng, n))) for _ in range(repetitions))
    return sum(bool(one.steps or one.drift) for one in found) / repetitions


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize("n", [10, 40])
def test_noise_alone_is_seldom_taken_for_a_change(kind: str, n: int) -> None:
    """A few false alarms in a hundred series."""
    # At a true rate of 5 %, 300 series give at most 0.05 + 3 √(0.05 · 0.95 / 300) = 0.088 but once in 700.
    assert alarms(kind, n, 300) <= 0.088


@pytest.mark.long
@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize(("n", "repetitions"), [(6, 2000), (10, 2000), (20, 2000), (50, 2000), (100, 1500), (200, 800)])
def test_false_alarms(kind: str, n: int, repetitions: int) -> None:
    """The table of docs/tracking.md: at most 5 %; coarse noise as well as smooth."""
    rate = alarms(kind, n, repetitions)
    print(f"| {kind} | {n} | {100 * rate:.1f} |")  # noqa: T201 - a line of the table, by `pytest -s`
    assert rate <= 0.05


def power(size: float, n: int, place: int, repetitions: int) -> float:
    """Share of noisy series whose step is found at its place or one run beside it."""
    rng = np.random.default_rng(13)
    level = size * (np.arange(n) >= place)
    found = (find(list(10 + rng.standard_normal(n) + level)) for _ in range(repetitions))
    return sum(any(abs(step.first - place) <= 1 for step in one.steps) for one in found) / repetitions


def test_power_grows_with_the_step() -> None:
    """25 runs on each side: a step of 1 σ is found now and then, one of 3 σ nearly always."""
    found = [power(size, 50, 25, 100) for size in (1, 2, 3)]
    assert found == sorted(found)
    # Measured in 1,000 series: 25, 82, 96 %; three standard errors of 100 series are 13, 12, 6 points.
    assert found[0] <= 0.38
    assert found[1] >= 0.70
    assert found[2] >= 0.90


@pytest.mark.long
@pytest.mark.parametrize(
    ("n", "place", "expected"),
    [(20, 10, (10, 54, 91, 99, 100)), (50, 25, (25, 82, 96, 99, 100)), (50, 48, (2, 16, 54, 87, 97))],
)
def test_power(n: int, place: int, expected: tuple[int, ...]) -> None:
    """The table of docs/tracking.md, steps of 1 to 5 σ."""
    for size, percent in enumerate(expected, start=1):
        # Of 400 and 1,000 series: three standard errors of the difference are at most 3 · 0.5 · √(1/400 + 1/1000).
        assert power(size, n, place, 400) == pytest.approx(percent / 100, abs=0.089)
