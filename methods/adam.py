"""AdAM: kernels that matter for the adaptation are kept and only modulated; all others are fine-tuned.

The first part of the budget probes: every kernel of the source model is modulated by a rank-one factor and nothing else
trains; the Fisher information of a kernel's modulation says how much the adaptation minds that kernel. Then the source
model starts again. (The name has nothing to do with the optimiser.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F

from graftbench.bounds import Count, InnerShare
from graftbench.contracts import Family, Method, SourceNeed
from graftbench.nn.build import freeze
from graftbench.nn.fisher import diagonal_fisher, with_parameters
from graftbench.nn.modulation import merged, modulate
from graftbench.references import cited
from graftbench.training import prepare, staged, train
from graftbench.training.adversarial import AdversarialConfig, Adversary, gaussian_latents, source_networks
from graftbench.training.samplers import GeneratorSampler

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task
    from graftbench.nn.generator import Generator
    from graftbench.nn.modulation import RankOneModulation
    from graftbench.training import Step, TrainingLog


class Config(AdversarialConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long to probe and how much to keep.

    Attributes:
        loss: That of the source model's training.
        probing: Share of the budget that probes. The published code: 500 steps before 1,500 to 2,500.
        important: Share of each layer's kernels that is kept and modulated. The published code keeps half of them for
            one target and a quarter for another; here one value stands for all.
        fisher_samples: Generated images from which the Fisher information is estimated. No target image is among them.
    """

    loss: str = "non-saturating"
    probing: InnerShare = 0.25
    important: InnerShare = 0.5
    fisher_samples: Count = 64


class AdaptationAware(Method):
    """Zhao, Chandrasegaran, Abdollahzadeh, Cheung, NeurIPS 2022."""

    name = "adam"
    family: ClassVar[Family] = "frozen"
    title = "AdAM"
    reference = cited("zhao2022few")
    trains = (
        "the kernels of generator and discriminator that the adaptation minds least, rank-one modulations of the "
        "others, and all batch norms, biases and last layers"
    )
    frozen = "half of the kernels of each layer, which are modulated"
    differs = (
        "the shared small networks instead of StyleGAN2; the share of important kernels is one for all targets and is "
        "taken in each layer instead of over all, for the layers' Fisher information differs by orders of magnitude; "
        "the discriminator's is taken from generated images alone, for real ones would be paid from the budget; "
        "batch norms and the layer to RGB are fine-tuned"
    )
    source_model: ClassVar[SourceNeed] = "gan"
    resumable = True
    moves = ("generator.*", "discriminator.*", "probed_*.parametrizations.weight.0.[uv]", "probed_discriminator.head.*")
    Config = Config

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Probe, choose the kernels to keep, start again from the source model and adapt."""
        config: Config = self.config
        probed, adapted = _Modulated(task), _Modulated(task)
        probed.train_modulations_alone()
        prepare(
            task,
            generator=adapted.generator,
            discriminator=adapted.discriminator,
            probed_generator=probed.generator,
            probed_discriminator=probed.discriminator,
        )

        def probing() -> Step:
            adversary = Adversary(task, config, probed.generator, probed.discriminator)

            def step(size: int, log: TrainingLog) -> bool:
                adversary(size, log)
                return False  # the network that is averaged has not moved

            return step

        def adaptation() -> Step:
            adapted.hold(probed.importance(task, config), config.important)
            return Adversary(task, config, adapted.generator, adapted.discriminator)

        def sampler(average: Generator) -> GeneratorSampler:
            plain, _ = source_networks(task.source_model, task.resolution)
            plain.load_state_dict(merged(average))
            return GeneratorSampler(plain.to(task.device))

        step = staged(task, budget, [(config.probing, probing), (1.0, adaptation)])
        return train(task, budget, config, step, adapted.generator, sampler=sampler)


class _Modulated:
    """Generator and discriminator of the source model with modulated kernels: all layers but the last of each."""

    def __init__(self, task: Task) -> None:
        self.generator, self.discriminator = source_networks(task.source_model, task.resolution)
        self.of_generator = modulate(
            {"stem": self.generator.stem}
            | {f"blocks.{i}.conv": block.get_submodule("conv") for i, block in enumerate(self.generator.blocks)},
            task.generator,
        )
        self.of_discriminator = modulate(
            {f"blocks.{i}.0": block.get_submodule("0") for i, block in enumerate(self.discriminator.blocks)},
            task.generator,
        )

    def train_modulations_alone(self) -> None:
        """Freeze all but the modulations and the discriminator's last layer, which the published code trains too."""
        freeze(self.generator)
        freeze(self.discriminator)
        for modulation in (*self.of_generator.values(), *self.of_discriminator.values()):
            modulation.requires_grad_(requires_grad=True)
        self.discriminator.head.requires_grad_(requires_grad=True)

    def importance(self, task: Task, config: Config) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return, per layer of each network, the Fisher information of the kernels' modulations at generated images."""
        generator, discriminator = self.generator.eval(), self.discriminator.eval()
        z = gaussian_latents(config.fisher_samples, generator, task)

        def generator_loss(v: dict[str, Tensor], sample: Tensor) -> Tensor:
            return F.softplus(-discriminator(with_parameters(generator, v, sample))).mean()

        def discriminator_loss(v: dict[str, Tensor], image: Tensor) -> Tensor:
            return F.softplus(with_parameters(discriminator, v, image)).mean()

        with torch.no_grad():
            images = generator(z)
        return (
            kernel_importance(generator_loss, self.of_generator, z),
            kernel_importance(discriminator_loss, self.of_discriminator, images),
        )

    def hold(self, importance: tuple[dict[str, Tensor], dict[str, Tensor]], share: float) -> None:
        """Keep the source's kernels where they are important and modulate them; free the others."""
        for modulations, values in zip((self.of_generator, self.of_discriminator), importance, strict=True):
            for name, modulation in modulations.items():
                modulation.held.copy_(most_important(values[name], share))


def kernel_importance(
    loss: Callable[[dict[str, Tensor], Tensor], Tensor], modulations: dict[str, RankOneModulation], samples: Tensor
) -> dict[str, Tensor]:
    """Return, per layer, the Fisher information of v_k, one number a kernel: E[(∂ log p / ∂v_k)²].

    The published code adds the mean over u, the same for all kernels of a layer: it changes no order within one.
    """
    key = "{}.parametrizations.weight.0.v"
    parameters = {key.format(layer): modulation.v for layer, modulation in modulations.items()}
    fisher = diagonal_fisher(loss, parameters, samples)
    return {layer: fisher[key.format(layer)] for layer in modulations}


def most_important(importance: Tensor, share: float) -> Tensor:
    """Mark the most important share of a layer's kernels, but neither none nor all: bool, K."""
    kernels = len(importance)
    count = min(max(1, round(share * kernels)), kernels - 1)
    chosen = torch.zeros(kernels, dtype=torch.bool, device=importance.device)
    chosen[importance.topk(count).indices] = True
    return chosen
