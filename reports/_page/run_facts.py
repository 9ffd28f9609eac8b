"""What the page says of a run as a whole: failures, environment, licences of the images, the command, the time."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from graftbench.records.record import Status

from .._tables.text import one_line, plural, shorten_paths

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from graftbench.records.record import Record
    from graftbench.records.run import Run

    from .._tables.groups import Group


@dataclass(frozen=True)
class Failure:
    """A cell that did not end well, as text; `label` is its row's."""

    record: Record
    label: str
    id: str
    cell: str
    status: str
    exit_code: str
    reason: str
    log_tail: str


def failures(groups: Sequence[Group]) -> list[Failure]:
    """Return every cell whose status is not `ok`, in the order of the tables."""
    return [
        Failure(
            record=record,
            label=row.label,
            id=record.id,
            cell=str(record.cell),
            status=str(record.status),
            exit_code="" if record.exit_code is None else str(record.exit_code),
            reason=shorten_paths(record.reason) or "no reason was recorded",
            log_tail=shorten_paths(record.log_tail).strip("\n"),
        )
        for group in groups
        for row in group.rows
        for record in row.records
        if record.status != Status.OK
    ]


def environment(records: Sequence[Record]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return key -> its values over the records, each with how many cells had it (empty where all had the same)."""
    flat = [dict(flatten(record.environment)) for record in records]
    keys = sorted({key for values in flat for key in values})
    rows = []
    for key in keys:
        counts = Counter(values.get(key, "not recorded") for values in flat)
        single = len(counts) == 1
        rows.append((key, [(v, "" if single else plural(n, "cell")) for v, n in sorted(counts.items())]))
    return rows


def flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Join names with dots, and print values without absolute paths; `domains` is left out."""
    pairs: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        if name == "domains":  # has a section of its own
            continue
        if isinstance(value, dict):
            pairs += flatten(value, f"{name}.")
        else:
            pairs.append((one_line(name), shorten_paths(_plain(value))))
    return pairs


def _plain(value: object) -> str:
    if value is None:
        return "none"
    return one_line(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def domains(records: Sequence[Record]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return domain -> (field, text) from `environment["domains"]`, for the domains of the records' tasks."""
    used = sorted({name for record in records for name in (record.cell.task.source, record.cell.task.target)})
    facts: dict[str, Any] = {}
    for record in records:
        recorded = record.environment.get("domains")
        if isinstance(recorded, dict):
            facts |= {str(name): value for name, value in sorted(recorded.items()) if name not in facts}
    return [(name, _domain_fields(facts.get(name))) for name in used]


def _domain_fields(facts: object) -> list[tuple[str, str]]:
    if isinstance(facts, dict):
        return [(one_line(str(key)), shorten_paths(_plain(value))) for key, value in facts.items() if value]
    return [("license", one_line(facts))] if isinstance(facts, str) and facts else []


def command(run: Run) -> str:
    """Return the command that made the records, if they say it; else the one that runs a suite of that name."""
    commands = {record.environment.get("command") for record in run.records}
    texts = sorted(one_line(text) for text in commands if isinstance(text, str) and text)
    return shorten_paths(texts[0]) if texts else f"graftbench run {one_line(run.name)}"


_BESIDE = {
    "table.md": "tables in Markdown",
    "scores.csv": "every score",
    "results.csv": "every result",
    "comparisons.md": "each method against a baseline",
    "paper/figures.md": "captions of the figures for a paper",
}
"""File of other reports -> what it holds."""


def beside(folder: Path | None) -> list[tuple[str, str]]:
    """Return path and words of what other reports have written into the page's folder; figures for a paper too."""
    if folder is None:
        return []
    files = [(name, words) for name, words in _BESIDE.items() if (folder / name).is_file()]
    figures = sorted(path for path in (folder / "paper").glob("*-2col.svg"))
    return files + [(f"paper/{quote(path.name)}", path.name.removesuffix("-2col.svg")) for path in figures]
