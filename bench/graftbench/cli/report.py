"""`graftbench report`."""

from __future__ import annotations

from pathlib import Path

from graftbench.cli.run import Plugins


def report(
    run: Path,
    *,
    out: Path | None = None,
    plugin: Plugins = [],  # noqa: B006 - never changed
) -> int:
    """Write tables, figures and the page of a run.

    Args:
        run: A run folder, or a records.jsonl.
        out: Where to write; RUN/report by default.
        plugin: File or folder with more reports.
    """
    from rich.console import Console

    from graftbench.frame import read_run
    from graftbench.registry import reports
    from graftbench.report import terminal_table, write_reports

    records = read_run(run)
    folder = out or (run if run.is_dir() else run.parent) / "report"
    written = write_reports(records, folder, reports(plugin))
    console = Console()
    for table in terminal_table(records, reports(plugin)):
        console.print(table)
    for path in written:
        print(path)
    return 0
