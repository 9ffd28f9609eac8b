"""Markdown for a job summary or a comment on a pull request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from graftbench.regression.formats._words import change, label, method_note, summary, value

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graftbench.regression.results import Comparison, FailedCell, GateRow

_SPECIAL = re.compile(r"([\\`*_\[\]|~#])")
_HEAD = ("method", "measure", "base", "new", "change", "pairs", "why")
_RULE = ("---", "---", "---:", "---:", "---", "---:", "---")
MOST_LINES = 50
"""Of a list of cells; a comment is not a log."""


def render(comparison: Comparison) -> str:
    """Render a headline, what needs looking at, and the rest folded away."""
    mark = {0: "✅", 1: "❌", 3: "⚠️"}[comparison.code]
    parts = [f"### {mark} {_plain(comparison.new)} against {_plain(comparison.base)}", summary(comparison)]
    parts += _section("Regressions", comparison.of("regression"))
    parts += _cells("Newly failing", map(_failure, comparison.failing))
    parts += _cells("Vanished", map(_plain, comparison.vanished))
    parts += _section("Improvements", comparison.of("improvement"))
    parts += _section("Too few pairs to tell", comparison.of("too few pairs"))
    parts += _cells("New cells", map(_plain, comparison.appeared))
    parts += _cells("Mended", map(_plain, comparison.mended))
    parts += _cells("Still failing", map(_failure, comparison.still_failing))
    rest = [row for row in comparison.rows if row.verdict in ("unchanged", "not compared")]
    if rest:
        parts += ["<details><summary>Everything else</summary>", _table(rest), "</details>"]
    parts += [f"> {_plain(note)}" for note in comparison.notes]
    return "\n\n".join([*parts, f"<sub>{method_note(comparison)}</sub>"]) + "\n"


def _section(title: str, rows: Sequence[GateRow]) -> list[str]:
    return [f"**{title}**", _table(rows)] if rows else []


def _table(rows: Iterable[GateRow]) -> str:
    lines = [_HEAD, _RULE, *(_line(row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _line(row: GateRow) -> tuple[str, ...]:
    numbers = (value(row, row.base), value(row, row.new), change(row), str(row.pairs or "—"))
    return (_plain(row.subject), _plain(label(row)), *numbers, _plain(row.reason))


def _cells(title: str, cells: Iterable[str]) -> list[str]:
    lines = [f"- {cell}" for cell in cells]
    if not lines:
        return []
    if len(lines) > MOST_LINES:
        lines = [*lines[:MOST_LINES], f"- … and {len(lines) - MOST_LINES:,} more"]
    return [f"**{title}**", "\n".join(lines)]


def _failure(failed: FailedCell) -> str:
    return _plain(f"{failed.cell}: {failed.status}. {failed.reason}")


def _plain(text: str) -> str:
    """Text that Markdown prints as it is, also inside a table."""
    folded = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", folded)
