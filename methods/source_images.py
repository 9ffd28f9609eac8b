"""Reference row: real images of the source domain, untouched. A perfect source model, not transferred, gives these."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.contracts import Family, Method, Reference
from graftbench.training.samplers import ImageBankSampler

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task


class SourceImages(Method):
    """Replays the training images of the source domain: each once, then again in another order."""

    name = "source-images"
    family: ClassVar[Family] = "reference"
    title = "Source images, untouched"
    reference = Reference(
        authors="graftbench", title="Reference row: the training images of the source domain", venue="", year=2026
    )
    trains = "nothing"
    needs_source_images = True

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Replay the training split of the source domain."""
        del budget
        return ImageBankSampler(task.source_images)
