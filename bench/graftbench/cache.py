"""The cache of prepared data: files and folders are written whole or not at all, by one process at a time."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Iterator


class CacheChangedError(GraftbenchError):
    """Something that a run has prepared in the cache is gone, damaged or another thing now."""


def cache_folder() -> Path:
    """Return the cache folder: $GRAFTBENCH_CACHE, else $XDG_CACHE_HOME/graftbench, else ~/.cache/graftbench.

    It need not exist. As the XDG base directory specification asks, an $XDG_CACHE_HOME that is not absolute is
    ignored.

    Raises:
        GraftbenchError: None of the three names a folder (no home directory is known).
    """
    try:
        if folder := os.environ.get("GRAFTBENCH_CACHE"):
            return Path(folder).expanduser().absolute()
        user_caches = Path(os.environ.get("XDG_CACHE_HOME", ""))
        return (user_caches if user_caches.is_absolute() else Path.home() / ".cache") / "graftbench"
    except RuntimeError as error:  # what pathlib raises where the user has no home directory
        raise GraftbenchError(f"No cache folder is known ({error}); set GRAFTBENCH_CACHE to a folder.") from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock on the file `path`, which is created if need be; other processes and threads wait until it is free.

    The operating system frees the lock when the process ends, however it ends. The file stays: deleting it would let
    two processes hold locks on two files of one name.

    Raises:
        GraftbenchError: The lock file cannot be created.
    """
    from filelock import lock_descriptor  # noqa: PLC0415 - brings asyncio and sockets, and lists of methods lock nothing

    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+b")
    with file:  # closing it frees the lock
        with _explained(path):
            lock_descriptor(file.fileno())
        yield


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a temporary file beside `path`; it is renamed to `path` when the block ends without an exception.

    Readers see the old file or the new one, never a part, also after a power cut.

    Raises:
        GraftbenchError: The file cannot be written.
    """
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
        os.fchmod(descriptor, 0o666 & ~_umask())  # mkstemp's files are private; the cache may be shared
        os.close(descriptor)
    partial = Path(name)
    try:
        with _explained(path):
            yield partial
            _sync(partial)
            partial.replace(path)
            _sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder beside `path`; it replaces `path` when the block ends without an exception.

    The caller holds a lock on `path` (`locked`): leftovers of a killed process under the temporary name are removed.
    Between the removal of an old folder and the arrival of the new one there is a moment with neither.

    Raises:
        GraftbenchError: The folder cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    with _explained(path):
        _remove(partial)
        partial.mkdir(parents=True)
    try:
        with _explained(path):
            yield partial
            for file in partial.iterdir():
                _sync(file)
            _sync(partial)
            _remove(path)
            partial.rename(path)
            _sync(path.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn errors of the file system into one sentence that says what the user can do.

    Raises:
        GraftbenchError: An OSError was raised inside.
    """
    try:
        yield
    except OSError as error:
        raise GraftbenchError(
            f"The cache cannot be written at {path} ({error.strerror or error}); "
            "set GRAFTBENCH_CACHE to a folder that can be written and has room."
        ) from error


def _remove(path: Path) -> None:
    """Remove a file or a folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Wait until a file's contents, or a folder's list of names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    """Return the process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
