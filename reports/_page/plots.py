"""Charts of two axes: lines or points a method, names at the right where lines end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .._spread import spread
from .scale import Scale, Tick, tick_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_NAME_GAP = 7.0
"""Smallest distance of two names, in per cent of the chart's height."""

MARKERS = {
    "o": "M4.5,0A4.5,4.5 0 1 1 -4.5,0A4.5,4.5 0 1 1 4.5,0Z",
    "s": "M-4,-4H4V4H-4Z",
    "^": "M0,-5L4.8,4H-4.8Z",
    "D": "M0,-5.4L5.4,0L0,5.4L-5.4,0Z",
    "v": "M0,5L4.8,-4H-4.8Z",
    "P": "M-1.7,-4.8H1.7V-1.7H4.8V1.7H1.7V4.8H-1.7V1.7H-4.8V-1.7H-1.7Z",
    "X": "M-4.6,-2.6L-2.6,-4.6L0,-2L2.6,-4.6L4.6,-2.6L2,0L4.6,2.6L2.6,4.6L0,2L-2.6,4.6L-4.6,2.6L-2,0Z",
    "p": "M0,-5L4.76,-1.55L2.94,4.05H-2.94L-4.76,-1.55Z",
}
"""Marker of `graftbench.plotting` -> outline around the origin, in pixels."""
STROKES = {"-": "", "--": "6 4", "-.": "7 3 2 3", ":": "2 3"}
"""Dashes of `graftbench.plotting` -> the stroke's."""


@dataclass(frozen=True)
class ChartPoint:
    """A point: its two values, what is said of it, and the values of its seeds along the vertical axis."""

    x: float
    y: float
    says: str
    seeds: tuple[float, ...] = ()


@dataclass(frozen=True)
class ChartLine:
    """What is drawn of one method or reference row.

    Attributes:
        label: Its label.
        points: By x; joined where the plot joins.
        is_reference: Whether it is grey and without a marker.
        hollow: Whether its marker is.
    """

    label: str
    points: tuple[ChartPoint, ...]
    is_reference: bool = False
    hollow: bool = False


@dataclass(frozen=True)
class PlacedPoint:
    """A point in per cent from the left and from the top; `below` or `above` where it lies beyond the vertical axis."""

    x: float
    y: float
    says: str
    seeds: tuple[float, ...]
    beyond: str = ""


@dataclass(frozen=True)
class PlacedLine:
    """A series as it is drawn, its name at `name_y` per cent from the top; none where that is None."""

    series: ChartLine
    points: tuple[PlacedPoint, ...]
    name_y: float | None = None
    beyond: str = ""

    @property
    def segments(self) -> tuple[tuple[PlacedPoint, PlacedPoint], ...]:
        """Return the pieces of the line that joins the points."""
        return tuple(zip(self.points, self.points[1:], strict=False))


@dataclass(frozen=True)
class LineChart:
    """A chart.

    Attributes:
        title: What it shows.
        says: The same for those who cannot see it, with where the numbers are.
        x_label: Of the horizontal axis.
        y_label: Of the vertical axis.
        x_ticks: From the left.
        y_ticks: From the top.
        series: What is drawn, reference rows first.
        front: The line of the Pareto front, in per cent; empty where there is none.
        notes: Sentences below it.
    """

    title: str
    says: str
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    series: tuple[PlacedLine, ...]
    joined: bool = True
    front: tuple[tuple[float, float], ...] = ()
    notes: tuple[str, ...] = field(default=())


def placed(series: Iterable[ChartLine], x: Scale, y: Scale) -> tuple[PlacedLine, ...]:
    """Place series on two axes, and their names beside the last point of each where they do not meet."""
    series = sorted(series, key=lambda each: (not each.is_reference, each.label))
    points = [tuple(_placed(point, x, y) for point in each.points) for each in series]
    order = sorted(range(len(series)), key=lambda i: (points[i][-1].y, series[i].label))
    heights = [round(height, 2) for height in spread([points[i][-1].y for i in order], _NAME_GAP, top=100)]
    height_of = dict(zip(order, heights, strict=True))
    lines = zip(series, points, range(len(series)), strict=True)
    return tuple(PlacedLine(each, at, height_of[i], y.beyond(each.points[-1].y)) for each, at, i in lines)


def _placed(point: ChartPoint, x: Scale, y: Scale) -> PlacedPoint:
    return PlacedPoint(
        x.percent(point.x),
        round(100 - y.percent(point.y), 2),
        point.says,
        tuple(round(100 - y.percent(value), 2) for value in point.seeds if not y.beyond(value)),
        y.beyond(point.y),
    )


def from_top(ticks: Sequence[Tick]) -> tuple[Tick, ...]:
    """Turn an axis's ticks into places from the top."""
    return tuple(Tick(round(100 - tick.percent, 2), tick.text) for tick in ticks)


def ticks_at(scale: Scale, values: Iterable[float]) -> tuple[Tick, ...]:
    """Return a tick at each value, for an axis of which only these occur."""
    return tuple(Tick(scale.percent(value), tick_text(value)) for value in values)
