"""The cache folder, locks between processes, and files that appear whole or not at all."""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Iterator


def cache_folder() -> Path:
    """$GRAFTBENCH_CACHE, else $XDG_CACHE_HOME/graftbench, else ~/.cache/graftbench; made if it is not there.

    Raises:
        GraftbenchError: It cannot be made or written.
    """
    if chosen := os.environ.get("GRAFTBENCH_CACHE"):
        folder = Path(chosen)
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "graftbench"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise GraftbenchError(
            f"The cache folder '{folder}' cannot be written ({error.strerror}); set GRAFTBENCH_CACHE to another."
        ) from error
    return folder


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`; another process that wants it waits. Released too when the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A path to write to; what was written takes the place of `path` at the end, unless an exception ends the block."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
