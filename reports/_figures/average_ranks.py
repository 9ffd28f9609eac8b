"""Average ranks over blocks, and which methods the paired test does not tell apart.

After the diagram of Demšar 2006 (JMLR 7, section 3.2), which has the rank axis on top and names at its sides; here each
method has a line of its own, best on top, and bars stand beside the lines that they join: thirty names stay readable.
His test is of ranks; this one is that of every other screen, so that none contradicts another.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graftbench.comparison.paired import LEVEL, Setting
from graftbench.comparison.ranks import average_ranks, told_apart
from graftbench.comparison.ranks import groups as cliques_of
from graftbench.plotting import GRID, INK, MUTED

from .._tables.groups import grouped
from .._tables.numbers import KID
from .._tables.tasks import rankable, shared_key
from .._tables.text import listing, one_line, plural, short
from .style import PRINT_SIZE, WIDTHS, Plot, title_lines, titled_figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from graftbench.plotting import Look

    from .._tables.groups import Group

_LINE = 0.145
"""Inches a method."""


@dataclass(frozen=True)
class Blocks:
    """KID of every method in every block.

    Attributes:
        methods: Labels.
        scores: In KID's printed scale, blocks × methods.
        settings: For each method, its KID in each setting: what the test compares.
        kind: What a block is, in words.
        caveat: What the kind of block means for the test, a sentence.
        notes: What is left out, a sentence each.
    """

    methods: tuple[str, ...]
    scores: NDArray[np.float64]
    settings: tuple[Mapping[Setting, float], ...]
    kind: str
    caveat: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class RankDiagram:
    """Average ranks, and which methods are told apart.

    Attributes:
        order: Labels, the best first.
        ranks: Average rank of each, 1 the best.
        each: Rank in each block, methods × blocks, in the same order.
        cliques: First and last position in `order` of methods that are not told apart, at least two.
    """

    order: tuple[str, ...]
    ranks: NDArray[np.float64]
    each: NDArray[np.float64]
    cliques: tuple[tuple[int, int], ...]


def rank_plots(groups: Sequence[Group], palette: Mapping[str, Look]) -> list[Plot]:
    """Make one plot for each protocol and compute budget: a diagram, or the reason why there is none."""
    alike = sorted(grouped(rankable(groups), shared_key).items())
    return [_plot(f"ranks-{key}" if len(alike) > 1 else "ranks", groups, palette) for key, groups in alike]


def _plot(stem: str, alike: Sequence[Group], palette: Mapping[str, Look]) -> Plot:
    blocks = blocks_of(alike)
    title = one_line(f"{alike[0].compute_budget}, {alike[0].protocol.label}")
    if reason := _too_few(blocks):
        return Plot(stem, f"{title}: {reason}")
    ranking = ranked(blocks)
    heading = f"Average rank by KID over {plural(len(blocks.scores), 'block')}; {title}"
    return Plot(
        stem,
        f"{heading}. {_caption(blocks)}",
        blocks.notes,
        lambda width: _draw(ranking, heading, width, palette),
    )


# ------------------------------------------------------------------------------------------------------------ blocks


def blocks_of(alike: Sequence[Group]) -> Blocks:
    """Gather the blocks. Of several tasks: a task at a data budget, means over seeds. Of one: a data budget and a seed.

    The test pairs seeds in either case. Tasks are not drawn: what is told apart is so on these tasks.
    """
    table: dict[tuple[str, int, int], dict[str, float]] = defaultdict(dict)
    settings: dict[str, dict[Setting, float]] = defaultdict(dict)
    leaking: set[str] = set()
    several = len(alike) > 1
    for group in alike:
        for row in group.methods:
            if row.leaks:
                leaking.add(row.label)
                continue
            values = row.by_seed(KID)
            settings[row.label] |= {Setting(group.key, "", row.data_budget, seed): kid for seed, kid in values.items()}
            if several and values:
                table[group.key, row.data_budget, 0][row.label] = sum(values.values()) / len(values)
            elif not several:
                for seed, value in values.items():
                    table[group.key, row.data_budget, seed][row.label] = value
    if several:
        kind = f"one of {len(alike)} tasks at one data budget, mean over seeds"
        caveat = ""
    else:
        kind = f"one data budget and one seed of {one_line(alike[0].task_title)}"
        caveat = " All blocks are of one task: the ranks speak of this task alone."
    return _complete(table, settings, leaking, kind, caveat)


def _complete(
    table: Mapping[tuple[str, int, int], Mapping[str, float]],
    settings: Mapping[str, Mapping[Setting, float]],
    leaking: set[str],
    kind: str,
    caveat: str,
) -> Blocks:
    """Keep blocks that at least half of the methods have, and methods that have all of these: each block ranks all."""
    everyone = {label for scores in table.values() for label in scores}
    used = [key for key in sorted(table) if 2 * len(table[key]) >= len(everyone)]
    counts = Counter(label for key in used for label in table[key])
    methods = sorted(label for label in everyone if counts[label] == len(used))
    notes = []
    if len(used) < len(table):
        count = len(table) - len(used)
        notes.append(f"{plural(count, 'block')} left out, where fewer than half of the methods have a KID.")
    if lacking := sorted(everyone - set(methods)):
        labels = [f"{label} ({len(used) - counts[label]} of {len(used)})" for label in lacking]
        notes.append(f"Left out, because blocks without their KID cannot be ranked: {listing(labels)}.")
    if leaking:
        notes.append(f"Left out, because they were trained with the scoring network: {listing(sorted(leaking))}.")
    scores = np.array([[table[key][label] for label in methods] for key in used], dtype=np.float64)
    scores = scores.reshape(len(used), len(methods))
    return Blocks(tuple(methods), scores, tuple(settings[label] for label in methods), kind, caveat, tuple(notes))


def _too_few(blocks: Blocks) -> str:
    """Say why there is nothing to draw; empty where there is."""
    n, k = blocks.scores.shape
    have = f"{plural(k, 'method')} with a KID in all of {plural(n, 'block')} (a block is {blocks.kind})"
    if k < 3 or n < 2:
        return f"ranks take at least 3 methods and 2 blocks; found {have}"
    return ""


# ------------------------------------------------------------------------------------------------------------- ranks


def ranked(blocks: Blocks) -> RankDiagram:
    """Average ranks, and cliques of neighbours that the paired test does not tell apart."""
    averages = average_ranks(blocks.scores)
    order = sorted(range(len(averages)), key=lambda i: (averages[i], blocks.methods[i]))
    each = np.array([average_ranks(block[None]) for block in blocks.scores]).T[order]
    cliques = cliques_of(order, told_apart(blocks.settings))
    joined = tuple((clique[0], clique[-1]) for clique in cliques if len(clique) > 1)
    return RankDiagram(tuple(blocks.methods[i] for i in order), averages[order], each, joined)


def _caption(blocks: Blocks) -> str:
    return (
        f"Large: average rank, 1 the best; small: rank in each block. A block is {blocks.kind}.{blocks.caveat} Methods "
        "under one bar are not told apart (paired t test of log KID over all seeds, Holm's correction over all pairs "
        f"of methods, level {LEVEL:g}), which does not say that they are equal."
    )


# ----------------------------------------------------------------------------------------------------------- drawing


def _draw(ranking: RankDiagram, title: str, width: float, palette: Mapping[str, Look]) -> Figure:
    k = len(ranking.order)
    lines = title_lines(title, width)
    columns = columns_of(ranking.cliques)
    names = [short(label) for label in ranking.order]
    # Inches: 0.6 of the letters' size each; bars are 5 points apart.
    left = 0.12 + 0.6 * PRINT_SIZE / 72 * max(map(len, names))
    right = 0.42 + 5 / 72 * (max(columns, default=-1) + 1)
    top, bottom = 0.12 + 0.16 * len(lines), 0.52
    height = top + _LINE * k + bottom
    figure = titled_figure(lines, width, height)
    axes = figure.add_axes((left / width, bottom / height, (width - left - right) / width, _LINE * k / height))
    _draw_ranks(axes, ranking, names, palette, ticks=4 if width < WIDTHS["2col"] else 8)
    _draw_cliques(axes, ranking.cliques, columns)
    return figure


def _draw_ranks(
    axes: Axes, ranking: RankDiagram, names: Sequence[str], palette: Mapping[str, Look], ticks: int
) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    k = len(ranking.order)
    axes.set_xlim(0.5, k + 0.5)
    axes.set_ylim(k - 0.4, -0.6)
    axes.set_yticks(range(k), names)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(ticks, integer=True, min_n_ticks=1))
    bars = "; joined by a bar: not told apart" if ranking.cliques else ""
    axes.set_xlabel(f"average rank (1: best)\nstrokes: each block{bars}")
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    for y, label in enumerate(ranking.order):
        look = palette[label]
        axes.plot([0.5, k + 0.5], [y] * 2, color=GRID, lw=0.4, zorder=1)
        axes.plot(ranking.each[y], [y] * ranking.each.shape[1], "|", color=look.color, ms=4, mew=0.6, alpha=0.45)
        axes.plot([ranking.ranks[y]], [y], look.marker, color=look.color, ms=5, mew=0, zorder=4)
        at = axes.get_yaxis_transform()
        axes.text(1.02, y, f"{ranking.ranks[y]:.1f}", transform=at, va="center", fontsize=6, color=INK)


def columns_of(cliques: Sequence[tuple[int, int]]) -> list[int]:
    """Choose the column of each clique's bar: the first in which it does not meet the one before."""
    ends: list[int] = []
    columns = []
    for first, last in cliques:
        column = next((i for i, end in enumerate(ends) if end < first), len(ends))
        ends[column : column + 1] = [last]
        columns.append(column)
    return columns


def _draw_cliques(axes: Axes, cliques: Sequence[tuple[int, int]], columns: Sequence[int]) -> None:
    from matplotlib.transforms import ScaledTranslation, blended_transform_factory  # noqa: PLC0415

    figure = axes.get_figure(root=True)
    assert figure is not None
    for (first, last), column in zip(cliques, columns, strict=True):
        beside = ScaledTranslation(0.32 + 5 / 72 * column, 0, figure.dpi_scale_trans)
        at = blended_transform_factory(axes.transAxes + beside, axes.transData)
        axes.plot(
            [1, 1], [first - 0.25, last + 0.25], color=MUTED, lw=1.8, solid_capstyle="butt", transform=at, clip_on=False
        )
