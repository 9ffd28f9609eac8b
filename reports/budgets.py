"""budgets.md: how the ranking changes between equal images, equal time and equal arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.contracts import Report

from ._tables.compute_budgets import comparisons
from ._tables.groups import groups, mixed_protocols
from ._tables.numbers import DASH, KID, decimals, mean_sd, number, quantity
from ._tables.origins import DECLARED_MARK
from ._tables.text import listing, markdown, plural

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from graftbench.records.run import Run

    from ._tables.compute_budgets import BudgetComparison, BudgetLine


class Budgets(Report):
    """Average ranks by KID under each compute budget, the scores behind them, and what the fits spent.

    Written for runs whose cells have several compute budgets; for others there is nothing to say, and no file.
    """

    name = "budgets"
    title = "Rankings at equal images, time and arithmetic (Markdown)"
    formats = (".md",)

    def write(self, run: Run, out: Path) -> list[Path]:
        """Write budgets.md, if the run has several compute budgets."""
        whole = groups(run)
        found = comparisons(whole)
        if not found:
            return []
        path = out / "budgets.md"
        blocks = [f"# {markdown(run.name)}: compute budgets", *filter(None, [mixed_protocols(whole)])]
        blocks += [block for one in found for block in _section(one)]
        path.write_text("\n\n".join(blocks) + "\n", encoding="utf-8", newline="")
        return [path]


def _section(found: BudgetComparison) -> list[str]:
    heads = [f"{name}: {budget}" for name, budget in zip(found.names, found.budgets, strict=True)]
    scores = [block for name in found.blocks for block in _scores(found, name, heads)]
    return [
        f"## {markdown(found.protocol)}",
        _caption(found),
        _grid(["Method", *heads, "moved"], [_rank_line(found, i) for i in range(len(found.lines))]),
        *scores,
        "### What a fit spent",
        "Thousands of images / seconds / 10⁹ operations, means over the cells that ended well.",
        _grid(
            ["Method", *heads],
            [[_name(line), *(map(_spent, line.costs, line.declared))] for line in found.lines],
        ),
    ]


def _caption(found: BudgetComparison) -> str:
    blocks = plural(len(found.blocks), "block")
    rank = f"Average rank by {KID.label} over {blocks} (a task with a number of images), 1 the best; "
    counted = "what torch's counter does not know (interpolation, grid sampling) counts nothing."
    sentences = [
        f"{rank}moved: from its best rank to its worst.",
        f"Operations are those of the first batch, per image, times the images; {counted}",
    ]
    if "equal time" in found.names:
        sentences.append(f"Time is that of {listing([markdown(name) for name in found.devices]) or 'unknown devices'}.")
    kinds = dict.fromkeys(found.unranked.values())
    for kind in kinds:
        names = [markdown(label) for label, why in found.unranked.items() if why == kind]
        sentences.append(f"Without a rank ({kind}): {listing(names)}.")
    return " ".join([*sentences, *map(markdown, found.letters)])


def _name(line: BudgetLine) -> str:
    return markdown(line.label) + (f"<sup>{line.origin_mark}</sup>" if line.origin_mark else "")


def _spent(costs: Sequence[float | None], declared: Sequence[bool]) -> str:
    """Three numbers, each with its letter where it is declared."""
    marked = (
        quantity(cost) + (f"<sup>{DECLARED_MARK}</sup>" if told else "")
        for cost, told in zip(costs, declared, strict=True)
    )
    return " / ".join(marked)


def _rank_line(found: BudgetComparison, place: int) -> list[str]:
    line = found.lines[place]
    return [_name(line), *(number(rank, 2) for rank in line.ranks), number(line.moved, 2)]


def _scores(found: BudgetComparison, block: str, heads: Sequence[str]) -> list[str]:
    means = [score.mean for line in found.lines for score in line.scores[block] if score is not None]
    places = decimals(means)
    lines = [
        [_name(line), *(mean_sd(score, places) if score else DASH for score in line.scores[block])]
        for line in found.lines
    ]
    caption = f"{KID.heading}, mean ± standard deviation over seeds."
    return [f"### {markdown(block)}", caption, _grid(["Method", *heads], lines)]


def _grid(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    marks = ["---", *("---:" for _ in heads[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in [[*heads], marks, *lines])
