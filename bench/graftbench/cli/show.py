"""`graftbench show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftbench.cli.output import print_json, wide_console

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table

    from graftbench.records.cell_view import CellView
    from graftbench.records.record import Record, Score

PIPE_COLUMNS = 120
"""Width of what is not printed on a terminal."""


def show(
    run: Path,
    cell: str,
    /,
    *,
    json: bool = False,
) -> int:
    """Show one cell of a run: what it was, how it ended, what it scored and cost, how to make it again.

    Args:
        run: A run folder, or a records.jsonl.
        cell: The first digits of the cell's id, as many as no other begins with; or what --select takes elsewhere, if
            it leaves one cell: "method=dcgan budget=25 seed=0".
        json: Print an object: the record, its artifacts, the end of its log, the suite and command that make it again.
    """
    from graftbench.records.cell_view import view_cell
    from graftbench.records.run import read_run

    view = view_cell(read_run(run), cell)
    if json:
        print_json(view.as_json())
        return 0
    _print(wide_console(PIPE_COLUMNS).print, view)
    return 0


def _print(emit: Callable[[object], None], view: CellView) -> None:
    from rich.text import Text

    emit(Text(str(view.record.cell), style="bold"))
    emit(facts_table(_identity(view)))
    if view.record.scores:
        emit(scores_table(view.record.scores))
    sections = {
        "Cost": _cost(view.record),
        "Notes": [("", note) for note in view.record.notes],
        "Artifacts": [(a.kind, a.path if a.there else f"{a.path} (no longer there)") for a in view.artifacts],
        "Environment": list(_flat(view.record.environment)),
    }
    for title, rows in sections.items():
        if rows:
            emit(Text(f"\n{title}", style="bold"))
            emit(facts_table(rows))
    emit(Text("\nTo make it again", style="bold"))
    for caveat in view.caveats:
        emit(Text(caveat, style="dim"))
    print(view.command)  # not wrapped: it is to be pasted
    if view.log:
        emit(Text("\nThe end of its log", style="bold"))
        print(_printable(view.log))


def facts_table(rows: list[tuple[str, str]]) -> Table:
    """Make a table of names to the left, their values to the right."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(Text(f"  {name}" if name else "  -"), Text(_printable(value)))
    return table


def _identity(view: CellView) -> list[tuple[str, str]]:
    from graftbench.records.cell_spec import SAMPLES
    from graftbench.records.provenance import SAYS, origin_of

    record, cell = view.record, view.record.cell
    protocol, origin = cell.protocol, origin_of(view.record)
    size = "own size" if protocol.size is None else f"{protocol.size} px"
    rows = [
        ("id", record.id),
        ("status", f"{record.status}: {record.reason}" if record.reason else str(record.status)),
        ("exit code", "" if record.exit_code is None else str(record.exit_code)),
        ("method", f"{cell.method} ({cell.family})"),
        ("variant of", "" if cell.variant_of == SAMPLES else cell.variant_of),
        ("made by others", SAYS[origin] if origin else ""),
        ("parameters", ", ".join(f"{name}={value}" for name, value in cell.shown_parameters.items())),
        ("task", str(cell.task)),
        ("data budget", f"{cell.data_budget:,} images"),
        ("compute budget", str(cell.compute_budget)),
        ("seed", str(cell.seed)),
        ("source model", cell.source_model),
        ("contents of it", record.source_model_sha256[:16]),
        ("protocol", f"{protocol.extractor}, {size}, {protocol.resize}, split {protocol.reference}"),
        ("second extractor", protocol.second.label if protocol.second else ""),
        ("code", cell.code[:16]),
        *((f"contents of {name}", sha256[:16]) for name, sha256 in cell.files.items() if sha256),
        *((f"images {name}", sha256[:16]) for name, sha256 in cell.manifests.items()),
        ("finished", record.finished_at),
        *(record.truth.facts if record.truth else ()),
        ("attempts", str(record.attempts) if record.attempts > 1 else ""),
        ("competes", record.competes),
    ]
    return [(name, value) for name, value in rows if value]


def scores_table(scores: list[Score]) -> Table:
    """Make a table of one row a score, in the scale in which reports print it."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=True)
    table.add_column("score", no_wrap=True)
    for heading in ("value", "95 % interval", "floor"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("images", no_wrap=True)
    table.add_column("interval by; note", overflow="fold")
    for score in scores:
        table.add_row(*map(Text, _score(score)))
    return table


def _score(score: Score) -> tuple[str, ...]:
    from graftbench.metrics.catalogue import metric_named

    metric = metric_named(score.name)
    scale = metric.scale if metric else 1.0
    interval = "" if score.interval is None else " to ".join(_number(end * scale) for end in score.interval)
    counts = (score.n_generated, score.n_reference, score.n_train)
    images = ", ".join(
        f"{count:,} {kind}" for count, kind in zip(counts, ("gen", "ref", "train"), strict=True) if count
    )
    notes = (score.method, f"undefined: {score.undefined}" if score.undefined else "", score.note)
    return (
        metric.heading if metric else score.name,
        "undefined" if score.value is None else _number(score.value * scale),
        interval,
        "" if score.floor is None else _number(score.floor * scale),
        images,
        _printable("; ".join(filter(None, notes))),
    )


def _number(value: float) -> str:
    """Format with four significant digits, or all before the point; never as minus zero."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:z.4g}"


def _cost(record: Record) -> list[tuple[str, str]]:
    """Return the record's costs; where any came from elsewhere, each says whether it was measured or declared."""
    from graftbench.records.provenance import costs_of, declared_by, origin_of

    origin = origin_of(record)
    if origin == "submitted" and record.resources is None:
        return [("", "None was declared, and none could be measured here.")]
    rows = [(name, _value(value), declared) for name, value, declared in costs_of(record)]
    if not origin and not any(declared for _, _, declared in rows):
        return [(name, text) for name, text, _ in rows]
    marked = [(name, f"{text}  ({'declared' if declared else 'measured'})") for name, text, declared in rows]
    words = declared_by([record])
    return [*marked, *([("", f"{words[0].upper()}{words[1:]}.")] if any(declared for _, _, declared in rows) else [])]


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Join nested names with dots: `packages.torch`."""
    rows = []
    for name, value in values.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{name}.")
        elif value is not None:
            rows.append((f"{prefix}{name}", _value(value)))
    return rows


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return _number(value) if isinstance(value, float) else str(value)


def _printable(text: str) -> str:
    """Drop control characters: a log must not steer the terminal."""
    return "".join(c for c in text if c.isprintable() or c in "\n\t")
