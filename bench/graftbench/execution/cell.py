"""Run a cell, from its job to its record: fit, sample, score, measure.

Whatever happens inside becomes a record with a status; only a process that is killed leaves none, and then the driver
writes one.
"""

from __future__ import annotations

import sys
import traceback
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import torch

from graftbench.cache import CacheChangedError
from graftbench.contracts import Diverged, OverBudget, Sampler
from graftbench.digests import digest_of_path
from graftbench.errors import GraftbenchError, is_disk_full
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
from graftbench.execution.costs_beside import calibrated, measured_sampling, peak_of, sizes_of
from graftbench.execution.job import PROGRESS, new_record
from graftbench.execution.profile import StepProfile
from graftbench.execution.timed_meter import ObservedMeter
from graftbench.images import prepared
from graftbench.plugins import registry
from graftbench.plugins.code_hash import OF_SAMPLERS, code_of, files_of_scoring, hash_of
from graftbench.plugins.config import config_of
from graftbench.records.cell_spec import NO_SOURCE
from graftbench.records.costs import REPLAYED, checked_costs
from graftbench.records.paths import without_folders
from graftbench.records.record import Record, Status
from graftbench.resources.environment import describe
from graftbench.resources.monitor import Beside, FitMonitor, declared_resources, resources, synchronizer, with_told
from graftbench.resources.steps import StepTimes
from graftbench.scoring.denoising import denoising_scores
from graftbench.scoring.drift import Before, forgetting_scores
from graftbench.scoring.leaks import check_leaks
from graftbench.scoring.score import Scored, score_sampler
from graftbench.scoring.second import second_scores
from graftbench.scoring.snapshots import Snapshots, protocol_of
from graftbench.scoring.task_kinds import Exam, exam_of
from graftbench.suites.submitted_images import submitted_sampler
from graftbench.training import source
from graftbench.training.checkpoints import FILE as CHECKPOINT
from graftbench.training.checkpoints import Checkpoints, GeneratorState, Unusable
from graftbench.training.samplers import ImageBankSampler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.budget import Meter
    from graftbench.contracts import Method
    from graftbench.execution.job import CellJob
    from graftbench.images import prepared
    from graftbench.records.cell_spec import Kind, Origin, Protocol
    from graftbench.records.record import Resources
    from graftbench.resources.monitor import Measurement

LOG_TAIL_CHARACTERS = 4000


def run_cell(job: CellJob) -> Record:
    """Fit, sample, score and measure a cell. Every ending but the death of the process is a record.

    Raises:
        Exception: The disk is full (`errors.is_disk_full`): that is not this cell's result, and the run stops.
    """
    try:
        _check_code(job)
        return _run(job) if job.samples is None else _run_samples(job)
    except (_CodeChanged, CacheChangedError) as error:  # not this cell's fault: the next run takes it up again
        return _failed(job, Status.SKIPPED, str(error))
    except Diverged as error:
        return _failed(job, Status.DIVERGED, str(error))
    except OverBudget as error:
        return _failed(job, Status.TIMEOUT, str(error))
    except Exception as error:  # failure is a row
        if is_disk_full(error):
            raise
        if is_out_of_memory(error):
            return _failed(job, Status.OOM, str(error).splitlines()[0] if str(error) else "out of memory")
        return _failed(job, Status.ERROR, f"{type(error).__name__}: {error}")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether memory of the host or of the device ran out.

    Torch has a type for CUDA's; what its CPU allocator and cuBLAS raise can only be told by their words.
    """
    words = ("DefaultCPUAllocator: can't allocate memory", "DefaultCPUAllocator: not enough memory", "_ALLOC_FAILED")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )


# ------------------------------------------------------------------------------------------------- before the cell runs


class _CodeChanged(Exception):  # noqa: N818 - not an error of the cell
    """The files of the method are not those that the run was planned with."""


def _check_code(job: CellJob) -> None:
    """Refuse to record under an id what another code computes: files may be edited while a run lasts."""
    cell = job.cell
    registry.metrics([Path(path) for path in job.plugins])
    metrics, second = cell.protocol.metrics, bool(cell.protocol.second)
    submitted = job.samples is not None
    if cell.code != (
        hash_of(files_of_scoring(metrics, second=second))
        if submitted
        else code_of(_method(job), metrics, second=second)
    ):
        raise _CodeChanged(
            f"the code of method '{cell.method}' was edited while the run lasted; run again to plan it anew"
        )
    for name in () if submitted else _method(job).paths:
        if digest_of_path(cell.parameters.get(name)) != cell.files.get(name, ""):
            raise _CodeChanged(
                f"what lies at the parameter `{name}` of '{cell.method}' was changed while the run lasted, or is "
                "not on this machine; run again to plan it anew"
            )


def _method(job: CellJob) -> type[Method]:
    """Return the cell's method; for a variant, the method that it varies, for the cell has all its parameters."""
    return registry.methods([Path(path) for path in job.plugins])[job.cell.variant_of or job.cell.method]


# ------------------------------------------------------------------------------------------------------ the two courses


def _run(job: CellJob) -> Record:
    """Fit the cell's method, score what the fitted sampler makes, and record both."""
    cell, cls = job.cell, _method(job)
    method = cls(config_of(cls.Config, cell.parameters | job.secret, f"[parameters.{cell.method}]"))
    target = images_of_domain(job, cell.task.target)

    # Fit.
    fit = _fit_or_restart(job, method, target)
    task, sampler = fit.task, fit.sampler.to(fit.task.device)

    # Score.
    progress = ProgressFile(Path(job.folder) / PROGRESS)
    progress.tell(fit.meter, task.log.curve, fit.snapshots, phase="score", at_once=True)
    exam = _exam(job, target)
    with measured_sampling(sampler, job.device) as sampling:
        scored = _score(job, sampler, target, cell.protocol, train=task.chosen, exam=exam)
    scored = _with_scores_of_sampler(job, sampler, cls, target, scored)
    if cls.origin and exam is None:  # a program of others may have found the images that no method is shown
        task.log.notes += check_leaks(scored.images, target, task.chosen, cell.protocol.reference)

    # Record.
    under_second = cell.protocol.under_second
    leaks, leaks_second = (
        bool(method.leaks) and each is not None and method.leaks == each.extractor
        for each in (cell.protocol, under_second)
    )
    costs = _resources(job, fit, scored, sampling)
    return _record(
        job,
        Status.OK,
        scores=scored.scores,
        truth=scored.truth,
        curve=curve_points(task.log.curve),
        snapshots=fit.snapshots.taken,
        leaks=leaks,
        leaks_second=leaks_second,
        notes=_notes(job, fit, exam, leaks=method.leaks if leaks or leaks_second else ""),
        resources=costs,
        artifacts=save_artifacts(job, CellOutput(sampler, scored, task, exam, fit.snapshots.strip())),
        source_model_sha256=task.source_model_sha256,
        origin=cls.origin,
    )


def _run_samples(job: CellJob) -> Record:
    """Score submitted images. Of their time, memory and energy only what was declared is known."""
    cell, entry = job.cell, job.samples
    assert entry is not None
    target = images_of_domain(job, cell.task.target)
    task = make_task(job, target)
    sampler, notes = submitted_sampler(entry.source, cell)
    notes += check_leaks(sampler.images, target, task.chosen, cell.protocol.reference)
    scored = _score(job, sampler, target, cell.protocol, train=task.chosen)
    return _record(
        job,
        Status.OK,
        scores=scored.scores,
        truth=scored.truth,
        notes=[*entry.notes, *notes],
        resources=declared_resources(checked_costs(entry.costs, f"of the samples '{cell.method}'")),
        artifacts=save_artifacts(job, CellOutput(sampler, scored, task)),
        origin="submitted",
    )


# ---------------------------------------------------------------------------------------------------------------- fit


@dataclass(frozen=True)
class _Fit:
    """A finished fit and its measurements."""

    sampler: Sampler
    task: CellTask
    meter: Meter
    measurement: Measurement
    snapshots: Snapshots
    resumed: int
    beside: Beside


def _fit_or_restart(job: CellJob, method: Method, target: prepared.ImageSet) -> _Fit:
    """Fit; where the checkpoint turns out not to go with the fit, when half of it is loaded, start again without it."""
    try:
        return _fit(job, method, target)
    except Unusable as error:
        log_line(f"The checkpoint does not go with the fit, which starts anew: {error}.")
        (Path(job.folder) / CHECKPOINT).unlink(missing_ok=True)
        return _fit(job, method, target)


def _fit(job: CellJob, method: Method, target: prepared.ImageSet) -> _Fit:
    """Fit the method under measurement, with snapshots and checkpoints on the way."""
    cls, task = type(method), make_task(job, target)

    # Meters and what is scored on the way.
    monitor, steps = FitMonitor(job.device), StepTimes(job.device)
    profile = StepProfile(job.device, Path(job.folder)) if job.profile else None
    meter = ObservedMeter(
        job.cell.compute_budget,
        [steps, *([profile] if profile else [])],
        synchronize=synchronizer(job.device),
        aside=monitor.aside,
    )
    snapshot_protocol, exam = protocol_of(job.cell.protocol), _exam(job, target)
    snapshots = Snapshots(
        job.snapshots,
        lambda sampler: _score(job, sampler.to(task.device), target, snapshot_protocol, exam=exam),
        monitor.joules,
    )
    task.snapshots, task.progress = snapshots, ProgressFile(Path(job.folder) / PROGRESS)

    # Checkpoints, with all that a resumed fit must know.
    checkpoints = Checkpoints(
        Path(job.folder) / CHECKPOINT,
        # what a checkpoint must agree in with the fit that resumes from it; a cell's id covers its code
        identity={"cell": job.cell.id, "device": job.device.partition(":")[0], "torch": torch.__version__},
        seconds=job.checkpoint_seconds,
        device=task.device,
        own={
            "generator": GeneratorState(task.generator),
            "log": task.log,
            "snapshots": snapshots,
            "meter": meter,
            "steps": steps,
            "monitor": monitor,  # last: what was done to get here does not count
        },
        say=log_line,
    )
    task.checkpoints = checkpoints if cls.resumable else None

    # Load the images and the source model before the clock runs: reading them is not the method's business.
    _ = task.images, cls.source_model and task.source_model, cls.needs_source_images and task.source_images
    _ = cls.needs_pairs and task.pairs

    # Fit, between two calibrations.
    before = calibrated(job.device)
    with monitor, closing(profile) if profile else nullcontext():
        sampler = method.fit(task, meter)
    if profile is not None:
        task.log.notes.append(profile.note())
    beside = peak_of(method, task.device, before=before, after=calibrated(job.device))
    beside = replace(beside, steps=steps.summary())
    return _Fit(sampler, task, meter, monitor.measurement, snapshots, checkpoints.resumed, beside)


# -------------------------------------------------------------------------------------------------------------- scores


def _exam(job: CellJob, target: prepared.ImageSet) -> Exam | None:
    """Return the inputs that a task is scored on, which the method has not seen; None where it is to `generate`."""
    task, protocol = job.cell.task, job.cell.protocol
    if task.kind == "generate":
        return None
    return exam_of(task.kind, source_image_set(job), target, protocol.reference, protocol.n_generated)


def _score(
    job: CellJob,
    sampler: Sampler,
    target: prepared.ImageSet,
    protocol: Protocol,
    *,
    train: Sequence[int] = (),
    exam: Exam | None = None,
) -> Scored:
    """Score a sampler. Snapshots and the final sampler get the same latents: each time the same seed."""
    cache, seed = Path(job.cache), job.cell.seed
    sampling = torch.Generator().manual_seed(seed)
    scored = score_sampler(
        sampler, target, protocol, sampling, cache=cache, train=train, device=job.device, seed=seed, exam=exam
    )
    if protocol.second is msgspec.UNSET:
        return scored
    second = second_scores(scored.images, target, protocol, cache=cache, device=job.device, seed=seed)
    return replace(scored, scores=[*scored.scores, *second])


def _with_scores_of_sampler(
    job: CellJob, sampler: Sampler, cls: type[Method], target: prepared.ImageSet, scored: Scored
) -> Scored:
    """Put what the protocol asks for of forgetting and held-out loss in place of what features alone could say."""
    protocol = job.cell.protocol
    if not OF_SAMPLERS.intersection(protocol.metrics):
        return scored
    start = None
    if job.source_model_file:
        model = source.load(Path(job.source_model_file), job.cell.source_model)
        start = source.kind_of(cls.source_model).sampler(model, job.cell.task.resolution).to(torch.device(job.device))
    before = Before(start, source_image_set(job))
    own = [
        *forgetting_scores(
            scored.images,
            sampler,
            before,
            protocol,
            cache=Path(job.cache),
            device=job.device,
            seed=job.cell.seed,
        ),
        *denoising_scores(sampler, target, protocol),
    ]
    by_name = {score.name: score for score in own}
    return replace(scored, scores=[by_name.get(score.name, score) for score in scored.scores])


# ------------------------------------------------------------------------------------------------------------- records


def _resources(job: CellJob, fit: _Fit, scored: Scored, sampling: Sequence[Measurement]) -> Resources:
    """Return what the fit cost: measured here, and in the method's own words where others' programs did the work."""
    log = fit.task.log
    replayed = isinstance(fit.sampler, ImageBankSampler)
    if replayed:
        log.notes.append(REPLAYED)
    costs = resources(
        fit.measurement,
        images_seen=fit.meter.images_seen,
        sampled_images=len(scored.images),
        sampling_seconds=None if replayed else scored.sampling_seconds,
        parameters_total=log.parameters_total,
        parameters_trained=log.parameters_trained,
        flops_per_image=fit.meter.flops_per_image,
        beside=sizes_of(
            fit.sampler, fit.task, replace(fit.beside, sampling=sampling[0] if sampling and not replayed else None)
        ),
    )
    declared = checked_costs(log.declared, f"that '{job.cell.method}' declares")
    return with_told(costs, measured=log.measured, declared=declared)


def _notes(job: CellJob, fit: _Fit, exam: Exam | None, *, leaks: str) -> list[str]:
    """Return what a reader of the scores must know; `leaks` names the extractor that the method looks at itself."""
    origin = [job.source_note] if job.source_note else []
    notes = [*origin, *fit.task.log.notes, *fit.measurement.notes]
    if exam is not None:
        notes.append(_note_of_exam(exam, job.cell.task.kind))
    if fit.resumed:
        times = "once" if fit.resumed == 1 else f"{fit.resumed} times"
        notes.append(f"The fit went on {times} from a checkpoint, in another process.")
    if leaks:
        notes.append(f"{job.cell.method} looks at {leaks} itself: its scores under that extractor flatter it.")
    return notes


def _note_of_exam(exam: Exam, kind: Kind) -> str:
    """Return what a reader of the scores of a task of this kind must know."""
    scored_on = f"Scored on {len(exam.inputs)} inputs of the reference split"
    if exam.positions is None:
        return f"{scored_on}; source and target share no ids, so there are no truths to be faithful to."
    if kind == "stylize":
        return f"{scored_on}; FID and KID compare with reference images of the same ids."
    return (
        f"{scored_on}; FID and KID compare with the very images that these were made of, and may fall below the floor."
    )


def _failed(job: CellJob, status: Status, reason: str) -> Record:
    """Record a cell that did not get to its scores; its exception goes to the cell's log."""
    text = traceback.format_exc()
    print(text, file=sys.stderr)  # noqa: T201 - the cell's log
    tail = without_folders(text)[-LOG_TAIL_CHARACTERS:]
    log = {"log": artifact_of(job, "log")}
    return _record(job, status, reason=without_folders(reason), log_tail=tail, artifacts=log, origin=_origin(job))


def _origin(job: CellJob) -> Origin:
    """Return who makes the cell's generator; empty (unknown) where the method cannot even be loaded."""
    try:
        return "submitted" if job.samples is not None else _method(job).origin
    except GraftbenchError:
        return ""


def _record(job: CellJob, status: Status, **fields: Any) -> Record:  # noqa: ANN401 - fields of `Record`
    """Make the cell's record, with the environment and the licences of the images that it is about."""
    task, plugins = job.cell.task, [Path(path) for path in job.plugins]
    domains = {}
    for name in {task.source, task.target} - {NO_SOURCE}:
        try:
            domain = registry.make_domain(job.readers.get(name, name), plugins)
        except GraftbenchError:
            continue  # the record says so already
        domains[name] = {"license": domain.license, "attribution": domain.attribution}
    environment = describe(job.device) | {"domains": domains}
    return new_record(job.cell, status, environment, exit_code=0, **fields)
