"""Input rules: how images of any size become what a network was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from collections.abc import Sequence


def resized(images: torch.Tensor, size: int, resize: str) -> torch.Tensor:
    """Resize uint8 images to float32 B×3×size×size in 0 to 255, antialiased.

    The result is clamped to the range of a picture (bicubic overshoots at edges) but not rounded to integers: rounding
    would add noise of a quarter of a level and make the result depend on the last bit. It is Pillow's filter
    (a = −0.5).
    """
    pixels = images.float()
    if pixels.shape[-2:] == (size, size):
        return pixels
    mode = resize.removesuffix("-antialias")
    return F.interpolate(pixels, size=(size, size), mode=mode, antialias=True).clamp(0.0, 255.0)


def resized_as_tf1(images: torch.Tensor, size: int) -> torch.Tensor:
    """Resize uint8 images to float32 B×3×size×size in 0 to 255, by TensorFlow 1's bilinear rule: not antialiased.

    Source pixel = target pixel · (old size / new size), without the half-pixel shift that is usual today. It is the
    rule of the original FID (arXiv 1706.08500), and torch-fidelity's for all its networks. The arithmetic is
    torch-fidelity's to the bit, but each row of the image is interpolated once, where torch-fidelity does it twice for
    each row of the result.
    """
    pixels = images.float()
    left, right, share = _neighbours(pixels.shape[-1], size, pixels.device)
    rows = _blend(pixels.index_select(-1, left), pixels.index_select(-1, right), share)
    top, bottom, share = _neighbours(pixels.shape[-2], size, pixels.device)
    return _blend(rows.index_select(-2, top), rows.index_select(-2, bottom), share[:, None])


def _neighbours(before: int, after: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the indices of the two source pixels for each target pixel, and the share of the second."""
    step = torch.tensor(before / after, dtype=torch.float32)  # rounded first, as there
    position = torch.arange(after, dtype=torch.float32, device=device) * step
    first = position.long()
    return first, (first + 1).clamp_max(before - 1), position - first.float()


def _blend(first: torch.Tensor, second: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Return first + (second − first) · share, in the memory of `second`."""
    return second.sub_(first).mul_(share).add_(first)


def normalised(pixels: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """Return (pixels/255 − mean)/std per channel, computed on the scale 0 to 255 as torch-fidelity does.

    Args:
        pixels: float32 B×3×H×W in 0 to 255.
        mean: Mean of each channel, on the scale 0 to 1.
        std: Standard deviation of each channel, on the scale 0 to 1.
    """
    centre, scale = (
        torch.tensor([255 * value for value in values], dtype=pixels.dtype, device=pixels.device).view(-1, 1, 1)
        for values in (mean, std)
    )
    return (pixels - centre).div_(scale)


IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
