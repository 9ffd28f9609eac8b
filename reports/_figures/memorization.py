"""Memorisation against quality: how near the images come to the training images, and how good they are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from graftbench.metrics.catalogue import METRICS
from graftbench.plotting import INK, MUTED

from .._tables.numbers import KID
from .._tables.text import listing, short
from .budget_plots import BudgetView, budget_plots
from .style import label_points, number_axis, paper_panels, tick, title_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from graftbench.plotting import Look

    from .._tables.groups import Group, Row
    from .style import Plot

RATIO = METRICS["train_distance_ratio"]
_X = "train distance ratio (1: as new real images)"


def memorization_plots(groups: Sequence[Group], palette: dict[str, Look]) -> list[Plot]:
    """Make one plot a group and data budget in which a method has a KID and a ratio of distances."""
    reason = f"no method has both a KID and a {RATIO.name}"
    return budget_plots(groups, lambda view: _plot(view, palette), "memorization", reason)


def _plot(view: BudgetView, palette: dict[str, Look]) -> Plot | None:
    rows = view.rows
    methods = {row.label: seeds for row in rows if not row.is_reference and (seeds := pairs(row))}
    references = {row.label: seeds for row in rows if row.is_reference and (seeds := pairs(row))}
    if not methods:
        return None
    leaking = [row.label for row in rows if row.leaks]

    def draw(width: float) -> Figure:
        looks = {short(label): palette[label] for label in methods}
        hollow = [short(label) for label in leaking if label in methods]
        key = "Large: mean, small: each training." + (" Hollow: trained with the scoring network." if hollow else "")
        figure, (axes,) = paper_panels(width, 1, view.title, looks, hollow=hollow, key=key)
        beyond = _draw(axes, methods, references, palette, leaking)
        axes.set_xlabel("\n".join([_X, *title_lines(beyond, width - 0.6)] if beyond else [_X]))
        means = {label: _mean(seeds) for label, seeds in references.items()}
        names = [(x, y, short(label), INK) for label, (x, y) in means.items() if _within(axes, x, y)]
        points = [pair for seeds in methods.values() for pair in (*seeds, _mean(seeds))]
        label_points(axes, names, [*points, *means.values()])
        return figure

    caption = (
        f"{KID.heading} against the mean distance of generated images to their nearest training image, over "
        "that of reference images. Dotted: 1, as far as new real images; towards 0: copies. Large: mean over seeds, "
        "small: each seed; grey crosses: reference rows. The axes span "
        "the methods; reference rows beyond are named below with both values."
    )
    missing = [row.label for row in rows if row.label not in {**methods, **references}]
    notes = [f"Not drawn, because no seed has both scores: {listing(missing)}."] if missing else []
    if leaking:
        notes.append(f"Hollow, because they were trained with the scoring network: {listing(leaking)}.")
    return view.plot("memorization", caption, notes, draw)


def pairs(row: Row) -> list[tuple[float, float]]:
    """Return (ratio of distances, KID in its printed scale) of each seed that has both, by seed."""
    ratios, kids = row.by_seed(RATIO), row.by_seed(KID)
    return [(ratios[seed], kids[seed]) for seed in sorted(ratios.keys() & kids.keys())]


def _mean(seeds: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return sum(x for x, _ in seeds) / len(seeds), sum(y for _, y in seeds) / len(seeds)


_Spots = dict[str, list[tuple[float, float]]]
"""Label -> (ratio, KID) of each seed."""


def _draw(axes: Axes, methods: _Spots, references: _Spots, palette: dict[str, Look], leaking: Sequence[str]) -> str:
    """Draw all but the names; return a sentence on the reference rows beyond the axes, which span the methods alone."""
    everything = [pair for seeds in methods.values() for pair in seeds]
    number_axis(axes.xaxis, [*(x for x, _ in everything), 1.0], log_from=math.inf)
    log = number_axis(axes.yaxis, [y for _, y in everything])
    axes.set_ylabel(f"{KID.heading}{' (log)' if log else ''}")
    axes.axvline(1.0, color=MUTED, lw=0.8, ls=":", zorder=1)
    for label, seeds in methods.items():
        look, (x, y) = palette[label], _mean(seeds)
        face, edge = ("none", 0.8) if label in leaking else (look.color, 0.0)
        axes.plot(*zip(*seeds, strict=True), look.marker, color=look.color, ms=2.0, mew=0, alpha=0.5, zorder=2)
        axes.plot([x], [y], look.marker, color=look.color, markerfacecolor=face, ms=5.5, mew=edge, zorder=4)
    beyond = []
    for label, seeds in references.items():
        x, y = _mean(seeds)
        if _within(axes, x, y):
            axes.plot([x], [y], "x", color=MUTED, ms=4.5, mew=1.1, zorder=3)
        else:
            beyond.append(f"{short(label)} ({tick(round(x, 3))}; {tick(y)})")
    return f"beyond: {', '.join(beyond)}" if beyond else ""


def _within(axes: Axes, x: float, y: float) -> bool:
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    return left <= x <= right and low <= y <= high
