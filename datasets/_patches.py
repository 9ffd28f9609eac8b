"""Patches of a few large pictures that scikit-image brings.

Three pictures cannot be parted into train, validation and reference, and patches of different pictures are images of
different kinds: scores would measure how far gravel is from brick. So each picture is cut into blocks, and a block is
a group: all patches lie within one block, so that patches on different sides of a split share no pixel. Patches of
neighbouring blocks show the same scene, in the same light, nevertheless: these domains ask for the texture of a
picture, not for pictures that nobody has seen.

Blocks are 128×128 pixels, from the upper left corner (what remains at the right and lower edges is left out); a
multiple of 16, so that no block of a JPEG file crosses a border. In each lie 5×5 patches of 64×64 pixels, 16 pixels
apart.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from graftbench.contracts import Domain, DomainImages
from graftbench.images.decoding import upright

from ._decode import RECIPE, package_files, square

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image

BLOCK = 128
"""Side of a block, in pixels of the picture."""

SIDE = 64
"""Side of a patch, in pixels of the picture."""

STRIDE = 16
"""From one patch of a block to the next, in pixels of the picture."""

FLATTEST = 3.0
"""Standard deviation, in levels of 255, under which a patch shows nothing: black corners, clear sky."""

_PACKAGE = "skimage"
_RULE = "patches 1"


@dataclass
class _Cut:
    """The patches that are cut out so far; fields as in `DomainImages`."""

    ids: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    pixels: list[NDArray[np.uint8]] = field(default_factory=list)
    excluded: dict[str, str] = field(default_factory=dict)


class PatchDomain(Domain):
    """Patches of pictures in scikit-image's data folder.

    Attributes:
        files: Names of the pictures' files.
    """

    source = "Python package scikit-image (https://github.com/scikit-image/scikit-image), folder data"
    files: ClassVar[tuple[str, ...]]

    def fingerprint(self) -> str:
        """Return the package's version, the SHA-256 over the pictures, and how they are cut and decoded.

        Raises:
            GraftbenchError: scikit-image is not installed or has no such pictures.
        """
        digest = hashlib.sha256()
        for name in self.files:
            digest.update(_file(name).read_bytes())
        return f"scikit-image {version('scikit-image')}, {digest.hexdigest()}, {_RULE}, {RECIPE}"

    def images(self, resolution: int) -> DomainImages:
        """Return all patches, Lanczos-resized from 64×64; flat ones are excluded.

        Raises:
            GraftbenchError: scikit-image is not installed or has no such pictures.
        """
        cut = _Cut()
        for name in self.files:
            file = _file(name)
            _cut(file.stem, upright(file.read_bytes()), resolution, cut)
        return DomainImages(cut.ids, cut.groups, np.stack(cut.pixels), cut.excluded)


def _cut(stem: str, picture: Image.Image, resolution: int, cut: _Cut) -> None:
    """Enter the patches of one picture: ids `brick-y128-x064`, groups `brick-1-0` (row and column of the block)."""
    inside = range(0, BLOCK - SIDE + 1, STRIDE)
    corners = [
        (row * BLOCK + down, column * BLOCK + right)
        for row in range(picture.height // BLOCK)
        for column in range(picture.width // BLOCK)
        for down in inside
        for right in inside
    ]
    for top, left in corners:
        patch = picture.crop((left, top, left + SIDE, top + SIDE))
        name = f"{stem}-y{top:04}-x{left:04}"
        spread = float(np.asarray(patch, np.float64).std((0, 1)).max())
        if spread < FLATTEST:
            cut.excluded[name] = f"flat: a standard deviation of {spread:.1f} levels; at least {FLATTEST} is asked for"
            continue
        cut.ids.append(name)
        cut.groups.append(f"{stem}-{top // BLOCK}-{left // BLOCK}")
        cut.pixels.append(square(patch, resolution))


def _file(name: str) -> Path:
    return package_files(_PACKAGE, "data", name)[0]
