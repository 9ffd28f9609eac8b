"""Cells that did not end well, and why, in lines below a table."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from graftbench.records.record import Status

from .text import one_line, plural, shorten_paths

if TYPE_CHECKING:
    from .groups import Group


def failures(group: Group) -> list[str]:
    """Say why cells failed, each reason once: `error: CUDA is gone (dcgan: 2 cells; vae: 1 cell)`."""
    reasons: dict[str, Counter[str]] = {}
    for row in group.rows:
        for record in row.records:
            if record.status != Status.OK:
                said = shorten_paths(one_line(record.reason)) or "no reason was recorded"
                reasons.setdefault(f"{record.status}: {said.rstrip('.')}", Counter())[row.label] += 1
    lines = []
    for reason, cells in reasons.items():
        counts = "; ".join(f"{label}: {plural(count, 'cell')}" for label, count in cells.items())
        lines.append(f"{reason} ({counts}).")
    return lines
