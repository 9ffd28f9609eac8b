"""results.csv: one row a cell, every float at full precision."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from graftbench.contracts import Report, Run
from graftbench.frame import columns, row

from ._groups import groups
from ._text import one_line, shorten_paths

if TYPE_CHECKING:
    from pathlib import Path


class Csv(Report):
    """One row a cell, failed ones included; an empty field is a value that was not measured or is undefined.

    Floats are the shortest decimals that read back as the same float64. KID is as computed, not ×10³.
    """

    name = "csv"
    title = "One row a cell, full precision"

    def write(self, run: Run, out: Path) -> list[Path]:
        """Write results.csv."""
        ordered = [record for group in groups(run) for record in group.records]
        text = io.StringIO()
        writer = csv.DictWriter(text, columns(ordered), lineterminator="\n")
        writer.writeheader()
        for record in ordered:
            values = row(record)
            writer.writerow(values | {"reason": shorten_paths(one_line(values["reason"]))})
        path = out / "results.csv"
        path.write_text(text.getvalue(), encoding="utf-8", newline="")
        return [path]
