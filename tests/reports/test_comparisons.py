"""comparisons.md and comparisons.csv: questions with their answers, and what could not be answered."""

from __future__ import annotations

import csv
import math
import re
import time
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from report_parts import on
from scipy.stats import ttest_rel

from graftbench.errors import GraftbenchError
from graftbench.records.cell_spec import Protocol
from graftbench.records.record import Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from report_parts import Make, MakeRun

    from graftbench.records.record import Record
    from graftbench.records.run import Run


def write(run: Run, out: Path) -> tuple[str, list[dict[str, str]]]:
    """The text, and the rows of the table."""
    text, table = import_module("graftbench.reports.comparisons").Comparisons().write(run, out)
    assert (text.name, table.name) == ("comparisons.md", "comparisons.csv")
    with table.open(encoding="utf-8", newline="") as file:
        return text.read_text("utf-8"), list(csv.DictReader(file))


def section(text: str, title: str) -> str:
    """What stands under a heading of the third level."""
    return text.partition(f"\n### {title}\n")[2].partition("\n## ")[0].partition("\n### ")[0]


def lines_of(text: str, method: str) -> list[list[str]]:
    """Cells of the rows that have a cell of that name."""
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in text.splitlines()]
    return [row for row in rows if method in row]


def kids(make: Make, values: Mapping[str, Sequence[float]], budget: int = 25) -> list[Record]:
    """Records with a KID×10³ a seed."""
    return [make(name, budget, seed, kid=kid / 1000) for name, by in values.items() for seed, kid in enumerate(by)]


def test_differences_by_hand(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Seven seeds, two comparisons: of seven that agree sign flips have p = 2/128; scattered is not settled.

    p, and the ratio with its interval, are those of SciPy's paired t test of the logarithms.
    """
    values = {"dcgan": [30] * 7, "freezed": [16, 15, 14, 13, 12, 11, 10], "vae": [29, 31, 28, 32, 30, 31, 29]}
    text, rows = write(a_run(kids(record, values)), tmp_path)
    told = section(text, "KID×10³ against dcgan")
    assert "- 25 images: freezed is better; vae is not settled, after Holm's correction over 2 comparisons." in told
    (freezed,), (vae,) = lines_of(told, "freezed"), lines_of(told, "vae")
    theirs = ttest_rel(np.log(values["freezed"]), np.log(values["dcgan"]))
    ends = theirs.confidence_interval(0.95)
    shares = [f"−{-100 * math.expm1(end):.0f} %" for end in (ends.low, ends.high)]
    assert freezed[2] == f"−57 % ({shares[0]} to {shares[1]})"
    assert freezed[3:] == ["7 of 7", "< 0.0001", "< 0.0001", "0.016", "better"]
    assert vae[3] == "3 of 7, 1 tie"
    assert re.fullmatch(r"not settled(: 7 of [\d,]+ seeds)?", vae[7])
    (row,) = [r for r in rows if (r["question"], r["metric"], r["method"]) == ("difference", "kid", "freezed")]
    assert float(row["value"]) == pytest.approx(-0.017)
    assert float(row["p"]) == pytest.approx(theirs.pvalue, rel=1e-6)
    assert (float(row["p_sign_flips"]), row["n"], row["answer"]) == (2 / 128, "7", "better")
    key = ("ratio to the baseline", "kid", "freezed")
    (ratio,) = [r for r in rows if (r["question"], r["metric"], r["method"]) == key]
    assert float(ratio["interval_high"]) == pytest.approx(math.exp(ends.high))


def test_what_is_open_says_how_many_seeds_it_takes(quick_run: Run, tmp_path: Path) -> None:
    """Two seeds: at 25 images the baseline diverged, at 400 images so many seeds would find what was seen."""
    text, rows = write(quick_run, tmp_path)
    told = section(text, "KID×10³ against dcgan")
    assert "- 25 images: nothing to compare with: dcgan has no score here." in told
    answers = {row["answer"] for row in rows if row["question"] == "difference"}
    assert any(re.fullmatch(r"not settled: 2 of \d+ seeds", answer) for answer in answers)
    assert "dcgan with 25 images (2 of 2 diverged)" in text
    assert not lines_of(text, "oracle")


def test_the_baseline_is_the_first_by_name_trained_from_scratch_else_the_best(
    record: Make, a_run: MakeRun, tmp_path: Path
) -> None:
    """However bad it is; what was trained with the scoring network is none, and is named as not ranked."""
    values = {"wgan": [20.0] * 2, "dcgan": [90.0] * 2, "finetune": [10.0] * 2}
    records = [*kids(record, values), *(record("peek", 25, s, kid=0.001, leaks=True) for s in (0, 1))]
    records = [
        msgspec.structs.replace(r, cell=msgspec.structs.replace(r.cell, family="scratch")) for r in records[:4]
    ] + (records[4:])
    text, _ = write(a_run(records), tmp_path)
    assert "Baseline: dcgan (of the methods trained from scratch" in text
    assert "Not ranked, as they were trained with the scoring network: peek." in text
    assert not lines_of(text, "peek")
    text, _ = write(a_run(kids(record, {"finetune": [10], "freezed": [20]})), tmp_path)
    assert "Baseline: finetune (the best by average rank" in text


def test_a_baseline_that_was_asked_for(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Another method, or a reference row, which else is not compared; an unknown name gets the nearest."""
    values = {"dcgan": [90, 95], "finetune": [10, 11], "source": [50, 50.1]}
    run = a_run(kids(record, values))
    for baseline, others in (("finetune", {"dcgan"}), ("source", {"dcgan", "finetune"})):
        text, rows = write(replace(run, baseline=baseline), tmp_path)
        assert f"Baseline: {baseline} (as was asked)." in text
        compared = {row["method"] for row in rows if row["question"] == "difference"}
        assert (compared, {row["baseline"] for row in rows if row["question"] == "difference"}) == (others, {baseline})
    with pytest.raises(GraftbenchError, match=r"Unknown baseline 'sourse' in this run\. Did you mean 'source'"):
        write(replace(run, baseline="sourse"), tmp_path)


def test_curves_over_data_budgets(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """The baseline, 40 and 20 at 25 and 100 images, has mean height 30; finetune, 30 and 10, reaches 20 at 50."""
    records = [
        *kids(record, {"dcgan": [40] * 3, "finetune": [30] * 3}),
        *kids(record, {"dcgan": [20] * 3, "finetune": [10] * 3, "vae": [50] * 3}, 100),
    ]
    text, rows = write(a_run(records), tmp_path)
    over = section(text, "Over all numbers of images")
    assert lines_of(over, "dcgan")[0][1] == "30.0 (30.0 to 30.0)"
    assert lines_of(over, "finetune")[0][-1] == "3"
    assert "finetune has the lowest mean height" in over
    assert "Left out, with fewer than two seeds that have a score everywhere: vae." in over
    assert lines_of(section(text, "Images for what dcgan reaches"), "finetune")[0][1:] == ["under 25", "50"]
    found = {(r["data_budget"], r["value"], r["answer"]) for r in rows if r["question"].startswith("images for")}
    assert {answer for _, _, answer in found} == {"under 25 (under 25 to under 25)", "50 (50 to 50)"}


def test_runs_that_beat_the_baseline(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Every run of finetune beats every run of dcgan; of vae half of them do."""
    values = {"dcgan": [20, 21, 22, 23, 24], "finetune": [1, 2, 3, 4, 5], "vae": [20, 21, 22, 23, 24]}
    text, _ = write(a_run(kids(record, values)), tmp_path)
    told = section(text, "Runs that beat one of dcgan")
    assert lines_of(told, "finetune")[0][1].startswith("100 % (")
    assert lines_of(told, "vae")[0][1].startswith("50 % (")
    assert "With 25 images more often than not: finetune." in told


def over_tasks(make: Make, tasks: Sequence[str]) -> list[Record]:
    """Four methods in the same order on every task."""
    values = {"dcgan": [40, 41], "finetune": [10, 11], "freezed": [20, 21], "vae": [30, 31]}
    return [on(made, task) for task in tasks for made in kids(make, values)]


def test_ranks_over_tasks_come_from_complete_blocks(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Six tasks agree on four methods, which are ranked; a fifth method is missing on one task and left out."""
    tasks = [f"t{i}" for i in range(6)]
    records = over_tasks(record, tasks) + [on(record("late", 25, 0, kid=0.001), task) for task in tasks[1:]]
    text, rows = write(a_run(records), tmp_path)
    ranks = section(text, "Average ranks by KID×10³")
    assert [lines_of(ranks, name)[0][1] for name in ("finetune", "freezed", "vae", "dcgan")] == [
        *("1.00", "2.00", "3.00", "4.00"),
    ]
    assert "methods differ over 6 tasks: finetune leads, told apart from the next" in ranks
    assert "left out, without a score in every task: late" in ranks
    (row,) = [r for r in rows if (r["question"], r["metric"], r["method"]) == ("average rank", "kid", "vae")]
    assert float(row["value"]) == 3.0


def test_what_the_paired_test_does_not_tell_apart_leads_together(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Two tasks of two seeds: vae is far off, the others change places; then all do."""
    values = {"dcgan": [10, 13], "finetune": [12, 11], "vae": [90, 95]}
    records = [on(made, task) for task in ("x", "y") for made in kids(record, values)]
    ranks = section(write(a_run(records), tmp_path)[0], "Average ranks by KID×10³")
    assert "methods differ over 2 tasks: dcgan and finetune are not told apart, and lead" in ranks
    two = [r for r in records if r.cell.method != "vae"]
    assert "no two methods are told apart over 2 tasks" in write(a_run(two), tmp_path)[0]


def test_protocols_are_kept_apart(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Said at the top; no ranks over what two protocols scored."""
    other = Protocol(n_generated=5000)
    records = [on(record(name), "x") for name in ("dcgan", "vae", "gatys")]
    records += [on(record(name, protocol=other), "y") for name in ("dcgan", "vae", "gatys")]
    text, _ = write(a_run(records), tmp_path)
    assert "scored under 2 protocols" in text
    assert "Average ranks" not in text


@pytest.mark.parametrize(
    "records",
    [
        [("dcgan", 25, 0, {})],
        [("dcgan", 25, 0, {"status": Status.OOM}), ("vae", 25, 0, {"status": Status.DIVERGED})],
        [("dcgan", 25, 0, {"kid": None}), ("vae", 25, 0, {"kid": None})],
        [("oracle", 25, 0, {})],
        [("dcgan", 25, 0, {}), ("vae", 400, 1, {})],
        [("dcgan", 25, s, {"status": Status.OOM}) for s in (0, 1)] + [("vae", 25, s, {}) for s in (0, 1)],
    ],
    ids=["one method", "all failed", "all undefined", "references alone", "nothing in common", "baseline failed"],
)
def test_little_to_compare_is_no_error(
    records: list[tuple[str, int, int, dict[str, object]]], record: Make, a_run: MakeRun, tmp_path: Path
) -> None:
    """A text comes out that says what there is; no number is invented."""
    run = a_run([record(name, budget, seed, **fields) for name, budget, seed, fields in records])
    text, rows = write(run, tmp_path)
    assert "nan" not in text.lower()
    assert "inf" not in text.lower()
    assert not [row for row in rows if row["answer"] in {"better", "worse"}]


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a_b%c\\d{e}$", "a|b\nc", "x" * 300])
def test_any_name_can_be_compared(name: str, record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Printed, not obeyed, and every line of a table has as many cells; the csv reads it back."""
    values = {"dcgan": [30, 31], name: [10, 11]}
    text, rows = write(a_run([*kids(record, values), *kids(record, values, 100)]), tmp_path)
    assert "<script>" not in text
    for block in text.split("\n\n"):
        if block.startswith("|"):
            assert len({len(re.split(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
    assert {row["method"] for row in rows} == {"dcgan", " ".join(name.split())}


@pytest.mark.slow
def test_thousands_of_methods_take_seconds(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """All are compared; improvement and images needed are told of the fifty leading ones, which the text says."""
    values = {f"m{i:04d}": [1 + i, 2 + i] for i in range(900)}
    records = [*kids(record, values), *kids(record, values, 100)]
    start = time.process_time()
    text, _ = write(a_run(records), tmp_path)
    assert time.process_time() - start < 8
    assert len(lines_of(section(text, "KID×10³ against m0000"), "m0899")) == 2
    assert "Of 899 methods the 49 leading ones by KID are shown." in text
    assert "better" in text


def test_the_same_records_in_another_order_give_the_same_bytes(quick_run: Run, a_run: MakeRun, tmp_path: Path) -> None:
    """Draws come from a seed of their own."""
    first = write(a_run(list(quick_run.records)), tmp_path)
    assert write(a_run(list(reversed(quick_run.records))), tmp_path) == first
