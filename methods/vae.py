"""A variational autoencoder on the target images: encoder, and the shared generator as decoder.

ELBO with a Gaussian likelihood whose one σ is learnt by its maximum-likelihood value in each batch (σ-VAE), so that no
loss weight has to be guessed: the first question in every VAE repository.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.contracts import Family, Method
from graftbench.references import cited
from graftbench.training.autoencoding import VaeConfig, fit_vae, new_autoencoder

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task


class Vae(Method):
    """Kingma, Welling, ICLR 2014; σ as Rybkin, Daniilidis, Levine, ICML 2021."""

    name = "vae"
    family: ClassVar[Family] = "vae"
    title = "VAE (σ-VAE)"
    reference = cited("kingma2014auto")
    trains = "encoder and decoder, from fresh weights"
    differs = (
        "σ of the likelihood is the batch's maximum-likelihood value (Rybkin et al. 2021, arXiv 2006.13202); latents "
        "are drawn from the Gaussian of the training images' posteriors instead of N(0, I) (Ghosh et al. 2020, arXiv "
        "1903.12436)"
    )
    resumable = True
    moves = ("encoder.*", "decoder.*")
    Config = VaeConfig

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Maximise the ELBO until the budget is spent; the sampler has averaged weights."""
        return fit_vae(task, budget, self.config, *new_autoencoder(task, self.config))
