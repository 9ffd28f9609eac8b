"""The finding over all tasks and numbers of images of a run together, which few seeds can already settle.

Two seeds of one cell settle next to nothing, for Student's t then has one degree of freedom; two seeds at three numbers
of images are six pairs. The test is that of the row of all cells of `graftbench versus`, with Holm's correction.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from graftbench.comparison.multiplicity import holm
from graftbench.comparison.paired import LEVEL, Setting, p_clause, paired, percent
from graftbench.comparison.stats import mean

from .groups import mixed_protocols
from .numbers import KID
from .text import listing, plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graftbench.comparison.paired import PairedDifferences

    from .groups import Group, Row

    Scores = dict[Setting, float]

SOURCE = "source"
"""Reference row of the generator before the transfer."""


def overall(groups: Sequence[Group]) -> str:
    """Say in one sentence who comes first over all cells of a run, and whether that beats the others and the source.

    Counted are the cells (task, compute budget, number of images, seed) in which every method has a KID. Empty where
    the findings of single numbers of images say as much already (of one of them, of one seed, of one method), and where
    records of several protocols lie together.
    """
    rankable = [group for group in groups if not group.too_few and not mixed_protocols(groups)]
    methods = _scores(rankable, (row for group in rankable for row in group.methods if not row.leaks))
    cells = set.intersection(*map(set, methods.values())) if methods else set()
    blocks = {cell[:3] for cell in cells}
    if len(methods) < 2 or len(blocks) < 2 or len({cell.seed for cell in cells}) < 2:
        return ""

    # Order by the mean rank within each cell, which needs no common unit of tasks.
    ranks = _mean_ranks(methods, cells)
    first = sorted(name for name in methods if math.isclose(ranks[name], min(ranks.values())))
    others = sorted(methods.keys() - set(first), key=lambda name: (ranks[name], name))
    source = _scores(rankable, (row for group in rankable for row in group.references if row.method == SOURCE))
    rivals = {name: methods[name] for name in others} | source

    # Write it.
    images = sorted({cell.images for cell in cells})
    tasks = len({str(group.task) for group in rankable if group.key in {cell.task for cell in cells}})
    where = f"{listing([f'{n:,}' for n in images])} training images" + (f", {tasks} tasks" if tasks > 1 else "")
    text = f"All together ({where}; {plural(len(cells), 'pair')} of trainings): "
    if len(first) == 1:
        text += f"{first[0]} comes first by KID"
    else:
        text += f"{listing(first)} share the first place by KID, with equal mean ranks"
    for name in first:
        best = {cell: methods[name][cell] for cell in cells}
        text += _compared(best, rivals, "" if len(first) == 1 else f"{name} is ")
    if absent := sorted({row.label for group in rankable for row in group.methods if not row.leaks} - methods.keys()):
        text += f"; {listing(absent)} {'has' if len(absent) == 1 else 'have'} no score"
    return f"{text}."


def _compared(best: Scores, rivals: Mapping[str, Scores], subject: str) -> str:
    """Say whom the first, or one of several, is better than, and whom it is not told apart from."""
    differences = {name: each for name in rivals if (each := paired(best, rivals[name])) is not None}
    beaten, open_names = _told_apart(differences)
    parts = []
    if beaten:
        names = [f"{_label(name)} ({_change(differences[name], p)})" for name, p in beaten]
        parts.append(f"better than {listing(names)}")
    if open_names:
        parts.append(f"not told apart from {listing([_label(name) for name in open_names])}")
    return f"{'; ' if subject else ', '}{subject}{'; '.join(parts)}" if parts else ""


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


def _mean_ranks(methods: Mapping[str, Scores], cells: Iterable[Setting]) -> dict[str, float]:
    ranks: dict[str, list[float]] = {name: [] for name in methods}
    for cell in cells:
        values = Counter({name: scores[cell] for name, scores in methods.items()})
        for name, value in values.items():
            below, equal = (sum(map(test, values.values())) for test in (value.__gt__, value.__eq__))
            ranks[name].append(below + (equal + 1) / 2)
    return {name: mean(each) for name, each in ranks.items()}


def _told_apart(differences: Mapping[str, PairedDifferences]) -> tuple[list[tuple[str, float]], list[str]]:
    """Return whom the first is better than, with p after Holm's correction, and whom it is not told apart from."""
    p = {name: each.p for name, each in differences.items() if each.p is not None}
    adjusted = dict(zip(p, holm(list(p.values())).tolist(), strict=True)) if p else {}
    beaten = [(name, p) for name, p in adjusted.items() if p <= LEVEL and differences[name].mean < 0]
    return beaten, [name for name in differences if name not in dict(beaten)]


def _change(differences: PairedDifferences, p: float) -> str:
    return f"{percent(differences.log_ratio)}, {p_clause(p)}"


def _label(name: str) -> str:
    return "the untransferred source" if name == SOURCE else name
