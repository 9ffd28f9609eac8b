"""A history on one self-contained page: a sparkline a series, the worst first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from graftbench.regression.history import words
from graftbench.regression.history.history import short
from graftbench.regression.history.sparkline import MARKED, sparkline
from graftbench.regression.history.steps import LEAST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from graftbench.regression.history.history import HistoryEntry
    from graftbench.regression.history.series import Series

_TEMPLATE = Path(__file__).with_name("page.html.jinja")


@dataclass(frozen=True)
class SeriesRow:
    """A series as the page shows it.

    Attributes:
        subject: What was run.
        heading: What was measured, with its unit and the better direction.
        place: Hardware, or protocol and images, where it needs saying.
        latest: The newest value, printed.
        commit: Its commit, shortened.
        runs: Number of runs with a value.
        lost: How much worse than at its best, printed; empty if it is not.
        changes: Steps and drift, printed.
        picture: The sparkline.
    """

    subject: str
    heading: str
    place: str
    latest: str
    commit: str
    runs: int
    lost: str
    changes: list[str]
    picture: Markup


def render(entries: Sequence[HistoryEntry], series: Sequence[Series], *, name: str) -> str:
    """The page as text: no scripts, no network, light and dark, fit for print; everything from the history is escaped.

    Args:
        entries: The history (`history.read`).
        series: What to show, in this order (`series.series_of`).
        name: What the history is called.
    """
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - the table does not need it

    rows = [(one, _row(one, f"s{i}")) for i, one in enumerate(series)]
    groups = (
        ("worse", "Worse than before", [row for one, row in rows if one.lost]),
        ("changed", "Changed, and not worse than before", [row for one, row in rows if one.changed and not one.lost]),
        ("steady", "Steady", [row for one, row in rows if not one.changed and not one.lost]),
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
        thresholds=list(dict.fromkeys((one.measure.label, f"{one.measure.threshold:.3g}") for one in series)),
        short=short,
        marked=MARKED,
        least=LEAST,
    )


def _row(series: Series, prefix: str) -> SeriesRow:
    latest = series.latest
    assert latest.value is not None
    return SeriesRow(
        subject=series.key.title,
        heading=series.measure.heading,
        place=series.place,
        latest=words.number(series.measure, latest.value.mean),
        commit=short(latest.commit),
        runs=series.found.n,
        lost=words.share(series.lost) if series.lost else "",
        changes=words.changes(series),
        picture=sparkline(series, prefix),
    )
