"""Fine-tuning with DiffAugment: both source networks are trained on, and the discriminator sees every image augmented.

The transfer that starts from a source and the augmentation that stretches a few target images, together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.training.adversarial import fit_adversarial, source_networks

from .diffaugment import DiffAugmented

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Family, Sampler, SourceNeed, Task


class FinetuneDiffAugmented(DiffAugmented):
    """Zhao, Liu, Lin, Zhu, Han, NeurIPS 2020; the fine-tuning as Wang et al., ECCV 2018.

    Defaults: those of `finetune`, and the policy of the paper's 100-shot experiments.
    """

    name = "finetune-diffaugment"
    family: ClassVar[Family] = "fine-tune"
    title = "Full fine-tune with DiffAugment"
    trains = "generator and discriminator, from the source model; the discriminator sees every image augmented"
    differs = (
        "the shared small networks and a non-saturating loss without R1 instead of StyleGAN2 pretrained on faces, and "
        "no horizontal flips: the methods here differ in what they do, not in their networks"
    )
    source_model: ClassVar[SourceNeed] = "gan"

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Train both source networks; the loop applies the policy to all that the discriminator sees."""
        return fit_adversarial(task, budget, self.config, *source_networks(task.source_model, task.resolution))
