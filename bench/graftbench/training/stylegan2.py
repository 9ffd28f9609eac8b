"""StyleGAN2 against its discriminator on the adversarial loop: lazy R1, path lengths, sampler, source models.

Karras et al., arXiv 1912.04958; R1 and its interval as in their training with few images (arXiv 2006.06676).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, cast

import msgspec
import torch

from graftbench.bounds import Count, NonNegative, Positive, ShareBelowOne
from graftbench.nn.build import seeded
from graftbench.nn.penalties import gradient_norms
from graftbench.nn.stylegan2 import (
    StyleDiscriminator,
    StyleDiscriminatorSpec,
    StyleGenerator,
    StyleGeneratorSpec,
    stage_widths,
)
from graftbench.nn.upload import upload
from graftbench.training.adversarial import AdversarialConfig, fit_adversarial
from graftbench.training.loop import load_prefixed, source_spec
from graftbench.training.samplers import GeneratorSampler

if TYPE_CHECKING:
    from torch import Tensor, nn

    from graftbench.budget import Meter
    from graftbench.contracts import SourceModel, Task
    from graftbench.training.adversarial import DiscriminatorPass, GeneratorPass

PATH_DECAY = 0.99
"""Of the average path length (published code: 0.01 a step towards the new one)."""


class StyleGanConfig(AdversarialConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The settings of every StyleGAN2 method: published but for widths, latents and depth, which suit a CPU.

    Configuration F at 256 px is `channels_generator = channels_discriminator = 128` (or 64, the code's `auto`),
    `widest = latent = style = 512`, `depth = 8`. All networks' settings are ignored where a source model is given.

    Attributes:
        lr_generator: Adam's rate.
        lr_discriminator: Likewise.
        loss: A name in nn/losses.py.
        augment: As in `AdversarialConfig`. The paper has none; few images need it (arXiv 2006.10738).
        channels_generator: Channels at full resolution; they double with every halving of the side, up to `widest`.
        channels_discriminator: Likewise.
        widest: Channels at most.
        latent: Dimensions of z.
        style: Dimensions of w.
        depth: Layers of the mapping.
        r1: γ of R1, γ/2 · E‖∇D(x)‖² at real images; 0.0002 · side² / batch by the published rule, which is 0.0064 at
            32 px and a batch of 32.
        r1_every: Discriminator steps from one R1 to the next; it weighs that much more.
        path_length: Weight of the path length's variance; 0 for none.
        path_every: Generator steps from one to the next, likewise.
    """

    lr_generator: Positive = 2e-3
    lr_discriminator: Positive = 2e-3
    beta1: ShareBelowOne = 0.0
    beta2: ShareBelowOne = 0.99
    loss: str = "non-saturating"
    augment: str = "color,translation"
    channels_generator: Count = 16
    channels_discriminator: Count = 16
    widest: Count = 128
    latent: Count = 128
    style: Count = 128
    depth: Count = 4
    r1: NonNegative = 0.01
    r1_every: Count = 16
    path_length: NonNegative = 0.0
    path_every: Count = 4


# ---------------------------------------------------------------------------------------------------------- networks


def new_style_networks(task: Task, config: StyleGanConfig) -> tuple[StyleGenerator, StyleDiscriminator]:
    """Make both networks with fresh weights, from the task's generator of randomness."""
    spec = StyleGeneratorSpec(
        widths=stage_widths(task.resolution, config.channels_generator, config.widest),
        latent=config.latent,
        style=config.style,
        depth=config.depth,
    )
    judge = StyleDiscriminatorSpec(stage_widths(task.resolution, config.channels_discriminator, config.widest))
    return (
        seeded(lambda: StyleGenerator(spec), task.generator),
        seeded(lambda: StyleDiscriminator(judge), task.generator),
    )


def source_style_networks(model: SourceModel, resolution: int) -> tuple[StyleGenerator, StyleDiscriminator]:
    """Load generator and discriminator of a source model of kind `stylegan2`, each call a fresh copy.

    Raises:
        GraftbenchError: The model is of another kind, resolution or architecture.
    """
    discriminator = StyleDiscriminator(source_spec(model, "discriminator", StyleDiscriminatorSpec, resolution))
    load_prefixed(discriminator, model, "discriminator")
    return source_style_generator(model, resolution), discriminator


def source_style_generator(model: SourceModel, resolution: int) -> StyleGenerator:
    """Load the generator of a source model of kind `stylegan2`.

    Raises:
        GraftbenchError: The model is of another kind, resolution or architecture.
    """
    generator = StyleGenerator(source_spec(model, "generator", StyleGeneratorSpec, resolution))
    load_prefixed(generator, model, "generator")
    return generator


class StyleGanSampler(GeneratorSampler):
    """z ~ N(0, I) through StyleGAN2's generator with each layer's fixed noise map, without truncation."""

    kind: ClassVar[str] = "stylegan2-generator"

    @classmethod
    def from_state(cls, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> StyleGanSampler:
        """Build the architecture and load the weights."""
        network = StyleGenerator(msgspec.json.decode(metadata["spec"], type=StyleGeneratorSpec))
        network.load_state_dict(tensors)
        return cls(cast("Any", network))


# -------------------------------------------------------------------------------------------------------- penalties


class LazyR1:
    """R1 at every so many steps: γ/2 · E‖∇D(x)‖² at the real images as the discriminator saw them (arXiv 1801.04406).

    Weighted by the interval, as published (arXiv 1912.04958, section 3.1). The published code takes the gradient at the
    images before they are augmented.

    Args:
        discriminator: D; its minibatch deviation mixes a batch, which the gradient counts in, as published.
        gamma: γ.
        every: The interval.
    """

    def __init__(self, discriminator: nn.Module, gamma: float, every: int) -> None:
        self._discriminator, self._gamma, self._every = discriminator, gamma, every
        self._steps = 0

    def __call__(self, batch: DiscriminatorPass) -> dict[str, Tensor]:
        """Return the weighted penalty where it is due."""
        due = self._steps % self._every == 0
        self._steps += 1
        if not due:
            return {}
        energy = gradient_norms(self._discriminator, batch.real).square().mean()
        return {"r1": self._gamma / 2 * self._every * energy}

    def state_dict(self) -> dict[str, Any]:
        """Return the count of steps."""
        return {"steps": self._steps}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Resume from such a state."""
        self._steps = state["steps"]


class LazyPathLength:
    """At every so many steps E(‖J_wᵀ y‖ − a)², y ~ N(0, I) / side, a the running mean of these lengths.

    arXiv 1912.04958, equation 4; J_w of every layer's style, lengths the root of their mean square over layers, half a
    batch, as in the published code.

    Args:
        generator: The generator.
        weight: Of the penalty.
        every: The interval, which weighs it too.
        chances: CPU generator of y.
    """

    def __init__(self, generator: StyleGenerator, weight: float, every: int, chances: torch.Generator) -> None:
        self._generator, self._weight, self._every, self._chances = generator, weight, every, chances
        self._steps, self._mean = 0, torch.zeros(())

    def __call__(self, batch: GeneratorPass) -> dict[str, Tensor]:
        """Return the weighted penalty where it is due."""
        due = self._steps % self._every == 0
        self._steps += 1
        if not due:
            return {}
        lengths = path_lengths(self._generator, batch.z[: max(1, len(batch.z) // 2)], self._chances)
        self._mean = self._mean.to(lengths.device).lerp(lengths.mean().detach(), 1 - PATH_DECAY)
        return {"path length": self._weight * self._every * (lengths - self._mean).square().mean()}

    def state_dict(self) -> dict[str, Any]:
        """Return the count of steps and the running mean."""
        return {"steps": self._steps, "mean": self._mean}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Resume from such a state."""
        self._steps, self._mean = state["steps"], state["mean"]


def path_lengths(generator: StyleGenerator, z: Tensor, chances: torch.Generator) -> Tensor:
    """Return ‖J_wᵀ y‖ for each latent (and noise) of B rows: B, differentiable in the generator's weights."""
    latent, noise = z[:, : generator.spec.latent], z[:, generator.spec.latent :]
    styles = generator.mapped(latent)[:, None].repeat(1, len(generator.spec.noise_sides) + 1, 1)
    images = generator.synthesized(styles, generator.noise_maps(noise) if noise.shape[1] else None)
    y = torch.randn(images.shape, generator=chances).to(images) / math.sqrt(images.shape[2] * images.shape[3])
    (slopes,) = torch.autograd.grad((images * y).sum(), styles, create_graph=True)
    return slopes.square().sum(2).mean(1).sqrt()


# -------------------------------------------------------------------------------------------------------------- fits


def fit_stylegan2(
    task: Task, budget: Meter, config: StyleGanConfig, generator: StyleGenerator, discriminator: StyleDiscriminator
) -> GeneratorSampler:
    """Train both networks on the task's images until the budget is spent; the noise maps are drawn beside the latents.

    Returns:
        A sampler of the averaged generator.

    Raises:
        Diverged: A loss is not finite or has exploded, or the output collapsed.
    """
    numbers = generator.spec.latent + sum(side**2 for side in generator.spec.noise_sides)

    def latents(size: int) -> Tensor:
        return upload(torch.randn(size, numbers, generator=task.generator), task.device)

    path = LazyPathLength(generator, config.path_length, config.path_every, task.generator)
    return fit_adversarial(
        task,
        budget,
        config,
        cast("Any", generator),
        discriminator,
        sampler=cast("Any", StyleGanSampler),
        latents=latents,
        discriminator_terms=[LazyR1(discriminator, config.r1, config.r1_every)] if config.r1 else [],
        generator_terms=[path] if config.path_length else [],
    )


def train_source(task: Task, budget: Meter, config: StyleGanConfig) -> dict[str, nn.Module]:
    """Train a source model of kind `stylegan2`: the averaged generator and the last discriminator."""
    generator, discriminator = new_style_networks(task, config)
    sampler = fit_stylegan2(task, budget, config, generator, discriminator)
    return {"generator": sampler.network, "discriminator": discriminator}


def source_sampler(model: SourceModel, resolution: int) -> StyleGanSampler:
    """Make a sampler of the untransferred generator.

    Raises:
        GraftbenchError: The model is of another kind, resolution or architecture.
    """
    return StyleGanSampler(cast("Any", source_style_generator(model, resolution)))
