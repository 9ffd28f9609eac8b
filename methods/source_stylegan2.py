"""Reference row: the StyleGAN2 that `stylegan2-finetune` starts from, as it is. `source` is a GAN."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.training.stylegan2 import source_sampler

from ._source_row import SourceRow

if TYPE_CHECKING:
    from graftbench.contracts import SourceModel, SourceNeed
    from graftbench.training.stylegan2 import StyleGanSampler


class SourceStylegan2(SourceRow):
    """Samples the source model of kind `stylegan2` without any transfer."""

    name = "source-stylegan2"
    title = "Source StyleGAN2, untransferred"
    source_model: ClassVar[SourceNeed] = "stylegan2"
    source_parts = ("network",)

    def sampler_of(self, model: SourceModel, resolution: int) -> StyleGanSampler:
        """Make the sampler of the untransferred model."""
        return source_sampler(model, resolution)
