"""DoRA: LoRA's low-rank updates turn the source generator's weights, and their lengths are trained apart from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from torch.nn.utils import parametrize

from graftbench.bounds import Count, Positive
from graftbench.contracts import Family, Method, SourceNeed
from graftbench.nn.lowrank import Magnitude, merge
from graftbench.references import cited
from graftbench.training.adversarial import AdversarialConfig, any_source_networks, fit_adversarial, source_generator
from graftbench.training.samplers import GeneratorSampler

from ._low_rank import add_updates

if TYPE_CHECKING:
    from torch import Tensor

    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task
    from graftbench.training.foreign import AnyGenerator


class Config(AdversarialConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings beside the adversarial loop's, with the defaults of `lora`.

    Attributes:
        rank: r of the updates; 3 at most in the last layer.
        alpha: The updates are scaled by alpha/rank.
    """

    loss: str = "non-saturating"
    rank: Count = 4
    alpha: Positive = 4.0


class Dora(Method):
    """Liu, Wang, Yin, Molchanov, Wang, Cheng, Chen, ICML 2024."""

    name = "dora"
    family: ClassVar[Family] = "frozen"
    title = "DoRA"
    reference = cited("liu2024dora")
    trains = (
        "low-rank updates of the source generator's weights and the length of each output's weights, and the whole "
        "source discriminator"
    )
    frozen = "the source generator's own weights, biases and batch norms, their statistics included"
    differs = (
        "a GAN's linear and convolutional layers instead of a language model's, with the updates of `lora`; the length "
        "is that of all weights that lead to an output channel; the discriminator, which is thrown away, is trained in "
        "full: the paper has none"
    )
    source_model: ClassVar[SourceNeed] = "gan"
    source_parts = ("layers",)
    resumable = True
    moves = (
        "generator.*.parametrizations.weight.0.*",
        "generator.*.parametrizations.weight.1.magnitude",
        "discriminator.*",
    )
    Config = Config

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Train updates and lengths on the target images, then merge them."""
        generator, discriminator = any_source_networks(task.source_model, task.resolution)
        self._adapt(generator, task)

        def sampler(average: AnyGenerator) -> GeneratorSampler:
            return GeneratorSampler(merge(average, source_generator(task.source_model, task.resolution)))

        return fit_adversarial(task, budget, self.config, generator, discriminator, sampler=sampler)

    def _adapt(self, generator: AnyGenerator, task: Task) -> None:
        """Freeze the generator, and add updates and lengths."""
        config: Config = self.config
        for layer in add_updates(generator, task, rank=config.rank, alpha=config.alpha).values():
            parametrize.register_parametrization(layer, "weight", Magnitude(cast("Tensor", layer.weight)))
