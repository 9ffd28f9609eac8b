"""What must be there before cells run: features and floors of the references, and source models. Each made once."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING

import msgspec

from graftbench.cache import atomic_file, locked
from graftbench.errors import GraftbenchError
from graftbench.execution.job import LOG, MODEL, RESULT, Cause, Finished, ReferenceJob, SourceJob
from graftbench.training import source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from graftbench.execution.executors import Executor
    from graftbench.execution.job import Ended, Job
    from graftbench.execution.progress import Progress
    from graftbench.execution.run_folder import RunFolder
    from graftbench.execution.scheduler import Stop
    from graftbench.images.prepared import ImageSet
    from graftbench.records.cell_spec import CellSpec
    from graftbench.suites.plan import Plan
    from graftbench.suites.suite import Limits
    from graftbench.training.source import Recipe

LOG_TAIL_CHARACTERS = 400


class Prerequisites:
    """Makes what cells need, through the executor that will run them.

    Args:
        folder: The run folder; jobs work in it.
        executor: Runs them.
        cache: Where what they make is kept.
        limits: Their limit of time.
        progress: Told what is made.
        unfinished: Recipe id -> job folder with a checkpoint of its training to go on from.
        checkpoint_seconds: How often a training is checkpointed.
        stop: Whether the user wants the run to end.
    """

    def __init__(
        self,
        folder: RunFolder,
        executor: Executor,
        *,
        cache: Path,
        limits: Limits,
        progress: Progress,
        stop: Stop,
        unfinished: Mapping[str, Path],
        checkpoint_seconds: float,
    ) -> None:
        self._unfinished, self._checkpoint_seconds = unfinished, checkpoint_seconds
        self._folder, self._executor, self._cache = folder, executor, cache
        self._limits, self._progress, self._stop = limits, progress, stop

    def references(self, plan: Plan, cells: Sequence[CellSpec]) -> None:
        """Extract the references and score the floors of the cells' targets.

        Raises:
            GraftbenchError: The extractor's weights are missing or wrong, or the extraction failed: no cell can be
                scored.
        """
        targets = dict.fromkeys((cell.task.target, cell.task.resolution) for cell in cells)
        jobs: dict[str, Job] = {}
        folders = {}
        for name, resolution in targets:
            images = plan.images[name, resolution]
            key = f"reference-{images.manifest[:16]}"
            folders[key] = self._folder.work(key)
            jobs[key] = ReferenceJob(
                folder=str(folders[key]),
                cache=str(self._cache.resolve()),
                protocol=plan.suite.protocol,
                images=entry_of(images),
                manifest=images.manifest,
            )
        for reason in self._run(jobs, folders, None).values():
            if reason:
                raise GraftbenchError(reason)

    def source_models(self, plan: Plan, cells: Sequence[CellSpec]) -> tuple[dict[str, Path], dict[str, str]]:
        """Find the cells' source models and train those that nobody has.

        Several drivers that need one model at the same moment train it once: the others wait.

        Returns:
            Recipe id -> file; and recipe id -> why there is none.

        Raises:
            GraftbenchError: A file that is there is damaged, or of another architecture or resolution.
        """
        needed = dict.fromkeys(cell.source_model for cell in cells if cell.source_model)
        recipes = {recipe_id: plan.recipes[recipe_id] for recipe_id in sorted(needed)}
        with ExitStack() as locks:
            for recipe, _ in recipes.values():
                if source.find(recipe, self._cache) is None:
                    locks.enter_context(locked(source.cached(recipe, self._cache).with_suffix(".lock")))
            failed = self._train(
                {name: pair for name, pair in recipes.items() if source.find(pair[0], self._cache) is None}
            )
        files = {}
        for recipe_id, (recipe, _) in recipes.items():
            file = source.find(recipe, self._cache)
            if file is not None:
                source.verify(file, recipe)
                files[recipe_id] = file
        return files, failed

    def _train(self, missing: dict[str, tuple[Recipe, ImageSet]]) -> dict[str, str]:
        jobs: dict[str, Job] = {}
        folders = {}
        for recipe_id, (recipe, images) in missing.items():
            self._progress.say(f"training source model {recipe_id} ({recipe.kimg:g} kimg); this is done once")
            folders[recipe_id] = self._unfinished.get(recipe_id) or self._folder.work(recipe_id)
            jobs[recipe_id] = SourceJob(
                folder=str(folders[recipe_id]),
                cache=str(self._cache.resolve()),
                recipe=recipe,
                images=entry_of(images),
                checkpoint_seconds=self._checkpoint_seconds,
            )
        reasons = self._run(jobs, folders, self._limits.source_seconds, install=missing)
        for recipe_id, reason in reasons.items():
            say = f"source model {recipe_id} could not be trained: {reason}" if reason else f"trained {recipe_id}"
            self._progress.say(say)
        return {recipe_id: reason for recipe_id, reason in reasons.items() if reason}

    def _run(
        self,
        jobs: dict[str, Job],
        folders: dict[str, Path],
        seconds: float | None,
        install: dict[str, tuple[Recipe, ImageSet]] | None = None,
    ) -> dict[str, str]:
        """Run jobs; key -> why it failed, empty if it did not.

        Raises:
            KeyboardInterrupt: The user wants to stop: what is being made is of no use unfinished.
        """
        waiting, reasons = list(jobs), {}
        while waiting or self._executor.running:
            while waiting and self._executor.room():
                key = waiting.pop(0)
                self._executor.start(key, jobs[key], folders[key], seconds=seconds, memory_mib=self._limits.memory_mib)
            for ended in self._executor.wait(0.2):
                folder = folders[ended.key]
                reasons[ended.key] = _failure(ended, folder)
                if install and not reasons[ended.key]:
                    with atomic_file(source.cached(install[ended.key][0], self._cache)) as part:
                        shutil.copyfile(folder / MODEL, part)
                shutil.rmtree(folder)
            if self._stop.wanted:
                raise KeyboardInterrupt
        return reasons


def entry_of(images: ImageSet) -> str:
    """The folder of prepared images, absolute."""
    assert images.entry is not None
    return str(images.entry.resolve())


def _failure(ended: Ended, folder: Path) -> str:
    """Why a prerequisite failed, or nothing."""
    try:
        return msgspec.json.decode((folder / RESULT).read_bytes(), type=Finished).reason
    except (OSError, msgspec.MsgspecError):
        log = folder / LOG
        tail = log.read_bytes()[-LOG_TAIL_CHARACTERS:].decode("utf-8", "replace").strip() if log.exists() else ""
        how = ended.detail or ("its time was up" if ended.cause == Cause.TIME else f"exit code {ended.exit_code}")
        return f"its process ended ({how})" + (f": … {tail}" if tail else "")
