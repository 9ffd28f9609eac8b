"""Which files of a folder are images: by their names' endings, in a fixed order."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from graftbench.decoding import SUFFIXES
from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Callable


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
    r"""A file name with what is not UTF-8 in it written as `\xe9`: it is printed, and put into JSON."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
