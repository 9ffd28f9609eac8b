"""DiffAugment: the same differentiable random change of real and generated images before the discriminator.

Zhao, Liu, Lin, Zhu, Han: Differentiable Augmentation for Data-Efficient GAN Training, NeurIPS 2020, arXiv 2006.10738.
Strengths are the paper's: brightness U(−½, ½), saturation U(0, 2), contrast U(½, 3/2), translation ±1/8 of the side,
cutout of a square of half the side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graftbench.errors import unknown
from graftbench.nn.upload import upload

if TYPE_CHECKING:
    from collections.abc import Callable


def _uniform(x: Tensor, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Draw one number per image, B×1×1×1, on the CPU so that every device sees the same."""
    draw = torch.rand(x.shape[0], 1, 1, 1, generator=generator)
    return upload(draw * (high - low) + low, x.device).to(x.dtype)


def brightness(x: Tensor, generator: torch.Generator) -> Tensor:
    """Add a constant of U(−½, ½) to each image (range of x: [−1, 1])."""
    return x + _uniform(x, -0.5, 0.5, generator)


def saturation(x: Tensor, generator: torch.Generator) -> Tensor:
    """Scale the distance from the grey of each pixel by U(0, 2)."""
    grey = x.mean(dim=1, keepdim=True)
    return (x - grey) * _uniform(x, 0.0, 2.0, generator) + grey


def contrast(x: Tensor, generator: torch.Generator) -> Tensor:
    """Scale the distance from each image's mean by U(½, 3/2)."""
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    return (x - mean) * _uniform(x, 0.5, 1.5, generator) + mean


def color(x: Tensor, generator: torch.Generator) -> Tensor:
    """Apply brightness, saturation, contrast, in this order."""
    return contrast(saturation(brightness(x, generator), generator), generator)


def translation(x: Tensor, generator: torch.Generator, *, ratio: float = 0.125) -> Tensor:
    """Shift each image by up to `ratio` of its side in both directions; what comes in is 0 (mid-grey).

    The published code pads with 0 as well.
    """
    batch, _, height, width = x.shape
    reach_y, reach_x = int(height * ratio + 0.5), int(width * ratio + 0.5)
    shift_y = torch.randint(-reach_y, reach_y + 1, (batch, 1), generator=generator)
    shift_x = torch.randint(-reach_x, reach_x + 1, (batch, 1), generator=generator)
    rows = upload(torch.arange(height) + shift_y + reach_y, x.device)
    columns = upload(torch.arange(width) + shift_x + reach_x, x.device)
    padded = torch.nn.functional.pad(x, (reach_x, reach_x, reach_y, reach_y))
    image = torch.arange(batch, device=x.device)[:, None, None]
    moved = padded.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


def cutout(x: Tensor, generator: torch.Generator, *, ratio: float = 0.5) -> Tensor:
    """Set a square of `ratio` of the side to 0, its centre anywhere in the image."""
    batch, _, height, width = x.shape
    size_y, size_x = int(height * ratio + 0.5), int(width * ratio + 0.5)
    top = torch.randint(0, height + (1 - size_y % 2), (batch, 1), generator=generator) - size_y // 2
    left = torch.randint(0, width + (1 - size_x % 2), (batch, 1), generator=generator) - size_x // 2
    rows, columns = torch.arange(height), torch.arange(width)
    inside_y = (rows >= top) & (rows < top + size_y)
    inside_x = (columns >= left) & (columns < left + size_x)
    keep = ~(inside_y[:, :, None] & inside_x[:, None, :])
    return x * upload(keep[:, None], x.device).to(x.dtype)


_POLICIES: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "color": color,
    "translation": translation,
    "cutout": cutout,
}


class DiffAugment:
    """A policy such as "color,translation,cutout"; the empty one returns its input.

    Raises:
        GraftbenchError: An unknown step in the policy.
    """

    def __init__(self, policy: str, generator: torch.Generator) -> None:
        names = [name.strip() for name in policy.split(",") if name.strip()]
        for name in names:
            if name not in _POLICIES:
                raise unknown("augmentation", name, _POLICIES)
        self._steps = [_POLICIES[name] for name in names]
        self._generator = generator

    def __call__(self, x: Tensor) -> Tensor:
        """Augment B×3×H×W images in [−1, 1]; differentiable in x."""
        for step in self._steps:
            x = step(x, self._generator)
        return x
