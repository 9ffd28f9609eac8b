"""Fine-tuning with DiffAugment: both source networks are trained on, and the discriminator sees every image augmented.

The transfer that starts from a source and the augmentation that stretches a few target images, together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.contracts import Family, Method, SourceNeed
from graftbench.references import cited
from graftbench.training.adversarial import AdversarialConfig, any_source_networks, fit_adversarial

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task


class Config(AdversarialConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Defaults: those of `finetune`, and the policy of the paper's 100-shot experiments."""

    loss: str = "non-saturating"
    augment: str = "color,translation,cutout"


class FinetuneDiffAugmented(Method):
    """Zhao, Liu, Lin, Zhu, Han, NeurIPS 2020; the fine-tuning as Wang et al., ECCV 2018."""

    name = "finetune-diffaugment"
    family: ClassVar[Family] = "fine-tune"
    title = "Full fine-tune with DiffAugment"
    reference = cited("zhao2020differentiable")
    trains = "generator and discriminator, from the source model; the discriminator sees every image augmented"
    differs = (
        "the shared small networks and a non-saturating loss without R1 instead of StyleGAN2 pretrained on faces, and "
        "no horizontal flips: the methods here differ in what they do, not in their networks"
    )
    source_model: ClassVar[SourceNeed] = "gan"
    source_parts = ("network",)
    resumable = True
    moves = ("generator.*", "discriminator.*")
    Config = Config

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Train both source networks; the loop applies the policy to all that the discriminator sees."""
        return fit_adversarial(task, budget, self.config, *any_source_networks(task.source_model, task.resolution))
