"""Makes what cells need before they run: features and floors of the references, and source models. Each once."""

from __future__ import annotations

import shutil
import signal
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from graftbench.cache import atomic_file, locked
from graftbench.errors import GraftbenchError
from graftbench.execution.job import EXIT_DISK_FULL, MODEL, RESULT, Cause, Finished, ReferenceJob, SourceJob, log_tail
from graftbench.execution.progress import read_report
from graftbench.execution.scheduler import TRIES_WHEN_LOST
from graftbench.training import source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graftbench.execution.executors import Executor
    from graftbench.execution.job import Ended, Job
    from graftbench.execution.progress import Progress
    from graftbench.execution.run_folder import RunFolder
    from graftbench.execution.scheduler import Stop
    from graftbench.images.prepared import ImageSet
    from graftbench.records.cell_spec import CellSpec
    from graftbench.suites.plan import Plan, PlannedSource
    from graftbench.suites.suite import CellLimits

LOG_TAIL_CHARACTERS = 400


@dataclass(kw_only=True)
class Prerequisites:
    """Makes what cells need, through the executor that will run them.

    Attributes:
        folder: The run folder; jobs work in it.
        executor: Runs the jobs.
        cache: Keeps what the jobs make.
        limits: Their limits of time and memory.
        progress: Hears what is made.
        stop: Says whether the user wants the run to end.
        unfinished: Recipe id -> job folder with a checkpoint of its training to resume from.
        checkpoint_seconds: How often a training is checkpointed.
        plugins: Paths of plugins, for the metrics in them.
    """

    folder: RunFolder
    executor: Executor
    cache: Path
    limits: CellLimits
    progress: Progress
    stop: Stop
    unfinished: Mapping[str, Path]
    checkpoint_seconds: float
    plugins: list[str]

    def make_references(self, plan: Plan, cells: Sequence[CellSpec]) -> None:
        """Extract the features of the cells' references and score their floors.

        Raises:
            GraftbenchError: The extractor's weights are missing or wrong, or the extraction failed: no cell can be
                scored.
        """
        jobs: dict[str, Job] = {}
        protocols = {(cell.task.target, cell.task.resolution): cell.protocol for cell in cells}
        for target, protocol in protocols.items():
            images = plan.images[target]
            key = f"reference-{images.manifest[:16]}"
            jobs[key] = ReferenceJob(
                folder=str(self.folder.work(key)),
                cache=str(self.cache.resolve()),
                protocol=protocol,
                images=entry_of(images),
                manifest=images.manifest,
                plugins=self.plugins,
            )
        for reason in self._run(jobs, None).values():
            if reason:
                raise GraftbenchError(f"The reference images could not be prepared for scoring: {reason}")

    def make_source_models(self, plan: Plan, cells: Sequence[CellSpec]) -> tuple[dict[str, Path], dict[str, str]]:
        """Find the cells' source models and train those that nobody has.

        Several drivers that need one model at the same moment train it once: the others wait.

        Returns:
            Recipe id -> file; and recipe id -> why there is none.

        Raises:
            GraftbenchError: A file that is there is damaged, or of another architecture or resolution.
        """
        needed = {cell.source_model for cell in cells if cell.source_model}
        sources = {recipe_id: plan.sources[recipe_id] for recipe_id in sorted(needed)}
        with ExitStack() as locks:
            for planned in sources.values():
                if source.find(planned.recipe, self.cache) is None:
                    locks.enter_context(locked(source.cached(planned.recipe, self.cache).with_suffix(".lock")))
            failed = self._train(
                {name: planned for name, planned in sources.items() if source.find(planned.recipe, self.cache) is None}
            )
        files = {}
        for recipe_id, planned in sources.items():
            file = source.find(planned.recipe, self.cache)
            if file is not None:
                source.verify(file, planned.recipe)
                files[recipe_id] = file
        return files, failed

    def _train(self, missing: dict[str, PlannedSource]) -> dict[str, str]:
        """Train source models into the cache; return recipe id -> reason of those that failed."""
        jobs: dict[str, Job] = {}
        for recipe_id, planned in missing.items():
            recipe, material = planned.recipe, planned.material
            if source.cached(recipe, self.cache).exists():
                self.progress.say(f"the cached source model {recipe_id} is damaged and is made again")
            self.progress.say(f"{source.announced(recipe)}; this is done once")
            jobs[recipe_id] = SourceJob(
                folder=str(self.unfinished.get(recipe_id) or self.folder.work(recipe_id)),
                cache=str(self.cache.resolve()),
                recipe=recipe,
                images="" if isinstance(material, Path) else entry_of(material),
                imported=str(material.resolve()) if isinstance(material, Path) else "",
                checkpoint_seconds=self.checkpoint_seconds,
            )
        reasons = self._run(jobs, self.limits.source_seconds, install=missing)
        for recipe_id, reason in reasons.items():
            failure = f"source model {recipe_id} could not be trained: {reason}"
            self.progress.say(failure if reason else f"trained {recipe_id}")
        return {recipe_id: reason for recipe_id, reason in reasons.items() if reason}

    def _run(
        self, jobs: dict[str, Job], seconds: float | None, install: Mapping[str, PlannedSource] | None = None
    ) -> dict[str, str]:
        """Run jobs; return key -> why it failed, empty if it did not.

        Raises:
            GraftbenchError: The disk is full.
            KeyboardInterrupt: The user wants to stop: what is being made is of no use unfinished.
        """
        waiting, reasons, tries = list(jobs), {}, Counter[str]()
        reports = {key: source.TrainingReport(key, self.progress.say) for key in install or ()}
        while waiting or self.executor.running:
            while waiting and self.executor.room():
                key, memory_mib = waiting.pop(0), self.limits.memory_mib
                tries[key] += 1
                self.executor.start(key, jobs[key], Path(jobs[key].folder), seconds=seconds, memory_mib=memory_mib)
            for ended in self.executor.wait(0.2):
                if ended.cause == Cause.LOST and tries[ended.key] < TRIES_WHEN_LOST:
                    waiting.append(ended.key)
                else:
                    reasons[ended.key] = self._settle(ended, Path(jobs[ended.key].folder), install)
            for key in reports.keys() - reasons.keys():
                if report := read_report(Path(jobs[key].folder)):
                    reports[key].hear(report.share)
            if self.stop.requested:
                raise KeyboardInterrupt
        return reasons

    def _settle(self, ended: Ended, folder: Path, install: Mapping[str, PlannedSource] | None) -> str:
        """Install what a job left, and remove its folder; return why the job failed, empty if it did not.

        Raises:
            GraftbenchError: The disk is full.
        """
        if ended.exit_code == EXIT_DISK_FULL:
            raise GraftbenchError(
                f"The disk is full: '{folder}' could not be written. Nothing recorded is lost; make room and "
                "run the same command again."
            )
        reason = _failure(ended, folder)
        if install and not reason:
            with atomic_file(source.cached(install[ended.key].recipe, self.cache)) as part:
                shutil.copyfile(folder / MODEL, part)
        if (folder / RESULT).exists() or not any(folder.glob("checkpoint*")):
            shutil.rmtree(folder)  # else the next run goes on from the checkpoint
        return reason


def entry_of(images: ImageSet) -> str:
    """Return the folder of prepared images, absolute."""
    assert images.entry is not None
    return str(images.entry.resolve())


def _failure(ended: Ended, folder: Path) -> str:
    """Return why a prerequisite failed; empty if it did not."""
    try:
        return msgspec.json.decode((folder / RESULT).read_bytes(), type=Finished).reason
    except (OSError, msgspec.MsgspecError):
        tail = log_tail(folder, LOG_TAIL_CHARACTERS).strip()
        return f"{_ending(ended)}; run the same command again." + (f" Its log ends: … {tail}" if tail else "")


def _ending(ended: Ended) -> str:
    """Return how a process ended that left no result, and what that hints at."""
    if ended.detail:
        return f"its process ended ({ended.detail})"
    if ended.cause == Cause.TIME:
        return "its process ended (its time was up)"
    if ended.exit_code is not None and ended.exit_code < 0:
        number = -ended.exit_code
        name = signal.Signals(number).name if number in list(signal.Signals) else "unknown"
        hint = ", by somebody or for want of memory" if number == signal.SIGKILL else ""
        return f"its process was ended by signal {number} ({name}){hint}"
    return f"its process ended (exit code {ended.exit_code})"
