"""A variational autoencoder on the target images: encoder, and the shared generator as decoder.

ELBO with a Gaussian likelihood whose one σ is learnt by its maximum-likelihood value in each batch (σ-VAE), so that no
loss weight has to be guessed: the first question in every VAE repository.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graftbench.contracts import Family, Method, Reference
from graftbench.nn.build import count_parameters, place, seeded
from graftbench.nn.discriminator import Discriminator, DiscriminatorSpec
from graftbench.nn.ema import Ema
from graftbench.nn.generator import Generator, GeneratorSpec
from graftbench.nn.precision import autocast, resolve
from graftbench.samplers import GeneratorSampler
from graftbench.training import Batches, TrainingConfig, TrainingLog, check_collapse, note_small_budget

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task


class Config(TrainingConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`lr`: Adam's rate; `beta`: weight of the KL term (1 is the ELBO); `latent`: dimensions of z.

    1e-3 and batches of 64 are pythae's; the batch of 32 is the suite's.
    """

    lr: float = 1e-3
    beta: float = 1.0
    latent: int = 128
    channels: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (0 < self.lr < math.inf and 0 <= self.beta < math.inf):
            raise ValueError("lr must be positive and beta at least 0, both finite")
        if min(self.latent, self.channels) < 1:
            raise ValueError("latent and channels must be positive")


class Vae(Method):
    """Kingma, Welling, ICLR 2014; σ as Rybkin, Daniilidis, Levine, ICML 2021."""

    name = "vae"
    family: ClassVar[Family] = "vae"
    title = "VAE (σ-VAE)"
    reference = Reference(
        authors="Kingma, Welling",
        title="Auto-Encoding Variational Bayes",
        venue="ICLR",
        year=2014,
        arxiv="1312.6114",
    )
    trains = "encoder and decoder, from fresh weights"
    differs = "σ of the likelihood is the batch's maximum-likelihood value (Rybkin et al. 2021, arXiv 2006.13202)"
    Config = Config

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Maximise the ELBO until the budget is spent; the sampler decodes z ~ N(0, I) with averaged weights."""
        config: Config = self.config
        shape = GeneratorSpec(resolution=task.resolution, latent=config.latent, channels=config.channels)
        decoder = place(seeded(lambda: Generator(shape), task.generator), task.device)
        encoder = place(seeded(lambda: Encoder(task.resolution, config), task.generator), task.device)
        task.log.parameters_total = task.log.parameters_trained = count_parameters([encoder, decoder])
        note_small_budget(task, config.batch_size)

        weights = [*encoder.parameters(), *decoder.parameters()]
        adam = torch.optim.Adam(weights, lr=config.lr, betas=(0.9, 0.999), foreach=True)
        dtype = resolve(config.precision, task.device)
        batches, log = Batches(task.images, task.generator), TrainingLog(task, budget)
        ema = Ema(decoder, decay=config.ema_decay)
        for size in budget.batches(config.batch_size):
            x = batches.draw(size)
            noise = torch.randn(size, config.latent, generator=task.generator).to(task.device)
            with autocast(dtype, task.device):
                mean, log_variance = encoder(x)
                reconstruction = decoder(mean + noise * (0.5 * log_variance).exp())
            negative_log_likelihood = optimal_sigma_nll(reconstruction.float(), x)
            kl = gaussian_kl(mean, log_variance)
            loss = negative_log_likelihood + config.beta * kl
            adam.zero_grad(set_to_none=True)
            loss.backward()
            adam.step()
            ema.update(decoder)
            log.add(reconstruction=negative_log_likelihood, kl=kl)
        log.write()
        sampler = GeneratorSampler(ema.model)
        check_collapse(sampler)
        return sampler


class Encoder(nn.Module):
    """Image (B×3×R×R) -> mean and log-variance of q(z|x), each B×latent: the discriminator's blocks, another head."""

    def __init__(self, resolution: int, config: Config) -> None:
        super().__init__()
        spec = DiscriminatorSpec(resolution=resolution, channels=2 * config.channels, spectral_norm=False)
        body = Discriminator(spec)
        self.blocks = body.blocks
        self.head = nn.Linear(body.features, 2 * config.latent)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean, and log-variance kept within ±10 (variances of 5e-5 to 2e4)."""
        for block in self.blocks:
            x = block(x)
        mean, log_variance = self.head(x.flatten(1)).float().chunk(2, dim=1)
        return mean, log_variance.clamp(-10, 10)


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, 1)) = ½ Σ (μ² + σ² − log σ² − 1), mean over the batch (arXiv 1312.6114, appendix B)."""
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(dim=1).mean()


def optimal_sigma_nll(reconstruction: Tensor, x: Tensor) -> Tensor:
    """−log N(x; x̂, σ²) summed over an image, mean over the batch, at the σ² = MSE of the batch that minimises it.

    = D/2 · (log(2π MSE) + 1) (arXiv 2006.13202, eq. 6). σ² is not let below (1/255)², half a grey level's width:
    beneath it a density on 8-bit images means nothing.
    """
    dimensions = x[0].numel()
    mse = F.mse_loss(reconstruction, x)
    variance = mse.detach().clamp(min=(1 / 255) ** 2)
    # mse / variance has the value 1 and the gradient of the logarithm
    return 0.5 * dimensions * (mse / variance + variance.log() + math.log(2 * math.pi))
