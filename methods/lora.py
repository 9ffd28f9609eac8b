"""LoRA: the source generator's weights stay, and a low-rank update of each is trained and merged at the end.

The update has few numbers and cannot turn the network into any other one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from torch import nn

from graftbench.bounds import Count, Positive
from graftbench.contracts import Family, Method, SourceNeed
from graftbench.nn.lowrank import merge
from graftbench.references import cited
from graftbench.training.adversarial import AdversarialConfig, any_source_networks, fit_adversarial, source_generator
from graftbench.training.samplers import GeneratorSampler

from ._low_rank import add_updates

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task
    from graftbench.training.foreign import AnyGenerator


class Config(AdversarialConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings beside the adversarial loop's.

    Attributes:
        rank: r of the stem's and the convolutions' updates (4 in cloneofsimo's lora, and in the paper's table 6 as good
            as any); the last layer's, which has 3 outputs, is 3 at most.
        alpha: The updates are scaled by alpha/rank (paper, section 4.1: alpha is set to the first rank tried).
        norms: Train the batch norms' scales and shifts too, and let their statistics follow. The paper trains nothing
            but the updates.
    """

    loss: str = "non-saturating"
    rank: Count = 4
    alpha: Positive = 4.0
    norms: bool = False


class Lora(Method):
    """Hu, Shen, Wallis, Allen-Zhu, Li, Wang, Wang, Chen, ICLR 2022."""

    name = "lora"
    family: ClassVar[Family] = "frozen"
    title = "LoRA"
    reference = cited("hu2022lora")
    trains = "low-rank updates of the source generator's weights, and the whole source discriminator"
    frozen = "the source generator's own weights, biases and batch norms, their statistics included"
    differs = (
        "a GAN's convolutions instead of a language model's attention, the update of a convolution being a k×k one to "
        "r channels and a 1×1 one, as in cloneofsimo's lora (Apache-2.0); the discriminator, which is thrown away, is "
        "trained in full: the paper has none"
    )
    source_model: ClassVar[SourceNeed] = "gan"
    source_parts = ("layers",)
    resumable = True
    moves = ("generator.*.parametrizations.weight.0.*", "discriminator.*")
    Config = Config

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Train the updates on the target images, then merge them."""
        generator, discriminator = any_source_networks(task.source_model, task.resolution)
        self._adapt(generator, task)

        def sampler(average: AnyGenerator) -> GeneratorSampler:
            return GeneratorSampler(merge(average, source_generator(task.source_model, task.resolution)))

        return fit_adversarial(task, budget, self.config, generator, discriminator, sampler=sampler)

    def _adapt(self, generator: AnyGenerator, task: Task) -> None:
        """Freeze the generator and add the updates."""
        config: Config = self.config
        add_updates(generator, task, rank=config.rank, alpha=config.alpha)
        for part in generator.modules():
            if config.norms and isinstance(part, nn.BatchNorm2d):
                part.requires_grad_()
