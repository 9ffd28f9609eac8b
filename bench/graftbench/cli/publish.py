"""`graftbench publish`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from graftbench.cli.options import Plugins


def publish(
    runs: Annotated[list[Path], Parameter(required=True)],
    /,
    *,
    out: Path,
    theirs: list[Path] = [],  # noqa: B006 - never changed
    plugin: Plugins = [],  # noqa: B006 - never changed
) -> int:
    """Write a folder that GitHub Pages or any server can show, and that opens from disk.

    It has an index over the runs with the finding of each, and each run's page, table, results.csv and records.jsonl.
    Publishing again replaces what it wrote and nothing else.

    Args:
        runs: Run folders, or records.jsonl files.
        out: The folder to write.
        theirs: Records that another person sent (repeat it for several): checked against the runs as `graftbench merge`
            checks, and marked as theirs.
        plugin: File or folder with more reports.
    """
    from graftbench.cli.failures import visible
    from graftbench.execution.publish import publish as write_site
    from graftbench.plugins.registry import reports

    site = write_site(runs, out, reports(plugin), theirs=theirs)
    for note in site.notes:
        print(visible(note))
    print(site.index)
    return 0
