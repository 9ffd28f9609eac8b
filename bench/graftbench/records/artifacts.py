"""The files that a cell left, as its record names them: `cells/ID/NAME` in the run folder, and nothing else.

A record may come from anybody. What it names is checked when it is read (`store.read`); a link in the folder is looked
at when the file is used, for links change and records do not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from graftbench.records.heads import Head
    from graftbench.records.record import Record

CELLS = "cells"
"""Folder of a run that holds a folder for each recorded cell, named by the cell's id."""

_ID = re.compile(r"[0-9a-f]{16}")
_NAME = re.compile(r"[^/\\\x00-\x1f\x7f]+")


def is_cell_id(text: str) -> bool:
    """Return whether a text has the form of a cell's id: 16 hexadecimal digits, in lower case."""
    return _ID.fullmatch(text) is not None


def is_own_path(path: str, cell_id: str) -> bool:
    """Return whether a path, relative to the run folder, names a file in the cell's own folder: `cells/ID/NAME`."""
    name = path.removeprefix(f"{CELLS}/{cell_id}/")
    return name != path and name not in (".", "..") and _NAME.fullmatch(name) is not None


def artifact_file(record: Record | Head, kind: str, folder: Path) -> Path | None:
    """Return a file that a cell left, if it exists and lies in the cell's own folder with every link followed.

    Args:
        record: The record.
        kind: Of the artifact (`samples`, `log`, …).
        folder: The folder that the record's paths are relative to.
    """
    name = record.artifacts.get(kind)
    if not name:
        return None
    file = folder / name
    home = own_folder(file.parent)
    if home is None or not (real := file.resolve()).is_file() or not real.is_relative_to(home):
        return None
    return file


def own_folder(path: Path) -> Path | None:
    """Return where a cell's folder really lies; None where it is missing, or a link: it may lead anywhere.

    `cells` as a whole may be a link, to another disk.
    """
    return path.resolve() if path.is_dir() and not path.is_symlink() else None
