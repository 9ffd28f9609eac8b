"""The cells behind the page's numbers, as JSON that its script shows when it is asked."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from graftbench.metrics.catalogue import metric_named
from graftbench.records.cell_spec import SAMPLES
from graftbench.records.cell_view import view_cell
from graftbench.records.provenance import HANDED_IN, SAYS, costs_of, origin_of
from graftbench.records.record import Status
from graftbench.records.run import Run

from .._tables.scores import ranked_rows
from .._tables.text import one_line, plural, shorten_paths
from .run_facts import flatten
from .words import moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graftbench.records.record import Record, Score

    from .._tables.groups import Group

MOST = 3000
"""Most cells that one page holds: about 2 KiB each."""
MOST_CURVES = 600
"""Most cells of a page that holds their training curves and logs: up to 3 KiB more each."""
_POINTS = 40
"""Most points of a training curve."""
_LINKED = {
    "log": "log",
    "samples": "samples",
    "neighbors": "nearest training images",
    "progress": "samples on the way",
    "interpolation": "ways between two images",
}


def chosen_cells(groups: Sequence[Group]) -> list[Record]:
    """Return all cells in the order of the tables; of more than `MOST` those that failed and those of each best row."""
    records = [record for group in groups for record in group.records]
    if len(records) <= MOST:
        return records
    best_rows = [
        row for group in groups for budget in group.budgets for row, _ in ranked_rows(group.methods_at(budget))[:1]
    ]
    best = {record.id for row in best_rows for record in row.records}
    chosen = [record for record in records if record.status != Status.OK or record.id in best]
    return sorted(chosen, key=lambda record: record.id not in best)[:MOST]


def held_note(held: int, total: int) -> str:
    """Say where the page does not hold every cell; else empty."""
    if held == total:
        return ""
    return (
        f"This page holds {plural(held, 'cell')} of {total:,}: those that failed and those of the best method at each "
        f"data budget, at most {MOST:,}. The others are in the run folder: graftbench show RUN ID."
    )


@dataclass
class _Strings:
    """Each text once; cells name it by its index, for most of what they say they say alike."""

    indices: dict[str, int] = field(default_factory=dict)

    def index(self, text: str) -> int:
        return self.indices.setdefault(text, len(self.indices))

    def lines(self, text: str) -> list[int]:
        return [self.index(line) for line in text.split("\n")] if text else []

    def pairs(self, rows: Iterable[tuple[str, ...]]) -> list[list[int]]:
        return [[self.index(text) for text in row] for row in rows]


def cells_json(records: Sequence[Record], everyone: Sequence[Record], run: Run, page: Path | None) -> str:
    r"""Return an object that is safe inside <script>: every `<` is `\u003c`.

    `strings` has each text once. A cell has texts as places in it, tables as lists of lists of places, and texts of
    several lines as lists of places: `id`, `seed`, `status`, `name`, `facts`, `scores` (name, label, value, interval,
    floor, images, note), `cost`, `environment`, `links` (what, path, address or empty), `command`, `caveats`, `log`,
    and `curve` as (images shown, {loss: value}) in numbers. The end of a failed cell's log is in the page's section of
    failures.

    Args:
        records: What the page holds.
        everyone: All cells of the run: an environment is told where it is not everyone's.
        run: For its folder: the suite that a command repeats, and the files to link.
        page: Folder in which the page will lie; None where that is unknown, and nothing can be linked.
    """
    strings = _Strings()
    counts = Counter(pair for record in everyone for pair in dict(flatten(record.environment)).items())
    common = {pair for pair, count in counts.items() if count == len(everyone)}  # what all environments say alike
    curves = len(records) <= MOST_CURVES
    cells = [_cell(record, strings, common, run, page, curves=curves) for record in records]
    text = json.dumps({"strings": list(strings.indices), "cells": cells}, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _cell(
    record: Record, strings: _Strings, common: set[tuple[str, str]], run: Run, page: Path | None, *, curves: bool
) -> dict[str, Any]:
    # A run of this cell alone is looked up at once; without artifacts no log is read.
    log = {kind: path for kind, path in record.artifacts.items() if kind == "log" and curves}
    bare = msgspec.structs.replace(record, artifacts=log)
    view = view_cell(Run(name=run.name, records=[bare], folder=run.folder), record.id)
    command = shorten_paths(view.command)
    caveats = [shorten_paths(caveat) for caveat in view.caveats]
    if command != view.command:
        caveats.append(f"Paths are cut to their last part here; graftbench show RUN {record.id} prints them whole.")
    environment = [pair for pair in dict(flatten(record.environment)).items() if pair not in common]
    return {
        "id": strings.index(record.id),
        "seed": record.cell.seed,
        "status": strings.index(str(record.status)),
        "name": strings.index(one_line(str(record.cell))),
        "facts": strings.pairs(_facts(record)),
        "scores": strings.pairs(map(_score, record.scores)),
        "cost": strings.pairs(_cost(record)),
        "environment": strings.pairs(environment),
        "links": strings.pairs(_links(record, run.folder, page)),
        "command": strings.lines(command),
        "caveats": [strings.index(caveat) for caveat in caveats],
        "log": strings.lines(shorten_paths(view.log).strip("\n")) if record.status == Status.OK else [],
        "curve": _curve(record) if curves else [],
    }


def _curve(record: Record) -> list[tuple[int, dict[str, float]]]:
    """Return images shown and losses of at most `_POINTS` points, the last among them, in four digits."""
    step = -(-len(record.curve) // _POINTS) or 1
    kept = record.curve[::-step][::-1]
    return [
        (
            point.images_seen,
            {one_line(name): float(f"{loss:.4g}") for name, loss in point.losses.items() if loss is not None},
        )
        for point in kept
    ]


def _facts(record: Record) -> list[tuple[str, str]]:
    cell = record.cell
    parameters = [f"{name} = {_plain(value)}" for name, value in cell.shown_parameters.items()]
    origin = origin_of(record)
    rows = [
        ("ended", f"{record.status}: {record.reason}" if record.reason else str(record.status)),
        ("exit code", str(record.exit_code) if record.exit_code else ""),
        ("variant of", "" if cell.variant_of == SAMPLES else cell.variant_of),
        ("made by others", SAYS[origin] if origin else ""),
        ("parameters", ", ".join(parameters) or "none"),
        ("compute budget", str(cell.compute_budget)),
        ("source model", cell.source_model),
        ("code", cell.code[:16]),
        *((f"contents of {name}", sha256[:16]) for name, sha256 in cell.files.items()),
        *((f"images of {name}", sha256[:16]) for name, sha256 in cell.manifests.items()),
        ("finished", moment(record.finished_at)),
        ("from start to end, s", "" if record.wall_seconds is None else digits(record.wall_seconds)),
        ("starts", str(record.attempts) if record.attempts > 1 else ""),
        ("competes", record.competes),
        *(record.truth.facts if record.truth else ()),
        *(("note", note) for note in record.notes),
    ]
    return [(one_line(name), one_line(shorten_paths(value))) for name, value in rows if value]


def _score(score: Score) -> tuple[str, ...]:
    """Return name, label, value, interval, floor, images, note; numbers in the printed scale."""
    metric = metric_named(score.name)
    scale = metric.scale if metric else 1.0
    counts = {"generated": score.n_generated, "reference": score.n_reference, "training": score.n_train}
    note = [f"undefined: {score.undefined}" if score.undefined else "", score.note]
    return (
        score.name,
        metric.label if metric else one_line(score.name),
        "undefined" if score.value is None else digits(score.value * scale),
        "" if score.interval is None else " to ".join(digits(end * scale) for end in score.interval),
        "" if score.floor is None else digits(score.floor * scale),
        ", ".join(f"{count:,} {what}" for what, count in counts.items() if count),
        one_line(shorten_paths("; ".join(filter(None, note)))),
    )


def _cost(record: Record) -> list[tuple[str, str]]:
    """Return each cost that is known; of a generator that others made with whether it was measured or declared."""
    if record.resources is None:
        return (
            [("costs", "none was declared, and none could be measured here")] if origin_of(record) == HANDED_IN else []
        )
    costs = [(name, one_line(_plain(value)), declared) for name, value, declared in costs_of(record)]
    if not origin_of(record) and not any(declared for _, _, declared in costs):
        return [(name, text) for name, text, _ in costs]
    return [(name, f"{text} ({'declared' if declared else 'measured'})") for name, text, declared in costs]


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return digits(value)
    if isinstance(value, int):
        return f"{value:,}"
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False, default=str)


def digits(value: float) -> str:
    """Print four significant digits, or all before the point, as `graftbench show` does."""
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:z.4g}"
    return text.replace("-", "−") if "e" not in text else text


def _links(record: Record, folder: Path, page: Path | None) -> list[tuple[str, str, str]]:
    """Return (what, path within the run folder, address from the page or empty) of log and sheet that exist.

    A path that leads out of the run folder is left out: a record must not make the page name other files.
    """
    root = folder.resolve()
    links = []
    for kind, words in _LINKED.items():
        file = (root / record.artifacts.get(kind, "")).resolve()
        if not record.artifacts.get(kind) or not file.is_relative_to(root) or not file.is_file():
            continue
        inside = page is not None and page.resolve().is_relative_to(root)
        address = quote(Path(os.path.relpath(file, page.resolve())).as_posix()) if page is not None and inside else ""
        links.append((words, file.relative_to(root).as_posix(), address))
    return links
