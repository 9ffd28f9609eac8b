"""A series as a small inline SVG: points, levels, steps. Strings alone, so that thousands take a second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from graftbench.regression.history import words
from graftbench.regression.history.history import short

if TYPE_CHECKING:
    from graftbench.regression.history.series import Series

WIDTH, HEIGHT, MARGIN = 320.0, 56.0, 7.0
"""In CSS pixels; the margin holds half a mark."""
MARKED = 80
"""Points of a series that are drawn as marks with their commit, counted from the newest; the line shows them all."""
REACH = 4.0
"""How far above and below the levels the picture goes, in σ; points beyond are drawn at its edge."""


@dataclass(frozen=True)
class _Frame:
    """The mapping of run and value to pixels."""

    runs: int
    low: float
    high: float

    def x(self, i: float) -> float:
        return MARGIN + (WIDTH - 2 * MARGIN) * (i / (self.runs - 1) if self.runs > 1 else 0.5)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return MARGIN + (HEIGHT - 2 * MARGIN) * (1 - min(max(share, 0.0), 1.0))

    def at(self, i: float, value: float) -> str:
        return f"{self.x(i):.1f},{self.y(value):.1f}"

    def shows(self, value: float) -> bool:
        return self.low <= value <= self.high


def sparkline(series: Series, prefix: str) -> Markup:
    """Draw the series as an <svg> element: up is larger, left is older, runs equally far apart.

    The colours are the page's: classes `line`, `level`, `worse`, `better`, `point`, `last`.

    Args:
        series: What to draw.
        prefix: For ids, unique on the page.
    """
    values = [None if point.value is None else point.value.mean for point in series.points]
    frame = _frame(series, [value for value in values if value is not None])
    fit, latest = series.segmentation, series.latest
    levels = "".join(f"M{frame.at(level.first, level.start)}L{frame.at(level.last, level.end)}" for level in fit.levels)
    parts = [_line(frame, values), f'<path class="level" d="{levels}"/>', _steps(frame, series), _points(frame, series)]
    # What a screen reader says.
    title = escape(f"{series.measure.label} of {series.key.title}")
    assert latest.value is not None
    newest = f"latest {words.number(series.measure, latest.value.mean)} at {short(latest.commit)}"
    description = f"{'; '.join([f'{fit.n} runs', newest, *words.changes(series)])}."
    return Markup(  # noqa: S704 - every text in it is escaped, the rest are numbers
        f'<svg role="img" aria-labelledby="{prefix}-t {prefix}-d" viewBox="0 0 {WIDTH:g} {HEIGHT:g}"'
        f' width="{WIDTH:g}" height="{HEIGHT:g}"><title id="{prefix}-t">{title}</title>'
        f'<desc id="{prefix}-d">{escape(description)}</desc>{"".join(parts)}</svg>'
    )


def _frame(series: Series, values: list[float]) -> _Frame:
    fit = series.segmentation
    ends = [end for level in fit.levels for end in (level.start, level.end)]
    if fit.sigma is None:
        return _Frame(len(series.points), min(values), max(values))
    reach = REACH * fit.sigma
    low = max(min(values), min(ends) - reach)
    high = min(max(values), max(ends) + reach)
    return _Frame(len(series.points), min(low, *ends), max(high, *ends))


def _line(frame: _Frame, values: list[float | None]) -> str:
    """Join the points; the line is broken where a run has none."""
    path, joined = [], False
    for i, value in enumerate(values):
        if value is not None:
            path.append(f"{'L' if joined else 'M'}{frame.at(i, value)}")
        joined = value is not None
    return f'<path class="line" d="{"".join(path)}"/>'


def _steps(frame: _Frame, series: Series) -> str:
    """Draw a triangle at each step, pointing the way the value goes; its colour says worse or better."""
    marks = []
    for change in series.steps:
        x = (frame.x(change.step.last) + frame.x(change.step.first)) / 2
        top, foot = (1.0, 8.0) if change.step.after > change.step.before else (HEIGHT - 1, HEIGHT - 8)
        kind = "worse" if change.worse > 0 else "better"
        marks.append(
            f'<g class="{kind}"><title>{escape(words.step(series.measure, change))}</title>'
            f'<path class="rule" d="M{x:.1f},0V{HEIGHT:g}"/>'
            f'<path d="M{x - 4.5:.1f},{foot:g}h9L{x:.1f},{top:g}z"/></g>'
        )
    return "".join(marks)


def _points(frame: _Frame, series: Series) -> str:
    marks = []
    last = len(series.points) - 1
    for i, point in enumerate(series.points):
        if point.value is None or i <= last - MARKED:
            continue
        value = point.value
        kind = "last" if i == last else "point" if frame.shows(value.mean) else "point beyond"
        seeds = f"{value.n} seeds" if value.n > 1 else "1 seed"
        spread = "" if value.sd is None else f", sd {words.number(series.measure, value.sd)}"
        number = words.number(series.measure, value.mean)
        title = f"{short(point.commit)} · {point.date[:10]} · {number} ({seeds}{spread})"
        radius = 3 if i == last else 1.8
        marks.append(
            f'<circle class="{kind}" cx="{frame.x(i):.1f}" cy="{frame.y(value.mean):.1f}" r="{radius}">'
            f"<title>{escape(title)}</title></circle>"
        )
    return "".join(marks)
