"""The page's first answer: who ranks where by KID at each data budget, and what the seeds settle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._tables.numbers import DASH, KID, decimals, number
from .._tables.scores import column, ranked_rows
from .._tables.text import listing
from .._tables.unbeaten import unbeaten

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
        interval: Student's 95 % interval of the mean over seeds, as printed; of two seeds, which make a useless one,
            both values; a dash with one seed.
        low: Its lower end; None with one seed.
        seeds: Number of seeds with a KID.
        open: Whether the seeds leave open that it is as good as the first (`Column.is_worse`); False for the first.
        unbeaten: The reference rows `blank` and `source-images` as far as it does not beat them.
    """

    rank: int
    label: str
    kid: float
    kid_text: str
    interval: str
    low: float | None
    seeds: int
    open: bool
    unbeaten: str = ""


@dataclass(frozen=True)
class PageRanking:
    """The methods at one data budget, best KID first.

    Attributes:
        data_budget: Target training images.
        places: At most `SHOWN`.
        more: How many further methods have a KID.
        unranked: How many methods have none, have too few seeds, or look at the scoring network.
        undecided: That seeds are too few to tell any of them apart, in a sentence; then no place is marked open. Empty
            where some can be.
    """

    data_budget: int
    places: tuple[Place, ...]
    more: int
    unranked: int
    undecided: str = ""


def rankings(group: Group) -> tuple[PageRanking, ...]:
    """Rank the methods at each data budget that a method ran with; nothing where nothing can be ranked."""
    if group.too_few:
        return ()
    return tuple(_ranking(group, budget) for budget in group.method_budgets)


def _ranking(group: Group, budget: int) -> PageRanking:
    rows = group.methods_at(budget)
    ranked = ranked_rows(rows)
    digits = decimals([summary.mean for _, summary in ranked])
    standings = column([row for row, _ in ranked], KID)
    undecided = standings.undecided(budget)
    places = []
    for row, summary in ranked[:SHOWN]:
        rank = 1 + sum(better.mean < summary.mean for _, better in ranked)
        is_open = row is not ranked[0][0] and not undecided and not standings.is_worse(row)
        low, interval = _spread(row, summary, digits)
        kid = number(summary.mean, digits)
        not_beaten = listing(unbeaten(group, row))
        places.append(Place(rank, row.label, summary.mean, kid, interval, low, summary.n, is_open, not_beaten))
    return PageRanking(budget, tuple(places), len(ranked) - len(places), len(rows) - len(ranked), undecided)


def _spread(row: Row, summary: SeedSummary, digits: int) -> tuple[float | None, str]:
    """Return the lower end of what is known of the spread over seeds, and the text of it."""
    if summary.interval is None:
        return None, DASH
    if summary.n == 2:
        low, high = sorted(row.by_seed(KID).values())
        return low, f"{number(low, digits)} and {number(high, digits)}"
    ends = summary.interval
    return ends.low, f"{number(ends.low, digits)} to {number(ends.high, digits)}"
