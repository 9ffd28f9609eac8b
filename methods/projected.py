"""Projected GAN: the discriminator looks through a frozen ImageNet network, and only its small heads are trained.

What is transferred is a classifier's eye, not a generator: the generator starts from fresh weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from msgspec import Meta

from graftbench.bounds import MOST, Count
from graftbench.contracts import Family, Method
from graftbench.nn.backbone import FeatureMaps, backbone_file, check_backbone, leaking_extractor
from graftbench.nn.build import seeded
from graftbench.nn.projected import ProjectedDiscriminator
from graftbench.references import cited
from graftbench.training.adversarial import AdversarialConfig, fit_adversarial, new_networks

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task


class Config(AdversarialConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings beside the adversarial loop's. Loss, rates, betas and augmentation are the published code's (FastGAN).

    Attributes:
        backbone: `lite0` (paper: EfficientNet-Lite1; published code: Lite0), `timm:NAME` or `torchvision:NAME`.
        weights: Path of the backbone's weights file; empty for the backbone's own.
        backbone_side: Side in pixels to which smaller images are enlarged for the backbone (published code: 224). At 64
            a step on 32 images takes 0.3 s of one CPU core; the backbone's share grows with the square of the side.
        projection_channels: Channels of the finest projected map (published code: 64; heads that take 4 times as long).
    """

    loss: str = "hinge"
    augment: str = "color,translation,cutout"
    backbone: str = "lite0"
    weights: str = ""
    backbone_side: Annotated[int, Meta(ge=32, le=MOST)] = 64
    projection_channels: Count = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        check_backbone(self.backbone)


class Projected(Method):
    """Sauer, Chitta, Müller, Geiger, NeurIPS 2021."""

    name = "projected"
    family: ClassVar[Family] = "frozen"
    title = "Projected GAN"
    reference = cited("sauer2021projected")
    trains = "generator and the discriminator's heads, from fresh weights"
    frozen = "an ImageNet network (EfficientNet-Lite0) and random projections of its maps; no source model is used"
    differs = (
        "the shared small generator instead of StyleGAN2 or FastGAN; the backbone sees 64 px instead of 224, so a head "
        "halves its map less often and gives one logit instead of 4×4; half as many channels, for a CPU's sake; no "
        "batch norm in the heads, which the published code has: it shows real and generated images apart, the shared "
        "loop in one batch, whose statistics would mix them; cutouts of half the side, as in DiffAugment's paper, "
        "instead of a fifth"
    )
    resumable = True
    moves = ("generator.*", "discriminator.heads.*")
    Config = Config

    @property
    def leaks(self) -> str:
        """Name the extractor whose network is the backbone, if any."""
        return leaking_extractor(self.config.backbone)

    def check(self, resolution: int) -> None:
        """Refuse a backbone whose weights are neither here nor can be fetched."""
        del resolution
        backbone_file(self.config.backbone, self.config.weights)

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Train a fresh generator against the heads on the target images."""
        config: Config = self.config
        generator, _ = new_networks(task, config)
        side = max(config.backbone_side, task.resolution)
        backbone = FeatureMaps(config.backbone, weights=config.weights, side=side)
        discriminator = seeded(
            lambda: ProjectedDiscriminator(backbone, side, config.projection_channels), task.generator
        )
        return fit_adversarial(task, budget, config, generator, discriminator)
