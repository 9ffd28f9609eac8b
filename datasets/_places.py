"""Where data that users fetch lie, whether this process may fetch them, and what to say when they are not there."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from graftbench.cache import cache_folder
from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graftbench.contracts import Domain

FOLDER_VARIABLE = "GRAFTBENCH_DATA"
DOWNLOAD_VARIABLE = "GRAFTBENCH_DOWNLOAD"


def data_folder() -> Path:
    """Return the folder of data sets with a name: $GRAFTBENCH_DATA, else `data` in the cache folder; absolute.

    It need not exist. A folder that torchvision's data sets were put into serves as it is.

    Raises:
        GraftbenchError: No cache folder is known.
    """
    own = os.environ.get(FOLDER_VARIABLE)
    return Path(own).expanduser().absolute() if own else cache_folder() / "data"


def may_download() -> bool:
    """Return whether the user asked for downloads: $GRAFTBENCH_DOWNLOAD is 1.

    Data sets have up to tens of gigabytes, so that looking at a suite must never begin to fetch them.
    """
    return os.environ.get(DOWNLOAD_VARIABLE) == "1"


def absent(name: str, parent: Path, what: str, how: str) -> GraftbenchError:
    """Make the error for data that are not on this machine.

    Args:
        name: The domain.
        parent: The folder in which they are expected.
        what: What is expected there ("the folder cifar-10-batches-py").
        how: How to get them, as a sentence.
    """
    return GraftbenchError(f"The images of '{name}' are not there: expected {what} in {parent}. {how}")


def contents(domain: Domain, root: Path, files: Iterable[Path]) -> str:
    """Return the SHA-256 (hex) over the files' paths, relative to a folder, and contents (`Domain.file_digest`)."""
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(os.fsencode(os.path.relpath(file, root)) + b"\0" + domain.file_digest(file))
    return digest.hexdigest()
