"""A GPU that is not there: a queue, an allocator and NVML, in torch's and NVIDIA's own words."""

from __future__ import annotations

import os
import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch

from graftbench.selftest.device import CheckedDevice

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

MIB = 2**20


class FakeEvent:
    """As `torch.cuda.Event`: happens when all that was queued before it is done."""

    def __init__(self, gpu: FakeGpu) -> None:
        self._gpu, self._at = gpu, 0.0

    def record(self, stream: object) -> None:
        """Join the queue."""
        del stream
        self._at = max(time.perf_counter(), self._gpu.busy_until)

    def query(self) -> bool:
        """Whether it has happened."""
        return time.perf_counter() >= self._at

    def synchronize(self) -> None:
        """Wait for it."""
        time.sleep(max(0.0, self._at - time.perf_counter()))

    def elapsed_time(self, other: FakeEvent) -> float:
        """Milliseconds."""
        return 1e3 * (other._at - self._at)


class FakeGpu:
    """One GPU, and what it counts.

    Attributes:
        busy_until: Its queue is empty from then on.
        allocated: Bytes that the allocator has handed out.
        reserved: Bytes that it has taken; it gives none back.
        context_mib: What CUDA's context takes, which the driver alone counts.
        others: Numbers of other processes on the GPU.
        listed: Whether the driver lists this process.
        watts: What it draws; None for a driver that does not count energy.
        mig: Whether it is cut into instances.
        driver: Whether NVML can be opened.
    """

    NVML_DEVICE_MIG_ENABLE = 1

    class NVMLError(Exception):
        """What NVML raises."""

    def __init__(self) -> None:
        self.busy_until = 0.0
        self.allocated = self.reserved = self.peak = 0
        self.context_mib = 500.0
        self.others: list[int] = []
        self.listed, self.mig, self.driver = True, False, True
        self.watts: float | None = 100.0
        self._started = time.perf_counter()

    def queue(self, seconds: float) -> None:
        """Take work, and return at once."""
        self.busy_until = max(time.perf_counter(), self.busy_until) + seconds

    def allocate(self, size: int) -> None:
        """Hand out bytes, or take them back (negative)."""
        self.allocated += size
        self.peak = max(self.peak, self.allocated)
        self.reserved = max(self.reserved, self.allocated)

    def synchronize(self, device: object = None) -> None:
        """Wait until the queue is empty."""
        del device
        time.sleep(max(0.0, self.busy_until - time.perf_counter()))

    def reset_peak(self, device: object = None) -> None:
        """As `torch.cuda.reset_peak_memory_stats`."""
        del device
        self.peak = self.allocated

    # NVML, by its own names.

    def nvmlInit(self) -> None:  # noqa: N802
        """Fails without a driver."""
        if not self.driver:
            raise self.NVMLError("Driver Not Loaded")

    def nvmlShutdown(self) -> None:  # noqa: N802
        """Nothing to do."""

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        """The UUID serves as handle."""
        return uuid

    def nvmlDeviceGetMigMode(self, handle: str) -> tuple[int, int]:  # noqa: N802
        """Present and pending mode."""
        del handle
        return int(self.mig), 0

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:  # noqa: N802
        """Millijoules since the driver was loaded."""
        del handle
        if self.watts is None:
            raise self.NVMLError("Not Supported")
        return int(1e3 * (5e6 + self.watts * (time.perf_counter() - self._started)))

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[SimpleNamespace]:  # noqa: N802
        """This process if it is listed, and the others."""
        del handle
        mine = [SimpleNamespace(pid=os.getpid(), usedGpuMemory=int(self.reserved + self.context_mib * MIB))]
        return (mine if self.listed else []) + [SimpleNamespace(pid=pid, usedGpuMemory=MIB) for pid in self.others]


class FakeDevice(CheckedDevice):
    """The device under test, with work and memory of the fake GPU; tensors of fits lie on the CPU."""

    def __init__(self, gpu: FakeGpu) -> None:
        super().__init__("cpu")
        self.name, self.is_gpu, self._gpu = "cuda:0", True, gpu
        self.synchronize = gpu.synchronize

    def slow_work(self, seconds: float) -> Callable[[], None]:
        """Queue so many seconds."""
        return lambda: self._gpu.queue(seconds)

    def hold(self, mib: int) -> Any:
        """Allocate until the object is dropped."""
        gpu = self._gpu

        class Held:
            def __init__(self) -> None:
                gpu.allocate(mib * MIB)

            def __del__(self) -> None:
                gpu.allocate(-mib * MIB)

        return Held()

    def release(self) -> None:
        """Keep what is reserved, as torch does while tensors live."""


def install(monkeypatch: pytest.MonkeyPatch) -> FakeGpu:
    """Put a fake GPU behind torch.cuda and NVML."""
    gpu = FakeGpu()
    properties = SimpleNamespace(uuid="fake", name="A Fake Board")
    for name, stand_in in {
        "synchronize": gpu.synchronize,
        "Event": lambda **_: FakeEvent(gpu),
        "current_stream": lambda _=None: "stream",
        "get_device_name": lambda _=None: properties.name,
        "get_device_properties": lambda _=None: properties,
        "reset_peak_memory_stats": gpu.reset_peak,
        "memory_allocated": lambda _=None: gpu.allocated,
        "max_memory_allocated": lambda _=None: gpu.peak,
        "max_memory_reserved": lambda _=None: gpu.reserved,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    monkeypatch.setitem(sys.modules, "pynvml", gpu)
    return gpu
