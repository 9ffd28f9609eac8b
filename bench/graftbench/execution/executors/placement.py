"""Chooses the device of the next job."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MARGIN, RESERVE_MIB = 1.2, 512.0
"""A job needs so many times the memory that it was measured to hold, and room for the CUDA context of its process."""


def free_memory_mib(device: str) -> float | None:
    """Return the free memory of a CUDA device by NVML, which opens no context; None where NVML does not answer.

    NVML counts boards in the order of the PCI bus, and so does CUDA in the jobs (LocalExecutor sets CUDA_DEVICE_ORDER).
    """
    import pynvml  # noqa: PLC0415 - a machine without a GPU never asks

    try:
        pynvml.nvmlInit()
        try:
            return int(pynvml.nvmlDeviceGetMemoryInfo(_handle(device)).free) / 2**20
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return None


def _handle(device: str) -> object:
    """Return NVML's handle of a device as CUDA numbers it, among those that CUDA_VISIBLE_DEVICES leaves."""
    import pynvml  # noqa: PLC0415

    index = int(device.partition(":")[2] or 0)
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    name = visible[index] if index < len(visible) else str(index)
    return pynvml.nvmlDeviceGetHandleByIndex(int(name)) if name.isdigit() else pynvml.nvmlDeviceGetHandleByUUID(name)


class Placement:
    """Devices by turns; a CUDA device takes a second job only where its memory is known to suffice.

    Args:
        devices: `cpu` alone, or CUDA devices.
        free_mib: Device -> free memory in MiB, None where nobody knows.
    """

    def __init__(self, devices: Sequence[str], free_mib: Callable[[str], float | None] = free_memory_mib) -> None:
        self.devices = list(devices)
        self._free_mib = free_mib

    def choose(self, occupied: Sequence[str], memory_mib: float | None) -> str | None:
        """Return the device with the fewest jobs that has room, the first of several; None where none has.

        Args:
            occupied: The device of each running job.
            memory_mib: Memory that the new job is expected to hold; None where nobody knows.
        """
        counts = {device: list(occupied).count(device) for device in self.devices}
        for device in sorted(self.devices, key=counts.__getitem__):
            if device == "cpu" or counts[device] == 0:
                return device
            free = None if memory_mib is None else self._free_mib(device)
            if memory_mib is not None and free is not None and free >= MARGIN * memory_mib + RESERVE_MIB:
                return device
        return None
