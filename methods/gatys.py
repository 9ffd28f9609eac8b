"""Style transfer by optimisation: source images keep their content and take a target image's style.

Nothing is learnt that could be drawn from: the budget pays for optimising the pixels of as many images as it lasts
for, and the sampler replays them. On a task of the kind `stylize` the contents come later, and so do the steps.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

import msgspec
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from graftbench.bounds import Count, CountOrZero, NonNegative, Positive
from graftbench.errors import GraftbenchError
from graftbench.extractors.load import lite0_file
from graftbench.nn.lite0 import Lite0Blocks
from graftbench.nn.precision import Precision
from graftbench.nn.style import gram
from graftbench.nn.upload import upload
from graftbench.references import cited
from graftbench.training import Batches, TrainingLog, adam, descend
from graftbench.training.samplers import BATCH, ImageBankSampler, to_float, to_uint8
from graftbench.training.translation import Backbone, ContentSampler, check_stages

from ._lite0 import Lite0Method

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graftbench.budget import Meter
    from graftbench.contracts import Family, Sampler, Task
    from graftbench.records.cell_spec import Kind


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
        precision: As in TrainingConfig.
    """

    steps: Count = 25
    batch_size: Count = 32
    lr: Positive = 0.03
    enlarge: Count = 2
    content_weight: NonNegative = 1.0
    style_weight: NonNegative = 1.0
    content_layer: CountOrZero = 3
    style_layers: tuple[int, ...] = (0, 1, 2, 3)
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        check_stages(self.content_layer, self.style_layers)


class Gatys(Lite0Method):
    """Gatys, Ecker, Bethge, 2015; at CVPR 2016 under another title."""

    name = "gatys"
    family: ClassVar[Family] = "style"
    title = "Neural style (Gatys)"
    reference = cited("gatys2015neural")
    trains = "pixels of source images; no network"
    frozen = "the ImageNet backbone EfficientNet-Lite0"
    differs = (
        "EfficientNet-Lite0 instead of VGG-19; 25 steps of Adam instead of some 500 of L-BFGS, for every step on an "
        "image is paid from the budget, so that more steps are fewer images; each layer's style loss divided by its "
        "value at the start so that layers weigh alike; a random target image as style for each source image; samples "
        "replay the images that the budget has paid for, each again when all were drawn"
    )
    needs_source_images = True
    kinds: ClassVar[tuple[Kind, ...]] = ("generate", "stylize")
    Config = Config

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Stylise source images in random order until the budget is spent; keep those that were finished.

        For `stylize` nothing can be done before the contents are there: the sampler optimises them, outside the budget.
        """
        config: Config = self.config
        if task.kind == "stylize":
            task.log.notes.append(
                f"Each image is optimised when it is asked for, {config.steps} steps outside the compute budget; the "
                "sampling rate says what that costs."
            )
            return GatysSampler(task.source_images, task.images, config).to(task.device)
        backbone = Backbone(Lite0Blocks(lite0_file(), enlarge=config.enlarge), task, config.precision)
        task.log.watch(backbone=backbone.network)
        styles, contents = Batches(task.images, task.generator), self._contents(task)
        looks = _Flops()
        batches, log = self._batches(budget, looks), TrainingLog(task, budget)
        finished: list[Tensor] = []
        while next(batches, 0) == config.batch_size:  # the clock runs: what a canvas looks at first is paid for too
            content = next(contents)
            with looks.counted(len(content) * config.steps):
                canvas = Canvas(backbone, content, styles.draw(len(content)), config)
            if not canvas.paint(batches, log):
                break
            finished.append(to_uint8(canvas.pixels.detach()).cpu())
        log.write()
        if not finished:
            raise GraftbenchError(
                f"The compute budget {budget.budget} ended before the first {config.batch_size} images had their "
                f"{config.steps} steps."
            )
        bank = torch.cat(finished)
        task.log.notes.append(f"The budget paid for {len(bank)} stylised images; the sampler replays them.")
        return ImageBankSampler(bank)

    def _batches(self, budget: Meter, looks: _Flops) -> Iterator[int]:
        """Yield the meter's batches. In the first it counts all that a canvas looks at: that serves every step."""
        corrected = False
        for size in budget.batches(self.config.batch_size):
            corrected = corrected or self._spread(budget, looks)
            yield size
        if not corrected:
            self._spread(budget, looks)

    def _spread(self, budget: Meter, looks: _Flops) -> bool:
        """Spread the looks over all steps of an image; return False where nothing was counted yet."""
        if budget.flops_per_image is None:
            return False
        budget.flops_per_image -= looks.per_image * (self.config.steps - 1)
        return True

    def _contents(self, task: Task) -> Iterator[Tensor]:
        """Yield batches of source images, float in [−1, 1], in random order, again from the start when used up."""
        images = task.source_images
        size = self.config.batch_size
        waiting = torch.empty(0, dtype=torch.long)
        while True:
            while len(waiting) < size:
                waiting = torch.cat([waiting, torch.randperm(len(images), generator=task.generator)])
            yield to_float(images[upload(waiting[:size], images.device)])
            waiting = waiting[size:]


class _Flops:
    """Counts the arithmetic of the first of several blocks that are alike.

    Attributes:
        per_image: Floating-point operations over the images that the block serves; 0 before it.
    """

    def __init__(self) -> None:
        self.per_image = 0.0

    @contextmanager
    def counted(self, images: int) -> Iterator[None]:
        """Count what is done inside, for so many images of the budget; only where nothing was counted yet."""
        if self.per_image:
            yield
            return
        with FlopCounterMode(display=False) as counter:
            yield
        self.per_image = counter.get_total_flops() / images


class Canvas:
    """A batch of images whose pixels are optimised side by side.

    Each image is an optimisation of its own: its losses are divided by its own features, losses are summed over the
    batch, and Adam's step has no batch in it. What becomes of it does not depend on its neighbours.

    Args:
        backbone: What looks.
        content: Where the pixels start, and what they keep: float32 B×3×H×W in [−1, 1].
        style: One image for each.
        config: Steps, rate, weights and layers.
    """

    def __init__(self, backbone: Backbone, content: Tensor, style: Tensor, config: Config) -> None:
        self._backbone, self._config = backbone, config
        with torch.no_grad():
            self._kept = backbone(content)[config.content_layer]
            maps = backbone(style)
            self._grams = {layer: gram(maps[layer]) for layer in config.style_layers}
        self._units: dict[int, Tensor] = {}
        self.pixels = nn.Parameter(content.clone())
        self._adam = adam([self.pixels], lr=config.lr, beta1=0.9, beta2=0.999)

    def paint(self, batches: Iterator[int], log: TrainingLog) -> bool:
        """Take all steps, the first in the batch that was granted; return False if the budget ended before the last."""
        for step in range(self._config.steps):
            if step and next(batches, 0) < len(self.pixels):
                return False
            content, style = self.step()
            log.add(content=content.mean(), style=style.mean())
        return True

    def step(self) -> tuple[Tensor, Tensor]:
        """Take one step of each image; return the losses before it, B each."""
        content, style = self._losses()
        descend(self._adam, (self._config.content_weight * content + self._config.style_weight * style).sum())
        self.pixels.data.clamp_(-1, 1)
        return content, style

    def _losses(self) -> tuple[Tensor, Tensor]:
        """Return the content and style loss of each image, B."""
        maps = self._backbone(self.pixels)
        content = _squares(maps[self._config.content_layer] - self._kept) / _squares(self._kept).clamp(min=1e-12)
        styles = {layer: _squares(gram(maps[layer]) - target) for layer, target in self._grams.items()}
        # The unit is the loss at the start, unless content and style are as good as one image.
        self._units = self._units or {
            layer: torch.maximum(loss.detach(), 1e-6 * _squares(self._grams[layer])) for layer, loss in styles.items()
        }
        return content, torch.stack([loss / self._units[layer] for layer, loss in styles.items()]).mean(dim=0)


def _squares(x: Tensor) -> Tensor:
    """Return the mean square of each image's numbers: B."""
    return x.square().flatten(1).mean(dim=1)


class GatysSampler(ContentSampler):
    """Optimises every image that it is given towards a style drawn for it; float32.

    Args:
        contents: Source images, uint8 M×3×R×R; samples are drawn of them.
        styles: Target images, uint8 N×3×R×R.
        config: Steps, rate, weights and layers.
    """

    kind: ClassVar[str] = "gatys"

    def __init__(self, contents: Tensor, styles: Tensor, config: Config) -> None:
        super().__init__(contents)
        self.styles, self.config = styles.cpu().clone(), config
        self.device = torch.device("cpu")

    def to(self, device: torch.device) -> GatysSampler:
        """Compute on `device` from now on."""
        self.device = device
        return self

    def translate(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Stylise inputs: uint8 n×3×R×R -> the same shape, on the CPU."""
        styles = self.styles[torch.randint(len(self.styles), (len(inputs),), generator=generator)]
        backbone = Backbone(Lite0Blocks(lite0_file(), enlarge=self.config.enlarge), self, "float32")
        pairs = zip(inputs.split(BATCH), styles.split(BATCH), strict=True)
        return torch.cat([self._painted(backbone, *pair) for pair in pairs])

    def _painted(self, backbone: Backbone, contents: Tensor, styles: Tensor) -> Tensor:
        content, style = (to_float(images.to(self.device)) for images in (contents, styles))
        canvas = Canvas(backbone, content, style, self.config)
        for _ in range(self.config.steps):
            canvas.step()
        return to_uint8(canvas.pixels.detach()).cpu()

    def state(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Return contents, styles and settings; the backbone is the package's."""
        tensors = {"contents": self.contents.images, "styles": self.styles}
        return tensors, {"config": msgspec.json.encode(self.config).decode()}

    @classmethod
    def from_state(cls, tensors: dict[str, Tensor], metadata: dict[str, str]) -> GatysSampler:
        """Rebuild the sampler."""
        return cls(tensors["contents"], tensors["styles"], msgspec.json.decode(metadata["config"], type=Config))
