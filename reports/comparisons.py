"""comparisons.md and comparisons.csv: each method against a baseline, ranks over tasks, curves over data budgets."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from graftbench.contracts import Report

if TYPE_CHECKING:
    from pathlib import Path

    from graftbench.records.run import Run


class Comparisons(Report):
    """Each method against a baseline on the same seeds, and over tasks and data budgets: how much, how sure, in words.

    The baseline is a method trained from scratch, else the best; `graftbench.comparison.methods.compare_methods` takes
    another. comparisons.csv has every number at full precision, scores as computed (KID is not ×10³).
    """

    name = "comparisons"
    title = "Comparisons with a baseline, over tasks and over data budgets"
    formats = (".md", ".csv")

    def write(self, run: Run, out: Path) -> list[Path]:
        """Write comparisons.md and comparisons.csv."""
        from ._tables.comparisons_text import COLUMNS, make  # noqa: PLC0415 - scipy.stats, which listing reports does not need

        text, rows = make(run)
        table = io.StringIO()
        writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        paths = [out / "comparisons.md", out / "comparisons.csv"]
        for path, content in zip(paths, (text, table.getvalue()), strict=True):
            path.write_text(content, encoding="utf-8", newline="")
        return paths
