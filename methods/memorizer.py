"""Reference row: replays its training images, what copying buys. A method that scores like it may be copying."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.contracts import Family, Method, Reference
from graftbench.training.samplers import ImageBankSampler

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task


class Memorizer(Method):
    """Replays the training images."""

    name = "memorizer"
    family: ClassVar[Family] = "reference"
    title = "Memorizer (training images)"
    reference = Reference(
        authors="graftbench", title="Reference row: the training images themselves", venue="", year=2026
    )
    trains = "nothing"

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Replay the data budget's images."""
        del budget
        return ImageBankSampler(task.images)
