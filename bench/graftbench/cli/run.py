"""`graftbench run`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

Plugins = Annotated[list[Path], Parameter(name="--plugin", negative=())]


def default_jobs(device: str) -> int:
    """One cell per usable core; one on a GPU."""
    if device.startswith("cuda"):
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(
    suite: str,
    *,
    out: Path,
    jobs: Annotated[int | None, Parameter(validator=validators.Number(gte=1))] = None,
    device: str = "auto",
    methods: Annotated[str | None, Parameter()] = None,
    plugin: Plugins = [],  # noqa: B006 - never changed
    retry: Annotated[list[str], Parameter(negative=())] = [],  # noqa: B006
) -> int:
    """Run a suite: every cell that has no record in the folder yet.

    Args:
        suite: A packaged suite (graftbench ls suites) or a TOML file.
        out: Run folder.
        jobs: Cells side by side, one thread each; the number of cores by default, 1 on a GPU.
        device: auto, cpu, cuda or cuda:N.
        methods: Comma-separated names instead of the suite's methods, or "all".
        plugin: File or folder with more methods and domains; may be given several times.
        retry: Run cells of this status again (error, oom, timeout, diverged, killed, lost).
    """
    from rich.console import Console

    from graftbench.device import resolve_device
    from graftbench.driver import run as run_suite
    from graftbench.progress import ConsoleProgress
    from graftbench.registry import methods as registered

    names = None
    if methods is not None:
        names = list(registered(plugin).classes) if methods == "all" else [m.strip() for m in methods.split(",")]
    chosen = resolve_device(device)
    side_by_side = jobs or default_jobs(chosen)
    progress = ConsoleProgress(Console(), jobs=side_by_side)
    with progress.live():
        summary = run_suite(
            suite,
            out,
            jobs=side_by_side,
            device=chosen,
            methods=names,
            plugins=plugin,
            retry=retry,
            progress=progress,
        )
    ended = ", ".join(f"{count} {status}" for status, count in sorted(summary.statuses.items()))
    if summary.ran:
        print(f"{summary.folder}: {summary.ran} cells ran; {summary.total} in the suite: {ended}.")
    else:
        print(f"{summary.folder}: nothing to do, all {summary.total} cells have a record: {ended}.")
    return summary.exit_code
