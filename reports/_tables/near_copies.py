"""Rows whose scores of memorisation speak of copies: what a table and the page say of them in words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from graftbench.metrics.near_copies import near_copies

from .numbers import finite

if TYPE_CHECKING:
    from graftbench.records.record import Record

    from .groups import Row


def note_on_copies(row: Row) -> str:
    """Write the footnote of a competing row of which a cell that ended well is near copies; else empty.

    The words are those of the first such cell: another seed has other numbers and the same meaning.
    """
    if row.is_reference:
        return ""
    notes = list(filter(None, map(_of_cell, row.ok)))
    if not notes:
        return ""
    if len(row.ok) == 1:
        return f"{notes[0][0].upper()}{notes[0][1:]}."
    said = notes[0].replace(":", f" in {len(notes)} of {len(row.ok)} trainings:", 1)
    share = share_of_copies(row)
    if share is not None:  # other trainings have other shares
        said = re.sub(r"\d+ % of them are", f"up to {100 * share:.0f} % of them are", said)
    return f"{said[0].upper()}{said[1:]}."


def share_of_copies(row: Row) -> float | None:
    """Return the largest share of copies of the cells of a row that are near copies; None where it is not known."""
    shares = [
        share
        for record in row.ok
        if _of_cell(record) and (score := record.score("copies")) is not None
        if (share := finite(score.value)) is not None
    ]
    return max(shares, default=None)


def _of_cell(record: Record) -> str:
    scores = {score.name: score for score in record.scores}
    z, share, copies = (scores.get(name) for name in ("copying_z", "authpct", "copies"))
    return near_copies(
        None if z is None else finite(z.value),
        None if share is None else finite(share.value),
        None if share is None else finite(share.floor),
        n_generated=0 if share is None else share.n_generated,
        n_reference=max((score.n_reference for score in record.scores), default=0),
        copies=None if copies is None else finite(copies.value),
        least_copies=0.0 if copies is None or copies.interval is None else copies.interval[0],
    )
