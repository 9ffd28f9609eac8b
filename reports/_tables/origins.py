"""Marks of rows that others made and of costs that were declared, and the sentences that explain them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.records.provenance import FOREIGN, HANDED_IN, SAYS, declared_by

from .text import listing, plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graftbench.records.cell_spec import Origin

    from .groups import Row

ROW_MARKS: dict[Origin, str] = {HANDED_IN: "s", FOREIGN: "c"}
"""Origin -> what stands after a row's name."""
DECLARED_MARK = "d"
"""Mark after a cost of which at least one seed's was declared."""


def row_mark(row: Row) -> str:
    """Return `s`, `c`, or nothing for a row that the suite fitted itself."""
    return ROW_MARKS.get(row.origin, "")


def first_mark(rows: Iterable[Row]) -> str:
    """Return the mark of the first of the rows that has one, or nothing."""
    return next(filter(None, map(row_mark, rows)), "")


def legend(rows: Iterable[Row], costs: Sequence[str] = ()) -> tuple[str, ...]:
    """Return a sentence for each mark that a table of these rows has.

    Args:
        rows: Of the table.
        costs: Fields of the resources that it shows.
    """
    rows = list(rows)
    origins = {row.origin for row in rows}
    sentences = [f"{mark}: {SAYS[origin]}." for origin, mark in ROW_MARKS.items() if origin in origins]
    declaring = [record for row in rows for name in costs for record in row.declared(name)]
    return (*sentences, *([f"{DECLARED_MARK}: {declared_by(declaring)}."] if declaring else []))


def made_elsewhere(rows: Iterable[Row]) -> list[str]:
    """Return a sentence an origin that names its methods, for tables whose names have no marks."""
    rows = list(rows)
    sentences = []
    for origin in ROW_MARKS:
        names = sorted({row.label for row in rows if row.origin == origin})
        if names:
            sentences.append(f"{SAYS[origin][0].upper()}{SAYS[origin][1:]}: {listing(names)}.")
    return sentences


def partly_declared(row: Row, name: str) -> str:
    """Return `1 of 2 seeds` where some of the row's cells declared a cost and others measured it, else empty."""
    summary, declared = row.cost(name), len(row.declared(name))
    if summary is None or declared in (0, summary.n):
        return ""
    return f"{declared} of {plural(summary.n, 'seed')}"


def partly_declared_note(rows: Iterable[Row], costs: Iterable[str]) -> list[str]:
    """Name the methods of which some seeds declared a cost and others measured it: one sentence or none."""
    names = list(costs)
    labels = sorted({row.label for row in rows if any(partly_declared(row, name) for name in names)})
    return [f"Of some seeds declared and of others measured: {listing(labels)}."] if labels else []


def declared_cost_notes(rows: Iterable[Row], costs: Mapping[str, str]) -> list[str]:
    """Say under a figure of costs whose are declared, and of whom some are declared and some measured.

    Args:
        rows: Drawn in it.
        costs: Field of the resources -> what the figure calls it.
    """
    rows = list(rows)
    declared: dict[str, dict[str, None]] = {}
    for row in sorted(rows, key=lambda row: row.label):
        for name, words in costs.items():
            if row.declared(name):
                declared.setdefault(row.label, {})[words] = None
    if not declared:
        return []
    whose = listing([f"{label} ({listing(list(words))})" for label, words in declared.items()])
    says = declared_by(record for row in rows if row.label in declared for record in row.ok)
    return [
        f"Hollow, or in words beyond the scale of what was measured: {whose}, {says}.",
        *partly_declared_note(rows, costs),
    ]
