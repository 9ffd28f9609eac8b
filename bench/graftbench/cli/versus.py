"""`graftbench versus`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from graftbench.cli.options import comma_separated
from graftbench.cli.output import print_json, print_lines, wide_console

if TYPE_CHECKING:
    from rich.table import Table

    from graftbench.comparison.versus import Versus

WIDE_COLUMNS = 100
"""From so many columns on the table has the p of sign flips."""


def versus(
    run: Path,
    a: str,
    b: str,
    /,
    *more: Path,
    metric: str = "kid,fid",
    level: float = 0.05,
    select: str = "",
    json: bool = False,
) -> int:
    """Say whether method A is better than method B, by how much, and how sure that is.

    Args:
        run: A run folder, or a records.jsonl.
        a: A method's name.
        b: Another's.
        more: More runs; their cells are taken together.
        metric: Comma-separated; the sentence is of the first.
        level: Level of each two-sided test. It is not corrected: the two methods were chosen beforehand.
        select: Only some cells, as in graftbench report.
        json: Print an object.
    """
    from graftbench.comparison.versus import versus as compare
    from graftbench.records.run import read_runs

    answer = compare(read_runs([run, *more], select).records, a, b, metric=comma_separated(metric), level=level)
    if json:
        print_json(answer)
        return 0
    from graftbench.cli.show import PIPE_COLUMNS

    console = wide_console(PIPE_COLUMNS)
    console.print(answer.sentence, style="bold", highlight=False, markup=False)
    console.print(rows_table(answer, wide=console.width >= WIDE_COLUMNS))
    print_lines(console, answer.notes)
    reading = (
        f"Change: {a} relative to {b}, with its 95 % interval. p: two-sided paired t test of the logarithms, each row\n"
        f"for itself, level {level:g}. Sign flips: the exact check that assumes no normality. Open: so many seeds\n"
        "more would find such a difference in 80 % of cases."
    )
    print_lines(console, reading.splitlines(), "dim")
    return 0


def rows_table(answer: Versus, *, wide: bool = True) -> Table:
    """Make a table of one row a metric, then its tasks and numbers of images.

    Args:
        answer: What is printed.
        wide: Whether there is room for the p of sign flips, and for verdicts on one line.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from graftbench.comparison.paired import printed_p
    from graftbench.comparison.versus import checked_metric

    styles = {"better": "green", "worse": "red"}
    parts = [row for row in answer.rows if row.task]
    tasks, computes = ({getattr(row, name) for row in parts} for name in ("task", "compute_budget"))
    one_source = len({task.rpartition("->")[0] for task in tasks}) == 1
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("metric", no_wrap=True)
    table.add_column("cells", overflow="fold", min_width=12)
    for heading in ("change", "pairs", "p", *(["sign flips"] if wide else [])):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=wide)
    for row in answer.rows:
        metric = checked_metric(row.metric)
        label = metric.label.replace("×10³", "")
        arrow = "↓" if metric.better < 0 else "↑"
        where = [f"{row.data_budget} images" if row.task else "all"]
        if row.task and len(tasks) > 1:
            where.append(row.task.rpartition("->")[2] if one_source else row.task)
        if row.task and len(computes) > 1:
            where.append(row.compute_budget)
        table.add_row(
            "" if row.task else f"{label} {arrow}",
            Text(", ".join(where), "" if row.task else "bold"),
            row.change,
            str(row.pairs),
            printed_p(row.p),
            *([printed_p(row.p_sign_flips)] if wide else []),
            Text(row.words, styles.get(row.verdict, "")),
        )
    return table
