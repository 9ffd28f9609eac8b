"""Quality against cost: KID against seconds of fitting and against peak memory, the Pareto front marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graftbench.plotting import INK, MUTED
from graftbench.records.provenance import HANDED_IN, known_cost

from .._tables.groups import devices
from .._tables.numbers import KID, finite
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

RESIDENT_LEVEL = 0.03
"""Share below which two fits take the same: `dcgan` had 558 MiB with 25 images, and 574 with 400 images of 3 KiB."""
RESIDENT = "resident"
"""Kind of memory that is a process's own: most of it is Python and its libraries."""
_COSTS = {"fit_seconds": "seconds of fitting", "peak_memory_mib": "peak memory, MiB"}


@dataclass(frozen=True)
class Spot:
    """A method in the plane of cost and quality, means over its seeds.

    Attributes:
        label: Whose it is.
        cost: Seconds or MiB.
        kid: In its printed scale.
        competes: False for a method that was trained with the scoring network, and for one whose cost nobody measured
            here, as it was made elsewhere or the cost declared.
        costs: Lowest and highest cost of a seed; empty where that is not asked for.
        kids: The same of KID.
    """

    label: str
    cost: float
    kid: float
    competes: bool
    costs: tuple[float, ...] = ()
    kids: tuple[float, ...] = ()


def pareto_plots(groups: Sequence[Group], palette: dict[str, Look]) -> list[Plot]:
    """Make one plot a group and data budget in which a method has a KID and a cost."""
    return budget_plots(groups, lambda view: _plot(view, palette), "pareto", "no method has both a KID and a cost")


def front(spots: Iterable[Spot], level: float = 0.0) -> list[Spot]:
    """Return the spots that no other beats: none is at least as good in KID and in cost and better in one. By cost.

    Spots that do not compete neither stand on it nor keep others from it.

    Args:
        spots: The methods.
        level: Share of a cost up to which two costs count as the same.
    """
    competing = [spot for spot in spots if spot.competes]
    best = [spot for spot in competing if not any(_beats(other, spot, level) for other in competing)]
    return sorted(best, key=lambda spot: (spot.cost, spot.kid, spot.label))


def _beats(one: Spot, other: Spot, level: float) -> bool:
    """Return whether one is at least as good in both and better in one."""
    cheaper = one.cost * (1.0 + level) < other.cost
    as_cheap = one.cost <= other.cost * (1.0 + level)
    return as_cheap and one.kid <= other.kid and (cheaper or one.kid < other.kid)


def _level(cost: str, kinds: Sequence[str]) -> float:
    """Return the share of a cost up to which two are the same: of a process's memory most is Python and libraries."""
    return RESIDENT_LEVEL if cost == "peak_memory_mib" and RESIDENT in kinds else 0.0


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
        key = "Dashed: the front. Bars: lowest to highest training." + (" Hollow: not on the front." if hollow else "")
        figure, all_axes = paper_panels(width, len(panels), view.title, names, hollow=hollow, key=key)
        fronts = {cost: front(spots, _level(cost, kinds)) for cost, spots in panels.items()}
        for axes, (cost, spots) in zip(all_axes, panels.items(), strict=True):
            kind = f" ({listing(kinds)})" if cost == "peak_memory_mib" and kinds else ""
            _draw(axes, spots, fronts[cost], f"{_COSTS[cost]}{kind}", palette)
        # Names come last: what they may cover depends on the layout of all panels.
        for axes, (cost, spots) in zip(all_axes, panels.items(), strict=True):
            best = fronts[cost]
            named = [(spot.cost, spot.kid, short(spot.label), INK) for spot in best]
            bars = [bar for spot in spots for bar in _bars(spot)]
            label_points(axes, named, [(spot.cost, spot.kid) for spot in spots], [_corners(axes, best), *bars])
        return figure

    records = [record for row in rows for record in row.ok]
    caption = (
        f"{KID.heading} against what the fit cost, means over seeds; bars: lowest to highest seed. Line and names: the "
        "Pareto front, methods that no other beats in one and equals in the other. "
        f"Device: {one_line(listing(devices(records)))}."
    )
    if _level("peak_memory_mib", kinds) and "peak_memory_mib" in panels:
        why = "Resident memory is mostly Python and its libraries"
        caption += f" {why}: differences below {RESIDENT_LEVEL:.0%} count as none."
    machines = [*device_notes(records), *shared_timing_notes(rows)]
    return view.plot(
        "pareto", caption, [*_missing_notes(rows, panels, kinds), *machines, *_hollow_notes(rows, panels)], draw
    )


def _spots(rows: Sequence[Row], cost: str) -> list[Spot]:
    spots = []
    for row in rows:
        kid, spent = row.summary(KID), row.cost(cost)
        if kid is not None and spent is not None:
            competes = not row.leaks and _measured(row, cost)
            costs = [value for record in row.ok if (value := finite(known_cost(record, cost))) is not None]
            kids = row.by_seed(KID).values()
            ends = [(min(costs), max(costs)), (min(kids), max(kids))]
            spots.append(Spot(row.label, spent.mean, kid.mean, competes, *ends))
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
        reason = "because they were trained with the scoring network"
        notes.append(f"Hollow, and not on the front, {reason}: {listing(leaking)}.")
    drawn = {spot.label for spots in panels.values() for spot in spots}
    declared = [row.label for row in rows if row.label in drawn and not all(_measured(row, cost) for cost in panels)]
    if declared:
        notes.append(f"Hollow, and not on the front, because nobody measured their cost here: {listing(declared)}.")
    return notes


def _draw(axes: Axes, spots: Sequence[Spot], best: Sequence[Spot], name: str, palette: dict[str, Look]) -> None:
    log_x = number_axis(axes.xaxis, [cost for spot in spots for cost in (spot.cost, *spot.costs)])
    log_y = number_axis(axes.yaxis, [kid for spot in spots for kid in (spot.kid, *spot.kids)])
    axes.set_xlabel(f"{name}{' (log)' if log_x else ''}")
    axes.set_ylabel(f"{KID.heading}{' (log)' if log_y else ''}")
    if best:
        x, y = zip(*_corners(axes, best), strict=True)
        axes.plot(x, y, color=MUTED, lw=0.9, ls=(0, (4, 2)), zorder=2)
    for spot in spots:
        look, on_front = palette[spot.label], spot in best
        for bar in _bars(spot):
            axes.plot(*zip(*bar, strict=True), color=look.color, lw=0.8, alpha=0.7, zorder=2.5)
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


def _bars(spot: Spot) -> list[list[tuple[float, float]]]:
    """Return both bars of a spot, from the lowest to the highest seed; none where that is not known."""
    bars = [[(cost, spot.kid) for cost in spot.costs], [(spot.cost, kid) for kid in spot.kids]]
    return [bar for bar in bars if bar]


def _corners(axes: Axes, best: Sequence[Spot]) -> list[tuple[float, float]]:
    """Return the front as a stair to the panel's edges: any method above it and to its right is beaten."""
    if not best:
        return []
    corners = [(best[0].cost, axes.get_ylim()[1])]
    for spot in best:
        corners += [(spot.cost, corners[-1][1]), (spot.cost, spot.kid)]
    return [*corners, (axes.get_xlim()[1], best[-1].kid)]
