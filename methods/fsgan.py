"""FSGAN: of every weight of the source model only the singular values are adapted, the singular vectors stay.

A layer may weigh what it does anew, and learns nothing that it did not do: few numbers, which a few images can fit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from torch import nn

from graftbench.contracts import Family, Method, SourceNeed
from graftbench.nn.lowrank import merge
from graftbench.nn.singular import scale_singular_values
from graftbench.references import cited
from graftbench.training.adversarial import AdversarialConfig, any_source_networks, fit_adversarial, source_generator
from graftbench.training.foreign import weighted_layers
from graftbench.training.samplers import GeneratorSampler

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task
    from graftbench.training.foreign import AnyGenerator


class Config(AdversarialConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings beside the adversarial loop's.

    Attributes:
        norms: Train the batch norms' scales and shifts too, and let their statistics follow. The published networks
            have none, and train nothing but singular values.
    """

    loss: str = "non-saturating"
    norms: bool = False


class FsGan(Method):
    """Robb, Chu, Kumar, Huang, 2020."""

    name = "fsgan"
    family: ClassVar[Family] = "frozen"
    title = "FSGAN (singular values)"
    reference = cited("robb2020few")
    trains = "a scale for each singular value of each weight, of generator and discriminator, from the source model"
    frozen = (
        "the singular vectors of all weights, all biases, and the generator's batch norms, their statistics included"
    )
    differs = (
        "the shared small networks with batch norm and spectral norm instead of StyleGAN2 with R1 and path length, so "
        "that in the discriminator only the ratios of a weight's singular values matter; the last layer of each "
        "network is adapted too"
    )
    source_model: ClassVar[SourceNeed] = "gan"
    source_parts = ("layers",)
    resumable = True
    moves = ("generator.*.parametrizations.weight.0.scale", "discriminator.*.parametrizations.weight.0.scale")
    Config = Config

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Train the scales on the target images, then merge the generator's."""
        generator, discriminator = any_source_networks(task.source_model, task.resolution)
        for network in (generator, discriminator):
            scale_singular_values(network, weighted_layers(network))
        for part in generator.modules():
            if self.config.norms and isinstance(part, nn.BatchNorm2d):
                part.requires_grad_()

        def sampler(average: AnyGenerator) -> GeneratorSampler:
            return GeneratorSampler(merge(average, source_generator(task.source_model, task.resolution)))

        return fit_adversarial(task, budget, self.config, generator, discriminator, sampler=sampler)
