"""Text made safe and short to print, and the Markdown and CSV that the reports write with it."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any

from graftbench.records.paths import without_folders

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_MARKDOWN = re.compile(r"([\\`*_\[\]|~#])")
_CONTROL = re.compile(r"\x1b\[[0-9;]*m|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Terminal colours, control characters, and characters that reverse the direction of writing."""


def one_line(text: str) -> str:
    """Fold whitespace to single spaces and leave out control characters."""
    return " ".join((text if text.isprintable() else _CONTROL.sub("", text)).split())


def short(text: str, width: int = 24) -> str:
    """Cut a name to one line of at most `width` characters, for figures; the tables have the whole name."""
    line = one_line(text)
    return line if len(line) <= width else line[: width - 1] + "…"


def markdown(text: str) -> str:
    """Escape a text so that Markdown prints it as it is, also inside a table."""
    escaped = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", escaped)


def shorten_paths(text: str) -> str:
    """Cut absolute paths to `…/name`: a report is mailed around, and where a home folder lies helps nobody."""
    if "/" not in text and "\\" not in text and text.isprintable():
        return text
    return without_folders(_CONTROL.sub("", text))


def plural(count: int, noun: str) -> str:
    """Return the count with its noun: `1 seed`, `2 seeds`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def listing(items: list[str]) -> str:
    """Write `a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


def span(values: set[int]) -> str:
    """Return `620`, or `600–620` where the values differ; there must be one."""
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def markdown_table(header: Sequence[str], lines: Iterable[Sequence[str]], words: Sequence[int] = (0,)) -> str:
    """Write a Markdown table.

    Args:
        header: Headings of the columns; escaped here.
        lines: Cells of each row, escaped already.
        words: Positions of the columns that hold words and stand to the left; numbers stand to the right.
    """
    rule = ["---" if i in words else "---:" for i in range(len(header))]
    cells = [[markdown(head) for head in header], rule, *lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Write rows as CSV with a header; texts are one line, and none is a formula to a spreadsheet."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    """Return a cell; a text that a spreadsheet would compute gets an apostrophe before it (OWASP's "CSV injection")."""
    if not isinstance(value, str):
        return value
    line = one_line(value)
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line
