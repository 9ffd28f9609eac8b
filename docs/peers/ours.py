"""Fit a method of this project for so many CPU seconds on one thread, as `driver.py` does with others' packages.

    python ours.py dcgan --parameters '{"lr_generator": 4e-4}' --data images --samples drawn --out made --seconds 60 …

A suite's budget of seconds is that of a clock on the wall, which on a busy machine runs on while a fit waits. Here the
budget's clock is the CPU time of the process, and it starts with the first batch, as in `driver.py`.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import torch
from handover import given_options, write_images, write_report
from PIL import Image

from graftbench.budget import Meter
from graftbench.cache import cache_folder
from graftbench.contracts import FitLog, SourceModel, Task
from graftbench.errors import GraftbenchError
from graftbench.plugins import registry
from graftbench.records.cell_spec import ComputeBudget
from graftbench.training.samplers import read_tensors
from graftbench.training.source_catalogue import find_entry

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class FolderTask(Task):
    """A folder of training images and a shipped source model as a task.

    Attributes:
        source: Name of the source model; empty for none.
    """

    resolution: int
    pixels: torch.Tensor
    generator: torch.Generator
    source: str = ""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    log: FitLog = field(default_factory=FitLog)

    @property
    def images(self) -> torch.Tensor:
        """Return the training images: uint8 N×3×H×W."""
        return self.pixels

    @property
    def source_images(self) -> torch.Tensor:
        """Raise an error: there are none."""
        raise GraftbenchError("No source images are at hand.")

    @property
    def source_model(self) -> SourceModel:
        """Read the source model."""
        entry = find_entry(self.source, cache_folder())
        assert entry.file is not None
        tensors, metadata = read_tensors(entry.file)
        return SourceModel(metadata.get("id", ""), tensors, metadata)


def main() -> None:
    """Fit until the process has used its CPU seconds, draw, and say what was done."""
    given = given_options(parameters="{}", source="")
    torch.set_num_threads(1)
    cls = registry.methods()[given.name]
    settings = json.loads(given.parameters)
    chances = torch.Generator().manual_seed(given.seed)
    task = FolderTask(given.size, read_images(given.data), chances, given.source)
    meter = Meter(ComputeBudget(seconds=given.seconds), clock=time.process_time)
    sampler = cls(msgspec.convert({**cls.defaults, **settings}, cls.Config)).fit(task, meter)
    spent = meter.seconds()
    write_images(sampler.sample(given.n, torch.Generator().manual_seed(given.seed)), given.samples)
    write_report(
        given,
        settings,
        training_cpu_seconds=spent,
        images_seen=meter.images_seen,
        parameters_total=task.log.parameters_total,
    )


def read_images(folder: Path) -> torch.Tensor:
    """Read PNG files in the order of their names: uint8 N×3×H×W."""
    pixels = [np.asarray(Image.open(file).convert("RGB")) for file in sorted(folder.glob("*.png"))]
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()


if __name__ == "__main__":
    main()
