"""FreezeG: fine-tuning with the generator's early blocks frozen at the source model's weights.

The coarse layers keep the layout of the source images, so one latent draws a pair: the source image and the target
image of the same structure. What is learnt is how the target domain renders it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.bounds import CountOrZero
from graftbench.contracts import Family, Method, SourceNeed
from graftbench.nn.build import freeze
from graftbench.nn.generator import GeneratorSpec
from graftbench.references import cited
from graftbench.training import check_between
from graftbench.training.adversarial import AdversarialConfig, fit_adversarial, source_networks

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task


class Config(AdversarialConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`frozen_blocks`: how many of the generator's blocks, counted from the stem, stay frozen; the stem always does.

    The published code trains the last `finetune_loc` resolutions of StyleGAN2's 7 (at 256 px) and names no number of
    its own. FreezeSG (Back, arXiv 2106.12445) freezes 4×4 and 8×8, which here are the stem and the first block.
    """

    loss: str = "non-saturating"
    frozen_blocks: CountOrZero = 1


class FreezeG(Method):
    """Bryandlee, a repository without a paper, 2020."""

    name = "freeze-g"
    family: ClassVar[Family] = "frozen"
    title = "FreezeG"
    reference = cited("bryandlee2020freezeg")
    trains = "the generator's upper blocks, and the discriminator, from the source model"
    frozen = "the generator's stem and first block (4×4 and 8×8), their batch norm's statistics included"
    differs = (
        "the shared small networks with batch norm instead of StyleGAN2, so there is no mapping network that goes on "
        "learning and no image layer at every resolution: the last one is trained"
    )
    source_model: ClassVar[SourceNeed] = "gan"
    resumable = True
    moves = ("generator.blocks.[1-9].*", "generator.to_rgb.*", "discriminator.*")
    Config = Config

    def check(self, resolution: int) -> None:
        """Refuse more frozen blocks than the generator has."""
        blocks = len(GeneratorSpec(resolution).stage_channels()) - 1
        check_between("frozen_blocks", self.config.frozen_blocks, 0, blocks, resolution)

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Freeze the early layers, train the rest on the target images."""
        generator, discriminator = source_networks(task.source_model, task.resolution)
        for part in (generator.stem, generator.stem_norm, *generator.blocks[: self.config.frozen_blocks]):
            freeze(part)
        return fit_adversarial(task, budget, self.config, generator, discriminator)
