"""The files that a cell leaves beside its record: samples, sampler, sheets, strips of snapshots."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from graftbench.execution.cell_task import CellTask, log_line
from graftbench.execution.job import OUTPUT
from graftbench.execution.profile import TABLE, TRACE
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
    """The sampler and scored images of a cell; `strip` shows the snapshots, where there were any."""

    sampler: Sampler
    scored: Scored
    task: CellTask
    exam: Exam | None = None
    strip: Image.Image | None = None


def save_artifacts(job: CellJob, output: CellOutput) -> dict[str, str]:
    """Write the artifacts that the job keeps; return their kinds and paths."""
    kinds = ["log", *(kind for kind in ("trace", "profile") if (Path(job.folder) / ARTIFACTS[kind]).is_file())]
    if job.keep != "nothing":
        kinds += _save_pictures(job, output)
    if job.keep == "sampler":
        save_sampler(output.sampler, Path(job.folder) / ARTIFACTS["sampler"])
        kinds.append("sampler")
    else:
        shutil.rmtree(Path(job.folder) / OUTPUT, ignore_errors=True)
    return {kind: artifact_of(job, kind) for kind in kinds}


def _save_pictures(job: CellJob, output: CellOutput) -> list[str]:
    """Write sheets of what the cell has to show; return their kinds."""
    paths = {kind: Path(job.folder) / name for kind, name in ARTIFACTS.items()}
    scored, exam = output.scored, output.exam
    sheet = tiled(scored.images) if exam is None else answers(exam.inputs, scored.images, exam.truths)
    sheet.save(paths["samples"], optimize=True)
    kinds = ["samples"]
    if output.strip is not None:
        output.strip.save(paths["progress"], optimize=True)
        kinds.append("progress")
    if (neighbors := scored.neighbors) is not None:
        sheet = neighbor_sheet(neighbors, scored.images, output.task.target.pixels)
        save_neighbors(neighbors, sheet, paths["neighbors"])
        kinds.append("neighbors")
    if (steps := _interpolated(output.sampler, job.cell.seed)) is not None:
        tiled(steps).save(paths["interpolation"])
        kinds.append("interpolation")
    return kinds


def _interpolated(sampler: Sampler, seed: int) -> torch.Tensor | None:
    """Interpolate in the latent space. Where it fails the log says why: a picture is no reason for a cell to fail."""
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
    "trace": TRACE,
    "profile": TABLE,
}
"""Kind -> name of the file."""


def artifact_of(job: CellJob, kind: str) -> str:
    """Return an artifact's path relative to the run folder, where the driver puts what a cell output."""
    return f"cells/{job.cell.id}/{ARTIFACTS[kind]}"
