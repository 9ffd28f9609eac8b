"""Any folder of images."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from graftbench.contracts import Domain, DomainImages
from graftbench.errors import GraftbenchError

from ._decode import Pixels, on_white, square

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})

SMALLEST_SIDE = 2
"""An image with a side below this carries nothing."""


class Folder(Domain):
    """`folder:PATH`: every image below PATH; ids are the paths relative to it."""

    name = "folder"
    title = "A folder of images"
    description = "every PNG, JPEG, WebP, BMP, GIF or TIFF below PATH, centre-cropped to a square"
    license = "the user's to know"
    attribution = "the user's to know"
    source = "a folder on this machine"
    takes_argument: ClassVar[str] = "PATH"

    def fingerprint(self) -> str:
        """Over the relative paths and the contents of all image files."""
        digest = hashlib.sha256()
        for file in self._files():
            digest.update(self._id(file).encode("utf-8", "surrogateescape") + b"\0")
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()

    def images(self, resolution: int) -> DomainImages:
        """EXIF orientation applied, RGB on white, centre crop, Lanczos with antialiasing.

        What cannot be decoded or is smaller than 2×2 is excluded by name with the reason.

        Raises:
            GraftbenchError: There is no such folder, it has no images, or none of them can be used.
        """
        ids: list[str] = []
        rows: list[Pixels] = []
        excluded: dict[str, str] = {}
        for file in self._files():
            try:
                rows.append(_decode(file, resolution))
                ids.append(self._id(file))
            except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
                excluded[self._id(file)] = str(error).replace(str(file), file.name)
        if not ids:
            name, reason = next(iter(excluded.items()))
            raise GraftbenchError(
                f"None of the {len(excluded)} images in '{self.argument}' can be used (first: {name}: {reason})."
            )
        return DomainImages(ids, ids, np.stack(rows), excluded)

    def _files(self) -> list[Path]:
        root = Path(self.argument)
        if not root.is_dir():
            what = "a file" if root.exists() else "not there"
            raise GraftbenchError(f"'{self.argument}' is {what}; folder:PATH needs a folder of images.")
        found = (file for file in root.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
        images = sorted(found, key=self._id)
        if not images:
            raise GraftbenchError(
                f"The folder '{self.argument}' holds no images; expected {', '.join(sorted(SUFFIXES))}."
            )
        return images

    def _id(self, file: Path) -> str:
        return file.relative_to(self.argument).as_posix()


def _decode(file: Path, resolution: int) -> Pixels:
    with Image.open(file) as picture:
        picture.load()
        if min(picture.size) < SMALLEST_SIDE:
            raise ValueError(f"the image is {picture.width}×{picture.height}; each side must be at least 2 pixels")
        upright = ImageOps.exif_transpose(picture)
        return square(on_white(_eight_bit(upright)), resolution)


def _eight_bit(picture: Image.Image) -> Image.Image:
    """16-bit and float grey scaled to 8 bits; Pillow's own conversion clips them."""
    if picture.mode in ("I", "I;16", "I;16L", "I;16B", "I;16N", "F"):
        values = np.asarray(picture, dtype=np.float64)
        top = 65535.0 if values.max(initial=0) > 255 or picture.mode.startswith("I;16") else 255.0
        return Image.fromarray((values.clip(0, top) * (255 / top)).round().astype(np.uint8))
    return picture
