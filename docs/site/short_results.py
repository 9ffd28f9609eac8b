"""The few numbers of a run that its first readers need: a table of five lines, the finding, and how long it took."""

from __future__ import annotations

import datetime as dt
import math
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.records.run import Run

# Reports are plugins: they are imported by name, and a checker of types does not see their classes.
findings, groups_of, numbers, scores, text = (
    import_module(f"graftbench.reports._tables.{name}") for name in ("finding", "groups", "numbers", "scores", "text")
)
Group = Any
Row = Any

TRANSFERRED = ("fine-tune", "frozen", "style")
"""Families whose methods start from something that was learnt elsewhere, whether a source model or not."""
LINES = {
    "oracle": "real images that no method has seen (`oracle`)",
    "transfer": "the best transfer",
    "source": "the generator before any transfer (`source`)",
    "scratch": "the best training from scratch",
    "memorizer": "copies of the training images (`memorizer`)",
}
"""Line of the table -> what it says; in this order, whatever the scores are."""


def groups_in_order(run: Run) -> list[Group]:
    """Return the run's groups in the order of its records, and not in that of the alphabet."""
    tasks = [(record.cell.task, record.cell.compute_budget) for record in run.records]
    return sorted(groups_of.groups(run), key=lambda group: tasks.index((group.task, group.compute_budget)))


def five_lines(all_groups: Sequence[Group]) -> str:
    """Write KID×10³ of the goal, the best transfer, the source, the best from scratch, and copies.

    A column is one task at one data budget. A method that was trained with the scoring network does not compete, so it
    is never the best of a line.
    """
    columns = [(group, budget) for group in all_groups for budget in group.method_budgets]
    header = [
        "KID×10³ ↓",
        *(f"{groups_of.named(group.task)}, {text.plural(budget, 'image')}" for group, budget in columns),
    ]
    rows = [rows_by_line(group, budget) for group, budget in columns]
    lines = [[words, *(cell(by_line.get(name)) for by_line in rows)] for name, words in LINES.items()]
    return text.markdown_table(header, lines)


def rows_by_line(group: Group, budget: int) -> dict[str, Row]:
    """Return line of the table -> the row of a data budget that stands there; no entry where there is none."""
    rows = {row.method: row for row in group.references if row.data_budget == budget}
    for row, _ in scores.ranked_rows(group.methods_at(budget)):
        rows.setdefault("transfer" if is_transfer(row) else "scratch", row)
    return rows


def is_transfer(row: Row) -> bool:
    """Return whether a row's method starts from something that was learnt elsewhere."""
    return row.family in TRANSFERRED or any(record.cell.source_model for record in row.records)


def cell(row: Row | None) -> str:
    """Write a row's name where the line does not say it, and its KID×10³ over seeds."""
    summary = None if row is None else row.summary(numbers.KID)
    if row is None or summary is None:
        return numbers.DASH
    score = numbers.mean_sd(summary, min(1, numbers.decimals([summary.mean])))
    name = "" if row.is_reference else f"{text.markdown(row.label)} "
    return f"{name}{score}"


def conditions(all_groups: Sequence[Group]) -> str:
    """Say in one sentence what the numbers of the table are."""
    compute = text.listing(sorted({str(group.compute_budget) for group in all_groups}))
    protocols = text.listing(sorted({group.protocol.label for group in all_groups}))
    seeds = max(len(group.seeds) for group in all_groups)
    leaking = sorted({row.label for group in all_groups for row in group.methods if row.leaks})
    verbs = ("was", "does") if len(leaking) == 1 else ("were", "do")
    trained = f"{verbs[0]} trained with the scoring network and {verbs[1]} not compete"
    out = f" {text.listing(leaking)} {trained}." if leaking else ""
    return text.markdown(
        f"KID×10³, mean ± standard deviation over {text.plural(seeds, 'seed')}; lower is better. {compute} per "
        f"fit, protocol {protocols}.{out}"
    )


def finding(group: Group) -> str:
    """Say in one sentence what a group's records show."""
    return text.markdown(findings.words(group))


def duration(run: Run) -> str:
    """Say how many cells the run has, how long they took, and on what."""
    ends = sorted(dt.datetime.fromisoformat(record.finished_at) for record in run.records)
    first = min(run.records, key=lambda record: record.finished_at)
    seconds = (ends[-1] - ends[0]).total_seconds() + (first.resources.fit_seconds or 0 if first.resources else 0)
    cpu = first.environment["cpu"]
    minutes = text.plural(math.ceil(seconds / 60), "minute")
    machine = f"{text.plural(cpu['cores_usable'], 'core')} ({cpu['model']})"
    return f"The {text.plural(len(run.records), 'cell')} behind the table below took {minutes} on {machine}."
