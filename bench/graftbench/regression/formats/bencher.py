"""Bencher Metric Format (BMF): benchmark -> measure -> value of the new run."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from graftbench.regression.measures import MEASURES

if TYPE_CHECKING:
    from graftbench.regression.results import Comparison


def render(found: Comparison) -> str:
    """Render an object of objects; values in the printed scale, measures by their names with `-` (Bencher's slugs)."""
    told: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    for row in found.rows:
        if row.new is not None:
            value = row.new * MEASURES[row.measure].scale
            told[row.subject][row.measure.replace("_", "-")] = {"value": value}
    return msgspec.json.format(msgspec.json.encode(told)).decode() + "\n"
