"""The executor that the options of `graftbench run` name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graftbench.errors import GraftbenchError, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from graftbench.execution.executors import Executor

EXECUTORS = ("local", "ray", "slurm")


@dataclass(frozen=True, kw_only=True)
class ExecutorOptions:
    """The options of `graftbench run` that concern executors; see `graftbench run --help`."""

    jobs: int | None = None
    address: str | None = None
    gpus_per_cell: float = 0
    cpus_per_cell: float = 1
    slurm: Sequence[str] = ()
    device: str | None = None


def maker(name: str, out: Path, options: ExecutorOptions) -> Callable[[], Executor] | None:
    """Return a function that makes the executor in the claimed run folder; None for local, which the driver makes.

    Raises:
        GraftbenchError: There is no such executor, its extra is not installed, or an option is of another one.
    """
    if name not in EXECUTORS:
        raise unknown("executor", name, EXECUTORS)
    if name != "ray" and (options.address or options.gpus_per_cell or options.cpus_per_cell != 1):
        raise GraftbenchError("--address, --gpus-per-cell and --cpus-per-cell go with --executor ray.")
    if name != "slurm" and options.slurm:
        raise GraftbenchError("--slurm goes with --executor slurm.")
    if name == "ray":
        return _ray(options)
    return _slurm(out, options) if name == "slurm" else None


def _ray(options: ExecutorOptions) -> Callable[[], Executor]:
    from graftbench.execution.executors.ray import RayExecutor

    return lambda: RayExecutor(
        options.address,
        cpus_per_job=options.cpus_per_cell,
        gpus_per_job=options.gpus_per_cell,
        jobs=options.jobs,
    )


def _slurm(out: Path, options: ExecutorOptions) -> Callable[[], Executor]:
    from graftbench.execution.executors.slurm import SlurmExecutor

    parameters = {}
    for text in options.slurm:
        key, equals, value = text.partition("=")
        if not (equals and key):
            raise GraftbenchError(f"An option of Slurm is written key=value (partition=gpu); found '{text}'.")
        parameters[key] = value
    return lambda: SlurmExecutor(out / "slurm", jobs=options.jobs or 64, parameters=parameters, device=options.device)
