"""The adversarial loop that every GAN-family method shares, and the plain one for the rest."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import torch

from graftbench.contracts import Diverged
from graftbench.errors import GraftbenchError
from graftbench.nn.augment import DiffAugment
from graftbench.nn.build import count_parameters, place, seeded, train_unfrozen
from graftbench.nn.discriminator import Discriminator, DiscriminatorSpec
from graftbench.nn.ema import Ema
from graftbench.nn.generator import Generator, GeneratorSpec
from graftbench.nn.losses import adversarial_loss
from graftbench.nn.precision import Precision, autocast, resolve
from graftbench.samplers import GeneratorSampler, to_float

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor, nn

    from graftbench.budget import Meter
    from graftbench.contracts import SourceModel, Task

LOG_POINTS = 50
"""Points of a training log."""


class TrainingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every trained method can be told.

    Attributes:
        batch_size: Images per step.
        ema_decay: Decay of the averaged generator per step, with a ramp (see nn/ema.py).
        precision: `auto` (bfloat16 where the hardware has it), `float32` or `bfloat16`.
    """

    batch_size: int = 32
    ema_decay: float = 0.998
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        if self.batch_size < 2:
            raise ValueError(f"batch_size must be at least 2 (batch norm); found {self.batch_size}")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay must be in [0, 1); found {self.ema_decay}")


class AdversarialConfig(TrainingConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every method on the adversarial loop can be told.

    Attributes:
        lr_generator: Adam's learning rate (SNGAN: 2e-4, arXiv 1802.05957, table 2).
        lr_discriminator: Likewise.
        beta1: Adam's β₁ (SNGAN: 0).
        beta2: Adam's β₂ (StyleGAN: 0.99, arXiv 1812.04948).
        loss: `hinge` or `non-saturating`.
        augment: DiffAugment policy, for example "color,translation,cutout"; empty for none.
        discriminator_steps: Discriminator steps per generator step.
        channels_generator: Channels of the generator's last stage; ignored where a source model is given.
        channels_discriminator: Channels of the discriminator's first block; likewise.
    """

    lr_generator: float = 2e-4
    lr_discriminator: float = 2e-4
    beta1: float = 0.0
    beta2: float = 0.99
    loss: str = "hinge"
    augment: str = ""
    discriminator_steps: int = 1
    channels_generator: int = 16
    channels_discriminator: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(0 < rate < math.inf for rate in (self.lr_generator, self.lr_discriminator)):
            raise ValueError("lr_generator and lr_discriminator must be positive and finite")
        if not all(0 <= beta < 1 for beta in (self.beta1, self.beta2)):
            raise ValueError("beta1 and beta2 must be in [0, 1)")
        if min(self.channels_generator, self.channels_discriminator) < 1:
            raise ValueError("channels_generator and channels_discriminator must be at least 1")
        if self.discriminator_steps < 1:
            raise ValueError(f"discriminator_steps must be at least 1; found {self.discriminator_steps}")
        adversarial_loss(self.loss)
        DiffAugment(self.augment, torch.Generator())


def new_networks(task: Task, config: AdversarialConfig) -> tuple[Generator, Discriminator]:
    """A generator and a discriminator with fresh weights, from the task's generator of randomness."""
    shape = GeneratorSpec(resolution=task.resolution, channels=config.channels_generator)
    judge = DiscriminatorSpec(resolution=task.resolution, channels=config.channels_discriminator)
    return (
        seeded(lambda: Generator(shape), task.generator),
        seeded(lambda: Discriminator(judge), task.generator),
    )


def source_networks(model: SourceModel, resolution: int) -> tuple[Generator, Discriminator]:
    """The generator and discriminator of a source model.

    Raises:
        GraftbenchError: The model is of another resolution or architecture.
    """
    try:
        shape = msgspec.json.decode(model.metadata["generator"], type=GeneratorSpec)
        judge = msgspec.json.decode(model.metadata["discriminator"], type=DiscriminatorSpec)
    except (KeyError, msgspec.MsgspecError) as error:
        raise GraftbenchError(f"Source model {model.id} does not describe a generator and a discriminator.") from error
    for does, spec in (("makes", shape), ("judges", judge)):
        if spec.resolution != resolution:
            raise GraftbenchError(
                f"Source model {model.id} {does} {spec.resolution} px images; the task needs {resolution}."
            )
    generator, discriminator = Generator(shape), Discriminator(judge)
    load_prefixed(generator, model, "generator")
    load_prefixed(discriminator, model, "discriminator")
    return generator, discriminator


def load_prefixed(network: nn.Module, model: SourceModel, prefix: str) -> None:
    """Load the tensors `prefix.*` of a source model into a network.

    Raises:
        GraftbenchError: Names or shapes do not match.
    """
    start = prefix + "."
    state = {name.removeprefix(start): tensor for name, tensor in model.tensors.items() if name.startswith(start)}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise GraftbenchError(f"Source model {model.id} is of another architecture ({prefix}): {error}") from error


class Batches:
    """Draws batches of training images with replacement and turns them into [−1, 1]."""

    def __init__(self, images: Tensor, generator: torch.Generator) -> None:
        self._images = images
        self._generator = generator

    def draw(self, n: int) -> Tensor:
        """Draw n images: float32 n×3×H×W in [−1, 1]."""
        choice = torch.randint(len(self._images), (n,), generator=self._generator)
        return to_float(self._images[choice.to(self._images.device)])


class TrainingLog:
    """Averages losses and writes about LOG_POINTS points over the budget; stops a training that left finite numbers.

    Losses are summed on the device and read only when a point is written: no synchronisation per step.
    """

    def __init__(self, task: Task, budget: Meter) -> None:
        self._log = task.log
        self._budget = budget
        self._sums: dict[str, Tensor] = {}
        self._steps: dict[str, int] = {}
        self._points_due = 0

    def add(self, **losses: Tensor) -> None:
        """Add one step's losses (0-dimensional tensors).

        The meter counts a batch when its step is over, so a point that is due is written before the next step's losses
        are added: its losses are those of the images it names.

        Raises:
            Diverged: A loss is not finite.
        """
        due = int(self._budget.share() * LOG_POINTS)
        if due > self._points_due:
            self.write()
            self._points_due = due
        for name, loss in losses.items():
            self._sums[name] = self._sums.get(name, torch.zeros((), device=loss.device)) + loss.detach().float()
            self._steps[name] = self._steps.get(name, 0) + 1

    def write(self) -> None:
        """Write a point: each loss's mean over the steps since the last point that had it.

        Raises:
            Diverged: A loss is not finite.
        """
        if not self._steps:
            return
        means = {name: float(total) / self._steps[name] for name, total in self._sums.items()}
        for name, mean in means.items():
            if not math.isfinite(mean):
                raise Diverged(f"the {name} loss is {mean} after {self._budget.images_seen} images")
        self._log.curve.append((self._budget.images_seen, self._budget.seconds(), means))
        self._sums, self._steps = {}, {}


def trained(module: nn.Module) -> list[nn.Parameter]:
    """The parameters that move."""
    return [p for p in module.parameters() if p.requires_grad]


def note_small_budget(task: Task, batch_size: int) -> None:
    """Say so in the record where a batch holds more images than there are."""
    n = len(task.images)
    if batch_size > n:
        task.log.notes.append(f"Batches of {batch_size} were drawn with replacement from {n} images.")


def check_collapse(sampler: GeneratorSampler) -> None:
    """Raise where all samples are one image.

    Raises:
        Diverged: No pixel varies by more than one grey level over 64 samples.
    """
    samples = sampler.sample(64, torch.Generator().manual_seed(0)).float()
    if samples.std(dim=0).max() < 1:
        raise Diverged(f"the output collapsed: {len(samples)} samples are one image")


def fit_adversarial(
    task: Task,
    budget: Meter,
    config: AdversarialConfig,
    generator: Generator,
    discriminator: Discriminator,
    *,
    networks: Iterable[nn.Module] = (),
) -> GeneratorSampler:
    """Alternate discriminator and generator steps on the task's images until the budget is spent.

    What requires no gradient stays as it is, buffers included. One image of the budget is one real image shown to the
    discriminator.

    Args:
        task: Images, device, randomness, log.
        budget: Ends the loop.
        config: Loss, optimiser, augmentation, EMA.
        generator: Trained in place where it requires gradients.
        discriminator: Likewise.
        networks: Other networks that take part, for the parameter counts.

    Returns:
        A sampler of the averaged generator.

    Raises:
        Diverged: A loss is not finite, or the output collapsed.
    """
    place(generator, task.device)
    place(discriminator, task.device)
    train_unfrozen(generator)
    train_unfrozen(discriminator)
    everything = [generator, discriminator, *networks]
    task.log.parameters_total = count_parameters(everything)
    task.log.parameters_trained = count_parameters(everything, trained_only=True)
    note_small_budget(task, config.batch_size)

    step = _adversarial_step(task, config, generator, discriminator)
    ema = Ema(generator, decay=config.ema_decay)
    log = TrainingLog(task, budget)
    for number, size in enumerate(budget.batches(config.batch_size), start=1):
        step(size, log, number % config.discriminator_steps == 0)
        ema.update(generator)
    log.write()
    sampler = GeneratorSampler(ema.model)
    check_collapse(sampler)
    return sampler


def _adversarial_step(
    task: Task, config: AdversarialConfig, generator: Generator, discriminator: Discriminator
) -> Callable[[int, TrainingLog, bool], None]:
    """The function that takes one step on `size` images."""
    device, rng = task.device, task.generator
    dtype = resolve(config.precision, device)
    loss = adversarial_loss(config.loss)
    augment = DiffAugment(config.augment, rng)
    real_images = Batches(task.images, rng)
    weights_g, weights_d = trained(generator), trained(discriminator)
    betas = (config.beta1, config.beta2)
    adam_g = torch.optim.Adam(weights_g, lr=config.lr_generator, betas=betas, foreach=True)
    adam_d = torch.optim.Adam(weights_d, lr=config.lr_discriminator, betas=betas, foreach=True)

    def noise(size: int) -> Tensor:
        return torch.randn(size, generator.spec.latent, generator=rng).to(device, non_blocking=True)

    def step(size: int, log: TrainingLog, generator_too: bool) -> None:  # noqa: FBT001 - a local function
        with autocast(dtype, device):
            with torch.no_grad():
                fake = generator(noise(size)).float()
            both = torch.cat([augment(real_images.draw(size)), augment(fake)])
            logits = discriminator(both.contiguous(memory_format=torch.channels_last))
        real_logits, fake_logits = logits.float().split(size)
        loss_d = loss.discriminator(real_logits, fake_logits)
        adam_d.zero_grad(set_to_none=True)
        loss_d.backward(inputs=weights_d)
        adam_d.step()
        if not generator_too:
            log.add(discriminator=loss_d)
            return
        with autocast(dtype, device):
            logits = discriminator(augment(generator(noise(size)).float()))
        loss_g = loss.generator(logits.float())
        adam_g.zero_grad(set_to_none=True)
        loss_g.backward(inputs=weights_g)  # the discriminator's weights get no gradient here
        adam_g.step()
        log.add(discriminator=loss_d, generator=loss_g)

    return step
