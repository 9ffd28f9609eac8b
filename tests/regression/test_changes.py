"""Changes and their p-values: by hand, by laws, and against SciPy."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_cells import make_cell, make_scores
from scipy import stats

from graftbench.errors import GraftbenchError
from graftbench.regression.changes import Change, change_of, least_pairs, pairs_needed
from graftbench.regression.matching import match
from graftbench.regression.measures import MEASURES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.records.record import Record


def change(base: Sequence[Record], new: Sequence[Record], measure: str = "kid", **options: Any) -> Change:
    """The change of one measure between two runs."""
    found = change_of(match([base], [new]).pairs, MEASURES[measure], **options)
    assert found is not None
    return found


def test_by_hand(make: Any) -> None:
    """Means 2 and 3: changes of 0.5, 0.5 and 2 in units of 2.5; t = 1 / (√0.75 / √3) = 2, t₂(2) one-sided 0.0918."""
    found = change(make.run_of("a", "kid", [1.0, 2.0, 3.0]), make.run_of("a", "kid", [1.5, 2.5, 5.0]))
    assert (found.n, found.base, found.new) == (3, 2.0, 3.0)
    assert found.mean == pytest.approx(1.0 / 2.5)
    assert found.sd == pytest.approx(math.sqrt(0.75) / 2.5)
    # P(T > t) with 2 degrees of freedom is 1/2 - t / (2 √(2 + t²))
    assert found.p_worse == pytest.approx(0.5 - 2 / (2 * math.sqrt(6)))
    assert found.p_better == pytest.approx(0.5 + 2 / (2 * math.sqrt(6)))


def test_series_are_measured_in_their_own_size(make: Any) -> None:
    """10 images score ten times what 100 do; both become 10 % worse, in units of the mean of both sides: 2/21."""
    base = [*make.run_of("a", "kid", [10.0, 10.0], images=10), *make.run_of("a", "kid", [1.0, 1.0], images=100)]
    new = [*make.run_of("a", "kid", [11.0, 11.0], images=10), *make.run_of("a", "kid", [1.1, 1.1], images=100)]
    assert change(base, new).mean == pytest.approx(2 / 21)


@pytest.mark.parametrize("budgets", [1, 2])
def test_parity_with_scipy(make: Any, budgets: int) -> None:
    """The paired t test over one series, and the one-sample t test of the normalised changes over several."""
    rng = np.random.default_rng(budgets)
    expected: Any
    old, late = rng.lognormal(0, 0.3, (2, budgets, 6))
    base = [r for b in range(budgets) for r in make.run_of("a", "fid", old[b], images=10 * (b + 1))]
    new = [r for b in range(budgets) for r in make.run_of("a", "fid", late[b], images=10 * (b + 1))]
    found = change(base, new, "fid")
    if budgets == 1:
        expected = stats.ttest_rel(late[0], old[0], alternative="greater")
    else:
        sizes = (old.mean(1) + late.mean(1)) / 2
        expected = stats.ttest_1samp(((late - old) / sizes[:, None]).ravel(), 0, alternative="greater")
        interval = stats.ttest_1samp(((late - old) / sizes[:, None]).ravel(), 0).confidence_interval(0.95)
        assert found.interval() == pytest.approx((interval.low, interval.high))
    assert found.p_worse == pytest.approx(expected.pvalue, rel=1e-10)


def test_sign_flips_by_counting(make: Any) -> None:
    """The share of all 2⁵ patterns of signs with at least the observed mean."""
    steps = [0.3, 0.1, -0.2, 0.4, 0.25]
    found = change(
        make.run_of("a", "kid", [2.0] * 5), make.run_of("a", "kid", [2.0 + s for s in steps]), test="sign-flip"
    )
    sums = [sum(s * f for s, f in zip(steps, signs, strict=True)) for signs in itertools.product((1, -1), repeat=5)]
    assert found.p_worse == sum(s >= sum(steps) - 1e-9 for s in sums) / 32
    assert found.p_better == sum(s <= sum(steps) + 1e-9 for s in sums) / 32


values = st.lists(st.floats(0.1, 10), min_size=2, max_size=6)


@given(st.data())
def test_a_swap_is_exactly_the_opposite(data: st.DataObject) -> None:
    """Base for new: the change and the interval change their signs, the p-values change places, to the last bit."""
    from graftbench.records.cell_spec import Protocol
    from graftbench.records.record import Record, Status

    def run(numbers: Sequence[float]) -> list[Record]:
        cells = [make_cell("a", seed, protocol=Protocol()) for seed in range(len(numbers))]
        return [
            Record(id=cell.id, cell=cell, status=Status.OK, scores=make_scores({"kid": value}, ""))
            for cell, value in zip(cells, numbers, strict=True)
        ]

    old = data.draw(values)
    late = data.draw(st.lists(st.floats(0.1, 10), min_size=len(old), max_size=len(old)))
    for test in ("student", "sign-flip"):
        there, back = change(run(old), run(late), test=test), change(run(late), run(old), test=test)
        assert back.mean == -there.mean
        assert (back.p_worse, back.p_better) == (there.p_better, there.p_worse)
        assert (back.base, back.new, back.sd) == (there.new, there.base, there.sd)


@pytest.mark.parametrize(
    ("name", "worse"), [("kid", 2.0), ("precision", 0.5), ("fit_seconds", 2.0), ("sampling_images_per_second", 0.5)]
)
def test_direction(make: Any, name: str, worse: float) -> None:
    """Above zero is worse, whichever way a measure points."""
    made = make.run_of if MEASURES[name].kind == "quality" else make.costs_of
    found = change(made("a", name, [1.0, 1.0]), made("a", name, [worse, worse]), name)
    assert found.mean == pytest.approx(2 / 3)


def test_nothing_changed(make: Any) -> None:
    """Equal values have p = 1 in both directions: no noise, no difference."""
    run = make.run_of("a", "kid", [1.0, 2.0, 4.0])
    assert (change(run, run).mean, change(run, run).p_worse, change(run, run).p_better) == (0.0, 1.0, 1.0)
    zeros = make.run_of("a", "recall", [0.0, 0.0])
    assert change(zeros, zeros, "recall").mean == 0.0


@pytest.mark.parametrize(("test", "p"), [("student", 0.0), ("sign-flip", 0.125)])
def test_the_same_change_of_a_cost_in_every_pair(make: Any, test: Any, p: float) -> None:
    """Without noise what differs differs, though budgets have other sizes and divisions round; sign flips have 2⁻ⁿ."""
    base = [
        *make.costs_of("a", "peak_memory_mib", [100.0, 100.0]),
        *make.costs_of("a", "peak_memory_mib", [3.0], images=50),
    ]
    new = [
        *make.costs_of("a", "peak_memory_mib", [110.0, 110.0]),
        *make.costs_of("a", "peak_memory_mib", [3.3], images=50),
    ]
    found = change(base, new, "peak_memory_mib", test=test)
    assert (found.n, found.p_worse, found.p_better) == (3, p, 1.0)


def test_the_same_change_of_a_score_is_a_step_of_a_coarse_one(make: Any) -> None:
    """Two seeds in which one image more lies in a neighbourhood: two signs that agree, not certainty."""
    found = change(
        make.run_of("a", "precision", [2 / 600] * 2), make.run_of("a", "precision", [1 / 600] * 2), "precision"
    )
    assert (found.p_worse, found.p_better) == (0.25, 1.0)


def test_one_pair_has_no_p(make: Any) -> None:
    """Student needs two; sign flips of one pair have 1/2."""
    base, new = make.run_of("a", "kid", [1.0]), make.run_of("a", "kid", [2.0])
    assert (change(base, new).p_worse, change(base, new).sd, change(base, new).interval()) == (None, None, None)
    assert change(base, new, test="sign-flip").p_worse == 0.5


def test_values_of_either_sign(make: Any) -> None:
    """An unbiased KID near zero: scales are mean sizes, and nothing divides by zero."""
    found = change(make.run_of("a", "kid", [0.1, -0.1]), make.run_of("a", "kid", [-0.1, 0.1]))
    assert (found.mean, found.sd) == (0.0, pytest.approx(2 * math.sqrt(2)))


def test_pairs_without_a_value_are_left_out(make: Any) -> None:
    """A score that is undefined on one side is no pair."""
    found = change(make.run_of("a", "kid", [1.0, None, 3.0]), make.run_of("a", "kid", [1.0, 2.0, None]))
    assert found.n == 1
    pairs = match([make.run_of("a", "kid", [None])], [make.run_of("a", "kid", [1.0])]).pairs
    assert change_of(pairs, MEASURES["kid"]) is None


def test_a_method_that_ignores_the_budget_counts_once(make: Any) -> None:
    """The source model scores the same at 10 and at 100 images: two seeds are two pairs, not four."""
    base = [r for images in (10, 100) for r in make.run_of("source", "kid", [1.0, 1.1], images=images)]
    new = [r for images in (10, 100) for r in make.run_of("source", "kid", [1.2, 1.4], images=images)]
    assert change(base, new).n == 2


def test_of_repeats_the_median_of_the_differences(make: Any) -> None:
    """A disturbance that both sides of a repeat share goes out: differences 1, 1 and 1, though medians differ by 10."""
    base = [make.costs_of("a", "fit_seconds", [value]) for value in (10.0, 20.0, 100.0)]
    new = [make.costs_of("a", "fit_seconds", [value]) for value in (11.0, 101.0, 21.0)]
    found = change_of(match(base, new).pairs, MEASURES["fit_seconds"])
    assert found is not None
    # differences 1, 81, -79: their median is 1, relative to (20 + 21) / 2
    assert found.mean == pytest.approx(1 / 20.5)
    fewer = change_of(match(base, new[:2]).pairs, MEASURES["fit_seconds"])
    assert fewer is not None
    assert fewer.mean == pytest.approx((56 - 20) / 38)


@pytest.mark.parametrize("sd", [0.05, 0.2])
@pytest.mark.parametrize("level", [0.05, 0.0025])
def test_pairs_needed_have_the_power(sd: float, level: float) -> None:
    """By the noncentral t: 80 % is reached, and with one pair fewer it is not."""

    def power(n: int) -> float:
        return float(stats.nct.sf(stats.t.isf(level, n - 1), n - 1, 0.1 / sd * math.sqrt(n)))

    n = pairs_needed(sd, 0.1, level)
    assert n is not None
    assert power(n) >= 0.8
    assert n == 2 or power(n - 1) < 0.8


def test_pairs_needed_where_nobody_knows() -> None:
    """Unknown noise, a threshold of zero, or more than ten thousand."""
    assert [pairs_needed(None, 0.1, 0.05), pairs_needed(0.1, 0, 0.05), pairs_needed(100.0, 0.001, 0.05)] == [None] * 3
    assert pairs_needed(0.0, 0.1, 0.05) == 2


def test_least_pairs() -> None:
    """Student needs two for any level; 2⁻⁵ is the first below 0.05, 2⁻⁹ below 0.05/20."""
    assert [least_pairs("student", 0.05), least_pairs("student", 1e-9)] == [2, 2]
    assert [least_pairs("sign-flip", level) for level in (0.5, 0.05, 1 / 32, 0.0025)] == [1, 5, 5, 9]


def test_an_unknown_test(make: Any) -> None:
    """It is named."""
    with pytest.raises(GraftbenchError, match="'student' or 'sign-flip'; found 'z'"):
        change(make.run_of("a", "kid", [1.0]), make.run_of("a", "kid", [2.0]), test="z")
