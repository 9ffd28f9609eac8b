"""The page's charts of two axes: KID against training images, on the way, and against seconds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .._figures.curves import curve
from .._figures.pareto import Spot, front
from .._tables.numbers import KID, decimals, number
from .._tables.text import plural
from .cost import measured_here
from .plots import ChartLine, ChartPoint, LineChart, from_top, placed, ticks_at
from .scale import scale_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._tables.groups import Group, Row


def data_curves(group: Group) -> tuple[LineChart, ...]:
    """Draw KID against training images, where there are several numbers of them."""
    if len(group.method_budgets) < 2:
        return ()
    series = []
    for label in dict.fromkeys(row.label for row in group.rows):
        rows = sorted((row for row in group.rows if row.label == label), key=lambda row: row.data_budget)
        scored = [(row, summary) for row in rows if (summary := row.summary(KID)) is not None]
        points = tuple(
            ChartPoint(
                float(row.data_budget),
                summary.mean,
                f"{label}, {plural(row.data_budget, 'image')}: {number(summary.mean, decimals([summary.mean]))}",
                tuple(row.by_seed(KID).values()),
            )
            for row, summary in scored
        )
        if points:
            series.append(ChartLine(label, points, scored[0][0].is_reference))
    budgets = [float(budget) for budget in group.budgets]
    plot = _plot(
        series,
        title="More training images",
        x_label="training images",
        says="KID×10³ against training images, a line a method; the numbers are in the tables of scores.",
        x_values=budgets,
    )
    return (plot,) if plot is not None else ()


def training_curves(rows: Sequence[Row]) -> tuple[LineChart, ...]:
    """Draw KID on the way, where the trainings kept snapshots."""
    series = []
    for row in rows:
        reached = curve(row)
        if len(reached) > 1:
            points = tuple(
                ChartPoint(
                    each.images, sum(each.values) / len(each.values), f"{row.label}: {each.images:,.0f}", each.values
                )
                for each in reached
            )
            series.append(ChartLine(row.label, points))
    plot = _plot(
        series,
        title="During training",
        x_label="images shown in training",
        says="KID×10³ at the snapshots of the trainings, a line a method; scores.csv of --format csv has them.",
    )
    return (plot,) if plot is not None else ()


def _plot(
    series: Sequence[ChartLine],
    *,
    title: str,
    x_label: str,
    says: str,
    x_values: Sequence[float] = (),
    joined: bool = True,
) -> LineChart | None:
    """Place series against KID; None where no method has a point."""
    methods = [each for each in series if not each.is_reference]
    if not methods:
        return None
    y = scale_of(
        [value for each in methods for point in each.points for value in (point.y, *point.seeds)],
        [point.y for each in series if each.is_reference for point in each.points],
    )
    x = scale_of(x_values or [point.x for each in series for point in each.points])
    return LineChart(
        title=title,
        says=says,
        x_label=x_label + (" (logarithmic)" if x.logarithmic and not x_values else ""),
        y_label="KID×10³" + (" (logarithmic)" if y.logarithmic else ""),
        x_ticks=ticks_at(x, x_values) if x_values else x.ticks,
        y_ticks=from_top(y.ticks),
        series=placed(series, x, y),
        joined=joined,
    )


def pareto(rows: Sequence[Row]) -> LineChart | None:
    """Draw KID against seconds; the line joins the methods that no other beats in both."""
    spots = []
    for row in rows:
        kid, seconds = row.summary(KID), row.cost("fit_seconds")
        if kid is not None and seconds is not None:
            spots.append(Spot(row.label, seconds.mean, kid.mean, not row.leaks and measured_here(row)))
    series = [
        ChartLine(
            spot.label,
            (ChartPoint(spot.cost, spot.kid, f"{spot.label}: {spot.cost:,.3g} s, KID×10³ {spot.kid:z,.4g}"),),
            hollow=not spot.competes,
        )
        for spot in spots
    ]
    if len(series) < 2:
        return None
    plot = _plot(
        series,
        title="Quality against time",
        x_label="seconds of one training",
        says="KID×10³ against seconds of training, a point a method; the numbers are in the tables.",
        joined=False,
    )
    if plot is None:
        return None
    points = {each.series.label: each.points[0] for each in plot.series}
    best = tuple((points[spot.label].x, points[spot.label].y) for spot in front(spots))
    return replace(plot, front=best if len(best) > 1 else ())
