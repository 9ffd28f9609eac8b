"""Reference row: the flow that `flow-finetune` and its like start from, as it is. `source` is a GAN."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.training.flow_matching import source_sampler

from ._source_row import SourceRow

if TYPE_CHECKING:
    from graftbench.contracts import SourceNeed


class SourceFlow(SourceRow):
    """Samples the source model of kind `flow` without any transfer."""

    name = "source-flow"
    title = "Source flow, untransferred"
    source_model: ClassVar[SourceNeed] = "flow"
    source_parts = ("network",)
    sampler_of = staticmethod(source_sampler)
