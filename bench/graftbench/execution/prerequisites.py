"""Makes what cells need before they run: features and floors of the references, and source models. Each once."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from graftbench.cache import atomic_file, locked
from graftbench.errors import GraftbenchError
from graftbench.execution.job import MODEL, RESULT, Cause, Finished, ReferenceJob, SourceJob, log_tail
from graftbench.execution.progress import read_report
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
    from graftbench.suites.suite import Limits

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
    """

    folder: RunFolder
    executor: Executor
    cache: Path
    limits: Limits
    progress: Progress
    stop: Stop
    unfinished: Mapping[str, Path]
    checkpoint_seconds: float

    def make_references(self, plan: Plan, cells: Sequence[CellSpec]) -> None:
        """Extract the features of the cells' references and score their floors.

        Raises:
            GraftbenchError: The extractor's weights are missing or wrong, or the extraction failed: no cell can be
                scored.
        """
        jobs: dict[str, Job] = {}
        for name, resolution in dict.fromkeys((cell.task.target, cell.task.resolution) for cell in cells):
            images = plan.images[name, resolution]
            key = f"reference-{images.manifest[:16]}"
            jobs[key] = ReferenceJob(
                folder=str(self.folder.work(key)),
                cache=str(self.cache.resolve()),
                protocol=plan.suite.protocol,
                images=entry_of(images),
                manifest=images.manifest,
            )
        for reason in self._run(jobs, None).values():
            if reason:
                raise GraftbenchError(reason)

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
            KeyboardInterrupt: The user wants to stop: what is being made is of no use unfinished.
        """
        waiting, reasons = list(jobs), {}
        reports = {key: source.TrainingReport(key, self.progress.say) for key in install or ()}
        while waiting or self.executor.running:
            while waiting and self.executor.room():
                key, memory_mib = waiting.pop(0), self.limits.memory_mib
                self.executor.start(key, jobs[key], Path(jobs[key].folder), seconds=seconds, memory_mib=memory_mib)
            for ended in self.executor.wait(0.2):
                folder = Path(jobs[ended.key].folder)
                reasons[ended.key] = _failure(ended, folder)
                if install and not reasons[ended.key]:
                    with atomic_file(source.cached(install[ended.key].recipe, self.cache)) as part:
                        shutil.copyfile(folder / MODEL, part)
                shutil.rmtree(folder)
            for key in reports.keys() - reasons.keys():
                if report := read_report(Path(jobs[key].folder)):
                    reports[key].hear(report.share)
            if self.stop.wanted:
                raise KeyboardInterrupt
        return reasons


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
        how = ended.detail or ("its time was up" if ended.cause == Cause.TIME else f"exit code {ended.exit_code}")
        return f"its process ended ({how})" + (f": … {tail}" if tail else "")
