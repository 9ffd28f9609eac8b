"""results.csv: one row a cell; scores.csv: one row a score of a cell; every float at full precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graftbench.comparison.table import columns, row, score_names
from graftbench.contracts import Report

from ._tables.groups import groups
from ._tables.numbers import finite
from ._tables.text import csv_text, one_line, shorten_paths

if TYPE_CHECKING:
    from pathlib import Path

    from graftbench.records.record import Record
    from graftbench.records.run import Run

SCORE_COLUMNS = (
    *("id", "method", "family", "task", "data_budget", "compute_budget", "seed", "protocol"),
    *("score", "value", "undefined", "standard_error", "interval_low", "interval_high", "interval_method", "floor"),
    *("n_generated", "n_reference", "n_train", "note"),
)
"""Columns of scores.csv: the cell, then the fields of `graftbench.records.record.Score`."""


class Csv(Report):
    """One row a cell, failed ones included, and one row a score with its interval, its floor and its note.

    An empty field is a value that was not measured, is undefined or is not known. Floats are the shortest decimals that
    read back as the same float64. KID is as computed, not ×10³.
    """

    name = "csv"
    title = "One row a cell, one row a score, full precision"
    formats = (".csv",)
    on_request = ("scores.csv",)

    def write(self, run: Run, out: Path) -> list[Path]:
        """Write results.csv and scores.csv."""
        ordered = [record for group in groups(run) for record in group.records]
        cells = [row(record) for record in ordered]
        tidy = [values | {"reason": _text(values["reason"])} for values in cells]
        scores = [values for record in ordered for values in score_rows(record)]
        tables = {"results.csv": csv_text(columns(ordered), tidy), "scores.csv": csv_text(SCORE_COLUMNS, scores)}
        for name, text in tables.items():
            (out / name).write_text(text, encoding="utf-8", newline="")
        return [out / name for name in tables]


def score_rows(record: Record) -> list[dict[str, Any]]:
    """Return the scores of a cell as column -> value, in the tables' order; none for a cell without scores."""
    cell = row(record)
    shared = {name: cell[name] for name in SCORE_COLUMNS[: SCORE_COLUMNS.index("score")]}
    order = score_names(score.name for score in record.scores)
    return [
        shared
        | {
            "score": score.name,
            "value": finite(score.value),
            "undefined": _text(score.undefined),
            "standard_error": finite(score.standard_error),
            "interval_low": None if score.interval is None else finite(score.interval[0]),
            "interval_high": None if score.interval is None else finite(score.interval[1]),
            "interval_method": _text(score.method),
            "floor": finite(score.floor),
            "n_generated": score.n_generated,
            "n_reference": score.n_reference,
            "n_train": score.n_train,
            "note": _text(score.note),
        }
        for score in sorted(record.scores, key=lambda score: order.index(score.name))
    ]


def _text(text: str) -> str:
    return shorten_paths(one_line(text))
