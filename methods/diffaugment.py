"""DiffAugment: the discriminator sees real and generated images through the same random, differentiable changes.

It cannot learn a few real images by heart when it never sees one twice, and the generator gets its gradient through
the change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.contracts import Family, Method
from graftbench.references import cited
from graftbench.training.adversarial import AdversarialConfig, fit_adversarial, new_networks

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task


class Config(AdversarialConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Defaults: the policy of the paper's 100-shot experiments (on CIFAR-10 it leaves out the colours)."""

    loss: str = "non-saturating"
    augment: str = "color,translation,cutout"


class DiffAugmented(Method):
    """Zhao, Liu, Lin, Zhu, Han, NeurIPS 2020."""

    name = "diffaugment"
    family: ClassVar[Family] = "scratch"
    title = "DiffAugment from scratch"
    reference = cited("zhao2020differentiable")
    trains = "generator and discriminator, from fresh weights; the discriminator sees every image augmented"
    differs = "the shared small networks instead of StyleGAN2 or BigGAN, and no horizontal flips of the training images"
    resumable = True
    moves = ("generator.*", "discriminator.*")
    Config = Config

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Train both networks on the target images; the loop applies the policy to all that the discriminator sees."""
        return fit_adversarial(task, budget, self.config, *new_networks(task, self.config))
