"""Reference row: the flow that `flow-finetune` and its like start from, as it is. `source` is a GAN."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.training.flow_matching import source_sampler

from ._source_row import SourceRow

if TYPE_CHECKING:
    from graftbench.contracts import SourceModel, SourceNeed
    from graftbench.training.flow_matching import FlowSampler


class SourceFlow(SourceRow):
    """Samples the source model of kind `flow` without any transfer."""

    name = "source-flow"
    title = "Source flow, untransferred"
    source_model: ClassVar[SourceNeed] = "flow"
    source_parts = ("network",)

    def sampler_of(self, model: SourceModel, resolution: int) -> FlowSampler:
        """Make the sampler of the untransferred model."""
        return source_sampler(model, resolution)
