"""Any folder of images."""

from __future__ import annotations

import hashlib
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from graftbench.contracts import Domain, DomainImages
from graftbench.decoding import DAMAGE, reason, upright
from graftbench.errors import GraftbenchError
from graftbench.image_files import image_files, printable

from ._decode import RECIPE, square

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Folder(Domain):
    """The images in a folder and its folders, by relative path.

    Hidden files and folders (names that begin with a dot) and linked folders are not entered. Each image is a group of
    its own, joined only with images of equal pixels: who has several crops or frames of one scene removes them before.
    """

    name = "folder"
    title = "A folder of images"
    description = "Any folder of PNG, JPEG, WebP, BMP, GIF (first frame) or TIFF files, centre-cropped to squares."
    license = "that of the images"
    attribution = "that of the images"
    source = "the user's disk"
    takes_argument = "PATH"

    def fingerprint(self) -> str:
        """SHA-256 over relative paths and contents of all image files, and what decodes them.

        Raises:
            GraftbenchError: The path is no folder or holds no image files.
        """
        digest = hashlib.sha256()
        for name, file in self._files().items():
            digest.update(os.fsencode(name) + b"\0" + _content_digest(file))
        return f"{digest.hexdigest()}, {RECIPE}"

    def images(self, resolution: int) -> DomainImages:
        """All readable images: upright by EXIF, on white, centre-cropped, Lanczos-resized; sorted by relative path.

        What cannot be read, or is smaller than 2×2 pixels, is in `excluded` with the reason.

        Raises:
            GraftbenchError: The path is no folder, holds no image files, or none that can be read.
        """
        files = self._files()
        pixels = np.empty((len(files), 3, resolution, resolution), np.uint8)
        ids: list[str] = []
        excluded: dict[str, str] = {}
        for name, file in files.items():
            try:
                pixels[len(ids)] = _decode(file, resolution)
            except DAMAGE as error:
                excluded[printable(name)] = reason(error)
            else:
                ids.append(printable(name))
        if not ids:
            name, why = next(iter(excluded.items()))
            raise GraftbenchError(
                f"None of the {len(files)} image files in '{self.argument}' can be used; the first is {name}: {why}."
            )
        return DomainImages(ids, ids, pixels[: len(ids)], excluded)

    def _files(self) -> dict[str, Path]:
        """Relative POSIX path -> image file, sorted by that path."""
        root = Path(self.argument).expanduser()
        if not root.is_dir():
            found = "is a file" if root.exists() else "does not exist"
            raise GraftbenchError(f"The image folder '{self.argument}' {found}; expected a folder of images.")
        return image_files(root)


def _content_digest(file: Path) -> bytes:
    """SHA-256 of a file's contents; of nothing if it cannot be read, which decoding will report."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except OSError:
        return hashlib.sha256().digest()


def _decode(file: Path, resolution: int) -> NDArray[np.uint8]:
    """One image: uint8 3×resolution×resolution. Raises one of `DAMAGE`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is wrong with a picture is in `excluded`; odd metadata is not looked at
        return square(upright(file.read_bytes()), resolution)
