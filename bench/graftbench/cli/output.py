"""What several commands print: JSON, tables and lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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


def markdown_rows(rows: Iterable[Sequence[str]]) -> str:
    """Return the rows of a Markdown table, the heading and its rule among them."""
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
