"""The definitions of files as they were read before, in the cache: to read all that a suite uses takes a second.

An entry is found by the contents of its file and by the code that reads it, so it is never another file's. A cache that
cannot be read or written is none, and files are read anew.
"""

from __future__ import annotations

import hashlib
import platform
from contextlib import suppress
from functools import cache
from pathlib import Path

import msgspec

from graftbench.cache import atomic_file, cache_folder
from graftbench.errors import GraftbenchError


class Statement(msgspec.Struct, frozen=True, array_like=True):
    """A top-level statement; the fields are those of `definitions.Definition`, and all names that it binds."""

    names: tuple[str, ...]
    digest: bytes
    uses: frozenset[str]
    attributes: frozenset[tuple[str, str]]


class ReadFile(msgspec.Struct, frozen=True, array_like=True):
    """A file as it was read.

    Attributes:
        running: Its import statements that run, as source text.
        typing_only: Those for the type checker alone.
        resolved: What the imports stood for when it was read: digests depend on it.
        statements: Its other statements.
    """

    running: str
    typing_only: str
    resolved: str
    statements: tuple[Statement, ...]


class Memory:
    """The entries of a cache file, by `key_of` a file's contents."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[str, ReadFile] = {}
        self._is_saved = True
        with suppress(OSError, msgspec.DecodeError, msgspec.ValidationError):
            self._entries = msgspec.msgpack.decode(path.read_bytes(), type=dict[str, ReadFile])

    def get(self, key: str) -> ReadFile | None:
        """Return an entry, if there is one."""
        return self._entries.get(key)

    def put(self, key: str, entry: ReadFile) -> None:
        """Enter a file."""
        self._entries[key] = entry
        self._is_saved = False

    def save(self) -> None:
        """Write what was entered since, if anything."""
        if not self._is_saved:
            self._is_saved = True
            with suppress(GraftbenchError), atomic_file(self._path) as partial:
                partial.write_bytes(msgspec.msgpack.encode(self._entries))


def key_of(contents: bytes) -> str:
    """Return the key of a file's contents."""
    return hashlib.sha256(contents).hexdigest()


def memory() -> Memory:
    """Return the memory in the cache folder of now."""
    with suppress(GraftbenchError):
        return _memory_in(cache_folder())
    return _memory_in(Path())


@cache
def _memory_in(folder: Path) -> Memory:
    """Return the memory of this code under this Python, whose syntax trees may differ from another's."""
    readers = b"".join(Path(__file__).with_name(name).read_bytes() for name in ("definitions.py", "local_imports.py"))
    version = hashlib.sha256(readers + platform.python_version().encode()).hexdigest()[:16]
    return Memory(folder / "definitions" / f"{version}.msgpack")
