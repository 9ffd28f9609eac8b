"""Runs a suite into a folder: each missing cell once. Nothing that was computed is ever lost."""

from __future__ import annotations

import contextlib
import functools
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from graftbench.cache import cache_folder
from graftbench.contracts import Domain, Method
from graftbench.errors import GraftbenchError, unknown
from graftbench.execution.executors.local import LocalExecutor
from graftbench.execution.job import CellJob, new_record
from graftbench.execution.prerequisites import Prerequisites, entry_of
from graftbench.execution.progress import Progress, Silent
from graftbench.execution.run_folder import SUITE, RunFolder
from graftbench.execution.scheduler import Scheduler, Stop, Waiting
from graftbench.execution.trackers.attach import RunTrackers
from graftbench.plugins.code_hash import files_of
from graftbench.plugins.pickled import ship
from graftbench.records.cell_spec import NO_SOURCE
from graftbench.records.domain_names import public_name
from graftbench.records.heads import Head
from graftbench.records.record import Record, Status
from graftbench.records.store import latest, read
from graftbench.resources.determinism import check_device
from graftbench.resources.device import resolve_devices
from graftbench.resources.environment import checkout, describe, git_state
from graftbench.suites.code_file import note_code
from graftbench.suites.disk import check_space
from graftbench.suites.estimates import Estimates
from graftbench.suites.matrix import keep_samples
from graftbench.suites.plan import make_plan
from graftbench.suites.shards import shard as shard_of
from graftbench.suites.status import RUN_AGAIN
from graftbench.suites.suite import Suite, load_suite, override

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from graftbench.execution.executors import Executor
    from graftbench.execution.trackers.base import Tracker
    from graftbench.plugins.registry import PluginSource
    from graftbench.records.cell_spec import CellSpec
    from graftbench.suites.plan import Plan

KEEP = ("sampler", "samples", "nothing")
"""Artifacts that cells leave beside their record: sampler and sample sheets, the sheets alone, or neither."""


@dataclass(frozen=True)
class Summary:
    """The outcome of a run.

    Attributes:
        folder: The run folder.
        total: Cells of the suite, or of the shard.
        ran: Cells that were recorded now.
        statuses: Status -> number of those cells that ended so, over all runs.
        stopped: The user ended the run before all cells had run.
    """

    folder: Path
    total: int
    ran: int
    statuses: dict[str, int]
    stopped: bool = False

    @property
    def exit_code(self) -> int:
        """Return 0 if every cell is `ok`, 130 where the user stopped the run, else 3."""
        if self.stopped:
            return 130
        return 0 if self.statuses.get(Status.OK, 0) == self.total else 3


def run(
    suite: str | Path | Suite,
    out: str | Path,
    *,
    jobs: int = 1,
    device: str = "auto",
    threads: int | None = None,
    methods: Sequence[str | type[Method]] | None = None,
    plugins: Sequence[str | PluginSource] = (),
    retry: Sequence[str] = (),
    shard: tuple[int, int] = (1, 1),
    keep: str = "sampler",
    profile: bool = False,
    executor: Callable[[], Executor] | None = None,
    progress: Progress | None = None,
    trackers: Sequence[str | Tracker | type[Tracker]] = (),
    kept: Callable[[Suite, Suite | None], Suite] = keep_samples,
) -> Summary:
    """Run every cell of a suite that has no record in `out` yet.

    Args:
        suite: Name of a packaged suite, path of a TOML file, or a `Suite`.
        out: Run folder; made if it is not there, continued if it holds a run of the same suite.
        jobs: Cells side by side.
        device: `auto` (every GPU, else the CPU), `cpu`, `cuda` (every GPU) or names with commas (`cuda:0,cuda:2`).
        threads: CPU threads of all cells together, divided among the jobs, at least one each. By default one each:
            sums in another order are other numbers, and where other processes run a second thread is a trap.
        methods: Instead of the suite's: names, or classes derived from `Method` that need not lie in a file.
        plugins: More methods and domains: files, folders, TOML files of variants, or classes.
        retry: Statuses (`error`, `timeout`, …) whose cells are run again; `ok` too. `skipped` and `lost` always are.
        shard: (k, n): the k-th of n parts of the suite, counted from 1; parts run on machines that share nothing.
        keep: What cells leave beside their record: `sampler` (and sample sheets), `samples` (the sheets), `nothing`.
        profile: Whether cells keep a trace of some steps of their fit, and a table of where the time of a step goes.
        executor: Makes what runs the cells (`graftbench.execution.executors.ray`, `.slurm`), called when the folder is
            claimed; processes on this machine by default. `device` is then one of the machines where the cells run.
        progress: Hears what happens; silent by default. Trackers' troubles are reported from other threads.
        trackers: Where cells are shown while they run: `tensorboard`, `wandb`, `mlflow`, with options behind a colon
            (`mlflow:uri=http://host:5000`), those of installed packages, or a `Tracker` of one's own. Whatever goes
            wrong there, records and summary are the same.
        kept: The suite that the folder will be of, from the one that is run and the one that it is of so far (None
            where it is new). By default samples that were added to the folder stay with it.

    Returns:
        How many cells ran and how the suite's cells ended.

    Raises:
        GraftbenchError: Bad suite, unusable data, or a folder that cannot be used: nothing was run. Or the disk is
            full: what was recorded stays.
        KeyboardInterrupt: Stopped at once.
    """
    progress = progress or Silent()

    # Check what was asked for, before anything is written.
    run_trackers = RunTrackers(trackers)
    loaded = suite if isinstance(suite, Suite) else load_suite(suite)
    names, all_plugins = named(methods, loaded.with_plugins([p if isinstance(p, type) else Path(p) for p in plugins]))
    requested = override(loaded, methods=names)
    _check_choices(jobs=jobs, threads=threads, keep=keep, retry=retry)
    run_again = {Status(name) for name in retry} | RUN_AGAIN
    folder = RunFolder(out)
    with folder.claimed(requested.name):
        # Plan the cells, and compare them with the records.
        cache = cache_folder()
        plan = make_plan(requested, cache, plugins=all_plugins, say=progress.say)
        for note in plan.notes:
            progress.say(note)
        folder.check_protocol(plan.suite)
        state = _State.of(folder, shard_of(plan.cells, *shard), progress)
        folder.write_suite(kept(plan.suite, folder.suite() if (folder.path / SUITE).exists() else None))
        folder.note_planned(plan.ids if plan.suite.methods else folder.planned() | {*plan.ids})
        note_code(folder.path, plan)
        missing = state.missing(run_again)
        stop = Stop(lambda: progress.stopping(first=True))
        tracked = run_trackers.follow(progress, plan.suite.name, folder.path, state.adopted)

        # Run the missing cells.
        if missing:
            devices = _devices(device, local=executor is None, portable=plan.suite.protocol.portable)
            check_space(folder.path, missing, state.heads, keep)
            setting = _Setting(
                cache=cache,
                plugins=[str(path) for path in as_files(all_plugins, folder.path / SHIPPED)],
                device=devices[0],
                threads=max(1, (threads or 0) // jobs),
                keep=keep,
                profile=profile,
            )
            make = executor or (lambda: LocalExecutor(jobs=jobs, devices=devices))
            with tracked as listeners, stop.listening(), contextlib.closing(make()) as runner:
                _run_cells(state, missing, plan, runner=runner, setting=setting, progress=listeners, stop=stop)
            state.report_damage(progress)
        elif state.adopted:  # trackers hear of them nevertheless
            with tracked:
                pass
        return state.summary(stopped=stop.requested)


def _devices(device: str, *, local: bool, portable: bool) -> list[str]:
    """Return the devices that the cells run on: of this machine, or the one that is named for another.

    Raises:
        GraftbenchError: There is no such device here, or the protocol is portable and the device is not the CPU.
    """
    if device == "auto" and portable:
        return ["cpu"]
    devices = resolve_devices(device) if local else ["cpu" if device == "auto" else device]
    if portable:
        check_device(devices[0])
    return devices


SHIPPED = "plugins"
"""Folder of a run for the classes that were given from Python."""


def named(
    methods: Sequence[str | type[Method]] | None, plugins: Sequence[str | PluginSource]
) -> tuple[list[str] | None, list[PluginSource]]:
    """Return the names of the methods, and all plugins: classes of methods are plugins too, and paths are absolute."""
    classes = [method for method in methods or () if isinstance(method, type)]
    all_plugins: list[PluginSource] = [p if isinstance(p, type) else Path(p).resolve() for p in (*plugins, *classes)]
    names = None if methods is None else [m.name if isinstance(m, type) else m for m in methods]
    return names, list(dict.fromkeys(all_plugins))


def as_files(plugins: Sequence[PluginSource], folder: Path) -> list[Path]:
    """Return plugins as files that another process can load; classes are written into `folder`."""
    files = []
    for plugin in plugins:
        if not isinstance(plugin, type):
            files.append(plugin)
        elif issubclass(plugin, Method):
            files.append(ship(plugin, files_of(plugin), folder.resolve()))
        elif issubclass(plugin, Domain):  # jobs get prepared images, and ask the class for its licence
            files.append(ship(plugin, {}, folder.resolve()))
    return files


@dataclass(frozen=True)
class _Setting:
    """Settings that all jobs of a run share."""

    cache: Path
    plugins: list[str]
    device: str
    threads: int
    keep: str
    profile: bool


@dataclass
class _State:
    """The records of a run's cells.

    Attributes:
        folder: The run folder.
        cells: The cells of the suite, or of the shard.
        heads: The newest record of every cell in the folder, as the run began.
        ended: Cell id -> status.
        unfinished: Cell id -> job folder with a checkpoint to resume from.
        adopted: Records, written now, of cells that had ended when no driver ran.
        recorded: Records of the cells that ran now.
    """

    folder: RunFolder
    cells: Sequence[CellSpec]
    heads: list[Head]
    ended: dict[str, Status]
    unfinished: dict[str, Path]
    adopted: list[Record] = field(default_factory=list)
    recorded: list[Record] = field(default_factory=list)

    @classmethod
    def of(cls, folder: RunFolder, cells: Sequence[CellSpec], progress: Progress) -> _State:
        """Read the records; adopt the results that an earlier driver did not get to record."""
        records, warnings = read(folder.records, Head)
        for warning in warnings:
            progress.say(warning)
        known_heads = list(latest(records).values())
        results, unfinished = folder.settle({head.id: head.finished_at for head in known_heads})
        state = cls(folder, cells, known_heads, {head.id: head.status for head in known_heads}, unfinished)
        for record, job_folder in results:
            state.adopted.append(folder.keep(record, job_folder))
            state.ended[record.id] = record.status
        return state

    def keep(self, record: Record, job_folder: Path) -> None:
        """Record a cell that ran.

        A machine to which the code was sent has no checkout to name: its cells ran this one's code, by its hash.
        """
        if record.environment and record.environment.get("commit") is None:
            commit, dirty = git_state(checkout())
            environment = record.environment | {"commit": commit, "dirty": dirty}
            record = msgspec.structs.replace(record, environment=environment)
        self.recorded.append(self.folder.keep(record, job_folder))
        self.ended[record.id] = record.status

    def missing(self, run_again: Collection[Status]) -> list[CellSpec]:
        """Return the cells without a record, and those whose status is one that is run again."""
        adopted = {record.id for record in self.adopted}
        settled = {cell_id for cell_id, status in self.ended.items() if status not in run_again or cell_id in adopted}
        return [cell for cell in self.cells if cell.id not in settled]

    def report_damage(self, progress: Progress) -> None:
        """Say which files of the cells that ran now were changed by somebody else."""
        for path in (path for record in self.recorded for path in self.folder.damaged(record)):
            progress.say(f"{path} is not what its cell left: another process wrote to it. The record is not affected.")

    def statuses(self, without: Sequence[CellSpec] = ()) -> dict[str, int]:
        """Count the cells by the status that they ended with, some left out."""
        counted = self.ended.keys() - {cell.id for cell in without}
        return dict(Counter(str(self.ended[cell.id]) for cell in self.cells if cell.id in counted))

    def summary(self, *, stopped: bool) -> Summary:
        """Summarise how the cells ended."""
        return Summary(self.folder.path, len(self.cells), len(self.recorded), self.statuses(), stopped)


def _run_cells(
    state: _State,
    missing: Sequence[CellSpec],
    plan: Plan,
    *,
    runner: Executor,
    setting: _Setting,
    progress: Progress,
    stop: Stop,
) -> None:
    """Make what the missing cells need, then run them; record as skipped those that lack it."""
    # Make the prerequisites: features of the references, source models.
    limits, estimates = plan.suite.limits, Estimates.of(state.heads)
    progress.begin(len(state.cells), len(state.cells) - len(missing), state.statuses(without=missing))
    progress.plan(missing, estimates.seconds)
    prerequisites = Prerequisites(
        folder=state.folder,
        executor=runner,
        cache=setting.cache,
        limits=limits,
        progress=progress,
        stop=stop,
        unfinished=state.unfinished,
        checkpoint_seconds=plan.suite.checkpoint_seconds,
        plugins=setting.plugins,
    )
    prerequisites.make_references(plan, missing)
    lacking = {cell.id: reason for cell in missing if (reason := plan.lacking.get((cell.method, cell.source_model)))}
    files, failed = prerequisites.make_source_models(plan, [cell for cell in missing if cell.id not in lacking])

    # Record the cells that cannot start from their source model, or whose source model could not be trained.
    lacking |= {
        cell.id: f"its source model {cell.source_model} could not be trained: {failed[cell.source_model]}"
        for cell in missing
        if cell.source_model in failed
    }
    for cell in (cell for cell in missing if cell.id in lacking):
        record = new_record(cell, Status.SKIPPED, describe(setting.device), reason=lacking[cell.id])
        state.keep(record, state.folder.work(cell.id))
        progress.ended(record, 0.0)

    # Run the others.
    Scheduler(
        executor=runner,
        work=state.folder.work,
        job=lambda cell, folder: _job(cell, folder, plan, files, setting),
        keep=state.keep,
        limits=limits,
        progress=progress,
        stop=stop,
        environment=functools.partial(describe, setting.device),
        expected_mib=estimates.memory_mib,
        origins=plan.origins,
    ).run([Waiting(cell, folder=state.unfinished.get(cell.id)) for cell in missing if cell.id not in lacking])


def _job(cell: CellSpec, folder: Path, plan: Plan, files: dict[str, Path], setting: _Setting) -> CellJob:
    names = {cell.task.source, cell.task.target} - {NO_SOURCE}
    file = files.get(cell.source_model)
    return CellJob(
        cell=cell,
        folder=str(folder),
        cache=str(setting.cache.resolve()),
        images={name: entry_of(plan.images[name, cell.task.resolution]) for name in sorted(names)},
        readers={name: public_name(plan.suite.domains[name].path) for name in names & plan.suite.domains.keys()},
        source_model_file=str(file.resolve()) if file else "",
        source_note=plan.sources[cell.source_model].note if file else "",
        plugins=setting.plugins,
        secret=plan.secret.get(cell.method, {}),
        samples=plan.samples.get(cell.id),
        device=setting.device,
        threads=setting.threads,
        keep=setting.keep,
        snapshots=plan.suite.snapshots,
        checkpoint_seconds=plan.suite.checkpoint_seconds,
        profile=setting.profile,
    )


def _check_choices(*, jobs: int, threads: int | None, keep: str, retry: Sequence[str]) -> None:
    for name in retry:
        if name not in list(Status):
            raise unknown("status", name, list(Status), where="in --retry")
    if keep not in KEEP:
        raise unknown("choice", keep, KEEP, where="of what to keep")
    for name, value in (("jobs", jobs), ("threads", threads)):
        if value is not None and value < 1:
            raise GraftbenchError(f"{name} must be at least 1; found {value}.")
