"""`graftbench run`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from graftbench.bounds import MOST
from graftbench.cli.options import Count, Flag, MethodNames, Plugins, SuiteName, Texts, between

if TYPE_CHECKING:
    from graftbench.execution.driver import Summary


def default_jobs(devices: list[str]) -> int:
    """Return one job per usable core, or one per GPU."""
    if devices != ["cpu"]:
        return len(devices)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(
    suite: SuiteName,
    *,
    out: Path,
    jobs: Count = None,
    threads: Count = None,
    device: str = "auto",
    methods: MethodNames | None = None,
    plugin: Plugins = [],  # noqa: B006 - never changed
    retry: Texts = [],  # noqa: B006
    shard: str = "1/1",
    keep: str = "sampler",
    profile: Flag = False,
    executor: str = "local",
    address: str | None = None,
    gpus_per_cell: Annotated[float, Parameter(validator=between(0, MOST, closed=True))] = 0,
    cpus_per_cell: Annotated[float, Parameter(validator=between(0, MOST, closed=True))] = 1,
    slurm: Texts = [],  # noqa: B006
    tracker: Texts = [],  # noqa: B006
) -> int:
    """Run a suite: every cell that has no record in the folder yet.

    Ctrl-C once lets the running cells end, twice stops at once; the same command goes on where it stopped.

    Args:
        suite: A packaged suite (graftbench ls suites) or a TOML file.
        out: Run folder.
        jobs: Cells side by side; by default the number of cores, or of GPUs.
        threads: CPU threads of all cells together, divided among the jobs; one per cell by default.
        device: auto, cpu, cuda (every GPU) or names with commas (cuda:0,cuda:2).
        methods: Comma-separated names instead of the suite's methods, or "all".
        plugin: File or folder with more methods and domains; may be given several times.
        retry: Run cells of this status again (error, oom, timeout, diverged, killed, ok).
        shard: Only the k-th of n parts of the suite (3/8), for machines that share nothing; see graftbench merge.
        keep: What cells leave beside their record: sampler (and sample sheets), samples (the sheets) or nothing.
        profile: Keep a trace of some steps of each fit (trace.json.gz, for ui.perfetto.dev) and a table of where a
            step's time goes (profile.txt). It slows the fit, and the cell says so.
        executor: Where cells run: local, ray or slurm (extras of those names).
        address: Ray: host:port of a cluster's head, or "auto"; without it a cluster of this machine is started.
        gpus_per_cell: Ray: GPUs of a cell; fractions share one.
        cpus_per_cell: Ray: CPU cores of a cell.
        slurm: Slurm: an option of sbatch as key=value (partition=gpu); may be given several times.
        tracker: Show cells while they run in tensorboard, wandb or mlflow (extras of those names), in that of an
            installed package or of a Python file; options as NAME:key=value,key=value. May be given several times.
    """
    from graftbench.execution.trackers.attach import find

    find(tracker)  # what cannot work is said before seconds go by with importing torch

    from rich.console import Console

    from graftbench.cli.executors import ExecutorOptions, maker
    from graftbench.execution.driver import run as run_suite
    from graftbench.execution.progress import ConsoleProgress
    from graftbench.resources.device import resolve_devices
    from graftbench.suites.shards import parse_shard

    names = _names(methods, plugin)
    part = parse_shard(shard)
    options = ExecutorOptions(
        jobs=jobs,
        address=address,
        gpus_per_cell=gpus_per_cell,
        cpus_per_cell=cpus_per_cell,
        slurm=slurm,
        device=None if device == "auto" else device,
    )
    make = maker(executor, out, options)
    if make is None:
        device = ",".join(devices := resolve_devices(device))
        jobs = jobs or default_jobs(devices)
    side_by_side = jobs or 1
    progress = ConsoleProgress(Console(), jobs=side_by_side)
    with progress.live():
        summary = run_suite(
            suite,
            out,
            jobs=side_by_side,
            threads=threads,
            device=device,
            methods=names,
            plugins=plugin,
            retry=retry,
            shard=part,
            keep=keep,
            profile=profile,
            executor=make,
            progress=progress,
            trackers=tracker,
        )
    if summary.stopped:
        raise KeyboardInterrupt
    print(_sentence(summary, "suite" if part == (1, 1) else f"shard {shard}"))
    return summary.exit_code


def _names(methods: str | None, plugins: list[Path]) -> list[str] | None:
    """Return the names that stand in place of the suite's methods; None where the suite's own are run."""
    from graftbench.plugins.registry import methods as registered

    if methods is None:
        return None
    return list(registered(plugins).classes) if methods == "all" else [name.strip() for name in methods.split(",")]


def _sentence(summary: Summary, scope: str) -> str:
    """Say how many cells ran, and with which statuses all cells of the scope ended."""
    ended = ", ".join(f"{count} {status}" for status, count in sorted(summary.statuses.items()))
    if summary.ran:
        return f"{summary.folder}: {summary.ran} cells ran; {summary.total} in the {scope}: {ended}."
    return f"{summary.folder}: nothing to do, all {summary.total} cells of the {scope} are done: {ended}."
