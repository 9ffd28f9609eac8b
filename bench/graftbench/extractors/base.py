"""An extractor: a network, a device and a batch size. Importing this imports torch."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from graftbench.errors import GraftbenchError
from graftbench.extractors.softening import softened

if TYPE_CHECKING:
    from collections.abc import Iterator


class Network(torch.nn.Module, ABC):
    """A network together with its input rule, in evaluation mode and without gradients.

    Attributes:
        width: Number of pooled features, D.
        classes: Number of logits, K; 0 where it has none.
    """

    width: int
    classes: int

    @abstractmethod
    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map one batch, uint8 B×3×H×W, to pooled features B×D and logits B×K, float32."""


class Extractor:
    """Images to pooled features and logits, in one forward pass.

    Attributes:
        name: Its registered name.
        network: The network.
        width: Number of pooled features, D.
        classes: Number of logits, K; 0 where it has none.
        device: The device that it computes on.
        batch_size: Images per forward pass.
        blur: Standard deviation of the blur that images get first, in pixels.
        dither: Standard deviation of the noise that they get then, in levels of 255.
    """

    def __init__(
        self,
        name: str,
        network: Network,
        device: str | torch.device = "cpu",
        batch_size: int | None = None,
        *,
        blur: float = 0,
        dither: float = 0,
    ) -> None:
        self.name, self.blur, self.dither = name, blur, dither
        self.device = torch.device(device)
        self.network = network.to(self.device)
        self.width, self.classes = network.width, network.classes
        self.batch_size = batch_size or (16 if self.device.type == "cpu" else 256)

    def features(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return pooled features and logits of images; of images that are equal, one is read.

        Deterministic on one machine; another batch size changes the last digits only (about 1e-5 of the largest).

        Args:
            images: uint8 N×3×H×W, RGB, on any device.

        Returns:
            float32 N×D and N×K on the CPU; K is 0 for networks without logits.

        Raises:
            GraftbenchError: The images are not uint8 N×3×H×W with H, W ≥ 1.
        """
        if images.dtype is not torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise GraftbenchError(
                f"The extractor '{self.name}' takes uint8 images N×3×H×W; "
                f"found {str(images.dtype).removeprefix('torch.')} {tuple(images.shape)}."
            )
        if len(images) == 0:
            return torch.empty(0, self.width), torch.empty(0, self.classes)
        if images.numel() == 0:
            raise GraftbenchError(f"The extractor '{self.name}' found images without pixels: {tuple(images.shape)}.")
        distinct, copy_of = _distinct(images)
        with torch.inference_mode(), full_precision(self.device):
            batches = (softened(batch, self.blur, self.dither) for batch in images[distinct].split(self.batch_size))
            parts = [self.network(batch.to(self.device)) for batch in batches]
            pooled, logits = (torch.cat([part[i] for part in parts]).float().cpu() for i in (0, 1))
        return pooled[copy_of], logits[copy_of]  # outside of inference mode: ordinary tensors


def _distinct(images: torch.Tensor) -> tuple[list[int], list[int]]:
    """Return the position of the first of each kind of equal images, and for every image the number of its kind."""
    numbers: dict[bytes, int] = {}
    distinct: list[int] = []
    copy_of: list[int] = []
    for position, image in enumerate(images.cpu().contiguous().numpy()):
        digest = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
        if digest not in numbers:
            numbers[digest] = len(distinct)
            distinct.append(position)
        copy_of.append(numbers[digest])
    return distinct, copy_of


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Compute in deterministic float32: cuDNN and cuBLAS may otherwise round to TF32, and autocast to bfloat16."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with (
            torch.autocast(device.type, enabled=False),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
        ):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
