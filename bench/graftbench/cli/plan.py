"""`graftbench plan`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from graftbench.bounds import MOST
from graftbench.cli.failures import USAGE
from graftbench.cli.options import Count, Plugins, SuiteName, between
from graftbench.cli.output import print_json, print_lines, wide_console
from graftbench.suites.status import RUN_AGAIN, UNKNOWN_FILES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from graftbench.suites.forecast import Outlook, PlannedSourceModel
    from graftbench.suites.missing import UncountedTask
    from graftbench.suites.status import CellStatus

ROWS = 60
"""Above so many cells the table has a row for each method and reason."""

WHY = 110
"""Characters of a reason that the table shows; --json has all of it."""

PIPE_COLUMNS = 160
"""Width of what is not printed on a terminal."""

COLOURS = {"done": "green", "new": "", "changed": "yellow", "failed": "red"}


def plan(
    suite: SuiteName,
    *,
    out: Path | None = None,
    others: Annotated[list[Path], Parameter(name="--from", negative=())] = [],  # noqa: B006 - never changed
    jobs: Count = None,
    shard: str = "1/1",
    speed: Annotated[float | None, Parameter(validator=between(0, MOST))] = None,
    every: Annotated[bool, Parameter(name="--all", negative=())] = False,
    plugin: Plugins = [],  # noqa: B006
    json: bool = False,
) -> int:
    """List the cells of a suite: what is done, what would run and why, and how long it may take.

    Where sets of images are missing, the tasks that need them are listed by what the suite says alone, and what is
    missing with where it comes from and where it goes; the exit code is then 2.

    Args:
        suite: A packaged suite or a TOML file.
        out: Run folder to compare with; it need not exist.
        others: Run folder, or file of records, to estimate from as well; may be given several times.
        jobs: Cells side by side, for the estimate; by default as many as `graftbench run` takes.
        shard: Only the k-th of n parts of the suite (3/8).
        speed: Tell also what it took on a machine on which cells last 1/speed as long, a factor that you know.
        every: Print every cell, however many there are.
        plugin: File or folder with more methods and domains.
        json: Print an object: cells, totals, source models, notes, missing sets, tasks that could not be counted.
    """
    from graftbench.cache import cache_folder
    from graftbench.cli.run import default_jobs
    from graftbench.resources.device import resolve_devices
    from graftbench.suites.forecast import look_ahead
    from graftbench.suites.plan import make_plan
    from graftbench.suites.shards import parse_shard
    from graftbench.suites.suite import load_suite

    part, cache = parse_shard(shard), cache_folder()
    outlook = look_ahead(
        make_plan(load_suite(suite), cache, plugins=plugin, without_images=True),
        cache,
        out=out,
        others=others,
        part=part,
        jobs=jobs or default_jobs(resolve_devices("auto")),
        again=RUN_AGAIN,
    )
    if json:
        print_json(outlook.as_json())
        return USAGE if outlook.missing else 0
    console = wide_console(PIPE_COLUMNS)
    if outlook.rows or not outlook.missing:
        console.print(cells_table(outlook) if every or len(outlook.rows) <= ROWS else summary_table(outlook))
        print_lines(console, [*sentences(outlook), *on_other_machines(outlook, speed)])
    if outlook.missing:
        console.print(uncounted_table(outlook.uncounted))
        print_lines(console, missing_lines(outlook))
    return USAGE if outlook.missing else 0


def cells_table(outlook: Outlook) -> Table:
    """Make a table of one row a cell. Columns that say the same everywhere are left out."""
    from rich.markup import escape
    from rich.table import Table

    columns = {
        "cell": [row.id for row in outlook.rows],
        "method": [row.cell.method for row in outlook.rows],
        "task": [str(row.cell.task) for row in outlook.rows],
        "images": [str(row.cell.data_budget) for row in outlook.rows],
        "seed": [str(row.cell.seed) for row in outlook.rows],
        "state": [_coloured(row) for row in outlook.rows],
        "expected": [duration(outlook.estimates.seconds(row.cell)) for row in outlook.rows],
        "why": [escape(_cut(row.why)) for row in outlook.rows],
    }
    columns = {
        name: values
        for name, values in columns.items()
        if name in _NAMES or len(set(values)) > 1 or (name in ("why", "expected") and set(values) - {"", "?"})
    }
    table = Table()
    for name in columns:
        _add_column(table, name)
    for values in zip(*columns.values(), strict=True):
        table.add_row(*values)
    return table


_NAMES = ("cell", "method", "state")
"""Columns whose words are to be typed or searched for: they are shown whole."""

_NUMBERS = ("images", "seed", "seeds", "methods", "cells", "each", "together", "expected")


def _add_column(table: Table, name: str) -> None:
    justify = "right" if name in _NUMBERS else "left"
    table.add_column(name, no_wrap=name in _NAMES, justify=justify, overflow="ellipsis" if name in _NAMES else "fold")


def summary_table(outlook: Outlook) -> Table:
    """Make a table of one row for each method, state and reason."""
    from rich.markup import escape
    from rich.table import Table

    groups: dict[tuple[str, str, str], list[CellStatus]] = {}
    for row in sorted(outlook.rows, key=lambda row: row.cell.method):
        groups.setdefault((row.cell.method, str(row.state), row.group), []).append(row)
    table = Table()
    for name in ("method", "state", "cells", "each", "together", "why"):
        _add_column(table, name)
    for (method, _state, why), rows in groups.items():
        each = [s for row in rows if (s := outlook.estimates.seconds(row.cell)) is not None]
        mean = sum(each) / len(each) if each else None
        together = sum(each) if each and rows[0].runs else None
        times = duration(mean), duration(together) if rows[0].runs else ""
        table.add_row(method, _coloured(rows[0]), str(len(rows)), *times, escape(_cut(why)))
    return table


def uncounted_table(tasks: Sequence[UncountedTask]) -> Table:
    """Make a table of the tasks whose images are not here: the matrix as the suite writes it, and the missing sets."""
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    for name in ("task", "methods", "images", "seeds", "cells", "missing"):
        _add_column(table, name)
    for task in tasks:
        budgets = ", ".join(f"{budget:,}" for budget in task.data_budgets)
        counts = str(len(task.methods)), budgets, str(len(task.seeds)), str(task.cells)
        table.add_row(escape(task.task), *counts, escape(", ".join(task.missing)))
    return table


def missing_lines(outlook: Outlook) -> list[str]:
    """Return the lines below that table: what could not be counted, and each missing set with how to get it."""
    count, tasks = sum(task.cells for task in outlook.uncounted), len(outlook.uncounted)
    methods = ", ".join(dict.fromkeys(name for task in outlook.uncounted for name in task.methods))
    computes = ", ".join(dict.fromkeys(budget for task in outlook.uncounted for budget in task.compute_budgets))
    needing = "1 task" if tasks == 1 else f"{tasks} tasks"
    return [
        f"Methods: {methods}. Compute: {computes} a fit.",
        f"Nothing could be counted of {needing}, {count:,} cells at most: their images are not here.",
        f"Sets of images that cannot be had ({len(outlook.missing)}), with where they come from and where they go:",
        *(f"  {missing_set}" for missing_set in outlook.missing),
    ]


def sentences(outlook: Outlook) -> list[str]:
    """Return what the table does not say, one line each."""
    lines = [_counts(outlook), *_expected(outlook)]
    lines += [_model(model) for model in outlook.models]
    for remark, count in outlook.explained.other_software.items():
        lines.append(f"{_cells(count)} done, but {remark}; --retry ok runs done cells again.")
    if any("protocol" in row.kinds for row in outlook.rows):
        lines.append("The folder holds another protocol, which graftbench run refuses: choose another --out.")
    if unknown := sum(UNKNOWN_FILES in row.why for row in outlook.rows):
        lines.append(f"For {_cells(unknown)} the folder has no note of the old code (code.json), so no file is named.")
    if others := outlook.explained.others:
        lines.append("1 record of another cell stays." if others == 1 else f"{others} records of other cells stay.")
    return [*lines, *outlook.notes]


def on_other_machines(outlook: Outlook, speed: float | None = None) -> list[str]:
    """Return lines on how long the cells take on other devices, at a given speed, and on GPUs that nobody measured.

    Args:
        outlook: What is ahead.
        speed: How many times as fast as the estimate's device another machine is, as the user says.
    """
    if not outlook.to_run:
        return []
    lines = []
    for other in outlook.elsewhere:
        left_out = f", without {_cells(other.unknown)} of unknown length" if other.unknown else ""
        records = "1 record" if other.records == 1 else f"{other.records} records"
        lines.append(
            f"On {other.device}: {duration(other.wall_seconds)} with --jobs {outlook.jobs}{left_out}, by {records}."
        )
    if speed is not None and (wall_seconds := outlook.wall_time.seconds) is not None:
        lines.append(f"At {speed:g} times that speed, as you say: {duration(wall_seconds / speed)}.")
    measured = [outlook.estimates.device, *(other.device for other in outlook.elsewhere)]
    if all(device in ("", "cpu") for device in measured):
        lines.append("On a GPU: not known, for no record here was made on one; --from takes a run made there.")
    return lines


def _counts(outlook: Outlook) -> str:
    states = Counter(str(row.state) for row in outlook.rows)
    counts = ", ".join(f"{states[state]} {state}" for state in COLOURS if states[state])
    k, n = outlook.shard
    part = f" in shard {k}/{n}" if n > 1 else ""
    return f"{_cells(len(outlook.rows))}{part}: {counts or 'none'}. {len(outlook.to_run)} to run."


def _expected(outlook: Outlook) -> list[str]:
    """Return lines on time, memory and disk of what runs, and on what these estimates rest."""
    count = len(outlook.to_run)
    if not count:
        return []
    wall_seconds, unknown = outlook.wall_time.seconds, outlook.wall_time.unknown
    if wall_seconds is None:
        lines = ["How long they take is not known: there are no records of cells that ended well (--from RUN)."]
    else:
        left_out = f", without {_cells(unknown)} of unknown length" if unknown else ""
        peak = outlook.peak_memory_mib
        memory = f", up to {peak:,.0f} MiB each" if peak is not None else ""
        first = outlook.training_seconds
        training = f", {duration(first)} of it for source models" if first else ""
        lines = [f"Expected: {duration(wall_seconds)} with --jobs {outlook.jobs}{training}{left_out}{memory}."]
        lines.append(_basis(outlook))
    size = f"About {outlook.disk_needed_bytes / 1e6:,.0f} MB on the disk"
    guessed = f", a guess for {_cells(outlook.disk_guessed)}" if outlook.disk_guessed else ""
    free = f"; {outlook.disk_free_bytes / 1e6:,.0f} MB are free" if outlook.disk_free_bytes is not None else ""
    return [*lines, f"{size}{guessed}{free}."]


def _basis(outlook: Outlook) -> str:
    times = [outlook.estimates.time(row.cell) for row in outlook.to_run]
    bases = Counter(time.basis for time in times if time.basis)
    sources = "; ".join(f"{_cells(count)} by {basis}" for basis, count in bases.most_common())
    fit_only = sum(time.fit_only for time in times)
    fits = (
        f" For {_cells(fit_only)} only the fit is known: start, sampling and scoring come on top." if fit_only else ""
    )
    records = "1 record" if outlook.estimates.records == 1 else f"{outlook.estimates.records} records"
    return f"That rests on {records} made on {outlook.estimates.device}: {sources}.{fits}"


def _model(model: PlannedSourceModel) -> str:
    needed = f"needed by {_cells(model.cells)} to run" if model.cells else "needed by no cell to run"
    about = f" {model.note}" if model.note else ""
    if model.place == "missing" and not (model.kimg and model.cells):
        state = "is imported first" if model.cells else "is not there"
    elif model.place == "missing":
        return f"{_training(model)}; {needed}.{about}"
    else:
        state = {"cached": "is in the cache", "shipped": "comes with the package"}[model.place]
    return f"Source model {model.id} {state}; {needed}.{about}"


def _training(model: PlannedSourceModel) -> str:
    """Return what is going to be trained, how long that may take, and which lines in the suite would avoid it."""
    need = "needs a discriminator, which is fitted first" if model.note else "must be trained first"
    length = f"{model.kimg:g} kimg"
    if model.seconds:
        length += f", about {duration(model.seconds)} by the training of a shipped one on one CPU thread"
    return f"Source model {model.id} {need} ({'; '.join(filter(None, (length, model.avoid)))})"


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


def _coloured(row: CellStatus) -> str:
    colour = COLOURS[str(row.state)]
    return f"[{colour}]{row.state}[/]" if colour else str(row.state)


def _cut(text: str) -> str:
    return text if len(text) <= WHY else f"{text[: WHY - 1].rstrip()}…"


def duration(seconds: float | None) -> str:
    """Format a duration: `0.4 s`, `41 s`, `3 min 20 s`, `5 h 12 min`, `2 d 3 h`; `?` for None."""
    if seconds is None:
        return "?"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, size, small, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            smaller = whole % size // part
            return f"{whole // size} {unit} {smaller} {small}" if smaller else f"{whole // size} {unit}"
    return f"{whole} s"
