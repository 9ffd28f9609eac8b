"""`graftbench report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from graftbench.cli.options import Plugins, comma_separated


def report(
    runs: list[Path],
    *,
    out: Path | None = None,
    formats: Annotated[str, Parameter(name="--format")] = "",
    figure: str = "",
    select: str = "",
    baseline: str = "",
    plugin: Plugins = [],  # noqa: B006 - never changed
) -> int:
    """Write tables, figures and the page of a run, or of several together.

    Args:
        runs: Run folders, or records.jsonl files.
        out: Where to write; RUN/report by default, of the first run.
        formats: Comma-separated: html, md, csv, tex, pdf, svg, png. All by default.
        figure: Only pictures whose name starts so (quality, cost, samples, curves, …).
        select: Only some cells: "task=twemoji->openmoji@32 budget<=100 method=dcgan,finetune", or digits of an id.
        baseline: The method that comparisons.md compares the others with; by default the first trained from scratch.
        plugin: File or folder with more reports.
    """
    from rich.console import Console

    from graftbench.plugins.registry import reports
    from graftbench.records.run import read_runs
    from graftbench.report import default_folder, terminal_table, write_reports

    run, plugins = read_runs(runs, select), reports(plugin)
    folder = out or default_folder(runs)
    written = write_reports(run, folder, plugins, formats=comma_separated(formats), figure=figure, baseline=baseline)
    if not figure:
        console = Console()
        for table in terminal_table(run, plugins):
            console.print(table)
    for path in written:
        print(path)
    return 0
