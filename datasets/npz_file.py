"""Arrays of images in .npz files."""

from __future__ import annotations

import warnings
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from graftbench.contracts import DomainImages, Item
from graftbench.images.archives import the_file
from graftbench.images.arrays import dark_remark, open_array_file
from graftbench.images.preparation import gathered

from ._decode import RECIPE
from ._user_files import UserFiles

if TYPE_CHECKING:
    from pathlib import Path

    from graftbench.images.base import Images, Pixels

_AT_ONCE = 256
"""Images unpacked at a time."""


class NpzFile(UserFiles):
    """The images of one array in an .npz file: `npz:PATH`, uint8 of shape N×H×W×3 or N×3×H×W, RGB, 0 to 255.

    The array is called `arr_0` (what `np.savez(path, images)` writes, and ADM's sample files have) or `images`, or is
    the only one. An .npy file serves as well. Nothing is unpickled. Ids are positions: to add an image in the middle
    moves the others to other sides.
    """

    name = "npz"
    title = "An array of images"
    description = "An .npz or .npy file with a uint8 array of RGB images, N×H×W×3 or N×3×H×W."

    def fingerprint(self) -> str:
        """Return the SHA-256 over the file, and what resizes the images.

        Raises:
            GraftbenchError: The file is not there, is damaged, or does not hold one array of images.
        """
        self._array()
        return f"{self.file_digest(self._path()).hex()}, {RECIPE}"

    def images(self, resolution: int) -> DomainImages:
        """Return all images, cropped to the centre square and Lanczos-resized, by position.

        Raises:
            GraftbenchError: The file is not there, is damaged, or does not hold one array of images.
        """
        return gathered(self.items(resolution), resolution, f"images in '{self._path().name}'")

    def items(self, resolution: int) -> list[Item]:
        """Return all images by position; the array is held in memory as long as they are kept.

        Raises:
            GraftbenchError: The file is not there, is damaged, or does not hold one array of images.
        """
        del resolution
        names = [f"{position:06d}" for position in range(self._array().count)]
        pixels = _pixels(self._array()).transpose(0, 2, 3, 1)
        if remark := dark_remark(self._path().name, int(pixels.max())):
            warnings.warn(f"{remark[0].upper()}{remark[1:]}.", UserWarning, stacklevel=2)
        return [Item(name, name, partial(Image.fromarray, image)) for name, image in zip(names, pixels, strict=True)]

    def _path(self) -> Path:
        return the_file(self.argument, "an .npz or .npy file with an array of images")

    def _array(self) -> Images:
        """Open the array, of which shape and type have been checked."""
        return open_array_file(self._path(), self._path().name)


def _pixels(array: Images) -> Pixels:
    """Read the whole array, uint8 N×3×H×W, filled as it is unpacked."""
    pixels, filled = np.empty((array.count, 3, *array.sizes[0]), np.uint8), 0
    for batch in array.batches(_AT_ONCE):
        pixels[filled : filled + len(batch)] = batch
        filled += len(batch)
    return pixels
