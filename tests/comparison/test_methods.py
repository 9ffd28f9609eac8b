"""Standings against the best, and methods against a baseline: by hand, against SciPy, and bad input."""

from __future__ import annotations

import math
import time
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import isotonic_regression
from scipy.stats import ttest_1samp, ttest_rel

from graftbench.comparison.best import Standing, standings
from graftbench.comparison.budgets import _falling
from graftbench.comparison.methods import COLUMNS, compare, compare_methods, default_baseline
from graftbench.errors import GraftbenchError


def seeds(*values: float) -> dict[int, float]:
    """Seed -> value."""
    return dict(enumerate(values))


# --------------------------------------------------------------------------------------------------------- standings


def test_best_second_and_level_by_hand() -> None:
    """Six seeds, two others: twice as bad on all is worse; scattered around the best is level with it."""
    best = seeds(*[10.0] * 6)
    scattered = seeds(9, 9, 12, 12, 12, 13)
    worse = seeds(20, 21, 22, 20, 21, 22)
    found = standings([worse, best, scattered])
    assert found.each == (Standing(), Standing(best=True), Standing(second=True, level=True))
    assert (found.contenders, found.others, found.pairs, found.tested) == (3, 2, 6, True)


def test_a_mark_is_the_paired_tests_after_holm() -> None:
    """Two others, p of SciPy's paired t test of the logarithms: twice the smaller decides."""
    rng = np.random.default_rng(1)
    best, near, far = (rng.lognormal(shift, 0.1, 3) for shift in (0.0, 0.2, 1.0))
    p = [2 * float(ttest_rel(np.log(each), np.log(best)).pvalue) for each in (near, far)]
    scores = [seeds(*each) for each in (best, near, far)]
    assert p[1] < p[0] / 2 < 0.5
    assert [each.level for each in standings(scores, level=p[1] * 0.999).each] == [False, True, True]
    assert [each.level for each in standings(scores, level=p[1] * 1.001).each] == [False, True, False]


def test_one_seed_tells_nothing_and_two_tell_what_is_far_apart() -> None:
    """Of one seed nothing is tested; of two that agree to a thousandth the worse is told."""
    one = standings([seeds(1.0), seeds(2.0)])
    assert (one.tested, one.each[1]) == (False, Standing(second=True, untested=True))
    two = standings([seeds(1.0, 1.001), seeds(2.0, 2.001)])
    assert (two.tested, two.each[1]) == (True, Standing(second=True))


def test_higher_is_better_turns_it_round() -> None:
    """The negative of every value, the other direction: the same standings."""
    rng = np.random.default_rng(0)
    values = [seeds(*rng.normal(i, 1, 8)) for i in range(4)]
    turned = [{seed: -value for seed, value in by.items()} for by in values]
    assert standings(values) == standings(turned, lower_is_better=False)


def test_holm_looks_at_all_methods_of_the_test() -> None:
    """Significant alone, and not among seven that are no worse than chance."""
    base = seeds(1.0, 1.0, 1.0, 1.0)
    target = seeds(1.1, 1.2, 1.05, 1.2)
    assert standings([base, target]).each[1] == Standing(second=True)
    rest = [seeds(0.9 + 0.3 * i / 10, 1.2, 0.9, 1.5) for i in range(6)]
    among = standings([base, target, *rest])
    assert among.each[0].best
    assert among.each[1].level


def test_a_method_with_too_few_seeds_in_common_is_untested() -> None:
    """One seed of its own does not let it be told apart from the best; the others are tested all the same."""
    best, worse = seeds(*range(8)), seeds(*(value + 1 + value / 10 for value in range(8)))
    found = standings([best, worse, {99: 50.0}, {}])
    assert found.each == (Standing(best=True), Standing(second=True), Standing(untested=True, out=True), Standing())
    assert found.contenders == 3


def test_a_survivor_of_failed_seeds_is_not_best() -> None:
    """Of the seeds that half of the others have, it has one of five: however good that one is, it does not compete."""
    others = [seeds(10, 11, 12, 13, 14), seeds(11, 12, 13, 14, 15)]
    found = standings([*others, {2: 1.0}])
    assert [each.best for each in found.each] == [True, False, False]
    assert found.each[2] == Standing(untested=True, out=True)
    alone = standings([others[0], {2: 1.0}])
    assert (alone.each[0].best, alone.each[1].out, alone.others) == (True, True, 1)


def test_best_is_by_the_seeds_that_all_have() -> None:
    """Without its worst seed, 90, a method's own mean is less; on the four seeds of both it is the worse one."""
    whole, lucky = seeds(1, 2, 3, 4, 90), seeds(2, 3, 4, 5)
    found = standings([whole, lucky])
    assert found.each[0].best
    assert (found.contest.seeds, found.contest.left_out) == ((0, 1, 2, 3), True)


def test_without_a_seed_in_common_nobody_is_best() -> None:
    """Two methods, two seeds each, none in common."""
    found = standings([{0: 1.0, 1: 1.0}, {2: 5.0, 3: 5.0}])
    assert not any(each.best for each in found.each)
    assert (found.contenders, found.others, found.pairs, found.tested) == (2, 2, 0, False)


def test_ties_share_the_best_and_leave_no_second() -> None:
    """Equal means are best together; where all are equal nothing is tested and nothing is said to be too few."""
    found = standings([seeds(1, 3), seeds(2, 2), seeds(5, 5)])
    assert [each.best for each in found.each] == [True, True, False]
    assert not any(each.second for each in found.each)
    same = standings([seeds(1), seeds(1)])
    assert (same.others, same.tested) == (0, False)


def test_one_method_or_none_stands_nowhere() -> None:
    """Nothing is best of one."""
    assert standings([seeds(1, 2)]).each == (Standing(),)
    assert standings([{}, seeds(1), {}]).each == (Standing(),) * 3
    assert standings([]).each == ()


def test_values_that_are_not_finite_are_refused() -> None:
    """An infinite score has no mean to rank."""
    with pytest.raises(GraftbenchError, match="finite"):
        standings([seeds(1.0), seeds(math.inf)])


def test_thousands_of_methods_are_quick() -> None:
    """Each of 2,999 is tested against the best; hardly any differs after Holm's correction."""
    rng = np.random.default_rng(0)
    values = [seeds(*rng.lognormal(size=5)) for _ in range(3000)]
    start = time.process_time()
    found = standings(values)
    assert time.process_time() - start < 4
    assert found.tested
    assert sum(each.level for each in found.each) > 2900


def test_the_truly_best_is_seldom_left_out() -> None:
    """Six equal methods, eight seeds, 400 times: the first is left out of best and level in at most 5 % + 3 errors."""
    rng = np.random.default_rng(3)
    out = 0
    for _ in range(400):
        values = rng.lognormal(0, 0.2, size=(6, 8)) * rng.lognormal(size=8)
        first = standings([seeds(*row) for row in values]).each[0]
        out += not (first.best or first.level)
    assert out / 400 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


# ----------------------------------------------------------------------------------------------------------- compare


def test_a_comparison_by_hand() -> None:
    """Ratios 9/10 to 4/10: p and interval are SciPy's of the logarithms; of six signs that agree 2/64."""
    (found,) = compare({"base": seeds(*[10.0] * 6), "new": seeds(9, 8, 7, 6, 5, 4)}, "base")
    assert (found.method, found.pairs, found.wins, found.ties) == ("new", 6, 6, 0)
    assert found.difference == -3.5
    theirs = cast("Any", ttest_1samp(np.log(np.arange(4, 10) / 10), 0))
    assert found.p == found.p_holm == pytest.approx(theirs.pvalue)
    assert found.differences is not None
    ends = found.differences.interval()
    assert ends is not None
    assert (ends.low, ends.high) == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    assert found.differences.p_sign_flips == 2 / 64
    assert (found.verdict, found.words) == ("better", "better")


def test_verdicts_of_all_kinds() -> None:
    """All worse is worse; scattered is not settled, and so many seeds would tell; what Holm undoes is so alone."""
    base = seeds(*[1.0] * 8)
    scores = {"base": base, "bad": seeds(*np.arange(2.0, 3.6, 0.2)), "same": seeds(0.9, 1.2, 0.8, 1.3, 1, 1, 1.1, 0.9)}
    bad, same = compare(scores, "base")
    assert (bad.verdict, bad.alone) == ("worse", "worse")
    assert (same.verdict, same.wins, same.ties) == ("not settled", 3, 2)
    assert same.needed is not None
    assert same.words == f"not settled: 8 of {same.needed:,} seeds"
    turned, _ = compare(scores, "base", lower_is_better=False)
    assert (turned.verdict, turned.wins) == ("better", 8)
    (alone,) = compare({"base": base, "near": seeds(0.8, 1, 0.9, 0.95, 0.7, 1, 0.9, 0.9)}, "base")
    p = alone.p
    assert p is not None
    both = {"base": base, "near": seeds(0.8, 1, 0.9, 0.95, 0.7, 1, 0.9, 0.9), "other": scores["same"]}
    near, _ = compare(both, "base", level=1.5 * p)
    assert (near.verdict, near.words, near.p_holm) == ("not settled", "better taken alone", pytest.approx(2 * p))


def test_what_shares_no_seed_is_no_test() -> None:
    """It has no p and does not count in Holm's correction; nor does a method without any score."""
    base = seeds(*[1.0] * 6)
    scores = {"base": base, "new": seeds(0.5, 0.6, 0.5, 0.4, 0.5, 0.6), "elsewhere": {77: 1.0}, "failed": {}}
    new, elsewhere, failed = compare(scores, "base")
    assert (new.p_holm, new.verdict) == (new.p, "better")
    for empty in (elsewhere, failed):
        assert (empty.pairs, empty.difference, empty.differences, empty.p, empty.p_holm) == (0, None, None, None, None)
        assert empty.words == "too few seeds: 0 of 2"


def test_one_seed_has_a_difference_and_nothing_more() -> None:
    """No interval of one pair; the words say how many it takes."""
    (found,) = compare({"a": {0: 1.0}, "b": {0: 3.0}}, "a")
    assert (found.difference, found.p, found.words) == (2.0, None, "too few seeds: 1 of 2")


def test_thousands_of_comparisons_take_seconds() -> None:
    """Each is a test of its own."""
    rng = np.random.default_rng(0)
    scores = {f"m{i}": seeds(*rng.lognormal(size=3)) for i in range(3000)}
    start = time.process_time()
    assert len(compare(scores, "m0")) == 2999
    assert time.process_time() - start < 4


def test_an_unknown_baseline_names_the_nearest() -> None:
    """As every unknown name does."""
    with pytest.raises(GraftbenchError, match="Did you mean 'dcgan'"):
        compare({"dcgan": seeds(1)}, "dcgna")


def test_the_default_baseline_is_chosen_without_a_look_at_scores() -> None:
    """The scratch method in most blocks, then the first by name, however bad; without one the best by rank."""
    families = {"b": "scratch", "a": "scratch", "c": "frozen", "o": "reference", "z": "scratch"}
    blocks = [{"a": 9.0, "b": 1.0, "c": 0.1, "o": 0.0}, {"a": 9.0, "b": 1.0, "c": 0.1, "z": 3.0}]
    assert default_baseline(families, blocks) == "a"
    assert default_baseline(families, [*blocks, {"b": 1.0}]) == "b"
    others = {"c": "frozen", "d": "vae", "o": "reference"}
    better_c = [{"c": 1.0, "d": 2.0, "o": 0.0}, {"c": 5.0, "d": 4.0}, {"c": 1.0, "d": 2.0}]
    assert default_baseline(others, better_c) == "c"
    assert default_baseline(others, better_c, lower_is_better=False) == "d"
    with pytest.raises(GraftbenchError, match="No method has a score"):
        default_baseline(families, [{"o": 1.0}])


# ------------------------------------------------------------------------------------------------------------- frame


def frame(rows: list[tuple[str, str, int, int, float]]) -> pd.DataFrame:
    """A frame as `graftbench.load` gives, of (method, family, data budget, seed, kid)."""
    names = ["method", "family", "data_budget", "seed", "kid"]
    shared = {"task": "a->b@32", "compute_budget": "8 kimg", "protocol": "lite0@96"}
    return pd.DataFrame(rows, columns=pd.Index(names)).assign(**shared)


def two_methods(budgets: tuple[int, ...] = (25,)) -> list[tuple[str, str, int, int, float]]:
    """Six seeds of "dcgan" and of "new", which is better by 0.1 to 0.6."""
    rows = [("dcgan", "scratch", n, s, 1.0) for n in budgets for s in range(6)]
    return rows + [("new", "frozen", n, s, 0.9 - 0.1 * s) for n in budgets for s in range(6)]


def test_a_frame_of_a_run_is_compared_block_by_block() -> None:
    """One row a method and data budget, in order of the numbers of images; reference rows are left out."""
    rows = [*two_methods((1000, 25)), *(("oracle", "reference", 25, s, 0.0) for s in range(6))]
    found = compare_methods(frame(rows))
    assert tuple(found.columns) == COLUMNS
    assert found["data_budget"].tolist() == [25, 1000]
    assert found["method"].tolist() == ["new"] * 2
    assert found["baseline"].unique().tolist() == ["dcgan"]
    assert found["verdict"].tolist() == ["better"] * 2
    assert found["difference"].tolist() == pytest.approx([-0.35] * 2)
    assert found["p_sign_flips"].tolist() == [2 / 64] * 2
    assert found["ratio"].tolist() == pytest.approx([float(np.exp(np.log(0.9 - 0.1 * np.arange(6)).mean()))] * 2)
    marked = compare_methods(frame(rows), baseline="oracle").query("data_budget == 25")
    assert marked["method"].tolist() == ["dcgan", "new"]


def test_failed_cells_and_infinite_scores_are_no_pairs() -> None:
    """NaN and infinity both leave a seed out; a budget where the baseline has no score has rows without a pair."""
    rows = two_methods()
    rows[0] = (*rows[0][:4], math.nan)
    rows[7] = (*rows[7][:4], math.inf)
    rows += [("new", "frozen", 400, 0, 0.2), ("dcgan", "scratch", 400, 0, math.nan)]
    found = compare_methods(frame(rows))
    assert found["pairs"].tolist() == [4, 0]
    assert found["verdict"].tolist() == ["better", "too few seeds: 0 of 2"]
    assert found["difference"].isna().tolist() == [False, True]


def test_what_cannot_be_compared_says_why() -> None:
    """Two cells of a seed, an unknown baseline, column or direction, and no score at all."""
    rows = two_methods()
    with pytest.raises(GraftbenchError, match=r"'dcgan' has two cells of seed 0 at 25 images .* by="):
        compare_methods(frame([*rows, rows[0]]))
    table = frame([*rows, rows[0]])
    table["name"] = [*table["method"][:-1], "dcgan 2"]
    assert set(compare_methods(table, by="name")["method"]) == {"new", "dcgan 2"}
    with pytest.raises(GraftbenchError, match="Did you mean 'dcgan'"):
        compare_methods(frame(rows), baseline="dcgam")
    with pytest.raises(GraftbenchError, match="Unknown column 'fid'"):
        compare_methods(frame(rows), metric="fid")
    with pytest.raises(GraftbenchError, match="Which way 'sharpness' is better"):
        compare_methods(frame(rows).rename(columns={"kid": "sharpness"}), metric="sharpness")
    with pytest.raises(GraftbenchError, match="No cell has a finite 'kid'"):
        compare_methods(frame([("a", "vae", 25, 0, math.nan)]))


def test_one_method_is_compared_with_nothing() -> None:
    """An empty frame with the columns, no error."""
    found = compare_methods(frame([("dcgan", "scratch", 25, 0, 1.0)]))
    assert (len(found), tuple(found.columns)) == (0, COLUMNS)


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", r"a_b%c\d{e}$", "x" * 500])
def test_any_name_is_a_name(name: str) -> None:
    """Names are keys, never parsed."""
    table = frame(two_methods()).replace({"method": {"new": name}})
    assert compare_methods(table)["method"].tolist() == [name]


# ------------------------------------------------------------------------------------------------------------ curves


@pytest.mark.parametrize("budgets", [1, 2, 3, 6])
def test_falling_curves_are_scipys_isotonic_regression(budgets: int) -> None:
    """The min-max formula and pooling give the same fit, to rounding; rows that fall already are untouched."""
    values = np.random.default_rng(budgets).normal(size=(50, budgets))
    expected = np.array([isotonic_regression(row, increasing=False).x for row in values])
    assert _falling(values) == pytest.approx(expected, abs=1e-12)
    falling = np.sort(values, axis=1)[:, ::-1]
    assert (_falling(falling) == falling).all()
