"""Digests of files, remembered between runs, so that a large folder is not read again for every command.

A digest is remembered with the file's size, times of change (of contents and of the entry, in nanoseconds) and number
on its disk; where one of them differs, the file is read again. Not noticed is a change that leaves all four as they
were: a disk that returns other bytes than were written, or a tool that writes to the disk past the file system. A file
that was touched in the last two seconds is read each time: its next change may fall into the same tick of the clock.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from graftbench.cache import atomic_file
from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Stamp = list[int]

_SETTLED_NS = 2_000_000_000


def content_digest(file: Path) -> bytes:
    """SHA-256 of a file's contents; of nothing if it cannot be read, which decoding will report."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except OSError:
        return hashlib.sha256().digest()


def stamp(file: Path) -> Stamp:
    """Return what changes when a file does: its size, its times of change in nanoseconds, its number on the disk.

    Raises:
        OSError: It cannot be looked at.
    """
    status = file.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


@contextmanager
def remembered(notes: Path) -> Iterator[Callable[[Path], bytes]]:
    """`content_digest`, but for files that are as they were when `notes` was written.

    Args:
        notes: A JSON file, path -> stamp and digest. Written when the block ends, with the files that were asked for;
            one that cannot be read is started anew, and one that cannot be written is done without.
    """
    notes_before = _read(notes)
    noted: dict[str, tuple[Stamp, str]] = {}

    def digest(file: Path) -> bytes:
        try:
            now = stamp(file)
        except OSError:
            return content_digest(file)
        path = str(file.absolute())
        before = notes_before.get(path)
        found = before[1] if before and before[0] == now else content_digest(file).hex()
        if time.time_ns() - max(now[1], now[2]) > _SETTLED_NS:
            noted[path] = (now, found)
        return bytes.fromhex(found)

    yield digest
    if noted and noted != notes_before:
        with suppress(GraftbenchError), atomic_file(notes) as part:
            part.write_text(json.dumps(noted), "ascii")


def _read(notes: Path) -> dict[str, tuple[Stamp, str]]:
    try:
        entries = json.loads(notes.read_text("ascii"))
        return {path: ([int(n) for n in now], bytes.fromhex(digest).hex()) for path, (now, digest) in entries.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


LEFT_OUT = ("__pycache__",)
"""Folders that do not count; nor do hidden files and folders."""


def digest_of_path(value: object) -> str:
    """SHA-256 (hex) of a file's contents, of a folder's (relative names and contents), or of several; empty for none.

    Args:
        value: A path, or a list of paths. Where nothing lies, nothing counts.
    """
    if isinstance(value, list):
        digests = [digest_of_path(part) for part in value]
        return hashlib.sha256("".join(digests).encode()).hexdigest() if any(digests) else ""
    if not isinstance(value, str) or not value:
        return ""
    path = Path(value)
    if path.is_file():
        return _file(path)
    if not path.is_dir():
        return ""
    digest = hashlib.sha256()
    for file in files_below(path):
        name = file.relative_to(path).as_posix()
        digest.update(hashlib.sha256(name.encode()).digest() + bytes.fromhex(_file(file)))
    return digest.hexdigest()


def _file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder and of those in it that count, sorted by name."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in LEFT_OUT:
            continue
        if path.is_dir():
            yield from files_below(path)
        elif path.is_file():
            yield path


# ------------------------------------------------------------------------------------------------------------- seals

# A safetensors file holds its own SHA-256 in its header, so that the digest travels with it and fits it or not. It is
# over the whole file, with zeros in its own place. A disk or a copy that changes a few bits gives tensors that are read
# without a word, and scores that are wrong by a little.

SEAL = "sha256"
UNSEALED = {SEAL: "0" * 64}
"""Metadata with which tensors are serialized, for `write_sealed` to fill in."""

_SEALED = re.compile(rb'"sha256":"([0-9a-f]{64})"')
_NAMED = re.compile(rb'"sha256":(?!\{)')
"""A seal, whatever it says; before a brace it would be the name of a tensor."""
_LENGTH_BYTES = 8
_LONGEST_HEADER = 100_000_000
"""Largest header that safetensors reads, in bytes."""


def write_sealed(file: BinaryIO, data: bytes) -> None:
    """Write serialized safetensors, with the seal filled in.

    Args:
        file: Open for writing in binary.
        data: As `safetensors.*.save` makes it with the metadata UNSEALED.

    Raises:
        ValueError: There is no place for a seal.
        OSError: The disk is full or cannot be written.
    """
    seal = _SEALED.search(data, 0, _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "little"))
    if seal is None:
        raise ValueError(f"the metadata has no {SEAL!r} to be filled in")
    start, end = seal.span(1)
    view = memoryview(data)
    file.writelines((view[:start], hashlib.sha256(data).hexdigest().encode(), view[end:]))


def is_damaged(path: Path) -> bool:
    """Return whether a file's seal does not fit its contents, or its header is cut off.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        length = file.read(_LENGTH_BYTES)
        size = int.from_bytes(length, "little")
        header = file.read(size) if size <= _LONGEST_HEADER else b""
        if len(length) < _LENGTH_BYTES or len(header) < size:
            return True
        seal = _SEALED.search(header)
        if seal is None:
            return _NAMED.search(header) is not None
        start, end = seal.span(1)
        digest = hashlib.sha256(length + header[:start] + UNSEALED[SEAL].encode() + header[end:])
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest().encode() != seal[1]
