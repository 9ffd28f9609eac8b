"""budgets.md: how the ranking changes between equal images, equal time and equal arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.contracts import Report

from ._tables.compute_budgets import compute_comparisons
from ._tables.groups import grouped, groups, mixed_protocols
from ._tables.numbers import KID, decimals, mean_sd, number, quantity
from ._tables.origins import DECLARED_MARK
from ._tables.text import listing, markdown, markdown_table, plural

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
    on_request = ("*",)

    def write(self, run: Run, out: Path) -> list[Path]:
        """Write budgets.md, if the run has several compute budgets."""
        all_groups = groups(run)
        comparisons = compute_comparisons(all_groups)
        if not comparisons:
            return []
        path = out / "budgets.md"
        blocks = [f"# {markdown(run.name)}: compute budgets", *filter(None, [mixed_protocols(all_groups)])]
        blocks += [block for comparison in comparisons for block in _section(comparison)]
        path.write_text("\n\n".join(blocks) + "\n", encoding="utf-8", newline="")
        return [path]


def _section(comparison: BudgetComparison) -> list[str]:
    heads = [f"{name}: {budget}" for name, budget in zip(comparison.names, comparison.budgets, strict=True)]
    lines = comparison.lines
    ranks = [[_name(line), *(number(rank, 2) for rank in line.ranks), number(line.moved, 2)] for line in lines]
    costs = [[_name(line), *map(_spent, line.costs, line.declared)] for line in lines]
    return [
        f"## {markdown(comparison.protocol)}",
        _caption(comparison),
        markdown_table(["Method", *heads, "moved"], ranks),
        *(part for block in comparison.blocks for part in _scores(comparison, block, heads)),
        "### What a fit spent",
        "Thousands of images / seconds / 10⁹ operations, means over the cells that ended well.",
        markdown_table(["Method", *heads], costs),
    ]


def _caption(comparison: BudgetComparison) -> str:
    blocks = plural(len(comparison.blocks), "block")
    rank = f"Average rank by {KID.label} over {blocks} (a task with a number of images), 1 the best; "
    counted = "what torch's counter does not know (interpolation, grid sampling) counts nothing."
    sentences = [
        f"{rank}moved: from its best rank to its worst.",
        f"Operations are those of the first batch, per image, times the images; {counted}",
    ]
    if "equal time" in comparison.names:
        devices = listing([markdown(name) for name in comparison.devices]) or "unknown devices"
        sentences.append(f"Time is that of {devices}.")
    for kind, labels in grouped(comparison.unranked, comparison.unranked.__getitem__).items():
        sentences.append(f"Without a rank ({kind}): {listing([markdown(label) for label in labels])}.")
    return " ".join([*sentences, *map(markdown, comparison.letters)])


def _name(line: BudgetLine) -> str:
    return markdown(line.label) + (f"<sup>{line.origin_mark}</sup>" if line.origin_mark else "")


def _spent(costs: Sequence[float | None], declared: Sequence[bool]) -> str:
    """Print three costs, each with its letter where it is declared."""
    letter = f"<sup>{DECLARED_MARK}</sup>"
    pairs = zip(costs, declared, strict=True)
    return " / ".join(quantity(cost) + (letter if is_declared else "") for cost, is_declared in pairs)


def _scores(comparison: BudgetComparison, block: str, heads: Sequence[str]) -> list[str]:
    scores = [line.scores[block] for line in comparison.lines]
    places = decimals([score.mean for row in scores for score in row if score is not None])
    lines = [
        [_name(line), *(mean_sd(score, places) for score in row)]
        for line, row in zip(comparison.lines, scores, strict=True)
    ]
    caption = f"{KID.heading}, mean ± standard deviation over seeds."
    return [f"### {markdown(block)}", caption, markdown_table(["Method", *heads], lines)]
