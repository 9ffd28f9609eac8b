"""How much memory of a GPU processes hold, by its driver (NVML): of programs in other processes torch knows nothing."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection


class HeldOnDevice:
    """Memory by process on one GPU (nvmlDeviceGetComputeRunningProcesses).

    NVML names processes by the numbers that the host gives them. In a container with numbers of its own they match
    none, and nothing is known.
    """

    def __init__(self, nvml: Any, handle: object) -> None:  # noqa: ANN401 - nvidia-ml-py has no types
        self._nvml, self._handle = nvml, handle

    @classmethod
    def open(cls, device: str) -> HeldOnDevice | None:
        """Of the GPU that torch calls `device`, found by its UUID; None without NVML."""
        import pynvml  # noqa: PLC0415 - only a CUDA fit needs it
        import torch  # noqa: PLC0415 - likewise

        return cls.open_uuid(str(torch.cuda.get_device_properties(device).uuid), pynvml)

    @classmethod
    def open_uuid(cls, uuid: str, nvml: Any) -> HeldOnDevice | None:  # noqa: ANN401 - nvidia-ml-py has no types
        """Of the GPU with this UUID (without the `GPU-`); None without NVML."""
        try:
            nvml.nvmlInit()
        except nvml.NVMLError:
            return None
        try:
            return cls(nvml, nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}"))
        except nvml.NVMLError:
            nvml.nvmlShutdown()
            return None

    def mib(self, pids: Collection[int]) -> float | None:
        """MiB that processes hold together; None where the driver lists none of them, or does not say how much."""
        try:
            listed = self._nvml.nvmlDeviceGetComputeRunningProcesses(self._handle)
        except self._nvml.NVMLError:
            return None
        held = [entry.usedGpuMemory for entry in listed if entry.pid in pids and entry.usedGpuMemory is not None]
        return sum(held) / 2**20 if held else None

    def close(self) -> None:
        """Leave NVML, which counts who has entered."""
        with suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()
