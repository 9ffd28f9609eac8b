"""Markdown for a job summary or a comment on a pull request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from graftbench.regression.formats._words import cut, label, method_note, numbers, summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graftbench.regression.results import Comparison, GateRow

_SPECIAL = re.compile(r"([\\`*_\[\]|~#])")
_HEAD = ("method", "measure", "base", "new", "change", "pairs", "why")
_RULE = ("---", "---", "---:", "---:", "---", "---:", "---")
MOST_LINES = 50
"""Cells that a list names; a comment is not a log."""


def render(comparison: Comparison) -> str:
    """Render a headline, what needs looking at, and the rest folded away."""
    mark = {0: "✅", 1: "❌", 2: "⚠️", 3: "⚠️"}[comparison.code]
    parts = [f"### {mark} {_plain(comparison.new)} against {_plain(comparison.base)}", summary(comparison)]
    parts += _section("Regressions", comparison.of("regression"))
    parts += _cells("Newly failing", (_plain(str(failed)) for failed in comparison.failing))
    parts += _cells("Vanished", map(_plain, comparison.vanished))
    parts += _section("Improvements", comparison.of("improvement"))
    parts += _section("Too few pairs to tell", comparison.of("too few pairs"))
    parts += _cells("New cells", map(_plain, comparison.appeared))
    parts += _cells("Mended", map(_plain, comparison.mended))
    parts += _cells("Still failing", (_plain(str(failed)) for failed in comparison.still_failing))
    others = [row for row in comparison.rows if row.verdict in ("unchanged", "not compared")]
    if others:
        parts += ["<details><summary>Everything else</summary>", _table(others), "</details>"]
    parts += [f"> {_plain(note)}" for note in comparison.notes]
    return "\n\n".join([*parts, f"<sub>{method_note(comparison)}</sub>"]) + "\n"


def _section(title: str, rows: Sequence[GateRow]) -> list[str]:
    return [f"**{title}**", _table(rows)] if rows else []


def _table(rows: Iterable[GateRow]) -> str:
    cells = ((_plain(row.subject), _plain(label(row)), *numbers(row), _plain(row.reason)) for row in rows)
    lines = [_HEAD, _RULE, *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(title: str, cells: Iterable[str]) -> list[str]:
    lines = cut(list(cells), MOST_LINES, "- ")
    return [f"**{title}**", "\n".join(lines)] if lines else []


def _plain(text: str) -> str:
    """Return text that Markdown prints as it is, also inside a table."""
    folded = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", folded)
