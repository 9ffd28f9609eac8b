"""The same cells under several compute budgets: equal images, equal time, equal arithmetic, and who ranks where."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from graftbench.records.cell_spec import content_hash
from graftbench.records.provenance import known_cost

from .groups import devices, titles
from .numbers import KID, finite
from .origins import legend, row_mark
from .tasks import average_ranks, looking

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graftbench.comparison.stats import SeedSummary
    from graftbench.records.record import Record

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
    declared: tuple[tuple[bool, bool, bool], ...]
    origin_mark: str = ""

    @property
    def moved(self) -> float | None:
        """Between the best and the worst of its ranks."""
        found = [rank for rank in self.ranks if rank is not None]
        return max(found) - min(found) if len(found) > 1 else None


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


def comparisons(found: Iterable[Group]) -> list[BudgetComparison]:
    """One for each protocol under which cells have several compute budgets; none for a run of one budget."""
    sets: defaultdict[str, list[Group]] = defaultdict(list)
    for group in found:
        sets[content_hash(msgspec.structs.replace(group.protocol, weights=""))].append(group)
    return [_comparison(groups) for groups in sets.values() if len({str(g.compute_budget) for g in groups}) > 1]


def _comparison(groups: Sequence[Group]) -> BudgetComparison:
    budgets = {str(group.compute_budget): group.compute_budget for group in groups}
    ordered = sorted(budgets, key=lambda text: ([*NAMES].index(text.split()[1]), float(text.split()[0])))
    rows = _rows(groups)
    blocks = _blocks(rows, ordered)
    labels = sorted({label for found in rows.values() for label in found})
    leaking = looking(groups)
    whole = [
        label
        for label in labels
        if label not in leaking
        and blocks
        and all(_kid(rows, block, budget, label) is not None for block in blocks for budget in ordered)
    ]
    ranks = {budget: _ranks(rows, blocks, budget, whole) for budget in ordered}
    lines = [
        BudgetLine(
            label=label,
            ranks=tuple(ranks[budget].get(label) for budget in ordered),
            scores={block: tuple(_kid(rows, block, budget, label) for budget in ordered) for block in blocks},
            costs=tuple(_costs(rows, budget, label) for budget in ordered),
            declared=tuple(_declared(rows, budget, label) for budget in ordered),
            origin_mark=next(
                (mark for found in rows.values() if label in found and (mark := row_mark(found[label]))), ""
            ),
        )
        for label in labels
    ]
    why = {label: "looks at the scoring network" if label in leaking else "no score in every block" for label in labels}
    return BudgetComparison(
        protocol=groups[0].protocol.label,
        budgets=tuple(ordered),
        names=tuple(NAMES[text.split()[1]] for text in ordered),
        blocks=tuple(blocks),
        lines=tuple(sorted(lines, key=lambda line: (line.ranks[0] is None, line.ranks[0] or 0, line.label))),
        unranked={label: why[label] for label in labels if label not in whole},
        devices=tuple(devices(record for group in groups for record in group.records)),
        letters=legend((row for found in rows.values() for row in found.values()), _SPENT),
    )


_Rows = dict[tuple[str, str], dict[str, "Row"]]
"""(Block, compute budget) -> label -> row."""


def _rows(groups: Sequence[Group]) -> _Rows:
    """Rows of methods that compete, by block and budget. Groups of one task whose images differ stay apart."""
    names = titles(groups)
    found: _Rows = {}
    for group in groups:
        own = "" if names[group.key] == group.title else f", set {group.key}"
        for row in group.methods:
            block = f"{group.task}{own}, n = {row.data_budget}"
            found.setdefault((block, str(group.compute_budget)), {})[row.label] = row
    return found


def _blocks(rows: _Rows, budgets: Sequence[str]) -> list[str]:
    """Blocks with rows under every budget, in the order of the groups."""
    return [block for block in dict.fromkeys(block for block, _ in rows) if all((block, b) in rows for b in budgets)]


def _kid(rows: _Rows, block: str, budget: str, label: str) -> SeedSummary | None:
    row = rows.get((block, budget), {}).get(label)
    return None if row is None else row.summary(KID)


def _ranks(rows: _Rows, blocks: Sequence[str], budget: str, labels: Sequence[str]) -> dict[str, float]:
    """Average rank over the blocks, 1 the best."""
    scored = {
        label: {place: found.mean for place, block in enumerate(blocks) if (found := _kid(rows, block, budget, label))}
        for label in labels
    }
    return average_ranks(scored, KID)


def _costs(rows: _Rows, budget: str, label: str) -> tuple[float | None, float | None, float | None]:
    """Thousands of images, seconds, 10⁹ operations: means over all cells of the method under a budget that ended well.

    The operations of a record from before they were kept are made from those of an image.
    """
    own = [found[label] for (_, text), found in rows.items() if text == budget and label in found]
    cells = [record for row in own for record in row.ok if record.resources is not None]
    images, seconds = ([known_cost(record, name) for record in cells] for name in ("images_seen", "fit_seconds"))
    flops = [_flops(record) for record in cells]
    known = [value for value in flops if value is not None]
    return (
        _mean([value / 1e3 for value in images if value is not None]),
        _mean([value for value in seconds if value is not None]),
        _mean([value / 1e9 for value in known]) if len(known) == len(flops) else None,
    )


def _flops(record: Record) -> float | None:
    whole, each, images = (known_cost(record, name) for name in ("flops", "flops_per_image", "images_seen"))
    return whole if whole is not None else None if each is None or images is None else each * images


def _declared(rows: _Rows, budget: str, label: str) -> tuple[bool, bool, bool]:
    own = [found[label] for (_, text), found in rows.items() if text == budget and label in found]
    images, seconds, flops = (any(row.declared(name) for row in own) for name in _SPENT)
    return images, seconds, flops


def _mean(values: Sequence[float]) -> float | None:
    """None of no values, and of ones of which a mean would be no finite number."""
    return finite(sum(values) / len(values)) if values else None
