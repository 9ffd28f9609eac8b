"""Bencher Metric Format (BMF): benchmark -> measure -> value of the new run."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from graftbench.regression.measures import GATED

if TYPE_CHECKING:
    from graftbench.regression.results import Comparison


def render(comparison: Comparison) -> str:
    """Render an object of objects; values in the printed scale, measures by their names with `-` (Bencher's slugs)."""
    measures: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    for row in comparison.rows:
        if row.new is not None:
            value = row.new * GATED[row.measure].scale
            measures[row.subject][row.measure.replace("_", "-")] = {"value": value}
    return msgspec.json.format(msgspec.json.encode(measures)).decode() + "\n"
