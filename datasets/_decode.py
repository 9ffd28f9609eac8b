"""What all image domains share: any picture becomes a square of uint8 RGB at the resolution asked for.

The filter is Lanczos with three lobes (Pillow's, which widens the filter when it reduces, so that nothing aliases).
It was chosen over a box because most reductions here are not by a whole number (72 to 32 pixels), where Pillow's box
takes two source pixels for one target pixel and three for the next, and thin lines change their strength from column to
column; it is also the usual choice for the training sets of image generators (StyleGAN2-ADA's `dataset_tool`). What it
costs is a faint ringing beside hard edges; what rings above white is clipped, so that drawings on white come out darker
by one level of 255 in the median and by four at most. Pillow resizes 8-bit images in integers, with weights rounded to
22 bits, so the last bits of a machine's sine do not reach the pixels.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from graftbench.decoding import RULE, to_rgb
from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

RECIPE = RULE
"""What the pixels depend on beside the pictures; when `square` changes, a number for it is put behind the rule."""

SMALLEST_SIDE = 2
"""A picture with a shorter side, in pixels, shows nothing."""


def square(picture: Image.Image, resolution: int) -> NDArray[np.uint8]:
    """A picture cropped to its centre square, laid on white and resized: uint8 3×resolution×resolution.

    Args:
        picture: Upright, in any mode that `to_rgb` knows.
        resolution: Side in pixels.

    Raises:
        ValueError: The picture is smaller than 2×2, or its values have no known scale.
    """
    side = min(picture.size)
    if side < SMALLEST_SIDE:
        raise ValueError(f"{picture.width}×{picture.height} pixels; at least 2×2 are needed")
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    cropped = to_rgb(picture.crop((left, top, left + side, top + side)))
    resized = cropped.resize((resolution, resolution), Image.Resampling.LANCZOS)
    return np.ascontiguousarray(np.asarray(resized).transpose(2, 0, 1))


def package_files(package: str, folder: str, pattern: str) -> list[Path]:
    """Files that an installed package brings, by name; the package is not imported.

    Raises:
        GraftbenchError: The package, or its files, are not there.
    """
    spec = find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    files = sorted(file for place in places for file in (Path(place) / folder).glob(pattern))
    if not files:
        found = f"is installed without {folder}/{pattern}" if places else "is not installed"
        raise GraftbenchError(
            f"The package {package} {found}; expected the images that graftbench's own install brings."
        )
    return files
