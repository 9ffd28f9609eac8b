"""Check which parameters of a method's networks change in a fit, and which do not."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import TYPE_CHECKING

import torch

from graftbench.checks.check import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from graftbench.checks.method_subject import MethodSubject
    from graftbench.checks.strict_task import SnapshotLog
    from graftbench.contracts import Method


def moves(subject: MethodSubject, side_index: int = 0) -> Iterator[Fault]:
    """Exactly the parameters that `moves` names change; frozen ones keep every bit, and so do their modules' buffers.

    A buffer belongs to the innermost module that has parameters: batch norm's statistics to batch norm, the vectors
    of a spectral norm to its weight. Buffers of what moves may change, those of what rests may not.
    """
    fitted, cls = subject.fitted(subject.side(side_index)), subject.cls
    log: SnapshotLog = fitted.task.log  # pyright: ignore[reportAssignmentType] - that is what the world's tasks have
    moved, astray, infinite = _changes(log, cls.moves)
    named = set(_sizes(log))
    promise = {key for key in named if promised(key, cls.moves)}
    unwatched = not log.networks and fitted.meter.asked and cls.family != "reference"
    if unwatched:
        yield Fault(
            "no network was named to the log",
            "every network that takes part, frozen ones too: records count their parameters",
            "call graftbench.training.prepare(task, generator=…, …), or task.log.watch(generator=…, …)",
        )
        return
    yield from _difference("changed that `moves` does not name", moved - promise, "add them to `moves`, or freeze them")
    yield from _difference(
        "did not change, though `moves` names them", promise - moved, "train them, or take them from `moves`"
    )
    yield from _difference(
        "are buffers that changed beside frozen parameters",
        set(astray),
        "graftbench.nn.build.freeze keeps frozen modules in eval mode; training.prepare sees to the rest",
    )
    yield from _difference("are not finite", set(infinite), "raise Diverged before a step makes them so")
    empty = [pattern for pattern in cls.moves if not any(fnmatch(key, pattern) for key in named)]
    yield from _difference("match no parameter, as patterns of `moves`", set(empty), "correct or remove them")
    if log.networks and cls.family != "reference":
        yield from _said_frozen(cls, named - moved)


def _changes(log: SnapshotLog, promise: tuple[str, ...]) -> tuple[set[str], list[str], list[str]]:
    """Return parameters that changed, buffers that changed beside frozen parameters, parameters that are not finite."""
    moved, astray, infinite = set(), [], []
    for prefix, network in log.networks.items():
        parameters = dict(network.named_parameters())
        for key, tensor in network.state_dict().items():
            full = f"{prefix}.{key}"
            changed = not torch.equal(tensor, log.before[full])
            if key in parameters:
                moved |= {full} if changed else set()
                infinite += [] if torch.isfinite(tensor).all() else [full]
            elif changed and not any(promised(f"{prefix}.{p}", promise) for p in nearest_parameters(network, key)):
                astray.append(full)
    return moved, astray, infinite


def _difference(what: str, names: set[str], mend: str) -> Iterator[Fault]:
    if names:
        few = ", ".join(sorted(names)[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        yield Fault(f"{few} {what}", "what `moves` promises, and nothing else", mend)


def _said_frozen(cls: type[Method], rest: set[str]) -> Iterator[Fault]:
    """Check whether the words of `frozen` agree with what did not move."""
    if cls.frozen != "nothing" and not rest and not cls.variant_of:  # the words serve all variants of a method
        yield Fault(f"frozen = {cls.frozen!r}, but every parameter moved", "words that are true", "leave `frozen` out")
    if cls.frozen == "nothing" and rest:
        few = ", ".join(sorted(rest)[:4])
        yield Fault(f"frozen = 'nothing', but {few} did not move", "words that are true", "say in `frozen` what stays")


def promised(key: str, patterns: tuple[str, ...]) -> bool:
    """Return whether a parameter's name is among those that move."""
    return any(fnmatch(key, pattern) for pattern in patterns)


def nearest_parameters(network: nn.Module, key: str) -> list[str]:
    """Return the names of the parameters of the innermost module around a buffer that has any."""
    owner = key.rpartition(".")[0]
    while not (names := [name for name, _ in network.get_submodule(owner).named_parameters()]):
        if not owner:
            return []
        owner = owner.rpartition(".")[0]
    return [f"{owner}.{name}" if owner else name for name in names]


def _sizes(log: SnapshotLog) -> dict[str, int]:
    """Return name -> numbers in it, of every parameter of the networks that took part."""
    return {f"{n}.{key}": p.numel() for n, net in log.networks.items() for key, p in net.named_parameters()}


def counted(subject: MethodSubject) -> Iterator[Fault]:
    """The record's counts of parameters are those of the networks that took part and of what moved."""
    log: SnapshotLog = subject.fitted().task.log  # pyright: ignore[reportAssignmentType] - as above
    sizes = _sizes(log)
    expected = sum(sizes.values()), sum(size for key, size in sizes.items() if promised(key, subject.cls.moves))
    if (log.parameters_total, log.parameters_trained) != expected:
        yield Fault(
            f"{log.parameters_trained:,} of {log.parameters_total:,} parameters trained, as the log has it",
            f"{expected[1]:,} of {expected[0]:,}, as networks and `moves` have it",
            "freeze what rests (requires_grad_(False)) before task.log.watch is called, and leave its counts alone",
        )
