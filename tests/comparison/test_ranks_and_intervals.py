"""Comparison of methods: cases by hand, closed forms, laws, and agreement with SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graftbench.comparison.aggregate import AGGREGATES, Aggregate, aggregate, interquartile_mean, task_mean, task_median
from graftbench.comparison.bootstrap import Way, expanded_tail, jackknife, resample, stratified_interval
from graftbench.comparison.budgets import area_under_budgets, curve_areas, data_efficiency, images_needed
from graftbench.comparison.improvement import probability_of_improvement
from graftbench.comparison.multiplicity import after_holm, holm
from graftbench.comparison.paired import Setting
from graftbench.comparison.ranks import average_ranks, groups, told_apart
from graftbench.comparison.stats import sign_flip_test, student_interval
from graftbench.errors import GraftbenchError


def rng(seed: int = 0) -> np.random.Generator:
    """A generator of its own."""
    return np.random.default_rng(seed)


# ---------------------------------------------------------------------------------------------- aggregates, bootstrap


def test_aggregates_of_three_tasks_by_hand() -> None:
    """Means of the tasks 2, 5, 20: mean 9, median 5. Of eight values two are cut on each side: (2 + 3 + 4 + 6) / 4."""
    strata = [np.array([[1.0, 2.0, 3.0]]), np.array([[4.0, 6.0]]), np.array([[0.0, 30.0, 30.0]])]
    assert task_mean(strata) == pytest.approx([9.0])
    assert task_median(strata) == [5.0]
    assert interquartile_mean(strata) == [3.75]


@pytest.mark.parametrize("n", [4, 5, 7, 30])
def test_the_interquartile_mean_is_scipys_trimmed_mean(n: int) -> None:
    """The package rliable calls `trim_mean(scores, proportiontocut=0.25, axis=None)`; equal to rounding."""
    from scipy.stats import trim_mean

    values = rng(n).normal(size=(2, n))
    assert interquartile_mean([v[None] for v in values])[0] == pytest.approx(trim_mean(values.ravel(), 0.25))


def test_the_jackknife_of_a_mean_is_its_standard_error_and_satterthwaites_degrees() -> None:
    """Var of the mean of two tasks: (s₁²/3 + s₂²/2) / 4; degrees (v₁ + v₂)² / (v₁²/2 + v₂²/1); by hand, to rounding.

    1, 2, 3 has s² = 1, v₁ = 1/12; 0, 2 has s² = 2, v₂ = 1/4: variance 1/3, degrees (1/9) / (1/288 + 1/16) = 32/19.
    The bootstrap's variance is (2/3)/12 + (1/2)/4 = 13/72, so the factor is √(24/13).
    """
    known = jackknife([np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.0])], task_mean)
    assert known.variance == pytest.approx(1 / 3)
    assert known.degrees == pytest.approx(32 / 19)
    assert known.factor == pytest.approx(math.sqrt(24 / 13))
    assert known.acceleration == pytest.approx(0, abs=1e-12)  # both tasks are symmetric


def test_a_task_that_does_not_matter_lends_no_degrees_of_freedom() -> None:
    """The median of three tasks is the middle one's mean: 5 seeds leave 4 degrees, not 12."""
    strata = [center + rng(1).normal(0, 0.1, 5) for center in (0.0, 5.0, 10.0)]
    assert jackknife(strata, task_median).degrees == pytest.approx(4)


def test_student_of_one_task_is_students_interval() -> None:
    """The jackknife of one task's mean is sd / √n with n - 1 degrees of freedom; equal to rounding."""
    values = rng(2).normal(size=6)
    ours, theirs = aggregate([values], "mean", rng=rng(), way="student").interval, student_interval(values.tolist())
    assert theirs is not None
    assert (ours.low, ours.high) == (pytest.approx(theirs.low), pytest.approx(theirs.high))


def test_many_seeds_need_no_expansion() -> None:
    """Φ(-factor · t) goes to 0.025; of 6 tasks of 5: Φ(-√1.25 · 2.064) = 0.0105, of one: Φ(-√1.25 · 2.776) = 0.00096.

    The quantiles are tables' (24 and 4 degrees of freedom), hence the tolerance of 1 %.
    """
    five = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    assert expanded_tail(0.95, jackknife([np.arange(2000.0)], task_mean)) == pytest.approx(0.025, rel=0.01)
    assert expanded_tail(0.95, jackknife([five] * 6, task_mean)) == pytest.approx(0.0105, rel=0.01)
    assert expanded_tail(0.95, jackknife([five], task_mean)) == pytest.approx(0.00096, rel=0.01)


@pytest.mark.parametrize("way", ["percentile", "bca"])
def test_one_stratum_agrees_with_scipys_bootstrap(way: Way) -> None:
    """`scipy.stats.bootstrap` of a skewed sample's mean, 20,000 draws each.

    An end is a quantile of the draws: its standard error is √(p(1 - p)/20000) / density, at p = 0.025 and a normal
    density of 0.058/sd that is 0.019 sd of the mean; the difference of two such, times 4, is 0.11 sd.
    """
    from scipy.stats import bootstrap

    values = rng(3).lognormal(size=25)
    ours = stratified_interval([values], task_mean, rng=rng(4), way=way, resamples=20_000).interval
    name = "BCa" if way == "bca" else "percentile"
    theirs = bootstrap((values,), np.mean, n_resamples=20_000, method=name, rng=rng(5)).confidence_interval
    tolerance = 0.11 * values.std() / 5
    assert ours.low == pytest.approx(theirs.low, abs=tolerance)
    assert ours.high == pytest.approx(theirs.high, abs=2 * tolerance)  # BCa's upper end lies further out: p = 0.99


def test_draws_stay_within_their_task() -> None:
    """Tasks of constant values have a mean that no draw moves, though the tasks differ: the interval has no width."""
    found = aggregate([[1.0, 1.0], [5.0, 5.0, 5.0]], "mean", rng=rng())
    assert (found.value, found.interval.low, found.interval.high) == (3.0, 3.0, 3.0)
    assert found.interval.n == 5


def test_all_resamples_of_two_values_come_up_as_often_as_they_should() -> None:
    """Of 0 and 1 the mean is 0, ½, 1 in ¼, ½, ¼ of the draws; 4 standard errors of 20,000 draws."""
    draws = resample([np.array([0.0, 1.0])], task_mean, rng(), 20_000)
    for value, chance in ((0.0, 0.25), (0.5, 0.5), (1.0, 0.25)):
        assert abs((draws == value).mean() - chance) < 4 * math.sqrt(chance * (1 - chance) / 20_000)


@pytest.mark.parametrize("what", list(AGGREGATES))
@pytest.mark.parametrize("way", ["student", "expanded", "bca", "percentile"])
def test_shift_and_scale_move_an_interval_along(what: str, way: Way) -> None:
    """Aggregates are equivariant: 3x - 2 has 3 · interval - 2 from the same draws, to rounding."""
    tasks = [rng(seed).normal(size=5) for seed in range(6)]
    base = stratified_interval(tasks, AGGREGATES[what], rng=rng(), way=way, resamples=500)
    moved = stratified_interval([3 * t - 2 for t in tasks], AGGREGATES[what], rng=rng(), way=way, resamples=500)
    assert moved.value == pytest.approx(3 * base.value - 2)
    assert moved.interval.low == pytest.approx(3 * base.interval.low - 2)
    assert moved.interval.high == pytest.approx(3 * base.interval.high - 2)


def test_the_generator_alone_decides_the_draws() -> None:
    """Equal generators give equal intervals, other ones other intervals."""
    tasks = [rng(seed).normal(size=5) for seed in range(6)]  # of one task the ends are its least and largest value
    assert aggregate(tasks, rng=rng(1)) == aggregate(tasks, rng=rng(1)) != aggregate(tasks, rng=rng(2))


def test_each_aggregate_has_the_interval_that_covers_best() -> None:
    """Student's for mean and median, whatever is drawn; expanded percentiles for the interquartile mean."""
    tasks = [rng(seed).normal(size=5) for seed in range(6)]
    ways: tuple[tuple[Aggregate, Way], ...] = (
        ("mean", "student"),
        ("median", "student"),
        ("interquartile mean", "expanded"),
    )
    for what, way in ways:
        assert aggregate(tasks, what, rng=rng()) == aggregate(tasks, what, rng=rng(), way=way)
        assert (aggregate(tasks, what, rng=rng(1)) == aggregate(tasks, what, rng=rng(2))) == (way == "student")


def test_what_has_no_interval_says_so() -> None:
    """No tasks, one seed, a NaN, a level of 95, an unknown name: errors that name what was found."""
    with pytest.raises(GraftbenchError, match="No tasks"):
        aggregate([], rng=rng())
    with pytest.raises(GraftbenchError, match="Task 1 has one seed"):
        aggregate([[1.0, 2.0], [1.0]], rng=rng())
    with pytest.raises(GraftbenchError, match="finite"):
        aggregate([[1.0, math.nan]], rng=rng())
    with pytest.raises(GraftbenchError, match="found 95"):
        aggregate([[1.0, 2.0]], rng=rng(), level=95)
    with pytest.raises(GraftbenchError, match="Did you mean 'median'"):
        aggregate([[1.0, 2.0]], "medain", rng=rng())  # pyright: ignore[reportArgumentType]
    with pytest.raises(GraftbenchError, match="Unknown way to make an interval 'BCa'"):
        aggregate([[1.0, 2.0]], rng=rng(), way="BCa")  # pyright: ignore[reportArgumentType]
    with pytest.raises(GraftbenchError, match="two seeds in each"):
        stratified_interval([np.array([1.0])], task_mean, rng=rng())


# ------------------------------------------------------------------------------------------------------------- paired


def test_two_sided_sign_flips_by_hand() -> None:
    """3, 2, -1: sums 6, 4, 2, 0, 0, -2, -4, -6; four of eight are at least 4 from zero. Five that agree: 2 of 32."""
    assert sign_flip_test([3.0, 2.0, -1.0]).p_two_sided == 4 / 8
    assert sign_flip_test([-1.0, -2.0, -3.0, -4.0, -9.0]).p_two_sided == 2 / 32
    assert sign_flip_test([0.0, 0.0]).p_two_sided == 1.0


@pytest.mark.parametrize("n", [4, 9])
def test_two_sided_sign_flips_are_scipys(n: int) -> None:
    """Sign flips are symmetric, so that SciPy's doubled smaller tail is the share on both sides; equal to rounding."""
    from scipy.stats import permutation_test

    for seed in range(5):
        values = rng(seed).normal(0.2, 1.0, n)
        theirs = permutation_test((values,), np.mean, permutation_type="samples", n_resamples=2**n)
        assert sign_flip_test(values.tolist()).p_two_sided == pytest.approx(theirs.pvalue, rel=1e-12)


# ------------------------------------------------------------------------------------------------------- multiplicity


def test_holm_by_hand() -> None:
    """0.01, 0.04, 0.03, 0.005 (Holm): 4 · 0.005, 3 · 0.01, 2 · 0.03, then 0.04 raised to the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]
    with pytest.raises(GraftbenchError, match=r"0\.1 to 5"):
        holm([0.1, 5.0])


def test_a_corrected_p_says_over_how_many_comparisons() -> None:
    """One wording wherever such a p is printed."""
    assert [after_holm(n) for n in (1, 15)] == [
        "after Holm's correction over 1 comparison",
        "after Holm's correction over 15 comparisons",
    ]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_p_and_bonferroni_and_keeps_the_order(p: list[float]) -> None:
    """Adjusted values lie in p ≤ adjusted ≤ min(1, m p), and of two the smaller stays the smaller."""
    adjusted = holm(p)
    assert (adjusted >= np.array(p)).all()
    assert (adjusted <= np.minimum(1, len(p) * np.array(p)) + 1e-15).all()
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()


# -------------------------------------------------------------------------------------------------------------- ranks


def test_ranks_average_ties_and_follow_the_direction() -> None:
    """1, 1, 3 rank 1.5, 1.5, 3 where lower is better; 2.5, 2.5, 1 where higher is."""
    scores = [[1.0, 1.0, 3.0], [1.0, 2.0, 3.0]]
    assert average_ranks(scores).tolist() == [1.25, 1.75, 3.0]
    assert average_ranks(scores, lower_is_better=False).tolist() == [2.75, 2.25, 1.0]


def test_who_is_told_apart() -> None:
    """The paired test of each pair, Holm over the three: a and b scatter around each other, c is twice both."""
    values = ([1, 1.1, 1], [1.1, 1, 1], [2, 2.1, 2])
    a, b, c = ({Setting("t", "", 25, seed): value for seed, value in enumerate(by)} for by in values)
    assert told_apart([a, b, c]) == {(0, 2), (1, 2)}
    assert told_apart([a, {}]) == set()
    assert told_apart([a]) == set()
    with pytest.raises(GraftbenchError, match="strictly between"):
        told_apart([a, b], level=5)


def test_groups_are_runs_of_neighbours() -> None:
    """Order 1, 0, 3, 2; only 1 and 3, and 2 and all, are told apart."""
    apart = {(1, 3), (0, 2), (1, 2), (2, 3)}
    assert groups([1, 0, 3, 2], apart) == [(0, 1), (1, 2), (3,)]
    assert groups([0, 1, 2], set()) == [(0, 1, 2)]
    assert groups([], set()) == []


def test_scores_that_cannot_be_ranked() -> None:
    """A NaN has no rank."""
    with pytest.raises(GraftbenchError, match="1 are not"):
        average_ranks([[1.0, math.nan]])


# -------------------------------------------------------------------------------------------------------- improvement


def test_probability_of_improvement_by_hand() -> None:
    """1, 3 against 2, 3: 1 beats both, 3 ties with 3: 2.5 of 4. With a task of 0 the mean is 0.3125."""
    x, y = [1.0, 3.0], [2.0, 3.0]
    assert probability_of_improvement([x], [y]).value == 2.5 / 4
    assert probability_of_improvement([x], [y], lower_is_better=False).value == 1 - 2.5 / 4
    assert probability_of_improvement([x, [9.0, 9.0]], [y, [0.0, 1.0]]).value == 2.5 / 8


def test_probability_of_improvement_is_mann_whitneys_u() -> None:
    """U over its maximum; the runs swapped give 1 - p and the mirrored interval."""
    from scipy.stats import mannwhitneyu

    x, y = rng(1).normal(size=7), rng(2).normal(0.5, 1, 5)
    found, turned = probability_of_improvement([x], [y]), probability_of_improvement([y], [x])
    assert found.value == pytest.approx(mannwhitneyu(y, x).statistic / 35)
    assert turned.value == pytest.approx(1 - found.value)
    assert turned.interval.low == pytest.approx(1 - found.interval.high)


def test_the_ends_solve_newcombes_equation() -> None:
    """(p̂ - p)² = z² p(1 - p)/(mn) (1 + N ((1 - p)/(2 - p) + p/(1 + p))), N = (m + n)/2 - 1, to 1e-8.

    All of five better than all of five: the upper end is 1 and the lower one is not.
    """
    found = probability_of_improvement([[1, 2, 3, 4, 5]], [[6, 7, 8, 9, 10]])
    p = found.interval.low
    variance = p * (1 - p) / 25 * (1 + 4 * ((1 - p) / (2 - p) + p / (1 + p)))
    assert (1 - p) ** 2 == pytest.approx(1.959964**2 * variance, rel=1e-6)
    assert (found.value, found.interval.high) == (1.0, 1.0)
    assert 0.5 < p < 0.9


def test_improvement_of_what_cannot_be_compared() -> None:
    """No tasks, other tasks, and one run of each are errors."""
    with pytest.raises(GraftbenchError, match="found 0 and 0"):
        probability_of_improvement([], [])
    with pytest.raises(GraftbenchError, match="found 2 and 1"):
        probability_of_improvement([[1], [2]], [[1]])
    with pytest.raises(GraftbenchError, match="at least three runs"):
        probability_of_improvement([[1.0]], [[2.0]])


# ------------------------------------------------------------------------------------------------------- data budgets


def test_area_of_a_curve_by_hand() -> None:
    """At 10, 20, 80 images 4, 2, 1: widths 1 and 2 in log2, (3 · 1 + 1.5 · 2) / 3 = 2. A constant is itself."""
    assert curve_areas([10, 20, 80], [[4.0, 2.0, 1.0], [7.0, 7.0, 7.0]]) == pytest.approx([2.0, 7.0])


def test_the_area_of_a_line_in_the_logarithm_is_its_middle() -> None:
    """Trapezia are exact for it wherever the budgets lie; the interval is that of the areas."""
    budgets = np.array([10, 25, 100, 1000])
    slopes = rng(1).normal(1, 0.1, (5, 1))
    curves = slopes * np.log2(budgets)
    areas = curve_areas(budgets, curves)
    assert areas == pytest.approx(slopes[:, 0] * (math.log2(10) + math.log2(1000)) / 2)
    assert area_under_budgets(budgets, [curves]) == aggregate([areas], "mean", rng=rng(3))


def test_images_needed_between_and_outside_the_budgets() -> None:
    """3, 2, 1 at 10, 100, 1000: 2.5 at √1000, 2 at 100; 3.5 takes fewer than 10, 0.5 more than 1000, 3 just 10."""
    budgets, curve = [10, 100, 1000], [3.0, 2.0, 1.0]
    half = images_needed(budgets, curve, 2.5)
    assert (half.relation, half.images) == ("=", pytest.approx(math.sqrt(1000)))
    assert images_needed(budgets, curve, 2.0).images == pytest.approx(100)
    for quality, relation, images in ((3.5, "<", 10), (0.5, ">", 1000), (3.0, "=", 10)):
        found = images_needed(budgets, curve, quality)
        assert (found.relation, found.images) == (relation, pytest.approx(images))
    assert str(images_needed(budgets, curve, 0.5)) == "> 1e+03"


def test_a_bump_is_levelled_and_a_flat_stretch_answers_with_its_start() -> None:
    """4, 1, 3, 0 becomes 4, 2, 2, 0 by isotonic least squares: 2 is reached at the second budget, 1 after the third."""
    budgets = [1, 2, 4, 8]
    assert images_needed(budgets, [4.0, 1.0, 3.0, 0.0], 2.0).images == pytest.approx(2)
    assert images_needed(budgets, [4.0, 1.0, 3.0, 0.0], 1.0).images == pytest.approx(4 * math.sqrt(2))
    turned = images_needed(budgets, [-4.0, -1.0, -3.0, 0.0], -1.0, lower_is_better=False)
    assert turned.images == pytest.approx(4 * math.sqrt(2))


@pytest.mark.parametrize("paired", [False, True])
def test_efficiency_without_spread_is_the_answer_itself(paired: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Equal seeds leave nothing to draw: both ends are the value."""
    found = data_efficiency([10, 100], [[2.0, 1.0]] * 3, [1.5] * 3, rng=rng(), paired=paired)
    assert found.images == found.low == found.high
    assert (found.images.relation, found.images.images) == ("=", pytest.approx(math.sqrt(1000)))


def test_pairing_takes_out_what_seeds_share() -> None:
    """Where seeds shift curve and quality alike, paired draws have no spread, and independent ones do."""
    shift = rng(5).normal(0, 0.2, (6, 1))
    curves, qualities = np.array([[3.0, 2.0, 1.0]]) + shift, 1.5 + shift[:, 0]
    together = data_efficiency([10, 100, 1000], curves, qualities, rng=rng(), paired=True)
    alone = data_efficiency([10, 100, 1000], curves, qualities, rng=rng())
    assert together.low.images == pytest.approx(together.high.images)
    assert alone.high.images > 1.3 * alone.low.images


def test_an_interval_may_reach_out_of_the_budgets() -> None:
    """A quality near the end of the curve: the upper end says more than the largest budget."""
    curves = np.array([[3.0, 2.0, 1.0]]) + rng(6).normal(0, 0.3, (5, 1))
    found = data_efficiency([10, 100, 1000], curves, [1.05, 1.1, 1.0, 1.1, 1.05], rng=rng())
    assert (found.high.relation, found.high.images) == (">", pytest.approx(1000))
    assert found.low.relation == "="


def test_budgets_that_are_none() -> None:
    """Falling budgets, one budget, another number of values, unequal pairs: errors that say what was found."""
    with pytest.raises(GraftbenchError, match=r"found \[20\.0, 10\.0\]"):
        curve_areas([20, 10], [[1.0, 2.0]])
    with pytest.raises(GraftbenchError, match="two or more"):
        images_needed([10], [1.0], 1.0)
    with pytest.raises(GraftbenchError, match="each of 3 data budgets; found 2"):
        curve_areas([1, 2, 3], [[1.0, 2.0]])
    with pytest.raises(GraftbenchError, match="found 2 of A and 3 of B"):
        data_efficiency([1, 2], [[1.0, 2.0]] * 2, [1.0] * 3, rng=rng(), paired=True)
