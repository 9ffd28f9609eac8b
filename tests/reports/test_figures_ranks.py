"""The diagram of average ranks and the bars of cost for papers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from report_parts import on, part, sides_of, text_of_plot

from graftbench.records.cell_spec import Protocol
from graftbench.records.record import Record, Resources, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from report_parts import Make, MakeRun

    from graftbench.records.run import Run


NAMES = ("finetune", "freezed", "vae", "dcgan", "lora")


def plots(kind: str, run: Run) -> list[Any]:
    """`rank` or `cost` plots of a run."""
    found = part("_tables.groups").groups(run)
    module = {"rank": "_figures.average_ranks", "cost": "_figures.cost"}[kind]
    return getattr(part(module), f"{kind}_plots")(found, part("_figures.quality").group_looks(found))


def blocks(run: Run) -> Any:
    """The blocks of a run of one protocol."""
    return part("_figures.average_ranks").blocks_of(part("_tables.groups").groups(run))


def ordered(record: Make, seeds: Sequence[int], names: Sequence[str] = NAMES, **changes: Any) -> list[Record]:
    """Cells in which the methods come in the order of their names, at every seed."""
    return [record(n, 25, s, kid=0.01 * (i + 1) + 0.001 * s, **changes) for i, n in enumerate(names) for s in seeds]


# ---------------------------------------------------------------------------------------------------------- blocks


def test_of_one_task_a_block_is_a_budget_and_a_seed(record: Make, a_run: MakeRun) -> None:
    """Two budgets and two seeds are four blocks; the caption says that they speak of this task alone."""
    records = [record(n, b, s, kid=0.01) for n in NAMES for b in (25, 400) for s in (0, 1)]
    found = blocks(a_run(records))
    assert found.scores.shape == (4, 5)
    assert "one data budget and one seed" in found.kind
    assert "this task alone" in found.caveat


def test_of_several_tasks_a_block_is_a_task_at_a_budget(record: Make, a_run: MakeRun) -> None:
    """Seeds are averaged: 0.01 and 0.03 make 20 (×10³)."""
    cells = [record(n, 25, s, kid=0.01 + 0.02 * s) for n in NAMES for s in (0, 1)]
    found = blocks(a_run([*cells, *(on(cell, "notoemoji") for cell in cells)]))
    np.testing.assert_allclose(found.scores, np.full((2, 5), 20.0))
    assert "one of 2 tasks" in found.kind


def test_a_method_without_a_score_in_a_block_is_left_out_and_named(record: Make, a_run: MakeRun) -> None:
    """Lora diverged at one of four seeds; a budget that one method alone has is no block; a leaking method is named."""
    records = ordered(record, range(4), NAMES[:4])
    records += [record("lora", 25, s, kid=0.02) for s in range(3)] + [record("lora", 25, 3, status=Status.DIVERGED)]
    records += [record("vae", 400, 0, kid=0.01)]
    records += [record("gatys", 25, s, kid=0.01, leaks=True) for s in range(4)]
    found = blocks(a_run(records))
    assert found.methods == ("dcgan", "finetune", "freezed", "vae")
    assert len(found.scores) == 4
    said = " ".join(found.notes)
    assert "lora (1 of 4)" in said
    assert "1 block left out" in said
    assert "scoring network: gatys" in said


# ----------------------------------------------------------------------------------------------------------- ranks


def test_ranks_and_cliques_by_hand(record: Make, a_run: MakeRun) -> None:
    """Five methods in one order at twelve seeds: ranks 1 to 5, all told apart but two that change places."""
    ranked = part("_figures.average_ranks").ranked
    found = ranked(blocks(a_run(ordered(record, range(12)))))
    assert found.order == NAMES
    assert found.ranks.tolist() == [1, 2, 3, 4, 5]
    assert found.cliques == ()
    assert found.each.shape == (5, 12)
    records = ordered(record, range(12), NAMES[:4])
    records += [record("lora", 25, s, kid=0.04 + 0.001 * (s + (-1) ** s)) for s in range(12)]
    found = ranked(blocks(a_run(records)))
    assert [found.order[first : last + 1] for first, last in found.cliques] == [("dcgan", "lora")]


def test_one_bar_where_nothing_is_found(record: Make, a_run: MakeRun) -> None:
    """All tie in all blocks: one bar joins all."""
    run = a_run([record(n, 25, s, kid=0.02) for n in NAMES for s in range(6)])
    assert part("_figures.average_ranks").ranked(blocks(run)).cliques == ((0, 4),)


def test_bars_that_meet_stand_side_by_side() -> None:
    """0–2 and 1–4 meet, 3–5 fits below the first, 5–6 touches it at 5."""
    columns = part("_figures.average_ranks").columns_of([(0, 2), (1, 4), (3, 5), (5, 6)])
    assert columns == [0, 1, 0, 1]


def test_the_caption_has_the_test_and_the_block(record: Make, a_run: MakeRun) -> None:
    """Which test, what a block is."""
    (plot,) = plots("rank", a_run(ordered(record, range(12))))
    assert plot.stem == "ranks"
    for words in ("paired t test of log KID", "Holm's correction over all pairs", "12 blocks", "one seed"):
        assert words in plot.caption


@pytest.mark.parametrize(
    ("names", "seeds", "says"),
    [
        (NAMES[:1], 12, "3 methods"),
        (NAMES[:2], 12, "3 methods"),
        (NAMES, 1, "2 blocks"),
    ],
    ids=["one method", "two methods", "one seed"],
)
def test_too_little_is_not_drawn_and_the_reason_said(
    names: Sequence[str], seeds: int, says: str, record: Make, a_run: MakeRun
) -> None:
    """Ranks of two methods, or of one block, show nothing that the table does not."""
    (plot,) = plots("rank", a_run(ordered(record, range(seeds), names)))
    assert plot.draw is None
    assert says in plot.caption


def test_undefined_scores_and_failures_leave_a_reason(record: Make, a_run: MakeRun) -> None:
    """No score anywhere (a record holds no infinite one), or no cell that ended well: nothing is drawn."""
    cells = [record(n, 25, s, kid=None) for n in NAMES for s in range(3)]
    for run in (a_run(cells), a_run([record("vae", status=Status.ERROR)])):
        (plot,) = plots("rank", run)
        assert plot.draw is None


def test_protocols_are_ranked_apart(record: Make, a_run: MakeRun) -> None:
    """Two protocols make two diagrams, told apart by their names; each title says its own protocol."""
    other = Protocol(size=48, resize="bicubic-antialias")
    run = a_run([*ordered(record, range(12)), *ordered(record, range(12), protocol=other)])
    found = plots("rank", run)
    assert len({plot.stem for plot in found}) == 2
    assert sorted("lite0@48" in plot.caption for plot in found) == [False, True]


@pytest.mark.slow
@pytest.mark.parametrize("width", [3.4, 7.0])
def test_forty_methods_are_all_named(width: float, record: Make, a_run: MakeRun) -> None:
    """Each on a line of its own with its rank; strange names are text; bars and names stay within the figure."""
    names = ["<script>alert(1)</script>", "a_b%c\\d{e}$", *(f"method {i}" for i in range(38))]
    (plot,) = plots("rank", a_run(ordered(record, range(6), names)))
    shown = text_of_plot(plot, width)
    assert {"a_b%c\\d{e}$", "method 37", "average rank (1: best)"} <= shown
    left, right = sides_of(plot, width)
    assert left >= -0.02
    assert right <= width + 0.02


# ------------------------------------------------------------------------------------------------------------ cost


def test_costs_for_papers(record: Make, a_run: MakeRun) -> None:
    """Fit time and memory; energy where there is a counter, else a note; shared timings are said."""
    (plot,) = plots("cost", a_run([record("finetune"), record("gatys")]))
    assert plot.stem == "cost"
    assert any("energy" in note for note in plot.notes)
    assert any("gatys" in note and "upper bounds" in note for note in plot.notes)
    resources = Resources(device="cpu", fit_seconds=3.0, images_seen=9, energy_joules=120.0, energy_source="rapl")
    (counted,) = plots("cost", a_run([record("finetune", resources=resources)]))
    assert any("energy" in text for text in text_of_plot(counted, 7.0))


@pytest.mark.parametrize("width", [3.4, 7.0])
def test_costs_stay_within_the_figure(width: float, record: Make, a_run: MakeRun) -> None:
    """Values a thousand times apart, three panels, a name of 24 letters: nothing leaves the paper."""
    records = []
    for i, name in enumerate(("a method whose name goes on and on", "vae", "lora")):
        cost = Resources(
            device="cpu",
            fit_seconds=0.5 * 40**i,
            images_seen=9,
            energy_joules=123_456.0 * (i + 1),
            peak_memory_mib=12_345.0,
            memory_kind="resident",
        )
        records.append(record(name, resources=cost))
    (plot,) = plots("cost", a_run(records))
    left, right = sides_of(plot, width)
    assert left >= -0.02
    assert right <= width + 0.05


def test_without_resources_there_is_a_reason(record: Make, a_run: MakeRun) -> None:
    """No cell that ended well, or none that was measured."""
    for cell in (record("dcgan", status=Status.DIVERGED), record("vae", resources=None)):
        (plot,) = plots("cost", a_run([cell]))
        assert plot.draw is None
