"""results.csv."""

from __future__ import annotations

import csv
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from graftbench.frame import frame
from graftbench.record import Status

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graftbench.contracts import Run
    from graftbench.record import Record


def rows(run: Run, out: Path) -> list[dict[str, str]]:
    """Write the report and read it back."""
    (path,) = import_module("graftbench.reports.csv").Csv().write(run, out)
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_cell_is_a_row_and_every_float_reads_back_exactly(quick_run: Run, tmp_path: Path) -> None:
    """36 cells, 2 of them diverged; the floats are those of the records, to the last bit."""
    found = {row["id"]: row for row in rows(quick_run, tmp_path)}
    assert len(found) == len(quick_run.records) == 36
    for record in quick_run.records:
        score = record.score("kid")
        row = found[record.id]
        assert row["status"] == record.status
        assert row["kid"] == "" if score is None else float(row["kid"]) == score.value


def test_columns_are_those_of_the_dataframe(quick_run: Run, tmp_path: Path) -> None:
    """One name for one thing, in pandas and in the file."""
    assert list(rows(quick_run, tmp_path)[0]) == list(frame(quick_run.records).columns)


def test_failed_cells_keep_their_reason_on_one_line(
    record: Callable[..., Record], a_run: Callable[..., Run], tmp_path: Path
) -> None:
    """A reason may hold commas, quotes and line breaks; absolute paths are cut to their last part."""
    reason = 'Killed, "again",\nby /home/someone/bin/oomd'
    (row,) = rows(a_run([record(status=Status.KILLED, reason=reason)]), tmp_path)
    assert row["reason"] == 'Killed, "again", by …/oomd'
    assert row["kid"] == row["fit_seconds"] == ""


@pytest.mark.parametrize("name", ["<script>", "a_b%", "a|b", 'say "hi", twice', "émoji 🌱"])
def test_any_name_reads_back(
    name: str, record: Callable[..., Record], a_run: Callable[..., Run], tmp_path: Path
) -> None:
    """Quoting is the csv module's, so no name breaks a row."""
    (row,) = rows(a_run([record(name)]), tmp_path)
    assert row["method"] == name
