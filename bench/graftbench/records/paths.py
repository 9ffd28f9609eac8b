"""Texts without the folders of the machine on which they were made."""

from __future__ import annotations

import re

_QUOTED = re.compile(r"(?<=([\"']))/(?:[^/\"'\n]+/)+([^/\"'\n]+)(?=\1)")
_POSIX = re.compile(r"(?<![\w.:/>…])/(?:[^\s/\"'<>:,;()]+/)+([^\s/\"'<>:,;()]+)")
_WINDOWS = re.compile(r"(?<!\w)[A-Za-z]:\\(?:[^\s\\\"'<>:,;()]+\\)*([^\s\\\"'<>:,;()]+)")


def without_folders(text: str) -> str:
    """Cut absolute paths to `…/name`: where a home folder lies, and whose it is, helps nobody who reads a record."""
    if "/" not in text and "\\" not in text:
        return text
    return _WINDOWS.sub(r"…/\1", _POSIX.sub(r"…/\1", _QUOTED.sub(r"…/\2", text)))
