"""The device that computes."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Self

    import torch


GPU_FILES = ("nvidia*", "nvhost*", "nvgpu*", "nvmap", "dxg", "kfd")
"""Names in /dev of what drivers of GPUs that torch computes on leave there under Linux: NVIDIA's, also on boards and
under Windows' Linux, and AMD's."""


def may_have_gpu(devices: Path = Path("/dev")) -> bool:
    """Return False where no driver of a GPU is seen, without importing torch; True also where that cannot be told."""
    return sys.platform != "linux" or any(any(devices.glob(name)) for name in GPU_FILES)


def resolve_device(device: str) -> str:
    """Return `cuda` for `auto` where torch finds a GPU, else `cpu`; a device that was named as it is.

    Raises:
        GraftbenchError: No such device, or CUDA was asked for and is not there.
    """
    if device == "cpu" or (device == "auto" and not may_have_gpu()):
        return "cpu"
    import torch  # noqa: PLC0415 - seconds, and of no use without a GPU

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise GraftbenchError(f"Unknown device '{device}'; use auto, cpu, cuda or cuda:N.") from error
    if kind not in ("cpu", "cuda"):
        raise GraftbenchError(f"The device '{device}' is not supported; use auto, cpu, cuda or cuda:N.")
    if kind == "cuda" and not torch.cuda.is_available():
        raise GraftbenchError(f"The device '{device}' was asked for, but torch finds no GPU; use --device cpu.")
    return device


def resolve_devices(devices: str) -> list[str]:
    """Return the devices that a run's cells are spread over: `auto` or `cuda` is every GPU, else names with commas.

    Raises:
        GraftbenchError: No such device, CUDA was asked for and is not there, or cpu stands beside cuda.
    """
    names = list(dict.fromkeys(resolve_device(name.strip()) for name in devices.split(",")))
    if len(names) > 1 and "cpu" in names:
        raise GraftbenchError(f"A run uses the CPU or GPUs, not both; found --device {devices}.")
    if names == ["cpu"]:
        return names
    import torch  # noqa: PLC0415 - as above

    count = torch.cuda.device_count()
    if "cuda" in names:
        return [f"cuda:{index}" for index in range(count)]
    for name in names:
        if name != "cpu" and int(name.partition(":")[2]) >= count:
            raise GraftbenchError(f"There is no device '{name}'; torch finds {count}: cuda:0 to cuda:{count - 1}.")
    return names


def is_cuda(device: str | torch.device) -> bool:
    """Return whether the device is a CUDA device; False for the CPU.

    Raises:
        GraftbenchError: It is of another kind.
    """
    kind = str(device).split(":")[0]
    if kind not in {"cpu", "cuda"}:
        raise GraftbenchError(f"The device is '{device}'; graftbench knows 'cpu', 'cuda' and 'cuda:INDEX'.")
    return kind == "cuda"


class NvmlDevice:
    """One GPU as NVML sees it; to be closed."""

    def __init__(self, nvml: Any, handle: object) -> None:  # noqa: ANN401 - nvidia-ml-py has no types
        self._nvml, self._handle = nvml, handle

    @classmethod
    def open(cls, device: str) -> Self | None:
        """Open the GPU that torch calls `device`; None without NVML, or where the GPU lacks what it is opened for."""
        return cls.opened(device)[0]

    @classmethod
    def opened(cls, device: str) -> tuple[Self | None, str]:
        """Open the GPU that torch calls `device`; return it, or None and the reason in a few words.

        NVML numbers all GPUs in PCI order while CUDA numbers those in CUDA_VISIBLE_DEVICES, fastest first, so the GPU
        is found by its UUID.
        """
        import pynvml  # noqa: PLC0415 - only a CUDA fit needs it
        import torch  # noqa: PLC0415 - likewise

        return cls.opened_uuid(str(torch.cuda.get_device_properties(device).uuid), pynvml)

    @classmethod
    def opened_uuid(cls, uuid: str, nvml: Any) -> tuple[Self | None, str]:  # noqa: ANN401 - nvidia-ml-py has no types
        """Open the GPU with this UUID (without the `GPU-`), as `opened` does."""
        try:
            nvml.nvmlInit()
        except nvml.NVMLError as error:
            return None, f"NVML cannot be opened ({error})"
        try:
            gpu = cls(nvml, nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}"))
            reason = gpu.lacks()
        except nvml.NVMLError as error:
            gpu, reason = None, f"NVML does not answer for this GPU ({error})"
        if gpu is None or reason:
            nvml.nvmlShutdown()
            return None, reason
        return gpu, ""

    def lacks(self) -> str:
        """Return why the GPU cannot give what it is opened for; empty where it can. An NVMLError means no, too."""
        return ""

    def close(self) -> None:
        """Leave NVML, which counts who has entered."""
        with suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()


class HeldOnDevice(NvmlDevice):
    """Memory by process on one GPU (nvmlDeviceGetComputeRunningProcesses).

    NVML names processes by the numbers that the host gives them. In a container with numbers of its own they match
    none, and nothing is known.
    """

    def mib(self, pids: Collection[int]) -> float | None:
        """Return the MiB that processes hold together; None where the driver lists none, or does not say how much."""
        listed = self._listed() or []
        used = [entry.usedGpuMemory for entry in listed if entry.pid in pids and entry.usedGpuMemory is not None]
        return sum(used) / 2**20 if used else None

    def is_shared(self, pids: Collection[int]) -> bool | None:
        """Return whether other processes than these compute on the GPU; None where these are not listed themselves."""
        listed = {entry.pid for entry in self._listed() or []}
        return bool(listed - set(pids)) if listed & set(pids) else None

    def _listed(self) -> list[Any] | None:
        try:
            return self._nvml.nvmlDeviceGetComputeRunningProcesses(self._handle)
        except self._nvml.NVMLError:
            return None


def mig_enabled(nvml: Any, handle: object) -> bool:  # noqa: ANN401 - nvidia-ml-py has no types
    """Return whether the GPU is cut into instances (MIG), of which NVML's counts of the board say nothing."""
    try:
        current, _pending = nvml.nvmlDeviceGetMigMode(handle)
    except nvml.NVMLError:
        return False  # this GPU cannot be cut
    return current == nvml.NVML_DEVICE_MIG_ENABLE
