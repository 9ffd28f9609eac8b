"""Print JSON, tables and lines: shared by several commands."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from PIL.Image import Image
    from rich.console import Console


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    import msgspec

    print(msgspec.json.format(msgspec.json.encode(value)).decode())


def wide_console(pipe_columns: int) -> Console:
    """Return a console on standard output, of so many columns where that is no terminal."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=pipe_columns)


def print_lines(console: Console, lines: Iterable[str], style: str | None = None) -> None:
    """Print lines as they are, neither wrapped nor marked up."""
    for line in lines:
        console.print(line, style=style, highlight=False, markup=False, soft_wrap=True)


def check_sheet(sheet: Path | None) -> None:
    """Refuse a contact sheet that is no PNG.

    Raises:
        GraftbenchError: The name ends otherwise.
    """
    if sheet is not None and sheet.suffix != ".png":
        raise GraftbenchError(f"A contact sheet is written as PNG; found --sheet '{sheet}'.")


def write_sheet(picture: Image, sheet: Path, *, json: bool) -> None:
    """Write a contact sheet, and print where; on standard error beside an object.

    Raises:
        GraftbenchError: The file cannot be written.
    """
    try:
        sheet.parent.mkdir(parents=True, exist_ok=True)
        picture.save(sheet, optimize=True)
    except OSError as error:
        raise GraftbenchError(f"The contact sheet '{sheet}' cannot be written ({error.strerror}).") from error
    print(f"contact sheet: {sheet}", file=sys.stderr if json else sys.stdout)


def markdown_rows(rows: Iterable[Sequence[str]]) -> str:
    """Return the rows of a Markdown table, the heading and its rule among them."""
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
