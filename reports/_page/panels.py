"""The page's tables of scores: what their columns say, and the intervals beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._tables.numbers import DASH, finite, number
from .._tables.scores import PanelTable, ScoreTable, places_of

if TYPE_CHECKING:
    from graftbench.metrics.catalogue import Metric

    from .._tables.groups import Group, Row


@dataclass(frozen=True)
class IntervalCell:
    """Two 95 % intervals as text: of the mean over seeds, and within one cell. Empty where there is none.

    Without either, `none` says why. `low` is the lower end of that over seeds, by which the page sorts.
    """

    low: float | None = None
    seeds: str = ""
    within: str = ""
    none: str = ""


@dataclass(frozen=True)
class IntervalLine:
    """One row of a table of intervals: name, training images, and one cell for each metric of the panel."""

    label: str
    data_budget: int
    cells: tuple[IntervalCell, ...]


@dataclass(frozen=True)
class PanelSection:
    """A table of scores on the page.

    Attributes:
        anchor: Id of its heading.
        title: Its heading.
        table: The scores.
        intervals: Rows of the table of intervals.
        columns: (label, what it says) of each column.
    """

    anchor: str
    title: str
    table: PanelTable
    intervals: tuple[IntervalLine, ...]
    columns: tuple[tuple[str, str], ...]


def panel_sections(table: ScoreTable, anchor: str) -> tuple[PanelSection, ...]:
    """Return the tables of a group, the headline first; `anchor` begins the ids of their headings."""
    return tuple(
        PanelSection(
            anchor=f"{anchor}-scores-{i}" if i else f"{anchor}-scores",
            title=part.panel.title or "Scores",
            table=part,
            intervals=tuple(_intervals(table.group, part)),
            columns=tuple((metric.label, _says(metric, ranked=part.panel.ranked)) for metric in part.panel.metrics),
        )
        for i, part in enumerate((table.headline, *table.panels))
    )


def _says(metric: Metric, *, ranked: bool) -> str:
    direction = {-1: "; lower is better", 0: "", 1: "; higher is better"}[metric.better if ranked else 0]
    return f"{metric.title}{direction}{f' (arXiv {metric.paper})' if metric.paper else ''}"


def _intervals(group: Group, table: PanelTable) -> list[IntervalLine]:
    """Return the intervals of methods and reference rows; a floor has none."""
    places = places_of(group, table.panel)
    return [
        IntervalLine(row.label, row.data_budget, tuple(_interval_cell(row, m, places[m]) for m in table.panel.metrics))
        for row in (*group.methods, *group.references)
    ]


def _interval_cell(row: Row, metric: Metric, places: int) -> IntervalCell:
    summary = row.summary(metric)
    if summary is None:
        return IntervalCell(none=DASH)
    seeds = "" if summary.interval is None else _range(summary.interval.low, summary.interval.high, places)
    within = _within(row, metric, places)
    return IntervalCell(
        low=None if summary.interval is None else summary.interval.low,
        seeds=f"{seeds} (n={summary.n})" if seeds else "",
        within=within,
        none="" if seeds or within else f"none (n={summary.n})",
    )


def _within(row: Row, metric: Metric, places: int) -> str:
    """Write the interval of the lowest seed that has one, in the metric's printed scale: `seed 0: 9.1 to 10.9`."""
    for record in row.ok:
        score = record.score(metric.name)
        if score is None or score.interval is None or finite(score.value) is None:
            continue
        low, high = (finite(end) for end in score.interval)
        if low is not None and high is not None:
            return f"seed {record.cell.seed}: {_range(metric.scale * low, metric.scale * high, places)}"
    return ""


def _range(low: float, high: float, places: int) -> str:
    return f"{number(low, places)} to {number(high, places)}"
