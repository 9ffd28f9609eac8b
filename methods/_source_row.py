"""Reference rows that show a source model as it is, one for each kind of model that methods start from."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.contracts import Family, Method, Reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, SourceModel, Task
    from graftbench.training.diffusion import DiffusionSampler
    from graftbench.training.flow_matching import FlowSampler
    from graftbench.training.samplers import GeneratorSampler


class SourceRow(Method):
    """Samples the source model of the subclass's kind without any transfer, with the default settings of sampling.

    Attributes:
        sampler_of: Makes a sampler of a source model, at a side in pixels.
    """

    family: ClassVar[Family] = "reference"
    reference = Reference(authors="graftbench", title="Reference row: the source model", venue="", year=2026)
    trains = "nothing"
    frozen = "the whole source model"

    sampler_of: ClassVar[Callable[[SourceModel, int], GeneratorSampler | FlowSampler | DiffusionSampler]]

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Take the source model."""
        del budget
        sampler = type(self).sampler_of(task.source_model, task.resolution)
        task.log.watch(network=sampler.network.requires_grad_(requires_grad=False))
        return sampler
