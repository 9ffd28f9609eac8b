"""The one test of paired values: by hand, by laws, against SciPy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from graftbench.comparison.paired import (
    PairedDifferences,
    Setting,
    change,
    differences_of,
    least_pairs,
    of_one_cell,
    p_clause,
    paired,
    pairs_needed,
    percent,
    printed_p,
)
from graftbench.errors import GraftbenchError


def differences(a: list[float], b: list[float], *, measured: bool = True, test: str = "student") -> PairedDifferences:
    """Of one series without repeats."""
    found = differences_of(
        [[((x,), (y,)) for x, y in zip(a, b, strict=True)]],
        measured=measured,
        test=test,  # pyright: ignore[reportArgumentType]
    )
    assert found is not None
    return found


def test_by_hand() -> None:
    """Ratios e, e² and e³: mean 2, sd 1, t = 2√3; P(T > t) of 2 degrees is 1/2 - t / (2 √(2 + t²)), twice that is p."""
    found = differences([math.e, math.e**2, math.e**3], [1.0, 1.0, 1.0])
    assert (found.scale, found.n) == ("log", 3)
    assert (found.mean, found.sd, found.log_ratio) == pytest.approx((2.0, 1.0, 2.0))
    t = 2 * math.sqrt(3)
    assert found.p == pytest.approx(1 - t / math.sqrt(2 + t * t))
    assert found.p_sign_flips == 2 / 8
    ends = found.interval()
    assert ends is not None
    assert ends.high == pytest.approx(2 + 4.302653 / math.sqrt(3), rel=1e-6)  # t₂(97.5 %)


def test_is_scipys_paired_t_test() -> None:
    """`ttest_rel` of the logarithms, with its interval."""
    rng = np.random.default_rng(0)
    a, b = rng.lognormal(0, 0.3, (2, 6))
    found, theirs = differences(a.tolist(), b.tolist()), stats.ttest_rel(np.log(a), np.log(b))
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-10)
    ends, expected = found.interval(), theirs.confidence_interval(0.95)
    assert ends is not None
    assert (ends.low, ends.high) == pytest.approx((expected.low, expected.high))


def test_values_of_either_sign_are_relative_to_their_mean_size() -> None:
    """Means 0.1 on both sides: 0.2 and -0.2 in units of 0.1. A third of the mean of both sides is twice."""
    found = differences([0.1, -0.1], [-0.1, 0.1])
    assert (found.scale, found.mean) == ("relative", 0.0)
    assert found.sd == pytest.approx(2 * math.sqrt(2))
    twice = differences([2.0, 2.0, 0.0], [1.0, 1.0, 0.0])
    assert twice.mean == pytest.approx((2 * 1 / (2 / 3 + 4 / 3) * 2) / 3)
    assert percent(PairedDifferences(values=(2 / 3,), scale="relative").log_ratio) == "+100 %"
    assert PairedDifferences(values=(1.0,), scale="relative").on_scale(math.log(2)) == pytest.approx(2 / 3)
    assert differences([0.0, 0.0], [0.0, 0.0]).none


def test_series_have_sizes_of_their_own() -> None:
    """Of two series of values of either sign each is measured in its own size: a tenth more in both is 2/21."""
    found = differences_of([[((11.0,), (10.0,)), ((0.0,), (0.0,))], [((1.1,), (1.0,)), ((0.0,), (0.0,))]])
    assert found is not None
    assert found.values == pytest.approx([4 / 21, 0.0] * 2)


def test_equal_differences() -> None:
    """Equal steps of equal values are those of a coarse score; one factor of different values is no chance."""
    coarse = differences([2 / 600] * 2, [1 / 600] * 2)
    assert coarse.p == 0.5
    assert differences([2.0, 4.0], [1.0, 2.0]).p == 0.0
    assert differences([2.0, 2.0], [1.0, 1.0], measured=False).p == 0.0
    assert differences([1.0, 2.0], [1.0, 2.0]).p == 1.0


def test_one_pair_has_no_p() -> None:
    """Student needs two; of sign flips one pair has 1. A value that is not finite, and an unknown test, are refused."""
    one = differences([2.0], [1.0])
    assert (one.p, one.sd, one.interval(), one.p_sign_flips) == (None, None, None, 1.0)
    assert one.verdict(one.p, lower_is_better=True) == "too few seeds"
    assert differences_of([]) is None
    with pytest.raises(GraftbenchError, match="finite"):
        differences([math.inf], [1.0])
    with pytest.raises(GraftbenchError, match="'student' or 'sign-flip'; found 'z'"):
        differences([1.0], [1.0], test="z")


def test_sign_flips_by_counting() -> None:
    """The share of all 2⁵ patterns of signs whose sum is at least as far from zero."""
    steps = [0.3, 0.1, -0.2, 0.4, 0.25]
    found = differences([math.exp(s) for s in steps], [1.0] * 5, test="sign-flip")
    sums = [sum(s * f for s, f in zip(steps, signs, strict=True)) for signs in itertools.product((1, -1), repeat=5)]
    assert found.p == sum(abs(s) >= sum(steps) - 1e-9 for s in sums) / 32


positive = st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)), min_size=1, max_size=6)


@given(positive, st.sampled_from([2.0**-5, 8.0]))
def test_a_swap_and_another_unit(pairs: list[tuple[float, float]], unit: float) -> None:
    """A for B turns the sign of everything but p; another unit of both changes nothing beyond rounding."""
    a, b = ([pair[side] for pair in pairs] for side in (0, 1))
    there, back = differences(a, b), differences(b, a)
    assert back.log_ratio == -there.log_ratio
    assert (back.p, back.p_sign_flips) == (there.p, there.p_sign_flips)
    verdicts = {there.verdict(there.p, lower_is_better=True), back.verdict(back.p, lower_is_better=True)}
    assert verdicts in ({"better", "worse"}, {"not settled"}, {"too few seeds"})
    scaled = differences([unit * value for value in a], [unit * value for value in b])
    assert scaled.log_ratio == pytest.approx(there.log_ratio, abs=1e-12)


def test_the_verdict_needs_level_and_direction() -> None:
    """Lower is better or worse as the metric says; what is above the level is not settled."""
    found = differences([1.0, 2.0, 3.0], [2.0, 4.1, 6.2])
    assert found.p is not None
    assert found.p < 0.05
    assert found.verdict(found.p, lower_is_better=True) == "better"
    assert found.verdict(found.p, lower_is_better=False) == "worse"
    assert found.verdict(0.06, lower_is_better=True) == "not settled"


def test_pairs_of_settings() -> None:
    """Only settings that both have; a pair that is the same at two numbers of images counts once."""
    a = {Setting("t", "c", images, seed): 1.0 + seed for images in (10, 100) for seed in (0, 1)}
    b = {setting: 2 * value for setting, value in a.items()} | {Setting("t", "c", 10, 7): 9.0}
    found = paired(a, b)
    assert found is not None
    assert found.n == 2
    assert percent(found.log_ratio) == "−50 %"
    assert paired(a, {}) is None
    assert paired(of_one_cell({0: 1.0}), of_one_cell({1: 1.0})) is None


@pytest.mark.parametrize("sd", [0.05, 0.2])
@pytest.mark.parametrize("level", [0.05, 0.0025])
def test_pairs_needed_have_the_power(sd: float, level: float) -> None:
    """By the noncentral t: 80 % is reached, and with one pair fewer it is not."""

    def power(n: int) -> float:
        return float(stats.nct.sf(stats.t.isf(level / 2, n - 1), n - 1, 0.1 / sd * math.sqrt(n)))

    n = pairs_needed(sd, 0.1, level)
    assert n is not None
    assert power(n) >= 0.8
    assert n == 2 or power(n - 1) < 0.8


def test_pairs_needed_where_nobody_knows() -> None:
    """Unknown noise, a difference of zero, or more than ten thousand."""
    assert [pairs_needed(None, 0.1, 0.05), pairs_needed(0.1, 0, 0.05), pairs_needed(100.0, 0.001, 0.05)] == [None] * 3
    assert pairs_needed(0.0, 0.1, 0.05) == 2
    assert pairs_needed(0.0, 0.1, 0.05, test="sign-flip") == 6


def test_least_pairs() -> None:
    """Student needs two for any level; 2¹⁻⁶ is the first below 0.05, 2¹⁻¹⁰ below 0.05/20."""
    assert [least_pairs("student", 0.05), least_pairs("student", 1e-9)] == [2, 2]
    assert [least_pairs("sign-flip", level) for level in (1.0, 0.05, 1 / 32, 0.0025)] == [1, 6, 6, 10]


def test_how_numbers_are_printed() -> None:
    """Shares with sign, p with two digits."""
    assert [percent(math.log(r)) for r in (1.5, 0.953, 1.0, 99.0)] == ["+50 %", "−4.7 %", "0.0 %", "> +999 %"]
    assert [printed_p(p) for p in (None, 0.0, 0.00251, 0.0996, 0.25)] == ["—", "< 0.0001", "0.0025", "0.10", "0.25"]
    assert [p_clause(p) for p in (0.0, 0.037)] == ["p < 0.0001", "p = 0.037"]
    assert change(differences([1.0], [2.0])) == "−50 %"
    assert change(differences([1.0, 1.0], [2.0, 2.0])) == "−50 % (−50 % to −50 %)"
