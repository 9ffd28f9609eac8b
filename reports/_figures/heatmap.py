"""Transfer: KID of every pair of source and target as a heat map, of the best method or of a chosen one."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graftbench.plotting import INK, LIGHT_PAPER, MUTED

from .._tables.groups import grouped
from .._tables.numbers import KID, decimals, number
from .._tables.tasks import shared_key
from .._tables.text import listing, one_line, plural, short
from .style import PRINT_SIZE, Plot, title_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .._tables.groups import Group, Row

_SHADES = ("#f7fafa", "#2e7579")
"""Good to bad: one hue from light to dark, which every eye orders alike."""
_PALE_FROM = 0.88
"""Depth of the shade on which white letters have more contrast than dark ones; there both have about 4:1."""


@dataclass(frozen=True)
class Square:
    """One pair of source and target.

    Attributes:
        kid: Mean over seeds, in its printed scale.
        label: The method that it is of.
    """

    kid: float
    label: str


_Matrix = dict[tuple[str, str], Square]


def heatmap_plots(groups: Sequence[Group], method: str = "") -> list[Plot]:
    """Make one plot for each protocol, compute budget, resolution and data budget with several tasks.

    Args:
        groups: The run's groups.
        method: Label of the method whose KID is shown; the best of each pair where empty.
    """
    sets = grouped(groups, lambda group: shared_key(group, group.task.resolution))
    several = {key: alike for key, alike in sorted(sets.items()) if len({str(group.task) for group in alike}) > 1}
    plots: list[Plot] = []
    for key, alike in several.items():
        suffix = f"-{key}" if len(several) > 1 else ""
        budgets = sorted({budget for group in alike for budget in group.budgets})
        drawn = (_plot(f"transfer{suffix}-n{budget}", alike, budget, method) for budget in budgets)
        plots += [plot for plot in drawn if plot is not None]
    return plots or [Plot("transfer", "no two tasks were scored alike and have a KID at one data budget")]


def _plot(stem: str, groups: Sequence[Group], budget: int, method: str) -> Plot | None:
    matrix, notes = transfer_matrix(groups, budget, method)
    if len(matrix) < 2:
        return None
    first = groups[0]
    side = first.task.resolution
    whose = f"of {method}" if method else "of the best method"
    title = one_line(
        f"{KID.heading} {whose}, {plural(budget, 'target image')} at {side}×{side}, {first.compute_budget}, "
        f"{first.protocol.label}"
    )
    caption = (
        f"{title}: mean over seeds. Methods that were trained with the scoring network and reference rows do not "
        "compete. Targets differ in difficulty: compare within a column. A dash: no score."
    )
    return Plot(stem, caption, tuple(notes), lambda width: _draw(matrix, title, width, named=not method))


def transfer_matrix(groups: Sequence[Group], budget: int, method: str = "") -> tuple[_Matrix, list[str]]:
    """Return (source, target) -> best or chosen, and why pairs are left out. Plain generation alone."""
    matrix: _Matrix = {}
    notes = []
    plain = (group for group in groups if group.task.kind == "generate")
    by_task = grouped(plain, lambda group: (group.task.source, group.task.target))
    for (source, target), same in sorted(by_task.items()):
        rows = [row for row in same[0].methods if row.data_budget == budget]
        square = _square(rows, method)
        if len(same) > 1:
            notes.append(f"{source} → {target}: left out, because its target images are not the same in all cells.")
        elif same[0].too_few and not method:
            notes.append(f"{source} → {target}: no best is named. {same[0].too_few}")
        elif square is None:
            outcomes = f" ({listing([f'{row.label}: {row.outcome}' for row in rows])})" if rows else ""
            notes.append(f"{source} → {target}: no KID{outcomes}.")
        else:
            matrix[source, target] = square
    return matrix, notes


def _square(rows: Sequence[Row], method: str) -> Square | None:
    squares = [
        Square(kid.mean, row.label)
        for row in rows
        if (row.label == method if method else not row.leaks) and (kid := row.summary(KID)) is not None
    ]
    return min(squares, key=lambda square: (square.kid, square.label), default=None)


def _draw(matrix: _Matrix, title: str, width: float, *, named: bool) -> Figure:
    from matplotlib.figure import Figure  # noqa: PLC0415

    sources, targets = (sorted({pair[i] for pair in matrix}) for i in (0, 1))
    lines = title_lines(title, width)
    height = 0.16 * len(lines) + 0.46 * len(sources) + 0.75
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle("\n".join(lines), fontsize=PRINT_SIZE + 1, x=0.01, ha="left", color=INK)
    axes = figure.subplots()
    # Letters that a column has room for; about an inch goes to the names of the sources.
    letters = max(4, int(72 * (width - 1.0) / len(targets) / (0.62 * PRINT_SIZE)))
    axes.set_xlim(-0.5, len(targets) - 0.5)
    axes.set_ylim(len(sources) - 0.5, -0.5)
    axes.set_xticks(range(len(targets)), [textwrap.fill(short(name), letters) for name in targets])
    axes.set_yticks(range(len(sources)), [textwrap.fill(short(name), 12) for name in sources])
    axes.set_xlabel("target")
    axes.set_ylabel("source")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    _fill(axes, matrix, sources, targets, letters if named else 0)
    return figure


def _fill(axes: Axes, matrix: _Matrix, sources: list[str], targets: list[str], letters: int) -> None:
    from matplotlib.colors import LinearSegmentedColormap  # noqa: PLC0415
    from matplotlib.patches import Rectangle  # noqa: PLC0415

    shades = LinearSegmentedColormap.from_list("shades", _SHADES)
    values = [square.kid for square in matrix.values()]
    places = decimals(values)
    for i, source in enumerate(sources):
        for j, target in enumerate(targets):
            square = matrix.get((source, target))
            if square is None:
                axes.text(j, i, "—", ha="center", va="center", color=MUTED)
                continue
            depth = _depth(square.kid, values)
            axes.add_patch(Rectangle((j - 0.48, i - 0.46), 0.96, 0.92, facecolor=shades(depth), lw=0))
            name = f"\n{short(square.label, letters)}" if letters else ""
            ink = LIGHT_PAPER if depth > _PALE_FROM else INK
            axes.text(j, i, number(square.kid, places) + name, ha="center", va="center", color=ink, linespacing=1.3)


def _depth(value: float, values: Sequence[float]) -> float:
    """Return 0 for the best to 1 for the worst; by logarithm where all are positive."""
    low, high = min(values), max(values)
    if low == high:
        return 0.0
    return math.log(value / low) / math.log(high / low) if low > 0 else (value - low) / (high - low)
