"""How an image file becomes a picture, for the domains' files and for the files to be scored alike.

The first frame, upright by EXIF, as 8-bit RGB, transparency on white. torch-fidelity and pytorch-fid drop the alpha
channel instead (`convert("RGB")`), which shows the colours that are stored under transparent pixels, often black: the
same files score differently there.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import PIL
from PIL import Image, ImageOps, UnidentifiedImageError

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Callable

RULE = f"decode 1, Pillow {PIL.__version__}"
"""What pixels depend on beside the files; the number is raised when this file decodes differently."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
"""How the names of image files end, in lower case."""

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""What is decoded, whatever the name says: Pillow knows formats (PostScript) that start other programs.

JPEG takes in the multi-picture files (MPO) of telephones, of which the first picture is used.
"""

DAMAGE = (
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
    """Any picture as 8-bit RGB; transparent ones on white, 16-bit grey scaled by 255/65535 and rounded.

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
    """Why an image cannot be used, without the path on this machine."""
    if isinstance(error, UnidentifiedImageError):  # its message has the stream's address in it
        return "not an image of a known format"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def image_files(root: Path, *, unlisted: Callable[[OSError], None] | None = None) -> dict[str, Path]:
    """Relative POSIX path -> image file, sorted by that path.

    Hidden files and folders (names that begin with a dot) and linked folders are not entered. Links to nothing are
    among the files, to be reported. Pipes, sockets and devices are not: reading one may never end.

    Args:
        root: The folder.
        unlisted: Is told of a folder that may not be listed; None leaves such a folder out.

    Raises:
        GraftbenchError: The folder holds no image files.
    """
    files: dict[str, Path] = {}
    others = 0
    for folder, folders, names in os.walk(root, onerror=unlisted):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for file in (Path(folder, name) for name in names if not name.startswith(".")):
            if file.suffix.lower() in SUFFIXES and not is_special(file):
                files[file.relative_to(root).as_posix()] = file
            else:
                others += 1
    if not files:
        raise GraftbenchError(
            f"The folder '{printable(str(root))}' holds no images, and {others} files of other kinds; "
            f"expected files that end in {', '.join(SUFFIXES)}."
        )
    return dict(sorted(files.items()))


def is_special(file: Path) -> bool:
    """Whether it is there and no regular file; what cannot be looked at is for decoding to report."""
    try:
        return not stat.S_ISREG(file.stat().st_mode)
    except OSError:
        return False


def printable(name: str) -> str:
    r"""Return a file name with what is not UTF-8 in it written as `\xe9`: it is printed, and put into JSON."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
