"""budgets.md: ranks under several compute budgets, the scores behind them and what the fits spent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from graftbench.plugins.registry import reports
from graftbench.records.cell_spec import ComputeBudget
from graftbench.records.record import Record, Resources

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graftbench.records.run import Run

IMAGES, TIME, WORK = ComputeBudget(kimg=30), ComputeBudget(seconds=20), ComputeBudget(gflops=1000)
KID = {
    IMAGES: {"dcgan": 0.09, "finetune": 0.04, "vae": 0.06},
    TIME: {"dcgan": 0.03, "finetune": 0.05, "vae": 0.07},
    WORK: {"dcgan": 0.08, "finetune": 0.06, "vae": 0.01},
}
"""finetune is the best at equal images, dcgan at equal time, vae at equal arithmetic."""


def under(record: Callable[..., Record], method: str, budget: ComputeBudget, seed: int, **changes: Any) -> Record:
    """A record of a method under a compute budget: 30,000 images, 20 s, 4.1e8 operations an image."""
    found = record(method, 25, seed, kid=KID[budget][method])
    cost = Resources(device="cpu", fit_seconds=20, images_seen=30_000, flops_per_image=4.1e8, **changes)
    cell = msgspec.structs.replace(found.cell, compute_budget=budget)
    return msgspec.structs.replace(found, id=cell.id, cell=cell, resources=cost)


def written(run: Run, out: Path) -> str:
    """The report."""
    (path,) = reports()["budgets"]().write(run, out)
    return path.read_text("utf-8")


def rows(text: str, heading: str) -> dict[str, list[str]]:
    """Method -> cells of the first table below a heading."""
    table = text.partition(heading)[2].partition("| Method")[2].split("\n\n")[0].splitlines()[2:]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return {line[0]: line[1:] for line in lines}


def test_ranks_follow_the_budget(record: Callable[..., Record], a_run: Callable[..., Run], tmp_path: Path) -> None:
    """One block, so ranks are places: worked out by hand from the scores above."""
    records = [under(record, method, budget, seed) for budget in KID for method in KID[budget] for seed in (0, 1)]
    text = written(a_run(records), tmp_path)
    assert "| Method | equal images: 30 kimg | equal time: 20 seconds | equal arithmetic: 1000 gflops | moved |" in text
    assert rows(text, "## lite0@96") == {
        "finetune": ["1.00", "2.00", "2.00", "1.00"],
        "vae": ["2.00", "3.00", "1.00", "2.00"],
        "dcgan": ["3.00", "1.00", "3.00", "2.00"],
    }
    scores = rows(text, "### twemoji-&gt;openmoji@32, n = 25")
    assert [cell.split()[0] for cell in scores["dcgan"]] == ["90.0", "30.0", "80.0"]


def test_costs_hold_all_three(record: Callable[..., Record], a_run: Callable[..., Run], tmp_path: Path) -> None:
    """Images, seconds and operations beside one another; records from before operations were kept give them too."""
    records = [under(record, method, budget, 0) for budget in (IMAGES, TIME) for method in KID[budget]]
    records[0] = msgspec.structs.replace(
        records[0], resources=Resources(device="cpu", fit_seconds=20, images_seen=30_000, flops=1.5e12)
    )
    spent = rows(written(a_run(records), tmp_path), "### What a fit spent")
    # 4.1e8 operations × 30,000 images = 1.23e13: 12.3 k of 10⁹.
    assert spent["vae"] == ["30 / 20 / 12.3 k", "30 / 20 / 12.3 k"]
    assert spent["dcgan"] == ["30 / 20 / 1,500", "30 / 20 / 12.3 k"]


def test_what_is_missing_has_no_rank(record: Callable[..., Record], a_run: Callable[..., Run], tmp_path: Path) -> None:
    """A method without a score under one of the budgets is shown and not ranked; the caption says why."""
    records = [under(record, method, budget, 0) for budget in (IMAGES, TIME) for method in KID[budget]]
    text = written(a_run([r for r in records if (r.cell.method, r.cell.compute_budget) != ("vae", TIME)]), tmp_path)
    assert rows(text, "## lite0@96")["vae"] == ["—", "—", "—"]
    assert "Without a rank (no score in every block): vae." in text


@pytest.mark.slow
def test_one_compute_budget_leaves_no_file(quick_run: Run, tmp_path: Path) -> None:
    """There is nothing to compare."""
    assert reports()["budgets"]().write(quick_run, tmp_path) == []
    assert list(tmp_path.iterdir()) == []
