"""Reference row: real target images that no method has seen, what a perfect generator would score."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from graftbench.contracts import Family, Method, Reference, ReferenceTask
from graftbench.training.samplers import ImageBankSampler

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task


class Oracle(Method):
    """Replays held-out real images: the floor of every score."""

    name = "oracle"
    family: ClassVar[Family] = "reference"
    title = "Oracle (held-out real images)"
    reference = Reference(
        authors="graftbench", title="Reference row: real images outside the data budget", venue="", year=2026
    )
    trains = "nothing"
    replays_held_out = True

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Replay validation images and the training images outside the data budget."""
        del budget
        held_out = cast("ReferenceTask", task).held_out
        task.log.notes.append(f"{len(held_out)} real images outside the data budget and the reference split.")
        return ImageBankSampler(held_out)
