"""results.csv and scores.csv."""

from __future__ import annotations

import csv
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from graftbench.comparison.table import frame
from graftbench.records.record import Score, Status

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graftbench.records.record import Record
    from graftbench.records.run import Run


def rows(run: Run, out: Path, name: str = "results.csv") -> list[dict[str, str]]:
    """Write the report and read one of its files back."""
    paths = {path.name: path for path in import_module("graftbench.reports.csv").Csv().write(run, out)}
    assert list(paths) == ["results.csv", "scores.csv"]
    with paths[name].open(encoding="utf-8", newline="") as file:
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


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-2", "'-2"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'=1"),
        ("red\x1b[31m\x07\nname", "red name"),
    ],
)
def test_no_cell_is_a_formula_or_obeyed(
    name: str, cell: str, record: Callable[..., Record], a_run: Callable[..., Run], tmp_path: Path
) -> None:
    """Texts that begin like formulas get an apostrophe, escape characters are left out; numbers stay numbers."""
    score = Score(name="fid", value=-1.5, n_generated=9, n_reference=9, protocol="lite0@96")
    made = a_run([record(name, scores=[score])])
    (row,) = rows(made, tmp_path)
    assert (row["method"], row["fid"]) == (cell, "-1.5")
    (row,) = rows(made, tmp_path, "scores.csv")
    assert (row["method"], row["value"]) == (cell, "-1.5")


@pytest.mark.parametrize("name", ["<script>", "a_b%", "a|b", 'say "hi", twice', "émoji 🌱"])
def test_any_name_reads_back(
    name: str, record: Callable[..., Record], a_run: Callable[..., Run], tmp_path: Path
) -> None:
    """Quoting is the csv module's, so no name breaks a row."""
    (row,) = rows(a_run([record(name)]), tmp_path)
    assert row["method"] == name


# ----------------------------------------------------------------------------------------------------- scores.csv


def test_every_score_of_every_cell_is_a_row_with_all_that_is_known_of_it(quick_run: Run, tmp_path: Path) -> None:
    """Value, standard error, both ends of the interval and the floor read back exactly; what is not known is empty."""
    found = {(row["id"], row["score"]): row for row in rows(quick_run, tmp_path, "scores.csv")}
    expected = {(record.id, score.name): score for record in quick_run.records for score in record.scores}
    assert len(expected) == 34 * 16
    assert found.keys() == expected.keys()
    for key, score in expected.items():
        row = found[key]
        low, high = score.interval or (None, None)
        numbers = {"value": score.value, "standard_error": score.standard_error, "floor": score.floor}
        numbers |= {"interval_low": low, "interval_high": high}
        for name, value in numbers.items():
            assert (float(row[name]) if row[name] else None) == value, (key, name)
        counts = [int(row[name]) for name in ("n_generated", "n_reference", "n_train")]
        assert counts == [score.n_generated, score.n_reference, score.n_train]
        assert (row["undefined"], row["interval_method"], row["note"]) == (score.undefined, score.method, score.note)


def test_the_scores_of_a_cell_stand_in_one_order(
    record: Callable[..., Record], a_run: Callable[..., Run], tmp_path: Path
) -> None:
    """That of the tables, unknown ones last, whatever the record's; a failed cell has none."""
    names = ["own", "vendi_score", "kid", "precision", "fid"]
    scores = [Score(name=name, value=0.5, n_generated=6, n_reference=7, protocol="lite0@96") for name in names]
    run = a_run([record(scores=scores), record("vae", status=Status.OOM)])
    found = rows(run, tmp_path, "scores.csv")
    assert [row["score"] for row in found] == ["fid", "kid", "precision", "vendi_score", "own"]
    assert {(row["method"], row["data_budget"], row["seed"], row["protocol"]) for row in found} == {
        ("finetune", "25", "0", "lite0@96")
    }


def test_words_of_a_score_stay_on_one_line_and_name_no_folder(
    record: Callable[..., Record], a_run: Callable[..., Run], tmp_path: Path
) -> None:
    """Reasons and notes may come from anywhere."""
    score = Score(
        name="own",
        value=None,
        undefined='no "weights",\nlooked in /home/someone/weights.pt',
        note="a\nb",
        n_generated=6,
        n_reference=7,
        protocol="lite0@96",
    )
    (row,) = rows(a_run([record(scores=[score])]), tmp_path, "scores.csv")
    assert (row["undefined"], row["note"]) == ('no "weights", looked in …/weights.pt', "a b")
    assert row["value"] == row["interval_low"] == row["floor"] == ""
