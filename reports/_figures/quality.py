"""Quality against data budget: one panel a metric, a point a seed, a line through the means."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from graftbench.plotting import INK, MUTED, Look, looks, plain_look

from .._spread import spread
from .._tables.groups import titles
from .._tables.numbers import FID, KID, MINUS
from .._tables.text import one_line, short
from .drawn_rows import drawable, drawn, left_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from graftbench.metrics.catalogue import Metric

    from .._tables.groups import Group, Row

PANELS = (KID, FID)
"""KID first: it is unbiased where images are few."""
_LOG_FROM = 6.0
"""Ratio of largest to smallest value from which the axis is logarithmic."""
_GAP = 0.052
"""Smallest distance of two labels, as a share of the axis."""
_SEED_SHIFT = 1.07
"""Factor by which the points of the seeds stand to the right of their mean."""


def quality_figure(groups: Sequence[Group]) -> Figure:
    """Draw all groups, a row of panels each. Call it inside `style`."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    height = panel_height(groups)
    figure = Figure(figsize=(9.6, (height + 0.45) * len(groups)), layout="constrained")
    names, palette = titles(groups), group_looks(groups)
    parts = figure.subfigures(len(groups), 1, squeeze=False)[:, 0]
    for group, part in zip(groups, parts, strict=True):
        less = left_out(group)
        heading = one_line(names[group.key]) + (f"\nNot drawn: {less}." if less else "")
        heading += f"\n{group.too_few}" if group.too_few else ""
        part.suptitle(heading, fontsize=10, x=0.01, ha="left", color=INK)
        for axes, metric in zip(part.subplots(1, len(PANELS)), PANELS, strict=True):
            draw_quality(axes, group, metric, palette)
    return figure


def group_looks(groups: Sequence[Group]) -> dict[str, Look]:
    """Return the looks of all competing methods of a run; those that no figure draws (see `drawn`) share looks."""
    drawn_looks = looks(row.label for group in drawable(groups) for row in group.methods)
    everyone = {row.label for group in groups for row in group.methods}
    return drawn_looks | {label: plain_look(label) for label in sorted(everyone - drawn_looks.keys())}


def panel_height(groups: Sequence[Group]) -> float:
    """Return the inches that leave every label its line."""
    labels = max(len({row.label for row in group.rows}) for group in drawable(groups))
    return max(3.2, 0.9 + 0.19 * labels)


def draw_quality(axes: Axes, group: Group, metric: Metric, palette: dict[str, Look]) -> None:
    """Draw one panel: methods in colour, reference rows in grey; it spans the methods, references beyond are named."""
    drawn_group = drawn(group)
    methods = _curves(drawn_group.methods, metric)
    references = _curves(drawn_group.references, metric)
    axes.set_title(metric.heading)
    axes.set_xlabel("target training images")
    _budget_axis(axes, group.budgets)
    points = [point for curve in (methods or references).values() for point in curve]
    if not points:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no scores", transform=axes.transAxes, ha="center", color=MUTED)
        return
    values = [value for _, mean, seeds in points for value in (mean, *seeds)]
    _value_axis(axes, values, [value for curve in references.values() for value in _means(curve)])
    labels = [_draw_reference(axes, label, curve) for label, curve in references.items()]
    labels += [_draw_method(axes, label, curve, palette[label]) for label, curve in methods.items()]
    _label_lines(axes, labels)


_Curve = list[tuple[int, float, list[float]]]
"""(data budget, mean, value of each seed), by data budget."""
_Label = tuple[float, str, float, str, str]
"""(value, text, height on the axis as a share, colour of its pointer, marker)."""


def _curves(rows: Sequence[Row], metric: Metric) -> dict[str, _Curve]:
    curves: dict[str, _Curve] = {}
    for row in sorted(rows, key=lambda row: (row.label, row.data_budget)):
        if (summary := row.summary(metric)) is not None:
            values = list(row.by_seed(metric).values())
            curves.setdefault(row.label, []).append((row.data_budget, summary.mean, values))
    return curves


def _means(curve: _Curve) -> list[float]:
    return [mean for _, mean, _ in curve]


# ---------------------------------------------------------------------------------------------------------- axes


def _budget_axis(axes: Axes, budgets: Sequence[int]) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator  # noqa: PLC0415

    axes.set_xscale("log")
    axes.set_xlim(budgets[0] / 1.35, budgets[-1] * 1.35)
    axes.xaxis.set_major_locator(FixedLocator([float(budget) for budget in budgets]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _value_axis(axes: Axes, values: Sequence[float], references: Sequence[float]) -> None:
    """Set limits from the methods, widened to references that lie near; logarithmic only where that helps."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator  # noqa: PLC0415

    low, high = min(values), max(values)
    logarithmic = low > 0 and high / low > _LOG_FROM
    near = [value for value in references if _is_near(value, low, high, logarithmic=logarithmic)]
    low, high = min([low, *near]), max([high, *near])
    if logarithmic:
        margin = (high / low) ** 0.08
        axes.set_yscale("log")
        axes.set_ylim(low / margin, high * margin)
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_title(f"{axes.get_title(loc='left')} (log)")
    else:
        margin = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
        axes.set_ylim(low - margin, high + margin)
        axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(lambda value, _: _short(value))


def _is_near(value: float, low: float, high: float, *, logarithmic: bool) -> bool:
    """Return whether a reference lies within half the methods' span of them: it must not squeeze what is compared."""
    if logarithmic:
        reach = math.sqrt(high / low)
        return low / reach <= value <= high * reach
    reach = (high - low) / 2
    return low - reach <= value <= high + reach


def _short(value: float) -> str:
    text = f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"
    return ("0" if text in {"-0", "0"} else text).replace("-", MINUS)


# --------------------------------------------------------------------------------------------------------- lines


def _draw_method(axes: Axes, label: str, curve: _Curve, look: Look) -> _Label:
    # Beside the mean's marker, which would cover them.
    seeds = [(budget * _SEED_SHIFT, value) for budget, _, values in curve for value in values]
    axes.plot(*zip(*seeds, strict=True), look.marker, color=look.color, ms=2.8, alpha=0.8, mew=0, zorder=3)
    budgets = [budget for budget, _, _ in curve]
    axes.plot(budgets, _means(curve), look.dashes, color=look.color, marker=look.marker, ms=6, lw=1.8, mew=0, zorder=4)
    last = curve[-1][1]
    return last, short(label), _height(axes, last), look.color, look.marker


def _draw_reference(axes: Axes, label: str, curve: _Curve) -> _Label:
    low, high = axes.get_ylim()
    left, right = axes.get_xlim()
    means = _means(curve)
    last = means[-1]
    # Held level to both edges: a reference marks a height, not a point.
    budgets = [left, *(float(budget) for budget, _, _ in curve), right]
    axes.plot(budgets, [means[0], *means, last], color=MUTED, lw=1.0, ls=(0, (4, 3)), zorder=2)
    if low <= last <= high:
        return last, short(label), _height(axes, last), MUTED, ""
    arrow = "↓" if last < low else "↑"
    return last, f"{arrow} {short(label)} {_short(last)}", 0.0 if last < low else 1.0, MUTED, ""


def _height(axes: Axes, value: float) -> float:
    low, high = axes.get_ylim()
    if axes.get_yscale() == "log":
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def _label_lines(axes: Axes, labels: list[_Label]) -> None:
    """Write names beside the ends of the lines, moved apart where they would meet."""
    labels = sorted(labels)
    heights = spread([height for _, _, height, _, _ in labels], _GAP)
    for (_, text, height, color, marker), label_height in zip(labels, heights, strict=True):
        # A pointer, then after a gap the marker.
        x, y = [1.0, 1.035, math.nan, 1.045], [height, label_height, math.nan, label_height]
        pointer = {"color": color, "lw": 0.8, "clip_on": False, "transform": axes.transAxes}
        axes.plot(x, y, marker=marker, markevery=[3], ms=4.5, mew=0, **pointer)
        axes.text(
            1.07 if marker else 1.045,
            label_height,
            text,
            transform=axes.transAxes,
            va="center",
            fontsize=8,
            color=INK if marker else MUTED,
        )
