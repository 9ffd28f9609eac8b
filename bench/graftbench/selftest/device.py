"""The device under test, with work and memory that can be planted on it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch

from graftbench.resources.device import is_cuda
from graftbench.resources.monitor import synchronizer

if TYPE_CHECKING:
    from collections.abc import Callable

SIDE = 4096
"""Side of the matrices of planted work on a GPU."""


class CheckedDevice:
    """A device on which work of known length and memory of known size can be planted.

    Attributes:
        name: As in `--device`: `cpu`, `cuda:0`.
        torch_device: Where tensors are made.
        is_gpu: Whether its work is queued, its memory its own.
    """

    def __init__(self, name: str) -> None:
        self.name, self.is_gpu = name, is_cuda(name)
        self.torch_device = torch.device(name)
        self.synchronize = synchronizer(name)

    def title(self) -> str:
        """Return the device's name as its maker gives it."""
        from graftbench.resources.environment import cpu_model  # noqa: PLC0415 - needed once

        return torch.cuda.get_device_name(self.torch_device) if self.is_gpu else cpu_model()

    def slow_work(self, seconds: float) -> Callable[[], None]:
        """Return a function that keeps the device busy for about so many seconds, and does not wait for it.

        On a GPU a chain of products of matrices, as many as take that long by events; on a CPU a sleep.
        """
        if not self.is_gpu:
            return lambda: time.sleep(seconds)
        generator = torch.Generator().manual_seed(0)
        matrix = torch.randn(SIDE, SIDE, generator=generator).to(self.torch_device)
        out = torch.empty_like(matrix)

        def chain(count: int) -> None:
            for _ in range(count):
                torch.mm(matrix, matrix, out=out)

        chain(3)
        trial = 10
        count = max(1, round(trial * seconds / self.seconds_of(lambda: chain(trial))))
        return lambda: chain(count)

    def queue(self, work: Callable[[], None]) -> Callable[[], float]:
        """Do some work, or queue it; do not wait for it.

        Returns:
            What waits for the work, and returns the seconds that it took as the device itself says: by events in its
            queue, on a CPU by the clock.
        """
        if not self.is_gpu:
            start = time.perf_counter()
            work()
            seconds = time.perf_counter() - start
            return lambda: seconds
        before, after = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        stream = torch.cuda.current_stream(self.torch_device)
        before.record(stream)
        work()
        after.record(stream)

        def taken() -> float:
            after.synchronize()
            return before.elapsed_time(after) / 1e3

        return taken

    def seconds_of(self, work: Callable[[], None]) -> float:
        """Return the seconds that some work takes, as the device itself says."""
        self.synchronize()
        return self.queue(work)()

    def hold(self, mib: int) -> Any:  # noqa: ANN401 - a tensor
        """Return a tensor of so many MiB, written to in full."""
        return torch.ones(mib * 2**20, dtype=torch.uint8, device=self.torch_device)

    def release(self) -> None:
        """Let the allocator give back what is free."""
        if self.is_gpu:
            torch.cuda.empty_cache()
