"""EWC: fine-tuning with a spring from every generator weight to its source value, as stiff as the weight was important.

Importance is the Fisher information: how much the source discriminator's judgement of the source generator's samples
minds the weight. What carried the source domain's variety stays; what did not matter is free to fit the target.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F

from graftbench.bounds import Count, NonNegative
from graftbench.contracts import Family, Method, SourceNeed
from graftbench.nn.build import freeze
from graftbench.nn.fisher import diagonal_fisher, with_parameters
from graftbench.references import cited
from graftbench.training.adversarial import AdversarialConfig, any_source_networks, fit_adversarial, gaussian_latents

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task
    from graftbench.training.adversarial import GeneratorPass


class Config(AdversarialConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How stiff, and measured on how many samples.

    Attributes:
        loss: That of the source model's training.
        strength: λ, in units of the loss: the penalty of weights that have all changed by their own size (see
            `per_size`). Plain fine-tuning changes them by about 5 % in 100 steps of the default rate; at 1000 that
            would cost 2.5, as much as an adversarial loss is worth. Chosen from these scales, on no target's scores.
            The paper's 5e8 belongs to StyleGAN2 and to a Fisher information that nothing divides.
        fisher_samples: Generated images from which the Fisher information is estimated. No target image is among them.
    """

    loss: str = "non-saturating"
    strength: NonNegative = 1000.0
    fisher_samples: Count = 64


class Ewc(Method):
    """Li, Zhang, Lu, Shechtman, NeurIPS 2020."""

    name = "ewc"
    family: ClassVar[Family] = "fine-tune"
    title = "EWC"
    reference = cited("li2020few")
    trains = "generator and discriminator, from the source model; the generator's weights are drawn back to it"
    frozen = "a copy of the source model, in which importance is measured"
    differs = (
        "the shared small networks instead of StyleGAN2; the Fisher information is divided by the "
        "Fisher-weighted size of the source weights, for its scale is that of its networks and the paper's λ would "
        "mean nothing here: λ is in a unit of its own, 1000 by default; batch norm, which StyleGAN2 has not, is held "
        "by its γ and β, and its running statistics, which have no Fisher information, follow the target freely"
    )
    source_model: ClassVar[SourceNeed] = "gan"
    source_parts = ("layers",)
    resumable = True
    moves = ("generator.*", "discriminator.*")
    Config = Config

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Train both source networks on the target images under the penalty."""
        source, judge = (freeze(network) for network in any_source_networks(task.source_model, task.resolution))
        generator, discriminator = any_source_networks(task.source_model, task.resolution)
        spring = _Spring(task, self.config, generator, source, judge)
        return fit_adversarial(
            task,
            budget,
            self.config,
            generator,
            discriminator,
            others={"source_generator": source, "source_discriminator": judge},
            generator_terms=[spring] if self.config.strength else [],
        )


class _Spring:
    """The penalty as a term of the generator's loss.

    On the first step the weights are the source's, so that the penalty and its gradient are exactly 0: it begins with
    the second, and there the information is measured. That is within the budget's time, and outside the first batch,
    whose arithmetic stands for every other's.
    """

    def __init__(self, task: Task, config: Config, generator: nn.Module, source: nn.Module, judge: nn.Module) -> None:
        self._task, self._config = task, config
        self._generator, self._source, self._judge = generator, source, judge
        self._anchors = dict(source.named_parameters())
        self._moved = False
        self._stiffness: dict[str, Tensor] = {}

    def __call__(self, _: GeneratorPass) -> dict[str, Tensor]:
        if not self._moved:
            self._moved = True
            return {}
        if not self._stiffness:
            z = gaussian_latents(self._config.fisher_samples, self._source, self._task)
            self._stiffness = per_size(generator_fisher(self._source, self._judge, z), self._anchors)
        weights = dict(self._generator.named_parameters())
        return {"elastic": self._config.strength * elastic_penalty(weights, self._anchors, self._stiffness)}

    def state_dict(self) -> dict[str, Any]:
        """Return the Fisher information, once it was measured."""
        return {"moved": self._moved, "stiffness": self._stiffness}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Resume from such a state."""
        self._moved, self._stiffness = state["moved"], state["stiffness"]


def generator_fisher(generator: nn.Module, discriminator: nn.Module, z: Tensor) -> dict[str, Tensor]:
    """Estimate the diagonal Fisher information of a generator's parameters, batch norm's γ and β among them.

    The likelihood of a generated image is what the discriminator makes of it: p = sigmoid(D(G(z))).

    Args:
        generator: In eval mode, for a sample must not depend on the others in its batch.
        discriminator: In eval mode; its logits are positive for real images.
        z: N×latent.
    """

    def loss(parameters: dict[str, Tensor], sample: Tensor) -> Tensor:
        return F.softplus(-discriminator(with_parameters(generator, parameters, sample))).mean()

    return diagonal_fisher(loss, dict(generator.named_parameters()), z)


def per_size(fisher: Mapping[str, Tensor], anchors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return F / Σ F_i θ_S,i²: with it the penalty is the squared change of the weights relative to their size.

    It is then 1 at θ = 0 and at θ = 2 θ_S, and no unit in which a likelihood is measured is left in it.
    """
    size = torch.stack([(fisher[name] * anchor.square()).sum() for name, anchor in anchors.items()]).sum()
    return {name: information / size for name, information in fisher.items()}


def elastic_penalty(
    weights: Mapping[str, Tensor], anchors: Mapping[str, Tensor], stiffness: Mapping[str, Tensor]
) -> Tensor:
    """Return Σ F_i (θ_i − θ_S,i)² over all weights: the paper's penalty, without its λ."""
    pulls = [(stiffness[name] * (weights[name] - anchor).square()).sum() for name, anchor in anchors.items()]
    return torch.stack(pulls).sum()
