"""Energy is the counter's: what a measured block says against the counter read around it, and a power that can be."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from graftbench.resources.energy import NvmlCounter, RaplCounter
from graftbench.resources.monitor import FitMonitor
from graftbench.selftest.finding import judged, skipped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graftbench.selftest.finding import Bench, SelftestFinding

GRAIN_SECONDS = 0.1
"""NVML's counter moves every 20 to 100 ms: a reading may be so old, at both ends."""

LEAST_WATTS, MOST_WATTS = 0.5, 3000.0
"""Of one board, or of all packages of a machine, under load."""


def look(bench: Bench) -> Iterator[SelftestFinding]:
    """Measure planted work, and read the counter around it."""
    device = bench.device
    powercap = Path("/sys/class/powercap")
    counter, reason = NvmlCounter.opened(device.name) if device.is_gpu else RaplCounter.opened(powercap)
    if counter is None:
        yield skipped("energy", "joules against the counter", reason)
        return
    work = device.slow_work(1.0 if bench.quick else 4.0)
    device.synchronize()
    before, start = counter.joules(), time.perf_counter()
    with FitMonitor(device.name) as monitor:
        work()
    after, seconds = counter.joules(), time.perf_counter() - start
    counter.close()
    joules = monitor.measurement.energy_joules
    if joules is None or before is None or after is None:
        yield skipped("energy", "joules against the counter", monitor.measurement.missing.get("energy_joules", "?"))
        return
    truth, watts = after - before, joules / seconds
    slack = 2 * GRAIN_SECONDS / seconds + 0.05
    yield judged(
        "energy",
        "joules against the counter",
        ok=abs(joules - truth) <= slack * truth,
        found=f"{joules:.1f} J",
        expected=f"{truth:.1f} J within {100 * slack:.0f} % (the counter's grain)",
        joules=joules,
        counter_joules=truth,
    )
    yield judged(
        "energy",
        "watts that can be",
        ok=LEAST_WATTS <= watts <= MOST_WATTS,
        found=f"{watts:.1f} W",
        expected=f"{LEAST_WATTS:g} to {MOST_WATTS:g} W",
        watts=watts,
    )
