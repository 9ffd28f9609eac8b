"""A fit that takes snapshots, writes checkpoints, and may be killed on the way."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import torch

from graftbench.checks.check import Broken, Fault
from graftbench.training.checkpoints import Checkpoints, GeneratorState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graftbench.budget import Meter
    from graftbench.checks.fixtures import World
    from graftbench.contracts import Method, Sampler, Stateful, Task


class Killed(Exception):  # noqa: N818 - it stands for the end of a process
    """A fit was interrupted."""


def fit_on(
    world: World,
    method: str | type[Method],
    path: Path,
    *,
    kill_at: int | None = None,
    images: int = 10,
    **parameters: object,
) -> tuple[Sampler | None, Task, Meter]:
    """Fit, with a snapshot and a checkpoint before every step but the first; the fit may be killed after it.

    Args:
        world: Where the task is from.
        method: The method, or the name of a registered one.
        path: Its checkpoint, from which it goes on if there is one.
        kill_at: Images seen, from which on it is killed.
        images: Budget.
        **parameters: Settings of the method.

    Returns:
        The sampler, None of a fit that was killed; task and meter.

    Raises:
        Broken: A snapshot on the way is no sampler of the task's images, or the fit did not ask for its checkpoint.
    """
    made = world.method(method, **parameters)
    task, meter = world.task(type(made)), world.meter(images)
    own: dict[str, Stateful] = {"generator": GeneratorState(task.generator), "log": task.log, "meter": meter}
    checkpoints = Checkpoints(path, identity={"method": made.name}, seconds=1, own=own, device=world.device)

    def checkpoint(budget: Meter) -> None:
        if budget.images_seen:
            with budget.paused():
                checkpoints.write()
        if kill_at is not None and budget.images_seen >= kill_at:
            raise Killed

    def snapshot(budget: Meter, sampler: Callable[[], Sampler]) -> None:
        if budget.images_seen:
            _look_at_snapshot(sampler(), task.resolution)

    def resume(_: Meter) -> None:
        if checkpoints.restore() != (kill_at is None):
            raise Broken(
                Fault(
                    "task.resume found no checkpoint of the killed fit to go on from",
                    "a checkpoint at the top of every step but the first",
                    "call task.checkpoint(budget) at the top of each step, before it draws or changes anything",
                )
            )

    vars(task).update(keep=checkpoints.keep, resume=resume, snapshot=snapshot, checkpoint=checkpoint)
    with suppress(Killed):
        return made.fit(task, meter), task, meter
    return None, task, meter


def _look_at_snapshot(sampler: Sampler, resolution: int) -> None:
    shape = tuple(sampler.sample(2, torch.Generator().manual_seed(7)).shape)
    if shape != (2, 3, resolution, resolution):
        raise Broken(
            Fault(
                f"a snapshot drew images of shape {shape}",
                f"(2, 3, {resolution}, {resolution})",
                "give task.snapshot a function that makes the sampler that the fit would return if it ended now",
            )
        )
