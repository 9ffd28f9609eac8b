"""Any folder of images."""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from graftbench.contracts import Domain, DomainImages
from graftbench.errors import GraftbenchError

from ._decode import RECIPE, square

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""What is decoded, whatever the name says: Pillow knows formats (PostScript) that start other programs.

JPEG takes in the multi-picture files (MPO) of telephones, of which the first picture is used.
"""

_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
"""What Pillow's decoders raise on damaged files."""


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
            except _DAMAGE as error:
                excluded[_printable(name)] = _reason(error)
            else:
                ids.append(_printable(name))
        if not ids:
            name, reason = next(iter(excluded.items()))
            raise GraftbenchError(
                f"None of the {len(files)} image files in '{self.argument}' can be used; the first is {name}: {reason}."
            )
        return DomainImages(ids, ids, pixels[: len(ids)], excluded)

    def _files(self) -> dict[str, Path]:
        """Relative POSIX path -> image file, sorted by that path."""
        root = Path(self.argument).expanduser()
        if not root.is_dir():
            found = "is a file" if root.exists() else "does not exist"
            raise GraftbenchError(f"The image folder '{self.argument}' {found}; expected a folder of images.")
        files, others = {}, 0
        for file in _walk(root):
            if file.suffix.lower() in _SUFFIXES:
                files[file.relative_to(root).as_posix()] = file
            else:
                others += 1
        if not files:
            raise GraftbenchError(
                f"The folder '{self.argument}' holds no images, and {others} files of other kinds; "
                f"expected files that end in {', '.join(_SUFFIXES)}."
            )
        return dict(sorted(files.items()))


def _walk(root: Path) -> list[Path]:
    """All files that are not hidden, in no particular order.

    Links to nothing are among them, to be reported. Pipes, sockets and devices are not: reading one may never end.
    """
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(folder, name) for name in names if not name.startswith(".")]
    return [file for file in found if not _is_special(file)]


def _is_special(file: Path) -> bool:
    """Whether it is there and no regular file; what cannot be looked at is for decoding to report."""
    try:
        return not stat.S_ISREG(file.stat().st_mode)
    except OSError:
        return False


def _content_digest(file: Path) -> bytes:
    """SHA-256 of a file's contents; of nothing if it cannot be read, which decoding will report."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except OSError:
        return hashlib.sha256().digest()


def _decode(file: Path, resolution: int) -> NDArray[np.uint8]:
    """One image: uint8 3×resolution×resolution. Raises one of `_DAMAGE`."""
    with file.open("rb") as stream, warnings.catch_warnings():
        # Pillow warns of odd metadata, which is not looked at, and of pictures of more than 89 million pixels.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        if not stream.peek(1):
            raise ValueError("the file is empty")
        with Image.open(stream, formats=_FORMATS) as picture:
            return square(picture, resolution)


def _printable(name: str) -> str:
    r"""A file name with what is not UTF-8 in it written as `\xe9`: ids are printed, and put into JSON."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _reason(error: BaseException) -> str:
    """Why an image cannot be used, without the path on this machine."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image of a known format"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
