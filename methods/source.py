"""Reference row: the source model as it is. A method that scores above it (worse) has lost more than it gained."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.contracts import Family, Method, Reference, SourceNeed
from graftbench.training.adversarial import source_generator
from graftbench.training.samplers import GeneratorSampler

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task


class Source(Method):
    """Samples the source model without any transfer."""

    name = "source"
    family: ClassVar[Family] = "reference"
    title = "Source model, untransferred"
    reference = Reference(authors="graftbench", title="Reference row: the source model", venue="", year=2026)
    trains = "nothing"
    frozen = "the whole source generator"
    source_model: ClassVar[SourceNeed] = "gan"
    source_parts = ("network",)

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Take the source generator."""
        del budget
        generator = source_generator(task.source_model, task.resolution)
        task.log.watch(generator=generator.requires_grad_(requires_grad=False))
        return GeneratorSampler(generator)
