"""Quality against cost: KID against seconds of fitting and against peak memory, the Pareto front marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graftbench.plotting import INK, MUTED
from graftbench.records.provenance import HANDED_IN

from .._tables.groups import devices
from .._tables.numbers import KID
from .._tables.text import listing, one_line, short
from .budget_plots import BudgetView, budget_plots
from .cost import device_notes, memory_kinds, shared_timing_notes
from .style import label_points, number_axis, paper_panels

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from graftbench.plotting import Look

    from .._tables.groups import Group, Row
    from .style import Plot

_COSTS = {"fit_seconds": "seconds of fitting", "peak_memory_mib": "peak memory, MiB"}


@dataclass(frozen=True)
class Spot:
    """A method in the plane of cost and quality, means over its seeds.

    Attributes:
        label: Whose it is.
        cost: Seconds or MiB.
        kid: In its printed scale.
        competes: False for a method that looks at the network which scores it, and for one whose cost nobody measured
            here, as it was made elsewhere or the cost declared.
    """

    label: str
    cost: float
    kid: float
    competes: bool


def pareto_plots(groups: Sequence[Group], palette: dict[str, Look]) -> list[Plot]:
    """Make one plot a group and data budget in which a method has a KID and a cost."""
    return budget_plots(groups, lambda view: _plot(view, palette), "pareto", "no method has both a KID and a cost")


def front(spots: Iterable[Spot]) -> list[Spot]:
    """Return the spots that no other beats: none is at least as good in KID and in cost and better in one. By cost.

    Spots that do not compete neither stand on it nor keep others from it.
    """
    competing = [spot for spot in spots if spot.competes]
    best = [
        spot
        for spot in competing
        if not any(
            other.cost <= spot.cost and other.kid <= spot.kid and (other.cost, other.kid) != (spot.cost, spot.kid)
            for other in competing
        )
    ]
    return sorted(best, key=lambda spot: (spot.cost, spot.kid, spot.label))


def _plot(view: BudgetView, palette: dict[str, Look]) -> Plot | None:
    rows = view.methods
    panels = {cost: spots for cost in _COSTS if (spots := _spots(rows, cost))}
    kinds = memory_kinds(rows)
    if len(kinds) > 1:
        panels.pop("peak_memory_mib", None)
    if not panels:
        return None

    def draw(width: float) -> Figure:
        drawn = sorted({spot.label for spots in panels.values() for spot in spots})
        hollow = {short(spot.label) for spots in panels.values() for spot in spots if not spot.competes}
        names = {short(label): palette[label] for label in drawn}
        figure, all_axes = paper_panels(width, len(panels), view.title, names, hollow=hollow)
        for axes, (cost, spots) in zip(all_axes, panels.items(), strict=True):
            kind = f" ({listing(kinds)})" if cost == "peak_memory_mib" and kinds else ""
            _draw(axes, spots, f"{_COSTS[cost]}{kind}", palette)
        # Names come last: what they may cover depends on the layout of all panels.
        for axes, spots in zip(all_axes, panels.values(), strict=True):
            best = front(spots)
            named = [(spot.cost, spot.kid, short(spot.label), INK) for spot in best]
            label_points(axes, named, [(spot.cost, spot.kid) for spot in spots], _corners(axes, best))
        return figure

    records = [record for row in rows for record in row.ok]
    caption = (
        f"{KID.heading} against what the fit cost, means over seeds. Line and names: the Pareto front, "
        "methods that no other beats in one and equals in the other. "
        f"Device: {one_line(listing(devices(records)))}."
    )
    machines = [*device_notes(records), *shared_timing_notes(rows)]
    return view.plot(
        "pareto", caption, [*_missing_notes(rows, panels, kinds), *machines, *_hollow_notes(rows, panels)], draw
    )


def _spots(rows: Sequence[Row], cost: str) -> list[Spot]:
    spots = []
    for row in rows:
        kid, spent = row.summary(KID), row.cost(cost)
        if kid is not None and spent is not None:
            spots.append(Spot(row.label, spent.mean, kid.mean, not row.leaks and _measured(row, cost)))
    return spots


def _measured(row: Row, cost: str) -> bool:
    """Return whether the cost is the suite's own measurement of the fit; loading what was fitted elsewhere is none."""
    return row.origin != HANDED_IN and not row.declared(cost)


def _missing_notes(rows: Sequence[Row], panels: dict[str, list[Spot]], kinds: Sequence[str]) -> list[str]:
    notes = []
    for cost, name in _COSTS.items():
        drawn = {spot.label for spot in panels.get(cost, [])}
        missing = [row.label for row in rows if row.label not in drawn]
        if cost not in panels:
            reason = "device and resident memory do not compare" if len(kinds) > 1 else "not measured"
            notes.append(f"No panel of {name.partition(',')[0]}: {reason}.")
        elif missing:
            notes.append(f"Without KID or {name.partition(',')[0]}, so not drawn: {listing(missing)}.")
    return notes


def _hollow_notes(rows: Sequence[Row], panels: dict[str, list[Spot]]) -> list[str]:
    notes = []
    if leaking := [row.label for row in rows if row.leaks]:
        notes.append(f"Hollow, and not on the front, because they look at the scoring network: {listing(leaking)}.")
    drawn = {spot.label for spots in panels.values() for spot in spots}
    declared = [row.label for row in rows if row.label in drawn and not all(_measured(row, cost) for cost in panels)]
    if declared:
        notes.append(f"Hollow, and not on the front, because nobody measured their cost here: {listing(declared)}.")
    return notes


def _draw(axes: Axes, spots: Sequence[Spot], name: str, palette: dict[str, Look]) -> None:
    log_x = number_axis(axes.xaxis, [spot.cost for spot in spots])
    log_y = number_axis(axes.yaxis, [spot.kid for spot in spots])
    axes.set_xlabel(f"{name}{' (log)' if log_x else ''}")
    axes.set_ylabel(f"{KID.heading}{' (log)' if log_y else ''}")
    best = front(spots)
    if best:
        x, y = zip(*_corners(axes, best), strict=True)
        axes.plot(x, y, color=MUTED, lw=0.9, ls=(0, (4, 2)), zorder=2)
    for spot in spots:
        look, on_front = palette[spot.label], spot in best
        axes.plot(
            [spot.cost],
            [spot.kid],
            look.marker,
            color=look.color,
            markerfacecolor=look.color if spot.competes else "none",
            markeredgecolor=INK if on_front else look.color,
            mew=0.8 if on_front or not spot.competes else 0,
            ms=5.0,
            zorder=4 if on_front else 3,
        )


def _corners(axes: Axes, best: Sequence[Spot]) -> list[tuple[float, float]]:
    """Return the front as a stair to the panel's edges: any method above it and to its right is beaten."""
    if not best:
        return []
    corners = [(best[0].cost, axes.get_ylim()[1])]
    for spot in best:
        corners += [(spot.cost, corners[-1][1]), (spot.cost, spot.kid)]
    return [*corners, (axes.get_xlim()[1], best[-1].kid)]
