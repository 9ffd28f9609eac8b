"""Weights & Biases: one run a cell, grouped by run folder. `WANDB_MODE=offline` keeps everything on this machine.

Project, entity, server and login follow W&B's own settings (`WANDB_PROJECT`, `wandb login`, …) where no option says
otherwise. Nobody is asked for a password: where there is none the tracker fails and says so.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec

from graftbench.execution.trackers.base import Failed, Tracker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.execution.trackers.base import TrackedCell, TrackedPoint, TrackedResult, TrackedRun

PROJECT = "graftbench"
"""Project where neither an option nor WANDB_PROJECT names one."""

STEP = "images_seen"
"""The x axis of every curve."""


class WandbOptions(msgspec.Struct, frozen=True):
    """Options of `wandb:`.

    Attributes:
        project: Name of the project.
        entity: User or team.
        mode: As `WANDB_MODE`.
    """

    project: str = ""
    entity: str = ""
    mode: Literal["", "online", "offline", "disabled"] = ""


class WeightsAndBiases(Tracker):
    """Config, tags, curves over images seen, scores and costs in the summary, pictures as media."""

    name: ClassVar[str] = "wandb"
    title: ClassVar[str] = "Weights & Biases"
    needs: ClassVar[tuple[str, ...]] = ("wandb",)
    Options: ClassVar[type[msgspec.Struct]] = WandbOptions

    def open(self, group: TrackedRun) -> None:
        """Check that there is a login, where one is needed."""
        self._wandb: Any = import_module("wandb")
        self._group = group
        self._runs: dict[str, Any] = {}
        self._project = self.options.project or os.environ.get("WANDB_PROJECT") or PROJECT
        self._folder = Path(os.environ.get("WANDB_DIR") or group.folder)
        self._mode = self.options.mode or os.environ.get("WANDB_MODE") or "online"
        if self._mode == "online" and not self._wandb.login(prompt=False, verify=False):
            raise Failed("Weights & Biases knows no login here: use `wandb login`, or WANDB_MODE=offline")

    def begin(self, cell: TrackedCell) -> None:
        """Begin a W&B run under an id of this folder and cell: on the server it overwrites the one before."""
        if (before := self._runs.pop(cell.id, None)) is not None:
            before.finish(exit_code=1)
        run_id = hashlib.sha256(f"{self._group.key} {cell.id}".encode()).hexdigest()[:16]
        for old in self._folder.glob(f"wandb/offline-run-*-{run_id}"):
            shutil.rmtree(old)  # else `wandb sync` would send both
        run = self._runs[cell.id] = self._wandb.init(
            project=self._project,
            entity=self.options.entity or None,
            group=self._group.name,
            job_type=cell.method,
            name=cell.name,
            id=run_id,
            config=dict(cell.config),
            dir=str(self._folder),
            mode=self._mode,
            reinit="create_new",  # cells run side by side
            settings=self._settings(),
        )
        run.define_metric(STEP, hidden=True)
        run.define_metric("*", step_metric=STEP)

    def _settings(self) -> Any:  # noqa: ANN401 - the optional package's own type
        """Return settings that leave this process out: cells run elsewhere, and their records say where."""
        return self._wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            save_code=False,
            x_disable_stats=True,
            x_disable_meta=True,
            x_save_requirements=False,
        )

    def points(self, cell: TrackedCell, points: Sequence[TrackedPoint]) -> None:
        """Log rows of the history."""
        for point in points:
            self._runs[cell.id].log({STEP: point.images_seen, "fit_seconds": point.seconds, **point.values})

    def end(self, cell: TrackedCell, result: TrackedResult) -> None:
        """Send the summary, the pictures and how the cell ended."""
        run = self._runs.pop(cell.id)
        media = {f"pictures/{kind}": self._wandb.Image(str(path)) for kind, path in result.pictures.items()}
        if media:
            run.log({STEP: result.images_seen, **media})
        run.config.update({k: v for k, v in result.facts.items() if k.startswith("environment.")})
        facts = {name: value for name, value in result.facts.items() if not name.startswith("environment.")}
        run.summary.update({**facts, **result.numbers} | ({"log": result.log_tail} if result.log_tail else {}))
        run.tags = [*(run.tags or ()), *result.tags]
        run.finish(exit_code=0 if result.ok else 1)

    def close(self) -> None:
        """Mark cells without an end as crashed."""
        for run in self._runs.values():
            run.finish(exit_code=1)
        self._runs.clear()
