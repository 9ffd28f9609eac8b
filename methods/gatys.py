"""Style transfer by optimisation: source images keep their content and take a target image's style.

Nothing is learnt that could be drawn from: the budget pays for optimising the pixels of as many images as it lasts
for, and the sampler replays them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor

from graftbench.contracts import Family, Method, Reference
from graftbench.errors import GraftbenchError
from graftbench.metrics.extractors import lite0_file
from graftbench.nn.build import count_parameters
from graftbench.nn.lite0 import Lite0Blocks
from graftbench.samplers import ImageBankSampler, to_float, to_uint8
from graftbench.training import TrainingLog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of the optimisation.

    Attributes:
        steps: Optimisation steps per image (paper: until L-BFGS converges, about 500). One step on one image is one
            image of the budget.
        batch_size: Images optimised side by side.
        lr: Adam's rate on pixels in [−1, 1].
        enlarge: The backbone sees the images enlarged so many times (bilinear): its first convolution halves them, and
            at 32 px what it then sees is mostly noise that the eye minds.
        content_weight: Weight of the content term.
        style_weight: Weight of the style term.
        content_layer: Stage of the backbone whose features keep the content (0 is the stem).
        style_layers: Stages whose Gram matrices carry the style.
    """

    steps: int = 25
    batch_size: int = 32
    lr: float = 0.03
    enlarge: int = 2
    content_weight: float = 1.0
    style_weight: float = 1.0
    content_layer: int = 3
    style_layers: tuple[int, ...] = (0, 1, 2, 3)

    def __post_init__(self) -> None:
        if min(self.steps, self.batch_size, self.enlarge) < 1 or not 0 < self.lr < math.inf:
            raise ValueError("steps, batch_size, enlarge and lr must be positive and finite")
        if min(self.content_weight, self.style_weight) < 0:
            raise ValueError("content_weight and style_weight must be at least 0")
        if not self.style_layers or not {self.content_layer, *self.style_layers} <= set(range(Lite0Blocks.STAGES)):
            raise ValueError(f"content_layer and style_layers are stages 0 to {Lite0Blocks.STAGES - 1}")


class Gatys(Method):
    """Gatys, Ecker, Bethge, CVPR 2016."""

    name = "gatys"
    family: ClassVar[Family] = "style"
    title = "Neural style (Gatys)"
    reference = Reference(
        authors="Gatys, Ecker, Bethge",
        title="Image Style Transfer Using Convolutional Neural Networks",
        venue="CVPR",
        year=2016,
        arxiv="1508.06576",
        code="https://github.com/leongatys/PytorchNeuralStyleTransfer",
        code_license="MIT",
    )
    trains = "pixels of source images; no network"
    frozen = "the ImageNet backbone EfficientNet-Lite0"
    differs = (
        "EfficientNet-Lite0 instead of VGG-19, Adam for a fixed number of steps instead of L-BFGS, losses divided by "
        "their value at the start so that layers weigh alike, a random target image as style for each source image"
    )
    leaks = "lite0"
    Config = Config

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Stylise source images in random order until the budget is spent; keep those that were finished."""
        config: Config = self.config
        network = Lite0Blocks(lite0_file(), enlarge=self.config.enlarge).to(task.device)
        task.log.parameters_total = count_parameters([network])
        batches, log = budget.batches(config.batch_size), TrainingLog(task, budget)
        contents = self._contents(task)
        finished: list[Tensor] = []
        while (batch := self._stylise(next(contents), task, network, batches, log)) is not None:
            finished.append(batch)
        log.write()
        if not finished:
            raise GraftbenchError(
                f"The compute budget {budget.budget} ended before the first {config.batch_size} images had their "
                f"{config.steps} steps."
            )
        bank = torch.cat(finished)
        task.log.notes.append(f"The budget paid for {len(bank)} stylised images; the sampler replays them.")
        return ImageBankSampler(bank)

    def _contents(self, task: Task) -> Iterator[Tensor]:
        """Batches of source images, float in [−1, 1], in random order, again from the start when used up."""
        images = task.source_images
        size = self.config.batch_size
        waiting = torch.empty(0, dtype=torch.long)
        while True:
            while len(waiting) < size:
                waiting = torch.cat([waiting, torch.randperm(len(images), generator=task.generator)])
            yield to_float(images[waiting[:size].to(images.device)])
            waiting = waiting[size:]

    def _stylise(
        self, content: Tensor, task: Task, network: Lite0Blocks, batches: Iterator[int], log: TrainingLog
    ) -> Tensor | None:
        """One batch: uint8 B×3×H×W, or None if the budget ended before its last step."""
        config: Config = self.config
        choice = torch.randint(len(task.images), (len(content),), generator=task.generator)
        with torch.no_grad():
            kept = network(content)[config.content_layer]
            style_features = network(to_float(task.images[choice.to(task.device)]))
            grams = {layer: gram(style_features[layer]) for layer in config.style_layers}
        pixels = content.clone().requires_grad_()
        adam = torch.optim.Adam([pixels], lr=config.lr, betas=(0.9, 0.999))
        start: dict[int, Tensor] = {}
        for _ in range(config.steps):
            if next(batches, 0) < len(content):
                return None
            features = network(pixels)
            content_loss = F.mse_loss(features[config.content_layer], kept) / kept.square().mean()
            style_losses = {layer: F.mse_loss(gram(features[layer]), grams[layer]) for layer in config.style_layers}
            start = start or {layer: _unit(loss, grams[layer]) for layer, loss in style_losses.items()}
            style_loss = sum(loss / start[layer] for layer, loss in style_losses.items()) / len(style_losses)
            assert isinstance(style_loss, Tensor)
            adam.zero_grad(set_to_none=True)
            # The sum over the batch: each image is an optimisation of its own, and Adam's step has no batch in it.
            (len(content) * (config.content_weight * content_loss + config.style_weight * style_loss)).backward()
            adam.step()
            with torch.no_grad():
                pixels.clamp_(-1, 1)
            log.add(content=content_loss, style=style_loss)
        return to_uint8(pixels.detach()).cpu()


def _unit(loss: Tensor, grams: Tensor) -> Tensor:
    """What a style loss is divided by: its value at the start, unless content and style are as good as one image."""
    return torch.maximum(loss.detach(), 1e-6 * grams.square().mean())


def gram(features: Tensor) -> Tensor:
    """Gram matrices F Fᵀ / (H·W) of features B×C×H×W: B×C×C (equation 3 of the paper, divided by the positions)."""
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[2]
