"""One cell from spec to record.

Whatever happens inside becomes a record with a status; only a process that is killed leaves none, and then the driver
writes it.
"""

from __future__ import annotations

import errno
import shutil
import sys
import time
import traceback
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from graftbench import imageset, registry, source
from graftbench.budget import Meter
from graftbench.calibration import calibration_seconds
from graftbench.checkpoint import FILE as CHECKPOINT
from graftbench.checkpoint import Checkpoints, GeneratorState, Unusable
from graftbench.code import code_of, files_of_scoring, hash_of
from graftbench.contracts import Diverged, FitLog, OverBudget, ReferenceTask, Sampler, SourceModel
from graftbench.environment import describe
from graftbench.errors import GraftbenchError
from graftbench.handed_in import handed_in
from graftbench.job import OUTPUT, PROGRESS, write_whole
from graftbench.kinds import Exam, exam_of, training_pairs
from graftbench.leaks import check_leaks
from graftbench.path_digests import digest_of_path
from graftbench.record import NO_SOURCE, CurvePoint, Kind, Record, Resources, Score, Snapshot, Status
from graftbench.resources import FitMonitor, declared_resources, resources, synchronizer, with_told
from graftbench.samplers import save_sampler
from graftbench.scoring import Scored, score_sampler
from graftbench.sheets import answers, interpolated, neighbor_sheet, save_neighbors, tiled
from graftbench.shots import shots
from graftbench.snapshots import Snapshots, protocol_of
from graftbench.submission import checked_costs
from graftbench.suite import config_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from PIL import Image

    from graftbench.contracts import Method, Stateful
    from graftbench.job import CellJob
    from graftbench.record import Origin, Protocol
    from graftbench.resources import Measurement

LOG_TAIL_CHARACTERS = 4000

PROGRESS_SECONDS = 2.0
"""A fit says at most this often how far it is."""

PROGRESS_POINTS = 200
"""The newest points of its curve that it then shows: four times those of a whole fit in the shared loop."""


@dataclass
class CellTask(ReferenceTask):
    """The task of one cell. Held-out images are there for the family `reference` alone."""

    resolution: int
    device: torch.device
    generator: torch.Generator
    target: imageset.ImageSet
    chosen: Sequence[int]
    job: CellJob
    log: FitLog = field(default_factory=FitLog)
    checkpoints: Checkpoints | None = None
    snapshots: Snapshots | None = None
    progress: ProgressFile | None = None
    kind: Kind = "generate"
    folder: Path = Path()
    n_generated: int = 0

    def keep(self, **parts: Stateful) -> None:
        """For checkpoints."""
        if self.checkpoints is not None:
            self.checkpoints.keep(**parts)

    def resume(self, budget: Meter) -> None:
        """From the checkpoint in the job's folder; budget and generator are among what it loads."""
        del budget
        if self.checkpoints is not None:
            self.checkpoints.restore()

    def snapshot(self, budget: Meter, sampler: Callable[[], Sampler]) -> None:
        """Score what there is where the job says so, and say how far the fit is."""
        taken = self.snapshots is not None and self.snapshots.take(budget, sampler)
        if self.progress is not None:
            self.progress.tell(budget, self.log.curve, self.snapshots, at_once=taken)

    def checkpoint(self, budget: Meter) -> None:
        """Write one where it is due."""
        if self.checkpoints is not None and budget.images_seen and self.checkpoints.due():
            with budget.paused():
                self.checkpoints.write()

    @cached_property
    def images(self) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride] - cached
        """The data budget's images: uint8 N×3×H×W on the device."""
        return self._tensor(self.target.pixels[sorted(self.chosen)])

    @cached_property
    def source_images(self) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride] - cached
        """The source domain's training split: uint8 M×3×H×W on the device."""
        if self.job.cell.task.source == NO_SOURCE:
            raise GraftbenchError(f"Task {self.job.cell.task} has no source domain, and so no source images.")
        return self._tensor(_images(self.job, self.job.cell.task.source).images("train"))

    @cached_property
    def source_model(self) -> SourceModel:  # pyright: ignore[reportIncompatibleMethodOverride] - cached
        """The source model that the suite provides."""
        if not self.job.source_model_file:
            raise GraftbenchError(f"Method '{self.job.cell.method}' declares no source model but asks for one.")
        return source.load(Path(self.job.source_model_file), self.job.cell.source_model)

    @cached_property
    def pairs(self) -> tuple[torch.Tensor, torch.Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride] - cached
        """Inputs and truths of the data budget's images: uint8 K×3×h×w and K×3×H×W on the device."""
        inputs, truths = training_pairs(self.kind, _source_images(self.job), self.target, self.chosen)
        return inputs.to(self.device), truths.to(self.device)

    @cached_property
    def held_out(self) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride] - cached
        """Validation images and training images outside the data budget: uint8 K×3×H×W on the CPU."""
        if self.job.cell.family != "reference":
            raise GraftbenchError(f"Method '{self.job.cell.method}' may not look at held-out images.")
        chosen = set(self.chosen)
        rest = [i for split in ("train", "validation") for i in self.target.positions(split) if i not in chosen]
        return torch.from_numpy(np.array(self.target.pixels[sorted(rest)]))

    def _tensor(self, pixels: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.array(pixels)).to(self.device)


class ProgressFile:
    """Says how far a cell is, in a file of its folder that is replaced as a whole.

    Args:
        path: The file.
        clock: Seconds, monotonic.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self._next = clock()

    def tell(
        self,
        budget: Meter,
        curve: Sequence[tuple[int, float, Mapping[str, float]]],
        snapshots: Snapshots | None,
        *,
        phase: str = "fit",
        at_once: bool = False,
    ) -> None:
        """Write share, images seen and per second, the last KID and the curves, unless that was done a moment ago."""
        now = self._clock()
        if now < self._next and not at_once:
            return
        self._next = now + PROGRESS_SECONDS
        seconds = budget.seconds()
        rate = budget.images_seen / seconds if seconds > 0 else 0.0
        said = {"share": budget.share(), "images_seen": budget.images_seen, "images_per_second": rate}
        said |= {"kid": snapshots.kid if snapshots else None, "phase": phase}
        said |= {"curve": _points(curve[-PROGRESS_POINTS:]), "snapshots": snapshots.taken if snapshots else []}
        write_whole(self._path, said)


def _points(curve: Sequence[tuple[int, float, Mapping[str, float]]]) -> list[CurvePoint]:
    """The training log as a record has it."""
    return [CurvePoint(images_seen=n, seconds=s, losses=dict(losses)) for n, s, losses in curve]


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
    target = _images(job, cell.task.target)
    task = _task(job, target)
    sampler, notes = handed_in(entry.source, cell)
    notes += check_leaks(sampler.images, target, task.chosen, cell.protocol.reference)
    scored = _score(job, sampler, target, cell.protocol, train=task.chosen)
    declared = checked_costs(entry.costs, f"of the samples '{cell.method}'")
    return _record(
        job,
        Status.OK,
        scores=scored.scores,
        notes=[*entry.notes, *notes],
        resources=declared_resources(declared),
        artifacts=_save(job, _Left(sampler, scored, task)),
        origin="submitted",
    )


def _run(job: CellJob) -> Record:
    cell, cls = job.cell, _method(job)
    method = cls(config_of(cls.Config, cell.parameters, f"[parameters.{cell.method}]"))
    target = _images(job, cell.task.target)
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
        curve=_points(task.log.curve),
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
        artifacts=_save(job, _Left(sampler, scored, task, exam, fitted.snapshots.strip())),
        origin=cls.origin,
    )


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"


def _fit_anew_if_need_be(job: CellJob, method: Method, target: imageset.ImageSet) -> _Fitted:
    """Fit; where a checkpoint turns out not to fit when half of it is loaded, again and without it."""
    try:
        return _fit(job, method, target)
    except Unusable as error:
        _say(f"The checkpoint does not go with the fit, which starts anew: {error}.")
        (Path(job.folder) / CHECKPOINT).unlink()
        return _fit(job, method, target)


def _fit(job: CellJob, method: Method, target: imageset.ImageSet) -> _Fitted:
    cell, cls, task = job.cell, type(method), _task(job, target)
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
        say=_say,
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
    target: imageset.ImageSet,
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


def _exam(job: CellJob, target: imageset.ImageSet) -> Exam | None:
    """What a task of another kind than `generate` is scored on; the method never sees it before."""
    task, protocol = job.cell.task, job.cell.protocol
    if task.kind == "generate":
        return None
    return exam_of(task.kind, _source_images(job), target, protocol.reference, protocol.n_generated)


def _about(exam: Exam, kind: Kind) -> str:
    """What a reader of a kind's scores must know."""
    made = f"Scored on {len(exam.inputs)} inputs of the reference split"
    if exam.positions is None:
        return f"{made}; source and target share no ids, so there are no truths to be faithful to."
    if kind == "stylize":
        return f"{made}; FID and KID compare with reference images of the same ids."
    return f"{made}; FID and KID compare with the very images that these were made of, and may fall below the floor."


def _source_images(job: CellJob) -> imageset.ImageSet | None:
    name = job.cell.task.source
    return None if name == NO_SOURCE else _images(job, name)


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)  # noqa: T201 - the cell's log


def _images(job: CellJob, name: str) -> imageset.ImageSet:
    return imageset.reopen(Path(job.images[name]), job.cell.manifests[name])


def _task(job: CellJob, target: imageset.ImageSet) -> CellTask:
    """The task; the draw of images and all randomness of the fit follow from the cell's seed."""
    cell = job.cell
    return CellTask(
        resolution=cell.task.resolution,
        device=torch.device(job.device),
        generator=torch.Generator().manual_seed(cell.seed),
        target=target,
        chosen=shots(target, cell.data_budget, cell.seed),
        job=job,
        kind=cell.task.kind,
        folder=Path(job.folder),
        n_generated=cell.protocol.n_generated,
    )


@dataclass(frozen=True)
class _Left:
    """What a cell's pictures are made of; `strip` shows the snapshots, where there were any."""

    sampler: Sampler
    scored: Scored
    task: CellTask
    exam: Exam | None = None
    strip: Image.Image | None = None


def _save(job: CellJob, left: _Left) -> dict[str, str]:
    """Write what `keep` says; the artifacts' kinds and paths."""
    kinds = ["log"]
    if job.keep != "nothing":
        kinds += _save_pictures(job, left)
    if job.keep == "sampler":
        save_sampler(left.sampler, Path(job.folder) / ARTIFACTS["sampler"])
        kinds.append("sampler")
    else:
        shutil.rmtree(Path(job.folder) / OUTPUT, ignore_errors=True)
    return {kind: _artifact(job, kind) for kind in kinds}


def _save_pictures(job: CellJob, left: _Left) -> list[str]:
    """Write the pictures that there are; their kinds."""
    paths = {kind: Path(job.folder) / name for kind, name in ARTIFACTS.items()}
    scored, exam = left.scored, left.exam
    sheet = tiled(scored.images) if exam is None else answers(exam.inputs, scored.images, exam.truths)
    sheet.save(paths["samples"], optimize=True)
    kinds = ["samples"]
    if left.strip is not None:
        left.strip.save(paths["progress"], optimize=True)
        kinds.append("progress")
    if (near := scored.neighbors) is not None:
        save_neighbors(near, neighbor_sheet(near, scored.images, left.task.target.pixels), paths["neighbors"])
        kinds.append("neighbors")
    if (ways := _interpolated(left.sampler, job.cell.seed)) is not None:
        tiled(ways).save(paths["interpolation"])
        kinds.append("interpolation")
    return kinds


def _interpolated(sampler: Sampler, seed: int) -> torch.Tensor | None:
    """Ways through the sampler's latent space; where it fails the log says why: a picture is no reason to fail."""
    try:
        return interpolated(sampler, seed)
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything; scores that are there are not lost for it
        _say(f"There is no interpolation, for the sampler's decode failed: {type(error).__name__}: {error}")
        return None


ARTIFACTS = {
    "sampler": "sampler.safetensors",
    "samples": "samples.png",
    "progress": "progress.png",
    "neighbors": "neighbors.png",
    "interpolation": "interpolation.png",
    "log": "log.txt",
}
"""Kind -> name of the file."""


def _artifact(job: CellJob, kind: str) -> str:
    """Its path relative to the run folder, where the driver puts what a cell left."""
    return f"cells/{job.cell.id}/{ARTIFACTS[kind]}"


def _failed(job: CellJob, status: Status, reason: str) -> Record:
    tail = traceback.format_exc()[-LOG_TAIL_CHARACTERS:]
    print(tail, file=sys.stderr)  # noqa: T201 - the cell's log
    log = {"log": _artifact(job, "log")}
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
        domains[imageset.public_name(domain, name)] = {"license": domain.license, "attribution": domain.attribution}
    return describe(job.device) | {"domains": domains}
