"""The images that a foreign program has left, read strictly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from graftbench.errors import GraftbenchError
from graftbench.images.archives import is_picture
from graftbench.images.arrays import ARRAY_SUFFIXES, open_array_file
from graftbench.images.folders import open_folder, open_zip_file

if TYPE_CHECKING:
    from pathlib import Path

    from graftbench.images.base import Images

BATCH = 256


def read_images(folder: Path, n: int, side: int) -> tuple[torch.Tensor, int]:
    """Read the first n images of a folder by name: uint8 n×3×side×side on the CPU; and count all of them.

    Raises:
        GraftbenchError: They are too few, of another size, or cannot be read.
    """
    images = _opened(folder)
    if images.count < n:
        raise GraftbenchError(f"it wrote {images.count} images into {{samples}}; {n} were asked for")
    pixels, position = np.empty((n, 3, side, side), np.uint8), 0
    for batch in images.batches(BATCH):
        if batch.shape[2:] != (side, side):
            height, width = batch.shape[2:]
            raise GraftbenchError(
                f"image {position + 1} that it wrote into {{samples}} is {width}×{height}; the task's are {side}×{side}"
            )
        taken = batch[: n - position]
        pixels[position : position + len(taken)] = taken
        position += len(taken)
        if position == n:
            break
    return torch.from_numpy(pixels), images.count


def _opened(folder: Path) -> Images:
    """Open the images of a folder, or of the one archive that lies there instead of images."""
    if not folder.is_dir():
        raise GraftbenchError("the folder {samples} is gone")
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    if not files:
        raise GraftbenchError("it wrote nothing into {samples}")
    if any(is_picture(path.name) for path in files):
        return open_folder(folder, "{samples}", skip_damaged=False)
    archives = [path for path in files if path.suffix.lower() in (".zip", *ARRAY_SUFFIXES)]
    if len(archives) != 1:
        names = ", ".join(path.name for path in files[:3]) + (", …" if len(files) > 3 else "")
        raise GraftbenchError(
            f"it wrote {len(files)} files into {{samples}} ({names}), and none is an image; expected image files, or "
            "one .zip, .npz or .npy file of images"
        )
    path = archives[0]
    if path.suffix.lower() == ".zip":
        return open_zip_file(path, path.name, skip_damaged=False)
    return open_array_file(path, path.name)
