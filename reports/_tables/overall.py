"""The finding over all tasks and numbers of images of a run together, which few seeds can already settle.

Two seeds of one cell settle next to nothing, for Student's t then has one degree of freedom; two seeds at three numbers
of images are six pairs. The test is that of the row of all cells of `graftbench versus`, with Holm's correction. Who
comes first goes by the ranks at each task and number of images, those that tables and page show, and by nothing else.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from graftbench.comparison.multiplicity import after_holm, holm
from graftbench.comparison.nothing_learnt import SOURCE
from graftbench.comparison.paired import LEVEL, Setting, p_clause, paired, percent
from graftbench.comparison.stats import mean

from .groups import mixed_protocols
from .numbers import KID, number
from .text import listing, plural

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from graftbench.comparison.paired import PairedDifferences

    from .groups import Group, Row

    Scores = dict[Setting, float]


def overall(groups: Sequence[Group]) -> str:
    """Say in one sentence who comes first over all cells of a run, and whether that beats the others and the source.

    Counted are the cells (task, compute budget, number of images, seed) in which every method has a KID. Empty where
    the findings of single numbers of images say as much already (of one of them, of one training each, of one method),
    and where records of several protocols lie together.
    """
    rankable = [group for group in groups if not group.too_few and not mixed_protocols(groups)]
    methods = _scores(rankable, (row for group in rankable for row in group.methods if not row.leaks))
    cells = set.intersection(*map(set, methods.values())) if methods else set()
    blocks = {cell[:3] for cell in cells}
    if len(methods) < 2 or len(blocks) < 2 or len({(cell.task, cell.compute, cell.seed) for cell in cells}) < 2:
        return ""

    # Order by the average rank, which needs no common unit of tasks.
    ranks = _average_ranks(methods, cells)
    least = min(ranks.values())
    first = sorted(name for name in methods if math.isclose(ranks[name], least))
    others = sorted(methods.keys() - set(first), key=lambda name: (ranks[name], name))
    starts = [group.own_source(row) for group in rankable for row in group.methods if row.label in first]
    rivals = {name: methods[name] for name in others} | _scores(rankable, filter(None, starts))

    # Write it.
    images = sorted({cell.images for cell in cells})
    tasks = len({str(group.task) for group in rankable if group.key in {cell.task for cell in cells}})
    where = f"{listing([f'{n:,}' for n in images])} training images" + (f", {tasks} tasks" if tasks > 1 else "")
    text = f"All together ({where}; {plural(len(cells), 'pair')} of trainings): "
    text += f"{first[0]} comes first" if len(first) == 1 else f"{listing(first)} share the first place"
    budgets = len({cell.compute for cell in cells})
    varying = ["task"] * (tasks > 1) + ["compute budget"] * (budgets > 1) + ["number of images"]
    text += f" by KID (average rank {number(least, 2)} over {len(blocks):,} rankings, one for each {listing(varying)})"
    text += _compared({name: {cell: methods[name][cell] for cell in cells} for name in first}, rivals)
    if absent := sorted({row.label for group in rankable for row in group.methods if not row.leaks} - methods.keys()):
        text += f"; {listing(absent)} {'has' if len(absent) == 1 else 'have'} no score"
    return f"{text}."


def _compared(first: Mapping[str, Scores], rivals: Mapping[str, Scores]) -> str:
    """Say whom the first, or each of several, is better than, and whom it is not told apart from."""
    differences = {
        (name, rival): each for name in first for rival in rivals if (each := paired(first[name], rivals[rival]))
    }
    p = {pair: each.p for pair, each in differences.items() if each.p is not None}
    adjusted = dict(zip(p, holm(list(p.values())).tolist(), strict=True)) if p else {}
    better = {pair for pair, each in adjusted.items() if each <= LEVEL and differences[pair].mean < 0}
    text = ""
    for name in first:
        compared = [pair for pair in differences if pair[0] == name]
        beaten = [pair for pair in compared if pair in better]
        open_names = [_label(rival) for _, rival in compared if (name, rival) not in better]
        parts = []
        if beaten:
            changes = [f"{_label(pair[1])} ({_change(differences[pair], adjusted[pair])})" for pair in beaten]
            parts.append(f"better than {listing(changes)}")
        if open_names:
            parts.append(f"not told apart from {listing(open_names)}")
        if parts:
            text += f"{'; ' if len(first) > 1 else ', '}{f'{name} is ' if len(first) > 1 else ''}{'; '.join(parts)}"
    return f"{text}; p {after_holm(len(p))}" if better else text


def _scores(groups: Sequence[Group], rows: Iterable[Row]) -> dict[str, Scores]:
    """Return label -> cell -> KID, above all tasks and numbers of images."""
    group_of = {id(row): group for group in groups for row in group.rows}
    scores: dict[str, Scores] = {}
    for row in rows:
        group = group_of[id(row)]
        for seed, value in row.by_seed(KID).items():
            cell = Setting(group.key, str(group.compute_budget), row.data_budget, seed)
            scores.setdefault(row.label, {})[cell] = value
    return scores


def _average_ranks(methods: Mapping[str, Scores], cells: Collection[Setting]) -> dict[str, float]:
    """Average each method's rank over the rankings, one a task, compute budget and number of images, by mean KID."""
    ranks: dict[str, list[float]] = {name: [] for name in methods}
    for ranking in sorted({cell[:3] for cell in cells}):
        kids = {name: mean([kids[cell] for cell in cells if cell[:3] == ranking]) for name, kids in methods.items()}
        for name, kid in kids.items():
            below, equal = (sum(map(test, kids.values())) for test in (kid.__gt__, kid.__eq__))
            ranks[name].append(below + (equal + 1) / 2)
    return {name: mean(each) for name, each in ranks.items()}


def _change(differences: PairedDifferences, p: float) -> str:
    return f"{percent(differences.log_ratio)}, {p_clause(p)}"


def _label(name: str) -> str:
    return "the untransferred source" if name == SOURCE else name
