"""Compute the report "comparisons": differences to a baseline, improvement, areas, images needed, ranks.

Everything is on the printed scale (KID×10³), and on methods that compete: no reference rows, none that look at the
scoring network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graftbench.comparison.budgets import area_under_budgets, data_efficiency
from graftbench.comparison.improvement import probability_of_improvement
from graftbench.comparison.methods import SCRATCH, Compared, compare, default_baseline
from graftbench.comparison.paired import Setting
from graftbench.comparison.ranks import groups as cliques
from graftbench.comparison.ranks import told_apart
from graftbench.comparison.stats import mean
from graftbench.errors import unknown

from .numbers import KID
from .tasks import average_ranks, heads, looking

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graftbench.comparison.bootstrap import Estimated
    from graftbench.comparison.budgets import Efficiency
    from graftbench.metrics.catalogue import Metric

    from .groups import Group, Row

Scores = dict[str, dict[int, dict[int, float]]]
"""Method -> data budget -> seed -> score, where there is one."""

MOST = 50
"""Most methods of which improvement and images needed are told: the leading ones."""
MOST_RANKED = 100
"""Most methods of which every pair is tested over tasks."""
RESAMPLES = 1000


def contenders(group: Group) -> list[Row]:
    """Return the rows that compete."""
    leaking = looking([group])
    return [row for row in group.methods if row.label not in leaking]


def scores_of(group: Group, metric: Metric, baseline: str = "") -> Scores:
    """Return the scores of rows that compete, methods in alphabetical order; empty for one without a score.

    A baseline that was named is there too, though it be a reference row or be trained with the scoring network.
    """
    competing = {id(row) for row in contenders(group)}
    rows = [row for row in group.rows if id(row) in competing or row.label == baseline]
    rows.sort(key=lambda row: row.label)
    scores: Scores = {row.label: {} for row in rows}
    for row in rows:
        if values := row.by_seed(metric):
            scores[row.label][row.data_budget] = values
    return scores


def budgets_of(tasks: Iterable[Scores]) -> list[int]:
    """Return the data budgets at which any method has a score in any task, ascending."""
    return sorted({budget for scores in tasks for by in scores.values() for budget in by})


# ---------------------------------------------------------------------------------------------------------- baseline


@dataclass(frozen=True)
class BaselineMethod:
    """The baseline with which the methods of tasks under one protocol are compared.

    Attributes:
        label: Its name; empty where no method has a score.
        by_name: Whether it is the first of family `scratch`, and not the best.
        asked_for: Whether the user named it.
    """

    label: str
    by_name: bool = False
    asked_for: bool = False

    @property
    def reason(self) -> str:
        """Return in a clause why it was chosen."""
        if self.asked_for:
            return "as was asked"
        if self.by_name:
            return "of the methods trained from scratch the one with most scores, then the first by name"
        return "the best by average rank of KID, as no method is of family scratch: that it beats others is no finding"


def check_baseline(groups: Sequence[Group], baseline: str) -> None:
    """Refuse a baseline that no row is called by.

    Raises:
        GraftbenchError: There is none of that name; the nearest is named.
    """
    labels = {row.label for group in groups for row in group.rows}
    if baseline and baseline not in labels:
        raise unknown("baseline", baseline, labels, where="in this run")


def baseline_of(groups: Sequence[Group], asked_for: str = "") -> BaselineMethod:
    """Choose one baseline for all tasks that share protocol and compute budget, where none was asked for."""
    if asked_for:
        return BaselineMethod(asked_for, asked_for=True)
    families = {row.label: row.family for group in groups for row in contenders(group)}
    blocks = [
        {label: mean(list(by[budget].values())) for label, by in scores_of(group, KID).items() if budget in by}
        for group in groups
        for budget in group.budgets
    ]
    if not any(blocks):
        return BaselineMethod("")
    label = default_baseline(families, blocks)
    return BaselineMethod(label, by_name=families[label] == SCRATCH)


# ---------------------------------------------------------------------------------------------------------- one task


@dataclass(frozen=True)
class Block:
    """Comparisons that share the level: one task, one score, one data budget.

    Attributes:
        data_budget: Target training images.
        has_baseline: Whether the baseline has a score here.
        compared: One a method, in alphabetical order; empty where the baseline has no score.
    """

    data_budget: int
    has_baseline: bool
    compared: tuple[Compared, ...]


def blocks(scores: Scores, baseline: str, metric: Metric) -> list[Block]:
    """Compare all methods with the baseline at each data budget at which any method has a score."""
    compared_blocks = []
    for budget in budgets_of([scores]):
        by_label = {label: by.get(budget, {}) for label, by in scores.items()}
        has_baseline = bool(by_label.get(baseline))
        compared = compare(by_label, baseline, lower_is_better=metric.better < 0) if has_baseline else []
        compared_blocks.append(Block(budget, has_baseline, tuple(compared)))
    return compared_blocks


def leading(scores: Scores, metric: Metric, always: str) -> list[str]:
    """Return the leading methods by their mean over all cells, at most `MOST`, and the baseline."""
    means = {
        label: metric.better * mean([value for values in by.values() for value in values.values()])
        for label, by in scores.items()
        if by
    }
    first = sorted(means, key=lambda label: (-means[label], label))[:MOST]
    return first if always in first or always not in means else [*first, always]


def improvement(
    tasks: Sequence[Scores], methods: Sequence[str], baseline: str, metric: Metric
) -> dict[tuple[str, int], Estimated]:
    """Return (method, data budget) -> how often a run of it beats one of the baseline, over tasks that have both."""
    chances: dict[tuple[str, int], Estimated] = {}
    for budget in budgets_of(tasks):
        for label in methods:
            pairs = [
                (list(x.values()), list(y.values()))
                for scores in tasks
                if (x := scores.get(label, {}).get(budget))
                and (y := scores.get(baseline, {}).get(budget))
                and len(x) + len(y) > 2
            ]
            if pairs and label != baseline:
                x, y = zip(*pairs, strict=True)
                chances[label, budget] = probability_of_improvement(x, y, lower_is_better=metric.better < 0)
    return chances


@dataclass(frozen=True)
class Curves:
    """Seeds of a method with a score at every data budget.

    Attributes:
        budgets: At least two.
        seeds: At least two, ascending.
        values: Shape (seeds, budgets).
    """

    budgets: tuple[int, ...]
    seeds: tuple[int, ...]
    values: tuple[tuple[float, ...], ...]


def curves(scores: Scores) -> dict[str, Curves]:
    """Return method -> its curves over all data budgets of the task; none of one with fewer than two whole seeds."""
    budgets = tuple(budgets_of([scores]))
    by_label: dict[str, Curves] = {}
    for label, by in scores.items():
        seeds = sorted(set.intersection(*(set(by.get(budget, {})) for budget in budgets))) if budgets else []
        if len(budgets) > 1 and len(seeds) > 1:
            values = tuple(tuple(by[budget][seed] for budget in budgets) for seed in seeds)
            by_label[label] = Curves(budgets, tuple(seeds), values)
    return by_label


def area(curve: Curves) -> Estimated:
    """Average the height of the curve over log2 of the number of images, with Student's interval over seeds."""
    return area_under_budgets(curve.budgets, [curve.values])


def images_needed(curve: Curves, base: Curves, metric: Metric) -> dict[int, Efficiency]:
    """Return the baseline's data budget -> how many images the method takes for what the baseline reaches there.

    Seeds that both have are drawn together; fewer than two are none.
    """
    shared = [seed for seed in curve.seeds if seed in base.seeds]
    if len(shared) < 2:
        return {}
    values, targets = (np.array([each.values[each.seeds.index(seed)] for seed in shared]) for each in (curve, base))
    return {
        budget: data_efficiency(
            curve.budgets,
            values,
            targets[:, i],
            rng=np.random.default_rng(0),
            lower_is_better=metric.better < 0,
            paired=True,
            resamples=RESAMPLES,
        )
        for i, budget in enumerate(curve.budgets)
    }


# -------------------------------------------------------------------------------------------------------- over tasks


@dataclass(frozen=True, kw_only=True)
class RankingTable:
    """Ranks over tasks at one data budget by one score.

    Attributes:
        metric: The score.
        data_budget: Target training images.
        tasks: Those with a score of any method.
        ranks: Method -> average rank, of methods with a score in every task; by rank.
        left_out: Methods without a score in some task.
        together: Groups of neighbours that are not told apart, the best first; empty for too many methods.
    """

    metric: Metric
    data_budget: int
    tasks: tuple[str, ...]
    ranks: dict[str, float]
    left_out: tuple[str, ...]
    together: tuple[tuple[str, ...], ...]


def rankings(groups: Sequence[Group], metric: Metric) -> list[RankingTable]:
    """Rank the methods over tasks at each data budget at which two tasks have scores."""
    tasks = dict(zip(heads(groups), [scores_of(group, metric) for group in groups], strict=True))
    by_budget = {
        budget: {name: scores for name, scores in tasks.items() if any(budget in by for by in scores.values())}
        for budget in budgets_of(tasks.values())
    }
    return [_ranking(metric, budget, scored) for budget, scored in by_budget.items() if len(scored) > 1]


def _ranking(metric: Metric, budget: int, tasks: Mapping[str, Scores]) -> RankingTable:
    # Means over seeds, of the methods that have a score in every task.
    labels = sorted({label for scores in tasks.values() for label in scores})
    means: dict[str, dict[int, float]] = {}
    for label in labels:
        by_task = [scores.get(label, {}).get(budget, {}) for scores in tasks.values()]
        if all(by_task):
            means[label] = {i: mean(list(values.values())) for i, values in enumerate(by_task)}
    ranks = dict(sorted(average_ranks(means, metric).items(), key=lambda item: (item[1], item[0])))
    # Who is not told apart, by the paired test over the seeds of all tasks.
    order = list(ranks)
    settings = [
        {
            Setting(name, "", budget, seed): score
            for name, scores in tasks.items()
            for seed, score in scores[label][budget].items()
        }
        for label in order
    ]
    together = cliques(range(len(order)), told_apart(settings)) if len(order) <= MOST_RANKED else []
    return RankingTable(
        metric=metric,
        data_budget=budget,
        tasks=tuple(tasks),
        ranks=ranks,
        left_out=tuple(label for label in labels if label not in means),
        together=tuple(tuple(order[i] for i in clique) for clique in together),
    )
