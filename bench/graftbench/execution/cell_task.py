"""The task of one cell as its method sees it, and the file that reports the progress of its fit."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from graftbench.cache import CacheChangedError
from graftbench.contracts import FitLog, ReferenceTask, Sampler, SourceModel
from graftbench.errors import GraftbenchError
from graftbench.execution.job import write_whole
from graftbench.images import prepared
from graftbench.images.subsets import shots
from graftbench.records.cell_spec import NO_SOURCE, Kind
from graftbench.records.record import CurvePoint
from graftbench.scoring.task_kinds import training_pairs
from graftbench.training import source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graftbench.budget import Meter
    from graftbench.contracts import Stateful
    from graftbench.execution.job import CellJob
    from graftbench.scoring.snapshots import Snapshots
    from graftbench.training.checkpoints import Checkpoints


PROGRESS_SECONDS = 2.0
"""A fit reports its progress at most this often."""


PROGRESS_POINTS = 200
"""How many of the newest points of its curve it reports: four times those of a whole fit in the shared loop."""


@dataclass
class CellTask(ReferenceTask):
    """The task of one cell. Only methods of the family `reference` may read held-out images."""

    resolution: int
    device: torch.device
    generator: torch.Generator
    target: prepared.ImageSet
    chosen: Sequence[int]
    job: CellJob
    log: FitLog = field(default_factory=FitLog)
    checkpoints: Checkpoints | None = None
    snapshots: Snapshots | None = None
    progress: ProgressFile | None = None
    kind: Kind = "generate"
    folder: Path = Path()
    n_generated: int = 0
    source_model_sha256: str = ""
    """Digest of the source model (`source.digest_of`), once it is loaded."""

    def keep(self, **parts: Stateful) -> None:
        """Name what a checkpoint must hold."""
        if self.checkpoints is not None:
            self.checkpoints.keep(**parts)

    def resume(self, budget: Meter) -> None:
        """Load the checkpoint in the job's folder, where there is one; it restores budget and generator too."""
        del budget
        if self.checkpoints is not None:
            self.checkpoints.restore()

    def snapshot(self, budget: Meter, sampler: Callable[[], Sampler]) -> None:
        """Score the sampler at the shares of the budget that the job names, and report the progress."""
        taken = self.snapshots is not None and self.snapshots.take(budget, sampler)
        if self.progress is not None:
            self.progress.tell(budget, self.log.curve, self.snapshots, at_once=taken)

    def checkpoint(self, budget: Meter) -> None:
        """Write a checkpoint if one is due."""
        if self.checkpoints is not None and budget.images_seen and self.checkpoints.due():
            with budget.paused():
                self.checkpoints.write()

    @cached_property
    def images(self) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride] - cached
        """Return the images of the data budget: uint8 N×3×H×W on the device."""
        return self._tensor(self.target.pixels[sorted(self.chosen)])

    @cached_property
    def source_images(self) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride] - cached
        """Return the source domain's training split: uint8 M×3×H×W on the device."""
        if self.job.cell.task.source == NO_SOURCE:
            raise GraftbenchError(f"Task {self.job.cell.task} has no source domain, and so no source images.")
        return self._tensor(images_of_domain(self.job, self.job.cell.task.source).images("train"))

    @cached_property
    def source_model(self) -> SourceModel:  # pyright: ignore[reportIncompatibleMethodOverride] - cached
        """Return the source model that the suite provides."""
        if not self.job.source_model_file:
            raise GraftbenchError(f"Method '{self.job.cell.method}' declares no source model but asks for one.")
        file = Path(self.job.source_model_file)
        try:
            model = source.load(file, self.job.cell.source_model)
        except GraftbenchError as error:  # the driver has verified it
            raise CacheChangedError(f"{error} It was sound when the run began; run the same command again.") from error
        self.source_model_sha256 = source.digest_of(model)
        return model

    @cached_property
    def pairs(self) -> tuple[torch.Tensor, torch.Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride] - cached
        """Return inputs and truths of the images of the data budget: uint8 K×3×h×w and K×3×H×W on the device."""
        inputs, truths = training_pairs(self.kind, source_image_set(self.job), self.target, self.chosen)
        return inputs.to(self.device), truths.to(self.device)

    @cached_property
    def held_out(self) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride] - cached
        """Return validation images and training images outside the data budget: uint8 K×3×H×W on the CPU."""
        if self.job.cell.family != "reference":
            raise GraftbenchError(f"Method '{self.job.cell.method}' may not look at held-out images.")
        chosen = set(self.chosen)
        held_out = [i for split in ("train", "validation") for i in self.target.positions(split) if i not in chosen]
        return torch.from_numpy(np.array(self.target.pixels[sorted(held_out)]))

    def _tensor(self, pixels: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.array(pixels)).to(self.device)


class ProgressFile:
    """Reports how far a cell is, in a file of its folder that is replaced as a whole.

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
        """Write the share, images seen and per second, the last KID and the curves, unless it was done a moment ago."""
        now = self._clock()
        if now < self._next and not at_once:
            return
        self._next = now + PROGRESS_SECONDS
        seconds = budget.seconds()
        report = {
            "share": budget.share(),
            "images_seen": budget.images_seen,
            "images_per_second": budget.images_seen / seconds if seconds > 0 else 0.0,
            "kid": snapshots.kid if snapshots else None,
            "phase": phase,
            "curve": curve_points(curve[-PROGRESS_POINTS:]),
            "snapshots": snapshots.taken if snapshots else [],
        }
        write_whole(self._path, report)


def curve_points(curve: Sequence[tuple[int, float, Mapping[str, float]]]) -> list[CurvePoint]:
    """Convert the training log to the points of a record."""
    return [CurvePoint(images_seen=n, seconds=s, losses=dict(losses)) for n, s, losses in curve]


def source_image_set(job: CellJob) -> prepared.ImageSet | None:
    """Open the source domain's images; None where the task has no source."""
    name = job.cell.task.source
    return None if name == NO_SOURCE else images_of_domain(job, name)


def log_line(sentence: str) -> None:
    """Write a line to the cell's log."""
    print(sentence, file=sys.stderr)  # noqa: T201 - the cell's log


def images_of_domain(job: CellJob, name: str) -> prepared.ImageSet:
    """Open the prepared images of one of the job's domains."""
    return prepared.reopen(Path(job.images[name]), job.cell.manifests[name])


def make_task(job: CellJob, target: prepared.ImageSet) -> CellTask:
    """Make the cell's task. The draw of images and all randomness of the fit follow from the cell's seed."""
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
