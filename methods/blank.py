"""Reference row: white images. A trained row that does not beat them has shown nothing.

White, for the drawings, glyphs and icons of the built-in domains stand on white paper, and so does what is transparent:
an image without anything on it is the paper. It needs neither images nor a source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from graftbench.contracts import Family, Method, Reference
from graftbench.training.samplers import ImageBankSampler

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task


class Blank(Method):
    """Gives images that are white all over."""

    name = "blank"
    family: ClassVar[Family] = "reference"
    title = "Blank paper (white images)"
    reference = Reference(authors="graftbench", title="Reference row: white images", venue="", year=2026)
    trains = "nothing"

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Take one white image of the task's size."""
        del budget
        return ImageBankSampler(torch.full((1, 3, task.resolution, task.resolution), 255, dtype=torch.uint8))
