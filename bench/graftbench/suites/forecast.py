"""Forecast of a run: which cells it is going to run and why, how long they may take, what they need first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftbench.errors import GraftbenchError
from graftbench.records.heads import Head, Software
from graftbench.records.run import RECORDS
from graftbench.records.store import latest, read
from graftbench.resources.environment import software
from graftbench.suites import disk
from graftbench.suites.code_file import known_code
from graftbench.suites.estimates import Estimates, WallTime
from graftbench.suites.shards import shard
from graftbench.suites.status import RENEWED, State, explain
from graftbench.training import source

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from graftbench.records.cell_spec import CellSpec
    from graftbench.records.record import Status
    from graftbench.suites.missing import MissingSet, UncountedTask
    from graftbench.suites.plan import Plan, PlannedSource
    from graftbench.suites.status import CellStatus, Explained

IDS_RENEWED = (
    "This folder's records are of an earlier version, whose cell ids counted whole files; ids now count what a cell's "
    "numbers depend on, so they were renewed once: these cells would run again, and the old records stay as they are, "
    "to be read, reported and compared."
)

KEEP = "sampler"
"""The choice of `graftbench run --keep` for which disk space is estimated: its default."""


@dataclass(frozen=True)
class PlannedSourceModel:
    """A source model that cells start from.

    Attributes:
        id: Its recipe's id.
        place: `cached`, `shipped` (with the package), or `missing`: trained before the cells that need it.
        kimg: Thousands of images that its training shows.
        cells: How many of the cells that are going to run need it.
        seconds: How long its training may take, by what the training of a shipped model of its kind took for an image
            of its side; 0 where it is there already or nothing is trained, None where nothing is known.
        note: Where it is from, if it was made elsewhere.
        avoid: Lines of a suite that would avoid its training.
    """

    id: str
    place: str
    kimg: float
    cells: int
    seconds: float | None = 0.0
    note: str = ""
    avoid: str = ""


@dataclass(frozen=True)
class Elsewhere:
    """Expected time of the same cells on another device, from its records.

    Attributes:
        device: `cpu`, or the CUDA device's name.
        records: How many records of it were `ok`.
        wall_seconds: Expected wall time of the cells that run and are known; None if none of them is.
        unknown: How many of the cells that run nothing is known of.
    """

    device: str
    records: int
    wall_seconds: float | None
    unknown: int


@dataclass(frozen=True)
class Outlook:
    """Forecast of a run.

    Attributes:
        explained: How each cell stands.
        estimates: What is known from past records.
        jobs: Cells side by side.
        models: The source models of the suite.
        disk_needed_bytes: What the cells that run are going to leave.
        disk_guessed: For how many of them that is a guess, none of their method having left anything yet.
        disk_free_bytes: What is free where the run folder is; None without a folder.
        shard: Which part of the suite the cells are, (1, 1) for all of it.
        notes: Sentences on the data and on damaged files.
        elsewhere: The same on each other device that there are records of.
        missing: Sets of images that are not here.
        uncounted: The tasks that need them, whose cells are not among the rows.
    """

    explained: Explained
    estimates: Estimates
    jobs: int
    models: list[PlannedSourceModel]
    disk_needed_bytes: int
    disk_guessed: int
    disk_free_bytes: int | None
    shard: tuple[int, int] = (1, 1)
    notes: list[str] = field(default_factory=list)
    elsewhere: list[Elsewhere] = field(default_factory=list)
    missing: tuple[MissingSet, ...] = ()
    uncounted: tuple[UncountedTask, ...] = ()

    @property
    def rows(self) -> list[CellStatus]:
        """Return how each cell stands."""
        return self.explained.rows

    @cached_property
    def to_run(self) -> list[CellStatus]:
        """Return those that the next `graftbench run` runs without being asked to."""
        return [row for row in self.rows if row.runs]

    @cached_property
    def wall_time(self) -> WallTime:
        """Return the expected time of the trainings that come first and of the cells that run, in their order."""
        cells = self.estimates.wall_time([row.cell for row in self.to_run], self.jobs)
        return cells if cells.seconds is None else replace(cells, seconds=self.training_seconds + cells.seconds)

    @property
    def training_seconds(self) -> float:
        """Return the expected seconds of the trainings of source models that come first, where known."""
        return sum(model.seconds or 0.0 for model in self.models if model.cells)

    @property
    def peak_memory_mib(self) -> float | None:
        """Return the largest memory that a cell that runs is expected to hold; None where nothing is known."""
        return max((m for row in self.to_run if (m := self.estimates.memory_mib(row.cell)) is not None), default=None)

    def as_json(self) -> dict[str, Any]:
        """Return cells, totals, source models, notes, and what is missing and so not counted, as plain values."""
        return {
            "cells": [self._cell(row) for row in self.rows],
            "totals": self._totals(),
            "source_models": [
                {"id": m.id, "place": m.place, "kimg": m.kimg, "cells": m.cells, "expected_seconds": m.seconds}
                for m in self.models
            ],
            "notes": self.notes,
            "missing": [vars(missing_set) for missing_set in self.missing],
            "not_counted": [vars(task) | {"cells_at_most": task.cells} for task in self.uncounted],
        }

    def _cell(self, row: CellStatus) -> dict[str, Any]:
        cell, time, memory = row.cell, self.estimates.time(row.cell), self.estimates.memory(row.cell)
        return {
            "id": row.id,
            "method": cell.method,
            "task": str(cell.task),
            "data_budget": cell.data_budget,
            "compute_budget": str(cell.compute_budget),
            "seed": cell.seed,
            "source_model": cell.source_model,
            "state": str(row.state),
            "why": row.why,
            "differs_in": list(row.kinds),
            "runs": row.runs,
            "expected_seconds": time.value,
            "expected_seconds_rests_on": {"records": time.records, "which": time.basis, "fit_only": time.fit_only},
            "expected_memory_mib": memory.value,
        }

    def _totals(self) -> dict[str, Any]:
        counts = Counter(row.state for row in self.rows)
        k, n = self.shard
        return {
            "cells": len(self.rows),
            **{str(state): counts[state] for state in State},
            "to_run": len(self.to_run),
            "not_counted_at_most": sum(task.cells for task in self.uncounted),
            "shard": f"{k}/{n}",
            "other_records": self.explained.others,
            "done_with_other_software": sum(self.explained.other_software.values()),
            "jobs": self.jobs,
            "expected_wall_seconds": self.wall_time.seconds,
            "expected_cell_seconds": self.wall_time.cell_seconds if self.wall_time.seconds is not None else None,
            "cells_of_unknown_length": self.wall_time.unknown,
            "expected_training_seconds": self.training_seconds,
            "expected_peak_memory_mib": self.peak_memory_mib,
            "estimates_rest_on_records": self.estimates.records,
            "estimates_device": self.estimates.device,
            "elsewhere": [vars(other) for other in self.elsewhere],
            "disk_needed_bytes": self.disk_needed_bytes,
            "disk_guessed_cells": self.disk_guessed,
            "disk_free_bytes": self.disk_free_bytes,
        }


def look_ahead(
    plan: Plan,
    cache: Path,
    *,
    out: Path | None = None,
    others: Sequence[Path] = (),
    part: tuple[int, int] = (1, 1),
    jobs: int = 1,
    again: Collection[Status] = (),
) -> Outlook:
    """Compare a plan with a run folder, and estimate what is ahead.

    Args:
        plan: The plan.
        cache: Cache folder.
        out: Run folder, there or not.
        others: Further run folders, or files of records, to estimate from.
        part: (k, n): only the k-th of n shards.
        jobs: Cells side by side.
        again: Statuses whose cells a run repeats without being asked to.

    Raises:
        GraftbenchError: A file of records is missing or damaged.
    """
    # Compare the plan with the folder's records.
    notes = list(plan.notes)
    records, warnings = read(out / RECORDS, Head) if out else ([], [])
    notes += warnings
    cells = shard(plan.cells, *part)
    ids = dict(zip(map(id, plan.cells), plan.ids, strict=True))
    explained = explain(
        cells,
        [ids[id(cell)] for cell in cells],
        records,
        here=Software.of(software()),
        code=(known_code(out) if out else {}) | plan.code,
        suite_ids=plan.ids,
        again=again,
    )
    if any(RENEWED in row.why for row in explained.rows):
        notes.append(IDS_RENEWED)
    running = [row.cell for row in explained.rows if row.runs]

    # Estimate from the cells that have run, there and elsewhere.
    past = list(latest(records).values())
    heads_of = {path: _past(path, notes.append) for path in others}
    folders = ([(out, past)] if out else []) + [(path, heads) for path, heads in heads_of.items() if path.is_dir()]
    sizes: dict[str, list[int]] = {}
    for folder, heads in folders:
        sizes = disk.recorded_bytes(folder, heads, KEEP) | sizes
    all_heads = [*(head for heads in heads_of.values() for head in heads), *past]
    estimates = Estimates.of(all_heads)
    return Outlook(
        explained=explained,
        estimates=estimates,
        jobs=jobs,
        models=_models(plan, cache, Counter(cell.source_model for cell in running)),
        disk_needed_bytes=disk.needed_bytes(running, sizes, KEEP),
        disk_guessed=sum(cell.method not in sizes for cell in running),
        disk_free_bytes=disk.free_bytes(out) if out else None,
        shard=part,
        notes=notes,
        missing=plan.missing,
        uncounted=plan.uncounted,
        elsewhere=_elsewhere(all_heads, running, jobs, but=estimates.device),
    )


def _elsewhere(heads: Sequence[Head], running: Sequence[CellSpec], jobs: int, but: str) -> list[Elsewhere]:
    """Estimate the time that the cells would take on each other device that has run some, by the device's name."""
    devices = []
    for device, estimates in sorted(Estimates.by_device(heads).items()):
        if device != but:
            time = estimates.wall_time(running, jobs)
            devices.append(Elsewhere(device, estimates.records, time.seconds if running else None, time.unknown))
    return devices


def _past(path: Path, say: Callable[[str], None]) -> list[Head]:
    """Read the newest heads of a run folder or a file of records.

    Raises:
        GraftbenchError: There is none.
    """
    file = path / RECORDS if path.is_dir() else path
    if not file.is_file():
        raise GraftbenchError(f"There are no records at '{file}'; --from takes a run folder or its {RECORDS}.")
    records, warnings = read(file, Head)
    for warning in warnings:
        say(warning)
    return list(latest(records).values())


def _models(plan: Plan, cache: Path, needed: Counter[str]) -> list[PlannedSourceModel]:
    models = []
    for recipe_id, planned in plan.sources.items():
        recipe, file = planned.recipe, source.find(planned.recipe, cache)
        place = "missing" if file is None else "cached" if file.is_relative_to(cache) else "shipped"
        missing = file is None and recipe.kimg > 0
        models.append(
            PlannedSourceModel(
                recipe_id,
                place,
                recipe.kimg,
                needed[recipe_id],
                seconds=source.training_seconds(recipe) if missing else 0.0,
                note=planned.note,
                avoid=_avoiding(planned) if missing else "",
            )
        )
    return models


def _avoiding(planned: PlannedSource) -> str:
    """Return the lines of a suite by which a source model need not be trained, or is trained faster."""
    recipe, kind = planned.recipe, planned.recipe.kind
    if isinstance(planned.material, Path):
        return f"[source_models.{kind}] discriminator_kimg = {recipe.kimg / 4:g} makes it shorter"
    if planned.chosen and (shipped := source.shipped_recipe(kind, planned.material)):
        return f"without [source_models.{kind}] the shipped {shipped.id} is taken"
    return (
        f'[source_models.{kind}] file = "MODEL.safetensors" takes one that is there, '
        f"kimg = {recipe.kimg / 4:g} makes it shorter"
    )
