"""Joint training: one generator and one discriminator learn source and target together and are told which is which.

A few target images share all convolutions with many source images; only what is normalised differs by the domain. What
the source taught is not forgotten, because it is still being taught.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from graftbench.bounds import ShareBelowOne
from graftbench.contracts import Family, Method, SourceNeed
from graftbench.nn.build import seeded
from graftbench.nn.conditional import ConditionalGenerator, ProjectionDiscriminator
from graftbench.references import cited
from graftbench.training import Batches, prepare, train
from graftbench.training.adversarial import AdversarialConfig, Adversary, source_networks
from graftbench.training.samplers import GeneratorSampler

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task

SOURCE, TARGET = 0, 1


class Config(AdversarialConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Defaults: those of `finetune`.

    Attributes:
        source_share: Share of source images in a batch, rounded down: an only image is one of the target (ours).
    """

    loss: str = "non-saturating"
    source_share: ShareBelowOne = 0.5


class DomainBatches:
    """Batches of both domains: source images first, then the target's.

    Args:
        task: Images of both domains, device, randomness.
        source_share: Share of source images.
    """

    def __init__(self, task: Task, source_share: float) -> None:
        self._source = Batches(task.source_images, task.generator)
        self._target = Batches(task.images, task.generator)
        self._share, self._device = source_share, task.device

    def of_source(self, n: int) -> int:
        """Return how many images of a batch of n are of the source."""
        return math.floor(n * self._share + 1e-9)  # 0.29 · 100 is a little less than 29

    def domains(self, n: int) -> tuple[Tensor]:
        """Return the domains of a batch: int64 n."""
        return (torch.where(torch.arange(n, device=self._device) < self.of_source(n), SOURCE, TARGET),)

    def images(self, n: int) -> Tensor:
        """Draw real images of these domains: float32 n×3×R×R in [−1, 1]."""
        k = self.of_source(n)
        return torch.cat([self._source.draw(k), self._target.draw(n - k)])


class Joint(Method):
    """The conditioning of Miyato & Koyama, ICLR 2018, with the two domains of a transfer as its classes."""

    name = "joint"
    family: ClassVar[Family] = "fine-tune"
    title = "Joint training on source and target"
    reference = cited("miyato2018cgans")
    trains = "generator and discriminator, from the source model, on source and target images, each told the domain"
    differs = (
        "the paper conditions on ImageNet's classes, from scratch: that the classes are a source and a target, and "
        "that both networks start as the source model's, is ours; the projection starts at zero for that reason; "
        "source images count in the budget like the target's, so half as many of these are shown as by other methods"
    )
    source_model: ClassVar[SourceNeed] = "gan"
    needs_source_images = True
    resumable = True
    moves = ("generator.*", "discriminator.*")
    Config = Config

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Train on both domains, then fold the target's half into a plain generator."""
        source, judge = source_networks(task.source_model, task.resolution)
        generator = ConditionalGenerator(source)
        discriminator = seeded(lambda: ProjectionDiscriminator(judge), task.generator)
        prepare(task, generator=generator, discriminator=discriminator)
        both = DomainBatches(task, self.config.source_share)
        differences = {"real": both.images, "conditions": both.domains}
        step = Adversary(task, self.config, generator, discriminator, **differences)
        return train(
            task, budget, self.config, step, generator, sampler=lambda net: GeneratorSampler(net.folded(TARGET))
        )
