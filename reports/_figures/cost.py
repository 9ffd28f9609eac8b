"""What the methods cost: a bar a method, a point a cell."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graftbench.comparison.stats import mean
from graftbench.records.provenance import HANDED_IN, known_cost

from .._tables.groups import devices, titles
from .._tables.numbers import finite, quantity
from .._tables.origins import told_costs
from .._tables.text import listing, one_line, short
from .style import INK, MUTED, PRINT_SIZE, Look, Plot, title_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .._tables.groups import Group, Row

_LOG_FROM = 30.0


@dataclass(frozen=True)
class Cost:
    """A field of the resources and its heading."""

    name: str
    heading: str


COSTS = (
    Cost("fit_seconds", "fit, s"),
    Cost("peak_memory_mib", "peak memory, MiB"),
    Cost("training_images_per_second", "training images/s"),
    Cost("energy_joules", "energy of the fit, J"),
)


def measured(group: Group) -> list[Cost]:
    """Costs that at least one method's cell has."""
    return [cost for cost in COSTS if _bars(group, cost)]


def unmeasured_note(group: Group) -> str:
    """Say what has no counter here, or was not declared; empty if all is known."""
    return _unknown(group, [cost for cost in COSTS if not _bars(group, cost)])


def _unknown(group: Group, missing: Sequence[Cost]) -> str:
    if not missing:
        return ""
    elsewhere = all(row.origin == HANDED_IN for row in group.methods)
    return f"{'Not declared' if elsewhere else 'Not measured here (no counter)'}: {listing(list(map(_bare, missing)))}."


def told_note(group: Group) -> str:
    """Sentences on the costs of a page's or a run's figures that were declared; empty if all were measured."""
    return " ".join(told_costs(group.methods, {cost.name: _bare(cost) for cost in COSTS}))


def cost_figure(found: Sequence[Group], palette: dict[str, Look]) -> Figure:
    """All groups, a row of panels each. Call it inside `style`."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    heights = [cost_height(group) + 0.5 for group in found]
    figure = Figure(figsize=(9.6, sum(heights)), layout="constrained")
    names = titles(found)
    parts = figure.subfigures(len(found), 1, squeeze=False, height_ratios=heights)[:, 0]
    for group, part in zip(found, parts, strict=True):
        part.suptitle(one_line(names[group.key]), fontsize=10, x=0.01, ha="left", color=INK)
        costs = measured(group) or [COSTS[0]]
        panels = part.subplots(1, len(costs), squeeze=False)[0]
        for i, (axes, cost) in enumerate(zip(panels, costs, strict=True)):
            draw_cost(axes, group, cost, palette, names=i == 0)
        if note := "\n".join(filter(None, [unmeasured_note(group), told_note(group)])):
            part.supxlabel(note, fontsize=8, color=MUTED, x=0.01, ha="left")
    return figure


PAPER = ("fit_seconds", "peak_memory_mib", "energy_joules")
"""Costs that are drawn for papers."""
_LINE = 0.145
"""Inches a bar in a figure for a paper."""


def cost_plots(found: Sequence[Group], palette: dict[str, Look]) -> list[Plot]:
    """One plot a group in which anything was measured."""
    plots = [plot for group in found if (plot := _plot(group, palette, found)) is not None]
    return plots or [Plot("cost", "no cell that ended well has resources")]


def _plot(group: Group, palette: dict[str, Look], found: Sequence[Group]) -> Plot | None:
    there = [cost for cost in COSTS if cost.name in PAPER]
    costs = [cost for cost in there if _bars(group, cost)]
    if not costs:
        return None
    title = one_line(titles(found)[group.key])
    labels = _labels(group)
    notes = _cost_notes(group, costs, [cost for cost in there if cost not in costs])

    def draw(width: float) -> Figure:
        return _draw_paper(group, costs, labels, palette, title=title, width=width)

    caption = (
        f"{title}: what the fits cost. Bar (or marker, on a logarithmic axis): mean over the cells of a method that "
        "ended well, all data budgets and seeds; strokes: each cell. "
        f"Device: {one_line(listing(devices(group.records)))}."
    )
    return Plot("cost" if len(found) == 1 else f"cost-{group.key}", caption, tuple(notes), draw)


def _cost_notes(group: Group, costs: Sequence[Cost], missing: Sequence[Cost]) -> list[str]:
    notes = list(
        filter(None, [_unknown(group, missing), *told_costs(group.methods, {cost.name: _bare(cost) for cost in costs})])
    )
    if len(kinds := memory_kinds(group.methods)) > 1:
        notes.append(f"Peak memory of kinds that do not compare: {listing(kinds)}.")
    if len(where := devices(group.records)) > 1:
        notes.append(f"Costs of different devices do not compare: {listing([one_line(name) for name in where])}.")
    measured = [(row.label, record.resources) for row in group.methods for record in row.ok]
    shared = sorted({label for label, found in measured if found is not None and found.timing_shared})
    if shared:
        notes.append(f"Seconds are upper bounds, because other processes used the machine: {listing(shared)}.")
    return notes


def _bare(cost: Cost) -> str:
    """Return the heading without its unit."""
    return cost.heading.rpartition(",")[0] or cost.heading


def _draw_paper(
    group: Group, costs: Sequence[Cost], labels: Sequence[str], palette: dict[str, Look], *, title: str, width: float
) -> Figure:
    from matplotlib.figure import Figure  # noqa: PLC0415

    lines = title_lines(title, width)
    # Inches: 0.6 of the letters' size each.
    left = 0.12 + 0.6 * PRINT_SIZE / 72 * max(len(short(label)) for label in labels)
    gap = 0.16
    across = (width - left - 0.05 - gap * (len(costs) - 1)) / len(costs)
    deepest = max(len(_heading_lines(cost, f"{_kind(group, cost)} (log)", across)) for cost in costs)
    top, bottom = 0.1 + 0.16 * len(lines) + 0.13 * deepest + 0.06, 0.25
    height = top + _LINE * (len(labels) + 0.4) + bottom
    figure = Figure(figsize=(width, height))
    figure.text(0.05 / width, 1 - 0.07 / height, "\n".join(lines), va="top", fontsize=PRINT_SIZE + 1, color=INK)
    for i, cost in enumerate(costs):
        box = ((left + i * (across + gap)) / width, bottom / height, across / width, 1 - (top + bottom) / height)
        axes = figure.add_axes(box)
        draw_cost(axes, group, cost, palette, names=i == 0, labels=labels, small=across)
    return figure


def cost_panel(group: Group, cost: Cost, palette: dict[str, Look]) -> Figure:
    """One group and cost on its own, for a page. Call it inside `style`."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(4.4, cost_height(group)), layout="constrained")
    draw_cost(figure.subplots(), group, cost, palette, names=True)
    return figure


def cost_height(group: Group) -> float:
    """Inches that give each bar its room."""
    return 0.75 + 0.3 * max(3, len(_labels(group)))


def draw_cost(
    axes: Axes,
    group: Group,
    cost: Cost,
    palette: dict[str, Look],
    *,
    names: bool,
    labels: Sequence[str] = (),
    small: float = 0.0,
) -> None:
    """Horizontal bars: mean over all cells of a method that ended well (all data budgets and seeds), each cell a point.

    Bars start at zero and are linear, unless the largest is over 30 times the smallest: then only the points and the
    means are drawn, on a logarithmic axis, because a bar has no foot there.

    Args:
        axes: Where.
        group: Whose cells.
        cost: What.
        palette: Label -> look.
        names: Whether the methods are named at the left.
        labels: Which methods; all where empty.
        small: Width of the panel in inches where it is one of a paper; 0 for a page.
    """
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator  # noqa: PLC0415

    labels = labels or _labels(group)
    bars = {label: cells for label, cells in _bars(group, cost).items() if label in labels}
    told = {row.label for row in group.methods if row.declared(cost.name)}
    # The axis serves what was measured: hours that somebody declares must not press it flat.
    scale = [label for label in bars if label not in told] or list(bars)
    values = [value for label in scale for value in bars[label] if value > 0]
    logarithmic = bool(values) and max(values) / min(values) > _LOG_FROM
    kind = f"{_kind(group, cost)}{' (log)' if logarithmic else ''}"
    if small:
        axes.set_title("\n".join(_heading_lines(cost, kind, small)), fontsize=PRINT_SIZE)
    else:
        axes.set_title(f"{cost.heading}{kind}")
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_yticks(range(len(labels)), [short(label) for label in labels] if names else [""] * len(labels))
    axes.tick_params(axis="y", length=0)
    if logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0,)))
        if small:
            axes.set_xlim(min(values) / 1.6, max(values) * (max(values) / min(values)) ** (_room(small) - 1))
    else:
        axes.set_xlim(0, _room(small) * max(values, default=1.0))
        axes.xaxis.set_major_locator(MaxNLocator(4 if not small or small > _NARROW else 2))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: quantity(value))
    for place, label in enumerate(labels):
        cells, hollow = bars.get(label, []), label in told
        if not cells:
            _say(axes, place, _why_none(group, label), small=bool(small))
        elif hollow and not _within(cells, values, logarithmic=logarithmic):
            _say(axes, place, f"{quantity(mean(cells))}, declared", small=bool(small))
        else:
            _draw_bar(axes, place, cells, palette[label], logarithmic=logarithmic, small=bool(small), hollow=hollow)


def _heading_lines(cost: Cost, kind: str, inches: float) -> list[str]:
    """Break the heading of a panel into lines that it has room for."""
    return textwrap.wrap(f"{cost.heading}{kind}", max(8, int(72 * inches / (0.62 * PRINT_SIZE))))


_NARROW = 1.5
"""Inches of a panel below which it has room for two ticks alone."""


def _room(small: float) -> float:
    """Where the axis ends, as a multiple of the largest value: the means stand beyond, six letters of 6 points wide."""
    return 1.28 if not small else 1 / (1 - min(0.6, 30 / (72 * small)))


def _within(cells: Sequence[float], values: Sequence[float], *, logarithmic: bool) -> bool:
    """Whether an axis that spans the values has room for a declared bar."""
    low, high = min(values, default=0.0) / 1.2 if logarithmic else 0.0, 1.2 * max(values, default=1.0)
    return all(low <= value <= high for value in cells)


def _say(axes: Axes, place: int, words: str, *, small: bool) -> None:
    """Words in place of a bar."""
    size = 6 if small else 8
    axes.text(0.01, place, words, transform=axes.get_yaxis_transform(), va="center", fontsize=size, color=MUTED)


def _why_none(group: Group, label: str) -> str:
    """Why a method has no bar: nobody measured or said what it cost; or it has no cell that ended well."""
    return "not known" if any(row.ok for row in group.methods if row.label == label) else "no cell"


def _draw_bar(
    axes: Axes, place: int, cells: list[float], look: Look, *, logarithmic: bool, small: bool, hollow: bool
) -> None:
    """Bar (or marker), a stroke a cell, and the mean; hollow where a cell's cost is declared."""
    size, marker, away = (6, 4.0, 3) if small else (8, 7.0, 6)
    center = mean(cells)
    if logarithmic:
        face, edge = ("none", 1.0) if hollow else (look.color, 0)
        axes.plot([center], [place], look.marker, color=look.color, markerfacecolor=face, ms=marker, mew=edge)
    elif hollow:
        axes.barh([place], [center], height=0.56, facecolor="none", edgecolor=look.color, lw=1.0, ls=(0, (3, 2)))
    else:
        axes.barh([place], [center], height=0.56, color=look.color, alpha=0.85, lw=0)
    axes.plot(cells, [place] * len(cells), "|", color=INK, ms=marker, mew=0.9 if not small else 0.6)
    at = (max(cells), place)
    axes.annotate(quantity(center), at, (away, 0), textcoords="offset points", va="center", fontsize=size, color=INK)


def _labels(group: Group) -> list[str]:
    return sorted({row.label for row in group.methods})


def _bars(group: Group, cost: Cost) -> dict[str, list[float]]:
    bars: dict[str, list[float]] = defaultdict(list)
    for row in group.methods:
        for record in row.ok:
            if (value := finite(known_cost(record, cost.name))) is not None:
                bars[row.label].append(value)
    return dict(bars)


def memory_kinds(rows: Sequence[Row]) -> list[str]:
    """`resident`, `device`, or both: where the rows' peak memory was measured. The two do not compare."""
    return sorted({r.resources.memory_kind for row in rows for r in row.ok if r.resources is not None} - {""})


def _kind(group: Group, cost: Cost) -> str:
    kinds = memory_kinds(group.methods) if cost.name == "peak_memory_mib" else []
    return f" ({' and '.join(kinds)})" if kinds else ""
