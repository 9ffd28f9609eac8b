"""JSON for github-action-benchmark, tool `customSmallerIsBetter`: the new run's values where lower is better.

Its data format is an array of {name, unit, value, range, extra}, the last two optional: `range` is that of a value,
while our interval is one of a change and stands in `extra`. One array has one direction, so what is better higher
stands in a file of its own (`action-benchmark-bigger`, tool `customBiggerIsBetter`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from graftbench.regression.formats._words import change
from graftbench.regression.measures import GATED

if TYPE_CHECKING:
    from graftbench.regression.results import Comparison, GateRow


def render(comparison: Comparison, better: Literal[-1, 1] = -1) -> str:
    """Render an array with one object a row."""
    chosen = [row for row in comparison.rows if GATED[row.measure].better == better and row.new is not None]
    return msgspec.json.format(msgspec.json.encode([_entry(row) for row in chosen])).decode() + "\n"


def _entry(row: GateRow) -> dict[str, str | float]:
    measure = GATED[row.measure]
    assert row.new is not None
    return {
        "name": f"{row.subject}: {measure.label}",
        "unit": measure.unit or measure.label,
        "value": row.new * measure.scale,
        "extra": f"{row.verdict}: {change(row)}; {row.pairs} pairs",
    }
