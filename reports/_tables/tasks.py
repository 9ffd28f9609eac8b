"""Methods by tasks: one table for each score and data budget, of tasks that share protocol and compute budget."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from graftbench.records.cell_spec import content_hash

from .groups import grouped
from .numbers import DASH, FID, KID, number
from .origins import first_mark, legend
from .scores import Cell
from .text import listing, plural
from .unbeaten import unbeaten

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graftbench.metrics.catalogue import Metric

    from .groups import Group, Row
    from .scores import ScoreTable

METRICS = (KID, FID)
"""The scores that get tables over tasks."""
LOOKS = "trained with the scoring network"
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


def task_sets(groups: Iterable[Group]) -> dict[str, list[Group]]:
    """Gather the groups of one kind of task that differ in the task alone: a key of eight digits -> its groups.

    Groups in which nothing can be ranked are left out.
    """
    return grouped(
        rankable(groups), lambda group: shared_key(group, *([group.task.kind] if group.task.kind != "generate" else []))
    )


def rankable(groups: Iterable[Group]) -> list[Group]:
    """Return the groups whose reference images are enough to rank methods by."""
    return [group for group in groups if not group.too_few]


def shared_key(group: Group, *conditions: object) -> str:
    """Hash protocol, compute budget and further conditions; where the weights lie does not matter."""
    return content_hash([group.protocol.with_weights_at(lambda _: ""), group.compute_budget, *conditions])[:8]


def heads(groups: Sequence[Group]) -> tuple[str, ...]:
    """Name the tasks as briefly as tells them apart: by target, where source and resolution are the same."""
    tasks = [group.task for group in groups]
    names = [
        task.target if _one_source(groups) else f"{task.source} → {task.target}@{task.resolution}" for task in tasks
    ]
    counts = Counter(names)
    return tuple(
        name if counts[name] == 1 else f"{name}, set {group.key}" for name, group in zip(names, groups, strict=True)
    )


def _one_source(groups: Sequence[Group]) -> bool:
    return len({(group.task.source, group.task.resolution) for group in groups}) == 1


def looking(groups: Iterable[Group]) -> set[str]:
    """Return the labels of methods that were trained with the scoring network, though a row of theirs has no cell."""
    return {row.label for group in groups for row in group.methods if row.leaks}


def task_tables(tables: Sequence[ScoreTable]) -> list[TaskTable]:
    """Make every table over at least two tasks; none for one task."""
    by_key = {table.group.key: table for table in tables}
    over_tasks: list[TaskTable] = []
    for key, groups in task_sets(table.group for table in tables).items():
        chosen = [by_key[group.key] for group in groups]
        budgets = sorted({budget for group in groups for budget in group.method_budgets})
        candidates = [_table(key, chosen, metric, budget) for metric in METRICS for budget in budgets]
        over_tasks += [table for table in candidates if table is not None]
    return over_tasks


@dataclass
class _MethodScores:
    """One method at one data budget by one score: its rows and printed cells by the position of the task."""

    rows: dict[int, Row] = field(default_factory=dict)
    cells: dict[int, Cell] = field(default_factory=dict)
    means: dict[int, float] = field(default_factory=dict)


def _table(key: str, tables: Sequence[ScoreTable], metric: Metric, budget: int) -> TaskTable | None:
    """Make the table of one score and data budget; None where fewer than two tasks have a score."""
    methods = _method_scores(tables, metric, budget)
    tasks = sorted({task for scores in methods.values() for task in scores.means})
    if len(tasks) < 2:
        return None
    groups = [tables[task].group for task in tasks]
    # Ranks: of the methods that may compete and have a score in every task.
    leaking = looking(table.group for table in tables)
    complete = {
        label: scores.means
        for label, scores in methods.items()
        if len(scores.means) == len(tasks) and label not in leaking
    }
    ranks = average_ranks(complete, metric)
    # Lines: by rank, those without one last.
    ordered = sorted(methods, key=lambda label: (ranks.get(label, float("inf")), label))
    lines = [_line(label, methods[label], tasks, ranks) for label in ordered]
    # Caption: what the columns are, who has no rank, who shows nothing learnt, and what the letters mean.
    unranked = {
        label: LOOKS if label in leaking else "no score in every task" for label in methods if label not in complete
    }
    failing = [
        f"{head}: {clause}."
        for head, group in zip(heads(groups), groups, strict=True)
        for clause in not_beating(group, budget)
    ]
    letters = legend(row for scores in methods.values() for row in scores.rows.values())
    conditions = f"{groups[0].compute_budget}, {groups[0].protocol.label}"
    return TaskTable(
        key=key,
        metric=metric,
        data_budget=budget,
        heads=heads(groups),
        title=f"{metric.label} over {len(tasks)} tasks with {plural(budget, 'image')}, {conditions}",
        caption=" ".join([_caption(groups, metric, budget, len(complete), unranked), *failing, *letters]),
        lines=tuple(lines),
    )


def _method_scores(tables: Sequence[ScoreTable], metric: Metric, budget: int) -> dict[str, _MethodScores]:
    methods: defaultdict[str, _MethodScores] = defaultdict(_MethodScores)
    for task, table in enumerate(tables):
        metrics = table.headline.panel.metrics
        for row, line in zip(table.group.methods, table.headline.methods, strict=True):
            if row.data_budget != budget:
                continue
            scores = methods[row.label]
            scores.rows[task] = row
            scores.cells[task] = (
                replace(line.scores[metrics.index(metric)], notes=()) if metric in metrics else Cell(DASH)
            )
            if (summary := row.summary(metric)) is not None:
                scores.means[task] = summary.mean
    return methods


def _line(label: str, scores: _MethodScores, tasks: Sequence[int], ranks: Mapping[str, float]) -> TaskLine:
    scored = len(scores.means)
    return TaskLine(
        label=label,
        scores=tuple(scores.cells.get(task, Cell(DASH)) for task in tasks),
        rank=Cell(number(ranks[label], 2), best=ranks[label] == min(ranks.values())) if label in ranks else Cell(DASH),
        tasks=str(scored) if scored == len(tasks) else f"{scored} of {len(tasks)}",
        origin_mark=first_mark(scores.rows.values()),
    )


def average_ranks(scores: Mapping[str, Mapping[int, float]], metric: Metric) -> dict[str, float]:
    """Average the ranks over tasks, all of which have a score of every method: label -> rank; empty for one method."""
    if len(scores) < 2:
        return {}
    from graftbench.comparison import ranks  # noqa: PLC0415 - scipy.stats takes half a second

    by_method = [[means[task] for task in sorted(means)] for means in scores.values()]
    by_task = list(zip(*by_method, strict=True))
    averages = ranks.average_ranks(by_task, lower_is_better=metric.better < 0)
    return dict(zip(scores, averages.tolist(), strict=True))


def _caption(groups: Sequence[Group], metric: Metric, budget: int, ranked: int, unranked: Mapping[str, str]) -> str:
    task = groups[0].task
    shared = f"from {task.source} at {task.resolution}×{task.resolution}; " if _one_source(groups) else ""
    conditions = f"{groups[0].compute_budget} per fit, protocol {groups[0].protocol.label}"
    sentences = [
        f"{metric.heading}, {plural(budget, 'target training image')}, {shared}{conditions}.",
        "Mean ± standard deviation over seeds; marks as in the table of each task.",
    ]
    if ranked > 1:
        sentences.append(
            f"Rank: average over the {len(groups)} tasks, 1 the best, of the {ranked:,} methods with a score in each."
        )
    reasons = grouped(unranked, unranked.__getitem__)
    sentences += [f"Without a rank ({reason}): {some(sorted(labels))}." for reason, labels in reasons.items()]
    return " ".join(sentences)


def not_beating(group: Group, budget: int) -> list[str]:
    """Say which methods do not beat the rows that learnt nothing: `dcgan and vae do not beat blank`, one for each."""
    rows = {row.label: listing(unbeaten(group, row)) for row in group.methods_at(budget)}
    failing = grouped(sorted(label for label, names in rows.items() if names), rows.__getitem__)
    return [
        f"{some(labels)} {'does' if len(labels) == 1 else 'do'} not beat {names}"
        for names, labels in sorted(failing.items())
    ]


def some(names: Sequence[str]) -> str:
    """List up to five names, then how many more there are."""
    if len(names) <= NAMED:
        return listing(list(names))
    return listing([*names[:NAMED], f"{len(names) - NAMED:,} more"])
