"""Refuse harmful archives: names that lead out of them, members that unpack to far more than the archive is.

Nothing is ever unpacked to the disk, so that such a name could do no harm here; an archive that has one was made to do
harm elsewhere, or by a faulty program, and is refused as a whole.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from graftbench.errors import GraftbenchError
from graftbench.images.decoding import other_kind, reason

if TYPE_CHECKING:
    from collections.abc import Callable

LARGEST_MEMBER = 256 * 2**20
"""Bytes of one picture, packed or not: a picture of Pillow's limit of 89 million pixels, uncompressed in RGB."""

LARGEST_RATIO = 200
"""Unpacked over packed bytes. PNG, JPEG and WebP do not shrink further; uncompressed drawings shrink by tens."""

FREE_BYTES = 2**20
"""So much may be unpacked at any ratio: small flat pictures shrink by more than `LARGEST_RATIO`."""

LABELS = "dataset.json"
"""The member in which dataset_tool.py of StyleGAN and EDM keeps labels."""

BAD_ZIP = (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""Exceptions that zipfile raises on damaged files; a compression that this Python lacks is a RuntimeError."""


def the_file(argument: str, what: str) -> Path:
    """Return the file that a user named.

    Raises:
        GraftbenchError: There is none.
    """
    path = Path(argument).expanduser()
    if not path.is_file():
        state = "is a folder" if path.is_dir() else "does not exist"
        raise GraftbenchError(f"'{path}' {state}; expected {what}.")
    return path


def refusal(archive: str) -> Callable[[str, str], GraftbenchError]:
    """Make the error for a member of an archive that must not be read, from its name and what is wrong."""
    return lambda member, why: GraftbenchError(f"The archive '{archive}' is refused: its member {member!r} {why}.")


def bad_name(name: str) -> str:
    """Say what is wrong with a member's name; empty if nothing."""
    plain = name.replace("\\", "/")
    if plain.startswith("/") or re.match(r"[A-Za-z]:", plain):
        return "has an absolute path"
    if ".." in plain.split("/"):
        return "has a path that leads out of the archive (..)"
    return ""


def bad_size(unpacked: int, packed: int) -> str:
    """Say what is wrong with sizes in bytes; empty if nothing."""
    if unpacked > LARGEST_MEMBER:
        return f"unpacks to {unpacked:,} bytes; at most {LARGEST_MEMBER:,} are read"
    if unpacked > FREE_BYTES and unpacked > LARGEST_RATIO * packed:
        return f"unpacks from {packed:,} to {unpacked:,} bytes, as a bomb does; at most {LARGEST_RATIO}-fold is read"
    return ""


def is_hidden(name: str) -> bool:
    """Return whether a part of a member's name is hidden (`__MACOSX/._a.png`), or it is a folder."""
    return name.endswith("/") or any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def is_picture(name: str) -> bool:
    """Return whether a member's name ends as an image's does and no part of it is hidden."""
    return not other_kind(name) and not is_hidden(name)


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip file, all its members checked, for whoever closes it.

    Raises:
        GraftbenchError: It is damaged or refused.
    """
    try:
        archive = zipfile.ZipFile(path)
    except BAD_ZIP as error:
        raise GraftbenchError(f"'{path.name}' cannot be read as a zip file ({reason(error)}).") from error
    try:
        _look_over(archive, path)
    except GraftbenchError:
        archive.close()
        raise
    return archive


def _look_over(archive: zipfile.ZipFile, path: Path) -> None:
    refused = refusal(path.name)
    for member in archive.infolist():
        # zipfile cuts a name at a zero byte and turns the system's separators: what was written is looked at
        why = bad_name(member.orig_filename) or bad_size(member.file_size, member.compress_size)
        if member.flag_bits & 1:
            why = "is encrypted"
        if why:
            raise refused(member.filename, why)
    packed = sum(member.compress_size for member in archive.infolist())
    if packed > path.stat().st_size:
        raise GraftbenchError(
            f"The archive '{path.name}' is refused: its members overlap ({packed:,} packed bytes in a file of "
            f"{path.stat().st_size:,}), as in a decompression bomb."
        )


def member_of(archive: zipfile.ZipFile, name: str) -> bytes:
    """Read a member's bytes and compare its checksum; several threads may read one archive.

    Raises:
        ValueError: It is damaged.
    """
    try:
        return archive.read(name)
    except BAD_ZIP as error:
        raise ValueError(f"damaged in the archive: {reason(error)}") from error
