"""Anyone's generator: a training command and a sampling command, run as they are, under the suite's clock.

    [variants.our-gan]
    method = "command"
    family = "scratch"
    [variants.our-gan.parameters]
    train = "{python} train.py --data {data} --out {out} [--seconds {seconds}] [--kimg {kimg}] --seed {seed}"
    sample = "{python} sample.py --model {out} --n {n} --seed {seed} --to {samples}"
    python = "venv/bin/python"
    code = ["train.py", "sample.py"]

The program gets exactly the images of the cell, and what it leaves is scored like any other generator.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from graftbench.contracts import Method, Reference, Sampler
from graftbench.errors import GraftbenchError
from graftbench.training.samplers import ImageBankSampler

from ._command.config import Config
from ._command.ending import check_ended, declare, limit, note
from ._command.job import SEEDS, Job, budget_values
from ._command.recorded import COMMANDS, digests, recorded, sha256_in
from ._command.template import BUDGET, PLACEHOLDERS, lacks, parsed
from ._command.workspace import check_program, check_script, code_files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graftbench.budget import Meter
    from graftbench.contracts import Family, Task
    from graftbench.records.cell_spec import ComputeBudget, Origin


class Command(Method):
    """Runs two commands of somebody else's."""

    name = "command"
    family: ClassVar[Family] = "submitted"
    title = "Adapter: anyone's training and sampling commands"
    reference = Reference(
        authors="graftbench", title="Adapter: commands in a process of their own", venue="", year=2026
    )
    trains = "what the program trains"
    adapter = True
    origin: ClassVar[Origin] = "command"
    paths: ClassVar[tuple[str, ...]] = ("code",)
    places: ClassVar[tuple[str, ...]] = ("python",)
    secret: ClassVar[tuple[str, ...]] = ("train", "sample", "env")
    Config = Config

    @classmethod
    def recorded(cls, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Cut values that the user does not list."""
        return recorded(parameters)

    @classmethod
    def secret_digests(cls, parameters: Mapping[str, Any]) -> dict[str, str]:
        """Hash the commands whose text is cut."""
        return digests(parameters)

    def check(self, resolution: int) -> None:
        """Refuse an interpreter, a program or a file that does not exist."""
        del resolution
        config: Config = self.config
        if any(sha256_in(getattr(config, what)) for what in COMMANDS):
            return  # read back from a record: it names finished cells, and cannot run
        files = code_files(config.code)
        check_program(config.python or sys.executable, "", files, what="python")
        for what in ("train", "sample"):
            words = [word for part in parsed(getattr(config, what)) if not part.optional for word in part.words]
            if words:
                check_program(words[0].replace("{python}", self._python()), config.python, files, what=what)
            if len(words) > 1:
                check_script(words[1], files, what=what)

    def check_budget(self, budget: ComputeBudget) -> None:
        """Refuse FLOPs, which nobody can count in another program, and commands that ask for another budget."""
        if budget.gflops is not None:
            raise GraftbenchError(
                f"A budget of {budget} cannot be kept: nobody counts the arithmetic of a program in another process. "
                "Use seconds or kimg."
            )
        values = {**dict.fromkeys(PLACEHOLDERS, ""), **dict.fromkeys(BUDGET), **budget_values(budget)}
        for what in ("train", "sample"):
            lacking = [name for part in parsed(getattr(self.config, what)) for name in lacks(part, values)]
            if lacking:
                offered = " and ".join(f"{{{name}}}" for name in budget_values(budget))
                raise GraftbenchError(
                    f"`{what}` asks for {{{lacking[0]}}}, but the compute budget is {budget}, which is {offered}. "
                    f"Write what belongs to one kind of budget in brackets, [--option {{{lacking[0]}}}]: it is left "
                    "out under the others."
                )

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Write the images, run the training, end all that it started, and look at what it left.

        Raises:
            GraftbenchError: It failed, or left no images that can be used.
            OverBudget: It ran or trained longer than its budget allows.
        """
        self.check_budget(budget.budget)
        if cut := [what for what in COMMANDS if sha256_in(getattr(self.config, what))]:
            raise GraftbenchError(
                f"`{cut[0]}` is what a record says of a command, without its values; run the suite file that it was "
                f'written in, or list it there: record = ["{cut[0]}"].'
            )
        with budget.paused():
            job = Job.of(task, self.config, self._python(), budget.budget)
            if version := job.about.get("python"):
                task.log.notes.append(
                    f"Python {version} of an environment of its own ran it; its packages are in the cell's output."
                )
        budget.grant(1)  # the clock runs from here
        ran = job.run("train", seconds=limit(budget.budget))
        with budget.paused(), job.workspace.kept_if_refused():
            job.account("train")
            note(task, ran, budget.budget)
            check_ended(ran, "training", budget.budget)
            declare(task, job.workspace.out, budget)
            if self.config.sample:
                task.log.notes.append("The sampling rate includes the start of the sampling program.")
                return CommandSampler(job)
            task.log.measured["sampling_images_per_second"] = None
            task.log.notes.append("The training program drew its images itself: how long that took is in the fit.")
            return ImageBankSampler(job.images(task.n_generated, ran))

    def _python(self) -> str:
        return self.config.python or sys.executable


class CommandSampler(Sampler):
    """Runs a sampling command when images are asked for; saved as the images that it drew at first, those scored.

    The command's seed follows from the generator's state. The images then come in an order that the generator draws,
    as they do when they are replayed. Once it was saved, it replays what was saved, as the loaded sampler does: that
    has no program any more.

    Args:
        job: Runs the command; None for one that replays.
        saved: What it replays: uint8 n×3×H×W; None for one that was not saved yet.
    """

    kind: ClassVar[str] = "command"

    def __init__(self, job: Job | None, saved: torch.Tensor | None = None) -> None:
        self._job, self._saved = job, saved
        self._banks: dict[tuple[int, int], torch.Tensor] = {}

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Draw n images: uint8 n×3×H×W."""
        bank = self._drawn(n, generator) if self._saved is None else self._saved
        return ImageBankSampler(bank).sample(n, generator)

    def _drawn(self, n: int, generator: torch.Generator) -> torch.Tensor:
        assert self._job is not None
        chances = torch.Generator().set_state(generator.get_state())
        key = n, int(torch.randint(SEEDS, (1,), generator=chances))
        if key not in self._banks:
            self._banks[key] = self._job.draw(*key)
        return self._banks[key]

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
        """Return the images drawn at first."""
        if self._saved is None:
            if not self._banks:
                raise GraftbenchError("No images were drawn of the sampling command yet: there are none to save.")
            self._saved = next(iter(self._banks.values()))
        return {"images": self._saved}, {}

    @classmethod
    def from_state(cls, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> CommandSampler:
        """Make a sampler that replays the saved images."""
        del metadata
        return cls(None, tensors["images"])
