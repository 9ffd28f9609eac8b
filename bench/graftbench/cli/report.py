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
    paper: Path | None = None,
    plugin: Plugins = [],  # noqa: B006 - never changed
) -> int:
    """Write the page of a run, or of several together, and its table in Markdown and CSV; print the table.

    Args:
        runs: Run folders, or records.jsonl files.
        out: Where to write; RUN/report by default, of the first run.
        formats: Comma-separated: html, md, csv, tex, pdf, svg, png; everything there is in these. By default
            index.html, table.md and results.csv.
        figure: Only pictures whose name starts so (quality, cost, samples, curves, …).
        select: Only some cells: "task=twemoji->openmoji@32 budget<=100 method=dcgan,finetune", or digits of an id.
        baseline: The method that comparisons.md compares the others with; by default the first trained from scratch.
        paper: Write LaTeX and figures (PDF) for a paper into this folder, and nothing else.
        plugin: File or folder with more reports.
    """
    from rich.console import Console

    from graftbench.errors import GraftbenchError
    from graftbench.plugins.registry import reports
    from graftbench.records.run import read_runs
    from graftbench.report import default_folder, terminal_table, write_reports

    if paper is not None and (out or formats):
        raise GraftbenchError("--paper DIR says where and what: it takes neither --out nor --format beside it.")
    run, plugins, names = read_runs(runs, select), reports(plugin), comma_separated(formats)
    folder = paper or out or default_folder(runs)
    written = write_reports(run, folder, plugins, formats=names, figure=figure, baseline=baseline, paper=bool(paper))
    if not figure and paper is None:
        console = Console()
        for table in terminal_table(run, plugins):
            console.print(table)
    page = next((path for path in written if path.suffix == ".html"), None)
    print(page or (written[0] if len(written) == 1 else f"{len(written)} files in {folder}"))
    return 0
