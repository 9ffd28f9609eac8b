"""Methods by tasks: one table for each score and data budget, of tasks that share protocol and compute budget."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from graftbench.records.cell_spec import content_hash

from .numbers import DASH, FID, KID, number
from .origins import legend, row_mark
from .scores import Cell
from .text import listing, plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graftbench.metrics.catalogue import Metric

    from .groups import Group, Row
    from .scores import ScoreTable

METRICS = (KID, FID)
"""The scores that get tables over tasks."""
LOOKS = "looks at the scoring network"
NAMED = 5
"""Most methods that a sentence names."""


@dataclass(frozen=True, kw_only=True)
class TaskLine:
    """One method.

    Attributes:
        label: Its name.
        scores: One cell a task, marked as in the task's own table.
        rank: Average rank over the tasks; a dash where a task has no score of it.
        tasks: How many tasks have a score of it: `3`, or `2 of 3`.
        origin_mark: As in the table of each task; of several the first.
    """

    label: str
    scores: tuple[Cell, ...]
    rank: Cell
    tasks: str
    origin_mark: str = ""


@dataclass(frozen=True, kw_only=True)
class TaskTable:
    """One score at one data budget, over tasks.

    Attributes:
        key: Of its protocol and compute budget, eight digits.
        metric: The score.
        data_budget: Target training images.
        heads: One a task.
        title: Score and conditions, short.
        caption: What the columns are and what was left out, in sentences.
        lines: By rank, those without one last.
    """

    key: str
    metric: Metric
    data_budget: int
    heads: tuple[str, ...]
    title: str
    caption: str
    lines: tuple[TaskLine, ...]


def task_sets(found: Iterable[Group]) -> dict[str, list[Group]]:
    """Return groups of one kind of task that differ in the task alone: a key of eight digits -> at least one group."""
    sets: defaultdict[str, list[Group]] = defaultdict(list)
    for group in found:
        protocol = msgspec.structs.replace(group.protocol, weights="")  # where the file lies does not matter
        kind = [] if group.task.kind == "generate" else [group.task.kind]
        sets[content_hash([protocol, group.compute_budget, *kind])[:8]].append(group)
    return dict(sets)


def heads(found: Sequence[Group]) -> tuple[str, ...]:
    """Names of tasks as short as they tell them apart: the target, where source and resolution are the same."""
    tasks = [group.task for group in found]
    alike = len({(task.source, task.resolution) for task in tasks}) == 1
    names = [task.target if alike else f"{task.source} → {task.target}@{task.resolution}" for task in tasks]
    counts = Counter(names)
    return tuple(
        name if counts[name] == 1 else f"{name}, set {group.key}" for name, group in zip(names, found, strict=True)
    )


def what_is_shared(found: Sequence[Group]) -> str:
    """`from twemoji at 32×32; ` where the heads leave it out, else empty."""
    tasks = [group.task for group in found]
    if len({(task.source, task.resolution) for task in tasks}) > 1:
        return ""
    return f"from {tasks[0].source} at {tasks[0].resolution}×{tasks[0].resolution}; "


def looking(found: Iterable[Group]) -> set[str]:
    """Labels of the methods that look at the scoring network, also where a row of theirs has no cell yet."""
    return {row.label for group in found for row in group.methods if row.leaks}


def task_tables(tables: Sequence[ScoreTable]) -> list[TaskTable]:
    """Every table over at least two tasks; none for one task."""
    by_key = {table.group.key: table for table in tables}
    made: list[TaskTable] = []
    for key, found in task_sets(table.group for table in tables).items():
        if len(found) > 1:
            chosen = [by_key[group.key] for group in found]
            budgets = sorted({row.data_budget for group in found for row in group.methods})
            made += [table for metric in METRICS for n in budgets if (table := _table(key, chosen, metric, n))]
    return made


def _table(key: str, tables: Sequence[ScoreTable], metric: Metric, budget: int) -> TaskTable | None:
    """One of them; None where fewer than two tasks have a score."""
    cells: defaultdict[str, dict[int, Cell]] = defaultdict(dict)
    rows: defaultdict[str, dict[int, Row]] = defaultdict(dict)
    for place, table in enumerate(tables):
        index = table.headline.panel.metrics.index(metric)
        for row, line in zip(table.group.methods, table.headline.methods, strict=True):
            if row.data_budget == budget:
                rows[row.label][place] = row
                cells[row.label][place] = replace(line.scores[index], notes=())
    scored = {
        label: {place: summary.mean for place, row in found.items() if (summary := row.summary(metric)) is not None}
        for label, found in rows.items()
    }
    used = sorted({place for found in scored.values() for place in found})
    if len(used) < 2:
        return None
    groups = [tables[place].group for place in used]
    leaking = looking(table.group for table in tables)
    whole = {label: found for label, found in scored.items() if len(found) == len(used) and label not in leaking}
    unranked = {label: LOOKS if label in leaking else "no score in every task" for label in rows if label not in whole}
    ranks = average_ranks(whole, metric)
    lines = [
        TaskLine(
            label=label,
            scores=tuple(cells[label].get(place, Cell(DASH)) for place in used),
            rank=_rank(ranks, label),
            tasks=str(len(used)) if len(scored[label]) == len(used) else f"{len(scored[label])} of {len(used)}",
            origin_mark=next(filter(None, map(row_mark, rows[label].values())), ""),
        )
        for label in sorted(rows, key=lambda label: (ranks.get(label, float("inf")), label))
    ]
    conditions = f"{groups[0].compute_budget}, {groups[0].protocol.label}"
    return TaskTable(
        key=key,
        metric=metric,
        data_budget=budget,
        heads=heads(groups),
        title=f"{metric.label} over {len(used)} tasks with {plural(budget, 'image')}, {conditions}",
        caption=" ".join(
            [
                _caption(groups, metric, budget, len(whole), unranked),
                *legend(row for found in rows.values() for row in found.values()),
            ]
        ),
        lines=tuple(lines),
    )


def average_ranks(scored: Mapping[str, Mapping[int, float]], metric: Metric) -> dict[str, float]:
    """Return method -> mean of its ranks over tasks, all of which have a score of every method; none for one method."""
    if len(scored) < 2:
        return {}
    from graftbench.comparison import ranks  # noqa: PLC0415 - scipy.stats takes half a second

    values = [[found[place] for place in sorted(found)] for found in scored.values()]
    blocks = list(zip(*values, strict=True))
    found = ranks.average_ranks(blocks, lower_is_better=metric.better < 0)
    return dict(zip(scored, found.tolist(), strict=True))


def _rank(ranks: Mapping[str, float], label: str) -> Cell:
    if label not in ranks:
        return Cell(DASH)
    return Cell(number(ranks[label], 2), best=ranks[label] == min(ranks.values()))


def _caption(groups: Sequence[Group], metric: Metric, budget: int, ranked: int, unranked: Mapping[str, str]) -> str:
    conditions = f"{groups[0].compute_budget} per fit, protocol {groups[0].protocol.label}"
    sentences = [
        f"{metric.heading}, {plural(budget, 'target training image')}, {what_is_shared(groups)}{conditions}.",
        "Mean ± standard deviation over seeds; marks as in the table of each task.",
    ]
    if ranked > 1:
        sentences.append(
            f"Rank: average over the {len(groups)} tasks, 1 the best, of the {ranked:,} methods with a score in each."
        )
    kinds = {kind: sorted(name for name in unranked if unranked[name] == kind) for kind in unranked.values()}
    return " ".join([*sentences, *(f"Without a rank ({kind}): {some(names)}." for kind, names in kinds.items())])


def some(names: Sequence[str]) -> str:
    """Up to five names, then how many more there are."""
    if len(names) <= NAMED:
        return listing(list(names))
    return listing([*names[:NAMED], f"{len(names) - NAMED:,} more"])
