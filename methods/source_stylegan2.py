"""Reference row: the StyleGAN2 that `stylegan2-finetune` starts from, as it is. `source` is a GAN."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.training.stylegan2 import source_sampler

from ._source_row import SourceRow

if TYPE_CHECKING:
    from graftbench.contracts import SourceNeed


class SourceStylegan2(SourceRow):
    """Samples the source model of kind `stylegan2` without any transfer."""

    name = "source-stylegan2"
    title = "Source StyleGAN2, untransferred"
    source_model: ClassVar[SourceNeed] = "stylegan2"
    source_parts = ("network",)
    sampler_of = staticmethod(source_sampler)
