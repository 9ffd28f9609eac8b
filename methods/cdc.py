"""CDC: what the source generator makes alike stays alike, and what it makes different stays different.

Two ideas. The adapted generator keeps the source's similarities between the images of a batch of latents (cross-domain
distance consistency). And only latents near a few fixed anchors, one a target image, must give whole images that pass
for real; all others are judged by patches, so that a handful of images is not what everything has to look like.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graftbench.bounds import AtLeastTwo, CountOrZero, NonNegative, Share
from graftbench.contracts import Family, Method, SourceNeed
from graftbench.nn.build import freeze, seeded, train_unfrozen
from graftbench.nn.discriminator import DiscriminatorSpec
from graftbench.nn.patch import TwoLevelDiscriminator
from graftbench.references import cited
from graftbench.training import check_between, prepare, train
from graftbench.training.adversarial import (
    AdversarialConfig,
    Adversary,
    any_source_networks,
    gaussian_latents,
    source_generator,
)
from graftbench.training.foreign import stages
from graftbench.training.samplers import GeneratorSampler

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task
    from graftbench.training.adversarial import GeneratorPass
    from graftbench.training.foreign import AnyGenerator


class Config(AdversarialConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Weights and scales of the two ideas; defaults are the published code's unless said.

    Attributes:
        loss: Non-saturating, as published.
        consistency: Weight of the consistency term, which is a mean over samples as the paper writes it. (The code's
            mean is over samples and the others each is compared with: 1000 there are 333 here.)
        consistency_batch: Latents that are compared with one another.
        anchor_share: Share of a batch that is drawn at the anchors and judged as a whole.
        anchor_spread: Standard deviation about an anchor, in latent units.
        patch_block: Block of the discriminator by whose features patches are judged. With block 1 a logit sees 12
            pixels; the code takes the map of an eighth of the image's side, where one logit sees all of a small image.
    """

    loss: str = "non-saturating"
    consistency: NonNegative = 1000.0
    consistency_batch: AtLeastTwo = 4
    anchor_share: Share = 0.25
    anchor_spread: NonNegative = 0.1
    patch_block: CountOrZero = 1


class Cdc(Method):
    """Ojha, Li, Lu, Efros, Lee, Shechtman, Zhang, CVPR 2021."""

    name = "cdc"
    family: ClassVar[Family] = "fine-tune"
    title = "CDC"
    reference = cited("ojha2021few")
    trains = "generator and discriminator, from the source model, and a new head that judges patches"
    frozen = "a copy of the source generator, whose similarities are kept"
    differs = (
        "the shared small networks instead of StyleGAN2, without R1 and path length; every batch is a quarter anchors "
        "instead of every fourth one all anchors, for batch norm would see a batch of near copies; one layer is drawn "
        "a step instead of one a sample; both generators are compared as they sample, with batch norm's running "
        "statistics"
    )
    source_model: ClassVar[SourceNeed] = "gan"
    source_parts = ("stages",)
    resumable = True
    moves = ("generator.*", "discriminator.*")
    Config = Config

    def check(self, resolution: int) -> None:
        """Refuse a block for patches that the discriminator does not have."""
        blocks = DiscriminatorSpec(resolution).blocks
        check_between("patch_block", self.config.patch_block, 0, blocks - 1, resolution)

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Train both source networks on the target images, the generator under the consistency term."""
        config: Config = self.config
        source = source_generator(task.source_model, task.resolution)
        freeze(source)
        generator, image = any_source_networks(task.source_model, task.resolution)
        discriminator = seeded(lambda: TwoLevelDiscriminator(image, config.patch_block), task.generator)
        prepare(task, generator=generator, discriminator=discriminator, source_generator=source)
        anchors = Anchors(task, config, generator.spec.latent)
        step = Adversary(
            task,
            config,
            _Unconditional(generator),
            discriminator,
            latents=anchors.latents,
            conditions=anchors.conditions,
            generator_terms=[_Consistency(task, config, generator, source)] if config.consistency else [],
        )
        return train(task, budget, config, step, generator, sampler=GeneratorSampler)


# --------------------------------------------------------------------------------------------- relaxed realism


class Anchors:
    """Fixed latents, one a target image; the first rows of every batch lie near them and are judged as a whole."""

    def __init__(self, task: Task, config: Config, latent: int) -> None:
        self._task, self._share, self._spread = task, config.anchor_share, config.anchor_spread
        self.anchors = torch.randn(len(task.images), latent, generator=task.generator)

    def count(self, size: int) -> int:
        """Return how many rows of a batch are at the anchors: the share, rounded up, so that small batches have one."""
        return math.ceil(self._share * size)

    def latents(self, size: int) -> Tensor:
        """Draw size×latent: anchors with replacement, each with its own noise, then z ~ N(0, I)."""
        z = torch.randn(size, self.anchors.shape[1], generator=self._task.generator)
        choice = torch.randint(len(self.anchors), (self.count(size),), generator=self._task.generator)
        z[: len(choice)] = self.anchors[choice] + self._spread * z[: len(choice)]
        return z.to(self._task.device, non_blocking=True)

    def conditions(self, size: int) -> tuple[Tensor]:
        """Mark the rows that are judged as a whole: bool, of the length of the batch."""
        return (torch.arange(size, device=self._task.device) < self.count(size),)


class _Unconditional(nn.Module):
    """The generator, deaf to what its images will be judged by."""

    def __init__(self, generator: AnyGenerator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, z: Tensor, _: Tensor) -> Tensor:
        return self.generator(z)


# ------------------------------------------------------------------------------------------------- consistency


class _Consistency:
    """The consistency term on fresh latents, at a block drawn for the step; the stem is left out, as in the code.

    In float32: the similarities of two images differ by less than bfloat16 resolves.
    """

    def __init__(self, task: Task, config: Config, generator: AnyGenerator, source: AnyGenerator) -> None:
        self._task, self._config = task, config
        self._generator, self._source = generator, source

    def __call__(self, _: GeneratorPass) -> dict[str, Tensor]:
        z = gaussian_latents(self._config.consistency_batch, self._generator, self._task)
        with torch.no_grad():
            kept = stages(self._source, z)
        layer = 1 + int(torch.randint(len(kept) - 1, (), generator=self._task.generator))
        self._generator.eval()
        adapted = stages(self._generator, z)[layer]
        train_unfrozen(self._generator)
        return {"consistency": self._config.consistency * consistency_loss(kept[layer], adapted)}


def similarities(features: Tensor) -> Tensor:
    """Return the log-softmax, over the other samples, of each sample's cosine similarity to them.

    Args:
        features: B×…, flattened.

    Returns:
        B×(B − 1).
    """
    unit = F.normalize(features.flatten(1), dim=1)
    size = len(unit)
    other = ~torch.eye(size, dtype=torch.bool, device=unit.device)
    return (unit @ unit.T)[other].view(size, size - 1).log_softmax(dim=1)


def consistency_loss(source: Tensor, adapted: Tensor) -> Tensor:
    """Return KL(source ‖ adapted) of the similarities, a mean over samples; 0 for fewer than two samples.

    Args:
        source: Features of the source generator, B×….
        adapted: Features of the adapted one for the same latents.
    """
    if len(source) < 2:
        return adapted.sum() * 0
    return F.kl_div(similarities(adapted), similarities(source), reduction="batchmean", log_target=True)
