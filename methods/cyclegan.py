"""CycleGAN: a translator to the target domain and one back, each against a discriminator, and there and back is home.

Nothing is pretrained: what is transferred is the source images themselves, which become the content of what is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from graftbench.bounds import Count, CountOrZero, NonNegative, Positive, Share
from graftbench.contracts import Family, Method
from graftbench.nn.build import seeded
from graftbench.nn.discriminator import DiscriminatorSpec
from graftbench.nn.losses import adversarial_loss
from graftbench.nn.precision import autocast, resolve
from graftbench.nn.translator import PatchDiscriminator, Translator, TranslatorSpec
from graftbench.references import cited
from graftbench.training import Batches, adam, check_between, descend, prepare, train, trained
from graftbench.training.translation import TranslationConfig, TranslationSampler

if TYPE_CHECKING:
    from torch import nn

    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task
    from graftbench.records.cell_spec import Kind
    from graftbench.training import TrainingLog


class Config(TranslationConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of the paper where nothing else is said (section 4 and 7.1).

    Attributes:
        lr: Adam's rate, with β = (0.5, 0.999).
        decay_share: Share of the budget, its end, over which the rate falls linearly to 0 (100 of 200 epochs).
        cycle_weight: Weight of the L1 distance to what goes there and comes back.
        identity_weight: Weight of the L1 distance to what a translator makes of an image that is at home already.
        pool: Generated images that are kept for the discriminators; 0 shows them the newest alone.
        channels: Of the translators at full resolution (paper: 64; 16 is what a CPU can pay).
        blocks: Residual blocks (paper: 6 at 128 px, 9 at 256 px).
        channels_discriminator: Of the discriminators' first block (paper: 64).
        halvings: Halvings of the side before the discriminators' logits.
    """

    lr: Positive = 2e-4
    decay_share: Share = 0.5
    cycle_weight: NonNegative = 10.0
    identity_weight: NonNegative = 5.0
    pool: CountOrZero = 50
    channels: Count = 16
    blocks: CountOrZero = 3
    channels_discriminator: Count = 32
    halvings: Count = 2


class Cyclegan(Method):
    """Zhu, Park, Isola, Efros, ICCV 2017."""

    name = "cyclegan"
    family: ClassVar[Family] = "style"
    title = "CycleGAN"
    reference = cited("zhu2017unpaired")
    trains = "two translators and two discriminators of patches, from fresh weights"
    differs = (
        "a quarter of the channels and three residual blocks, for a CPU; zero padding, resize-convolutions instead of "
        "transposed ones and spectral instead of instance norm in the discriminators, as in the other GANs here; "
        "batches of 32 instead of 1, so that a budget of images buys a thirty-second of the paper's steps; an averaged "
        "translator; the rate falls over a share of the budget"
    )
    needs_source_images = True
    kinds: ClassVar[tuple[Kind, ...]] = ("generate", "stylize")
    resumable = True
    moves = ("there.*", "back.*", "judge_target.*", "judge_source.*")
    Config = Config

    def check(self, resolution: int) -> None:
        """Refuse discriminators that halve the side more often than the shared one does."""
        most = DiscriminatorSpec(resolution).blocks // 2
        check_between("halvings", self.config.halvings, 1, most, resolution)

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Train all four; the sampler translates source images with the averaged translator."""
        cycle = Cycle(task, budget, self.config)

        def sampler(translator: Translator) -> TranslationSampler:
            return TranslationSampler(translator, task.source_images)

        return train(task, budget, self.config, cycle, cycle.there, sampler=sampler)


class Cycle:
    """Two translators, two discriminators, their optimisers and pools. Calling it takes one step.

    One image of the budget is one target image shown; each step shows as many source images.
    """

    def __init__(self, task: Task, budget: Meter, config: Config) -> None:
        spec = TranslatorSpec(config.channels, config.blocks)
        judge = DiscriminatorSpec(task.resolution, config.channels_discriminator)
        self.there, self.back = (seeded(lambda: Translator(spec), task.generator) for _ in range(2))
        self.judge_target, self.judge_source = (
            seeded(lambda: PatchDiscriminator(judge, config.halvings), task.generator) for _ in range(2)
        )
        prepare(task, there=self.there, back=self.back, judge_target=self.judge_target, judge_source=self.judge_source)
        self._config, self._budget, self._device = config, budget, task.device
        self._dtype, self._loss = resolve(config.precision, task.device), adversarial_loss("least-squares")
        self._sources, self._targets = (Batches(x, task.generator) for x in (task.source_images, task.images))
        self._pool_target, self._pool_source = (Pool(config.pool, task.generator) for _ in range(2))
        self._adam_t, self._adam_j = (
            adam(trained(*networks), lr=config.lr, beta1=0.5, beta2=0.999)
            for networks in ((self.there, self.back), (self.judge_target, self.judge_source))
        )
        task.keep(
            adam_translators=self._adam_t,
            adam_judges=self._adam_j,
            pool_target=self._pool_target,
            pool_source=self._pool_source,
        )

    def __call__(self, size: int, log: TrainingLog) -> bool:
        """Take a step of the translators, then one of the discriminators, as in the published code."""
        source, target = self._sources.draw(size), self._targets.draw(size)
        for group in (*self._adam_t.param_groups, *self._adam_j.param_groups):
            group["lr"] = self._config.lr * falling(self._budget.share(), self._config.decay_share)
        losses, to_target, to_source = self._translate(source, target)
        log.look(to_target)
        losses["discriminator"] = self._judge(source, target, to_target.detach(), to_source.detach())
        log.add(**losses)
        return True

    def _translate(self, source: Tensor, target: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Take a step on equation 3 and the identity loss (section 5.2).

        Returns:
            Losses, translations to the target domain, translations to the source domain.
        """
        config, size = self._config, len(source)
        # Instance norm does not mix images, so what goes through one translator can go together.
        to_target, target_again = self._run(self.there, torch.cat([source, target])).split(size)
        to_source, source_again = self._run(self.back, torch.cat([target, source])).split(size)
        home = self._run(self.back, to_target), self._run(self.there, to_source)
        losses = {
            "generator": self._loss.generator(self._run(self.judge_target, to_target))
            + self._loss.generator(self._run(self.judge_source, to_source)),
            "cycle": F.l1_loss(home[0], source) + F.l1_loss(home[1], target),
            "identity": F.l1_loss(target_again, target) + F.l1_loss(source_again, source),
        }
        weights = {"generator": 1.0, "cycle": config.cycle_weight, "identity": config.identity_weight}
        descend(self._adam_t, torch.stack([weights[name] * loss for name, loss in losses.items()]).sum())
        return losses, to_target, to_source

    def _judge(self, source: Tensor, target: Tensor, to_target: Tensor, to_source: Tensor) -> Tensor:
        """Take a step on half the least-squares loss of each discriminator, which slows them (section 7.1)."""
        sides = (
            (self.judge_target, target, self._pool_target.exchange(to_target)),
            (self.judge_source, source, self._pool_source.exchange(to_source)),
        )
        logits = [self._run(judge, torch.cat([real, fake])).split(len(real)) for judge, real, fake in sides]
        loss = 0.5 * torch.stack([self._loss.discriminator(real, fake) for real, fake in logits]).sum()
        descend(self._adam_j, loss)
        return loss

    def _run(self, network: nn.Module, images: Tensor) -> Tensor:
        with autocast(self._dtype, self._device):
            return network(images.contiguous(memory_format=torch.channels_last)).float()


class Pool:
    """Generated images of the past: half of those that come are exchanged for one from it, once it is full.

    Shrivastava et al., arXiv 1612.07828, section 2.3; sizes and chances as in CycleGAN's code.
    """

    def __init__(self, size: int, generator: torch.Generator) -> None:
        self._size, self._generator = size, generator
        self._images: list[Tensor] = []

    def state_dict(self) -> dict[str, Any]:
        """Return the images."""
        return {"images": list(self._images)}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Resume from such a state."""
        self._images = state["images"]

    def exchange(self, images: Tensor) -> Tensor:
        """Return as many images of the same shape, some of them from the past."""
        if not self._size:
            return images
        keep = torch.rand(len(images), generator=self._generator) < 0.5
        positions = torch.randint(self._size, (len(images),), generator=self._generator)
        drawn = zip(images, keep.tolist(), positions.tolist(), strict=True)
        return torch.stack([self._one(image, old=keep, position=position) for image, keep, position in drawn])

    def _one(self, image: Tensor, *, old: bool, position: int) -> Tensor:
        if len(self._images) < self._size:
            self._images.append(image)
            return image
        if not old:
            return image
        past, self._images[position] = self._images[position], image
        return past


def falling(share: float, decay_share: float) -> float:
    """Return 1 until the last `decay_share` of the budget, then a value that falls linearly to 0 at its end."""
    return min(1.0, (1 - share) / decay_share) if decay_share else 1.0
