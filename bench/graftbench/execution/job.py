"""Jobs and how they end: what driver, executors and job processes exchange. This module imports no torch.

A job's process writes into its own folder alone, and leaves `result.json` there, whole or not at all. The executor
that ran it has everything that the job left in that folder before it reports the end.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from graftbench.records.cell_spec import CellSpec, Protocol
from graftbench.records.paths import without_folders
from graftbench.records.record import Record, Status
from graftbench.suites.submissions import Submission
from graftbench.training.source import Recipe

RESULT = "result.json"
"""A `Record` (cell) or a `Finished` (prerequisites)."""

JOB = "job.json"
"""The job, for its process."""

LOG = "log.txt"
PROGRESS = "progress.json"
SCRATCH = "scratch"
"""Folder of a job for files that nobody needs when it has ended."""

OUTPUT = "output"
"""Folder of a cell for what a foreign program has written: its models, its own records. It stays where samplers do."""

MODEL = "model.safetensors"
"""File that the training of a source model leaves."""

EXIT_DISK_FULL = os.EX_IOERR
"""Exit code of a job that could not write: nothing it says about itself is a result."""


class _JobBase(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    """Paths and settings of the machine that runs a job. None of them changes the result.

    Attributes:
        folder: The job's own folder, absolute. Made by the driver before the start.
        cache: Cache folder, absolute.
        device: `cpu`, `cuda` or `cuda:N`.
        threads: Threads that torch may use.
    """

    folder: str
    cache: str
    device: str = "cpu"
    threads: int = 1


class CellJob(_JobBase, frozen=True, kw_only=True, tag="cell", omit_defaults=True):
    """Fit, sample and score one cell. Leaves a `Record`, the sampler and a contact sheet.

    Attributes:
        cell: The cell.
        images: Domain name as in `cell.task` -> folder of its prepared images in the cache, absolute.
        readers: Domain name as in `cell.task` -> the domain that reads its images, where that is not its name.
        source_model_file: File of the source model; empty where the cell needs none.
        source_note: Where the source model is from, if it was made elsewhere; goes into the record.
        plugins: Paths given by `--plugin`, and of the classes that were given from Python.
        secret: Parameters that the cell holds otherwise than the fit needs them (`Method.secret`). They are in the
            job's file, for its own user to read, until the job has ended.
        samples: Images that were handed in, in place of a fit; None for a fit.
        keep: Which artifacts are written: `sampler` (and the sheet), `samples` (the sheet alone) or `nothing`.
        snapshots: Shares of the compute budget, ascending, at which the generator is scored on the way.
        checkpoint_seconds: A fit is checkpointed when so many seconds have passed since it was last; 0 for never.
        profile: Whether some steps of the fit are traced.
    """

    cell: CellSpec
    images: dict[str, str] = {}
    readers: dict[str, str] = {}
    source_model_file: str = ""
    source_note: str = ""
    plugins: list[str] = []
    secret: dict[str, Any] = {}
    samples: Submission | None = None
    keep: str = "sampler"
    snapshots: list[float] = []
    checkpoint_seconds: float = 0
    profile: bool = False


class SourceJob(_JobBase, frozen=True, kw_only=True, tag="source", omit_defaults=True):
    """Train a source model. Leaves MODEL and a `Finished`.

    Attributes:
        recipe: Which model.
        images: Folder of the source domain's prepared images in the cache, absolute; empty for one from elsewhere.
        imported: File of what was imported of one from elsewhere, absolute; else empty.
        checkpoint_seconds: As in `CellJob`.
    """

    recipe: Recipe
    images: str = ""
    imported: str = ""
    checkpoint_seconds: float = 0


class ReferenceJob(_JobBase, frozen=True, kw_only=True, tag="reference", omit_defaults=True):
    """Extract the features of a target's reference images and score its floors, into the cache. Leaves a `Finished`.

    Attributes:
        protocol: How to extract.
        images: Folder of the target domain's prepared images in the cache, absolute.
        manifest: Their manifest.
        plugins: As of `CellJob`: they may hold metrics.
    """

    protocol: Protocol
    images: str
    manifest: str
    plugins: list[str] = []


Job = CellJob | SourceJob | ReferenceJob


def is_portable(job: Job) -> bool:
    """Return whether a job computes under `determinism = "portable"`."""
    if isinstance(job, SourceJob):
        return job.recipe.determinism == "portable"
    return (job.cell.protocol if isinstance(job, CellJob) else job.protocol).portable


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a prerequisite.

    Attributes:
        reason: Why it failed; empty if it did not.
        usage: The failure is one of the suite (weights that are missing or wrong): no cell can run.
    """

    reason: str = ""
    usage: bool = False


class Cause(StrEnum):
    """Why a job's process ended, where the executor knows more than an exit code."""

    ENDED = ""
    """By itself: look at the exit code."""
    TIME = "time"
    """Killed because its time was up."""
    MEMORY = "memory"
    """Killed because it held more memory than allowed, or by the kernel for want of memory."""
    LOST = "lost"
    """The machine or the process that started it is gone. Not the job's fault: it can be tried again."""


@dataclass(frozen=True)
class Ended:
    """End of a job's process.

    Attributes:
        key: The key under which it was started.
        exit_code: The process's exit code, negative for a signal; None where nobody knows.
        cause: Why.
        seconds: From start to end, by the executor's clock.
        detail: A sentence for the record where `cause` alone does not say it.
    """

    key: str
    exit_code: int | None
    cause: Cause
    seconds: float
    detail: str = ""


def decode(data: bytes) -> Job:
    """Read a job from its JSON."""
    return msgspec.json.decode(data, type=Job)


def new_record(cell: CellSpec, status: Status, environment: dict[str, Any], **fields: Any) -> Record:  # noqa: ANN401 - fields of `Record`
    """Make a record that is finished now; further fields of `Record` by name.

    Of the path of local weights it keeps the file's name: a record may be published, and the hash says which.
    """
    cell = msgspec.structs.replace(cell, protocol=cell.protocol.with_weights_at(lambda path: Path(path).name))
    finished_at = datetime.now(UTC).isoformat(timespec="seconds")
    return Record(id=cell.id, cell=cell, status=status, environment=environment, finished_at=finished_at, **fields)


def log_tail(folder: Path, characters: int) -> str:
    """Return the end of a job's log, paths without folders; empty where there is no log."""
    log = folder / LOG
    if not log.exists():
        return ""
    text = log.read_bytes()[-16 * characters :].decode("utf-8", "replace")  # what is kept must not begin within a path
    return without_folders(text)[-characters:]


def write_whole(path: Path, value: object) -> None:
    """Write a value as JSON so that a reader sees all of it or nothing."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(msgspec.json.encode(value))
    part.replace(path)
