"""Fixed pieces of work, timed beside every fit: the unit in which times of two machines, or of two days, compare.

The work is what small generators spend their time on: two 3×3 convolutions with a leaky rectifier between them, forward
and backward, in float32 on random numbers. It is part of no method, so a change of the suite's code does not move it; a
slower clock, a busy neighbour or another processor does. The peak beside it is that of one large product of matrices.
"""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

import torch
from torch import nn

from graftbench.resources.device import is_cuda
from graftbench.resources.monitor import synchronizer

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION = 1
"""Raised when the work changes: times of two versions do not compare."""

REPEATS = 5
CHANNELS, SIDE, BATCH = 32, 32, 8


def calibration_seconds(device: str | torch.device = "cpu", repeats: int = REPEATS) -> float:
    """Return the median time of the work on this device, in seconds.

    On a CPU it is CPU time of this thread, since cells have one thread and other processes' turns are not the machine's
    speed; on a CUDA device wall time with the device synchronised at both ends. The first pass, which chooses kernels,
    does not count. The global random state is left alone.

    Args:
        device: `cpu`, `cuda` or `cuda:INDEX`.
        repeats: Of how many passes the median is taken, at least 1.
    """
    once = _work(device)
    clock = time.perf_counter if is_cuda(device) else time.thread_time
    synchronize = synchronizer(device)
    once()
    return median(_timed(once, clock, synchronize) for _ in range(repeats))


PEAK_SIDE = {"cpu": 1024, "cuda": 8192}
"""Side of the matrices whose product gives the peak: large enough that the memory is not what is measured (at 8,192 and
2 bytes a number a product does 2,730 operations a byte), small enough for a fifth of a second on one core."""


def peak_flops_per_second(
    device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32, repeats: int = REPEATS
) -> float:
    """Return what a product of two large square matrices reaches here: operations per second, a multiply-add being two.

    The fastest of some passes: a peak is what the device can do, not what it does on the average. The matrices are of
    random numbers (zeros take less power, and let a GPU clock higher). Under the settings of this process: threads, and
    whether float32 products may be TF32.

    Args:
        device: `cpu`, `cuda` or `cuda:INDEX`.
        dtype: `torch.float32` or `torch.bfloat16`.
        repeats: Passes, at least 1; one more comes first and does not count.

    Raises:
        RuntimeError: The device cannot (out of memory, no such product).
    """
    side = PEAK_SIDE["cuda" if is_cuda(device) else "cpu"]
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(side, side, generator=generator).to(device, dtype) for _ in range(2))
    synchronize = synchronizer(device)

    def once() -> None:
        with torch.no_grad():
            torch.mm(a, b)

    once()
    return 2 * side**3 / min(_timed(once, time.perf_counter, synchronize) for _ in range(repeats))


def _timed(once: Callable[[], None], clock: Callable[[], float], synchronize: Callable[[], None]) -> float:
    synchronize()
    start = clock()
    once()
    synchronize()
    return clock() - start


def _work(device: str | torch.device) -> Callable[[], None]:
    """Build the work; the function that is returned does it once."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, CHANNELS, SIDE, SIDE, generator=generator).to(device)
    weights = [torch.randn(CHANNELS, CHANNELS, 3, 3, generator=generator).mul_(0.06).to(device) for _ in range(2)]
    for weight in weights:
        weight.requires_grad_()

    def once() -> None:
        with torch.enable_grad():
            hidden = nn.functional.leaky_relu(nn.functional.conv2d(x, weights[0], padding=1), 0.2)
            torch.autograd.grad(nn.functional.conv2d(hidden, weights[1], padding=1).square().mean(), weights)

    return once
