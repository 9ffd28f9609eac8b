"""MNIST's IDX files: arrays of bytes with their shape before them, packed by gzip or not.

The format: http://yann.lecun.com/exdb/mnist/ (two zero bytes, the type, the number of axes, their lengths, the values).
"""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_UINT8 = 8
_LENGTH_BYTES = 4


@dataclass(frozen=True)
class IdxPart:
    """Pictures and the numbers of their classes, indexed as torchvision's sets are.

    Attributes:
        pictures: uint8 n×H×W.
        targets: uint8 n.
        classes: Names by number.
    """

    pictures: NDArray[np.uint8]
    targets: NDArray[np.uint8]
    classes: tuple[str, ...]

    def __getitem__(self, position: int) -> tuple[Image.Image, int]:
        """Return a grey picture and the number of its class."""
        return Image.fromarray(self.pictures[position]), int(self.targets[position])


def read_part(pictures: Path, labels: Path, classes: tuple[str, ...], side: int) -> IdxPart:
    """Read a part of a set from its two files.

    Args:
        pictures: Of n×side×side.
        labels: Of n.
        classes: Names by number.
        side: Of each picture, in pixels.

    Raises:
        GraftbenchError: One of them cannot be read, or they do not go together.
    """
    images, targets = read_idx(pictures), read_idx(labels)
    if images.ndim != 3 or images.shape[1:] != (side, side) or targets.shape != images.shape[:1]:
        raise GraftbenchError(
            f"'{pictures}' holds an array {_shape(images)} and '{labels}' one {_shape(targets)}; expected "
            f"N×{side}×{side} and N."
        )
    if len(targets) and targets.max() >= len(classes):
        raise GraftbenchError(f"'{labels}' has the class {targets.max()}; expected 0 to {len(classes) - 1}.")
    return IdxPart(images, targets, classes)


def read_idx(file: Path) -> NDArray[np.uint8]:
    """Read an array of bytes; a name that ends in .gz is unpacked, no further than the shape says.

    Raises:
        GraftbenchError: The file cannot be read, is of another format, or holds more or less than its shape says.
    """
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            zeros, kind, axes = stream.read(2), stream.read(1), stream.read(1)
            if (zeros, kind) != (b"\0\0", bytes([_UINT8])) or not axes:
                raise GraftbenchError(f"'{file}' is no IDX file of bytes; expected it to begin with 00 00 08.")
            lengths = [stream.read(_LENGTH_BYTES) for _ in range(axes[0])]
            shape = [int.from_bytes(length, "big") for length in lengths]
            values = stream.read(math.prod(shape))
            is_whole = len(values) == math.prod(shape) and all(len(length) == _LENGTH_BYTES for length in lengths)
            has_more = is_whole and stream.read(1) != b""
    except (OSError, EOFError, zlib.error) as error:
        raise GraftbenchError(f"'{file}' cannot be read as an IDX file ({error or type(error).__name__}).") from error
    if not is_whole or has_more:
        raise GraftbenchError(f"'{file}' holds {'more' if has_more else 'less'} than its shape {shape} says.")
    return np.frombuffer(values, np.uint8).reshape(shape)


def _shape(array: NDArray[np.uint8]) -> str:
    return "×".join(map(str, array.shape))
