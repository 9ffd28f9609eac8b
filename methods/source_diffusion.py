"""Reference row: the diffusion model that `ddpm-finetune` and its like start from, as it is. `source` is a GAN."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.training.diffusion import source_sampler

from ._source_row import SourceRow

if TYPE_CHECKING:
    from graftbench.contracts import SourceNeed


class SourceDiffusion(SourceRow):
    """Samples the source model of kind `diffusion` without any transfer."""

    name = "source-diffusion"
    title = "Source diffusion model, untransferred"
    source_model: ClassVar[SourceNeed] = "diffusion"
    source_parts = ("network",)
    sampler_of = staticmethod(source_sampler)
