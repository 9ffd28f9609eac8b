"""Soften images on both sides before the features, so that what nobody sees does not tell two sets apart.

Networks for features react to patterns far below what a person sees: noise of 2 of 255 levels cost a third of what
another style of drawing costs, and a generator's faint speckle as much as blank paper. A blur of less than a pixel
hides what lies between pixels, and noise of its own hides what is fainter than it; what is visible remains.
docs/protocols.md has the measurements.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from scipy.ndimage import gaussian_filter


def softened(images: torch.Tensor, blur: float, dither: float) -> torch.Tensor:
    """Blur images, then add Gaussian noise; clip to 0 to 255 and round.

    The noise of an image is drawn from its own pixels: equal images stay equal, so copies are still seen as copies, and
    the features of a set depend neither on the order of its images nor on a seed.

    Args:
        images: uint8 N×3×H×W on any device.
        blur: Standard deviation of the Gaussian in pixels, cut off at three of them, the border repeated; 0 for none.
        dither: Standard deviation of the noise in levels of 255; 0 for none.

    Returns:
        uint8 N×3×H×W on the same device.
    """
    if not blur and not dither:
        return images
    pixels = images.cpu().numpy()
    soft = np.empty_like(pixels)
    for image, out in zip(pixels, soft, strict=True):
        digest = hashlib.blake2b(np.ascontiguousarray(image).tobytes(), digest_size=16).digest()
        noise = np.random.default_rng(int.from_bytes(digest, "little")).normal(scale=dither, size=image.shape)
        blurred = gaussian_filter(image.astype(np.float64), (0, blur, blur), mode="nearest", truncate=3)
        out[:] = np.clip(np.rint(blurred + noise), 0, 255)
    return torch.from_numpy(soft).to(images.device)
