"""Images that were handed in, read and checked against the cell that they are for."""

from __future__ import annotations

import hashlib
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import torch

from graftbench.errors import GraftbenchError
from graftbench.images.sources import open_images
from graftbench.records.cell_spec import SAMPLES
from graftbench.training.samplers import ImageBankSampler

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from graftbench.images.base import Pixels
    from graftbench.images.sources import Images
    from graftbench.records.cell_spec import CellSpec

BATCH = 256


def check_images(source: Path, *, needed: int, side: int) -> str:
    """Read all images once and keep none; SHA-256 (hex) over their pixels in their order, whatever kind of file.

    Args:
        source: A folder, or a .zip, .npz or .npy file.
        needed: How many there must be at least.
        side: What their sides must be, in pixels.

    Raises:
        GraftbenchError: They are too few, of another size, or one cannot be read.
    """
    digest = hashlib.sha256()
    for image in _checked(_opened(source, needed), side):
        _feed(digest, image)
    return digest.hexdigest()


def read_samples(source: Path, *, needed: int, side: int) -> tuple[torch.Tensor, str]:
    """Return all images, uint8 n×3×side×side in their order, and what `check_images` gives.

    Raises:
        GraftbenchError: As there.
    """
    digest = hashlib.sha256()
    images = _opened(source, needed)
    pixels = np.empty((images.count, 3, side, side), np.uint8)
    for position, image in enumerate(_checked(images, side)):
        _feed(digest, image)
        pixels[position] = image
    return torch.from_numpy(pixels), digest.hexdigest()


def submitted_sampler(source: Path, cell: CellSpec) -> tuple[ImageBankSampler, list[str]]:
    """Make a sampler that replays the images submitted for a cell, and say what a reader should know.

    Of more images than the protocol scores, so many are drawn by the cell's seed, each at most once.

    Raises:
        GraftbenchError: They are too few, of another size, cannot be read, or are not those that the cell was planned
            with.
    """
    needed = cell.protocol.n_generated
    pixels, sha256 = read_samples(source, needed=needed, side=cell.task.resolution)
    if sha256 != cell.files[SAMPLES]:
        raise GraftbenchError(f"The images in '{source.name}' have changed since the run was planned; run it again.")
    notes = []
    if len(pixels) > needed:
        notes.append(f"Of the {len(pixels)} images that were handed in {needed} were scored, drawn by the cell's seed.")
    return ImageBankSampler(pixels), notes


def _opened(source: Path, needed: int) -> Images:
    if not source.exists():
        raise GraftbenchError(
            f"There are no images at '{source}'; expected a folder, or a .zip, .npz or .npy file. (Where they were "
            "scored already, the records have all that reports need: take their [[samples]] out of the suite.)"
        )
    images = open_images(source)
    if images.count < needed:
        count = "1 image" if images.count == 1 else f"{images.count} images"
        raise GraftbenchError(
            f"'{images.name}' holds {count}; the protocol scores {needed} (n_generated), and a score of fewer would be "
            "another score. Generate more."
        )
    return images


def _checked(images: Images, side: int) -> Iterator[Pixels]:
    """Yield each image: uint8 3×side×side."""
    for position, image in enumerate(chain.from_iterable(images.batches(BATCH)), start=1):
        if image.shape != (3, side, side):
            height, width = image.shape[1:]
            raise GraftbenchError(
                f"Image {position} of '{images.name}' is {width}×{height}; the task's images are {side}×{side}. "
                "Nothing is resized here, for the filter would be part of the score: hand in that size."
            )
        yield image


def _feed(digest: hashlib._Hash, image: Pixels) -> None:
    digest.update(f"{image.shape}".encode() + np.ascontiguousarray(image).tobytes())
