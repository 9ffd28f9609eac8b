"""The files that a cell leaves beside its record: samples, sampler, sheets, strips of snapshots."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from graftbench.execution.cell_task import (
    CellTask,
    log_line,
)
from graftbench.execution.job import OUTPUT
from graftbench.execution.sheets import answers, interpolated, neighbor_sheet, save_neighbors, tiled
from graftbench.training.samplers import save_sampler

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from graftbench.contracts import Sampler
    from graftbench.execution.job import CellJob
    from graftbench.scoring.score import Scored
    from graftbench.scoring.task_kinds import Exam


@dataclass(frozen=True)
class CellOutput:
    """What a cell's pictures are made of; `strip` shows the snapshots, where there were any."""

    sampler: Sampler
    scored: Scored
    task: CellTask
    exam: Exam | None = None
    strip: Image.Image | None = None


def save_artifacts(job: CellJob, left: CellOutput) -> dict[str, str]:
    """Write what `keep` says; the artifacts' kinds and paths."""
    kinds = ["log"]
    if job.keep != "nothing":
        kinds += _save_pictures(job, left)
    if job.keep == "sampler":
        save_sampler(left.sampler, Path(job.folder) / ARTIFACTS["sampler"])
        kinds.append("sampler")
    else:
        shutil.rmtree(Path(job.folder) / OUTPUT, ignore_errors=True)
    return {kind: artifact_of(job, kind) for kind in kinds}


def _save_pictures(job: CellJob, left: CellOutput) -> list[str]:
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
        log_line(f"There is no interpolation, for the sampler's decode failed: {type(error).__name__}: {error}")
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


def artifact_of(job: CellJob, kind: str) -> str:
    """Its path relative to the run folder, where the driver puts what a cell left."""
    return f"cells/{job.cell.id}/{ARTIFACTS[kind]}"
