"""The same cells under several compute budgets: equal images, equal time, equal arithmetic, and who ranks where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from graftbench.records.cell_spec import content_hash
from graftbench.records.provenance import known_cost

from .groups import devices, grouped, titles
from .numbers import KID, finite
from .origins import first_mark, legend
from .tasks import LOOKS, average_ranks, looking, rankable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graftbench.comparison.stats import SeedSummary

    from .groups import Group, Row

_SPENT = ("images_seen", "fit_seconds", "flops")
NAMES = {"kimg": "equal images", "seconds": "equal time", "gflops": "equal arithmetic"}
"""Unit of a budget -> what is equal under it."""


@dataclass(frozen=True, kw_only=True)
class BudgetLine:
    """One method under every compute budget.

    Attributes:
        label: Its name.
        ranks: Average rank under each budget; None where it is not ranked.
        scores: Block -> KID×10³ under each budget; None where there is none.
        costs: Thousands of images, seconds and 10⁹ operations of a fit under each budget, means over its cells.
        declared: Whether at least one of its cells declared it and did not measure it, for each of these.
        origin_mark: `s` or `c` after the name of what others made.
    """

    label: str
    ranks: tuple[float | None, ...]
    scores: dict[str, tuple[SeedSummary | None, ...]]
    costs: tuple[tuple[float | None, float | None, float | None], ...]
    declared: tuple[tuple[bool, ...], ...]
    origin_mark: str = ""

    @property
    def moved(self) -> float | None:
        """Return the difference of its worst and its best rank; None with fewer than two ranks."""
        ranks = [rank for rank in self.ranks if rank is not None]
        return max(ranks) - min(ranks) if len(ranks) > 1 else None


@dataclass(frozen=True, kw_only=True)
class BudgetComparison:
    """Groups of one protocol under at least two compute budgets.

    Attributes:
        protocol: Label of the protocol.
        budgets: The compute budgets, as text.
        names: What is equal under each.
        blocks: Task and number of images, of every block that has a score under each budget.
        lines: The methods, by their first rank.
        unranked: Methods without a rank, and why.
        devices: Names of the devices on which the fits ran.
        letters: What the letters after names and costs mean.
    """

    protocol: str
    budgets: tuple[str, ...]
    names: tuple[str, ...]
    blocks: tuple[str, ...]
    lines: tuple[BudgetLine, ...]
    unranked: dict[str, str]
    devices: tuple[str, ...]
    letters: tuple[str, ...] = ()


def compute_comparisons(groups: Iterable[Group]) -> list[BudgetComparison]:
    """Compare the compute budgets under each protocol; nothing for a protocol with one budget."""
    sets = grouped(rankable(groups), lambda group: content_hash(msgspec.structs.replace(group.protocol, weights="")))
    return [_compare(alike) for alike in sets.values() if len({str(group.compute_budget) for group in alike}) > 1]


_Rows = dict[tuple[str, str], dict[str, "Row"]]
"""(Block, compute budget) -> label -> row."""


def _compare(groups: Sequence[Group]) -> BudgetComparison:
    # What is compared: budgets by kind and size, blocks that have rows under each, methods by name.
    budgets = sorted(
        {str(group.compute_budget) for group in groups},
        key=lambda text: ([*NAMES].index(text.split()[1]), float(text.split()[0])),
    )
    rows = _rows(groups)
    blocks = [block for block in dict.fromkeys(block for block, _ in rows) if all((block, b) in rows for b in budgets)]
    labels = sorted({label for by_label in rows.values() for label in by_label})
    # Ranks under each budget: of methods that may compete and have a score everywhere.
    leaking = looking(groups)
    ranked = [
        label
        for label in labels
        if label not in leaking
        and blocks
        and all(_kid(rows, block, budget, label) is not None for block in blocks for budget in budgets)
    ]
    ranks = [_ranks(rows, blocks, budget, ranked) for budget in budgets]
    # Lines: the methods by their first rank, those without one last.
    lines = [_line(rows, label, budgets, blocks, ranks) for label in labels]
    lines.sort(key=lambda line: (line.ranks[0] is None, line.ranks[0] or 0, line.label))
    reasons = {label: LOOKS if label in leaking else "no score in every block" for label in labels}
    return BudgetComparison(
        protocol=groups[0].protocol.label,
        budgets=tuple(budgets),
        names=tuple(NAMES[text.split()[1]] for text in budgets),
        blocks=tuple(blocks),
        lines=tuple(lines),
        unranked={label: reason for label, reason in reasons.items() if label not in ranked},
        devices=tuple(devices(record for group in groups for record in group.records)),
        letters=legend((row for by_label in rows.values() for row in by_label.values()), _SPENT),
    )


def _rows(groups: Sequence[Group]) -> _Rows:
    """Gather the rows of methods that compete by block and budget; groups of one task with other images stay apart."""
    names = titles(groups)
    rows: _Rows = {}
    for group in groups:
        suffix = "" if names[group.key] == group.title else f", set {group.key}"
        for row in group.methods:
            block = f"{group.task}{suffix}, n = {row.data_budget}"
            rows.setdefault((block, str(group.compute_budget)), {})[row.label] = row
    return rows


def _line(
    rows: _Rows, label: str, budgets: Sequence[str], blocks: Sequence[str], ranks: Sequence[dict[str, float]]
) -> BudgetLine:
    by_budget = [
        [by_label[label] for (_, spent), by_label in rows.items() if spent == budget and label in by_label]
        for budget in budgets
    ]
    return BudgetLine(
        label=label,
        ranks=tuple(by_label.get(label) for by_label in ranks),
        scores={block: tuple(_kid(rows, block, budget, label) for budget in budgets) for block in blocks},
        costs=tuple(map(_costs, by_budget)),
        declared=tuple(tuple(any(row.declared(name) for row in used) for name in _SPENT) for used in by_budget),
        origin_mark=first_mark(by_label[label] for by_label in rows.values() if label in by_label),
    )


def _kid(rows: _Rows, block: str, budget: str, label: str) -> SeedSummary | None:
    row = rows.get((block, budget), {}).get(label)
    return None if row is None else row.summary(KID)


def _ranks(rows: _Rows, blocks: Sequence[str], budget: str, labels: Sequence[str]) -> dict[str, float]:
    """Return label -> average rank over the blocks, 1 the best."""
    means = {
        label: {i: summary.mean for i, block in enumerate(blocks) if (summary := _kid(rows, block, budget, label))}
        for label in labels
    }
    return average_ranks(means, KID)


def _costs(rows: Sequence[Row]) -> tuple[float | None, float | None, float | None]:
    """Average thousands of images, seconds and 10⁹ operations over all cells of a method that ended well.

    The operations of a record from before they were kept are made from those of an image.
    """
    cells = [record for row in rows for record in row.ok if record.resources is not None]
    images, seconds = ([known_cost(record, name) for record in cells] for name in ("images_seen", "fit_seconds"))
    flops = []
    for record in cells:
        total, per_image, seen = (known_cost(record, name) for name in ("flops", "flops_per_image", "images_seen"))
        if total is None and per_image is not None and seen is not None:
            total = per_image * seen
        flops += [] if total is None else [total]
    return (
        _mean([value / 1e3 for value in images if value is not None]),
        _mean([value for value in seconds if value is not None]),
        _mean([value / 1e9 for value in flops]) if len(flops) == len(cells) else None,
    )


def _mean(values: Sequence[float]) -> float | None:
    """Average the values; None of no values, and of ones of which a mean would be no finite number."""
    return finite(sum(values) / len(values)) if values else None
