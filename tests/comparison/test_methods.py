"""Standings against the best, and methods against a baseline: by hand, against SciPy, and bad input."""

from __future__ import annotations

import math
import time

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import isotonic_regression
from scipy.stats import permutation_test

from graftbench.comparison.best import Standing, standings
from graftbench.comparison.budgets import _falling
from graftbench.comparison.methods import COLUMNS, compare, compare_methods, default_baseline
from graftbench.comparison.ranks import friedman_permutation_p, friedman_test
from graftbench.comparison.sign_flips import sign_flips
from graftbench.comparison.stats import sign_flip_test
from graftbench.errors import GraftbenchError


def seeds(*values: float) -> dict[int, float]:
    """Seed -> value."""
    return dict(enumerate(values))


# -------------------------------------------------------------------------------------------------------- sign flips


@pytest.mark.parametrize("pairs", [1, 2, 5, 14, 15])
def test_many_sign_flip_tests_are_the_one_test_many_times(pairs: int) -> None:
    """Exact and drawn, with columns of zeros and of ties; more columns than are in memory at once."""
    rng = np.random.default_rng(pairs)
    values = np.round(rng.normal(0.3, 1, (pairs, 70)), 1)
    values[:, 0] = 0
    found = sign_flips(values)
    for i in (0, 1, 2, 63, 64, 69):
        one = sign_flip_test(values[:, i].tolist())
        assert found.p[i] == pytest.approx(one.p, abs=1e-12)
        assert found.p_two_sided[i] == pytest.approx(one.p_two_sided, abs=1e-12)


def test_huge_differences_do_not_overflow() -> None:
    """The sum of two numbers near the largest is not finite; the p-value is."""
    assert sign_flips([[1e308], [1e308]]).p.tolist() == [0.25]
    with pytest.raises(GraftbenchError, match="finite"):
        sign_flips([[math.inf]])


# --------------------------------------------------------------------------------------------------------- standings


def test_best_second_and_level_by_hand() -> None:
    """Six seeds, two others: all six worse has p = 1/64, times 2 = 0.031; four of six is far from it."""
    best = seeds(*[10.0] * 6)
    scattered = seeds(9, 9, 12, 12, 12, 13)  # differences -1 -1 2 2 2 3
    worse = seeds(20, 21, 22, 20, 21, 22)
    found = standings([worse, best, scattered])
    assert found.each == (Standing(), Standing(best=True), Standing(second=True, level=True))
    assert (found.contenders, found.others, found.pairs, found.needed, found.tested) == (3, 2, 6, 6, True)


def test_five_seeds_settle_two_methods_and_not_three() -> None:
    """1/32 is below 0.05, and twice that is not: of three methods six seeds are needed."""
    two = standings([seeds(1, 1, 1, 1, 1), seeds(2, 3, 4, 5, 6)])
    assert two.each == (Standing(best=True), Standing(second=True))
    three = standings([seeds(1, 1, 1, 1, 1), seeds(2, 3, 4, 5, 6), seeds(3, 4, 5, 6, 7)])
    assert (three.tested, three.needed) == (False, 6)
    assert three.each[1] == Standing(second=True, untested=True)


def test_higher_is_better_turns_it_round() -> None:
    """The negative of every value, the other direction: the same standings."""
    rng = np.random.default_rng(0)
    values = [seeds(*rng.normal(i, 1, 8)) for i in range(4)]
    turned = [{seed: -value for seed, value in by.items()} for by in values]
    assert standings(values) == standings(turned, lower_is_better=False)


def test_holm_looks_at_all_methods_of_the_test() -> None:
    """Eight seeds, p = 2/256: significant alone, and not among seven that are no worse than chance."""
    rest = [seeds(*([1.0, -1.0] * 4 + [0.0])) for _ in range(6)]
    target = seeds(*[1.0] * 6, -0.1, 1.0)
    base = seeds(*[0.0] * 8)
    alone = standings([base, target])
    assert alone.each[1] == Standing(second=True)
    assert sign_flip_test([1.0] * 6 + [-0.1, 1.0]).p == 2 / 256
    among = standings([{**base, 0: -0.5}, target, *rest])
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


def test_thousands_of_methods_are_quick_and_untestable() -> None:
    """Holm over 2,999 takes p of 1.7e-5, below what 16,384 drawn patterns can give: no number of seeds is enough."""
    rng = np.random.default_rng(0)
    values = [seeds(*rng.normal(size=5)) for _ in range(3000)]
    start = time.process_time()
    found = standings(values)
    assert time.process_time() - start < 2
    assert (found.tested, found.needed) == (False, None)


def test_the_truly_best_is_seldom_left_out() -> None:
    """Six equal methods, eight seeds, 400 times: the first is left out of best and level in at most 5 % + 3 errors."""
    rng = np.random.default_rng(3)
    out = 0
    for _ in range(400):
        values = rng.normal(size=(6, 8)) + rng.normal(size=8)
        first = standings([seeds(*row) for row in values]).each[0]
        out += not (first.best or first.level)
    assert out / 400 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


# ----------------------------------------------------------------------------------------------------------- compare


def test_a_comparison_by_hand() -> None:
    """Differences -1 -2 -3 -4 -5 -6: mean -3.5, sd 1.871; two-sided p = 2/64, alone so is Holm's.

    t(5) = 2.5706 at 97.5 %, so the half width is 2.5706 · 1.8708 / √6 = 1.9633; the shift is the median of the means of
    pairs, -3.5, and its interval, of 96.9 %, runs from the smallest to the largest mean of pairs, -6 to -1.
    """
    (found,) = compare({"base": seeds(*[10.0] * 6), "new": seeds(9, 8, 7, 6, 5, 4)}, "base")
    assert (found.method, found.pairs, found.wins, found.ties) == ("new", 6, 6, 0)
    assert found.difference == -3.5
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((-3.5 - 1.9633, -3.5 + 1.9633), abs=1e-4)
    assert found.shift is not None
    assert found.shift.interval is not None
    assert (found.shift.value, found.shift.interval.low, found.shift.interval.high) == (-3.5, -6.0, -1.0)
    assert (found.p, found.p_holm, found.needed) == (2 / 64, 2 / 64, 6)
    assert (found.verdict, found.words) == ("better", "better")


def test_verdicts_of_all_kinds() -> None:
    """Eight seeds, two comparisons: all worse has Holm's p = 2 · 2/256; scattered is not settled; three are too few."""
    base = seeds(*[0.0] * 8)
    scores = {"base": base, "bad": seeds(*range(1, 9)), "same": seeds(1, -1, 2, -2, 3, -3, 0, 0)}
    bad, same = compare(scores, "base")
    assert (bad.verdict, bad.p_holm) == ("worse", 4 / 256)
    assert (same.verdict, same.wins, same.ties) == ("not settled", 3, 2)
    (few,) = compare({"base": seeds(0, 0, 0), "new": seeds(1, 1, 1)}, "base")
    assert few.words == "too few seeds: 3 of 6"
    assert few.shift is None
    turned, _ = compare(scores, "base", lower_is_better=False)
    assert (turned.verdict, turned.wins) == ("better", 8)


def test_what_shares_no_seed_is_no_test() -> None:
    """It has no p and does not count in Holm's correction; nor does a method without any score."""
    base = seeds(*[0.0] * 6)
    scores = {"base": base, "new": seeds(*[-1.0] * 6), "elsewhere": {77: 1.0}, "failed": {}}
    new, elsewhere, failed = compare(scores, "base")
    assert (new.p_holm, new.verdict) == (2 / 64, "better")
    for empty in (elsewhere, failed):
        assert (empty.pairs, empty.difference, empty.interval, empty.p, empty.p_holm) == (0, None, None, None, None)
        assert empty.words == "too few seeds: 0 of 6"


def test_one_seed_has_a_difference_and_nothing_more() -> None:
    """No interval of one pair; the words say how many it takes."""
    (found,) = compare({"a": {0: 1.0}, "b": {0: 3.0}}, "a")
    assert (found.difference, found.interval, found.words) == (2.0, None, "too few seeds: 1 of 6")


def test_too_many_methods_for_any_number_of_seeds() -> None:
    """Thousands of comparisons share a level that no drawn p-value can reach; it takes a second at most."""
    rng = np.random.default_rng(0)
    scores = {f"m{i}": seeds(*rng.normal(size=3)) for i in range(3000)}
    start = time.process_time()
    found = compare(scores, "m0")
    assert time.process_time() - start < 3
    assert found[0].words == "too many methods for any seeds"


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
    assert found["p"].tolist() == [2 / 64] * 2
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
    assert found["verdict"].tolist() == ["too few seeds: 4 of 6", "too few seeds: 0 of 6"]
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


# -------------------------------------------------------------------------------------------------- ranks and curves


def test_friedmans_permutation_p_of_full_agreement() -> None:
    """Three methods, all blocks agree: once in 6 of two blocks, in 36 of three; F says 0. Five standard errors."""
    for blocks in (2, 3):
        chance = 6.0 ** (1 - blocks)
        error = 5 * math.sqrt(chance * (1 - chance) / 10_000)
        assert friedman_permutation_p([[1.0, 2.0, 3.0]] * blocks) == pytest.approx(chance, abs=error)
        assert friedman_test([[1.0, 2.0, 3.0]] * blocks).p_f == 0.0
    assert friedman_permutation_p([[1.0, 1.0, 1.0]] * 3) == 1.0


def test_friedmans_permutation_p_is_scipys() -> None:
    """SciPy permutes samples within blocks of the same statistic; both draw 9,999: within five standard errors."""
    values = np.random.default_rng(5).normal(size=(4, 4)) + np.arange(4) * 0.5

    def spread(*columns: np.ndarray) -> float:
        ranks = np.argsort(np.argsort(np.stack(columns, axis=-1), axis=-1), axis=-1)
        return (ranks.sum(axis=-2) ** 2).sum(axis=-1)

    found = permutation_test(
        tuple(values.T),
        spread,
        permutation_type="samples",
        alternative="greater",
        n_resamples=9_999,
        rng=np.random.default_rng(0),
        vectorized=False,
    )
    error = 5 * math.sqrt(2 * found.pvalue * (1 - found.pvalue) / 10_000)
    assert friedman_permutation_p(values) == pytest.approx(found.pvalue, abs=error)


def test_too_few_blocks_or_methods_have_no_permutation_test() -> None:
    """As for the test itself."""
    with pytest.raises(GraftbenchError, match="2 blocks and 3 methods"):
        friedman_permutation_p([[1.0, 2.0]] * 3)


@pytest.mark.parametrize("budgets", [1, 2, 3, 6])
def test_falling_curves_are_scipys_isotonic_regression(budgets: int) -> None:
    """The min-max formula and pooling give the same fit, to rounding; rows that fall already are untouched."""
    values = np.random.default_rng(budgets).normal(size=(50, budgets))
    expected = np.array([isotonic_regression(row, increasing=False).x for row in values])
    assert _falling(values) == pytest.approx(expected, abs=1e-12)
    falling = np.sort(values, axis=1)[:, ::-1]
    assert (_falling(falling) == falling).all()
