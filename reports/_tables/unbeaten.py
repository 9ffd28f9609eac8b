"""Rows that show nothing learnt: their KID is not below that of white or source images, or of where they started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.comparison.nothing_learnt import BLANK, SOURCE_IMAGES, beats

from .numbers import KID
from .text import listing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .groups import Group, Row

_IMAGES = {BLANK: "white images", SOURCE_IMAGES: "untouched images of the source"}
"""Method of a reference row -> what its images are; of all others they are those of a source model."""


def unbeaten(group: Group, row: Row) -> list[str]:
    """Return the names of `blank`, `source-images` and, of a transfer, its source model, as far as it beats them not.

    It beats one by a lower mean KID over the seeds that both have. They are looked for in the row's own group, at its
    own data budget; one that was not run there, or has no seed in common with the row, is not named. The row of another
    source model than the one that a method started from says nothing on it.
    """
    if row.is_reference:
        return []
    kids = row.by_seed(KID)
    references = {each.method: each for each in group.references if each.data_budget == row.data_budget}
    own = group.own_source(row) if row.is_transfer else None
    yardsticks = [*(references[name] for name in _IMAGES if name in references), *([own] if own else [])]
    return [each.method for each in yardsticks if beats(kids, each.by_seed(KID)) is False]


def note_on(names: Sequence[str]) -> str:
    """Write the footnote of a row that does not beat these rows."""
    others = listing([f"{_IMAGES.get(name, 'the generator before the transfer')} ({name})" for name in names])
    return f"Does not beat {others}: its mean KID over the seeds that both have is not lower."
