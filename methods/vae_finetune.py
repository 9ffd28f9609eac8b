"""A variational autoencoder that starts from the source model's: encoder and decoder are trained on.

The plain way of transferring a VAE, and the counterpart of TransferGAN's for a GAN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.contracts import Family, Method, SourceNeed
from graftbench.references import cited
from graftbench.training.autoencoding import VaeConfig, fit_vae, source_autoencoder

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task


class VaeFinetune(Method):
    """Bonheme, Grzes, 2023, who ask what of a VAE transfers: the encoder is generic, the decoder is not."""

    name = "vae-finetune"
    family: ClassVar[Family] = "vae"
    title = "VAE, fine-tuned"
    reference = cited("bonheme2023good")
    trains = "encoder and decoder, from the source model"
    differs = (
        "the paper compares representations and retrains parts for classification; here all is trained and images are "
        "drawn; σ and latents as in `vae`"
    )
    source_model: ClassVar[SourceNeed] = "vae"
    resumable = True
    moves = ("encoder.*", "decoder.*")
    Config = VaeConfig

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Maximise the ELBO on the target images from where the source model's training ended."""
        return fit_vae(task, budget, self.config, *source_autoencoder(task.source_model, task.resolution))
