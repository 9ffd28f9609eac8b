"""Which methods a figure draws where there are more than a reader can tell apart. Tables have them all."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from .._tables.numbers import KID
from .._tables.text import listing, plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .._tables.groups import Group, Row

MOST_METHODS = 40
"""Lines with colour, marker and name of their own that still fit on a page; the looks would reach for 256."""
MOST_REFERENCES = 12


def drawn(group: Group) -> Group:
    """Return the group with the rows that figures draw: of many methods the best by KID, and the first reference rows.

    The order is that of the mean place over the data budgets; a method without a KID at one of them is last there. Of
    equal ones the name decides.
    """
    methods, references = _best(group.methods, MOST_METHODS), _best(group.references, MOST_REFERENCES)
    if len(methods) + len(references) == len({(row.is_reference, row.label) for row in group.rows}):
        return group
    rows = (row for row in group.rows if row.label in (references if row.is_reference else methods))
    return replace(group, rows=tuple(rows))


def _best(rows: Sequence[Row], most: int) -> set[str]:
    """Return the labels of the `most` best rows."""
    labels = {row.label for row in rows}
    if len(labels) <= most:
        return labels
    budgets = {row.data_budget for row in rows}
    ranks: Counter[str] = Counter(dict.fromkeys(labels, len(budgets) * len(labels)))
    for budget in budgets:
        means = [(s.mean, row.label) for row in rows if row.data_budget == budget and (s := row.summary(KID))]
        for rank, (_, label) in enumerate(sorted(means)):
            ranks[label] += rank - len(labels)
    return set(sorted(labels, key=lambda label: (ranks[label], label))[:most])


def left_out(group: Group) -> str:
    """Say what no figure draws, to go on after "Not drawn: "; empty where all is drawn.

    `1,960 of 2,000 methods, behind the others by KID over the data budgets (the tables have them)`.
    """
    parts = []
    drawn_group = drawn(group)
    rows = {"method": (group.methods, drawn_group.methods), "reference row": (group.references, drawn_group.references)}
    for noun, (whole, drawn_rows) in rows.items():
        labels = {row.label for row in whole}
        if missing := labels - {row.label for row in drawn_rows}:
            parts.append(f"{len(missing):,} of {plural(len(labels), noun)}")
    return f"{listing(parts)}, behind the others by KID over the data budgets (the tables have them)" if parts else ""


def drawable(groups: Iterable[Group]) -> list[Group]:
    """Return each group as figures draw it: what a figure for many groups takes in place of the groups."""
    return [drawn(group) for group in groups]
