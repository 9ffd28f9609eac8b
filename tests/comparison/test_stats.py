"""Statistics over seeds against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from graftbench.comparison.stats import (
    mean,
    sign_flip_test,
    standard_deviation,
    standard_error,
    student_interval,
    summarize,
)
from graftbench.errors import GraftbenchError


def test_mean_sd_and_standard_error_of_a_hand_checked_sample() -> None:
    """2, 4, 4, 4, 5, 5, 7, 9: mean 5, squared deviations 32, so the variance is 32/7."""
    values = [2, 4, 4, 4, 5, 5, 7, 9]
    assert mean(values) == 5
    assert standard_deviation(values) == pytest.approx(math.sqrt(32 / 7), rel=1e-15)
    assert standard_error(values) == pytest.approx(math.sqrt(32 / 7 / 8), rel=1e-15)


def test_interval_of_two_values_uses_the_cauchy_quantile() -> None:
    """With one degree of freedom Student's t is Cauchy: its quantile is tan(π(p - 1/2)), 12.706 at 97.5 %."""
    interval = student_interval([1.0, 3.0])
    assert interval is not None
    half = math.tan(math.pi * 0.475)  # standard error: √2 / √2 = 1
    assert interval.low == pytest.approx(2 - half, rel=1e-9)
    assert interval.high == pytest.approx(2 + half, rel=1e-9)
    assert (interval.n, interval.level) == (2, 0.95)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_interval_of_three_values_uses_the_closed_form_for_two_degrees_of_freedom(level: float) -> None:
    """With two degrees of freedom the quantile at p is (2p - 1) / √(2p(1 - p)), and 2p - 1 is the level."""
    interval = student_interval([0.0, 1.0, 2.0], level)
    assert interval is not None
    p = (1 + level) / 2
    half = level / math.sqrt(2 * p * (1 - p)) / math.sqrt(3)
    assert interval.high - 1 == pytest.approx(half, rel=1e-9)
    assert 1 - interval.low == pytest.approx(half, rel=1e-9)


def test_one_value_has_a_mean_and_nothing_else() -> None:
    """No spread is known from one seed, so there is none, rather than a zero."""
    summary = summarize([3.5])
    assert (summary.n, summary.mean) == (1, 3.5)
    assert summary.sd is summary.standard_error is summary.interval is None


def test_intervals_cover_the_mean_as_often_as_they_say() -> None:
    """Of 2,000 samples of 3 normal values, 90 ± 2.7 % (4 standard errors) of the 90 % intervals hold the mean."""
    samples = np.random.default_rng(7).normal(5.0, 2.0, size=(2000, 3))
    hits = sum(bool((i := student_interval(list(sample), 0.9)) and i.contains(5.0)) for sample in samples)
    assert abs(hits / 2000 - 0.9) < 4 * math.sqrt(0.9 * 0.1 / 2000)


def test_the_order_of_the_values_does_not_matter() -> None:
    """Sums are exact, so 1e16 does not swallow the ones."""
    assert mean([1e16, 1.0, 1.0, -1e16]) == mean([1.0, -1e16, 1.0, 1e16]) == 0.5


def test_a_large_offset_does_not_spoil_the_spread() -> None:
    """The standard deviation of x + 10⁹ is that of x."""
    assert standard_deviation([1e9 + 1, 1e9 + 2, 1e9 + 3]) == 1.0


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_nothing_is_computed_from_no_values_or_from_values_that_are_none(values: list[float]) -> None:
    """An empty or non-finite sample is an error that says so, not a NaN that travels on."""
    with pytest.raises(GraftbenchError, match=r"No values|finite"):
        summarize(values)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_outside_the_unit_interval_is_refused(level: float) -> None:
    """95 instead of 0.95 is a likely slip."""
    with pytest.raises(GraftbenchError, match="between 0 and 1"):
        student_interval([1.0, 2.0], level)


# ------------------------------------------------------------------------------------------------------- sign flips


def test_p_of_three_pairs_counted_by_hand() -> None:
    """3, 2, −1: the sums of ±3 ±2 ±1 are 6, 4, 2, 0, 0, −2, −4, −6. Two of eight are at least 4, seven at most 4."""
    found = sign_flip_test([3.0, 2.0, -1.0])
    assert (found.n, found.mean) == (3, pytest.approx(4 / 3))
    assert (found.p, found.p_opposite, found.least) == (2 / 8, 7 / 8, 1 / 8)


def test_pairs_that_all_agree_give_the_smallest_p() -> None:
    """Five positive differences: one pattern of 32; five negative ones: the opposite."""
    found = sign_flip_test([0.3, 1.0, 0.2, 5.0, 0.1])
    assert (found.p, found.p_opposite) == (1 / 32, 1.0)
    turned = sign_flip_test([-0.3, -1.0, -0.2, -5.0, -0.1])
    assert (turned.p, turned.p_opposite) == (1.0, 1 / 32)


def test_one_pair_and_no_difference() -> None:
    """One pair can give ½; pairs without a difference say nothing in either direction."""
    assert sign_flip_test([2.0]).p == 0.5
    zeros = sign_flip_test([0.0, 0.0, 0.0])
    assert (zeros.p, zeros.p_opposite, zeros.mean) == (1.0, 1.0, 0.0)
    assert sign_flip_test([1.0, 0.0]).p == 0.5  # a pair without a difference agrees with both


@pytest.mark.parametrize("n", [7, 20])
@pytest.mark.parametrize("factor", [1e-300, 0.1, 7.0, 1e300])
def test_scaling_does_not_matter(n: int, factor: float) -> None:
    """The p is that of the signs and ranks of sums, in whatever unit, to the last pattern."""
    values = np.random.default_rng(n).normal(0.3, 1.0, n).tolist()
    base, scaled = sign_flip_test(values), sign_flip_test([value * factor for value in values])
    assert (scaled.p, scaled.p_opposite) == (base.p, base.p_opposite)


def test_sums_that_are_equal_but_for_rounding_are_ties() -> None:
    """0.1 + 0.2 and 0.3 differ by rounding: of the signs of 0.1, 0.2, −0.3 two of eight sums are 0, three above."""
    assert sign_flip_test([0.1, 0.2, -0.3]).p == 5 / 8


@pytest.mark.parametrize("n", [4, 9])
def test_p_is_that_of_scipy(n: int) -> None:
    """`scipy.stats.permutation_test` of samples flips the same signs; exactly equal."""
    from scipy.stats import permutation_test

    for seed in range(5):
        values = np.random.default_rng(seed).normal(0.2, 1.0, n).tolist()
        for alternative, ours in zip(
            ("greater", "less"), (sign_flip_test(values).p, sign_flip_test(values).p_opposite), strict=True
        ):
            theirs = permutation_test(
                (values,), np.mean, permutation_type="samples", alternative=alternative, n_resamples=2**n
            )
            assert ours == theirs.pvalue


def test_drawn_patterns_come_near_the_exact_p() -> None:
    """Of 15 pairs: the exact p is counted here; 16,385 patterns leave a standard error of √(p(1−p)/16385), times 4.

    Equal seeds draw equal patterns.
    """
    values = np.random.default_rng(3).normal(0.3, 1.0, 15).tolist()
    signs = 1 - 2 * (np.arange(2**15)[:, None] >> np.arange(15) & 1)
    exact = float((signs @ values >= sum(values) - 1e-9).mean())
    found = sign_flip_test(values)
    assert 0.01 < exact < 0.5
    assert abs(found.p - exact) < 4 * math.sqrt(exact * (1 - exact) / 2**14)
    assert found == sign_flip_test(values, seed=0)
    assert found.p != sign_flip_test(values, seed=1).p
    assert sign_flip_test([1.0] * 40).p == found.least == 1 / (2**14 + 1)


def test_p_is_uniform_without_an_effect() -> None:
    """Of 2,000 samples of 6 symmetric differences a share α has p ≤ α, for every α that 64 patterns can give.

    The shares lie within 4 standard errors of α; the differences are of two very different scales.
    """
    rng = np.random.default_rng(5)
    p = np.array([sign_flip_test(rng.normal(0, [1, 1, 1, 50, 50, 0.01]).tolist()).p for _ in range(2000)])
    for alpha in (1 / 64, 3 / 64, 0.25, 0.5, 0.75):
        assert abs((p <= alpha).mean() - alpha) < 4 * math.sqrt(alpha * (1 - alpha) / 2000)


def test_sign_flips_of_nothing() -> None:
    """No pairs and a NaN are errors."""
    with pytest.raises(GraftbenchError, match="No values"):
        sign_flip_test([])
    with pytest.raises(GraftbenchError, match="finite"):
        sign_flip_test([1.0, math.nan])


def test_the_largest_floats_have_a_mean_and_a_deviation() -> None:
    """Their sums and squares are infinite, mean and deviation are not: of a and -a the latter is a·√2."""
    assert mean([1e308, 1e308, 1e308]) == pytest.approx(1e308, rel=1e-15)
    assert standard_deviation([1e200, -1e200]) == pytest.approx(1e200 * 2**0.5, rel=1e-15)
