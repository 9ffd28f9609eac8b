"""Add images that were made elsewhere to a run, or begin a run with them, and score them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from graftbench.cache import cache_folder
from graftbench.errors import GraftbenchError
from graftbench.execution import driver
from graftbench.execution.run_folder import SUITE, RunFolder
from graftbench.images.subsets import shots
from graftbench.plugins import registry
from graftbench.records import store
from graftbench.records.cell_spec import SAMPLES, bare_name, without_path
from graftbench.records.costs import checked_costs
from graftbench.records.domain_names import with_printed_names
from graftbench.records.record import Status
from graftbench.records.store import latest
from graftbench.scoring.leaks import check_leaks
from graftbench.suites.domains import domain_of
from graftbench.suites.export import task_of
from graftbench.suites.export_manifest import MANIFEST, read_manifest
from graftbench.suites.matrix import place_of, place_of_samples, places
from graftbench.suites.submissions import Submission, check_submissions
from graftbench.suites.submitted_images import read_samples
from graftbench.suites.suite import Suite, load_suite, parse_task

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graftbench.execution.driver import Summary
    from graftbench.execution.progress import Progress
    from graftbench.plugins.registry import PluginSource
    from graftbench.records.cell_spec import ComputeBudget, TaskSpec
    from graftbench.records.record import Record
    from graftbench.suites.export_manifest import ExportManifest

_PLACEHOLDERS = re.compile(r"\{(budget|seed)\}")


@dataclass(frozen=True)
class AddedSamples:
    """The outcome of adding samples.

    Attributes:
        records: One for each of the samples.
        summary: Of the run that scored them.
    """

    records: list[Record]
    summary: Summary


def add_samples(
    path: str | Path,
    run: str | Path,
    *,
    method: str,
    task: str | None = None,
    data_budget: int | None = None,
    seed: int | None = None,
    compute_budget: ComputeBudget | None = None,
    family: str = "submitted",
    costs: dict[str, Any] | None = None,
    notes: Sequence[str] = (),
    suite: str | Path | Suite | None = None,
    replace: bool = False,
    plugins: Sequence[PluginSource] = (),
    device: str = "auto",
    keep: str = "sampler",
    progress: Progress | None = None,
) -> AddedSamples:
    """Add samples to a run's suite and score them at once, under its protocol.

    Samples that are refused leave the run as it was. Those that are accepted and cannot be scored leave a record that
    says why.

    Args:
        path: A folder of images, or a .zip, .npz or .npy file. With `{budget}` and `{seed}` in it, all paths that exist
            for the suite's data budgets and seeds.
        run: The run folder.
        method: What tables call the generator; not a registered method.
        task: One of the suite's; by default that of the `manifest.json` of `graftbench export-task` which lies with the
            samples or in the folder above, or the suite's only one.
        data_budget: Number of target training images it was trained on; by default the manifest's.
        seed: Which draw of them; by default the manifest's.
        compute_budget: What its training spent, as the suite counts; by default the suite's first.
        family: As in `Submission`.
        costs: As there.
        notes: As there.
        suite: Begins the run, where the folder holds none.
        replace: Take the place of samples that were scored for the same cell; their records stay in the file.
        plugins: More domains.
        device: As for `graftbench.run`.
        keep: As there.
        progress: As there.

    Raises:
        GraftbenchError: Something is unknown, missing or contradicts the manifest; the images cannot be read, are too
            few, of another size, or hold reference images; or another run works in the folder.
    """
    folder = RunFolder(run)
    base = _suite_of_run(folder, suite)

    # Resolve which samples are of which cells.
    declared = checked_costs(costs or {}, f"of the samples '{method}'")
    common = {"method": method, "family": family, "costs": declared, "notes": list(notes)}
    common |= {"compute_budget": compute_budget}
    entries = [
        Submission(path=samples.name, folder=str(samples.parent), **(common | cell))
        for samples, cell in _samples_and_cells(str(path), base, task=task, data_budget=data_budget, seed=seed)
    ]

    # Refuse what cannot be scored.
    check_submissions(entries, "what was given")
    records = _records(folder)
    for entry in entries:
        _check_free(entry, base, records, replace=replace)
        _check_images(entry, base, records, plugins)

    # Score them as a run of a suite that has no other cells, and keep them in the run's suite.
    summary = driver.run(
        _suite_of_samples(base, entries),
        run,
        plugins=plugins,
        device=device,
        keep=keep,
        retry=list(Status),
        progress=progress,
        kept=lambda planned, current: _with_samples(current or base, planned),
    )
    added = {place_of_samples(entry, base) for entry in entries}
    return AddedSamples([r for r in _records(folder) if _is_of_samples(r) and place_of(r.cell) in added], summary)


# ---------------------------------------------------------------------------------------------------------- the suite


def _suite_of_run(folder: RunFolder, suite: str | Path | Suite | None) -> Suite:
    """Return the run's suite, or the one that begins it.

    Raises:
        GraftbenchError: There is neither.
    """
    if (folder.path / SUITE).is_file():
        return folder.suite()
    if suite is None:
        raise GraftbenchError(f"'{folder.path}' holds no run; name the suite that is to begin one (--suite quick).")
    return suite if isinstance(suite, Suite) else load_suite(suite)


def _records(folder: RunFolder) -> list[Record]:
    return with_printed_names(list(latest(store.read(folder.records)[0]).values()))


def _suite_of_samples(base: Suite, entries: Sequence[Submission]) -> Suite:
    """Return the suite with the samples alone, so that no plugins of its methods are needed to score them."""
    tasks = [task for task in base.tasks if parse_task(task) in [parse_task(entry.task) for entry in entries]]
    budgets = {name: value for name, value in base.task_budgets.items() if parse_task(name) in map(parse_task, tasks)}
    samples = list(entries)
    return msgspec.structs.replace(
        base, tasks=tasks, task_budgets=budgets, methods=[], parameters={}, variants={}, samples=samples
    )


def _with_samples(suite: Suite, planned: Suite) -> Suite:
    """Return the run's suite with the samples of `planned`, in place of earlier ones for the same cells."""
    replaced = {place_of_samples(entry, suite) for entry in planned.samples}
    samples = [entry for entry in suite.samples if place_of_samples(entry, suite) not in replaced] + planned.samples
    joined = msgspec.structs.replace(suite, samples=samples, protocol=planned.protocol)
    return msgspec.structs.replace(joined, cells=len(places(joined)))


# -------------------------------------------------------------------------------------------------------- which cells


def _samples_and_cells(
    text: str, base: Suite, *, task: str | None, data_budget: int | None, seed: int | None
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield each path of samples with the cell that they are of: one, or all that a pattern matches.

    Raises:
        GraftbenchError: Something is missing, contradicts a manifest, or nothing of a pattern is there.
    """
    # One path.
    if not _PLACEHOLDERS.search(text):
        path = _absolute(text)
        if not path.exists():
            raise GraftbenchError(f"There are no images at '{text}'; expected a folder, or a .zip, .npz or .npy file.")
        yield path, _cell(path, base, task=task, data_budget=data_budget, seed=seed)
        return
    # A pattern: fill in the suite's budgets and seeds, and keep the paths that exist.
    suite_budgets = {budget for budgets in (base.data_budgets, *base.task_budgets.values()) for budget in budgets}
    candidates = {
        _absolute(text.replace("{budget}", str(one_budget)).replace("{seed}", str(one_seed))): (one_budget, one_seed)
        for one_budget in ([data_budget] if data_budget is not None else sorted(suite_budgets))
        for one_seed in ([seed] if seed is not None else base.seeds)
    }
    matches = {path: cell for path, cell in candidates.items() if path.exists()}
    if not matches:
        names = ", ".join(map(str, list(candidates)[:3])) + (", …" if len(candidates) > 3 else "")
        raise GraftbenchError(f"Nothing of '{text}' is there: neither of {names}.")
    for path, (one_budget, one_seed) in matches.items():
        yield path, _cell(path, base, task=task, data_budget=one_budget, seed=one_seed)


def _absolute(text: str) -> Path:
    """Make a path absolute without following a last link: the name is what the user gave."""
    path = Path(text).expanduser().absolute()
    return path.parent.resolve() / path.name


def _cell(path: Path, base: Suite, *, task: str | None, data_budget: int | None, seed: int | None) -> dict[str, Any]:
    """Return task, data budget and seed of samples: as the user gave them, else as their manifest has them.

    Raises:
        GraftbenchError: One is missing, or contradicts the manifest.
    """
    manifest = manifest_of(path)
    spec = None if task is None else task_of(task, base)
    if manifest is not None:
        _check_manifest(path, manifest, {"task": spec, "budget": data_budget, "seed": seed})
        spec = spec or task_of(manifest.task, base, manifest.target.manifest)
        data_budget, seed = manifest.data_budget, manifest.seed
    if spec is None and len(base.tasks) == 1:
        spec = parse_task(base.tasks[0])
    for name, value in (("task", spec), ("budget", data_budget), ("seed", seed)):
        if value is None:
            raise GraftbenchError(
                f"Which cell are the samples '{path.name}' of? --{name} is missing, and no {MANIFEST} of "
                "`graftbench export-task` lies with them."
            )
    return {"task": str(spec), "data_budget": data_budget, "seed": seed}


def _check_manifest(path: Path, manifest: ExportManifest, options: dict[str, Any]) -> None:
    """Refuse options that contradict the manifest, and the exported folder itself.

    Raises:
        GraftbenchError: It names the option, and what the manifest says.
    """
    for exported in {image.file.partition("!")[0] for image in manifest.target.images}:
        if (path / exported).exists():
            raise GraftbenchError(
                f"'{path.name}' is the folder that was handed out: it holds the training images ('{exported}'). "
                "Name the samples alone."
            )
    expected = {"task": manifest.task, "budget": manifest.data_budget, "seed": manifest.seed}
    images = manifest.target.manifest
    for name, value in options.items():
        same = value == expected[name] or (
            name == "task" and value and _bare(value, images) == _bare(parse_task(manifest.task), images)
        )
        if value is not None and not same:
            raise GraftbenchError(
                f"The {MANIFEST} beside the samples says {name} {expected[name]}; found --{name} {value}. Leave it "
                "out, or hand in the samples of that cell."
            )


def _bare(task: TaskSpec, manifest: str) -> TaskSpec:
    """Return the task as every suite can name it: a run's may have digits, a suite's file may have paths."""
    source, target = without_path(task.source), bare_name(task.target, manifest)
    return msgspec.structs.replace(task, source=source, target=target)


def manifest_of(path: Path) -> ExportManifest | None:
    """Read the manifest of an export that lies in a folder of samples, beside the samples or above; None without one.

    Raises:
        GraftbenchError: It is one of graftbench, but cannot be read.
    """
    for folder in (path, path.parent):
        file = folder / MANIFEST
        if file.is_file() and _is_of_graftbench(file):
            return read_manifest(file)
    return None


def _is_of_graftbench(file: Path) -> bool:
    """Return whether graftbench wrote a manifest; other programs use the name too."""
    try:
        return "graftbench" in json.loads(file.read_bytes())
    except (OSError, ValueError, TypeError):
        return False


# ----------------------------------------------------------------------------------------------------------- refusals


def _check_free(entry: Submission, base: Suite, records: Sequence[Record], *, replace: bool) -> None:
    """Refuse samples for a cell that has been scored; one that failed may be repeated.

    Raises:
        GraftbenchError: It has been scored, or the name is that of a method.
    """
    fitted = {record.cell.method for record in records if not _is_of_samples(record)}
    if entry.method in fitted | set(base.methods) | registry.methods(variants=base.variants).classes.keys():
        raise GraftbenchError(
            f"'{entry.method}' is a method's name: whoever reads the table would take the samples for its own. "
            "Choose another name."
        )
    target_place = place_of_samples(entry, base)
    scored = [record for record in records if place_of(record.cell) == target_place and record.status == Status.OK]
    if scored and not replace:
        raise GraftbenchError(
            f"The run has samples of {scored[0].cell} already. --replace puts these in their place (the old record "
            "stays in the file)."
        )


def _check_images(entry: Submission, base: Suite, records: Sequence[Record], plugins: Sequence[PluginSource]) -> None:
    """Refuse images that cannot be scored, before anything of the run is changed.

    Raises:
        GraftbenchError: They are unusable, another cell's, leaked, or of a manifest of other data.
    """
    # The manifest is of this run's images.
    task, protocol = parse_task(entry.task), base.protocol
    target = domain_of(base, task.target, plugins).load(task.resolution, cache_folder(), resize=base.resize)
    manifest = manifest_of(entry.source)
    if manifest is not None and manifest.target.manifest != target.manifest:
        raise GraftbenchError(
            f"The {MANIFEST} beside the samples was written of other images of '{target.domain}' than this run has "
            f"(manifest {manifest.target.manifest[:12]} by the rule {manifest.resize}, here {target.manifest[:12]} by "
            f"{target.resize}): the generator was not trained on this task."
        )
    # The samples can be read, and were not handed in for another cell.
    pixels, sha256 = read_samples(entry.source, needed=protocol.n_generated, side=task.resolution)
    for record in records:
        same = record.cell.method == entry.method and record.cell.files.get(SAMPLES) == sha256
        if same and place_of(record.cell) != place_of_samples(entry, base):
            raise GraftbenchError(
                f"The samples '{entry.path}' are those of {record.cell}; each cell has those of a training of its own."
            )
    # They hold no reference images.
    check_leaks(pixels, target, shots(target, entry.data_budget, entry.seed), protocol.reference)


def _is_of_samples(record: Record) -> bool:
    return record.cell.variant_of == SAMPLES
