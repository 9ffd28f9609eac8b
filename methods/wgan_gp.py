"""WGAN-GP: a critic instead of a discriminator, kept near Lipschitz 1 by a penalty on its gradient.

The critic's loss estimates the Wasserstein distance of real and generated images, as far as the critic is good: it
takes five steps to each of the generator's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from graftbench.bounds import Count, NonNegative, Positive, ShareBelowOne
from graftbench.contracts import Family, Method
from graftbench.nn.penalties import interpolates, lipschitz_penalty
from graftbench.references import cited
from graftbench.training.adversarial import AdversarialConfig, fit_adversarial, new_networks

if TYPE_CHECKING:
    from torch import Tensor, nn

    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task
    from graftbench.training.adversarial import DiscriminatorPass


class Config(AdversarialConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Defaults: the paper's algorithm 1. Its code takes Adam's β₁ = 0.5 for the CIFAR-10 network without residuals.

    Attributes:
        penalty_weight: λ of the gradient penalty.
    """

    loss: str = "wasserstein"
    lr_generator: Positive = 1e-4
    lr_discriminator: Positive = 1e-4
    beta1: ShareBelowOne = 0.0
    beta2: ShareBelowOne = 0.9
    discriminator_steps: Count = 5
    penalty_weight: NonNegative = 10.0


class WganGp(Method):
    """Gulrajani, Ahmed, Arjovsky, Dumoulin, Courville, NeurIPS 2017."""

    name = "wgan-gp"
    family: ClassVar[Family] = "scratch"
    title = "WGAN-GP from scratch"
    reference = cited("gulrajani2017improved")
    trains = "generator and critic, from fresh weights; five critic steps to one of the generator"
    frozen = "the bias of the critic's output, which a difference of means does not depend on"
    differs = (
        "the shared small networks (the critic without any normalisation) and an averaged generator; every critic step "
        "counts as real images seen, so the generator takes a fifth of the steps that it takes in the other methods: "
        "budgets count the images that a method is shown"
    )
    resumable = True
    moves = ("generator.*", "discriminator.blocks.*", "discriminator.head.weight")
    Config = Config

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Train generator and critic; the critic's loss has the penalty beside it."""
        generator, critic = new_networks(task, self.config, spectral_norm=False)
        # Its gradient is 0 but for rounding, which Adam would scale up to a random walk.
        cast("nn.Linear", critic.head).bias.requires_grad = False

        def penalty(batch: DiscriminatorPass) -> dict[str, Tensor]:
            between = interpolates(batch.real, batch.fake, task.generator)
            return {"penalty": self.config.penalty_weight * lipschitz_penalty(critic, between)}

        return fit_adversarial(task, budget, self.config, generator, critic, discriminator_terms=[penalty])
