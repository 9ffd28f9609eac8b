"""Making, counting and freezing networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import nn

Net = TypeVar("Net", bound="nn.Module")


def seeded(make: Callable[[], Net], generator: torch.Generator) -> Net:
    """Make a network whose initial weights depend on `generator` alone; torch's global generator is left as it was."""
    seed = int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # the CPU's alone: torch.manual_seed would reseed the GPUs' too
        return make()


def count_parameters(modules: Iterable[nn.Module], *, trained_only: bool = False) -> int:
    """Count the numbers in the parameters of the modules."""
    return sum(p.numel() for m in modules for p in m.parameters() if p.requires_grad or not trained_only)


def freeze(module: nn.Module) -> nn.Module:
    """Take a module's gradients and put it into eval mode, in which `train_unfrozen` leaves it: no buffer moves."""
    return module.requires_grad_(requires_grad=False).eval()


def train_unfrozen(module: nn.Module) -> None:
    """Put a network into training mode, except its frozen parts.

    A block whose parameters are frozen but which runs in training mode would still move: its batch-norm statistics
    and the power iteration of its spectral norm. What has no parameters of its own does as the module around it: torch
    keeps the vectors of a spectral norm in such a module.
    """
    _train_unfrozen(module, around=True)


def _train_unfrozen(module: nn.Module, *, around: bool) -> None:
    parameters = list(module.parameters())
    module.training = any(p.requires_grad for p in parameters) if parameters else around
    for part in module.children():
        _train_unfrozen(part, around=module.training)


def place(module: Net, device: torch.device) -> Net:
    """Move a network to its device, channels last in memory (convolutions are up to twice as fast)."""
    module.to(device)
    module.to(memory_format=torch.channels_last)
    return module
