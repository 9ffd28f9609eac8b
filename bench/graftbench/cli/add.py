"""`graftbench add samples`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftbench.cli.options import Count, Flag, Plugins, Seed, SuiteName, Texts
from graftbench.cli.output import print_json

if TYPE_CHECKING:
    from graftbench.records.cell_spec import ComputeBudget
    from graftbench.records.record import Record

PRINTED_SCORES = ("kid", "fid")
"""Scores that are printed; the report has all."""


def samples(
    path: str,
    *,
    run: Path,
    method: str,
    task: str | None = None,
    budget: Count = None,
    seed: Seed | None = None,
    compute: str | None = None,
    family: str = "submitted",
    cost: Texts = [],  # noqa: B006 - never changed
    costs: Path | None = None,
    note: Texts = [],  # noqa: B006
    suite: SuiteName | None = None,
    replace: Flag = False,
    keep: str = "sampler",
    device: str = "auto",
    plugin: Plugins = [],  # noqa: B006
    json: bool = False,
) -> int:
    """Add images that were made elsewhere to a run, and score them.

    Task, budget and seed may be left out where the samples lie in a folder of graftbench export-task, or beside its
    manifest.json. What is refused leaves the run as it was.

    Args:
        path: A folder of images, or a .zip, .npz or .npy file; with {budget} and {seed} in it, all that are there.
        run: Run folder.
        method: What tables call the generator; not a registered method.
        task: One of the suite's.
        budget: Number of target training images that it was trained on.
        seed: Which draw of them.
        compute: What its training spent, as the suite counts ("8 kimg"); the suite's first by default.
        family: scratch, fine-tune, frozen, vae or style; submitted where nobody says.
        cost: What its training cost, as NAME=VALUE (fit_seconds=5400, device=A100); may be given several times.
        costs: TOML file with such costs.
        note: A sentence that stands with the record; may be given several times.
        suite: Begins the run where there is none: a packaged suite or a TOML file.
        replace: Take the place of samples that were scored for the same cell.
        keep: What the cell leaves beside its record: sampler (the images), samples (a sheet) or nothing.
        device: auto, cpu, cuda or cuda:N, for the scores.
        plugin: File or folder with more domains.
        json: Print the records.
    """
    import sys

    from rich.console import Console

    from graftbench.execution.add_samples import add_samples
    from graftbench.execution.progress import ConsoleProgress

    progress = ConsoleProgress(Console(stderr=True), jobs=1)
    with progress.live():
        added = add_samples(
            path,
            run,
            method=method,
            task=task,
            data_budget=budget,
            seed=seed,
            compute_budget=None if compute is None else compute_budget(compute),
            family=family,
            costs=(read_costs(costs) if costs else {}) | given_costs(cost),
            notes=note,
            suite=suite,
            replace=replace,
            plugins=plugin,
            device=device,
            keep=keep,
            progress=progress,
        )
    if added.summary.stopped:
        raise KeyboardInterrupt
    if json:
        print_json(added.records)
        return added.summary.exit_code
    for record in added.records:
        print("\n".join(lines_of(record)))
    print(f"{run}: graftbench report {run} has them in its tables.", file=sys.stderr)
    return added.summary.exit_code


def compute_budget(text: str) -> ComputeBudget:
    """Parse `8 kimg`, `8kimg` or `kimg=8`.

    Raises:
        GraftbenchError: Another form, or no positive number.
    """
    from graftbench.errors import GraftbenchError
    from graftbench.records.cell_spec import ComputeBudget

    unit, equals, value = text.partition("=")
    if not equals and (match := re.fullmatch(r"\s*([0-9.eE+-]+)\s*([a-z]+)\s*", text)):
        value, unit = match.groups()
    try:
        return ComputeBudget(**{unit.strip(): float(value)})
    except (TypeError, ValueError) as error:
        raise GraftbenchError(
            f"A compute budget is written '8 kimg', '600 seconds' or '5e6 gflops'; found --compute '{text}'."
        ) from error


def given_costs(pairs: list[str]) -> dict[str, Any]:
    """Parse `NAME=VALUE` pairs.

    Raises:
        GraftbenchError: Another form, or a name twice.
    """
    from graftbench.errors import GraftbenchError

    costs: dict[str, Any] = {}
    for pair in pairs:
        name, _, value = (part.strip() for part in pair.partition("="))
        if not (name and value):
            raise GraftbenchError(f"A cost is written NAME=VALUE (fit_seconds=5400); found --cost '{pair}'.")
        if name in costs:
            raise GraftbenchError(f"The cost {name} is given twice.")
        costs[name] = value
    return costs


def read_costs(path: Path) -> dict[str, Any]:
    """Read a TOML file of costs.

    Raises:
        GraftbenchError: It cannot be read.
    """
    from graftbench.plugins.config import read_toml

    return read_toml(path, "file of costs")


def lines_of(record: Record) -> list[str]:
    """Describe in words the outcome of added samples."""
    from graftbench.metrics.catalogue import METRICS
    from graftbench.records.record import Status

    if record.status != Status.OK:
        return [f"{record.cell}: {record.status}. {record.reason}"]
    scores = [
        f"{METRICS[name].label} {score.value * METRICS[name].scale:z.4g}"
        for name in PRINTED_SCORES
        if (score := record.score(name)) is not None and score.value is not None
    ]
    declared = record.resources.declared if record.resources is not None else []
    costs = f"Declared, not measured here: {', '.join(declared)}." if declared else "No costs were declared."
    return [f"{record.cell}: {', '.join(scores)}.", costs, *record.notes]
