"""Changes between two runs: which values are paired, and which way is worse. The test itself: test_paired.py."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_cells import make_cell, make_scores

from graftbench.errors import GraftbenchError
from graftbench.regression.changes import Change, change_of
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
    """Ratios 1.5, 1.25 and 2 of new to base: the mean logarithm is log 3.75 / 3; above zero is worse."""
    found = change(make.run_of("a", "kid", [1.0, 2.0, 3.0]), make.run_of("a", "kid", [1.5, 2.5, 6.0]))
    assert (found.differences.n, found.base, found.new) == (3, 2.0, pytest.approx(10 / 3))
    assert found.worse == found.differences.log_ratio == pytest.approx(math.log(3.75) / 3)


def test_budgets_of_other_sizes_are_changed_alike(make: Any) -> None:
    """10 images score ten times what 100 do; both become 10 % worse."""
    base = [*make.run_of("a", "kid", [10.0, 10.0], images=10), *make.run_of("a", "kid", [1.0, 1.0], images=100)]
    new = [*make.run_of("a", "kid", [11.0, 11.0], images=10), *make.run_of("a", "kid", [1.1, 1.1], images=100)]
    assert change(base, new).worse == pytest.approx(math.log(1.1))


values = st.lists(st.floats(0.1, 10), min_size=2, max_size=6)


@given(st.data())
def test_a_swap_is_exactly_the_opposite(data: st.DataObject) -> None:
    """Base for new: the change and the interval change their signs, p stays, to the last bit."""
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
        assert back.worse == -there.worse
        assert back.differences.p == there.differences.p
        assert (back.base, back.new) == (there.new, there.base)
        assert back.interval == (None if there.interval is None else tuple(-end for end in reversed(there.interval)))


@pytest.mark.parametrize(
    ("name", "worse"), [("kid", 2.0), ("precision", 0.5), ("fit_seconds", 2.0), ("sampling_images_per_second", 0.5)]
)
def test_direction(make: Any, name: str, worse: float) -> None:
    """Above zero is worse, whichever way a measure points."""
    made = make.run_of if MEASURES[name].kind == "quality" else make.costs_of
    found = change(made("a", name, [1.0, 1.0]), made("a", name, [worse, worse]), name)
    assert found.worse == pytest.approx(math.log(2))


def test_pairs_without_a_value_are_left_out(make: Any) -> None:
    """A score that is undefined on one side is no pair."""
    found = change(make.run_of("a", "kid", [1.0, None, 3.0]), make.run_of("a", "kid", [1.0, 2.0, None]))
    assert found.differences.n == 1
    pairs = match([make.run_of("a", "kid", [None])], [make.run_of("a", "kid", [1.0])]).pairs
    assert change_of(pairs, MEASURES["kid"]) is None


def test_a_method_that_ignores_the_budget_counts_once(make: Any) -> None:
    """The source model scores the same at 10 and at 100 images: two seeds are two pairs, not four."""
    base = [r for images in (10, 100) for r in make.run_of("source", "kid", [1.0, 1.1], images=images)]
    new = [r for images in (10, 100) for r in make.run_of("source", "kid", [1.2, 1.4], images=images)]
    assert change(base, new).differences.n == 2


def test_of_repeats_the_median_of_the_changes(make: Any) -> None:
    """Ratios of repeats that ran side by side are 1.1, 5 and 0.2: their median is 1.1. Of fewer, that of medians."""
    base = [make.costs_of("a", "fit_seconds", [value]) for value in (10.0, 20.0, 100.0)]
    new = [make.costs_of("a", "fit_seconds", [value]) for value in (11.0, 100.0, 20.0)]
    found = change_of(match(base, new).pairs, MEASURES["fit_seconds"])
    assert found is not None
    assert found.worse == pytest.approx(math.log(1.1))
    fewer = change_of(match(base, new[:2]).pairs, MEASURES["fit_seconds"])
    assert fewer is not None
    assert fewer.worse == pytest.approx((math.log(11) + math.log(100)) / 2 - math.log(20))


def test_an_unknown_test(make: Any) -> None:
    """It is named."""
    with pytest.raises(GraftbenchError, match="'student' or 'sign-flip'; found 'z'"):
        change(make.run_of("a", "kid", [1.0]), make.run_of("a", "kid", [2.0]), test="z")
