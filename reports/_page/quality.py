"""What a quality costs, as the page shows it: the tables of `graftbench time-to-quality`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from graftbench.comparison.quality_text import EXPLANATION, headings, quantities, remarks
from graftbench.comparison.time_to_quality import quality_tables

from .._tables.text import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.records.record import Record


class QualityCosts(NamedTuple):
    """The tables of one task, number of images and budget: a title, headings, (quantity, rows) and sentences."""

    title: str
    headings: list[str]
    quantities: list[tuple[str, list[list[str]]]]
    remarks: list[str]


class PageQuality(NamedTuple):
    """All tables, none where no fit was looked at on the way, and how they are read."""

    tables: list[QualityCosts]
    explanation: str


def quality_of(records: Sequence[Record]) -> PageQuality:
    """Make the tables of a run."""
    tables = [
        QualityCosts(one_line(table.title), headings(table), quantities(table, None), remarks(table))
        for table in quality_tables(records).tables
    ]
    return PageQuality(tables, EXPLANATION.replace("`", ""))
