"""The finding over all cells of a run together, of made-up runs for every case."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import pytest
from report_parts import part
from scipy.stats import ttest_1samp

from graftbench.comparison.versus import versus
from graftbench.records.record import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from report_parts import Make, MakeRun

    from graftbench.records.record import Record
    from graftbench.records.run import Run

KIDS = {
    "finetune": {25: (20, 26), 400: (11, 9)},
    "dcgan": {25: (90, 70), 400: (80, 110)},
    "source": {25: (50, 51), 400: (50, 51)},
}
"""Method -> images -> KID×10³ of two seeds."""


def records(make: Make, kids: Mapping[str, Mapping[int, tuple[float, ...]]] = KIDS) -> list[Record]:
    """Cells of made-up KIDs."""
    return [
        make(name, images, seed, kid=value / 1000)
        for name, by_images in kids.items()
        for images, values in by_images.items()
        for seed, value in enumerate(values)
    ]


def said(run: Run) -> str:
    """What is said over all cells."""
    return part("_tables.overall").overall(part("_tables.groups").groups(run))


def test_two_seeds_at_two_numbers_of_images_are_four_pairs(record: Make, a_run: MakeRun) -> None:
    """The first beats the other method and the source; p is that of a t test of the log ratios, twice it by Holm."""
    text = said(a_run(records(record)))
    assert text.startswith(
        "All together (25 and 400 training images; 4 pairs of trainings): finetune comes first by KID (average rank "
        "1.00 over 2 rankings, one for each number of images), better than"
    )
    both = {name: [value for values in by.values() for value in values] for name, by in KIDS.items()}
    for name in ("dcgan", "source"):
        logs = [math.log(a / b) for a, b in zip(both["finetune"], both[name], strict=True)]
        assert f"{100 * math.expm1(sum(logs) / 4):.0f}".replace("-", "−") + " %" in text
    logs = {n: [math.log(a / b) for a, b in zip(both["finetune"], both[n], strict=True)] for n in ("dcgan", "source")}
    _, p = zip(*(ttest_1samp(each, 0) for each in logs.values()), strict=True)
    assert f"p = {2 * min(p):.2g}" in text
    assert text.endswith("; p after Holm's correction over 2 comparisons.")


def test_the_first_is_compared_with_its_own_start(record: Make, a_run: MakeRun) -> None:
    """A flow that comes first is held to the row of its source model, and without one to none, not to a GAN's."""
    models = {"flow-finetune": "flow", "source-flow": "flow", "source": "gan"}
    kids = {"flow-finetune": KIDS["finetune"], "dcgan": KIDS["dcgan"], "source": KIDS["source"]}
    own = {"source-flow": {25: (40, 41), 400: (40, 41)}}

    def from_model(each: Record) -> Record:
        name = each.cell.method
        family = "reference" if name.startswith("source") else each.cell.family
        cell = msgspec.structs.replace(each.cell, source_model=models.get(name, ""), family=family)
        return msgspec.structs.replace(each, cell=cell)

    def text(kids_of: Mapping[str, Mapping[int, tuple[float, ...]]]) -> str:
        return said(a_run(list(map(from_model, records(record, kids_of)))))

    assert "source" not in text(kids)
    with_own = text(kids | own)
    assert "source-flow (" in with_own
    assert "untransferred source" not in with_own


def test_it_does_not_contradict_versus(record: Make, a_run: MakeRun) -> None:
    """The change of each comparison is that of the row of all cells of `graftbench versus`."""
    run = a_run(records(record))
    for other in ("dcgan", "source"):
        row = versus(run.records, "finetune", other, metric=["kid"]).rows[0]
        assert row.pairs == 4
        assert f"{100 * (row.ratio - 1):.0f} %".replace("-", "−") in said(run)


def test_equal_average_ranks_share_the_first_place(record: Make, a_run: MakeRun) -> None:
    """Of two methods that lead at one number of images each none comes first, and each is compared with the others.

    All four comparisons are corrected together.
    """
    kids = {**KIDS, "vae": {25: (10, 12), 400: (30, 31)}}
    text = said(a_run(records(record, kids)))
    assert (
        ": finetune and vae share the first place by KID (average rank 1.50 over 2 rankings, one for each number of "
        "images); finetune is better than "
    ) in text
    assert "; vae is better than dcgan (" in text
    assert text.endswith("; p after Holm's correction over 4 comparisons.")
    assert "comes first" not in text


def test_who_is_first_in_most_rankings_comes_first(record: Make, a_run: MakeRun) -> None:
    """By the means over seeds, as page and tables have them: finetune wins four of the six single trainings."""
    kids = {
        "finetune": {25: (20, 40), 100: (20, 40), 400: (10, 10)},
        "vae": {25: (25, 26), 100: (25, 26), 400: (30, 30)},
    }
    assert ": vae comes first by KID (average rank 1.33 over 3 rankings, one for each number of images)" in said(
        a_run(records(record, kids))
    )


def test_a_method_without_a_score_is_named(record: Make, a_run: MakeRun) -> None:
    """One that failed in every cell changes no comparison, and is not left out in silence."""
    failed = [record("vae", images, seed, status=Status.OOM) for images in (25, 400) for seed in range(2)]
    run = a_run([*records(record), *failed])
    assert said(run) == said(a_run(records(record))).removesuffix(".") + "; vae has no score."


def test_who_is_level_is_named(record: Make, a_run: MakeRun) -> None:
    """A method whose differences change their sign is not told apart."""
    kids = {**KIDS, "freezed": {25: (25, 23), 400: (12, 11.5)}}
    assert "; not told apart from freezed; p after Holm" in said(a_run(records(record, kids)))


def test_no_correction_is_told_where_no_p_is(record: Make, a_run: MakeRun) -> None:
    """Nobody is beaten: the sentence prints no p, and so nothing of its correction."""
    kids = {"finetune": {25: (20, 26), 400: (11, 9)}, "freezed": {25: (25, 23), 400: (12, 11.5)}}
    assert said(a_run(records(record, kids))).endswith(", not told apart from freezed.")


@pytest.mark.parametrize(
    "kids",
    [
        {name: {25: by[25]} for name, by in KIDS.items()},
        {name: {n: values[:1] for n, values in by.items()} for name, by in KIDS.items()},
        {name: KIDS[name] for name in ("finetune", "source")},
        {"finetune": {25: (20, 26)}, "dcgan": {400: (80, 110)}},
    ],
    ids=["one number of images", "one seed", "one method", "no cell in common"],
)
def test_nothing_is_said_where_nothing_is_added(
    record: Make, a_run: MakeRun, kids: Mapping[str, Mapping[int, tuple[float, ...]]]
) -> None:
    """One number of images has its own finding; one seed settles nothing; one method has no rival."""
    assert said(a_run(records(record, kids))) == ""
