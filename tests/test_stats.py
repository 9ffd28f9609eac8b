"""Statistics over seeds against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from graftbench.errors import GraftbenchError
from graftbench.stats import (
    mean,
    paired_difference,
    standard_deviation,
    standard_error,
    student_interval,
    summarize,
)


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


def test_paired_difference_uses_shared_seeds_only() -> None:
    """Seed 2 is in one of the two, so the differences are 1 and 3: mean 2, sd √2."""
    difference = paired_difference({0: 2.0, 1: 5.0, 2: 100.0}, {0: 1.0, 1: 2.0})
    assert difference is not None
    assert (difference.n, difference.mean) == (2, 2.0)
    assert difference.sd == pytest.approx(math.sqrt(2))
    assert paired_difference({0: 1.0}, {1: 1.0}) is None


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
