"""The process of one job: `python -m graftbench.execution.worker JOB.json` runs one by hand."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from graftbench.errors import GraftbenchError, is_disk_full
from graftbench.execution import cell
from graftbench.execution.cell_task import ProgressFile
from graftbench.execution.job import (
    EXIT_DISK_FULL,
    MODEL,
    PROGRESS,
    RESULT,
    CellJob,
    Finished,
    Job,
    ReferenceJob,
    SourceJob,
    decode,
    is_portable,
    write_whole,
)
from graftbench.images import prepared
from graftbench.plugins import registry
from graftbench.resources.determinism import check_process, variables_of
from graftbench.scoring.features import FeatureReader
from graftbench.training import source
from graftbench.training.checkpoints import FILE as CHECKPOINT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.records.record import Record


def run_job_file(path: Path) -> None:
    """Run the job in a file and leave its result in the job's folder, whole or not at all.

    Raises:
        SystemExit: The disk is full (EXIT_DISK_FULL).
    """
    job = decode(path.read_bytes())
    check_process(portable=is_portable(job), device=job.device)
    torch.set_num_threads(1 if is_portable(job) else job.threads)
    try:
        write_whole(Path(job.folder) / RESULT, run_job(job))
    except Exception as error:
        if not is_disk_full(error):
            raise
        with suppress(OSError):  # the log may lie on that disk
            print(f"The disk is full: {error}", file=sys.stderr)  # noqa: T201 - the job's log
        raise SystemExit(EXIT_DISK_FULL) from error


def run_job(job: Job) -> Record | Finished:
    """Do what a job says and return its result."""
    if isinstance(job, CellJob):
        torch.manual_seed(job.cell.seed)  # for what takes no generator; a method's own randomness is task.generator
        return cell.run_cell(job)
    try:
        if isinstance(job, SourceJob):
            _train(job)
        else:
            registry.metrics([Path(path) for path in job.plugins])
            images = prepared.reopen(Path(job.images), job.manifest)
            for protocol in filter(None, (job.protocol, job.protocol.under_second)):
                FeatureReader(protocol, Path(job.cache), device=job.device).prepare(images)
    except Exception as error:
        if is_disk_full(error):
            raise
        if isinstance(error, GraftbenchError):
            return Finished(reason=str(error), usage=isinstance(job, ReferenceJob))
        return Finished(reason=f"{type(error).__name__}: {error}")
    return Finished()


def _train(job: SourceJob) -> None:
    torch.manual_seed(job.recipe.seed)
    folder = Path(job.folder)
    progress = ProgressFile(folder / PROGRESS)
    source.train(
        job.recipe,
        Path(job.imported) if job.imported else prepared.reopen(Path(job.images), job.recipe.manifest),
        folder / MODEL,
        device=job.device,
        checkpoint=folder / CHECKPOINT if job.checkpoint_seconds else None,
        checkpoint_seconds=job.checkpoint_seconds,
        tell=lambda budget: progress.tell(budget, [], None),
    )


def main(arguments: Sequence[str]) -> None:
    """Run a job file and print its result."""
    (file,) = arguments
    os.environ.update(variables_of(portable=is_portable(decode(Path(file).read_bytes()))))  # nothing was computed yet
    run_job_file(Path(file))
    print((Path(decode(Path(file).read_bytes()).folder) / RESULT).read_text("utf-8"))  # noqa: T201 - a command


if __name__ == "__main__":
    main(sys.argv[1:])
