"""The page's first answer: who ranks where by KID at each data budget, and what the seeds settle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._tables.numbers import DASH, KID, decimals, number
from .._tables.scores import column, told_apart, untold_by

if TYPE_CHECKING:
    from graftbench.comparison.stats import SeedSummary

    from .._tables.groups import Group, Row

SHOWN = 12
"""Most rows of one ranking; the table of scores below has all."""


@dataclass(frozen=True)
class Place:
    """One row of a ranking.

    Attributes:
        rank: From 1; rows of equal KID share it.
        label: Whose place it is.
        kid: Mean KID×10³ over seeds.
        kid_text: As printed.
        interval: Student's 95 % interval of the mean over seeds, as printed; a dash with one seed.
        low: Its lower end; None with one seed.
        seeds: Number of seeds with a KID.
        open: Whether the seeds leave open that it is as good as the first (`_scores.told_apart`); False for the first.
    """

    rank: int
    label: str
    kid: float
    kid_text: str
    interval: str
    low: float | None
    seeds: int
    open: bool


@dataclass(frozen=True)
class PageRanking:
    """The methods at one data budget, best KID first.

    Attributes:
        data_budget: Target training images.
        places: At most `SHOWN`.
        more: How many further methods have a KID.
        unranked: How many methods have none, or look at the scoring network.
        untold: That seeds are too few to tell any of them apart, in a sentence; then no place is marked open. Empty
            where some can be.
    """

    data_budget: int
    places: tuple[Place, ...]
    more: int
    unranked: int
    untold: str = ""


def rankings(group: Group) -> tuple[PageRanking, ...]:
    """One a data budget that a method ran with."""
    return tuple(_ranking(group, budget) for budget in sorted({row.data_budget for row in group.methods}))


def ranked_rows(group: Group, data_budget: int) -> list[tuple[Row, SeedSummary]]:
    """Return the methods that compete at a data budget, best KID first, each with its KID×10³ over seeds."""
    rows = [row for row in group.methods if row.data_budget == data_budget and not row.leaks]
    found = [(row, summary) for row in rows if (summary := row.summary(KID)) is not None]
    return sorted(found, key=lambda pair: (pair[1].mean, pair[0].label))


def _ranking(group: Group, budget: int) -> PageRanking:
    found = ranked_rows(group, budget)
    places = decimals([summary.mean for _, summary in found])
    rows = [row for row, _ in found]
    there = column(rows, KID)
    untold = untold_by(there, budget)
    shown = tuple(
        _place(row, summary, found, places, is_open=row is not rows[0] and not (untold or told_apart(rows, there, row)))
        for row, summary in found[:SHOWN]
    )
    everyone = sum(row.data_budget == budget for row in group.methods)
    return PageRanking(budget, shown, len(found) - len(shown), everyone - len(found), untold)


def _place(
    row: Row, summary: SeedSummary, found: list[tuple[Row, SeedSummary]], places: int, *, is_open: bool
) -> Place:
    interval = summary.interval
    return Place(
        rank=1 + sum(other.mean < summary.mean for _, other in found),
        label=row.label,
        kid=summary.mean,
        kid_text=number(summary.mean, places),
        interval=DASH if interval is None else f"{number(interval.low, places)} to {number(interval.high, places)}",
        low=None if interval is None else interval.low,
        seeds=summary.n,
        open=is_open,
    )
