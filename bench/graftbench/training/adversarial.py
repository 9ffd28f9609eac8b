"""A generator against a discriminator: what every GAN-family method shares.

A method says what differs: the networks it starts from, what of them is frozen, and terms, augmentations, images or
latents of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch

from graftbench.bounds import Count, Positive, ShareBelowOne
from graftbench.nn.augment import DiffAugment
from graftbench.nn.build import seeded
from graftbench.nn.discriminator import Discriminator, DiscriminatorSpec
from graftbench.nn.generator import Generator, GeneratorSpec
from graftbench.nn.losses import adversarial_loss
from graftbench.nn.precision import autocast, resolve
from graftbench.nn.upload import upload
from graftbench.training.foreign import ForeignGenerator, ForeignGeneratorSpec, is_foreign
from graftbench.training.loop import (
    Batches,
    TrainingConfig,
    adam,
    descend,
    load_prefixed,
    prepare,
    source_spec,
    train,
    trained,
)
from graftbench.training.samplers import GeneratorSampler

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from graftbench.budget import Meter
    from graftbench.contracts import SourceModel, Stateful, Task
    from graftbench.training.foreign import AnyGenerator
    from graftbench.training.loop import TrainingLog


class AdversarialConfig(TrainingConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The settings of every method on the adversarial loop.

    Attributes:
        lr_generator: Adam's learning rate (SNGAN: 2e-4, arXiv 1802.05957, table 2).
        lr_discriminator: Likewise.
        beta1: Adam's β₁ (SNGAN: 0).
        beta2: Adam's β₂ (StyleGAN: 0.99, arXiv 1812.04948).
        loss: A name in nn/losses.py.
        augment: DiffAugment policy, for example "color,translation,cutout"; empty for none.
        discriminator_steps: Discriminator steps per generator step.
        channels_generator: Channels of the generator's last stage; ignored where a source model is given.
        channels_discriminator: Channels of the discriminator's first block; likewise.
    """

    lr_generator: Positive = 2e-4
    lr_discriminator: Positive = 2e-4
    beta1: ShareBelowOne = 0.0
    beta2: ShareBelowOne = 0.99
    loss: str = "hinge"
    augment: str = ""
    discriminator_steps: Count = 1
    channels_generator: Count = 16
    channels_discriminator: Count = 32

    def __post_init__(self) -> None:
        adversarial_loss(self.loss)
        DiffAugment(self.augment, torch.Generator())


# -------------------------------------------------------------------------------------------------------- networks


def new_networks(
    task: Task, config: AdversarialConfig, *, spectral_norm: bool = True
) -> tuple[Generator, Discriminator]:
    """Make a generator and a discriminator with fresh weights, from the task's generator of randomness."""
    shape = GeneratorSpec(resolution=task.resolution, channels=config.channels_generator)
    judge = DiscriminatorSpec(
        resolution=task.resolution, channels=config.channels_discriminator, spectral_norm=spectral_norm
    )
    return seeded(lambda: Generator(shape), task.generator), seeded(lambda: Discriminator(judge), task.generator)


def source_networks(model: SourceModel, resolution: int) -> tuple[Generator, Discriminator]:
    """Load generator and discriminator of a source model that was trained here, each call a fresh copy.

    The generator is the averaged one, the discriminator the last one.

    Raises:
        GraftbenchError: The model is of another resolution or architecture, or its generator is from elsewhere.
    """
    generator = Generator(source_spec(model, "generator", GeneratorSpec, resolution))
    load_prefixed(generator, model, "generator")
    return generator, source_discriminator(model, resolution)


def any_source_networks(model: SourceModel, resolution: int) -> tuple[AnyGenerator, Discriminator]:
    """Load networks as `source_networks` does, and of a generator from elsewhere too; see `Method.source_parts`.

    Raises:
        GraftbenchError: The model is of another resolution or architecture, or its generator cannot be built.
    """
    return source_generator(model, resolution), source_discriminator(model, resolution)


def source_generator(model: SourceModel, resolution: int) -> AnyGenerator:
    """Load the generator of a source model, each call a fresh copy.

    Raises:
        GraftbenchError: The model is of another resolution or architecture, or its generator cannot be built.
    """
    kind = ForeignGeneratorSpec if is_foreign(model.metadata.get("generator", "{}")) else GeneratorSpec
    spec = source_spec(model, "generator", kind, resolution)
    program = model.tensors.get("generator.program")
    generator = Generator(spec) if isinstance(spec, GeneratorSpec) else ForeignGenerator(spec, program)
    load_prefixed(generator, model, "generator")
    return generator


def source_discriminator(model: SourceModel, resolution: int) -> Discriminator:
    """Load the last discriminator of a source model, each call a fresh copy.

    Raises:
        GraftbenchError: The model is of another resolution or architecture.
    """
    discriminator = Discriminator(source_spec(model, "discriminator", DiscriminatorSpec, resolution))
    load_prefixed(discriminator, model, "discriminator")
    return discriminator


# ----------------------------------------------------------------------------------------------------------- steps


@dataclass(frozen=True)
class DiscriminatorPass:
    """The batch that a term of the discriminator's loss may use; images as the discriminator saw them.

    Attributes:
        real: Augmented real images, B×3×H×W, without gradient.
        fake: Augmented generated images, B×3×H×W, without gradient.
        real_logits: Float32, B, or B×K of a discriminator with several outputs.
        fake_logits: Likewise.
        conditions: What both networks were given beside the images and latents, B rows each; mostly nothing.
    """

    real: Tensor
    fake: Tensor
    real_logits: Tensor
    fake_logits: Tensor
    conditions: tuple[Tensor, ...]


@dataclass(frozen=True)
class GeneratorPass:
    """The batch that a term of the generator's loss may use.

    Attributes:
        z: Latents, B×latent.
        fake: Generated images before augmentation, float32 B×3×H×W, with gradient.
        logits: Float32, B or B×K.
        conditions: Likewise.
    """

    z: Tensor
    fake: Tensor
    logits: Tensor
    conditions: tuple[Tensor, ...]


DiscriminatorTerm = Callable[[DiscriminatorPass], "dict[str, Tensor]"]
"""Named losses, weighted already, that are added to the discriminator's; an empty dict where it only watches."""

GeneratorTerm = Callable[[GeneratorPass], "dict[str, Tensor]"]
"""Likewise for the generator."""


class Adversary:
    """A generator, a discriminator and their optimisers. Calling it takes one step (`graftbench.training.Step`).

    The task keeps it, and with it whichever of the arguments has a state (`graftbench.contracts.Stateful`). A term that
    remembers something from step to step must have one, or what goes on from a checkpoint is another fit.

    One image of the budget is one real image shown to the discriminator. What wants no gradient when it is made stays
    as it is.

    Args:
        task: Images, device, randomness.
        config: Losses, rates, augmentation.
        generator: z (and conditions) -> images B×3×H×W in [−1, 1]; already prepared (`training.prepare`).
        discriminator: Images (and conditions) -> logits, B or B×K; positive means real.
        augment: Changes real and generated images before the discriminator; config.augment by default.
        real: Draws so many real images, float32 B×3×H×W in [−1, 1] on the device; the task's by default.
        latents: Draws so many latents, B×latent on the device; N(0, I) by default.
        conditions: Further arguments of both networks for a batch of so many (labels of domains), B rows each; none by
            default. `real` draws images to which they apply.
        discriminator_terms: Added to the discriminator's loss.
        generator_terms: Added to the generator's.
    """

    def __init__(
        self,
        task: Task,
        config: AdversarialConfig,
        generator: nn.Module,
        discriminator: nn.Module,
        *,
        augment: Callable[[Tensor], Tensor] | None = None,
        real: Callable[[int], Tensor] | None = None,
        latents: Callable[[int], Tensor] | None = None,
        conditions: Callable[[int], tuple[Tensor, ...]] = lambda _: (),
        discriminator_terms: Sequence[DiscriminatorTerm] = (),
        generator_terms: Sequence[GeneratorTerm] = (),
    ) -> None:
        self.generator, self.discriminator = generator, discriminator
        self.device, self.loss = task.device, adversarial_loss(config.loss)
        self.augment = augment or DiffAugment(config.augment, task.generator)
        self.real = real or Batches(task.images, task.generator).draw
        self.latents = latents or (lambda size: gaussian_latents(size, generator, task))
        self.conditions = conditions
        self._terms_d, self._terms_g = list(discriminator_terms), list(generator_terms)
        self._dtype = resolve(config.precision, task.device)
        self._steps, self._period = 0, config.discriminator_steps
        betas = {"beta1": config.beta1, "beta2": config.beta2}
        self.adam_g = adam(trained(generator), lr=config.lr_generator, **betas)
        self.adam_d = adam(trained(discriminator), lr=config.lr_discriminator, **betas)
        task.keep(adversary=self)

    def _memories(self) -> dict[str, Stateful]:
        """Return those of the differences that have a state, by name."""
        named = {"augment": self.augment, "real": self.real, "latents": self.latents, "conditions": self.conditions}
        for name, terms in (("discriminator", self._terms_d), ("generator", self._terms_g)):
            named |= {f"{name} term {index}": term for index, term in enumerate(terms)}
        return {name: cast("Stateful", part) for name, part in named.items() if hasattr(part, "state_dict")}

    def state_dict(self) -> dict[str, Any]:
        """Return the count of steps, both optimisers, and what the differences remember."""
        memories = {name: part.state_dict() for name, part in self._memories().items()}
        optimizers = {"adam_g": self.adam_g.state_dict(), "adam_d": self.adam_d.state_dict()}
        return {"steps": self._steps, **optimizers, "memories": memories}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Resume from such a state; the networks are kept by `training.prepare`."""
        self._steps = state["steps"]
        self.adam_g.load_state_dict(state["adam_g"])
        self.adam_d.load_state_dict(state["adam_d"])
        for name, part in self._memories().items():
            part.load_state_dict(state["memories"][name])

    def __call__(self, size: int, log: TrainingLog) -> bool:
        """Take a discriminator step, and a generator step when it is due; return whether the generator moved."""
        self._steps += 1
        losses = self.discriminator_step(size)
        moved = self._steps % self._period == 0
        if moved:
            losses |= self.generator_step(size, log)
        log.add(**losses)
        return moved

    def discriminator_step(self, size: int, fake: Callable[[int], Tensor] | None = None) -> dict[str, Tensor]:
        """Train the discriminator on `size` real and as many generated images (by `fake`, if given); return its losses.

        `fake` returns float32 B×3×H×W in [−1, 1].
        """
        conditions = self.conditions(size)
        generated = fake(size) if fake else self.generated(size, conditions)
        both = torch.cat([self.augment(self.real(size)), self.augment(generated)])
        both = both.contiguous(memory_format=torch.channels_last)
        with autocast(self._dtype, self.device):
            logits = self.discriminator(both, *(torch.cat([c, c]) for c in conditions)).float()
        (real, fakes), (real_logits, fake_logits) = both.split(size), logits.split(size)
        loss = self.loss.discriminator(real_logits, fake_logits)
        batch = DiscriminatorPass(real, fakes, real_logits, fake_logits, conditions)
        return _descend(self.adam_d, "discriminator", loss, [term(batch) for term in self._terms_d])

    def generator_step(self, size: int, log: TrainingLog) -> dict[str, Tensor]:
        """Train the generator on `size` latents; return its losses."""
        z, conditions = self.latents(size), self.conditions(size)
        with autocast(self._dtype, self.device):
            fake = self.generator(z, *conditions).float()
        log.look(fake)
        logits = self.judge(fake, *conditions)
        batch = GeneratorPass(z, fake, logits, conditions)
        loss = self.loss.generator(logits)
        return _descend(self.adam_g, "generator", loss, [term(batch) for term in self._terms_g])

    @torch.no_grad()
    def generated(self, size: int, conditions: tuple[Tensor, ...] = ()) -> Tensor:
        """Generate fresh images without gradient: float32 B×3×H×W in [−1, 1]."""
        with autocast(self._dtype, self.device):
            return self.generator(self.latents(size), *conditions).float()

    def judge(self, images: Tensor, *conditions: Tensor) -> Tensor:
        """Return float32 logits of augmented images; differentiable in them."""
        augmented = self.augment(images)
        with autocast(self._dtype, self.device):
            return self.discriminator(augmented, *conditions).float()


def _descend(
    optimizer: torch.optim.Optimizer, name: str, loss: Tensor, terms: Sequence[dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Take one step down the sum; return the adversarial loss under `name` and the terms under theirs."""
    extra = {key: value for term in terms for key, value in term.items()}
    descend(optimizer, sum(extra.values(), start=loss))
    return {name: loss, **extra}


def gaussian_latents(size: int, generator: nn.Module, task: Task) -> Tensor:
    """Draw z ~ N(0, I) for a generator with a `spec.latent`: size×latent on the task's device, drawn on the CPU."""
    z = torch.randn(size, cast("GeneratorSpec", generator.spec).latent, generator=task.generator)
    return upload(z, task.device)


# ------------------------------------------------------------------------------------------------------------ fits


def fit_adversarial(
    task: Task,
    budget: Meter,
    config: AdversarialConfig,
    generator: AnyGenerator,
    discriminator: nn.Module,
    *,
    others: Mapping[str, nn.Module] | None = None,
    sampler: Callable[[AnyGenerator], GeneratorSampler] = GeneratorSampler,
    **differences: Any,  # noqa: ANN401 - the keyword arguments of Adversary
) -> GeneratorSampler:
    """Alternate discriminator and generator steps on the task's images until the budget is spent.

    What requires no gradient stays as it is, buffers included.

    Args:
        task: Images, device, randomness, log.
        budget: Ends the loop.
        config: Loss, optimiser, augmentation, EMA.
        generator: Trained in place where it requires gradients.
        discriminator: Likewise.
        others: Name -> other networks that take part (a frozen source generator).
        sampler: Makes a sampler of the averaged generator.
        **differences: As in `Adversary`.

    Returns:
        A sampler of the averaged generator.

    Raises:
        Diverged: A loss is not finite or has exploded, or the output collapsed.
    """
    prepare(task, generator=generator, discriminator=discriminator, **(others or {}))
    step = Adversary(task, config, generator, discriminator, **differences)
    return train(task, budget, config, step, generator, sampler=sampler)


# --------------------------------------------------------------------------------------------------- source models


def train_source(task: Task, budget: Meter, config: AdversarialConfig) -> dict[str, nn.Module]:
    """Train a source model of kind `gan`: the averaged generator and the last discriminator."""
    generator, discriminator = new_networks(task, config)
    sampler = fit_adversarial(task, budget, config, generator, discriminator)
    return {"generator": sampler.network, "discriminator": discriminator}


def source_sampler(model: SourceModel, resolution: int) -> GeneratorSampler:
    """Make a sampler of the untransferred generator.

    Raises:
        GraftbenchError: The model is of another resolution or architecture.
    """
    return GeneratorSampler(source_generator(model, resolution))
