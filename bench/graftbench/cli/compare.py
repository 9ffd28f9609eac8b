"""`graftbench compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from graftbench.cli.options import Flag, Texts
from graftbench.cli.output import print_lines, wide_console

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.table import Table

    from graftbench.regression.results import Comparison, GateRow

MOST_CELLS = 20
"""Cells that a list on a terminal names; the files name all."""


def compare(
    base: str,
    new: str,
    /,
    *,
    metric: Texts = [],  # noqa: B006 - never changed
    level: float = 0.05,
    by: Literal["method", "task", "budget"] = "method",
    test: Literal["student", "sign-flip"] = "student",
    few_seeds: Literal["pass", "gate"] = "pass",
    costs: Literal["same-machine", "calibrated", "any"] = "same-machine",
    shared_timings: Flag = False,
    until: str = "50%",
    same_training: Flag = False,
    select: str = "",
    baselines: Path = Path("baselines"),
    write: Texts = [],  # noqa: B006 - never changed
    all: Flag = False,  # noqa: A002 - the option's name
) -> int:
    """Judge a new run against a base, with an exit code for CI.

    0 fine, 1 a regression, 2 bad input or nothing compared, 3 newly failing or vanished cells.

    Args:
        base: A run folder, a folder of repeats, a records.jsonl, or a baseline's name.
        new: Likewise.
        metric: What is gated, with thresholds if other than the default: kid=15%,fid,peak_memory_mib=2%. By default
            KID, FID, the distance to training images, times, memory, energy and FLOPs.
        level: Chance of a false alarm over all rows of quality, and over all of cost.
        by: What is judged as one: all cells of a method, its cells on a task, or those of a data budget on a task.
        test: Paired t test, or the exact sign-flip test, which needs more pairs.
        few_seeds: Where pairs are too few to tell a change from noise: pass and say so, or gate by the threshold alone.
        costs: On other hardware: do not compare costs, divide times by the calibration kernel's, or compare any.
        shared_timings: Compare wall times too that were taken while other processes used the machine.
        until: Quality until which seconds_to_quality, joules_to_quality and images_to_quality count and which
            reaches_quality means: a share of the way from the untransferred source to real images, or a KID×10³ (485).
        same_training: A run that reaches it with significantly fewer images than the base is a regression, too.
        select: Only some cells of both, as in graftbench report.
        baselines: Folder of the named baselines.
        write: FORMAT=PATH, several times: md, json, junit, action-benchmark, action-benchmark-bigger, bmf.
        all: Print every row; otherwise costs that did not change are counted, and what is not compared is one line.
    """
    from graftbench.regression.formats import render
    from graftbench.regression.gate import compare_runs
    from graftbench.regression.measures import parse_measures
    from graftbench.regression.until_quality import parse_quality

    targets = [_target(item) for item in write]
    comparison = compare_runs(
        base,
        new,
        folder=baselines,
        selection=select,
        measures=parse_measures(metric),
        level=level,
        by=by,
        test=test,
        few_seeds=few_seeds,
        costs=costs,
        shared=shared_timings,
        until=parse_quality(until),
        same_training=same_training,
    )
    show(comparison, every=all)
    for name, path in targets:
        _write(path, render(comparison, name))
    return comparison.code


def _target(item: str) -> tuple[str, Path]:
    from graftbench.errors import GraftbenchError, unknown
    from graftbench.regression.formats import FORMATS

    name, equals, path = item.partition("=")
    if name not in FORMATS:
        raise unknown("format", name, FORMATS, where=f"in --write {item}")
    if not equals or not path:
        raise GraftbenchError(f"--write takes FORMAT=PATH (md=summary.md); found '{item}'.")
    return name, Path(path)


def _write(path: Path, text: str) -> None:
    from graftbench.errors import GraftbenchError

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    except OSError as error:
        raise GraftbenchError(f"The comparison cannot be written to '{path}': {error}.") from error


def show(comparison: Comparison, *, every: bool = False) -> None:
    """Print a comparison: what needs looking at first, then the rest, folded or (`every`) row by row."""
    from graftbench.cli.show import PIPE_COLUMNS
    from graftbench.regression.formats._words import cut, method_note, summary

    console = wide_console(PIPE_COLUMNS)
    print_lines(console, [f"{comparison.new} against {comparison.base}"], "bold")
    rows = [row for row in comparison.rows if every or not _folds(row)]
    if rows:
        console.print(rows_table(rows))
    print_lines(console, [] if every else folded(comparison.rows))
    still = [f"{failed.cell}: {failed.status}" for failed in comparison.still_failing]
    for title, cells in (
        ("Newly failing", list(map(str, comparison.failing))),
        ("Vanished", comparison.vanished),
        ("New", comparison.appeared),
        ("Mended", comparison.mended),
        ("Failing on both sides", still),
    ):
        if cells:
            print_lines(console, [f"{title}:"], "bold")
            print_lines(console, cut(cells, MOST_CELLS))
    print_lines(console, [*comparison.notes, method_note(comparison)], "dim")
    print_lines(console, [summary(comparison)], "bold")


def _folds(row: GateRow) -> bool:
    return row.verdict == "not compared" or (row.verdict == "unchanged" and row.kind != "quality")


def folded(rows: Iterable[GateRow]) -> list[str]:
    """Return a sentence for each reason why rows are not compared, and one that counts unchanged costs."""
    from graftbench.regression.measures import GATED

    reasons: dict[str, list[str]] = {}
    unchanged = 0
    for row in filter(_folds, rows):
        if row.verdict == "unchanged":
            unchanged += 1
        else:
            reasons.setdefault(row.reason, []).append(GATED[row.measure].label)
    lines = [f"Not compared ({reason}): {'; '.join(dict.fromkeys(labels))}." for reason, labels in reasons.items()]
    if unchanged:
        lines.append(f"{unchanged} row{'' if unchanged == 1 else 's'} of cost unchanged.")
    return [*lines, "--all prints every row."] if lines else []


def rows_table(rows: Iterable[GateRow]) -> Table:
    """Make a table of rows."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from graftbench.regression.formats._words import label, numbers

    styles = {"regression": "red bold", "improvement": "green", "too few pairs": "yellow", "not compared": "dim"}
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("method", "measure"):
        table.add_column(heading, no_wrap=True)
    for heading in ("base", "new", "change", "pairs"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    for row in rows:
        reason = "" if row.reason == "within the threshold" else row.reason
        verdict = Text(row.verdict, styles.get(row.verdict, "")).append(f": {reason}" if reason else "", "dim")
        table.add_row(Text(row.subject), label(row), *numbers(row), verdict)
    return table
