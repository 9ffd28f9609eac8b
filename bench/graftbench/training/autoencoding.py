"""Variational autoencoders: the encoder, the two terms of the ELBO, and the step that every VAE method shares."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, cast

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graftbench.bounds import Count, NonNegative, Positive
from graftbench.nn.build import seeded
from graftbench.nn.discriminator import Discriminator, DiscriminatorSpec
from graftbench.nn.generator import Generator, GeneratorSpec
from graftbench.nn.mapping import LatentGaussian, MappedGenerator
from graftbench.nn.precision import autocast, resolve
from graftbench.nn.upload import upload
from graftbench.training.loop import (
    Batches,
    TrainingConfig,
    adam,
    descend,
    load_prefixed,
    prepare,
    source_spec,
    train,
    trained,
)
from graftbench.training.samplers import BATCH, MappedSampler, to_float

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import SourceModel, Task
    from graftbench.training.loop import TrainingLog


class VaeConfig(TrainingConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The settings of every VAE.

    Attributes:
        lr: Adam's rate (1e-3 and batches of 64 are pythae's; the batch of 32 is the suite's).
        beta: Weight of the KL term (1 is the ELBO).
        latent: Dimensions of z; ignored where a source model is given.
        channels: Channels of the decoder's last stage; the encoder's first block has twice as many. Likewise.
    """

    lr: Positive = 1e-3
    beta: NonNegative = 1.0
    latent: Count = 128
    channels: Count = 16


class EncoderSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Architecture of an encoder: side of the images, channels of its first block, dimensions of z."""

    resolution: int = 32
    channels: int = 32
    latent: int = 128


class Encoder(nn.Module):
    """Image (B×3×R×R) -> mean and log-variance of q(z|x), each B×latent: the discriminator's blocks, another head."""

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__()
        self.spec = spec
        body = Discriminator(DiscriminatorSpec(spec.resolution, spec.channels, spectral_norm=False))
        self.blocks = body.blocks
        self.head = nn.Linear(body.features, 2 * spec.latent)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean, and the log-variance kept within ±10 (variances of 5e-5 to 2e4)."""
        for block in self.blocks:
            x = block(x)
        return gaussian_parameters(self.head(x.flatten(1)))


def gaussian_parameters(head: Tensor) -> tuple[Tensor, Tensor]:
    """Split B×2L into mean B×L and log-variance B×L within ±10, float32."""
    mean, log_variance = head.float().chunk(2, dim=1)
    return mean, log_variance.clamp(-10, 10)


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return KL(N(μ, σ²) ‖ N(0, 1)) = ½ Σ (μ² + σ² − log σ² − 1), mean over the batch (arXiv 1312.6114, app. B)."""
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(dim=1).mean()


def optimal_sigma_nll(reconstruction: Tensor, x: Tensor) -> Tensor:
    """Return −log N(x; x̂, σ²) summed over an image, mean over the batch, at the best σ², the batch's MSE.

    It is D/2 · (log(2π MSE) + 1) (arXiv 2006.13202, eq. 6).
    """
    return x[0].numel() * best_sigma_nll(F.mse_loss(reconstruction, x))


def best_sigma_nll(error: Tensor) -> Tensor:
    """Return −log N per dimension where the squared error is `error` on average and σ² is that error, its best value.

    It is ½ (log(2π error) + 1). σ² is not let below (1/255)², half a grey level's width on pixels in [−1, 1]: beneath
    it a density on 8-bit images means nothing.
    """
    variance = error.detach().clamp(min=(1 / 255) ** 2)
    # error / variance has the value 1 and the gradient of the logarithm
    return 0.5 * (error / variance + variance.log() + math.log(2 * math.pi))


class VaeSampler(MappedSampler):
    """Draws latents from the Gaussian of the training images' posteriors, and decodes them."""

    kind: ClassVar[str] = "vae"
    mapping = LatentGaussian


@torch.no_grad()
def posterior_gaussian(encoder: nn.Module, images: Tensor, latent: int, device: torch.device) -> LatentGaussian:
    """Return the Gaussian with mean and covariance of the aggregated posterior (1/N) Σ q(z|xᵢ).

    A VAE's posteriors seldom fill the prior that the KL term draws them to, so that latents from N(0, I) lie where the
    decoder was never trained, the more so the sharper it is. A density that is fitted to the posteriors after the
    training mends that (Ghosh et al., ICLR 2020, arXiv 1903.12436, who fit a mixture of ten Gaussians; one serves few
    images too).

    Args:
        encoder: Images -> (mean, log-variance), each float32 B×latent; left in the mode that it was in.
        images: uint8 N×3×H×W, the training images.
        latent: Dimensions of z.
        device: Where the encoder is, and the result will be.
    """
    modes = [(module, module.training) for module in encoder.modules()]  # a frozen part of it stays in eval mode
    encoder.eval()
    parts = [encoder(to_float(part.to(device))) for part in images.split(BATCH)]
    for module, was_training in modes:
        module.training = was_training
    means = torch.cat([mean for mean, _ in parts]).double().cpu()
    variances = torch.cat([log_variance.exp() for _, log_variance in parts]).double().cpu()
    centred = means - means.mean(dim=0)
    covariance = centred.T @ centred / len(means) + variances.mean(dim=0).diag()
    gaussian = LatentGaussian(latent)
    gaussian.mean.copy_(means.mean(dim=0))
    gaussian.factor.copy_(torch.linalg.cholesky(covariance))
    return gaussian.to(device)


Reconstruction = Callable[[Tensor, Tensor], Tensor]
"""(reconstructed, real) images, float32 B×3×H×W in [−1, 1] -> a loss, summed over an image, mean over the batch."""


def fit_vae(
    task: Task,
    budget: Meter,
    config: VaeConfig,
    encoder: nn.Module,
    decoder: Generator,
    *,
    reconstruction: Reconstruction = optimal_sigma_nll,
    others: dict[str, nn.Module] | None = None,
) -> VaeSampler:
    """Maximise the ELBO on the task's images until the budget is spent.

    Args:
        task: Images, device, randomness, log.
        budget: Ends the loop.
        config: Rate, weight of the KL term, EMA.
        encoder: Images -> (mean, log-variance), each float32 B×latent. Trained in place where it wants gradients.
        decoder: z -> images; likewise.
        reconstruction: The other term of the loss.
        others: Name -> other networks that take part (a frozen backbone).

    Returns:
        A sampler that decodes latents of the training images' posteriors (`posterior_gaussian`) with averaged weights.

    Raises:
        Diverged: A loss is not finite or has exploded, or the output collapsed.
    """
    prepare(task, encoder=encoder, decoder=decoder, **(others or {}))
    optimizer = adam(trained(encoder, decoder), lr=config.lr, beta1=0.9, beta2=0.999)
    task.keep(adam=optimizer)
    dtype, batches = resolve(config.precision, task.device), Batches(task.images, task.generator)
    several = len(task.images) > 1  # reconstructions of one image are one image: no collapse

    def step(size: int, log: TrainingLog) -> bool:
        x = batches.draw(size)
        noise = upload(torch.randn(size, decoder.spec.latent, generator=task.generator), task.device)
        with autocast(dtype, task.device):
            mean, log_variance = encoder(x)
            decoded = decoder(mean + noise * (0.5 * log_variance).exp()).float()
        if several:
            log.look(decoded)
        loss, kl = reconstruction(decoded, x), gaussian_kl(mean, log_variance)
        descend(optimizer, loss + config.beta * kl)
        log.add(reconstruction=loss, kl=kl)
        return True

    def sampler(average: Generator) -> VaeSampler:
        gaussian = posterior_gaussian(encoder, task.images, decoder.spec.latent, task.device)
        return VaeSampler(MappedGenerator(gaussian, average))

    return train(task, budget, config, step, decoder, sampler=sampler)


def new_autoencoder(task: Task, config: VaeConfig) -> tuple[Encoder, Generator]:
    """Make an encoder and a decoder with fresh weights, from the task's generator of randomness."""
    decoder = new_decoder(task, config)
    shape = EncoderSpec(task.resolution, channels=2 * config.channels, latent=config.latent)
    return seeded(lambda: Encoder(shape), task.generator), decoder


def new_decoder(task: Task, config: VaeConfig) -> Generator:
    """Make the shared generator with fresh weights."""
    shape = GeneratorSpec(resolution=task.resolution, latent=config.latent, channels=config.channels)
    return seeded(lambda: Generator(shape), task.generator)


def source_autoencoder(model: SourceModel, resolution: int) -> tuple[Encoder, Generator]:
    """Load the encoder and the averaged decoder of a source model.

    Raises:
        GraftbenchError: The model is of another resolution or architecture.
    """
    encoder = Encoder(source_spec(model, "encoder", EncoderSpec, resolution))
    decoder = Generator(source_spec(model, "decoder", GeneratorSpec, resolution))
    load_prefixed(encoder, model, "encoder")
    load_prefixed(decoder, model, "decoder")
    return encoder, decoder


def train_source(task: Task, budget: Meter, config: VaeConfig) -> dict[str, nn.Module]:
    """Train a source model of kind `vae`: the last encoder, the averaged decoder, the Gaussian of the posteriors."""
    encoder, decoder = new_autoencoder(task, config)
    network = cast("MappedGenerator", fit_vae(task, budget, config, encoder, decoder).network)
    return {"encoder": encoder, "decoder": network.generator, "posterior": network.mapping}


def source_sampler(model: SourceModel, resolution: int) -> VaeSampler:
    """Make a sampler of the untransferred decoder; of a model that has no Gaussian of its posteriors, from N(0, I).

    Raises:
        GraftbenchError: The model is of another resolution or architecture.
    """
    decoder = source_autoencoder(model, resolution)[1]
    gaussian = LatentGaussian(decoder.spec.latent)
    if "posterior" in model.metadata:
        load_prefixed(gaussian, model, "posterior")
    return VaeSampler(MappedGenerator(gaussian, decoder))
