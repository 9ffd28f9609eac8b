"""Thumbnails: images of any size at 32×32 pixels, kept beside their features for scores that compare images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graftbench.errors import GraftbenchError
from graftbench.metrics.arrays import to_numpy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graftbench.metrics.arrays import FeatureMatrix

SIDE = 32
"""Pixels a side."""


def thumbnails(images: FeatureMatrix) -> NDArray[np.uint8]:
    """Average images over areas to 32×32 pixels.

    Args:
        images: uint8 N×3×H×W, RGB.

    Returns:
        uint8 N×3×32×32; images of that size as they are.

    Raises:
        GraftbenchError: The images are not uint8 N×3×H×W with H, W ≥ 1.
    """
    pixels = to_numpy(images)
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1] != 3 or 0 in pixels.shape[2:]:
        raise GraftbenchError(
            f"Thumbnails are of uint8 images N×3×H×W; found {pixels.dtype} {' × '.join(map(str, pixels.shape))}."
        )
    height, width = pixels.shape[2:]
    if height == width == SIDE:
        return pixels
    rows, columns = (averaging(0, side, SIDE, side) for side in (height, width))
    small = np.empty((len(pixels), 3, SIDE, SIDE), np.uint8)
    for i, image in enumerate(pixels):  # one by one: a batch in float32 would be four times as large as it is
        small[i] = np.rint(rows @ image.astype(np.float32) @ columns.T)
    return small


def averaging(start: float, length: float, parts: int, side: int) -> NDArray[np.float32]:
    """Return the matrix that averages an interval of pixels in equal parts.

    Args:
        start: Where the interval begins, in pixels; what lies outside of the image is as its outermost pixel.
        length: Its length, in pixels.
        parts: Their number.
        side: Pixels of the image.

    Returns:
        float32 parts×side of which each row adds up to 1.
    """
    edges = start + length * np.arange(parts + 1.0) / parts
    low, high = min(0, int(np.floor(edges[0]))), max(side, int(np.ceil(edges[-1])))
    weights = np.zeros((parts, side))
    for pixel in range(low, high):
        overlap = np.minimum(edges[1:], pixel + 1) - np.maximum(edges[:-1], pixel)
        weights[:, min(max(pixel, 0), side - 1)] += overlap.clip(min=0.0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
