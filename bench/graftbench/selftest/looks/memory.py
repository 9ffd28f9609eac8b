"""Memory is counted: a planted tensor is in every count, and one that is aside in none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.resources.monitor import FitMonitor
from graftbench.selftest.finding import judged, skipped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graftbench.selftest.finding import Bench, SelftestFinding

PLANTED_MIB = 256

SLACK_MIB = {True: 4.0, False: 24.0}
"""On a GPU the allocator rounds up to 2 MiB; on a CPU the process keeps pages for other things besides."""


def look(bench: Bench) -> Iterator[SelftestFinding]:
    """Hold a planted tensor within a measured block, then aside, and read the counts."""
    device = bench.device
    slack = SLACK_MIB[device.is_gpu]
    del_warm = device.hold(1)  # the allocator, CUDA's context
    del del_warm
    device.release()

    # Within the block.
    with FitMonitor(device.name) as monitor:
        held = device.hold(PLANTED_MIB)
        device.synchronize()
        del held
    cost = monitor.measurement
    above = cost.fit_memory_mib
    yield judged(
        "memory",
        "a planted tensor is in the fit's memory",
        ok=above is not None and PLANTED_MIB - 1 <= above <= PLANTED_MIB + slack,
        found=f"{above} MiB above what was held before" if above is not None else "no count",
        expected=f"{PLANTED_MIB} to {PLANTED_MIB + slack:g} MiB",
        planted_mib=PLANTED_MIB,
        counted_mib=above if above is not None else float("nan"),
    )
    yield from _beside(bench, cost.reserved_memory_mib, cost.device_memory_mib, cost.peak_memory_mib, cost.missing)

    # Aside.
    device.release()
    with FitMonitor(device.name) as monitor, monitor.aside():
        held = device.hold(PLANTED_MIB)
        device.synchronize()
        del held
    aside = monitor.measurement.fit_memory_mib
    yield judged(
        "memory",
        "a tensor aside is not in it",
        ok=aside is not None and aside <= slack,
        found=f"{aside} MiB",
        expected=f"at most {slack:g} MiB",
    )


def _beside(
    bench: Bench, reserved: float | None, counted: float | None, allocated: float | None, missing: dict[str, str]
) -> Iterator[SelftestFinding]:
    """Look at the counts beside the allocator's: what it reserved, and what the driver says."""
    if not bench.device.is_gpu:
        yield skipped("memory", "reserved memory and the driver's count", "the device is a CPU")
        return
    yield judged(
        "memory",
        "what is reserved is at least what was allocated",
        ok=reserved is not None and allocated is not None and reserved >= allocated,
        found=f"{reserved} MiB reserved, {allocated} MiB allocated",
        expected="reserved ≥ allocated",
    )
    if counted is None:
        yield skipped("memory", "the driver's count", missing.get("device_memory_mib", "no reason was given"))
        return
    yield judged(
        "memory",
        "the driver counts at least what is reserved",
        ok=reserved is not None and counted >= reserved,
        found=f"{counted} MiB by the driver, {reserved} MiB reserved",
        expected="the driver's count ≥ reserved",
        driver_mib=counted,
    )
