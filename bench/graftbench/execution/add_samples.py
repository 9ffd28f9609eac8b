"""Images that were made elsewhere become records of a run that is there, or that they begin."""

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
from graftbench.images import prepared
from graftbench.images.subsets import shots
from graftbench.plugins import registry
from graftbench.records import store
from graftbench.records.cell_spec import SAMPLES
from graftbench.records.costs import checked_costs
from graftbench.records.record import Status
from graftbench.records.store import latest
from graftbench.scoring.leaks import check_leaks
from graftbench.suites.export import task_of
from graftbench.suites.export_manifest import MANIFEST, public, read_manifest
from graftbench.suites.matrix import place_of, place_of_samples, places
from graftbench.suites.submissions import Submission, check_submissions
from graftbench.suites.submitted_images import read_samples
from graftbench.suites.suite import Suite, load_suite, parse_task

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graftbench.execution.driver import Summary
    from graftbench.execution.progress import Progress
    from graftbench.plugins.registry import Given
    from graftbench.records.cell_spec import ComputeBudget
    from graftbench.records.record import Record
    from graftbench.suites.export_manifest import ExportManifest

_PLACEHOLDERS = re.compile(r"\{(budget|seed)\}")


@dataclass(frozen=True)
class Added:
    """What came of it.

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
    plugins: Sequence[Given] = (),
    device: str = "auto",
    keep: str = "sampler",
    progress: Progress | None = None,
) -> Added:
    """Add samples to a run's suite and score them at once, under its protocol.

    What is refused leaves the run as it was. What was accepted and could not be scored leaves a record that says why.

    Args:
        path: A folder of images, or a .zip, .npz or .npy file. With `{budget}` and `{seed}` in it, all that there are
            of the suite's data budgets and seeds.
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
    base = _base(folder, suite)
    declared = checked_costs(costs or {}, f"of the samples '{method}'")
    common = {"method": method, "family": family, "costs": declared, "notes": list(notes)}
    common |= {"compute_budget": compute_budget}
    entries = [
        Submission(path=place.name, folder=str(place.parent), **(common | cell))
        for place, cell in _cells(str(path), base, task=task, data_budget=data_budget, seed=seed)
    ]
    check_submissions(entries, "what was given")
    there = list(latest(store.read(folder.records)[0]).values())
    for entry in entries:
        _check_free(entry, base, there, replace=replace)
        _look_over(entry, base, there, plugins)
    summary = driver.run(
        _alone(base, entries),
        run,
        plugins=plugins,
        device=device,
        keep=keep,
        retry=list(Status),
        progress=progress,
        kept=lambda planned, now: _joined(planned, now or base),
    )
    wanted = {place_of_samples(entry, base) for entry in entries}
    found = latest(store.read(folder.records)[0]).values()
    return Added([r for r in found if _is_samples(r) and place_of(r.cell) in wanted], summary)


# ---------------------------------------------------------------------------------------------------------- the suite


def _base(folder: RunFolder, suite: str | Path | Suite | None) -> Suite:
    """The run's suite, or the one that begins it.

    Raises:
        GraftbenchError: There is neither.
    """
    if (folder.path / SUITE).is_file():
        return folder.suite()
    if suite is None:
        raise GraftbenchError(f"'{folder.path}' holds no run; name the suite that is to begin one (--suite quick).")
    return suite if isinstance(suite, Suite) else load_suite(suite)


def _alone(base: Suite, entries: Sequence[Submission]) -> Suite:
    """The suite without its methods: no plugin of theirs is needed to score what is added."""
    tasks = [task for task in base.tasks if parse_task(task) in [parse_task(entry.task) for entry in entries]]
    budgets = {name: own for name, own in base.task_budgets.items() if parse_task(name) in map(parse_task, tasks)}
    return msgspec.structs.replace(
        base,
        tasks=tasks,
        task_budgets=budgets,
        methods=[],
        parameters={},
        variants={},
        samples=list(entries),
    )


def _joined(planned: Suite, whole: Suite) -> Suite:
    """The run's suite with what was added in the place of what was there for the same cells."""
    added = {place_of_samples(entry, whole) for entry in planned.samples}
    before = [entry for entry in whole.samples if place_of_samples(entry, whole) not in added]
    joined = msgspec.structs.replace(whole, samples=[*before, *planned.samples], protocol=planned.protocol)
    return msgspec.structs.replace(joined, cells=len(places(joined)))


# -------------------------------------------------------------------------------------------------------- which cells


def _cells(
    text: str, base: Suite, *, task: str | None, data_budget: int | None, seed: int | None
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Place of samples and the cell that they are of: one, or those of a pattern that are there.

    Raises:
        GraftbenchError: Something is missing, contradicts a manifest, or nothing of a pattern is there.
    """
    if not _PLACEHOLDERS.search(text):
        place = _absolute(text)
        if not place.exists():
            raise GraftbenchError(f"There are no images at '{text}'; expected a folder, or a .zip, .npz or .npy file.")
        yield place, _cell(place, base, task=task, data_budget=data_budget, seed=seed)
        return
    known = {budget for budgets in (base.data_budgets, *base.task_budgets.values()) for budget in budgets}
    tried = {
        _absolute(text.replace("{budget}", str(budget)).replace("{seed}", str(one))): (budget, one)
        for budget in ([data_budget] if data_budget is not None else sorted(known))
        for one in ([seed] if seed is not None else base.seeds)
    }
    there = {place: cell for place, cell in tried.items() if place.exists()}
    if not there:
        names = ", ".join(str(place) for place in list(tried)[:3])
        raise GraftbenchError(f"Nothing of '{text}' is there: neither of {names}{', …' if len(tried) > 3 else ''}.")
    for place, (budget, one) in there.items():
        yield place, _cell(place, base, task=task, data_budget=budget, seed=one)


def _absolute(text: str) -> Path:
    """Without following a last link: the name is what the user gave."""
    path = Path(text).expanduser().absolute()
    return path.parent.resolve() / path.name


def _cell(place: Path, base: Suite, *, task: str | None, data_budget: int | None, seed: int | None) -> dict[str, Any]:
    """Task, data budget and seed: as they were given, else as the manifest has them.

    Raises:
        GraftbenchError: One is missing, or contradicts the manifest.
    """
    manifest = manifest_of(place)
    given = None if task is None else task_of(task, base)
    if manifest is not None:
        _check_manifest(place, manifest, {"task": given and public(given), "budget": data_budget, "seed": seed})
        given = given or task_of(manifest.task, base)
        data_budget, seed = manifest.data_budget, manifest.seed
    if given is None and len(base.tasks) == 1:
        given = parse_task(base.tasks[0])
    for name, value in (("task", given), ("budget", data_budget), ("seed", seed)):
        if value is None:
            raise GraftbenchError(
                f"Which cell are the samples '{place.name}' of? --{name} is missing, and no {MANIFEST} of "
                "`graftbench export-task` lies with them."
            )
    return {"task": str(given), "data_budget": data_budget, "seed": seed}


def _check_manifest(place: Path, manifest: ExportManifest, given: dict[str, Any]) -> None:
    """Refuse what contradicts a manifest, and the folder that was handed out itself.

    Raises:
        GraftbenchError: What was found, and what the manifest says.
    """
    for handed_out in {image.file.partition("!")[0] for image in manifest.target.images}:
        if (place / handed_out).exists():
            raise GraftbenchError(
                f"'{place.name}' is the folder that was handed out: it holds the training images ('{handed_out}'). "
                "Name the samples alone."
            )
    said = {"task": manifest.task, "budget": manifest.data_budget, "seed": manifest.seed}
    for name, value in given.items():
        if value is not None and value != said[name]:
            raise GraftbenchError(
                f"The {MANIFEST} beside the samples says {name} {said[name]}; found --{name} {value}. Leave it out, or "
                "hand in the samples of that cell."
            )


def manifest_of(place: Path) -> ExportManifest | None:
    """The manifest of an export in a folder of samples, beside the samples, or in the folder above; None without one.

    Raises:
        GraftbenchError: It is one of graftbench, but cannot be read.
    """
    for folder in (place, place.parent):
        file = folder / MANIFEST
        if file.is_file() and _is_ours(file):
            return read_manifest(file)
    return None


def _is_ours(file: Path) -> bool:
    """Other programs write files of that name too."""
    try:
        return "graftbench" in json.loads(file.read_bytes())
    except (OSError, ValueError, TypeError):
        return False


# ----------------------------------------------------------------------------------------------------------- refusals


def _check_free(entry: Submission, base: Suite, there: Sequence[Record], *, replace: bool) -> None:
    """Refuse a cell that has been scored; one that failed may be mended.

    Raises:
        GraftbenchError: It has, or the name is that of a method.
    """
    fitted = {record.cell.method for record in there if not _is_samples(record)}
    if entry.method in fitted | set(base.methods) | registry.methods(variants=base.variants).classes.keys():
        raise GraftbenchError(
            f"'{entry.method}' is a method's name: whoever reads the table would take the samples for its own. "
            "Choose another name."
        )
    place = place_of_samples(entry, base)
    scored = [record for record in there if place_of(record.cell) == place and record.status == Status.OK]
    if scored and not replace:
        raise GraftbenchError(
            f"The run has samples of {scored[0].cell} already. --replace puts these in their place (the old record "
            "stays in the file)."
        )


def _look_over(entry: Submission, base: Suite, there: Sequence[Record], plugins: Sequence[Given]) -> None:
    """Refuse images that cannot be scored, before anything of the run is changed.

    Raises:
        GraftbenchError: They are unusable, another cell's, leaked, or of a manifest of other data.
    """
    task, protocol = parse_task(entry.task), base.protocol
    domain = registry.make_domain(task.target, plugins)
    target = prepared.load(domain, task.target, task.resolution, cache_folder(), resize=base.resize)
    manifest = manifest_of(entry.source)
    if manifest is not None and manifest.target.manifest != target.manifest:
        raise GraftbenchError(
            f"The {MANIFEST} beside the samples was written of other images of '{target.domain}' than this run has "
            f"(manifest {manifest.target.manifest[:12]} by the rule {manifest.resize}, here {target.manifest[:12]} by "
            f"{target.resize}): the generator was not trained on this task."
        )
    train = shots(target, entry.data_budget, entry.seed)
    pixels, sha256 = read_samples(entry.source, needed=protocol.n_generated, side=task.resolution)
    for record in there:
        same = record.cell.method == entry.method and record.cell.files.get(SAMPLES) == sha256
        if same and place_of(record.cell) != place_of_samples(entry, base):
            raise GraftbenchError(
                f"The samples '{entry.path}' are those of {record.cell}; each cell has those of a training of its own."
            )
    check_leaks(pixels, target, train, protocol.reference)


def _is_samples(record: Record) -> bool:
    return record.cell.variant_of == SAMPLES
