"""One cell from spec to record.

Whatever happens inside becomes a record with a status; only a process that is killed leaves none, and then the driver
writes it.
"""

from __future__ import annotations

import errno
import sys
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from graftbench.budget import Meter
from graftbench.contracts import Diverged, OverBudget, Sampler
from graftbench.digests import digest_of_path
from graftbench.errors import GraftbenchError
from graftbench.execution.artifacts import CellOutput, artifact_of, save_artifacts
from graftbench.execution.cell_task import (
    CellTask,
    ProgressFile,
    curve_points,
    images_of_domain,
    log_line,
    make_task,
    source_image_set,
)
from graftbench.execution.job import PROGRESS
from graftbench.images import prepared
from graftbench.plugins import registry
from graftbench.plugins.code_hash import code_of, files_of_scoring, hash_of
from graftbench.plugins.config import config_of
from graftbench.records.cell_spec import NO_SOURCE, Kind
from graftbench.records.costs import checked_costs
from graftbench.records.record import CurvePoint, Record, Resources, Score, Snapshot, Status
from graftbench.resources.calibration import calibration_seconds
from graftbench.resources.environment import describe
from graftbench.resources.monitor import FitMonitor, declared_resources, resources, synchronizer, with_told
from graftbench.scoring.leaks import check_leaks
from graftbench.scoring.score import Scored, score_sampler
from graftbench.scoring.snapshots import Snapshots, protocol_of
from graftbench.scoring.task_kinds import Exam, exam_of
from graftbench.suites.submitted_images import submitted_sampler
from graftbench.training.checkpoints import FILE as CHECKPOINT
from graftbench.training.checkpoints import Checkpoints, GeneratorState, Unusable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.contracts import Method
    from graftbench.execution.job import CellJob
    from graftbench.records.cell_spec import Origin, Protocol
    from graftbench.resources.monitor import Measurement

LOG_TAIL_CHARACTERS = 4000


def run_cell(job: CellJob) -> Record:
    """Fit, sample, score, measure. Every ending but the process's death is a record.

    Raises:
        OSError: The disk is full: that is not this cell's result, and the run stops.
    """
    try:
        _check_code(job)
        return _run_samples(job) if job.samples is not None else _run(job)
    except _CodeChanged as error:
        return _failed(job, Status.SKIPPED, str(error))
    except Diverged as error:
        return _failed(job, Status.DIVERGED, str(error))
    except OverBudget as error:
        return _failed(job, Status.TIMEOUT, str(error))
    except Exception as error:  # failure is a row
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise
        if is_out_of_memory(error):
            return _failed(job, Status.OOM, str(error).splitlines()[0] if str(error) else "out of memory")
        return _failed(job, Status.ERROR, f"{type(error).__name__}: {error}")


DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory of the host or of the device ran out.

    Torch has a type for CUDA's; what its CPU allocator and cuBLAS raise can only be told by their words.
    """
    words = ("DefaultCPUAllocator: can't allocate memory", "DefaultCPUAllocator: not enough memory", "_ALLOC_FAILED")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )


class _CodeChanged(Exception):  # noqa: N818 - not an error of the cell
    """The files of the method are not those that the run was planned with."""


def _check_code(job: CellJob) -> None:
    """Refuse to record under an id what another code computes: files may be edited while a run lasts."""
    found = hash_of(files_of_scoring()) if job.samples is not None else code_of(_method(job))
    if found != job.cell.code:
        raise _CodeChanged(
            f"the code of method '{job.cell.method}' was edited while the run lasted; run again to plan it anew"
        )
    if job.samples is None:
        _check_files(job)


def _check_files(job: CellJob) -> None:
    """Likewise for what lies at the paths among the parameters."""
    for name in _method(job).paths:
        if digest_of_path(job.cell.parameters.get(name)) != job.cell.files.get(name, ""):
            raise _CodeChanged(
                f"what lies at the parameter `{name}` of '{job.cell.method}' was changed while the run lasted, or is "
                "not on this machine; run again to plan it anew"
            )


@dataclass(frozen=True)
class _Fitted:
    """What a fit left."""

    sampler: Sampler
    task: CellTask
    meter: Meter
    measurement: Measurement
    snapshots: Snapshots
    resumed: int
    calibration_seconds: float


def _method(job: CellJob) -> type[Method]:
    """The cell's method; of a variant the method that it is one of, for the cell has all its parameters."""
    return registry.methods([Path(path) for path in job.plugins])[job.cell.variant_of or job.cell.method]


def _run_samples(job: CellJob) -> Record:
    """Score images that were handed in. No time, memory or energy of theirs is known here but what was declared."""
    cell, entry = job.cell, job.samples
    assert entry is not None
    target = images_of_domain(job, cell.task.target)
    task = make_task(job, target)
    sampler, notes = submitted_sampler(entry.source, cell)
    notes += check_leaks(sampler.images, target, task.chosen, cell.protocol.reference)
    scored = _score(job, sampler, target, cell.protocol, train=task.chosen)
    declared = checked_costs(entry.costs, f"of the samples '{cell.method}'")
    return _record(
        job,
        Status.OK,
        scores=scored.scores,
        notes=[*entry.notes, *notes],
        resources=declared_resources(declared),
        artifacts=save_artifacts(job, CellOutput(sampler, scored, task)),
        origin="submitted",
    )


def _run(job: CellJob) -> Record:
    cell, cls = job.cell, _method(job)
    method = cls(config_of(cls.Config, cell.parameters, f"[parameters.{cell.method}]"))
    target = images_of_domain(job, cell.task.target)
    fitted = _fit_anew_if_need_be(job, method, target)
    task, meter, sampler = fitted.task, fitted.meter, fitted.sampler.to(fitted.task.device)
    ProgressFile(Path(job.folder) / PROGRESS).tell(meter, task.log.curve, fitted.snapshots, phase="score", at_once=True)
    exam = _exam(job, target)
    scored = _score(job, sampler, target, cell.protocol, train=task.chosen, exam=exam)
    if cls.origin and exam is None:  # what others wrote may have found the images that no method is shown
        task.log.notes += check_leaks(scored.images, target, task.chosen, cell.protocol.reference)
    notes = [*task.log.notes, *fitted.measurement.notes]
    if exam is not None:
        notes.append(_about(exam, cell.task.kind))
    if fitted.resumed:
        notes.append(f"The fit went on {_times(fitted.resumed)} from a checkpoint, in another process.")
    leaks = bool(method.leaks) and method.leaks == cell.protocol.extractor
    if leaks:
        notes.append(f"{cell.method} looks at {method.leaks} itself: its scores under that extractor flatter it.")
    return _record(
        job,
        Status.OK,
        scores=scored.scores,
        curve=curve_points(task.log.curve),
        snapshots=fitted.snapshots.taken,
        leaks=leaks,
        notes=notes,
        resources=with_told(
            resources(
                fitted.measurement,
                images_seen=meter.images_seen,
                sampled_images=len(scored.images),
                sampling_seconds=scored.sampling_seconds,
                parameters_total=task.log.parameters_total,
                parameters_trained=task.log.parameters_trained,
                flops_per_image=meter.flops_per_image,
                calibration_seconds=fitted.calibration_seconds,
            ),
            measured=task.log.measured,
            declared=checked_costs(task.log.declared, f"that '{cell.method}' declares"),
        ),
        artifacts=save_artifacts(job, CellOutput(sampler, scored, task, exam, fitted.snapshots.strip())),
        origin=cls.origin,
    )


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"


def _fit_anew_if_need_be(job: CellJob, method: Method, target: prepared.ImageSet) -> _Fitted:
    """Fit; where a checkpoint turns out not to fit when half of it is loaded, again and without it."""
    try:
        return _fit(job, method, target)
    except Unusable as error:
        log_line(f"The checkpoint does not go with the fit, which starts anew: {error}.")
        (Path(job.folder) / CHECKPOINT).unlink()
        return _fit(job, method, target)


def _fit(job: CellJob, method: Method, target: prepared.ImageSet) -> _Fitted:
    cell, cls, task = job.cell, type(method), make_task(job, target)
    monitor = FitMonitor(job.device)
    meter = Meter(cell.compute_budget, synchronize=synchronizer(job.device), aside=monitor.aside)
    on_the_way = protocol_of(cell.protocol)
    exam = _exam(job, target)
    snapshots = Snapshots(
        job.snapshots, lambda sampler: _score(job, sampler.to(task.device), target, on_the_way, exam=exam)
    )
    checkpoints = Checkpoints(
        Path(job.folder) / CHECKPOINT,
        identity=_identity(job),
        seconds=job.checkpoint_seconds,
        device=task.device,
        own={
            "generator": GeneratorState(task.generator),
            "log": task.log,
            "snapshots": snapshots,
            "meter": meter,
            "monitor": monitor,  # last: what was done to get here does not count
        },
        say=log_line,
    )
    task.snapshots, task.progress = snapshots, ProgressFile(Path(job.folder) / PROGRESS)
    task.checkpoints = checkpoints if cls.resumable else None
    # Touched before the clock runs: what is on the disk is the suite's business, not the method's.
    _ = task.images, cls.source_model and task.source_model, cls.needs_source_images and task.source_images
    _ = cls.needs_pairs and task.pairs
    before = calibration_seconds(job.device)
    with monitor:
        sampler = method.fit(task, meter)
    unit = (before + calibration_seconds(job.device)) / 2
    return _Fitted(sampler, task, meter, monitor.measurement, snapshots, checkpoints.resumed, unit)


def _identity(job: CellJob) -> dict[str, str]:
    """What a checkpoint must be of to be gone on from. The cell's id is made of its code too."""
    return {"cell": job.cell.id, "device": job.device.partition(":")[0], "torch": torch.__version__}


def _score(
    job: CellJob,
    sampler: Sampler,
    target: prepared.ImageSet,
    protocol: Protocol,
    *,
    train: Sequence[int] = (),
    exam: Exam | None = None,
) -> Scored:
    """Every time with the same chances: samples of snapshots and of the end come from the same latents."""
    sampling = torch.Generator().manual_seed(job.cell.seed)
    cache, seed = Path(job.cache), job.cell.seed
    return score_sampler(
        sampler, target, protocol, sampling, cache=cache, train=train, device=job.device, seed=seed, exam=exam
    )


def _exam(job: CellJob, target: prepared.ImageSet) -> Exam | None:
    """What a task of another kind than `generate` is scored on; the method never sees it before."""
    task, protocol = job.cell.task, job.cell.protocol
    if task.kind == "generate":
        return None
    return exam_of(task.kind, source_image_set(job), target, protocol.reference, protocol.n_generated)


def _about(exam: Exam, kind: Kind) -> str:
    """What a reader of a kind's scores must know."""
    made = f"Scored on {len(exam.inputs)} inputs of the reference split"
    if exam.positions is None:
        return f"{made}; source and target share no ids, so there are no truths to be faithful to."
    if kind == "stylize":
        return f"{made}; FID and KID compare with reference images of the same ids."
    return f"{made}; FID and KID compare with the very images that these were made of, and may fall below the floor."


def _failed(job: CellJob, status: Status, reason: str) -> Record:
    tail = traceback.format_exc()[-LOG_TAIL_CHARACTERS:]
    print(tail, file=sys.stderr)  # noqa: T201 - the cell's log
    log = {"log": artifact_of(job, "log")}
    return _record(job, status, reason=reason, log_tail=tail, artifacts=log, origin=_origin(job))


def _origin(job: CellJob) -> Origin:
    """Who makes the cell's generator; unknown (empty) where the method cannot even be found."""
    try:
        return "submitted" if job.samples is not None else _method(job).origin
    except GraftbenchError:
        return ""


def _record(
    job: CellJob,
    status: Status,
    *,
    reason: str = "",
    log_tail: str = "",
    scores: list[Score] | None = None,
    resources: Resources | None = None,
    curve: list[CurvePoint] | None = None,
    snapshots: list[Snapshot] | None = None,
    leaks: bool = False,
    notes: list[str] | None = None,
    artifacts: dict[str, str] | None = None,
    origin: Origin = "",
) -> Record:
    return Record(
        id=job.cell.id,
        cell=job.cell,
        status=status,
        reason=reason,
        exit_code=0,
        log_tail=log_tail,
        scores=scores or [],
        resources=resources,
        curve=curve or [],
        snapshots=snapshots or [],
        leaks=leaks,
        notes=notes or [],
        origin=origin,
        environment=_environment(job),
        artifacts=artifacts or {},
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _environment(job: CellJob) -> dict[str, Any]:
    """Where the record was made, and whose images it is about."""
    task, plugins = job.cell.task, [Path(path) for path in job.plugins]
    domains = {}
    for name in {task.source, task.target} - {NO_SOURCE}:
        try:
            domain = registry.make_domain(name, plugins)
        except GraftbenchError:
            continue  # the record says so already
        domains[prepared.public_name(domain, name)] = {"license": domain.license, "attribution": domain.attribution}
    return describe(job.device) | {"domains": domains}
