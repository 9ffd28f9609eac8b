"""A history on one self-contained page: a sparkline a series, the worst first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from graftbench.regression.history import words
from graftbench.regression.history.history import short
from graftbench.regression.history.sparkline import MARKED, sparkline
from graftbench.regression.history.steps import LEAST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.regression.history.history import HistoryEntry
    from graftbench.regression.history.series import Series

_TEMPLATE = Path(__file__).with_name("page.html.jinja")


def render(entries: Sequence[HistoryEntry], series: Sequence[Series], *, name: str) -> str:
    """Render the page: no scripts, no network, light and dark, fit for print; everything from the history is escaped.

    Args:
        entries: The history (`history.read`).
        series: What to show, in this order (`series.series_of`).
        name: What the history is called.
    """
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - the table does not need it

    rows = [(each, sparkline(each, f"s{i}")) for i, each in enumerate(series)]
    groups = (
        ("worse", "Worse than before", [row for row in rows if row[0].lost]),
        ("changed", "Changed, and not worse than before", [row for row in rows if row[0].changed and not row[0].lost]),
        ("few", "Too few runs to judge", [row for row in rows if row[0].too_few and not row[0].lost]),
        ("steady", "Steady", [row for row in rows if not (row[0].changed or row[0].lost or row[0].too_few)]),
    )
    jinja = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return jinja.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        name=name,
        groups=groups,
        total=len(rows),
        runs=len(entries),
        first=entries[0] if entries else None,
        last=entries[-1] if entries else None,
        machines=list(dict.fromkeys(entry.machine for entry in entries)),
        thresholds=list(dict.fromkeys((each.measure.label, f"{each.measure.threshold:.3g}") for each in series)),
        words=words,
        short=short,
        marked=MARKED,
        least=LEAST,
    )
