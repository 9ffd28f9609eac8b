"""Make a picture of any size a square: cropped to its centre, laid on white, resized by a rule with a name.

The default is Lanczos with three lobes (Pillow's, which widens the filter when it reduces, so that nothing aliases).
It was chosen over a box because most reductions here are not by a whole number (72 to 32 pixels), where Pillow's box
takes two source pixels for one target pixel and three for the next, and thin lines change their strength from column to
column; it is also the usual choice for the training sets of image generators (StyleGAN2-ADA's `dataset_tool`). What it
costs is a faint ringing beside hard edges; what rings above white is clipped, so that drawings on white come out darker
by one level of 255 in the median and by four at most. Pillow resizes 8-bit images in integers, with weights rounded to
22 bits, so the last bits of a machine's sine do not reach the pixels.

The rule is a part of the task, not of the score: Parmar, Zhang and Zhu (arXiv 2104.11222) measured that the filter of
the training images moves the FID by more than many methods do. How images are resized for an extractor is the
protocol's matter and does not follow this rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from graftbench.errors import unknown
from graftbench.images.decoding import to_rgb

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

DEFAULT = "lanczos-antialias"

SMALLEST_SIDE = 2
"""A picture with a shorter side, in pixels, shows nothing."""


def square(picture: Image.Image, resolution: int, rule: str = DEFAULT) -> NDArray[np.uint8]:
    """Crop a picture to its centre square, lay it on white and resize it: uint8 3×resolution×resolution.

    Args:
        picture: Upright, in any mode that `to_rgb` knows.
        resolution: Side in pixels.
        rule: One of `RULES`.

    Raises:
        ValueError: The picture is smaller than 2×2, or its values have no known scale.
        GraftbenchError: There is no such rule.
    """
    if rule not in RULES:
        raise unknown("resize rule", rule, RULES)
    side = min(picture.size)
    if side < SMALLEST_SIDE:
        raise ValueError(f"{picture.width}×{picture.height} pixels; at least 2×2 are needed")
    x, y = (picture.width - side) // 2, (picture.height - side) // 2
    cropped = to_rgb(picture.crop((x, y, x + side, y + side)))
    return np.ascontiguousarray(RULES[rule](cropped, resolution).transpose(2, 0, 1))


def _clean(picture: Image.Image, side: int) -> NDArray[np.uint8]:
    """Apply Pillow's bicubic filter (a = -0.5, antialiased) on each channel as 32-bit floats, clipped and rounded once.

    What clean-fid calls "clean" (arXiv 2104.11222). Pillow's bicubic on 8-bit images, which others mean by the same
    word, rounds between the two directions as well and differs by one level.
    """
    channels = [channel.convert("F").resize((side, side), Image.Resampling.BICUBIC) for channel in picture.split()]
    values = np.stack([np.asarray(channel) for channel in channels], axis=-1)
    return np.rint(values.clip(0, 255)).astype(np.uint8)


def _area(picture: Image.Image, side: int) -> NDArray[np.uint8]:
    """Take the mean over the area that a target pixel covers, parts of source pixels counted in part; halves round up.

    OpenCV's INTER_AREA for reductions and TensorFlow's AREA. Pillow's BOX and torch's "area" take whole pixels
    instead, which differs where the reduction is not by a whole number. Reckoned in whole numbers: every machine gets
    the same pixels.
    """
    whole = picture.width * picture.width
    sums = _area_sums(_area_sums(np.asarray(picture, dtype=np.int64), side).transpose(1, 0, 2), side)
    return ((2 * sums.transpose(1, 0, 2) + whole) // (2 * whole)).astype(np.uint8)


def _area_sums(values: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    """Sum over `side` equal parts of the first axis, times `side`: differences of the running sum at their ends."""
    running = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, axis=0)])
    below, part = np.divmod(np.arange(side + 1) * len(values), side)
    inside = values[np.minimum(below, len(values) - 1)]
    return np.diff(running[below] * side + inside * part[:, None, None], axis=0)


def _legacy_bilinear(picture: Image.Image, side: int) -> NDArray[np.uint8]:
    """Interpolate between the four nearest source pixels, however strong the reduction: thin lines flicker and vanish.

    Pixel centres at halves, as torch's `interpolate` without `antialias` and OpenCV's INTER_LINEAR have it; TensorFlow
    1 samples at corners instead, half a target pixel away. For comparison with results that were made so. Positions are
    fractions of 2·side and reckoned in whole numbers; halves round up.
    """
    source = picture.width
    # Per target pixel: the source pixels on both sides, and how far it lies between them in units of 1/(2·side).
    position = np.maximum((2 * np.arange(side, dtype=np.int64) + 1) * source - side, 0)
    low, part = np.divmod(position, 2 * side)
    high = np.minimum(low + 1, source - 1)
    values, whole = np.asarray(picture, dtype=np.int64), 2 * side
    rows = values[low] * (whole - part)[:, None, None] + values[high] * part[:, None, None]
    sums = rows[:, low] * (whole - part)[None, :, None] + rows[:, high] * part[None, :, None]
    return ((2 * sums + whole * whole) // (2 * whole * whole)).astype(np.uint8)


RULES: dict[str, Callable[[Image.Image, int], NDArray[np.uint8]]] = {
    DEFAULT: lambda picture, side: np.asarray(picture.resize((side, side), Image.Resampling.LANCZOS)),
    "area": _area,
    "clean": _clean,
    "legacy-bilinear": _legacy_bilinear,
}
"""Name -> how a square RGB picture becomes one of another side: uint8 H×W×3."""
