"""`graftbench claims`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from graftbench.cli.output import markdown_rows, print_json
from graftbench.comparison.too_few import LEAST_REFERENCE

if TYPE_CHECKING:
    from rich.table import Table

    from graftbench.comparison.claims import CheckedClaims, Finding


def claims(
    run: Path,
    /,
    *more: Path,
    level: float = 0.05,
    json: bool = False,
    markdown: bool = False,
) -> int:
    """Check published claims on the records of a run.

    Args:
        run: A run folder, or a records.jsonl.
        more: More of them; their cells are taken together.
        level: Level of each two-sided paired t test, above 0 and at most 0.5. It is not corrected for the number of
            claims, because each is a question of its own; Holm's correction over all methods belongs to comparisons of
            methods.
        json: Print an object.
        markdown: Print a Markdown table.
    """
    from rich.console import Console

    from graftbench.comparison.claims import check_claims
    from graftbench.records.run import read_runs

    checked = check_claims(read_runs([run, *more]).records, level=level)
    if json:
        print_json(checked)
    elif markdown:
        print(markdown_table(checked))
    else:
        console = Console()
        if any(finding.is_answered for finding in checked.findings):
            console.print(findings_table(checked))
        for line in _below(checked):
            console.print(line, highlight=False, markup=False)
    return 0


def findings_table(checked: CheckedClaims) -> Table:
    """Make a table, one row a claim that is answered: sentence, contrast, source; difference, pairs, p; verdict."""
    from rich.table import Table
    from rich.text import Text

    styles = {"holds": "green", "does not hold": "red", "not settled": "yellow", "not testable here": "yellow"}
    table = Table(show_lines=True)
    table.add_column("claim", overflow="fold")
    for heading in ("difference", "pairs", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", min_width=16, max_width=21, overflow="fold")  # the claim has the rest
    for finding in filter(lambda finding: finding.is_answered, checked.findings):
        verdict = Text(finding.verdict, styles[finding.verdict])
        table.add_row(
            Text.assemble((finding.statement, "bold"), f"\n{finding.contrast}".rstrip(), "\n", (finding.source, "dim")),
            *(finding.printed_difference, str(finding.n), finding.printed_p),
            verdict.append(f"\n{finding.reason}", "default") if finding.reason else verdict,
        )
    return table


def _below(checked: CheckedClaims) -> list[str]:
    """Return the lines below the table: what the numbers rest on."""
    cells = f"{checked.cells:,} cells"
    out = f", {checked.left_out:,} that did not end well left out" if checked.left_out else ""
    if checked.unranked:
        out += f", {checked.unranked:,} left out that have fewer than {LEAST_REFERENCE} reference images"
    budgets = "" if checked.few is None else f" Few images: {checked.few:,}; many: {checked.many:,}."
    test = f"two-sided paired t test, level {checked.level:g}, not corrected for many claims"
    lines = [f"{cells}{out}.{budgets}"]
    if any(finding.verdict == "not testable here" for finding in checked.findings):
        lines.append(
            "Not testable here: a side that does not beat blank, or two sides that do not beat source, learnt nothing, "
            "so that their scores say nothing on a claim. To beat a row is to have the lower mean KID over the seeds "
            "that both have."
        )
    counts = Counter(finding.reason for finding in checked.findings if not finding.is_answered)
    if counts:
        reasons = "; ".join(f"{reason}{f' ({count})' if count > 1 else ''}" for reason, count in counts.most_common())
        claims = "1 claim has" if counts.total() == 1 else f"{counts.total()} claims have"
        lines.append(f"{claims} not enough data here: {reasons}. --markdown and --json list them.")
    if counts.total() < len(checked.findings):
        lines.append(f"A positive difference speaks for the claim. p: {test}.")
    return lines


def markdown_table(checked: CheckedClaims) -> str:
    """Make the same table in Markdown."""
    headings = ("claim", "source", "compared", "difference", "pairs", "p", "verdict")
    rule = ("---", "---", "---", "---:", "---:", "---:", "---")
    return markdown_rows([headings, rule, *map(_markdown_row, checked.findings)])


def _markdown_row(finding: Finding) -> tuple[str, ...]:
    verdict = f"{finding.verdict}: {finding.reason}" if finding.reason else finding.verdict
    authors, mark, number = finding.source.partition(", arXiv ")  # Mo et al. 2020, arXiv 2002.10964
    source = f"{authors}, [{number}](https://arxiv.org/abs/{number})" if mark else finding.source
    numbers = (finding.printed_difference, str(finding.n), finding.printed_p)
    row = (finding.statement, source, finding.contrast or "—", *numbers, verdict)
    return tuple(text.replace("|", "\\|") for text in row)
