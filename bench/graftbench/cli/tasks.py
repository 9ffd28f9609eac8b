"""`graftbench tasks`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from graftbench.cli.options import Plugins, SuiteName
from graftbench.cli.output import markdown_rows, print_json, wide_console
from graftbench.records.cell_spec import Protocol

if TYPE_CHECKING:
    from graftbench.scoring.task_distance import Gap, TaskDistance
    from graftbench.suites.suite import Suite

DEFAULT = Protocol(size=96)
"""Under which a task is measured that no suite names: that of `quick` and `standard`."""


def tasks(
    *names: SuiteName,
    device: str = "auto",
    plugin: Plugins = [],  # noqa: B006 - never changed
    json: bool = False,
    markdown: bool = False,
) -> int:
    """Measure how far the domains of tasks are apart: KID, FID and feature distance; near, middle or far.

    Args:
        names: Suites, TOML files, or tasks (twemoji->openmoji@32); by default the tasks of `quick` and `standard`.
        device: Where the extractor computes: auto, cpu, cuda or cuda:N.
        plugin: File or folder with more domains.
        json: Print a list of objects.
        markdown: Print a Markdown table.
    """
    import msgspec

    from graftbench.errors import GraftbenchError
    from graftbench.resources.device import resolve_device

    distances, failed = [], []
    resolved = resolve_device(device)
    for task, suite in _suites(names or ("quick", "standard")).items():
        try:
            distances.append(_measure(task, suite, resolved, plugin))
        except GraftbenchError as error:
            failed.append(f"{task}: {error}")
    rows = [row_of(distance) for distance in distances]
    if json:
        print_json([msgspec.to_builtins(d) | {"share": d.share, "word": d.word} for d in distances])
    elif markdown:
        print(markdown_of(rows))
    elif rows:
        _print(rows)
    if rows and not json:
        print(f"\n{legend(distances)}")
    for sentence in failed:
        print(f"graftbench: {sentence}", file=sys.stderr)
    return 2 if failed else 0


def _suites(names: tuple[str, ...]) -> dict[str, Suite]:
    """Return task -> the suite that names it; a task alone is that of a suite under the defaults."""
    from graftbench.records.cell_spec import ComputeBudget
    from graftbench.suites.suite import Suite, load_suite, parse_task

    tasks: dict[str, Suite] = {}
    none = {"methods": [], "data_budgets": [], "compute_budget": ComputeBudget(kimg=1)}
    for name in names:
        is_task = "->" in name or "@" in name
        suite = Suite(name=name, tasks=[name], protocol=DEFAULT, **none) if is_task else load_suite(name)
        for task in suite.tasks:
            tasks.setdefault(str(parse_task(task)), suite)
    return tasks


def _measure(text: str, suite: Suite, device: str, plugin: Plugins) -> TaskDistance:
    from graftbench.cache import cache_folder
    from graftbench.records.cell_spec import NO_SOURCE
    from graftbench.scoring.protocol import resolve_protocol
    from graftbench.scoring.task_distance import measure
    from graftbench.suites.domains import domain_of
    from graftbench.suites.suite import parse_task

    task, cache = parse_task(text), cache_folder()
    images = {
        (name, task.resolution): domain_of(suite, name, plugin).load(task.resolution, cache, resize=suite.resize)
        for name in {task.source, task.target} - {NO_SOURCE}
    }
    return measure(task, images, resolve_protocol(suite.protocol), cache=cache, device=device)


def row_of(distance: TaskDistance) -> dict[str, str]:
    """Return a task as a row of the table: heading -> text."""
    return {
        "task": distance.task,
        "source images (train)": f"{distance.n_source:,} ({distance.n_source_train:,})" if distance.source else "–",
        "target images (train/reference)": (
            f"{distance.n_target:,} ({distance.n_target_train:,}/{distance.n_reference:,})"
        ),
        "n": f"{distance.n:,}",
        "KID×10³": _kid(distance.source),
        "floor": _kid(distance.floor),
        "Gaussian": _kid(distance.gaussian),
        "FID (floor)": f"{_text(distance.source and distance.source.fid, 0)} ({_text(distance.floor.fid, 0)})",
        "1 − cosine": _text(distance.source and distance.source.cosine, 3),
        "share": _text(distance.share, 2),
        "": distance.word,
    }


def legend(distances: list[TaskDistance]) -> str:
    """Explain the columns."""
    from graftbench.scoring.task_distance import FAR, NEAR

    protocols = ", ".join(dict.fromkeys(distance.protocol for distance in distances))
    return (
        f"Source training images against the target's reference images ({protocols}), n images, ± one standard error. "
        "Floor: the target's own training images. Gaussian: draws from a Gaussian of their pixels. Share: "
        f"(KID − floor) / (Gaussian − floor); near up to {NEAR:g}, far from {FAR:g}."
    )


def markdown_of(rows: list[dict[str, str]]) -> str:
    """Make the table in Markdown."""
    if not rows:
        return ""
    headings = list(rows[0])
    cells = ([f"`{row['task']}`", *list(row.values())[1:]] for row in rows)
    return markdown_rows([headings, ["---"] * len(headings), *cells])


def _kid(gap: Gap | None) -> str:
    """Format KID×10³ with its standard error."""
    if gap is None or gap.kid is None:
        return "–"
    error = "" if gap.kid_standard_error is None else f" ± {1000 * gap.kid_standard_error:.0f}"
    return f"{1000 * gap.kid:z.0f}{error}"


def _text(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:z.{digits}f}"


def _print(rows: list[dict[str, str]]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    for head in rows[0]:
        table.add_column(head, no_wrap=head == "task", justify="left" if head in ("task", "") else "right")
    for row in rows:
        table.add_row(*(escape(value) for value in row.values()))
    wide_console(200).print(table)
