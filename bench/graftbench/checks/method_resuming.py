"""A fit that is killed and gone on with, and one that goes astray."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from graftbench.checks.check import Fault
from graftbench.checks.fixtures import BUDGET
from graftbench.checks.method_subject import same_state
from graftbench.checks.resuming import fit_on
from graftbench.contracts import Diverged
from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graftbench.checks.method_subject import MethodSubject
    from graftbench.contracts import Method

DIVERGING = 1e12
"""A learning rate with which no training stays finite."""


def resumed(subject: MethodSubject) -> Iterator[Fault]:
    """Killed after two of three steps and gone on with, a fit leaves what it leaves undisturbed, to the bit."""
    path = subject.folder / f"checkpoint-{subject.cls.name}.safetensors"
    path.unlink(missing_ok=True)
    world = subject.world(subject.side())
    unfinished, _, _ = fit_on(world, subject.cls, path, kill_at=BUDGET // 2, images=BUDGET)
    if unfinished is not None or not path.exists():
        yield Fault(
            "the fit never called task.checkpoint",
            "a call at the top of each step",
            "use graftbench.training.train, or call keep, resume, snapshot and checkpoint as contracts.Task says, "
            "or write resumable = False",
        )
        return
    sampler, task, meter = fit_on(world, subject.cls, path, images=BUDGET)
    whole = subject.fitted()
    keep = "name all that changes with task.keep(name=object); graftbench.training.prepare keeps networks"
    if sampler is None or not same_state(sampler, whole.sampler):
        yield Fault("another sampler than that of the fit that nobody killed", "the same numbers, to the bit", keep)
    if (meter.images_seen, meter.flops_per_image) != (BUDGET, whole.meter.flops_per_image):
        yield Fault(f"{meter.images_seen} images shown when it had gone on", f"{BUDGET}", keep)
    points = [[(seen, losses) for seen, _, losses in log.curve] for log in (task.log, whole.task.log)]
    if points[0] != points[1] or task.log.notes != whole.task.log.notes:
        yield Fault("other losses or notes in the log", "those of the fit that nobody killed", keep)
    counts = [(log.parameters_total, log.parameters_trained) for log in (task.log, whole.task.log)]
    if counts[0] != counts[1]:
        yield Fault(f"parameters counted {counts[0]}", f"{counts[1]}", keep)


def diverging(subject: MethodSubject) -> Iterator[Fault]:
    """A training that leaves the finite numbers ends in `Diverged`, and is not returned as a generator."""
    rates: dict[str, Any] = dict.fromkeys(rates_of(subject.cls), DIVERGING)
    try:
        sampler = subject.again(images=80, **rates).sampler
    except Diverged:
        return
    except GraftbenchError:
        return  # the method refuses such a rate: it cannot go astray by it
    tensors, _ = sampler.state()
    spoilt = [name for name, tensor in tensors.items() if torch.isnan(tensor).any()]
    if spoilt:
        given = ", ".join(f"{name} = {DIVERGING:g}" for name in rates)
        yield Fault(
            f"with {given} the fit ended well, with numbers in {spoilt[0]} that are none (NaN)",
            "graftbench.contracts.Diverged",
            "give every loss to log.add of graftbench.training.train, or raise Diverged where a loss is not finite",
        )


def rates_of(cls: type[Method]) -> list[str]:
    """Return the names of the parameters that are learning rates."""
    defaults = {} if cls.adapter else {name: getattr(cls().config, name) for name in cls.Config.__struct_fields__}
    return [name for name, value in defaults.items() if name.startswith("lr") and isinstance(value, float)]
