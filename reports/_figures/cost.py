"""Draw the costs of methods: a bar a method, a stroke a cell."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graftbench.comparison.stats import mean
from graftbench.plotting import INK, MUTED, Look
from graftbench.records.provenance import HANDED_IN, known_cost

from .._tables.groups import devices, has_any, several_devices_note, titles
from .._tables.numbers import finite, quantity
from .._tables.origins import declared_cost_notes
from .._tables.text import listing, one_line, short
from .style import PRINT_SIZE, Plot, title_lines, titled_figure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from graftbench.records.record import Record

    from .._tables.groups import Group, Row

_LOG_FROM = 30.0


@dataclass(frozen=True)
class Cost:
    """A field of the resources and its heading."""

    name: str
    heading: str

    @property
    def title(self) -> str:
        """Return the heading without its unit."""
        return self.heading.rpartition(",")[0] or self.heading


COSTS = (
    Cost("fit_seconds", "fit, s"),
    Cost("peak_memory_mib", "peak memory, MiB"),
    Cost("training_images_per_second", "training images/s"),
    Cost("energy_joules", "energy of the fit, J"),
)


def measured(group: Group) -> list[Cost]:
    """Return the costs that at least one method's cell has."""
    return [cost for cost in COSTS if _bars(group, cost)]


def unmeasured_note(group: Group) -> str:
    """Say what has no counter here, or was not declared; empty if all is known."""
    return _unmeasured(group, [cost for cost in COSTS if not _bars(group, cost)])


def _unmeasured(group: Group, missing: Sequence[Cost]) -> str:
    if not missing:
        return ""
    several = several_devices_note(group.methods)
    mixed = [cost.title for cost in missing if several and has_any(group.methods, cost.name)]
    absent = [cost.title for cost in missing if cost.title not in mixed]
    elsewhere = all(row.origin == HANDED_IN for row in group.methods)
    why = "Not declared" if elsewhere else "Not measured here (no counter)"
    return " ".join([*([several] if mixed else []), *([f"{why}: {listing(absent)}."] if absent else [])])


def declared_note(group: Group) -> str:
    """Say which costs of a page's or a run's figures were declared; empty if all were measured."""
    return " ".join(declared_cost_notes(group.methods, {cost.name: cost.title for cost in COSTS}))


def cost_figure(groups: Sequence[Group], palette: dict[str, Look]) -> Figure:
    """Draw all groups, a row of panels each. Call it inside `style`."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    heights = [cost_height(group) + 0.5 for group in groups]
    figure = Figure(figsize=(9.6, sum(heights)), layout="constrained")
    names = titles(groups)
    parts = figure.subfigures(len(groups), 1, squeeze=False, height_ratios=heights)[:, 0]
    for group, part in zip(groups, parts, strict=True):
        part.suptitle(one_line(names[group.key]), fontsize=10, x=0.01, ha="left", color=INK)
        costs = measured(group) or [COSTS[0]]
        panels = part.subplots(1, len(costs), squeeze=False)[0]
        for i, (axes, cost) in enumerate(zip(panels, costs, strict=True)):
            draw_cost(axes, group, cost, palette, names=i == 0)
        if note := "\n".join(filter(None, [unmeasured_note(group), declared_note(group)])):
            part.supxlabel(note, fontsize=8, color=MUTED, x=0.01, ha="left")
    return figure


PAPER = ("fit_seconds", "peak_memory_mib", "energy_joules")
"""Costs that are drawn for papers."""
_LINE = 0.145
"""Inches a bar in a figure for a paper."""


def cost_plots(groups: Sequence[Group], palette: dict[str, Look]) -> list[Plot]:
    """Make one plot a group in which anything was measured."""
    plots = [plot for group in groups if (plot := _plot(group, palette, groups)) is not None]
    return plots or [Plot("cost", "no cell that ended well has resources")]


def _plot(group: Group, palette: dict[str, Look], groups: Sequence[Group]) -> Plot | None:
    paper_costs = [cost for cost in COSTS if cost.name in PAPER]
    costs = [cost for cost in paper_costs if _bars(group, cost)]
    if not costs:
        return None
    title = one_line(titles(groups)[group.key])
    # Notes: what is missing or declared, then what does not compare.
    declared = declared_cost_notes(group.methods, {cost.name: cost.title for cost in costs})
    notes = [_unmeasured(group, [cost for cost in paper_costs if cost not in costs]), *declared]
    if len(kinds := memory_kinds(group.methods)) > 1:
        notes.append(f"Peak memory of kinds that do not compare: {listing(kinds)}.")
    notes += [*device_notes(group.records), *shared_timing_notes(group.methods)]
    caption = (
        f"{title}: what the fits cost. Bar (or marker, on a logarithmic axis): mean over the cells of a method that "
        "ended well, all data budgets and seeds; strokes: each cell. "
        f"Device: {one_line(listing(devices(group.records)))}."
    )
    return Plot(
        "cost" if len(groups) == 1 else f"cost-{group.key}",
        caption,
        tuple(filter(None, notes)),
        lambda width: _draw_paper(group, costs, palette, title=title, width=width),
    )


def device_notes(records: Iterable[Record]) -> list[str]:
    """Say that costs of several devices do not compare, if there are several."""
    names = devices(records)
    if len(names) < 2:
        return []
    return [f"Costs of different devices do not compare: {listing([one_line(name) for name in names])}."]


def shared_timing_notes(rows: Iterable[Row]) -> list[str]:
    """Name the methods that shared the machine while they were timed, if there are any."""
    timed = [(row.label, record.resources) for row in rows for record in row.ok]
    shared = sorted({label for label, cost in timed if cost is not None and cost.timing_shared})
    return [f"Seconds are upper bounds, because other processes used the machine: {listing(shared)}."] if shared else []


def _draw_paper(group: Group, costs: Sequence[Cost], palette: dict[str, Look], *, title: str, width: float) -> Figure:
    labels = group.labels
    lines = title_lines(title, width)
    # Inches: 0.6 of the letters' size each.
    left = 0.12 + 0.6 * PRINT_SIZE / 72 * max(len(short(label)) for label in labels)
    gap = 0.16
    across = (width - left - 0.05 - gap * (len(costs) - 1)) / len(costs)
    deepest = max(len(_heading_lines(cost, f"{_kind(group, cost)} (log)", across)) for cost in costs)
    top, bottom = 0.1 + 0.16 * len(lines) + 0.13 * deepest + 0.06, 0.25
    height = top + _LINE * (len(labels) + 0.4) + bottom
    figure = titled_figure(lines, width, height)
    for i, cost in enumerate(costs):
        box = ((left + i * (across + gap)) / width, bottom / height, across / width, 1 - (top + bottom) / height)
        draw_cost(figure.add_axes(box), group, cost, palette, names=i == 0, small=across)
    return figure


def cost_height(group: Group) -> float:
    """Return the inches that give each bar its room."""
    return 0.75 + 0.3 * max(3, len(group.labels))


def draw_cost(
    axes: Axes, group: Group, cost: Cost, palette: dict[str, Look], *, names: bool, small: float = 0.0
) -> None:
    """Draw horizontal bars: the mean over all cells of a method that ended well, each cell a point.

    Cells of all data budgets and seeds count. Bars start at zero and are linear, unless the largest is over 30 times
    the smallest: then only the points and the means are drawn, on a logarithmic axis, because a bar has no foot there.

    Args:
        axes: Drawn into.
        group: The cells.
        cost: What is drawn of them.
        palette: Label -> look.
        names: Whether the methods are named at the left.
        small: Width of the panel in inches where it is one of a paper; 0 for a page.
    """
    labels, bars = group.labels, _bars(group, cost)
    declared = {row.label for row in group.methods if row.declared(cost.name)}
    # The axis serves what was measured: hours that somebody declares must not press it flat.
    scaling = [label for label in bars if label not in declared] or list(bars)
    scale = _Scale([value for label in scaling for value in bars[label] if value > 0], small)
    kind = f"{_kind(group, cost)}{' (log)' if scale.logarithmic else ''}"
    if small:
        axes.set_title("\n".join(_heading_lines(cost, kind, small)), fontsize=PRINT_SIZE)
    else:
        axes.set_title(f"{cost.heading}{kind}")
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_yticks(range(len(labels)), [short(label) for label in labels] if names else [""] * len(labels))
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    _set_cost_axis(axes, scale)
    for y, label in enumerate(labels):
        cells = bars.get(label, [])
        if not cells:
            ended_well = any(row.ok for row in group.methods if row.label == label)
            _write_instead(axes, y, "not known" if ended_well else "no cell", scale)
        elif label in declared and not scale.holds(cells):
            _write_instead(axes, y, f"{quantity(mean(cells))}, declared", scale)
        else:
            _draw_bar(axes, y, cells, palette[label], scale, hollow=label in declared)


_NARROW = 1.5
"""Inches of a panel below which it has room for two ticks alone."""


@dataclass(frozen=True)
class _Scale:
    """The horizontal axis of a panel.

    Attributes:
        values: Positive costs that it spans.
        small: Width of the panel in inches in a figure for a paper; 0 for a page.
    """

    values: Sequence[float]
    small: float

    @property
    def logarithmic(self) -> bool:
        return bool(self.values) and max(self.values) / min(self.values) > _LOG_FROM

    @property
    def end(self) -> float:
        """Return where the axis ends, as a multiple of the largest value: the means stand beyond it.

        They are six letters of 6 points wide.
        """
        return 1.28 if not self.small else 1 / (1 - min(0.6, 30 / (72 * self.small)))

    def holds(self, cells: Sequence[float]) -> bool:
        """Return whether the axis has room for a declared bar."""
        low = min(self.values, default=0.0) / 1.2 if self.logarithmic else 0.0
        return all(low <= value <= 1.2 * max(self.values, default=1.0) for value in cells)


def _set_cost_axis(axes: Axes, scale: _Scale) -> None:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator  # noqa: PLC0415

    axes.grid(visible=True, axis="x")
    if scale.logarithmic:
        low, high = min(scale.values), max(scale.values)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0,)))
        if scale.small:
            axes.set_xlim(low / 1.6, high * (high / low) ** (scale.end - 1))
    else:
        axes.set_xlim(0, scale.end * max(scale.values, default=1.0))
        axes.xaxis.set_major_locator(MaxNLocator(4 if not scale.small or scale.small > _NARROW else 2))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: quantity(value))


def _heading_lines(cost: Cost, kind: str, inches: float) -> list[str]:
    """Break the heading of a panel into lines that it has room for."""
    return textwrap.wrap(f"{cost.heading}{kind}", max(8, int(72 * inches / (0.62 * PRINT_SIZE))))


def _write_instead(axes: Axes, y: int, words: str, scale: _Scale) -> None:
    """Write words in place of a bar."""
    size = 6 if scale.small else 8
    axes.text(0.01, y, words, transform=axes.get_yaxis_transform(), va="center", fontsize=size, color=MUTED)


def _draw_bar(axes: Axes, y: int, cells: list[float], look: Look, scale: _Scale, *, hollow: bool) -> None:
    """Draw bar (or marker), a stroke a cell, and the mean; hollow where a cell's cost is declared."""
    size, marker, stroke, away = (6, 4.0, 0.6, 3) if scale.small else (8, 7.0, 0.9, 6)
    center = mean(cells)
    if scale.logarithmic:
        face, edge = ("none", 1.0) if hollow else (look.color, 0)
        axes.plot([center], [y], look.marker, color=look.color, markerfacecolor=face, ms=marker, mew=edge)
    elif hollow:
        axes.barh([y], [center], height=0.56, facecolor="none", edgecolor=look.color, lw=1.0, ls=(0, (3, 2)))
    else:
        axes.barh([y], [center], height=0.56, color=look.color, alpha=0.85, lw=0)
    axes.plot(cells, [y] * len(cells), "|", color=INK, ms=marker, mew=stroke)
    at = (max(cells), y)
    axes.annotate(quantity(center), at, (away, 0), textcoords="offset points", va="center", fontsize=size, color=INK)


def _bars(group: Group, cost: Cost) -> dict[str, list[float]]:
    """Return label -> the cost of each cell that has it; none of a row whose fits ran on devices of several kinds."""
    rows = [row for row in group.methods if row.cost(cost.name) is not None]
    costs = [(row.label, finite(known_cost(record, cost.name))) for row in rows for record in row.ok]
    bars: dict[str, list[float]] = {}
    for label, value in costs:
        if value is not None:
            bars.setdefault(label, []).append(value)
    return bars


def memory_kinds(rows: Sequence[Row]) -> list[str]:
    """Return where the rows' peak memory was measured: `resident`, `device`, or both. The two do not compare."""
    return sorted({r.resources.memory_kind for row in rows for r in row.ok if r.resources is not None} - {""})


def _kind(group: Group, cost: Cost) -> str:
    kinds = memory_kinds(group.methods) if cost.name == "peak_memory_mib" else []
    hollow = any(row.declared(cost.name) for row in group.methods)
    words = [*filter(None, [" and ".join(kinds)]), *(["hollow: declared"] if hollow else [])]
    return f" ({'; '.join(words)})" if words else ""
