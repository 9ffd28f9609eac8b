"""Text that came from elsewhere, made safe and short to print."""

from __future__ import annotations

import re

_MARKDOWN = re.compile(r"([\\`*_\[\]|~#])")
_POSIX_PATH = re.compile(r"(?<![\w.:/>])/(?:[^\s/\"'<>:,;()]+/)+([^\s/\"'<>:,;()]+)")
_WINDOWS_PATH = re.compile(r"(?<!\w)[A-Za-z]:\\(?:[^\s\\\"'<>:,;()]+\\)*([^\s\\\"'<>:,;()]+)")
_CONTROL = re.compile(r"\x1b\[[0-9;]*m|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Terminal colours, control characters, and those that turn the direction of writing round."""


def one_line(text: str) -> str:
    """Whitespace folded to single spaces, control characters left out."""
    return " ".join((text if text.isprintable() else _CONTROL.sub("", text)).split())


def short(text: str, width: int = 24) -> str:
    """One line of at most `width` characters, for figures; the tables beside them have the whole name."""
    line = one_line(text)
    return line if len(line) <= width else line[: width - 1] + "…"


def markdown(text: str) -> str:
    """Text that Markdown prints as it is, also inside a table."""
    escaped = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", escaped)


def shorten_paths(text: str) -> str:
    """Absolute paths cut to `…/name`: a report is mailed around, and where a home folder lies helps nobody."""
    if "/" not in text and "\\" not in text and text.isprintable():
        return text
    clean = _CONTROL.sub("", text)
    return _WINDOWS_PATH.sub(r"…/\1", _POSIX_PATH.sub(r"…/\1", clean))


def plural(count: int, noun: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def listing(items: list[str]) -> str:
    """Write `a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


def span(values: set[int]) -> str:
    """`620`, or `600–620` where they differ, or `an unknown number of` for none."""
    if not values:
        return "an unknown number of"
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"
