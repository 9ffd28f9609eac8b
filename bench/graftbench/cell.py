"""One cell from spec to record. `python -m graftbench.cell SPEC.json` runs one by hand.

Whatever happens inside becomes a record with a status; only a process that is killed leaves none, and then the driver
writes it.
"""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
import numpy as np
import torch
from PIL import Image

from graftbench import imageset, registry, source
from graftbench.budget import Meter, nested_subset
from graftbench.contracts import Diverged, FitLog, ReferenceTask, Sampler, SourceModel
from graftbench.environment import describe
from graftbench.errors import GraftbenchError
from graftbench.record import NO_SOURCE, CellSpec, CurvePoint, Record, Resources, Score, Status
from graftbench.resources import FitMonitor, resources
from graftbench.samplers import save_sampler
from graftbench.scoring import Scored, score_sampler
from graftbench.suite import config_of

if TYPE_CHECKING:
    from collections.abc import Sequence

SHEET_COLUMNS, SHEET_ROWS = 8, 4
"""Tiles of the contact sheet that each cell leaves."""

LOG_TAIL_CHARACTERS = 4000


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a cell's process is told, beside the cell itself: where things are. None of it changes the result.

    Attributes:
        cell: The cell.
        folder: The cell's folder; the process writes nowhere else.
        artifacts: The same folder, relative to the run folder.
        cache: Cache folder.
        source_model_file: File of the source model; empty where the cell needs none.
        plugins: Paths given by `--plugin`.
        device: `cpu`, `cuda` or `cuda:N`.
    """

    cell: CellSpec
    folder: str
    artifacts: str
    cache: str
    source_model_file: str = ""
    plugins: list[str] = []
    device: str = "cpu"


@dataclass
class CellTask(ReferenceTask):
    """The task of one cell. Held-out images are there for the family `reference` alone (see `task_for`)."""

    resolution: int
    device: torch.device
    generator: torch.Generator
    target: imageset.ImageSet
    chosen: Sequence[int]
    job: Job
    log: FitLog = field(default_factory=FitLog)

    @cached_property
    def images(self) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride] - cached
        """The data budget's images: uint8 N×3×H×W on the device."""
        return self._tensor(self.target.pixels[sorted(self.chosen)])

    @cached_property
    def source_images(self) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride] - cached
        """The source domain's training split: uint8 M×3×H×W on the device."""
        if self.job.cell.task.source == NO_SOURCE:
            raise GraftbenchError(f"Task {self.job.cell.task} has no source domain, and so no source images.")
        domain = registry.make_domain(self.job.cell.task.source, [Path(p) for p in self.job.plugins])
        images = imageset.load(domain, self.job.cell.task.source, self.resolution, Path(self.job.cache))
        return self._tensor(images.images("train"))

    @cached_property
    def source_model(self) -> SourceModel:  # pyright: ignore[reportIncompatibleMethodOverride] - cached
        """The source model that the suite provides."""
        if not self.job.source_model_file:
            raise GraftbenchError(f"Method '{self.job.cell.method}' declares no source model but asks for one.")
        return source.load(Path(self.job.source_model_file), self.job.cell.source_model)

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


def run_cell(job: Job) -> Record:
    """Fit, sample, score, measure. Every ending but the process's death is a record."""
    try:
        return _run(job)
    except Diverged as error:
        return _failed(job, Status.DIVERGED, str(error))
    except (MemoryError, torch.OutOfMemoryError) as error:
        return _failed(job, Status.OOM, str(error).splitlines()[0] if str(error) else "out of memory")
    except Exception as error:  # noqa: BLE001 - failure is a row
        return _failed(job, Status.ERROR, f"{type(error).__name__}: {error}")


def _run(job: Job) -> Record:
    cell = job.cell
    plugins = [Path(path) for path in job.plugins]
    cls = registry.methods(plugins)[cell.method]
    method = cls(config_of(cls.Config, cell.parameters, f"[parameters.{cell.method}]"))
    target = imageset.load(
        registry.make_domain(cell.task.target, plugins), cell.task.target, cell.task.resolution, Path(job.cache)
    )
    task = _task(job, target)
    device = task.device
    meter = Meter(cell.compute_budget, synchronize=lambda: _synchronize(device))
    # Touched before the clock runs: what is on the disk is the suite's business, not the method's.
    _ = task.images, cls.source_model and task.source_model, cls.needs_source_images and task.source_images
    with FitMonitor(job.device) as monitor:
        sampler = method.fit(task, meter)
    sampler.to(device)
    sampling = torch.Generator().manual_seed(cell.seed)
    scored = score_sampler(
        sampler,
        target,
        cell.protocol,
        sampling,
        cache=Path(job.cache),
        train=task.chosen,
        device=job.device,
        seed=cell.seed,
    )
    notes = [*task.log.notes, *monitor.measurement.notes]
    leaks = bool(method.leaks) and method.leaks == cell.protocol.extractor
    if leaks:
        notes.append(f"{cell.method} looks at {method.leaks} itself: its scores under that extractor flatter it.")
    return _record(
        job,
        Status.OK,
        scores=scored.scores,
        curve=[CurvePoint(images_seen=n, seconds=s, losses=dict(losses)) for n, s, losses in task.log.curve],
        leaks=leaks,
        notes=notes,
        resources=resources(
            monitor.measurement,
            images_seen=meter.images_seen,
            paused_seconds=meter.paused_seconds,
            sampled_images=len(scored.images),
            sampling_seconds=scored.sampling_seconds,
            parameters_total=task.log.parameters_total,
            parameters_trained=task.log.parameters_trained,
            flops_per_image=meter.flops_per_image,
        ),
        artifacts=_save(job, sampler, scored),
    )


def _task(job: Job, target: imageset.ImageSet) -> CellTask:
    """The task; the draw of images and all randomness of the fit follow from the cell's seed."""
    cell = job.cell
    pool = target.positions("train")
    subset = nested_subset([target.ids[i] for i in pool], cell.data_budget, cell.seed)
    return CellTask(
        resolution=cell.task.resolution,
        device=torch.device(job.device),
        generator=torch.Generator().manual_seed(cell.seed),
        target=target,
        chosen=[int(pool[i]) for i in subset],
        job=job,
    )


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _save(job: Job, sampler: Sampler, scored: Scored) -> dict[str, str]:
    folder = Path(job.folder)
    save_sampler(sampler, folder / "sampler.safetensors")
    _sheet(scored.images).save(folder / "samples.png", optimize=True)
    return {name: f"{job.artifacts}/{file}" for name, file in _ARTIFACTS.items()}


_ARTIFACTS = {"sampler": "sampler.safetensors", "samples": "samples.png", "log": "log.txt"}


def _sheet(images: torch.Tensor) -> Image.Image:
    """The first 8×4 images as one picture, white where there are fewer."""
    side = images.shape[-1]
    tiles = torch.full((SHEET_COLUMNS * SHEET_ROWS, 3, side, side), 255, dtype=torch.uint8)
    shown = images[: len(tiles)]
    tiles[: len(shown)] = shown
    rows = tiles.unflatten(0, (SHEET_ROWS, SHEET_COLUMNS)).permute(0, 3, 1, 4, 2)
    return Image.fromarray(rows.reshape(SHEET_ROWS * side, SHEET_COLUMNS * side, 3).numpy())


def _failed(job: Job, status: Status, reason: str) -> Record:
    tail = traceback.format_exc()[-LOG_TAIL_CHARACTERS:]
    print(tail, file=sys.stderr)  # noqa: T201 - the cell's log
    return _record(job, status, reason=reason, log_tail=tail, artifacts={"log": f"{job.artifacts}/log.txt"})


def _record(
    job: Job,
    status: Status,
    *,
    reason: str = "",
    log_tail: str = "",
    scores: list[Score] | None = None,
    resources: Resources | None = None,
    curve: list[CurvePoint] | None = None,
    leaks: bool = False,
    notes: list[str] | None = None,
    artifacts: dict[str, str] | None = None,
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
        leaks=leaks,
        notes=notes or [],
        environment=_environment(job),
        artifacts=artifacts or {},
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _environment(job: Job) -> dict[str, Any]:
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


def run_job_file(path: Path) -> None:
    """Run the job in a file and leave its record beside it, whole or not at all."""
    job = msgspec.json.decode(path.read_bytes(), type=Job)
    torch.set_num_threads(1)  # a second thread is a trap where other processes run; cells run side by side instead
    torch.manual_seed(job.cell.seed)  # for what takes no generator; a method's own randomness is task.generator
    record = run_cell(job)
    part = path.with_name("result.part")
    part.write_bytes(msgspec.json.encode(record))
    part.replace(path.with_name("result.json"))


def main(arguments: Sequence[str]) -> None:
    """Run a job file and print its record."""
    (file,) = arguments
    run_job_file(Path(file))
    print(cast("str", Path(file).with_name("result.json").read_text()))  # noqa: T201 - a command


if __name__ == "__main__":
    main(sys.argv[1:])
