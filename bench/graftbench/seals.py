"""Seals: the SHA-256 of a safetensors file in its own header, so that it travels with the file and fits it or not.

A disk or a copy that changes a few bits gives tensors that are read without a word, and scores that are wrong by a
little. The digest is over the whole file with zeros in its own place. Files without one (of earlier versions, of
others) cannot be checked.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sha256"
UNSEALED = {KEY: "0" * 64}
"""Metadata with which tensors are serialized, for `write_sealed` to fill in."""

_SEAL = re.compile(rb'"sha256":"([0-9a-f]{64})"')
_NAMED = re.compile(rb'"sha256":(?!\{)')
"""A seal, whatever it says; before a brace it would be the name of a tensor."""
_LENGTH_BYTES = 8
_LONGEST_HEADER = 100_000_000
"""What safetensors reads at most."""


def write_sealed(file: BinaryIO, data: bytes) -> None:
    """Write serialized safetensors, with the seal filled in.

    Args:
        file: Open for writing in binary.
        data: As `safetensors.*.save` makes it with the metadata UNSEALED.

    Raises:
        ValueError: There is no place for a seal.
        OSError: The disk is full or cannot be written.
    """
    seal = _SEAL.search(data, 0, _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "little"))
    if seal is None:
        raise ValueError(f"the metadata has no {KEY!r} to be filled in")
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
        seal = _SEAL.search(header)
        if seal is None:
            return _NAMED.search(header) is not None
        start, end = seal.span(1)
        digest = hashlib.sha256(length + header[:start] + UNSEALED[KEY].encode() + header[end:])
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest().encode() != seal[1]
