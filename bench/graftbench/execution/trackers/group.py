"""A run folder as trackers know it."""

from __future__ import annotations

import hashlib
import re
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from graftbench.execution.trackers.base import TrackedRun

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "trackers"
"""Folder in the run folder for what graftbench and its trackers must remember. No result is in it."""

_KEY = re.compile(r"[0-9a-f]{16}")


def group_of(suite: str, folder: Path) -> TrackedRun:
    """Return the run folder with its key, which is drawn once and kept in the folder.

    A copy of a folder has its key too: what a tracker shows of the copy replaces what it shows of the original.
    A folder that cannot be written (an archive) has one that follows from its path.

    Args:
        suite: The suite's name.
        folder: The run folder.
    """
    folder = folder.resolve()
    file = folder / FOLDER / "key"
    with suppress(OSError):
        if (key := _KEY.fullmatch(file.read_text("utf-8").strip())) is not None:
            return TrackedRun(suite, folder, key.group())
    key = secrets.token_hex(8)
    try:
        file.parent.mkdir(exist_ok=True)
        file.write_text(key + "\n", "utf-8")
    except OSError:
        key = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    return TrackedRun(suite, folder, key)
