"""One task at one number of training images: the verdict, samples beside the ranking, costs, memorisation, truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .._tables.finding import ORACLE, verdict
from .._tables.groups import several_devices_note
from .._tables.near_copies import note_on_copies
from .._tables.numbers import KID
from .._tables.scores import column, ranked_rows
from .._tables.text import listing, plural
from .._tables.unbeaten import unbeaten
from .dot_charts import dot_chart, memorization, seconds, truth, why_without
from .plot_charts import data_curves, pareto, training_curves
from .words import REFERENCES, compared

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .._tables.finding import Pieces
    from .._tables.groups import Group, Row
    from .dots import DotChart, DotRow
    from .pictures import Picture, Pictures
    from .plots import LineChart
    from .row_keys import Key

SHOWN = 12
"""Methods of a ranking that stand on the page; the others are folded."""


@dataclass(frozen=True)
class Place:
    """One row of the ranking.

    Attributes:
        rank: `1`, `2`, …; empty for what is not ranked.
        dots: Its score.
        picture: Its samples.
        words: What a reference row is; empty for a method.
        key: What the script filters it by; None of a row without cells.
        is_open: Whether the seeds leave open that it is as good as the first.
    """

    rank: str
    dots: DotRow
    picture: Picture
    words: str
    key: Key | None
    is_open: bool = False


@dataclass(frozen=True)
class PageSetting:
    """All that the page shows of one task at one number of training images.

    Attributes:
        anchor: Id of its heading.
        budget: Target training images.
        title: Its heading.
        short: The same where it is chosen: task, images.
        first: Label of the first method; empty where none is ranked.
        compared: What is compared, in two sentences.
        verdict: At most two sentences.
        places: The ranking: real images, methods by rank, other reference rows.
        more: Further methods, folded.
        ranking: The ranking's axis and lines.
        caption: How to read the ranking.
        undecided: That seeds are too few to tell any of the methods apart; empty where some can be.
        on_the_way: Plots of KID at the snapshots of the trainings.
        seconds: What the trainings took.
        pareto: KID against seconds; None where nothing was measured.
        untimed: Whose seconds have no mean, as its trainings ran on devices of several kinds; empty where none has.
        memorization: Distances to training images and shares of copies, by the score's name; none where unknown.
        near_copies: Labels of methods whose images are near copies, each with what says so.
        truth: Charts of known factors, each with what it counts.
        over_budgets: Plots of KID against training images.
    """

    anchor: str
    budget: int
    title: str
    short: tuple[str, str]
    first: str
    compared: str
    verdict: tuple[Pieces, ...]
    places: tuple[Place, ...]
    more: tuple[Place, ...]
    ranking: DotChart
    caption: str
    undecided: str
    on_the_way: tuple[LineChart, ...]
    seconds: DotChart | None
    pareto: LineChart | None
    untimed: str
    memorization: dict[str, DotChart]
    near_copies: tuple[tuple[str, str], ...]
    truth: tuple[tuple[str, DotChart], ...]
    over_budgets: tuple[LineChart, ...] = ()

    @property
    def has_pictures(self) -> bool:
        """Return whether any row has samples; else one sentence says that none has."""
        return any(place.picture.uri for place in (*self.places, *self.more))

    @property
    def curves(self) -> tuple[LineChart, ...]:
        """Return all learning curves."""
        return (*self.over_budgets, *self.on_the_way)


@dataclass(frozen=True)
class Heading:
    """What a group is called: the beginning of its ids, its heading, and its task where it is chosen."""

    anchor: str
    title: str
    short: str


def settings(
    group: Group, heading: Heading, keys: Mapping[tuple[str, int], Key], pictures: Pictures
) -> tuple[PageSetting, ...]:
    """Make one setting a data budget that a method, or else any row, ran with.

    Args:
        group: The rows.
        heading: What it is called.
        keys: (label, data budget) -> what a row is filtered by.
        pictures: Makes the samples.
    """
    over_budgets = data_curves(group)
    return tuple(
        replace(_setting(group, budget, heading, keys, pictures), over_budgets=over_budgets)
        for budget in group.method_budgets or group.budgets
    )


def _setting(
    group: Group,
    budget: int,
    heading: Heading,
    keys: Mapping[tuple[str, int], Key],
    pictures: Pictures,
) -> PageSetting:
    # Rows: ranked methods, methods without a rank, reference rows.
    methods = group.methods_at(budget)
    ranked = [] if group.too_few else [row for row, _ in ranked_rows(methods)]
    others = [row for row in methods if row not in ranked]
    order = list(REFERENCES)
    references = sorted(
        (row for row in group.references if row.data_budget == budget),
        key=lambda row: (order.index(row.method) if row.method in order else len(order), row.label),
    )
    # The ranking: its places with samples, and how sure it is.
    chart = _ranking(group, ranked, others, references)
    standings = column(ranked, KID)
    undecided = standings.undecided(budget) if ranked else ""
    unsure = {id(row) for row in ranked[1:] if not undecided and not standings.is_worse(row)}
    ranks = _ranks(ranked)
    places = [
        Place(
            rank=ranks.get(id(dots.row), ""),
            dots=dots,
            picture=pictures.of(dots.row),
            words=REFERENCES.get(dots.row.method, ("", "a row for comparison"))[1] if dots.row.is_reference else "",
            key=keys.get((dots.row.label, budget)),
            is_open=id(dots.row) in unsure,
        )
        for dots in chart.rows
    ]
    folded = {id(row) for row in [*ranked, *others][SHOWN:]}
    return PageSetting(
        anchor=f"{heading.anchor}-n{budget}",
        budget=budget,
        title=f"{heading.title}, {plural(budget, 'training image')}",
        short=(heading.short, plural(budget, "image")),
        first=ranked[0].label if ranked else "",
        compared=compared(group, budget),
        verdict=verdict(group, budget),
        places=tuple(place for place in places if id(place.dots.row) not in folded),
        more=tuple(place for place in places if id(place.dots.row) in folded),
        ranking=chart,
        caption=_caption(group, [*ranked, *others]),
        undecided=undecided,
        on_the_way=training_curves(methods),
        seconds=seconds(methods),
        pareto=pareto(methods),
        untimed=several_devices_note(methods),
        memorization=memorization(methods, references),
        near_copies=tuple((row.label, said) for row in methods if (said := note_on_copies(row))),
        truth=truth([*ranked, *others], references),
    )


def _ranks(ranked: Sequence[Row]) -> dict[int, str]:
    """Return id of a row -> its rank; rows of equal KID share one."""
    means = {id(row): summary.mean for row in ranked if (summary := row.summary(KID)) is not None}
    return {row: str(1 + sum(other < mean for other in means.values())) for row, mean in means.items()}


# ------------------------------------------------------------------------------------------------------- the ranking


def _ranking(group: Group, ranked: Sequence[Row], others: Sequence[Row], references: Sequence[Row]) -> DotChart:
    """Draw KID of methods by rank between real images and the other reference rows, whose means are lines."""
    first = [row for row in references if row.method == ORACLE]
    rest = [row for row in references if row.method != ORACLE]
    lines = {REFERENCES.get(row.method, (row.label,))[0]: s.mean for row in references if (s := row.summary(KID))}
    notes = {id(row): _note(group, row) for row in (*ranked, *others)}
    notes |= {id(row): _not_ranked(group, row) for row in others}
    return dot_chart([*first, *ranked, *others, *rest], KID, lines, notes)


def _note(group: Group, row: Row) -> str:
    """Say what the rank alone hides: that the row beats nothing that learnt nothing, that it copies, what failed."""
    names = [REFERENCES[name][1] for name in unbeaten(group, row)]
    parts = [f"does not beat {listing(names)}"] if names else []
    parts += ["near copies of training images: see Memorisation"] if note_on_copies(row) else []
    if len(row.ok) < len(row.records) + row.missing:
        parts.append(row.outcome)
    return "; ".join(parts)


def _not_ranked(group: Group, row: Row) -> str:
    """Say why a method has no rank."""
    if group.too_few:
        return _note(group, row)
    if row.leaks:
        return "not ranked: it was trained with the network that scores it"
    if not row.ok:
        return f"not ranked: {row.outcome}"
    if row.summary(KID) is None:
        return f"not ranked: {why_without(row, KID)}"
    return f"not ranked: too few of its trainings ended well ({row.outcome})"


def _caption(group: Group, methods: Sequence[Row]) -> str:
    """Say what the ranking shows and how its marks are read."""
    generated, reference = (max(counts, default=0) for counts in (group.n_generated, group.n_reference))
    sizes = f" on {generated:,} generated and {reference:,} real images" if generated and reference else ""
    seeds = max((len(row.by_seed(KID)) for row in methods), default=0)
    spread = "" if seeds < 2 else " Small dots are single trainings, the large mark their mean."
    if seeds > 2:
        spread += " The bar is the 95 % interval of the mean."
    return (
        "KID×10³ is the distance between generated and real images as a pretrained image network sees them, measured"
        f"{sizes}: lower is better, about 0 is no difference.{spread} Dashed lines and grey rows are for "
        "comparison and are not ranked."
    )
