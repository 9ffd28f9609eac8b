"""Fast style: a network is trained to do in one pass what style transfer by optimisation does image by image.

Its losses are Gatys': features of the content, Gram matrices of the style. The style is the target images' mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from graftbench.bounds import Count, CountOrZero, NonNegative
from graftbench.extractors.load import lite0_file
from graftbench.nn.build import seeded
from graftbench.nn.lite0 import Lite0Blocks
from graftbench.nn.precision import autocast, resolve
from graftbench.nn.style import gram, total_variation
from graftbench.nn.translator import Translator, TranslatorSpec
from graftbench.references import cited
from graftbench.training import Batches, adam, descend, prepare, train, trained
from graftbench.training.translation import (
    Backbone,
    TranslationConfig,
    TranslationSampler,
    check_stages,
    relative_error,
)

from ._lite0 import Lite0Method

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Family, Sampler, Task
    from graftbench.records.cell_spec import Kind
    from graftbench.training import TrainingLog


class Config(TranslationConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings; Adam's rate of 1e-3 is the paper's (supplement).

    Attributes:
        content_weight: Weight of the content term.
        style_weight: Weight of the style term (published code: 5 to 1, on other scales).
        variation_weight: Weight of the total variation (paper: 1e-6 to 1e-4 of a sum over pixels of 0…255).
        enlarge: The backbone sees the images enlarged so many times (bilinear).
        content_layer: Stage of the backbone whose features keep the content (paper: relu2_2 of VGG-16).
        style_layers: Stages whose Gram matrices carry the style (paper: relu1_2 to relu4_3).
        channels: Of the translator at full resolution (paper: 32; the published code's models with instance norm: 16).
        blocks: Residual blocks (paper: 5).
    """

    content_weight: NonNegative = 1.0
    style_weight: NonNegative = 1.0
    variation_weight: NonNegative = 0.1
    enlarge: Count = 2
    content_layer: CountOrZero = 2
    style_layers: tuple[int, ...] = (0, 1, 2, 3)
    channels: Count = 16
    blocks: CountOrZero = 3

    def __post_init__(self) -> None:
        check_stages(self.content_layer, self.style_layers)


class FastStyle(Lite0Method):
    """Johnson, Alahi, Fei-Fei, ECCV 2016."""

    name = "fast-style"
    family: ClassVar[Family] = "style"
    title = "Fast neural style (Johnson)"
    reference = cited("johnson2016perceptual")
    trains = "a translator, from fresh weights"
    frozen = "the ImageNet backbone EfficientNet-Lite0"
    differs = (
        "the style is the mean Gram matrix of a batch of target images instead of one painting's, for the target is a "
        "set; EfficientNet-Lite0 instead of VGG-16, losses relative to what they compare with so that layers weigh "
        "alike, instance norm (Ulyanov et al. 2016, arXiv 1607.08022), an averaged translator"
    )
    needs_source_images = True
    kinds: ClassVar[tuple[Kind, ...]] = ("generate", "stylize")
    resumable = True
    moves = ("translator.*",)
    Config = Config

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Train the translator on source images; the sampler translates them.

        One image of the budget is one target image shown; each step shows as many source images.
        """
        config: Config = self.config
        translator = seeded(lambda: Translator(TranslatorSpec(config.channels, config.blocks)), task.generator)
        backbone = Backbone(Lite0Blocks(lite0_file(), enlarge=config.enlarge), task, config.precision)
        prepare(task, translator=translator, backbone=backbone.network)
        optimizer = adam(trained(translator), lr=config.lr, beta1=0.9, beta2=0.999)
        task.keep(adam=optimizer)
        dtype = resolve(config.precision, task.device)
        sources, targets = (Batches(x, task.generator) for x in (task.source_images, task.images))

        def step(size: int, log: TrainingLog) -> bool:
            contents = sources.draw(size)
            with torch.no_grad():
                styles = mean_grams(backbone(targets.draw(size)), config.style_layers)
                kept = backbone(contents)[config.content_layer]
            with autocast(dtype, task.device):
                images = translator(contents).float()
            log.look(images)
            features = backbone(images)
            losses = {
                "content": config.content_weight * relative_error(features[config.content_layer], kept),
                "style": config.style_weight * style_distance(features, styles),
                "variation": config.variation_weight * total_variation(images),
            }
            descend(optimizer, torch.stack(list(losses.values())).sum())
            log.add(**losses)
            return True

        return train(
            task, budget, config, step, translator, sampler=lambda net: TranslationSampler(net, task.source_images)
        )


def mean_grams(features: list[Tensor], layers: tuple[int, ...]) -> dict[int, Tensor]:
    """Return the Gram matrix of each layer, mean over the batch: C×C."""
    return {layer: gram(features[layer]).mean(dim=0) for layer in layers}


def style_distance(features: list[Tensor], styles: dict[int, Tensor]) -> Tensor:
    """Compare each image's Gram matrices with the style's, relative to the style's: mean over images and layers."""
    grams = {layer: gram(features[layer]) for layer in styles}
    errors = [relative_error(grams[layer], style.expand_as(grams[layer])) for layer, style in styles.items()]
    return torch.stack(errors).mean()
