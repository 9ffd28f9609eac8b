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
        torch.manual_seed(seed)
        return make()


def count_parameters(modules: Iterable[nn.Module], *, trained_only: bool = False) -> int:
    """Numbers in the parameters of the modules."""
    return sum(p.numel() for m in modules for p in m.parameters() if p.requires_grad or not trained_only)


def freeze(module: nn.Module) -> nn.Module:
    """No gradient, and no movement of buffers: a frozen module stays in eval mode (see `train_unfrozen`)."""
    return module.requires_grad_(requires_grad=False).eval()


def train_unfrozen(module: nn.Module) -> None:
    """Put a network into training mode, except its frozen parts.

    A block whose parameters are frozen but which runs in training mode would still move: its batch-norm statistics
    and the power iteration of its spectral norm.
    """
    for part in module.modules():
        own = list(part.parameters())
        part.training = any(p.requires_grad for p in own) if own else True


def place(module: Net, device: torch.device) -> Net:
    """Move a network to its device, channels last in memory (convolutions are up to twice as fast)."""
    module.to(device)
    module.to(memory_format=torch.channels_last)
    return module
