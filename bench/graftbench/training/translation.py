"""Image-to-image methods: source images are the content, target images the style.

What they share: samplers that translate images, the frozen network that they look through, and how far one image is
from another in its eyes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

import msgspec
import torch
from torch import Tensor, nn

from graftbench.bounds import Positive
from graftbench.contracts import TranslatingSampler
from graftbench.errors import unknown
from graftbench.nn.build import place
from graftbench.nn.lite0 import Lite0Blocks
from graftbench.nn.paired import FrozenUNet, FrozenUNetSpec, PairedUNet, PairedUNetSpec
from graftbench.nn.precision import autocast, resolve
from graftbench.nn.style import Stylizer, StylizerSpec
from graftbench.nn.translator import Translator, TranslatorSpec
from graftbench.training.loop import TrainingConfig
from graftbench.training.samplers import BATCH, ImageBankSampler, to_float, to_uint8

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.nn.precision import Precision


class TranslationConfig(TrainingConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The settings of every method that trains an image-to-image network.

    Attributes:
        lr: Adam's rate.
    """

    lr: Positive = 1e-3


def check_stages(content_layer: int, style_layers: Sequence[int]) -> None:
    """Refuse stages that EfficientNet-Lite0's blocks do not have.

    Raises:
        ValueError: It names what there is.
    """
    if not style_layers or not {content_layer, *style_layers} <= set(range(Lite0Blocks.STAGES)):
        raise ValueError(f"content_layer and style_layers are stages 0 to {Lite0Blocks.STAGES - 1}")


class Placed(Protocol):
    """Anything that says where to compute: a task, or a sampler."""

    device: torch.device


class Backbone:
    """A frozen network of feature maps in a fit's precision: images in [−1, 1] -> float32 maps, finest first.

    Args:
        network: EfficientNet-Lite0 or the first stages of it.
        task: Its device counts.
        precision: As in TrainingConfig.
    """

    def __init__(self, network: Lite0Blocks, task: Placed, precision: Precision) -> None:
        self.network = place(network, task.device)
        self._dtype, self._device = resolve(precision, task.device), task.device

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps of images B×3×R×R, differentiable in the images."""
        with autocast(self._dtype, self._device):
            return [features.float() for features in self.network(images)]


def relative_error(actual: Tensor, target: Tensor) -> Tensor:
    """Return Σ(actual − target)² / Σ target²: 0 where they agree, 1 for zeros; layers and sizes weigh alike."""
    return (actual - target).square().sum() / target.square().sum().clamp(min=1e-12)


NETWORKS: dict[str, tuple[type[msgspec.Struct], type[nn.Module]]] = {
    "translator": (TranslatorSpec, Translator),
    "stylizer": (StylizerSpec, Stylizer),
    "u-net": (PairedUNetSpec, PairedUNet),
    "frozen u-net": (FrozenUNetSpec, FrozenUNet),
}
"""What a TranslationSampler can hold, by the name in its file."""


class ContentSampler(TranslatingSampler):
    """A translator that keeps contents of its own, so that samples can be drawn of it: translations of those.

    Args:
        contents: Images to translate: uint8 M×3×h×w, M ≥ 1.
    """

    def __init__(self, contents: Tensor) -> None:
        self.contents = ImageBankSampler(contents)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n images: uint8 n×3×R×R on the CPU. All draws are made on the CPU, the same on any device."""
        return self.translate(self.contents.sample(n, generator), generator)

    def state(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Return the contents."""
        return {"contents": self.contents.images}, {}

    @classmethod
    def from_state(cls, tensors: dict[str, Tensor], metadata: dict[str, str]) -> ContentSampler:
        """Rebuild the sampler from its tensors, the constructor's arguments."""
        del metadata
        return cls(**tensors)


class TranslationSampler(ContentSampler):
    """Draws images and translates them by a network, in eval mode and float32.

    Contents are drawn without replacement until they are used up, then from a new shuffle: a translator makes no
    more different images than it has contents, and beyond their number what is drawn repeats (unless styles differ).

    Args:
        network: One of NETWORKS; a Stylizer needs styles.
        contents: Source images, or inputs of training pairs: uint8 M×3×h×w, M ≥ 1.
        styles: Target images, uint8 N×3×R×R; one is drawn for each sample, with replacement.
    """

    kind: ClassVar[str] = "translation"

    def __init__(
        self, network: Translator | Stylizer | PairedUNet | FrozenUNet, contents: Tensor, styles: Tensor | None = None
    ) -> None:
        super().__init__(contents)
        self.styles = None if styles is None else styles.cpu().clone()  # one memory for both could not be saved
        self._device = next(network.parameters()).device
        self.network = place(network.eval(), self._device)

    def to(self, device: torch.device) -> TranslationSampler:
        """Compute on `device` from now on."""
        self.network, self._device = self.network.to(device), device
        return self

    @torch.inference_mode()
    def translate(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Translate uint8 n×3×h×w to uint8 n×3×R×R, both on the CPU; where there are styles, one is drawn for each."""
        arguments = [inputs]
        if self.styles is not None:
            arguments.append(self.styles[torch.randint(len(self.styles), (len(inputs),), generator=generator)])
        batches = zip(*(images.split(BATCH) for images in arguments), strict=True)
        return torch.cat([self._translate(*batch) for batch in batches])

    def _translate(self, *images: Tensor) -> Tensor:
        return to_uint8(self.network(*(to_float(x.to(self._device)) for x in images))).cpu()

    def state(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Return contents, styles if there are any, the network's state dict, its kind and its architecture."""
        tensors = {"contents": self.contents.images} | ({} if self.styles is None else {"styles": self.styles})
        tensors |= {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        (name,) = (name for name, (_, kind) in NETWORKS.items() if type(self.network) is kind)
        return tensors, {"network": name, "spec": msgspec.json.encode(self.network.spec).decode()}

    @classmethod
    def from_state(cls, tensors: dict[str, Tensor], metadata: dict[str, str]) -> TranslationSampler:
        """Build the architecture and load the weights.

        Raises:
            GraftbenchError: An unknown kind of network.
        """
        if metadata["network"] not in NETWORKS:
            raise unknown("translating network", metadata["network"], NETWORKS)
        spec, kind = NETWORKS[metadata["network"]]
        network = kind(msgspec.json.decode(metadata["spec"], type=spec))
        start = "network."
        network.load_state_dict({key.removeprefix(start): t for key, t in tensors.items() if key.startswith(start)})
        assert isinstance(network, Translator | Stylizer | PairedUNet | FrozenUNet)
        return cls(network, tensors["contents"], tensors.get("styles"))
