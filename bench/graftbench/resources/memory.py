"""Peak memory of a process and of a device."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from graftbench.resources.device import HeldOnDevice

if TYPE_CHECKING:
    from collections.abc import Callable
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
        self._mib, self._reserved_mib, self._aside = 0.0, 0.0, False
        self.reset()
        self.baseline_mib: float | None = torch.cuda.memory_allocated(device) / 2**20

    def look(self) -> None:
        """Keep the peak so far over a coming `reset`."""
        self._mib, self._reserved_mib = self.peak_mib()[0], self.reserved_mib()
        self._aside = True

    def reset(self) -> None:
        """Begin to measure anew."""
        self._cuda.reset_peak_memory_stats(self._device)
        self._aside = False

    def peak_mib(self) -> tuple[float, str]:
        """Return the peak in MiB and the name of its source."""
        now = 0.0 if self._aside else self._cuda.max_memory_allocated(self._device) / 2**20
        return max(self._mib, now), "torch"

    def reserved_mib(self) -> float:
        """Return the most that the allocator had taken from the device, in MiB: what it holds, and what it keeps free.

        The allocator gives nothing back by itself: what it took before this began counts.
        """
        now = 0.0 if self._aside else self._cuda.max_memory_reserved(self._device) / 2**20
        return max(self._reserved_mib, now)


POLL_SECONDS = 0.1
"""Seconds between two questions to the driver about this process's memory.

The allocator keeps what it has taken, so a peak lasts.
"""


class DriverCount:
    """The most that the driver counts for this process on a GPU: with CUDA's own context and what libraries take.

    It is asked at both ends and every `POLL_SECONDS`, also whether others compute there. A pause is not left out.

    Args:
        device: `cuda` or `cuda:INDEX`.
        opened: Opens the count of a device; returns it, or None and the reason.
    """

    def __init__(
        self, device: str, opened: Callable[[str], tuple[HeldOnDevice | None, str]] = HeldOnDevice.opened
    ) -> None:
        self._gpu, self._reason = opened(device)
        self._mib: float | None = None
        self.shared = False
        self._ended, self._reader = threading.Event(), None
        if self._gpu is not None:
            self.look()
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()

    def _read(self) -> None:
        while not self._ended.wait(POLL_SECONDS):
            self.look()

    def look(self) -> None:
        """Ask the driver once."""
        if self._gpu is not None:
            mib = self._gpu.mib({os.getpid()})
            self._mib = max((known for known in (self._mib, mib) if known is not None), default=None)
            self.shared = self.shared or bool(self._gpu.is_shared({os.getpid()}))

    def peak_mib(self) -> tuple[float | None, str]:
        """Return the peak in MiB, or None and the reason."""
        if self._gpu is not None and self._mib is None:
            return None, "the driver does not list this process (a container has process numbers of its own; MIG)"
        return self._mib, self._reason

    def close(self) -> None:
        """Ask a last time, and leave NVML."""
        self._ended.set()
        if self._reader is not None:
            self._reader.join()
        self.look()
        if self._gpu is not None:
            self._gpu.close()
            self._gpu, self._reason = None, self._reason or self.peak_mib()[1]


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
