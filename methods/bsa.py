"""BSA: only the generator's scales and shifts learn, by reconstructing the target images. There is no adversary.

Every target image gets a latent of its own. Latents and batch norm's γ and β are fitted so that the generator gives the
images back: the filters that the source domain has left are chosen among and weighed, never changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graftbench.bounds import CountOrZero, NonNegative, Positive
from graftbench.contracts import Family, Method, SourceNeed
from graftbench.nn.build import freeze
from graftbench.nn.discriminator import feature_maps
from graftbench.nn.precision import autocast, resolve
from graftbench.nn.upload import upload
from graftbench.references import cited
from graftbench.training import TrainingConfig, adam, descend, prepare, train, trained
from graftbench.training.adversarial import any_source_networks
from graftbench.training.foreign import batch_norms
from graftbench.training.samplers import GeneratorSampler, to_float

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task
    from graftbench.nn.discriminator import Discriminator
    from graftbench.training import Step, TrainingLog


class Config(TrainingConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Rates and weights; defaults are the published code's (configs/default.yml, SNGAN) unless said.

    Attributes:
        lr: Adam's rate for γ and β.
        lr_latents: Adam's rate for the latents.
        lr_drops: How often in the budget both rates are multiplied by LR_DROP. The code does so every 3,000 of 10,000
            steps.
        latent_noise: Standard deviation of what is added to a latent before it is decoded.
        pixels: Weight of the mean absolute difference of pixels in [−1, 1].
        features: Weight of the perceptual term (`perceptual_loss`). Its network and its unit are this suite's, so this
            is no published number: at 1 a feature map that is off by its own size costs as much as grey for white.
        latents: Weight of the distance between latents and N(0, I) (`latent_distance`). Published: 0.1, beside ten
            large perceptual terms; beside ours it would draw all latents together (to a standard deviation of 0.4) and
            nothing would be reconstructed, at 0.001 they keep one of 0.8.
        stay: Weight of the squared change of γ and β (`statistics_change`).
    """

    lr: Positive = 0.03
    lr_latents: Positive = 0.05
    lr_drops: CountOrZero = 3
    latent_noise: NonNegative = 0.01
    pixels: NonNegative = 1.0
    features: NonNegative = 1.0
    latents: NonNegative = 0.001
    stay: NonNegative = 0.02


LR_DROP = 0.2
"""Factor of the rates at each drop (published code)."""


class Bsa(Method):
    """Noguchi, Harada, ICCV 2019."""

    name = "bsa"
    family: ClassVar[Family] = "frozen"
    title = "BSA (scale and shift)"
    reference = cited("noguchi2019image")
    trains = "batch norm's γ and β in the generator, from the source model, and one latent a target image"
    frozen = "all filters of the generator, batch norm's running statistics, and the source discriminator"
    differs = (
        "the source discriminator's feature maps instead of VGG-16's, which every task has and no score is made of: "
        "they were never trained to see likeness, so the paper's perceptual loss is stronger; "
        "γ and β are the source's own instead of a second pair behind them; latents start at N(0, I) instead of 0, "
        "where the small generator's units are all off; the first layer rests, to which the code gives a rate of "
        "1e-7; samples are drawn from N(0, I) like everyone's, where the paper draws from a narrower distribution and "
        "so trades variety for likeness"
    )
    source_model: ClassVar[SourceNeed] = "gan"
    source_parts = ("norms",)
    resumable = True
    moves = ("generator.stem_norm.*", "generator.blocks.*.norm.*", "latents.weight")
    Config = Config

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Reconstruct the target images until the budget is spent."""
        generator, judge = any_source_networks(task.source_model, task.resolution)
        freeze(judge)
        freeze(generator)
        for norm in batch_norms(generator):
            norm.requires_grad_(requires_grad=True)
        start = torch.randn(len(task.images), generator.spec.latent, generator=task.generator)
        latents = nn.Embedding.from_pretrained(start, freeze=False)
        prepare(task, generator=generator, latents=latents, source_discriminator=judge)
        generator.eval()  # statistics of a batch of reconstructions would be none of those that samples are made with
        step = _step(task, budget, self.config, generator=generator, latents=latents, judge=judge)
        return train(task, budget, self.config, step, generator, sampler=GeneratorSampler)


def _step(
    task: Task, budget: Meter, config: Config, *, generator: nn.Module, latents: nn.Embedding, judge: Discriminator
) -> Step:
    """Make a step on γ, β and the latents of the images drawn."""
    optimizer = adam(trained(generator), lr=config.lr, beta1=0.9, beta2=0.999)
    optimizer.add_param_group({"params": trained(latents), "lr": config.lr_latents})
    task.keep(adam=optimizer)
    rates = [group["lr"] for group in optimizer.param_groups]
    start = {name: parameter.detach().clone() for name, parameter in _statistics(generator).items()}
    dtype = resolve(config.precision, task.device)

    def noise(*shape: int) -> Tensor:
        return upload(torch.randn(*shape, generator=task.generator), task.device)

    def step(size: int, log: TrainingLog) -> bool:
        drops = int(budget.share() * (config.lr_drops + 1))
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * LR_DROP**drops
        choice = upload(torch.randint(len(task.images), (size,), generator=task.generator), task.device)
        images, z = to_float(task.images[choice]), latents(choice)
        with autocast(dtype, task.device):
            generated = generator(z + config.latent_noise * noise(*z.shape)).float()
            with torch.no_grad():
                target = feature_maps(judge, images)
            perceptual = perceptual_loss(feature_maps(judge, generated), target)
        losses = {
            "pixels": config.pixels * F.l1_loss(generated, images),
            "features": config.features * perceptual,
            "latents": config.latents * latent_distance(z, noise(10 * size, z.shape[1])),
            "statistics": config.stay * statistics_change(_statistics(generator), start),
        }
        descend(optimizer, torch.stack(list(losses.values())).sum())
        log.add(**losses)
        return True

    return step


def _statistics(generator: nn.Module) -> dict[str, Tensor]:
    """Return the γ and β by name: what is trained."""
    return {name: parameter for name, parameter in generator.named_parameters() if parameter.requires_grad}


# ------------------------------------------------------------------------------------------------------- losses


def perceptual_loss(generated: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
    """Average, over layers, the mean absolute difference of feature maps relative to the target's mean absolute value.

    The published code sums 0.001 · L1 over ten layers of VGG-16 on pixels in 0…255, whose maps are large and of
    different sizes; a discriminator's are not, so each is measured by itself.
    """
    terms = [F.l1_loss(a.float(), b.float()) / b.float().abs().mean() for a, b in zip(generated, target, strict=True)]
    return torch.stack(terms).mean()


def latent_distance(z: Tensor, normal: Tensor) -> Tensor:
    """Return the mean squared distance of latents to their nearest draw from N(0, I), plus that of draws to latents.

    The published code calls it an earth mover's distance; it is a Chamfer distance. The draws are ten a latent there.

    Args:
        z: B×L.
        normal: M×L, from N(0, I).
    """
    squared = z.square().sum(dim=1)[:, None] - 2 * z @ normal.T + normal.square().sum(dim=1)
    return squared.amin(dim=1).mean() + squared.amin(dim=0).mean()


def statistics_change(now: Mapping[str, Tensor], start: Mapping[str, Tensor]) -> Tensor:
    """Return Σ over layers of the mean squared change of γ, and of β.

    The published code puts γ = 1 and β = 0 behind the source's own and draws them back there.
    """
    return torch.stack([F.mse_loss(now[name], value) for name, value in start.items()]).sum()
