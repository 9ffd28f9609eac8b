"""From a decoded picture to a square of pixels, the same way for every domain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def on_white(picture: Image.Image) -> Image.Image:
    """RGB; what is transparent shows white."""
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        ground = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(ground, rgba).convert("RGB")
    return picture.convert("RGB")


def square(picture: Image.Image, resolution: int) -> Pixels:
    """Crop to the centred square and resize: uint8 3×resolution×resolution.

    Pillow's Lanczos filter, whose support grows with the reduction (antialiased) and whose fixed-point arithmetic
    gives the same bytes on every machine.
    """
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    resized = picture.resize(
        (resolution, resolution), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side)
    )
    return np.asarray(resized, dtype=np.uint8).transpose(2, 0, 1)
