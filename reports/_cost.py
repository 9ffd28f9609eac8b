"""What the methods cost: a bar a method, a point a cell."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graftbench.stats import mean

from ._groups import titles
from ._metrics import finite, quantity
from ._style import INK, MUTED, Look
from ._text import listing, one_line, short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from graftbench.record import Record

    from ._groups import Group, Row

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
    """A sentence on what has no counter here; empty if all is measured."""
    missing = [cost.heading.rpartition(",")[0] or cost.heading for cost in COSTS if not _bars(group, cost)]
    return f"Not measured here (no counter): {listing(missing)}." if missing else ""


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
        if note := unmeasured_note(group):
            part.supxlabel(note, fontsize=8, color=MUTED, x=0.01, ha="left")
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


def draw_cost(axes: Axes, group: Group, cost: Cost, palette: dict[str, Look], *, names: bool) -> None:
    """Horizontal bars: mean over all cells of a method that ended well (all data budgets and seeds), each cell a point.

    Bars start at zero and are linear, unless the largest is over 30 times the smallest: then only the points and the
    means are drawn, on a logarithmic axis, because a bar has no foot there.
    """
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator  # noqa: PLC0415

    labels = _labels(group)
    bars = _bars(group, cost)
    values = [value for cells in bars.values() for value in cells if value > 0]
    logarithmic = bool(values) and max(values) / min(values) > _LOG_FROM
    axes.set_title(f"{cost.heading}{_kind(group, cost)}{' (log)' if logarithmic else ''}")
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_yticks(range(len(labels)), [short(label) for label in labels] if names else [""] * len(labels))
    axes.tick_params(axis="y", length=0)
    if logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0,)))
    else:
        axes.set_xlim(0, 1.28 * max(values, default=1.0))
        axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: quantity(value))
    for place, label in enumerate(labels):
        _draw_bar(axes, place, bars.get(label, []), palette[label], logarithmic=logarithmic)


def _draw_bar(axes: Axes, place: int, cells: list[float], look: Look, *, logarithmic: bool) -> None:
    if not cells:
        axes.text(0.01, place, "no cell", transform=axes.get_yaxis_transform(), va="center", fontsize=8, color=MUTED)
        return
    center = mean(cells)
    if logarithmic:
        axes.plot([center], [place], look.marker, color=look.color, ms=7, mew=0)
    else:
        axes.barh([place], [center], height=0.56, color=look.color, alpha=0.85, lw=0)
    axes.plot(cells, [place] * len(cells), "|", color=INK, ms=7, mew=0.9)
    axes.annotate(
        quantity(center), (max(cells), place), (6, 0), textcoords="offset points", va="center", fontsize=8, color=INK
    )


def _labels(group: Group) -> list[str]:
    return sorted({row.label for row in group.methods})


def _bars(group: Group, cost: Cost) -> dict[str, list[float]]:
    bars: dict[str, list[float]] = defaultdict(list)
    for row in group.methods:
        for record in row.ok:
            if (value := _value(record, cost)) is not None:
                bars[row.label].append(value)
    return dict(bars)


def _value(record: Record, cost: Cost) -> float | None:
    return None if record.resources is None else finite(getattr(record.resources, cost.name))


def memory_kinds(rows: Sequence[Row]) -> list[str]:
    """`resident`, `device`, or both: where the rows' peak memory was looked at. The two do not compare."""
    return sorted({r.resources.memory_kind for row in rows for r in row.ok if r.resources is not None} - {""})


def _kind(group: Group, cost: Cost) -> str:
    kinds = memory_kinds(group.methods) if cost.name == "peak_memory_mib" else []
    return f" ({' and '.join(kinds)})" if kinds else ""
