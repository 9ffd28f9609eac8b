"""comparisons.md and comparisons.csv: each method against a baseline, ranks over tasks, curves over data budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.contracts import Report

from ._tables.text import csv_text

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
    on_request = ("*",)

    def write(self, run: Run, out: Path) -> list[Path]:
        """Write comparisons.md and comparisons.csv."""
        from ._tables.comparisons_text import COLUMNS, write_comparisons  # noqa: PLC0415 - imports scipy.stats

        text, rows = write_comparisons(run)
        contents = {"comparisons.md": text, "comparisons.csv": csv_text(COLUMNS, rows)}
        for name, content in contents.items():
            (out / name).write_text(content, encoding="utf-8", newline="")
        return [out / name for name in contents]
