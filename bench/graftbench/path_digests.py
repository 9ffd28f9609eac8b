"""The contents of files and folders as one hash: what a parameter that is a path stands for in a cell's identity."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    """The files of a folder and of those in it that count, sorted by name."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in LEFT_OUT:
            continue
        if path.is_dir():
            yield from files_below(path)
        elif path.is_file():
            yield path
