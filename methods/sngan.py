"""SNGAN: the hinge loss against a discriminator whose layers are divided by their spectral norm."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.bounds import Count
from graftbench.contracts import Family, Method
from graftbench.references import cited
from graftbench.training.adversarial import AdversarialConfig, fit_adversarial, new_networks

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task


class Config(AdversarialConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Defaults: the hinge loss (the paper's equations 16 and 17); learning rate and β₁ as published for CIFAR-10.

    The published settings take five discriminator steps to one of the generator; here it is one. Every discriminator
    step counts as real images seen, so five would leave the generator a fifth of its steps.
    """

    loss: str = "hinge"
    discriminator_steps: Count = 1


class Sngan(Method):
    """Miyato, Kataoka, Koyama, Yoshida, ICLR 2018."""

    name = "sngan"
    family: ClassVar[Family] = "scratch"
    title = "SNGAN from scratch"
    reference = cited("miyato2018spectral")
    trains = "generator and discriminator, from fresh weights"
    differs = (
        "the shared small networks; one discriminator step per generator step instead of five, because a budget counts "
        "the images that the discriminator is shown; Adam's second beta is 0.99 as in all methods here, not 0.9"
    )
    resumable = True
    moves = ("generator.*", "discriminator.*")
    Config = Config

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Train both networks on the target images."""
        return fit_adversarial(task, budget, self.config, *new_networks(task, self.config))
