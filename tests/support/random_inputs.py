"""Random numbers and pictures, each a function of its seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray


def rng(seed: int = 0) -> torch.Generator:
    """Make a seeded generator."""
    return torch.Generator().manual_seed(seed)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    """Draw N(0, 1) in float32."""
    return torch.randn(*shape, generator=rng(seed))


def noise64(*shape: int, seed: int = 0) -> torch.Tensor:
    """Draw N(0, 1) in float64."""
    return torch.randn(*shape, generator=rng(seed), dtype=torch.float64)


def random_images(n: int, side: int, seed: int = 0) -> torch.Tensor:
    """Draw n×3×side×side uniform values in [−1, 1], float32."""
    return torch.rand(n, 3, side, side, generator=rng(seed)) * 2 - 1


def blobs(n: int, seed: int, side: int = 32) -> NDArray[np.uint8]:
    """Draw smooth random colour fields, no two alike: uint8 n×3×side×side."""
    coarse = np.random.default_rng(seed).integers(0, 256, (n, 5, 5, 3), dtype=np.uint8)
    images = [Image.fromarray(one).resize((side, side), Image.Resampling.BICUBIC) for one in coarse]
    return np.stack([np.asarray(image).transpose(2, 0, 1) for image in images])
