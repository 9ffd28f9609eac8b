"""What `graftbench plan` prints, for few cells and for many."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest
from made_cells import make_cell
from rich.console import Console

from graftbench.cli.plan import ROWS, cells_table, duration, sentences, summary_table
from graftbench.records.cell_spec import CellSpec, Protocol
from graftbench.records.heads import Head, HeadCost, Software
from graftbench.records.record import Status
from graftbench.suites.estimates import Estimates
from graftbench.suites.forecast import Outlook, PlannedSourceModel
from graftbench.suites.status import explain

if TYPE_CHECKING:
    from pathlib import Path

    from command_line import Command
    from rich.table import Table

HERE = Software(graftbench="0.1.0", packages={"torch": "2.11.0"})
METHODS = ("dcgan", "finetune", "vae", "memorizer")


def cell(method: str, seed: int, code: str = "new") -> CellSpec:
    """A cell."""
    parameters = {"names": "[bold]a[/bold]"}
    return make_cell(method, seed, family="scratch", parameters=parameters, protocol=Protocol(), code=code)


def head(spec: CellSpec, status: Status = Status.OK, reason: str = "", torch: str = "2.11.0") -> Head:
    """A record: 40 s of fit in 50 s."""
    return Head(
        id=spec.id,
        cell=spec,
        status=status,
        reason=reason,
        resources=HeadCost(device="cpu", fit_seconds=40, peak_memory_mib=500),
        environment=Software(graftbench="0.1.0", packages={"torch": torch}),
        wall_seconds=50,
    )


def outlook(seeds: int, *, recorded: bool = True, shard: tuple[int, int] = (1, 1)) -> Outlook:
    """Dcgan is done (one with other software), finetune changed, vae failed in words of its own, memorizer is new."""
    cells = [cell(method, seed) for seed in range(seeds) for method in METHODS]
    records = [head(cell("dcgan", 0), torch="2.10.0"), head(cell("dcgan", 10_000))]
    records += [head(cell("dcgan", seed)) for seed in range(1, seeds)]
    records += [head(cell("finetune", seed, "old")) for seed in range(seeds)]
    records += [head(cell("vae", seed), Status.DIVERGED, f"loss 1e9 at image {seed} [red]") for seed in range(seeds)]
    code = {"old": {"graftbench/training.py": "1"}, "new": {"graftbench/training.py": "2"}}
    found = records if recorded else []
    return Outlook(
        explained=explain(cells, [c.id for c in cells], found, here=HERE, code=code),
        estimates=Estimates.of(found),
        jobs=2,
        models=[
            PlannedSourceModel("gan-a", "missing", 512, 3, seconds=720, avoid="kimg = 128 makes it shorter"),
            PlannedSourceModel("vae-b", "shipped", 32, 0),
        ],
        disk_needed_bytes=12_300_000,
        disk_guessed=2,
        disk_free_bytes=10**9,
        shard=shard,
        notes=["openmoji@32: 3 images could not be used (a, b, c, …)"],
    )


def printed(table: Table, width: int = 120) -> str:
    """What a terminal of that width shows."""
    screen = io.StringIO()
    Console(width=width, file=screen).print(table)
    return screen.getvalue()


def test_few_cells_have_a_row_each() -> None:
    """30 cells: id, state, reason; the task and the number of images, the same everywhere, are left out."""
    found = outlook(7)
    text = printed(cells_table(found))
    assert all(row.id in text for row in found.rows)
    assert "code (graftbench/training.py)" in text
    assert "diverged: loss 1e9 at image 3 [red]" in text
    assert "twemoji" not in text
    assert "images" not in text.splitlines()[1]
    assert len(text.splitlines()) < 2 * len(found.rows)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_many_cells_have_a_row_for_each_method_and_reason(width: int) -> None:
    """1,000 cells come to five rows, whatever each failure said, and to a screen of lines on any terminal."""
    found = outlook(250)
    assert len(found.rows) == 1000 > ROWS
    text = printed(summary_table(found), width)
    assert len(text.splitlines()) <= 24
    rows = [line.split("│") for line in text.splitlines() if line.startswith("│") and line.split("│")[1].strip()]
    cells = [(row[1].strip(), row[2].strip(), row[3].strip()) for row in rows]
    assert sorted(cells) == [
        ("dcgan", "done", "1"),
        ("dcgan", "done", "249"),
        ("finetune", "changed", "250"),
        ("memorizer", "new", "250"),
        ("vae", "failed", "250"),
    ]
    assert "--retry" in text


def test_what_runs_takes_its_time_together() -> None:
    """250 changed cells of 50 s each are 3 h 28 min; done cells have nothing ahead."""
    text = printed(summary_table(outlook(250)))
    finetune = next(line for line in text.splitlines() if "finetune" in line)
    assert "50 s" in finetune
    assert "3 h 28 min" in finetune
    assert " min" not in next(line for line in text.splitlines() if "249" in line)


def test_sentences_say_what_the_table_does_not() -> None:
    """Counts, time and what it rests on, disk, source models, software, strangers, notes."""
    assert sentences(outlook(2)) == [
        "8 cells: 2 done, 2 new, 2 changed, 2 failed. 4 to run.",
        "Expected: 13 min 40 s with --jobs 2, 12 min of it for source models, up to 500 MiB each.",
        "That rests on 5 records made on cpu: 2 cells by same method and budget; 2 cells by all methods.",
        "About 12 MB on the disk, a guess for 2 cells; 1,000 MB are free.",
        (
            "Source model gan-a must be trained first (512 kimg, about 12 min by the training of a shipped one on one "
            "CPU thread; kimg = 128 makes it shorter); needed by 3 cells to run."
        ),
        "Source model vae-b comes with the package; needed by no cell to run.",
        "1 cell done, but made with torch 2.10.0 (2.11.0 here); --retry ok runs done cells again.",
        "3 records of other cells stay.",
        "openmoji@32: 3 images could not be used (a, b, c, …)",
    ]


def test_without_records_no_time_is_made_up() -> None:
    """It says so, and which option helps; a shard says which it is."""
    lines = sentences(outlook(2, recorded=False, shard=(3, 8)))
    assert lines[0] == "8 cells in shard 3/8: 8 new. 8 to run."
    assert "not known" in lines[1]
    assert "--from" in lines[1]
    assert "?" in printed(summary_table(outlook(2, recorded=False)))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "?"),
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (41.4, "41 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (18_720, "5 h 12 min"),
        (97_200, "1 d 3 h"),
    ],
)
def test_durations_are_rounded_for_readers(seconds: float | None, text: str) -> None:
    """Two units at most."""
    assert duration(seconds) == text


@pytest.fixture
def without_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder of data sets but the one in the tests' cache, which is empty."""
    monkeypatch.delenv("GRAFTBENCH_DATA", raising=False)
    monkeypatch.delenv("GRAFTBENCH_DOWNLOAD", raising=False)


@pytest.mark.usefixtures("shared_cache", "without_data")
def test_missing_sets_leave_the_matrix_and_one_list(run: Command) -> None:
    """Exit code 2; a row a task, then each set once with its address and its folder, all on standard output."""
    done = run("plan", "paper")
    assert (done.code, done.err) == (2, "")
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.out.splitlines() if line[:1] == "│"]
    assert rows[3] == ["ffhq->obama@256", "13", "10, 40", "3", "78", "ffhq@256, obama@256"]
    lines = done.out.splitlines()
    listed = [line for line in lines if line.startswith("  ")]
    assert [line.split("@")[0].strip() for line in listed][:3] == ["ffhq", "ffhq-babies", "ffhq-sunglasses"]
    assert len(listed) == 8
    assert "Nothing could be counted of 7 tasks, 741 cells at most: their images are not here." in lines
    plan = run("plan", "paper", "--json")
    assert plan.code == 2
    found = json.loads(plan.out)
    assert (found["cells"], found["totals"]["not_counted_at_most"]) == ([], 741)
    assert [one["name"] for one in found["missing"]] == [line.split("@")[0].strip() for line in listed]
    assert all(one["source"].startswith("https://") for one in found["missing"])


@pytest.mark.usefixtures("shared_cache", "without_data")
def test_a_run_is_refused_with_the_same_list(run: Command, tmp_path: Path) -> None:
    """On standard error, before a cell runs; the folder holds no records."""
    done = run("run", "paper", "--out", tmp_path / "run", "--device", "cpu")
    assert done.code == 2
    listed = [line for line in run("plan", "paper").out.splitlines() if line.startswith("  ")]
    assert [f"  {line}" for line in done.err.splitlines() if "@256: " in line] == listed
    assert not (tmp_path / "run" / "records.jsonl").exists()
