"""FreezeD: fine-tuning with the discriminator's lower blocks frozen at the source model's weights.

What the lower blocks see (edges, colours) is common to both domains; freezing it keeps a small target set from
overwriting it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.bounds import CountOrZero
from graftbench.contracts import Family, Method, SourceNeed
from graftbench.nn.build import freeze
from graftbench.nn.discriminator import DiscriminatorSpec
from graftbench.references import cited
from graftbench.training import check_between
from graftbench.training.adversarial import AdversarialConfig, any_source_networks, fit_adversarial

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task


class Config(AdversarialConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`frozen_blocks`: how many of the discriminator's blocks, counted from the image, stay frozen.

    The published code trains the last 3 of StyleGAN's 7 blocks, or freezes 3 of SNGAN's 5; 3 of our 6 is the half.
    """

    loss: str = "non-saturating"
    frozen_blocks: CountOrZero = 3


class FreezeD(Method):
    """Mo, Cho, Shin, CVPR workshop 2020."""

    name = "freezed"
    family: ClassVar[Family] = "frozen"
    title = "FreezeD"
    reference = cited("mo2020freeze")
    trains = "generator, and the discriminator's upper blocks, from the source model"
    frozen = "the discriminator's lower blocks (3 of 6), their spectral norm's state included"
    differs = "the shared small networks instead of StyleGAN; the last checkpoint counts, not the one with the best FID"
    source_model: ClassVar[SourceNeed] = "gan"
    source_parts = ("network",)
    resumable = True
    moves = ("generator.*", "discriminator.blocks.[3-9].*", "discriminator.head.*")
    Config = Config

    def check(self, resolution: int) -> None:
        """Refuse more frozen blocks than the discriminator has."""
        check_between("frozen_blocks", self.config.frozen_blocks, 0, DiscriminatorSpec(resolution).blocks, resolution)

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Freeze the lower blocks, train the rest on the target images."""
        generator, discriminator = any_source_networks(task.source_model, task.resolution)
        for block in discriminator.blocks[: self.config.frozen_blocks]:
            freeze(block)
        return fit_adversarial(task, budget, self.config, generator, discriminator)
