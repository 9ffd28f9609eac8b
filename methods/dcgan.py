"""From scratch: a generator and a discriminator with fresh weights see the target images alone.

The baseline of every transfer: what the budget buys without a source.
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
    """Defaults: the paper's non-saturating loss; Adam as in SNGAN, which spectral norm goes with."""

    loss: str = "non-saturating"


class Dcgan(Method):
    """Radford, Metz, Chintala, ICLR 2016."""

    name = "dcgan"
    family: ClassVar[Family] = "scratch"
    title = "DCGAN from scratch"
    reference = cited("radford2016unsupervised")
    trains = "generator and discriminator, from fresh weights"
    differs = (
        "resize-convolutions instead of transposed ones, spectral norm instead of batch norm in the discriminator, "
        "an averaged generator: the networks that all methods here share"
    )
    resumable = True
    moves = ("generator.*", "discriminator.*")
    Config = Config

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Train both networks on the target images."""
        return fit_adversarial(task, budget, self.config, *new_networks(task, self.config))
