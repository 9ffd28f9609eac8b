"""AdaIN: a frozen encoder's maps of the content get the means and deviations of the style's, and a decoder is trained.

One decoder serves every pair of a source and a target image.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from graftbench.bounds import Count, CountOrZero, NonNegative, Positive
from graftbench.nn.build import seeded
from graftbench.nn.precision import autocast, resolve
from graftbench.nn.style import Stylizer, StylizerSpec, adain, moments
from graftbench.references import cited
from graftbench.training import Batches, adam, descend, prepare, train, trained
from graftbench.training.translation import Backbone, TranslationConfig, TranslationSampler

from ._lite0 import Lite0Method

if TYPE_CHECKING:
    from torch import nn

    from graftbench.budget import Meter
    from graftbench.contracts import Family, Sampler, Task
    from graftbench.records.cell_spec import Kind
    from graftbench.training import TrainingLog


class Config(TranslationConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings.

    Attributes:
        lr: Adam's rate (published code: 1e-4, falling over 160,000 steps; a budget here has hundreds).
        depth: Stage of the encoder whose maps are changed, 0 to 3; those before and itself carry the style
            (paper: relu4_1 of VGG-19, with relu1_1, relu2_1 and relu3_1).
        enlarge: The encoder sees the images enlarged so many times, 1 or 2.
        channels: Channels of the decoder's coarsest block.
        content_weight: Weight of the distance to the maps that were asked for.
        style_weight: Weight of the distance between moments (naoto0804/pytorch-AdaIN, whose distances are means as
            ours are; the published code has 0.01 on scales of its own).
    """

    lr: Positive = 1e-3
    depth: CountOrZero = 2
    enlarge: Count = 2
    channels: Count = 64
    content_weight: NonNegative = 1.0
    style_weight: NonNegative = 10.0

    def __post_init__(self) -> None:
        self.spec()

    def spec(self) -> StylizerSpec:
        """Return the network's architecture."""
        return StylizerSpec(depth=self.depth, enlarge=self.enlarge, channels=self.channels)


class Adain(Lite0Method):
    """Huang, Belongie, ICCV 2017."""

    name = "adain"
    family: ClassVar[Family] = "style"
    title = "AdaIN style transfer"
    reference = cited("huang2017arbitrary")
    trains = "the decoder, from fresh weights"
    frozen = "the ImageNet encoder EfficientNet-Lite0, up to the stage in use"
    differs = (
        "EfficientNet-Lite0 instead of VGG-19, a decoder of four convolutions with zero padding and a tenfold rate "
        "that does not fall, for a budget of a few hundred steps; an averaged decoder"
    )
    needs_source_images = True
    kinds: ClassVar[tuple[Kind, ...]] = ("generate", "stylize")
    resumable = True
    moves = ("decoder.*",)
    Config = Config

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Train the decoder on random pairs; the sampler draws such pairs.

        One image of the budget is one target image shown; each step shows as many source images.
        """
        config: Config = self.config
        network = seeded(lambda: Stylizer(config.spec()), task.generator)
        prepare(task, encoder=network.encoder, decoder=network.decoder)
        optimizer = adam(trained(network.decoder), lr=config.lr, beta1=0.9, beta2=0.999)
        task.keep(adam=optimizer)
        dtype, maps = resolve(config.precision, task.device), Backbone(network.encoder, task, config.precision)
        sources, targets = (Batches(x, task.generator) for x in (task.source_images, task.images))

        def step(size: int, log: TrainingLog) -> bool:
            with torch.no_grad():
                styles = maps(targets.draw(size))
                target = adain(maps(sources.draw(size))[-1], styles[-1])
            with autocast(dtype, task.device):
                images = network.decoder(target).float()
            log.look(images)
            features = maps(images)
            content, style = F.mse_loss(features[-1], target), style_distance(features, styles)
            descend(optimizer, config.content_weight * content + config.style_weight * style)
            log.add(content=content, style=style)
            return True

        def sampler(decoder: nn.Sequential) -> TranslationSampler:
            whole = deepcopy(network)
            whole.decoder = decoder
            return TranslationSampler(whole, task.source_images, styles=task.images)

        return train(task, budget, config, step, network.decoder, sampler=sampler)


def style_distance(features: list[Tensor], styles: list[Tensor]) -> Tensor:
    """Sum, over layers, the mean squared differences of means and of deviations (equation 13)."""
    pairs = [(moments(a), moments(b)) for a, b in zip(features, styles, strict=True)]
    return torch.stack([F.mse_loss(x, y) for a, b in pairs for x, y in zip(a, b, strict=True)]).sum()
