"""Any folder of images."""

from __future__ import annotations

import hashlib
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from graftbench.contracts import Domain, DomainImages, Item
from graftbench.errors import GraftbenchError
from graftbench.images.decoding import image_files, printable, upright
from graftbench.images.preparation import gathered

from ._decode import RECIPE

if TYPE_CHECKING:
    from PIL import Image


class Folder(Domain):
    """The images in a folder and its folders, by relative path.

    Hidden files and folders (names that begin with a dot) and linked folders are not entered. Each image is a group of
    its own, joined with those that are nearly the same (`graftbench.images.near_duplicates`): the same picture in
    another size, format or compression, moved or cropped by a little. Other crops and frames of one scene are not
    found.
    """

    name = "folder"
    title = "A folder of images"
    description = "Any folder of PNG, JPEG, WebP, BMP, GIF (first frame) or TIFF files, centre-cropped to squares."
    license = "that of the images"
    attribution = "that of the images"
    source = "the user's disk"
    takes_argument = "PATH"
    curated_groups = False

    def fingerprint(self) -> str:
        """SHA-256 over relative paths and contents of all image files, and what decodes them.

        Raises:
            GraftbenchError: The path is no folder or holds no image files.
        """
        digest = hashlib.sha256()
        for name, file in self._files().items():
            digest.update(os.fsencode(name) + b"\0" + self.file_digest(file))
        return f"{digest.hexdigest()}, {RECIPE}"

    def images(self, resolution: int) -> DomainImages:
        """All readable images: upright by EXIF, on white, centre-cropped, Lanczos-resized; sorted by relative path.

        What cannot be read, or is smaller than 2×2 pixels, is in `excluded` with the reason.

        Raises:
            GraftbenchError: The path is no folder, holds no image files, or none that can be read.
        """
        return gathered(self.items(resolution), resolution, f"image files in '{self.argument}'")

    def items(self, resolution: int) -> list[Item]:
        """Return the image files, sorted by relative path; each is opened when it is decoded.

        Raises:
            GraftbenchError: The path is no folder or holds no image files.
        """
        del resolution
        return [Item(printable(name), printable(name), partial(_open, file)) for name, file in self._files().items()]

    def _files(self) -> dict[str, Path]:
        """Relative POSIX path -> image file, sorted by that path."""
        root = Path(self.argument).expanduser()
        if not root.is_dir():
            found = "is a file" if root.exists() else "does not exist"
            raise GraftbenchError(f"The image folder '{self.argument}' {found}; expected a folder of images.")
        return image_files(root)


def _open(file: Path) -> Image.Image:
    """Open the picture in a file. Raises one of `graftbench.images.decoding.DAMAGE`."""
    return upright(file.read_bytes())
