"""A chart of rows: a name, a number, and on a common axis the mean with what is known of its spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._tables.numbers import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graftbench.comparison.stats import SeedSummary

    from .._tables.groups import Row
    from .scale import Scale, Tick

FEWEST_OF_AN_INTERVAL = 3
"""Seeds from which on an interval is drawn: of two it would be 12.7 standard errors wide, and their values say more."""


@dataclass(frozen=True)
class Marks:
    """What one row has on the axis, in per cent.

    Attributes:
        mean: The mean over seeds.
        seeds: Each seed.
        interval: Both ends of Student's 95 % interval of the mean; none of fewer than three seeds.
        beyond: `below` or `above` where the mean lies beyond the axis and is pinned to its edge.
    """

    mean: float
    seeds: tuple[float, ...]
    interval: tuple[float, float] | None = None
    beyond: str = ""


@dataclass(frozen=True)
class Line:
    """A vertical line through all rows.

    Attributes:
        percent: Where.
        text: What it marks.
        level: Line of text of the heading that has room for it, from 0.
        beyond: As of `Marks`.
    """

    percent: float
    text: str
    level: int = 0
    beyond: str = ""

    @property
    def side(self) -> str:
        """Return where its text stands, so that it stays in the chart: `start`, `middle` or `end`."""
        return "start" if self.percent < 15 else "end" if self.percent > 85 else "middle"


@dataclass(frozen=True)
class DotRow:
    """One row.

    Attributes:
        row: Whose.
        value: The mean as printed.
        spread: What is known of its spread, in words.
        marks: On the axis; None where it has no value.
        note: What else is to be said, in words.
    """

    row: Row
    value: str
    spread: str
    marks: Marks | None
    note: str = ""


@dataclass(frozen=True)
class DotChart:
    """Rows on one axis.

    Attributes:
        rows: In their order.
        ticks: Numbers of the axis.
        lines: Vertical lines.
        logarithmic: Whether the axis is.
    """

    rows: tuple[DotRow, ...]
    ticks: tuple[Tick, ...]
    lines: tuple[Line, ...] = ()
    logarithmic: bool = False

    @property
    def levels(self) -> int:
        """Return how many lines of text name the vertical lines."""
        return 1 + max((line.level for line in self.lines), default=-1)


def marks_of(scale: Scale, values: Sequence[float], summary: SeedSummary) -> Marks:
    """Place a row's values on an axis."""
    ends = summary.interval if summary.n >= FEWEST_OF_AN_INTERVAL else None
    return Marks(
        mean=scale.percent(summary.mean),
        seeds=tuple(scale.percent(value) for value in values) if len(values) > 1 else (),
        interval=None if ends is None else (scale.percent(ends.low), scale.percent(ends.high)),
        beyond=scale.beyond(summary.mean),
    )


def spread_of(values: Sequence[float], summary: SeedSummary, places: int) -> str:
    """Print what is known of the spread: both values of two seeds, the interval's ends of more; empty of one."""
    if summary.n < 2:
        return ""
    if summary.n < FEWEST_OF_AN_INTERVAL:
        low, high = (number(value, places) for value in sorted(values))
        return f"{low} and {high}" if low != high else ""
    assert summary.interval is not None
    return f"{number(summary.interval.low, places)} to {number(summary.interval.high, places)}"


def lines_of(scale: Scale, values: Mapping[str, float]) -> tuple[Line, ...]:
    """Make a vertical line a value, its text on the first level on which it does not meet another.

    Args:
        scale: The axis.
        values: Text -> where.
    """
    lines: list[Line] = []
    ends: list[float] = []  # of the last text of each level, in per cent of a chart of 300 pixels
    for text, value in sorted(values.items(), key=lambda pair: (pair[1], pair[0])):
        at, half = scale.percent(value), 1.05 * len(text)
        start = at if at < 15 else at - 2 * half if at > 85 else at - half
        level = next((i for i, end in enumerate(ends) if end + 2 <= start), len(ends))
        ends[level:] = [start + 2 * half]
        lines.append(Line(at, text, level, scale.beyond(value)))
    return tuple(lines)
