"""Reference row: the VAE that `vae-finetune` starts from, as it is. `source` is a GAN."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.training.autoencoding import source_sampler

from ._source_row import SourceRow

if TYPE_CHECKING:
    from graftbench.contracts import SourceNeed


class SourceVae(SourceRow):
    """Samples the source model of kind `vae` without any transfer."""

    name = "source-vae"
    title = "Source VAE, untransferred"
    source_model: ClassVar[SourceNeed] = "vae"
    sampler_of = staticmethod(source_sampler)
