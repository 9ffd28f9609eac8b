"""Rows that show nothing learnt: their KID is not below that of white or source images, or of where they started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.comparison.nothing_learnt import BLANK, SOURCE, SOURCE_IMAGES, beats

from .numbers import KID
from .text import listing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .groups import Group, Row

_YARDSTICKS = {
    BLANK: "white images (blank)",
    SOURCE_IMAGES: "untouched images of the source (source-images)",
    SOURCE: "the generator before the transfer (source)",
}
"""Method of a reference row -> what its images are."""


def unbeaten(group: Group, row: Row) -> list[str]:
    """Return the names of `blank`, `source-images` and, of a transfer, `source` as far as a row does not beat them.

    It beats one by a lower mean KID over the seeds that both have. They are looked for in the row's own group, at its
    own data budget; one that was not run there, or has no seed in common with the row, is not named. `source` says
    nothing on a row that started from another source model.
    """
    if row.is_reference:
        return []
    kids = row.by_seed(KID)
    yardsticks = {
        reference.method: reference.by_seed(KID)
        for reference in group.references
        if reference.method in _YARDSTICKS and reference.data_budget == row.data_budget
        if reference.method != SOURCE or (row.is_transfer and not row.started_elsewhere(reference))
    }
    return [name for name in _YARDSTICKS if name in yardsticks and beats(kids, yardsticks[name]) is False]


def note_on(names: Sequence[str]) -> str:
    """Write the footnote of a row that does not beat these rows."""
    others = listing([_YARDSTICKS[name] for name in names])
    return f"Does not beat {others}: its mean KID over the seeds that both have is not lower."
