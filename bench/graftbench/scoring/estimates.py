"""An estimate as a record keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.records.record import Score

if TYPE_CHECKING:
    from graftbench.metrics.estimate import Estimate


def score_of(estimate: Estimate, protocol_label: str, *, name: str = "", floor: float | None = None) -> Score:
    """Return a score, under another name if one is given."""
    own = ("name", "floor", "protocol")
    shared = {field: getattr(estimate, field) for field in Score.__struct_fields__ if field not in own}
    return Score(name=name or estimate.name, floor=floor, protocol=protocol_label, **shared)
