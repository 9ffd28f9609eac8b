"""Peak memory of a process and of a device."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class DeviceMemory:
    """Peak of torch's allocator on a CUDA device, reset on construction. `look` keeps the mark over a `reset`.

    Attributes:
        baseline_mib: What was held on construction.
    """

    kind = "device"

    def __init__(self, device: str) -> None:
        import torch  # noqa: PLC0415 - only a CUDA fit comes here, and it has imported torch

        self._device = device
        self._cuda = torch.cuda
        self.device = torch.cuda.get_device_name(device)
        self._mib, self._aside = 0.0, False
        self.reset()
        self.baseline_mib: float | None = torch.cuda.memory_allocated(device) / 2**20

    def look(self) -> None:
        """Keep the peak so far over a coming `reset`."""
        self._mib, _ = self.peak_mib()
        self._aside = True

    def reset(self) -> None:
        """Begin to measure anew."""
        self._cuda.reset_peak_memory_stats(self._device)
        self._aside = False

    def peak_mib(self) -> tuple[float, str]:
        """Return the peak in MiB and the name of its source."""
        now = 0.0 if self._aside else self._cuda.max_memory_allocated(self._device) / 2**20
        return max(self._mib, now), "torch"


class ResidentMemory:
    """Peak resident set of this process, reset on construction where the kernel allows it (proc(5), clear_refs).

    `look` keeps the mark over a `reset`. Where the kernel allows none, the mark is the process's, all that is aside
    included.

    Attributes:
        baseline_mib: What was held on construction; None where the system does not tell, or no mark can be reset.
    """

    kind = "resident"
    device = "cpu"

    def __init__(self, process: Path) -> None:
        self._status, self._clear_refs = process / "status", process / "clear_refs"
        self._mib, self._aside = 0.0, False
        self._is_reset = self._clear()
        resident_kib = _status_kib(self._status, "VmRSS") if self._is_reset else None
        self.baseline_mib = None if resident_kib is None else resident_kib / 1024

    def look(self) -> None:
        """Keep the peak so far over a coming `reset`."""
        mib, source = self.peak_mib()
        self._mib, self._aside = (mib or 0.0) if source == "VmHWM" else 0.0, True

    def reset(self) -> None:
        """Begin to measure anew."""
        # The C library keeps freed memory that it may use again (malloc_trim(3), glibc alone).
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
        self._is_reset, self._aside = self._is_reset and self._clear(), False

    def _clear(self) -> bool:
        with suppress(OSError):
            self._clear_refs.write_text("5")
            return True
        return False

    def peak_mib(self) -> tuple[float | None, str]:
        """Return the peak in MiB, None where the system tells none, and the name of its source."""
        if self._aside and self._is_reset:
            return self._mib, "VmHWM"
        kib = _status_kib(self._status, "VmHWM") if self._is_reset else None
        if kib is not None:
            return max(self._mib, kib / 1024), "VmHWM"
        return _lifetime_peak_mib()


def _status_kib(status: Path, key: str) -> int | None:
    with suppress(OSError):
        for line in status.read_text().splitlines():
            name, _, value = line.partition(":")
            if name == key:
                return int(value.split()[0])  # "VmHWM:\t  320760 kB"; the kernel's kB are KiB
    return None


def _lifetime_peak_mib() -> tuple[float | None, str]:
    try:
        import resource  # noqa: PLC0415 - not on every system
    except ImportError:
        return None, ""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    bytes_per_unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes on macOS, KiB on Linux
    return peak * bytes_per_unit / 2**20, "ru_maxrss"
