"""Energy counters: RAPL for processors, NVML for GPUs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from graftbench.resources.device import NvmlDevice, mig_enabled

if TYPE_CHECKING:
    from pathlib import Path

RAPL_PERIOD_SECONDS = 30.0
"""How often the RAPL counters are read. The smallest range in use (32 bits of 15.3 µJ, 65.5 kJ) lasts 65 s at
1,000 W, so no counter can turn over unseen."""


class EnergyCounter(Protocol):
    """A hardware counter. `period_seconds` is how often it has to be read; None: only at the ends."""

    source: str
    period_seconds: float | None

    def joules(self) -> float | None:
        """Return the energy since some fixed moment; None when it cannot be read (any more)."""
        ...

    def close(self) -> None:
        """Give the counter back."""
        ...


class RaplCounter:
    """Energy of all CPU packages since the counter was opened, turn-overs counted (Linux powercap interface).

    `energy_uj` counts up to `max_energy_range_uj` and begins again at 0. Intel's and AMD's packages both appear as
    `intel-rapl:N` with the name `package-N`; their parts (`intel-rapl:N:M`: core, uncore, dram) and the platform
    (`psys`) are other names and are not added. `intel-rapl-mmio` mirrors the same packages.
    """

    source = "rapl"
    period_seconds: float | None = RAPL_PERIOD_SECONDS

    def __init__(self, packages: list[Path]) -> None:
        self._packages = packages
        self._ranges_uj = [_read_int(package / "max_energy_range_uj") for package in packages]
        self._last_uj = [_read_int(package / "energy_uj") for package in packages]
        self._joules = 0.0
        self._lock = threading.Lock()

    @classmethod
    def open(cls, powercap: Path) -> RaplCounter | None:
        """Open the counter; None where there is none or (most often) only root may read it."""
        return cls.opened(powercap)[0]

    @classmethod
    def opened(cls, powercap: Path) -> tuple[RaplCounter | None, str]:
        """Open the counter; return it, or None and the reason in a few words."""
        try:
            packages = [
                zone
                for zone in sorted(powercap.glob("intel-rapl:*"))
                if (zone / "name").read_text().startswith("package")
            ]
            return (cls(packages), "") if packages else (None, "this machine shows no energy counter (RAPL)")
        except (OSError, ValueError) as error:
            return None, f"the energy counter (RAPL) cannot be read ({type(error).__name__})"

    def joules(self) -> float | None:
        """Return the joules since opening; None if a package can no longer be read: a part would pass for the whole."""
        with self._lock:
            try:
                now_uj = [_read_int(package / "energy_uj") for package in self._packages]
            except (OSError, ValueError):
                return None
            for now, last, range_uj in zip(now_uj, self._last_uj, self._ranges_uj, strict=True):
                self._joules += (now - last + (range_uj if now < last else 0)) / 1e6
            self._last_uj = now_uj
            return self._joules

    def close(self) -> None:
        """Give nothing back: the files are opened for each reading."""


def _read_int(path: Path) -> int:
    return int(path.read_text())


class NvmlCounter(NvmlDevice):
    """Energy of one GPU board since the driver was loaded (nvmlDeviceGetTotalEnergyConsumption, Volta and later)."""

    source = "nvml"
    period_seconds: float | None = None

    def lacks(self) -> str:
        """Return why the GPU has no counter of its own: that of all MIG slices says nothing about one."""
        if mig_enabled(self._nvml, self._handle):
            return "the GPU is cut into instances (MIG), whose energy no counter gives"
        try:
            self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)
        except self._nvml.NVMLError as error:
            return f"the driver does not count this GPU's energy ({error})"
        return ""

    def joules(self) -> float | None:
        """Return the joules since the driver was loaded; the counter is in millijoules and moves every 20 to 100 ms."""
        try:
            return self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle) / 1e3
        except self._nvml.NVMLError:
            return None


class EnergySpan:
    """Energy between construction and `end`, without the pauses; reads in between where the counter turns over."""

    def __init__(self, counter: EnergyCounter | None) -> None:
        self._counter = counter
        self._start = counter.joules() if counter else None
        self._paused_at: float | None = None
        self._ended = threading.Event()
        self._reader: threading.Thread | None = None
        if counter and counter.period_seconds is not None:
            self._reader = threading.Thread(target=self._read, args=(counter, counter.period_seconds), daemon=True)
            self._reader.start()

    def _read(self, counter: EnergyCounter, period_seconds: float) -> None:
        while not self._ended.wait(period_seconds):
            counter.joules()

    def pause(self) -> None:
        """Stop counting what is used from now on."""
        self._paused_at = self._counter.joules() if self._counter else None

    def go_on(self) -> None:
        """Count again. A reading that failed makes the whole span unknown."""
        end = self._counter.joules() if self._counter else None
        if self._start is None or self._paused_at is None or end is None:
            self._start = None
        else:
            self._start += end - self._paused_at
        self._paused_at = None

    def so_far(self) -> tuple[float | None, str]:
        """Return (joules, source); (None, "") without a counter, or if it did not move or went back (driver reset)."""
        if self._counter is None:
            return None, ""
        now = self._counter.joules() if self._paused_at is None else self._paused_at
        if self._start is None or now is None or now <= self._start:
            return None, ""
        return now - self._start, self._counter.source

    def end(self) -> tuple[float | None, str]:
        """Return what `so_far` does, and give the counter back."""
        energy = self.so_far()
        self._ended.set()
        if self._reader is not None:
            self._reader.join()
        if self._counter is not None:
            self._counter.close()
        return energy
