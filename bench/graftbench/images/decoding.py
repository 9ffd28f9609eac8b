"""Decode image files, those of the domains and those to be scored alike.

The first frame, upright by EXIF, as 8-bit RGB, transparency on white. torch-fidelity and pytorch-fid drop the alpha
channel instead (`convert("RGB")`), which shows the colours that are stored under transparent pixels, often black: the
same files score differently there.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from importlib.metadata import version
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RULE = f"decode 2, Pillow {version('pillow')}"
"""Part of the fingerprint of decoded pixels; the number is raised when this module decodes differently."""

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".avif", ".gif"),
    *(".bmp", ".dib", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".apng"),
)
"""Endings of the names of image files, in lower case."""

FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "BMP", "DIB", "GIF", "TIFF", "PPM")
"""What is decoded, whatever the name says: Pillow knows formats (PostScript) that start other programs.

JPEG takes in the multi-picture files (MPO) of telephones, of which the first picture is used.
"""

_NAMED, _REASONS = 2, 4
"""Files and reasons that `left_out_text` names."""

DAMAGE = (
    OSError,
    RuntimeError,  # of libavif
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Warning,  # raised only where the user turned warnings into errors
)
"""What reading and decoding a damaged file raises; `reason` puts each in words."""


def upright(content: bytes) -> Image.Image:
    """Decode the picture in an image file in full, upright by EXIF, in the mode that it is stored in.

    Pillow warns of odd metadata, which is not looked at, and of pictures beyond its limit, which are refused here. Who
    does not want these warnings filters them around the call: the filters belong to the process, and this runs in
    threads.

    Args:
        content: The file's bytes.

    Raises:
        One of `DAMAGE`: No picture of a known format, a damaged one, or one of more pixels than Pillow's limit
            (`Image.MAX_IMAGE_PIXELS`), which a small file can unpack to.
    """
    if not content:
        raise ValueError("the file is empty")
    with Image.open(BytesIO(content), formats=FORMATS) as picture:
        limit = Image.MAX_IMAGE_PIXELS
        if limit is not None and picture.width * picture.height > limit:  # from twice that on Pillow refuses by itself
            raise ValueError(f"{picture.width}×{picture.height} pixels are more than Pillow's limit of {limit}")
        return cast("Image.Image", ImageOps.exif_transpose(picture))


def to_rgb(picture: Image.Image) -> Image.Image:
    """Convert any picture to 8-bit RGB; transparent ones on white, 16-bit grey scaled by 255/65535 and rounded.

    Of 16-bit colours Pillow keeps the upper 8 bits. CMYK is converted by (255−C)(255−K)/255 and so on; embedded colour
    profiles are not applied.

    Raises:
        ValueError: The values have no known scale (floats, integers beyond 16 bits).
    """
    if picture.mode.startswith("I"):
        values = np.asarray(picture).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError(f"integers from {values.min()} to {values.max()} have no known scale; 0 to 65535 has")
        return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")
    if picture.mode == "F":
        raise ValueError("floating-point pixels have no known scale")
    if picture.has_transparency_data:
        over = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over).convert("RGB")
    return picture.convert("RGB")


def reason(error: BaseException) -> str:
    """Say why an image cannot be used, without the path on this machine."""
    if isinstance(error, UnidentifiedImageError):  # its message has the stream's address in it
        return "not an image of a known format"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


class FolderListing(NamedTuple):
    """The image files of a folder and of the folders in it, and what is left out.

    Attributes:
        files: Relative POSIX path -> image file, sorted by that path.
        left_out: Relative POSIX path -> why this file or folder is not among them, sorted by that path.
    """

    files: dict[str, Path]
    left_out: dict[str, str]


def list_images(root: Path, *, unlisted: Callable[[OSError], None] | None = None) -> FolderListing:
    """List the image files of a folder and of the folders in it, and what is left out.

    Hidden files and folders (names that begin with a dot) are not looked at. Links are followed, each folder is entered
    once: under its own name where it lies below the root, else under the first link to it by name. A link to a folder
    that the root lies in is not followed. Links to nothing are among the files, to be reported. Pipes, sockets and
    devices are not: reading one may never end.

    Args:
        root: The folder.
        unlisted: Is told of a folder that may not be listed; None for such a folder to be left out by name.

    Raises:
        GraftbenchError: The folder holds no image files.
    """
    files: dict[str, Path] = {}
    left_out: dict[str, str] = {}
    entered: set[tuple[int, int]] = set()
    around = {_identity(folder) for folder in root.resolve().parents}

    def note(error: OSError) -> None:
        if unlisted is not None:
            unlisted(error)
        left_out[Path(error.filename).relative_to(root).as_posix()] = f"the folder cannot be read ({error.strerror})"

    # Linked folders wait until all that lies below the root itself is read.
    waiting = [root]
    while waiting:
        start = waiting.pop(0)
        if (why := _not_entered(start, entered, around)) is not None:
            left_out[start.relative_to(root).as_posix()] = why
            continue
        for folder, folders, names in os.walk(start, onerror=note):
            entered.add(_identity(Path(folder)))
            shown = sorted(name for name in folders if not name.startswith("."))
            waiting += [Path(folder, name) for name in shown if Path(folder, name).is_symlink()]
            folders[:] = [name for name in shown if _identity(Path(folder, name)) not in entered]
            for file in (Path(folder, name) for name in names if not name.startswith(".")):
                path = file.relative_to(root).as_posix()
                if why := other_kind(file.name) or ("it is no regular file" if is_special(file) else ""):
                    left_out[path] = why
                else:
                    files[path] = file
    if not files:
        raise GraftbenchError(
            f"The folder '{printable(str(root))}' holds no images, and {len(left_out)} files of other kinds; "
            f"expected files that end in {', '.join(SUFFIXES)}."
        )
    return FolderListing(dict(sorted(files.items())), dict(sorted(left_out.items())))


def _identity(path: Path) -> tuple[int, int]:
    """Return device and number of what a path leads to."""
    status = path.stat()
    return status.st_dev, status.st_ino


def _not_entered(folder: Path, entered: set[tuple[int, int]], around: set[tuple[int, int]]) -> str | None:
    """Say why a folder is not entered; None if it is to be."""
    try:
        identity = _identity(folder)
    except OSError as error:
        return f"the link cannot be followed ({error.strerror})"
    if identity in around:
        return "a link to a folder that this one lies in"
    return "a link to a folder that is read under another name" if identity in entered else None


def other_kind(name: str) -> str:
    """Say that a file is not read for its name's ending; empty if it is read."""
    ending = PurePosixPath(name).suffix.lower()
    if ending in SUFFIXES:
        return ""
    return f"{ending} files are not read" if ending else "files without an ending are not read"


def unreadable(why: str) -> Image.Image:
    """Stand for a picture that is left out, as what opens an item: the suite then names it with the reason.

    Raises:
        ValueError: Always, with the reason.
    """
    raise ValueError(why)


def left_out_text(left_out: Mapping[str, str]) -> str:
    """Say how many files are left out and why: `3 files are left out: 2 as .heic files are not read (a.heic, …); …`.

    Args:
        left_out: Name -> reason, at least one.
    """
    by_reason: dict[str, list[str]] = {}
    for name, why in left_out.items():
        by_reason.setdefault(why, []).append(name)
    ordered = sorted(by_reason.items(), key=lambda reason: -len(reason[1]))
    parts = [
        f"{len(names):,} as {why} ({', '.join(names[:_NAMED])}{', …' if len(names) > _NAMED else ''})"
        for why, names in ordered[:_REASONS]
    ]
    others = sum(len(names) for _, names in ordered[_REASONS:])
    parts += [f"{others:,} for other reasons"] if others else []
    one = len(left_out) == 1
    return f"{len(left_out):,} {'file is' if one else 'files are'} left out: {'; '.join(parts)}"


def is_special(file: Path) -> bool:
    """Return whether a file is there and no regular one; what cannot be looked at is for decoding to report."""
    try:
        return not stat.S_ISREG(file.stat().st_mode)
    except OSError:
        return False


def printable(name: str) -> str:
    r"""Return a file name with what is not UTF-8 in it written as `\xe9`: it is printed, and put into JSON."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
