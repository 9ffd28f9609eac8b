"""Runs every report over a run's records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from graftbench.contracts import Report, Run
    from graftbench.registry import Found


def write_reports(run: Run, folder: Path, reports: Found[Report]) -> list[Path]:
    """Write each report's files into the folder.

    Raises:
        GraftbenchError: There is no record, or the folder cannot be written.
    """
    if not run.records:
        raise GraftbenchError(f"{run.folder} holds no records yet; run its suite first.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [path for report in reports.classes.values() for path in report().write(run, folder)]
    except OSError as error:
        raise GraftbenchError(f"The report folder '{folder}' cannot be written: {error}.") from error


def terminal_table(run: Run, reports: Found[Report]) -> Iterator[Any]:
    """What the reports show on a terminal: any report may have a method `terminal(run)` that returns renderables."""
    for report in reports.classes.values():
        show = getattr(report(), "terminal", None)
        if show is not None:
            yield from show(run)
