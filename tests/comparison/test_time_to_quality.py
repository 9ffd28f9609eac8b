"""What a quality costs: Kaplan–Meier by hand and against scipy, levels and arrivals of made-up courses, convergence."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from made_cells import make_cell, make_scores
from report_parts import measured_on
from scipy.stats import CensoredData, ecdf

from graftbench.comparison.quality_text import headings, quantities, remarks
from graftbench.comparison.survival import Waited, arrival_curve
from graftbench.comparison.time_to_quality import Passed, arrives, convergence, money, quality_tables
from graftbench.errors import GraftbenchError
from graftbench.plugins.registry import reports
from graftbench.records.record import Record, Resources, Snapshot, Status
from graftbench.records.run import Run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# ---------------------------------------------------------------------------------------------------------- survival


def at(cost: float) -> Waited:
    """A run that arrived."""
    return Waited(cost, arrived=True)


def never(cost: float) -> Waited:
    """A run that ended first."""
    return Waited(cost, arrived=False)


def test_kaplan_meier_by_hand() -> None:
    """Arrivals at 2 and 5 and (after one that gave up at 3) at 8: shares 1/5, then 1 − 4/5·2/3, then 1 − 8/15·1/2."""
    curve = arrival_curve([at(2), never(3), at(5), at(8), never(9)])
    assert curve.costs == (2, 5, 8)
    assert curve.shares == pytest.approx((1 / 5, 1 - 4 / 5 * 2 / 3, 1 - 4 / 5 * 2 / 3 * 1 / 2))
    assert (curve.runs, curve.arrivals, curve.longest) == (5, 3, 9)
    assert curve.quantile(0.5) == 8
    assert curve.quantile(0.9) is None


def test_runs_that_never_arrive_are_not_dropped() -> None:
    """One of four arrives: without the others the median would be 1; with them it is not reached."""
    curve = arrival_curve([at(1), *[never(10)] * 3])
    assert curve.shares == (0.25,)
    assert curve.quantile(0.5) is None
    assert arrival_curve([never(10)]).costs == ()


def test_all_arrive() -> None:
    """Without censoring the curve is the empirical distribution; equal costs are one step."""
    curve = arrival_curve([at(c) for c in (4, 1, 4, 3)])
    assert curve.costs == (1, 3, 4)
    assert curve.shares == pytest.approx((0.25, 0.5, 1.0))
    assert curve.quantile(0.5) == 3


def test_kaplan_meier_against_scipy() -> None:
    """The estimate of scipy for right-censored data, on whole numbers so that ties occur."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        costs, arrived = rng.integers(1, 12, 15), rng.random(15) < 0.6
        if not arrived.any():
            continue
        ours = arrival_curve([Waited(float(c), arrived=bool(a)) for c, a in zip(costs, arrived, strict=True)])
        data = CensoredData(uncensored=costs[arrived], right=costs[~arrived])
        theirs = ecdf(data).cdf
        assert ours.shares == pytest.approx([float(theirs.evaluate(c)) for c in ours.costs])


@pytest.mark.parametrize("runs", [[], [at(-1)], [never(math.nan)], [at(math.inf)]])
def test_costs_that_are_none(runs: list[Waited]) -> None:
    """No run, or a cost that is negative or no finite number, is refused."""
    with pytest.raises(GraftbenchError):
        arrival_curve(runs)


# ------------------------------------------------------------------------------------------------------------ courses


def a_fit(
    method: str,
    seed: int,
    course: Sequence[tuple[float, float]],
    *,
    joules: float | None = None,
    status: Status = Status.OK,
    **fields: Any,
) -> Record:
    """A record whose snapshots have (seconds, KID), the last of them the end; 100 images and `joules` a second."""
    cell = make_cell(method, seed, **fields)

    def shot(seconds: float, kid: float) -> Snapshot:
        spent = {"images_seen": round(100 * seconds), "seconds": seconds}
        energy = None if joules is None else joules * seconds
        return Snapshot(share=seconds / 100, joules=energy, scores=make_scores({"kid": kid}), **spent)

    *way, (seconds, kid) = course
    scores = [msgspec.structs.replace(score, floor=0.0) for score in make_scores({"kid": kid})]
    is_ok = status == Status.OK
    return Record(
        id=cell.id,
        cell=cell,
        status=status,
        reason="" if is_ok else "it did",
        scores=scores if is_ok else [],
        snapshots=[shot(*point) for point in (way if is_ok else course)],
        resources=Resources(
            device="cpu",
            fit_seconds=seconds,
            images_seen=round(100 * seconds),
            energy_joules=None if joules is None else joules * seconds,
        )
        if is_ok
        else None,
    )


def the_source(kid: float = 1.0) -> Record:
    """The untransferred source: KID 1, where real images score 0."""
    return a_fit("source", 0, [(0.0, kid)], family="reference")


def test_arrival_is_the_first_snapshot_at_or_below() -> None:
    """Not the best one, nor the last: a fit that gets worse again has arrived."""
    course = [Passed(1, 1, None, 0.9), Passed(2, 2, None, 0.5), Passed(3, 3, None, 0.7)]
    assert arrives(course, 0.5) == (course[1], True)
    assert arrives(course, 0.49) == (course[2], False)


def test_a_table_by_hand() -> None:
    """Levels at 0.5, 0.25 and 0.1 between a source of 1 and a floor of 0; one of two slow fits never arrives.

    fast: at 10 s 0.4, at 20 s 0.2, at 30 s 0.05 (both seeds). slow: seed 0 ends at 40 s with 0.3, seed 1 with 0.6.
    """
    fast = [(10, 0.4), (20, 0.2), (30, 0.05)]
    records = [the_source(), *(a_fit("fast", seed, fast, joules=5.0) for seed in (0, 1))]
    records += [a_fit("slow", 0, [(20, 0.7), (40, 0.3)]), a_fit("slow", 1, [(20, 0.8), (40, 0.6)])]
    (table,) = quality_tables(records).tables
    assert table.levels == pytest.approx((0.5, 0.25, 0.1))
    assert headings(table)[1] == "50 % of the way (KID×10³ 500)"
    assert headings(replace(table, levels=(-0.0004,) * 3))[1] == "50 % of the way (KID×10³ 0)"
    stated = dict(quantities(table, 3600.0))
    assert stated["seconds"] == [
        ["fast", "10 (2 of 2)", "20 (2 of 2)", "30 (2 of 2)"],
        ["slow", "40 (1 of 2)", "> 40 (0 of 2)", "> 40 (0 of 2)"],
    ]
    assert stated["training images"][0] == ["fast", "1,000 (2 of 2)", "2,000 (2 of 2)", "3,000 (2 of 2)"]
    assert stated["joules"] == [
        ["fast", "50 (2 of 2)", "100 (2 of 2)", "150 (2 of 2)"],
        ["slow", *["not measured"] * 3],
    ]
    assert stated["money at 3600 per hour"] == stated["seconds"]
    assert "money" not in " ".join(name for name, _ in quantities(table, None))


def from_model(record: Record, source_model: str) -> Record:
    """The record as one of a fit from a source model."""
    return msgspec.structs.replace(record, cell=msgspec.structs.replace(record.cell, source_model=source_model))


def test_another_source_model_is_said() -> None:
    """Levels go by the row `source`: who started from another model may have been at one from the start."""
    gan, flow = (a_fit(name, 0, [(10.0, 0.4), (20.0, 0.3)]) for name in ("finetune", "flow-finetune"))
    records = [from_model(the_source(), "gan"), from_model(gan, "gan"), from_model(flow, "flow")]
    (table,) = quality_tables(records).tables
    assert [row.started_elsewhere for row in table.rows] == [False, True]
    (said,) = remarks(table)
    assert said.startswith(
        "flow-finetune: it started from another source model than the row source, by which the levels"
    )
    assert said.endswith("may have been at one from the start.")


def test_shared_times_are_upper_bounds() -> None:
    """Whose fits shared the machine is said below the table, once for all."""
    fits = [a_fit(name, 0, [(10.0, 0.4), (20.0, 0.2)]) for name in ("finetune", "vae", "dcgan")]
    assert fits[0].resources is not None
    busy = msgspec.structs.replace(fits[0].resources, timing_shared=True)
    fits[:2] = [msgspec.structs.replace(fit, resources=busy) for fit in fits[:2]]
    (table,) = quality_tables([the_source(), *fits]).tables
    assert remarks(table) == [
        "finetune, vae: other programs used the machine meanwhile; seconds and money are upper bounds."
    ]


def test_who_leaves_a_level_again_is_counted() -> None:
    """Levels 0.5, 0.25, 0.1: one run ends at 0.3 after 0.2, one at 0.6 after 0.4, one stays at 0.2."""
    courses = [[(10.0, 0.2), (20.0, 0.3)], [(10.0, 0.4), (20.0, 0.6)], [(10.0, 0.4), (20.0, 0.2)]]
    records = [the_source(), *(a_fit("finetune", seed, course) for seed, course in enumerate(courses))]
    (table,) = quality_tables(records).tables
    assert [arrival.left_again for arrival in table.rows[0].arrivals] == [1, 1, 0]
    assert remarks(table) == [
        "finetune: ended above the level: 1 of 3 that were at 50 %, 1 of 2 that were at 75 %; the first arrival counts."
    ]


def test_devices_of_two_kinds_have_a_table_each() -> None:
    """Seconds of one GPU are no seconds of another: each table has its own fits, between the same two ends."""
    fits = [a_fit("dcgan", seed, [(seconds, 0.4)], joules=None) for seed, seconds in ((0, 10.0), (1, 40.0))]
    snapshot = a_fit("dcgan", 2, [(20.0, 0.45), (50.0, 0.4)])
    records = [
        the_source(),
        *(measured_on(fit, "NVIDIA A100") for fit in (fits[0], snapshot)),
        measured_on(fits[1], "T4"),
    ]
    first, second = quality_tables(records).tables
    assert (first.title.rpartition(", ")[2], second.title.rpartition(", ")[2]) == ("NVIDIA A100", "T4")
    assert [table.rows[0].runs for table in (first, second)] == [2, 1]
    assert first.rows[0].arrivals[0].seconds.quantile(0.5) == 10.0
    assert second.rows[0].arrivals[0].seconds.quantile(0.5) == 40.0
    assert (first.source, first.floor) == (second.source, second.floor) == (1.0, 0.0)


def test_a_fit_that_failed_is_censored_or_said() -> None:
    """A fit that diverged after a snapshot waits until there; one that left none is counted beside the table."""
    records = [
        the_source(),
        a_fit("m", 0, [(10, 0.4), (20, 0.05)]),
        a_fit("m", 1, [(10, 0.9)], status=Status.DIVERGED),
        _without_course("m", 2),
    ]
    (table,) = quality_tables(records).tables
    (row,) = table.rows
    assert (row.runs, row.left_out) == (2, {"oom: no score on the way": 1})
    assert dict(quantities(table, None))["seconds"][0][1:] == ["10 (1 of 2)", "20 (1 of 2)", "20 (1 of 2)"]
    assert remarks(table) == ["m: left out: 1 × oom: no score on the way."]


def _without_course(method: str, seed: int) -> Record:
    cell = make_cell(method, seed)
    return Record(id=cell.id, cell=cell, status=Status.OOM, reason="out of memory")


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([the_source(), a_fit("m", 0, [(10, 0.4)])], "no fit was looked at on the way"),
        ([a_fit("m", 0, [(5, 0.6), (10, 0.4)])], "no row of the untransferred source"),
        ([the_source(-0.1), a_fit("m", 0, [(5, 0.6), (10, 0.4)])], "scores no worse than real images"),
    ],
)
def test_no_table_has_a_reason(records: list[Record], reason: str) -> None:
    """No snapshots, no source row, a source as good as real images: said, with the group's name."""
    made = quality_tables(records)
    assert made.tables == ()
    (said,) = made.without.values()
    assert reason in said


def test_large_numbers_have_all_their_digits() -> None:
    """64,000 images are no `6.4e+04`; below a thousand four digits stand."""
    (table,) = quality_tables([the_source(), a_fit("slow", 0, [(0.1234567, 0.4), (640, 0.05)])]).tables
    stated = dict(quantities(table, None))
    assert stated["training images"] == [["slow", "12 (1 of 1)", "64,000 (1 of 1)", "64,000 (1 of 1)"]]
    assert stated["seconds"][0][1] == "0.1235 (1 of 1)"


def test_money_by_hand() -> None:
    """Half an hour at 3 an hour is 1.5."""
    assert money(1800, 3.0) == 1.5


# -------------------------------------------------------------------------------------------------------- convergence


def test_a_variant_that_converges_faster_is_another_training() -> None:
    """Welch's t of (100, 102, 98) against (50, 51, 49) by scipy is far below 0.05; (101, 99, 103) is not."""
    assert "another training" in convergence([100, 102, 98], [50, 51, 49])
    assert "not significantly fewer" in convergence([100, 102, 98], [101, 99, 103])
    assert "too few runs" in convergence([100], [50])
    assert "p = 0" in convergence([100, 100], [50, 50])
    assert "p = 1" in convergence([100, 100], [100, 100])
    with pytest.raises(GraftbenchError, match="each side"):
        convergence([], [1.0])


def test_variants_are_checked_against_what_they_vary() -> None:
    """The highest level that all runs reach decides: here 50 %, at 1,000 against 500 images."""
    slow = [a_fit("base", seed, [(10 + seed, 0.4), (20, 0.3)]) for seed in (0, 1, 2)]
    fast = [a_fit("tuned", seed, [(5 + seed / 10, 0.4), (20, 0.3)], variant_of="base") for seed in (0, 1, 2)]
    (table,) = quality_tables([the_source(), *slow, *fast]).tables
    (line,) = remarks(table)
    assert line.startswith("tuned: 0.46 times the images of base, significantly fewer")
    never = [a_fit("lost", seed, [(5, 0.9), (20, 0.8)], variant_of="base") for seed in (0, 1)]
    (table,) = quality_tables([the_source(), *slow, *never]).tables
    assert "no level is reached by all runs of both" in remarks(table)[0]


# -------------------------------------------------------------------------------------------------------------- report


def test_the_report_has_the_table(tmp_path: Path) -> None:
    """time-to-quality.md and the page have the numbers of the table; without snapshots the file says so."""
    records = [the_source(), a_fit("fast", 0, [(10, 0.4), (20, 0.05)])]
    report = reports()["time-to-quality"]()
    run = Run(name="made up", records=records, folder=tmp_path, expected=2)
    (path,) = report.write(run, tmp_path)
    text = path.read_text("utf-8")
    assert "| fast | 10 (1 of 1) | 20 (1 of 1) | 20 (1 of 1) |" in text
    assert "KID×10³: source 1,000, floor 0." in text
    (page,) = reports()["page"]().write(run, tmp_path)
    fold = page.read_text("utf-8").partition('id="time-to-quality"')[2].partition("</details>")[0]
    assert "50 % of the way (KID×10³ 500)" in fold
    assert "<td>10 (1 of 1)</td><td>20 (1 of 1)</td><td>20 (1 of 1)</td>" in fold
    (path,) = report.write(Run(name="x", records=[the_source()], folder=tmp_path, expected=1), tmp_path)
    assert "No task has fits that were looked at on the way" in path.read_text("utf-8")
