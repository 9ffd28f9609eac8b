"""The networks behind the extractors. Importing this imports torch."""

from __future__ import annotations

import io
import pickle
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


class Extractor(ABC):
    """Images to pooled features and logits, in one forward pass.

    Attributes:
        name: Its registered name.
        device: Where it computes.
        batch_size: Images per forward pass.
    """

    name: str
    width: int
    classes: int

    def __init__(self, device: str | torch.device, batch_size: int | None) -> None:
        self.device = torch.device(device)
        self.batch_size = batch_size or (32 if self.device.type == "cpu" else 256)

    def features(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pooled features and logits of images.

        Deterministic on one machine; another batch size changes the last digits only (about 1e-5 absolute).

        Args:
            images: uint8 N×3×H×W, RGB, on any device.

        Returns:
            float32 N×D and N×K on the CPU.

        Raises:
            GraftbenchError: The images are not uint8 N×3×H×W.
        """
        if images.dtype is not torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise GraftbenchError(
                f"The extractor '{self.name}' takes uint8 images N×3×H×W; "
                f"found {str(images.dtype).removeprefix('torch.')} {tuple(images.shape)}."
            )
        if len(images) == 0:
            return torch.empty(0, self.width), torch.empty(0, self.classes)
        with torch.inference_mode(), _full_precision(self.device):
            parts = [self.forward(batch.to(self.device)) for batch in images.split(self.batch_size)]
            pooled, logits = (torch.cat([part[i] for part in parts]).float().cpu() for i in (0, 1))
        return pooled.clone(), logits.clone()  # outside of inference mode: ordinary tensors

    @abstractmethod
    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One batch on the device: uint8 B×3×H×W to pooled B×D and logits B×K."""


@contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    """Deterministic float32 convolutions: cuDNN would otherwise round to TF32, and autocast to bfloat16."""
    with (
        torch.autocast(device.type, enabled=False),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
    ):
        yield


# ----------------------------------------------------------------------------------------------------------- lite0


def resized(images: torch.Tensor, size: int, resize: str) -> torch.Tensor:
    """uint8 images as float32 B×3×size×size in 0 to 255, antialiased.

    The result is clamped to the range of a picture (bicubic overshoots at edges) but not rounded to integers: rounding
    would add noise of a quarter of a level and make the result depend on the last bit. It is Pillow's filter
    (a = −0.5).
    """
    pixels = images.float()
    if pixels.shape[-2:] == (size, size):
        return pixels
    mode = resize.removesuffix("-antialias")
    return F.interpolate(pixels, size=(size, size), mode=mode, antialias=True).clamp(0.0, 255.0)


class Lite0Network(torch.nn.Module):
    """EfficientNet-Lite0 with its input rule: uint8 B×3×H×W to pooled B×1280 and logits B×1000.

    Channels-last, which doubles the CPU's throughput and moves features by 1e-5 at most; bfloat16 doubles it once more
    but moves them by 0.4, so it is not used.
    """

    def __init__(self, weights: Path, size: int, resize: str) -> None:
        super().__init__()
        import timm  # noqa: PLC0415 - a second that only lite0 needs

        self.size, self.resize = size, resize
        self.network: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        load_by_position(self.network, read_state(weights), weights)
        self.network.eval().requires_grad_(requires_grad=False)
        self.network.to(memory_format=torch.channels_last)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Uint8 B×3×H×W to pooled B×1280 and logits B×1000."""
        pixels = (resized(images, self.size, self.resize) - 127.0) / 128.0  # the scale of the converted TF weights
        maps = self.network.forward_features(pixels.contiguous(memory_format=torch.channels_last))
        pooled = self.network.forward_head(maps, pre_logits=True)
        return pooled, self.network.get_classifier()(pooled)


class Lite0(Extractor):
    """EfficientNet-Lite0, ImageNet-1k: 1280 pooled features, 1000 logits."""

    name = "lite0"
    width = 1280
    classes = 1000

    def __init__(
        self, weights: Path, size: int, resize: str, device: str | torch.device, batch_size: int | None
    ) -> None:
        super().__init__(device, batch_size)
        self.network = Lite0Network(weights, size, resize).to(self.device)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One batch on the device: uint8 B×3×H×W to pooled B×1280 and logits B×1000."""
        return self.network(images)


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """The state dict in a .pth file; nothing but tensors is unpickled.

    Raises:
        GraftbenchError: It is no state dict, or is damaged.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise GraftbenchError(
            f"The weights file '{path}' cannot be read as a PyTorch state dict ({type(error).__name__}: {reason}); "
            "it may be damaged or of another format."
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise GraftbenchError(f"The weights file '{path}' holds a {type(state).__name__}; expected a dict of tensors.")
    return state


def load_by_position(network: torch.nn.Module, state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Load a state dict whose entries are in the network's order but under another implementation's names.

    Each pair must agree in shape and in the last part of its name (weight, bias, running_mean, …).

    Raises:
        GraftbenchError: Number, shape or kind of the entries differ.
    """
    expected = network.state_dict()
    if len(state) != len(expected):
        raise GraftbenchError(f"The weights file '{path}' has {len(state)} entries; the network has {len(expected)}.")
    for (found, tensor), (name, own) in zip(state.items(), expected.items(), strict=True):
        if tensor.shape != own.shape or found.rpartition(".")[2] != name.rpartition(".")[2]:
            raise GraftbenchError(
                f"The weights file '{path}' does not fit the network: its '{found}' {tuple(tensor.shape)} stands where "
                f"'{name}' {tuple(own.shape)} is expected."
            )
    network.load_state_dict(dict(zip(expected, state.values(), strict=True)))


# ------------------------------------------------------------------------------------------------------- inception


class InceptionV3(Extractor):
    """The Inception v3 of the original FID, by torch-fidelity's class: 2048 pooled features, 1008 logits.

    The logits are those without bias, from which the Inception Score is computed by convention. Images of any size are
    resized to 299×299 inside, as TensorFlow 1 did.
    """

    name = "inception-v3-compat"
    width = 2048
    classes = 1008

    def __init__(self, weights: Path, device: str | torch.device, batch_size: int | None) -> None:
        super().__init__(device, batch_size)
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3  # noqa: PLC0415

        # torch-fidelity unpickles whatever the file holds. It gets a copy in memory of what was read as tensors alone.
        copy = io.BytesIO()
        torch.save(read_state(weights), copy)
        copy.seek(0)
        try:
            network = FeatureExtractorInceptionV3(self.name, ["2048", "logits_unbiased"], copy)
        except RuntimeError as error:
            lines = str(error).splitlines()
            raise GraftbenchError(
                f"The weights file '{weights}' does not fit torch-fidelity's Inception v3: "
                f"{lines[min(1, len(lines) - 1)].strip()[:200]}"
            ) from error
        self.network = network.to(self.device)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One batch on the device: uint8 B×3×H×W to pooled B×2048 and logits B×1008."""
        pooled, logits = self.network(images)
        return pooled, logits


def download_inception(path: Path, sha256: str) -> None:
    """Fetch torch-fidelity's Inception weights to `path`; a partial or altered file is not left there.

    Raises:
        GraftbenchError: There is no way to the file, or its content is not what was released.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3  # noqa: PLC0415 - only this needs it

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(URL_INCEPTION_V3, str(path), hash_prefix=sha256, progress=False)
    except (OSError, RuntimeError) as error:  # no network, no disk; another hash
        raise GraftbenchError(
            f"The weights of 'inception-v3-compat' are not at '{path}' and could not be downloaded ({error}). "
            f"Put the file there from {URL_INCEPTION_V3}, or give its path as the protocol's `weights`."
        ) from error
