"""RICK: filters that matter for the target are held, those that matter least are pruned, all others are fine-tuned.

What a source model knows that does not fit the target (glasses on a cat) survives fine-tuning in filters that hardly
move: they matter so little that their gradients are small. So they are removed. The choice is made anew several times
in a fit; what was pruned stays so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from msgspec.structs import replace

from graftbench.bounds import Count, InnerShare, ShareBelowOne
from graftbench.contracts import Family, Method, SourceNeed
from graftbench.nn.build import freeze, train_unfrozen
from graftbench.nn.fisher import diagonal_fisher, with_parameters
from graftbench.nn.modulation import merged
from graftbench.nn.sieve import sift
from graftbench.references import cited
from graftbench.training import prepare, staged, train
from graftbench.training.adversarial import AdversarialConfig, Adversary, gaussian_latents, source_networks
from graftbench.training.samplers import GeneratorSampler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import Tensor, nn

    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task
    from graftbench.nn.discriminator import Discriminator
    from graftbench.nn.generator import Generator
    from graftbench.nn.sieve import Sieve
    from graftbench.training import Step, TrainingLog


class Config(AdversarialConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much to hold and to prune, and how often to choose.

    Attributes:
        loss: That of the source model's training.
        warm_up: Share of the budget in which the discriminator's last layer is trained alone. Published: 250 of 1,750
            steps for one target, of 2,250 for another.
        choices: How often filters are chosen, at even distances over the rest. The published code chooses every 50
            steps, 30 to 40 times; a small budget has not many more steps.
        held: Share of filters that are held. The published code holds 60 % for one target and 15 % for another; here
            one value stands for all.
        pruned: Share of a network's filters that each choice prunes, at least one filter unless it is 0. Published:
            0.1 % and 0.075 %.
        fisher_samples: Generated images from which the Fisher information is estimated (published: ten, and as many
            target images).
    """

    loss: str = "non-saturating"
    warm_up: InnerShare = 1 / 7
    choices: Count = 5
    held: ShareBelowOne = 0.5
    pruned: ShareBelowOne = 0.001
    fisher_samples: Count = 16


class Rick(Method):
    """Zhao, Du, Abdollahzadeh, Pang, Lin, Yan, Cheung, CVPR 2023."""

    name = "rick"
    family: ClassVar[Family] = "frozen"
    title = "RICK"
    reference = cited("zhao2023exploring")
    trains = (
        "filters of generator and discriminator that matter little for the target, from the source model; all batch "
        "norms of the generator's blocks, and the discriminator's biases and last layer"
    )
    frozen = (
        "the half of each layer's filters that matters most, as chosen last; the generator's stem and last layer, and "
        "the discriminator's first layer"
    )
    differs = (
        "the shared small networks instead of StyleGAN2 with R1 and path length; the share of held filters is one for "
        "all targets and is taken in each layer instead of over all, and pruned are those that matter least beside "
        "their layer's mean, for the layers' Fisher information differs by orders of magnitude; fewer choices, at "
        "shares of the budget; importance is measured in the networks as they are instead of in averages, and at "
        "generated images alone, for real ones would be paid from the budget; of a pruned channel the bias or the "
        "batch norm's shift is left, as the published code leaves it in the generator"
    )
    source_model: ClassVar[SourceNeed] = "gan"
    resumable = True
    moves = ("generator.blocks.*", "discriminator.blocks.[1-9]*.*", "discriminator.head.*")
    Config = Config

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Warm the discriminator's last layer up, then choose filters and train the free ones, in turn."""
        config: Config = self.config
        generator, discriminator = source_networks(task.source_model, task.resolution)
        for part in (generator.stem, generator.stem_norm, generator.to_rgb, discriminator.blocks[0]):
            freeze(part)
        filters = _Filters(task, config, generator, discriminator)
        prepare(task, generator=generator, discriminator=discriminator)
        upper = discriminator.blocks[1:]
        made: list[Adversary] = []

        def warm_up() -> Step:
            freeze(upper)
            generator.eval()  # its batch norms' statistics rest too
            adversary = Adversary(task, replace(config, lr_generator=0.0), generator, discriminator)

            def step(size: int, log: TrainingLog) -> bool:
                # The generator's loss is looked at and moves nothing, as in the published code: a batch costs what
                # others do.
                adversary(size, log)
                return False

            return step

        def training() -> Step:
            filters.choose()
            if not made:
                upper.requires_grad_(requires_grad=True)
                made.append(Adversary(task, config, generator, discriminator))
            train_unfrozen(generator)
            train_unfrozen(discriminator)
            return made[0]

        def sampler(average: Generator) -> GeneratorSampler:
            plain, _ = source_networks(task.source_model, task.resolution)
            plain.load_state_dict(merged(average))
            return GeneratorSampler(plain.to(task.device))

        length = (1 - config.warm_up) / config.choices
        stages = [(config.warm_up, warm_up)]
        stages += [(config.warm_up + length * (i + 1), training) for i in range(config.choices)]
        return train(task, budget, config, staged(task, budget, stages), generator, sampler=sampler)


class _Filters:
    """The sieves of both networks: of all blocks of the generator, and of the discriminator's but the first."""

    def __init__(self, task: Task, config: Config, generator: Generator, discriminator: Discriminator) -> None:
        self._task, self._config = task, config
        self._generator, self._discriminator = generator, discriminator
        self.of_generator = sift({f"blocks.{i}.conv": block.get_submodule("conv") for i, block in _of(generator)})
        self.of_discriminator = sift({f"blocks.{i}.0": block.get_submodule("0") for i, block in _of(discriminator)[1:]})

    def choose(self) -> None:
        """Measure every filter's importance, held and pruned ones included, and choose anew; prune on top."""
        before = {id(sieve): sieve.pruned.clone() for sieves in self._sieves() for sieve in sieves.values()}
        for network, sieves in zip(self._networks(), self._sieves(), strict=True):
            network.eval()
            for layer, sieve in sieves.items():
                sieve.open(weight_of(network, layer))
        for sieves, importance in zip(self._sieves(), self._importance(), strict=True):
            pruned = least_important(importance, self._config.pruned)
            for layer, sieve in sieves.items():
                held = largest(importance[layer], round(self._config.held * len(importance[layer])))
                sieve.close(held, pruned[layer] | before[id(sieve)])

    def _networks(self) -> tuple[Generator, Discriminator]:
        return self._generator, self._discriminator

    def _sieves(self) -> tuple[dict[str, Sieve], dict[str, Sieve]]:
        return self.of_generator, self.of_discriminator

    def _importance(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return, per layer of each network, the Fisher information of the filters at generated images."""
        generator, discriminator = self._networks()
        z = gaussian_latents(self._config.fisher_samples, generator, self._task)

        def generator_loss(weights: dict[str, Tensor], sample: Tensor) -> Tensor:
            return F.softplus(-discriminator(with_parameters(generator, weights, sample))).mean()

        def discriminator_loss(weights: dict[str, Tensor], image: Tensor) -> Tensor:
            return F.softplus(with_parameters(discriminator, weights, image)).mean()

        with torch.no_grad():
            images = generator(z)
        return (
            filter_importance(generator_loss, generator, self.of_generator, z),
            filter_importance(discriminator_loss, discriminator, self.of_discriminator, images),
        )


def _of(network: Generator | Discriminator) -> list[tuple[int, nn.Module]]:
    return list(enumerate(network.blocks))


def weight_of(network: nn.Module, layer: str) -> nn.Parameter:
    """Return what is trained of a layer's weight behind its sieve."""
    return network.get_parameter(f"{layer}.parametrizations.weight.original")


def filter_importance(
    loss: Callable[[dict[str, Tensor], Tensor], Tensor],
    network: nn.Module,
    layers: Iterable[str],
    samples: Tensor,
) -> dict[str, Tensor]:
    """Return, per layer, the Fisher information of each filter: the mean over its weights of E[(∂ log p / ∂w)²], K."""
    key = "{}.parametrizations.weight.original"
    parameters: dict[str, Tensor] = {key.format(layer): weight_of(network, layer) for layer in layers}
    fisher = diagonal_fisher(loss, parameters, samples)
    return {layer: fisher[key.format(layer)].flatten(1).mean(dim=1) for layer in layers}


def largest(values: Tensor, count: int) -> Tensor:
    """Mark the `count` largest of K numbers: bool, K."""
    chosen = torch.zeros(len(values), dtype=torch.bool, device=values.device)
    chosen[values.topk(count).indices] = True
    return chosen


def least_important(importance: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Mark the least important share of all layers' filters, at least one unless the share is 0: layer -> bool, K.

    Each filter is measured by its layer's mean.
    """
    relative = torch.cat(
        [values / values.mean().clamp_min(torch.finfo(values.dtype).tiny) for values in importance.values()]
    )
    count = max(1, round(share * len(relative))) if share else 0
    marks = largest(-relative, count).split([len(values) for values in importance.values()])
    return dict(zip(importance, marks, strict=True))
