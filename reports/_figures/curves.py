"""Learning curves: KID at the snapshots and at the end, against images seen and against seconds of fitting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graftbench.comparison.stats import mean

from .._tables.numbers import KID, finite
from .._tables.text import listing, plural, short
from .budget_plots import BudgetView, budget_plots
from .style import number_axis, paper_panels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from graftbench.plotting import Look
    from graftbench.records.record import Record, Score

    from .._tables.groups import Group, Row
    from .style import Plot

_Reached = dict[float, tuple[float, float, float]]
"""Share of the compute budget -> (images seen, seconds, KID in its printed scale)."""


@dataclass(frozen=True)
class Point:
    """One share of a curve, over seeds.

    Attributes:
        images: Training images shown, mean.
        seconds: Seconds of fitting, mean.
        values: KID in its printed scale, one a seed.
    """

    images: float
    seconds: float
    values: tuple[float, ...]


def curve_plots(groups: Sequence[Group], palette: dict[str, Look]) -> list[Plot]:
    """Make one plot a group and data budget that has snapshots."""
    reason = "no cell that ended well has a KID at a snapshot"
    return budget_plots(groups, lambda view: _plot(view, palette), "curves", reason)


def _plot(view: BudgetView, palette: dict[str, Look]) -> Plot | None:
    curves = {row.label: curve(row) for row in view.methods}
    drawn = {label: points for label, points in curves.items() if len(points) > 1}
    if not drawn:
        return None

    def draw(width: float) -> Figure:
        names = {short(label): palette[label] for label in drawn}
        figure, panels = paper_panels(width, 2, view.title, names, lines=True)
        for axes, clock in zip(panels, ("images", "seconds"), strict=True):
            _draw(axes, drawn, clock, palette)
        return figure

    caption = (
        f"{KID.heading} at the snapshots and at the end of the fit. Line: mean over seeds; band: lowest to "
        "highest seed; images seen and seconds are means over seeds, snapshots not counted."
    )
    return view.plot("curves", caption, _notes(view.methods, drawn), draw)


def curve(row: Row) -> list[Point]:
    """Return the row's points by share; only shares at which each of its seeds with snapshots has a KID.

    So every mean is over the same seeds. Empty where no seed has snapshots.
    """
    reached = _reached_by_seed(row)
    shares = sorted(set.intersection(*map(set, reached))) if reached else []
    points = []
    for share in shares:
        images, seconds, values = zip(*(one[share] for one in reached), strict=True)
        points.append(Point(mean(images), mean(seconds), values))
    return points


def _reached_by_seed(row: Row) -> list[_Reached]:
    return [_reached(record) for record in row.ok if record.snapshots]


def _reached(record: Record) -> _Reached:
    points: _Reached = {}
    for snapshot in record.snapshots:
        if (value := _kid(snapshot.scores)) is not None:
            points[snapshot.share] = (float(snapshot.images_seen), snapshot.seconds, value)
    value, cost = _kid(record.scores), record.resources
    if value is not None and cost is not None and cost.fit_seconds is not None:
        points[1.0] = (float(cost.images_seen), cost.fit_seconds, value)
    return points


def _kid(scores: Sequence[Score]) -> float | None:
    value = next((finite(score.value) for score in scores if score.name == KID.name), None)
    return None if value is None else KID.scale * value


def _notes(rows: Sequence[Row], drawn: dict[str, list[Point]]) -> list[str]:
    notes = []
    missing = [row.label for row in rows if row.label not in drawn]
    if missing:
        notes.append(f"No curve, because fewer than two points have a KID at every seed: {listing(missing)}.")
    for row in (row for row in rows if row.label in drawn):
        reached, total = _reached_by_seed(row), len(row.records) + row.missing
        shares = {snapshot.share for record in row.ok for snapshot in record.snapshots} | {1.0}
        if lost := sorted(shares - set.intersection(*map(set, reached))):
            percentages = listing([f"{100 * share:g} %" for share in lost])
            notes.append(f"{row.label}: left out at {percentages} of its budget, where not every seed has a KID.")
        if len(reached) < total:
            notes.append(f"{row.label}: {len(reached)} of {plural(total, 'seed')}.")
    return notes


def _draw(axes: Axes, curves: dict[str, list[Point]], clock: str, palette: dict[str, Look]) -> None:
    values = [value for points in curves.values() for point in points for value in point.values]
    times = [getattr(point, clock) for points in curves.values() for point in points]
    log = number_axis(axes.yaxis, values)
    number_axis(axes.xaxis, times, log_from=30.0)
    axes.set_ylabel(f"{KID.heading}{' (log)' if log else ''}")
    axes.set_xlabel("training images seen" if clock == "images" else "seconds of fitting")
    for label, points in curves.items():
        look, x = palette[label], [getattr(point, clock) for point in points]
        low, high = [min(point.values) for point in points], [max(point.values) for point in points]
        axes.fill_between(x, low, high, color=look.color, alpha=0.14, lw=0, zorder=2)
        y = [mean(point.values) for point in points]
        axes.plot(x, y, look.dashes, color=look.color, marker=look.marker, ms=3.6, mew=0, lw=1.1, zorder=3)
