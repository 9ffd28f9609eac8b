"""`graftbench track add`, `graftbench track show` and `graftbench track report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from graftbench.cli.options import Flag, comma_separated

if TYPE_CHECKING:
    from rich.table import Table

    from graftbench.regression.history.history import HistoryEntry
    from graftbench.regression.history.series import Series

Names = Annotated[list[str], Parameter(negative=(), consume_multiple=False)]


def add(
    run: Path,
    /,
    *,
    history: Path,
    commit: str = "",
    date: str = "",
    replace: Flag = False,
) -> int:
    """Append what a run came to as one line to DIR/history.jsonl.

    Args:
        run: A run folder or a records.jsonl.
        history: Folder of the history; made if need be.
        commit: Of the code that ran; the one in the records by default.
        date: ISO 8601; orders the history. When the newest record was finished by default. Give the commit's own date
            where old commits are run late.
        replace: Take the place of what the history has of this commit on this hardware.
    """
    from graftbench.records.run import read_run
    from graftbench.regression.history.history import add as append
    from graftbench.regression.history.history import entry_of

    entry, notes = entry_of(read_run(run), commit=commit, date=date)
    added = append(history, entry, replace=replace)
    for sentence in (added.sentence, *notes):
        print(sentence)
    return 0


def show(
    history: Path,
    /,
    *,
    measure: Names = [],  # noqa: B006 - never changed
    method: Names = [],  # noqa: B006 - never changed
    changed: Flag = False,
    json: Flag = False,
) -> int:
    """List the series of a history: latest value, steps with their commits, drift; the worst first.

    Args:
        history: Folder of the history.
        measure: Which measures, and from which change on they count: kid, kid=5%; those of the gate by default.
        method: Which methods; all by default.
        changed: Leave out series without a step or drift.
        json: Print objects, one a line.
    """
    _, series = _read(history, measure, method)
    selected = [one for one in series if one.changed or one.lost or not changed]
    if json:
        _print_objects(selected)
        return 0
    from rich.console import Console

    console = Console()
    if selected:
        console.print(series_table(selected))
    worse = sum(one.lost > 0 for one in series)
    console.print(
        f"{len(series):,} series: {worse:,} worse than before, "
        f"{sum(one.changed and not one.lost for one in series):,} changed otherwise, "
        f"{sum(one.too_few for one in series):,} with too few runs to judge.",
        highlight=False,
    )
    return 0


def report(
    history: Path,
    /,
    *,
    out: Path,
    measure: Names = [],  # noqa: B006 - never changed
    method: Names = [],  # noqa: B006 - never changed
) -> int:
    """Write a history as one self-contained page: a small picture of each series, the worst first.

    Args:
        history: Folder of the history.
        out: The HTML file.
        measure: Which measures, and from which change on they count: kid, kid=5%; those of the gate by default.
        method: Which methods; all by default.
    """
    from graftbench.regression.history.page import render

    entries, series = _read(history, measure, method)
    folder = history.parent if history.is_file() else history
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(render(entries, series, name=folder.resolve().name), encoding="utf-8", newline="")
    print(f"{out}: {len(series):,} series of {len(entries):,} runs.")
    return 0


def _read(history: Path, measures: list[str], methods: list[str]) -> tuple[list[HistoryEntry], list[Series]]:
    """Read the history and the series that are asked for."""
    import sys

    from graftbench.errors import unknown
    from graftbench.regression.history.history import SeriesKey, read
    from graftbench.regression.history.series import name_of, series_of
    from graftbench.regression.measures import MEASURES, parse_measures

    chosen = parse_measures(measures, MEASURES)
    entries, warnings = read(history)
    for warning in warnings:
        print(warning, file=sys.stderr)
    names = comma_separated(",".join(methods))
    recorded = {name_of(SeriesKey.parse(text).method) for entry in entries for text in entry.series}
    for name in names:
        if name not in recorded:
            raise unknown("method", name, recorded, where="in this history")
    return entries, series_of(entries, chosen, methods=names)


def series_table(series: list[Series]) -> Table:
    """Make a table of one row a series."""
    from rich.table import Table
    from rich.text import Text

    from graftbench.regression.history import words
    from graftbench.regression.history.history import short

    table = Table(show_lines=True)
    for heading in ("series", "measure"):
        table.add_column(heading)
    table.add_column("latest", justify="right", no_wrap=True)
    table.add_column("runs", justify="right", no_wrap=True)
    table.add_column("changes, newest first", ratio=1)
    for one in series:
        assert one.latest.value is not None
        changes = Text("\n".join(words.changes(one)))
        if one.lost:
            changes = Text(f"{words.share(one.lost)} than at its best\n", "bold red") + changes
        table.add_row(
            Text.assemble(one.key.title, (f"\n{one.scope}" if one.scope else "", "dim")),
            one.measure.heading,
            Text.assemble(words.number(one.measure, one.latest.value.mean), (f"\n{short(one.latest.commit)}", "dim")),
            str(one.segmentation.n),
            changes,
        )
    return table


def _print_objects(series: list[Series]) -> None:
    import msgspec

    for one in series:
        assert one.latest.value is not None
        fields = {
            **one.key._asdict(),
            "measure": one.measure.name,
            "place": one.scope,
            "runs": one.segmentation.n,
            "latest": one.latest.value.mean,
            "commit": one.latest.commit,
            "sigma": one.segmentation.sigma,
            "lost": one.lost,
            "too_few_runs": one.too_few,
            "raw_change": one.raw_change,
            "drift": None if one.drift is None else {"slope": one.drift.slope, "worse": one.drift_worse},
            "steps": [
                {
                    "before": change.step.before,
                    "after": change.step.after,
                    "worse": change.worse,
                    "old_commit": change.old,
                    "new_commit": change.new,
                    "date": change.date,
                    "runs_between": change.skipped,
                }
                for change in one.steps
            ],
        }
        print(msgspec.json.encode(fields).decode())
