"""What CDC, and the methods built on it, ask of the images: whole images near fixed anchors, patches everywhere else.

Ojha et al., CVPR 2021 (arXiv 2104.06820), section 3.2: each target image has an anchor in the latent space, and only
images of latents near an anchor must pass for real as a whole; all others are judged by patches, so that a handful of
images is not what everything has to look like.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from graftbench.bounds import CountOrZero, NonNegative, Share
from graftbench.contracts import Family, Method, SourceNeed
from graftbench.nn.build import freeze, seeded, train_unfrozen
from graftbench.nn.discriminator import DiscriminatorSpec
from graftbench.nn.patch import TwoLevelDiscriminator
from graftbench.nn.upload import upload
from graftbench.training import Batches, check_between, prepare, train
from graftbench.training.adversarial import AdversarialConfig, Adversary, any_source_networks, source_generator
from graftbench.training.foreign import stages
from graftbench.training.samplers import GeneratorSampler

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task
    from graftbench.training.adversarial import GeneratorTerm
    from graftbench.training.foreign import AnyGenerator

Seen = TypeVar("Seen")


class RelaxedConfig(AdversarialConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Scales of the two ways to judge; defaults are CDC's code's unless said.

    Attributes:
        loss: Non-saturating, as published.
        anchor_share: Share of a batch that is drawn at the anchors and judged as a whole.
        anchor_spread: Standard deviation about an anchor, in latent units.
        patch_block: Block of the discriminator by whose features patches are judged. With block 1 a logit sees 12
            pixels; the code takes the map of an eighth of the image's side, where one logit sees all of a small image.
    """

    loss: str = "non-saturating"
    anchor_share: Share = 0.25
    anchor_spread: NonNegative = 0.1
    patch_block: CountOrZero = 1


DIFFERS = (
    "the shared small networks instead of StyleGAN2, without R1 and path length; every batch is a quarter anchors "
    "instead of every fourth one all anchors, for batch norm would see a batch of near copies; both generators are "
    "compared as they sample, with batch norm's running statistics"
)
"""Departures that all methods of this file share."""


class RelaxedMethod(Method):
    """A method that keeps something of a frozen source generator while its images are judged so."""

    family: ClassVar[Family] = "fine-tune"
    trains = "generator and discriminator, from the source model, and a new head that judges patches"
    source_model: ClassVar[SourceNeed] = "gan"
    source_parts = ("stages",)
    resumable = True
    moves = ("generator.*", "discriminator.*")
    Config = RelaxedConfig

    def check(self, resolution: int) -> None:
        """Refuse a block for patches that the discriminator does not have."""
        blocks = DiscriminatorSpec(resolution).blocks
        check_between("patch_block", self.config.patch_block, 0, blocks - 1, resolution)

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Train both source networks on the target images, the generator under the method's terms."""
        config: RelaxedConfig = self.config
        source = source_generator(task.source_model, task.resolution)
        freeze(source)
        generator, image = any_source_networks(task.source_model, task.resolution)
        discriminator = seeded(lambda: TwoLevelDiscriminator(image, config.patch_block), task.generator)
        prepare(task, generator=generator, discriminator=discriminator, source_generator=source)
        anchors = Anchors(task, config, generator.spec.latent)
        real = LastBatch(task)
        step = Adversary(
            task,
            config,
            _Unconditional(generator),
            discriminator,
            real=real.draw,
            latents=anchors.latents,
            conditions=anchors.conditions,
            generator_terms=self.terms(Players(task, generator, source, discriminator, real)),
        )
        return train(task, budget, config, step, generator, sampler=GeneratorSampler)

    @abstractmethod
    def terms(self, players: Players) -> Sequence[GeneratorTerm]:
        """Return what is added to the generator's loss."""


@dataclass(frozen=True)
class Players:
    """What a term of the generator's loss may look at.

    Attributes:
        task: Images, device, randomness.
        generator: What is trained.
        source: What it was, frozen and in eval mode.
        discriminator: Whom it plays against.
        real: Knows the real images that the discriminator was shown last.
    """

    task: Task
    generator: AnyGenerator
    source: AnyGenerator
    discriminator: TwoLevelDiscriminator
    real: LastBatch

    def both_stages(self, z: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the stages of the source generator and of the trained one at the same latents, B×C×H×W each.

        Both in eval mode and float32: what differs between two images is less than bfloat16 resolves. Gradients flow
        into the trained one alone.
        """
        return self._both(stages, z)

    def both_images(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the images of both at the same latents, B×3×R×R each, likewise."""
        return self._both(lambda generator, z: generator(z), z)

    def _both(self, look: Callable[[AnyGenerator, Tensor], Seen], z: Tensor) -> tuple[Seen, Seen]:
        with torch.no_grad():
            kept = look(self.source, z)
        self.generator.eval()
        adapted = look(self.generator, z)
        train_unfrozen(self.generator)
        return kept, adapted


class Anchors:
    """Fixed latents, one a target image; the first rows of every batch lie near them and are judged as a whole."""

    def __init__(self, task: Task, config: RelaxedConfig, latent: int) -> None:
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
        return upload(z, self._task.device)

    def conditions(self, size: int) -> tuple[Tensor]:
        """Mark the rows that are judged as a whole: bool, of the length of the batch."""
        return (torch.arange(size, device=self._task.device) < self.count(size),)


class LastBatch:
    """Draws real images and remembers the last ones: looking at them again spends nothing of the budget.

    Within a step they are drawn before a term looks at them, so that a checkpoint needs none of them.
    """

    def __init__(self, task: Task) -> None:
        self._batches = Batches(task.images, task.generator)
        self.images = torch.empty(0)

    def draw(self, n: int) -> Tensor:
        """Draw n images: float32 n×3×H×W in [−1, 1]."""
        self.images = self._batches.draw(n)
        return self.images


class _Unconditional(nn.Module):
    """The generator, deaf to what its images will be judged by."""

    def __init__(self, generator: AnyGenerator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, z: Tensor, _: Tensor) -> Tensor:
        return self.generator(z)
