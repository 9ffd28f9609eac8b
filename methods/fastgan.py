"""FastGAN from scratch: a light generator for a handful of images, against a discriminator that must be able to redraw.

Coarse maps of the generator gate the channels of fine ones (skip-layer excitation). The discriminator's maps must hold
enough of a real image for a decoder to redraw it, which keeps it from looking at a few telling pixels alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

import msgspec
import torch

from graftbench.bounds import NonNegative, ShareBelowOne
from graftbench.contracts import Family, Method
from graftbench.errors import GraftbenchError
from graftbench.nn.build import seeded
from graftbench.nn.fastgan import FastDiscriminator, FastGenerator, FastGeneratorSpec, reconstruction_loss
from graftbench.nn.precision import autocast, resolve
from graftbench.references import cited
from graftbench.training.adversarial import AdversarialConfig, fit_adversarial
from graftbench.training.samplers import GeneratorSampler

if TYPE_CHECKING:
    from torch import Tensor

    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task
    from graftbench.training.adversarial import DiscriminatorPass


class Config(AdversarialConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Loss, augmentation and Adam's β are the published code's; rate, batch and average are those of all methods here.

    Attributes:
        reconstruction: Weight of the reconstruction loss (published: 1, of a perceptual distance).
    """

    loss: str = "hinge"
    augment: str = "color,translation"
    beta1: ShareBelowOne = 0.5
    beta2: ShareBelowOne = 0.999
    reconstruction: NonNegative = 1.0


class FastGanSampler(GeneratorSampler):
    """z ~ N(0, I) through FastGAN's generator."""

    kind: ClassVar[str] = "fastgan-generator"

    @classmethod
    def from_state(cls, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> FastGanSampler:
        """Build the architecture and load the weights."""
        network = FastGenerator(msgspec.json.decode(metadata["spec"], type=FastGeneratorSpec))
        network.load_state_dict(tensors)
        return cls(cast("Any", network))


class FastGan(Method):
    """Liu, Zhu, Song, Elgammal, ICLR 2021."""

    name = "fastgan"
    family: ClassVar[Family] = "scratch"
    title = "FastGAN from scratch"
    reference = cited("liu2021towards")
    trains = "a generator with skip-layer excitation and a discriminator with decoders, from fresh weights"
    differs = (
        "the widths of the shared networks, a quarter of the published; a gate spans three halvings instead of four, "
        "or 32 px would have none; no noise beside z and no spectral norm in the generator, where batch norm undoes "
        "it; the discriminator has no batch norm, for real and generated images come in one batch here; its small "
        "view of a generated image is that image at half the side, as of real ones, and not a second output; hinge "
        "margins of 1 instead of U(0.8, 1); reconstructions are compared by pixels, as the paper's equation has it, "
        "and not by LPIPS, whose network is not shipped; torch's initial weights; the original repository has no code "
        "any more and was read in a copy"
    )
    resumable = True
    moves = ("generator.*", "discriminator.*")
    Config = Config

    def check(self, resolution: int) -> None:
        """Refuse a side at which there is nothing to gate."""
        try:
            FastGeneratorSpec(resolution)
        except ValueError as error:
            raise GraftbenchError(f"{error}.") from error

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Train both networks on the target images."""
        config: Config = self.config
        spec = FastGeneratorSpec(resolution=task.resolution, channels=config.channels_generator)
        generator = seeded(lambda: FastGenerator(spec), task.generator)
        discriminator = seeded(
            lambda: FastDiscriminator(task.resolution, config.channels_discriminator), task.generator
        )
        dtype = resolve(config.precision, task.device)

        def reconstruction(batch: DiscriminatorPass) -> dict[str, Tensor]:
            quarter = int(torch.randint(4, (), generator=task.generator))
            with autocast(dtype, task.device):
                loss = reconstruction_loss(discriminator, batch.real, quarter)
            return {"reconstruction": config.reconstruction * loss}

        return fit_adversarial(
            task,
            budget,
            config,
            cast("Any", generator),
            discriminator,
            sampler=cast("Any", FastGanSampler),
            discriminator_terms=[reconstruction] if config.reconstruction else [],
        )
