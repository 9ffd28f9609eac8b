"""TransferGAN: generator and discriminator start from the source model, and all of both is trained on.

The plain way of transferring, and the baseline of every cleverer one.
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
    """Defaults: the loss of the source model's training; the from-scratch learning rate.

    The paper lowers the rate to 1e-5 for 25,000 steps; at the few hundred steps of a small budget nothing would move.
    """

    loss: str = "non-saturating"


class Finetune(Method):
    """Wang, Wu, Herranz, van de Weijer, Gonzalez-Garcia, Raducanu, ECCV 2018."""

    name = "finetune"
    family: ClassVar[Family] = "fine-tune"
    title = "TransferGAN (full fine-tune)"
    reference = cited("wang2018transferring")
    trains = "generator and discriminator, from the source model"
    differs = "the shared small networks with spectral norm and a non-saturating loss instead of WGAN-GP on a ResNet"
    source_model: ClassVar[SourceNeed] = "gan"
    source_parts = ("network",)
    resumable = True
    moves = ("generator.*", "discriminator.*")
    Config = Config

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Train both source networks on the target images."""
        return fit_adversarial(task, budget, self.config, *any_source_networks(task.source_model, task.resolution))
