"""A fit's commands: the folders and values that they get, and what is made of what they leave."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from graftbench.errors import GraftbenchError

from .account import interpreter, keep
from .ending import check_ended, left_behind, with_tail, written
from .recorded import recorded
from .template import BUDGET, filled, names_in, parsed
from .workspace import Workspace, copy_code, environment, run_words, write_images

if TYPE_CHECKING:
    from graftbench.contracts import Task
    from graftbench.records.cell_spec import ComputeBudget

    from .config import Config
    from .workspace import Ran

SEEDS = 2**31
"""Seeds are below: more than a signed 32-bit number is too much for some programs."""


class Job:
    """A fit's commands, with the folders and values that they get."""

    def __init__(self, task: Task, config: Config, workspace: Workspace, values: dict[str, str | None]) -> None:
        self.workspace = workspace
        self._task, self._config, self._values = task, config, values
        self._parts = {what: parsed(getattr(config, what)) for what in ("train", "sample")}
        self._words: dict[str, list[str]] = {}
        words = [word for parts in self._parts.values() for part in parts for word in part.words]
        other_python = bool(config.python) and any("python" in names_in(word) for word in words)
        self.about = interpreter(config.python, self._environment(values)) if other_python else {}

    def _environment(self, values: dict[str, str | None]) -> dict[str, str]:
        return environment(
            {**dict.fromkeys(BUDGET), **values}, self._config.env, self._config.python, str(self._task.device)
        )

    @classmethod
    def of(cls, task: Task, config: Config, python: str, budget: ComputeBudget) -> Job:
        """Make the folders, copy the code and write the training images.

        Raises:
            GraftbenchError: The task has no folder of its own, or no source domain.
        """
        if task.folder == Path():
            raise GraftbenchError("A command needs a folder to work in; this task has none (Task.folder).")
        workspace = Workspace.of(task.folder, config.data)
        copy_code(config.code, workspace.work)
        write_images(task.images, workspace.data)
        if config.source:
            write_images(task.source_images, workspace.source)
        values = _values(task, workspace, python, source=config.source) | budget_values(budget)
        return cls(task, config, workspace, values)

    def run(self, what: str, seconds: float | None = None, **changed: str) -> Ran:
        """Run one of the commands, for at most so many seconds."""
        values = {**dict.fromkeys(BUDGET), **self._values, **changed}
        self._words[what] = filled(self._parts[what], values)
        device = str(self._task.device)
        return run_words(self._words[what], self.workspace, self._environment(values), device, seconds=seconds)

    def account(self, what: str) -> None:
        """Write into the output folder which command was run."""
        keep(self.workspace.out, what, self._recorded(what), self.about)

    def _recorded(self, what: str) -> list[str]:
        """Return the words that were run where the user lists them, else what a record says of them."""
        if what in self._config.record:
            return self._words[what]
        words = recorded({what: getattr(self._config, what)})[what]
        return [text for word in words for text in ([word] if isinstance(word, str) else word)]

    def draw(self, n: int, seed: int) -> torch.Tensor:
        """Draw images with the sampling command: uint8 n×3×H×W."""
        self.workspace.fresh_samples()
        ran = self.run("sample", n=str(n), seed=str(seed))
        if ran.left_behind:
            self._task.log.notes.append(left_behind(ran, "sampling"))
        self.account("sample")
        with self.workspace.kept_if_refused():
            check_ended(ran, "sampling", None)
            return self.images(n, ran)

    def images(self, n: int, ran: Ran) -> torch.Tensor:
        """Read the images in `{samples}`.

        Raises:
            GraftbenchError: What is wrong with it, and where it is kept.
        """
        if n < 1:
            raise GraftbenchError("The training command draws its images itself, and nobody says how many to draw.")
        from .output import read_images  # noqa: PLC0415 - brings NumPy and Pillow, and a list of methods reads none

        try:
            images, count = read_images(self.workspace.samples, n, self._task.resolution)
        except GraftbenchError as error:
            sentence = f"The command ended well, but {str(error).rstrip('.')}. {written(self.workspace.out)}"
            raise with_tail(GraftbenchError(sentence), ran.tail) from error
        if count > n:
            self._task.log.notes.append(f"The program drew {count} images; the first {n} by name were taken.")
        return images


# -------------------------------------------------------------------------------------------------------------- values


def _values(task: Task, workspace: Workspace, python: str, *, source: bool) -> dict[str, str | None]:
    """Return placeholder -> value, without the placeholders of the budget."""
    return {
        "data": str(workspace.data),
        "source": str(workspace.source) if source else None,
        "out": str(workspace.out),
        "samples": str(workspace.samples),
        "n": str(task.n_generated) if task.n_generated else None,
        "resolution": str(task.resolution),
        "images": str(len(task.images)),
        "seed": str(task.generator.initial_seed() % SEEDS),
        "device": task.device.type,
        "threads": str(torch.get_num_threads()),
        "python": python,
        "code": str(workspace.work),
    }


def budget_values(budget: ComputeBudget) -> dict[str, str | None]:
    """Return those placeholders of the budget that have a value."""
    if budget.kimg is not None:
        images = max(1, round(budget.kimg * 1000))  # as `Meter.limit_images` rounds
        return {"kimg": _number(budget.kimg), "images_shown": str(images)}
    return {} if budget.seconds is None else {"seconds": _number(budget.seconds)}


def _number(value: float) -> str:
    return f"{value:.10g}"
