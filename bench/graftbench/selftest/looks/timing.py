"""Times cover queued work: a planted slow kernel is inside, although the call that queues it returns at once."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

from graftbench.resources.monitor import FitMonitor
from graftbench.resources.steps import StepTimes
from graftbench.selftest.finding import judged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graftbench.selftest.finding import Bench, SelftestFinding

SHORTEST, LONGEST, SLACK_SECONDS = 0.95, 1.25, 0.05
"""A time may be so much of the device's own, and so many seconds more: clocks of GPUs change under load."""

STEPS, STEP_SECONDS = 5, 0.05


def look(bench: Bench) -> Iterator[SelftestFinding]:
    """Time planted work by the fit's clock and by the clock of steps, and compare with the device's own."""
    device = bench.device
    work = device.slow_work(0.2 if bench.quick else 1.0)

    # The clock of a fit.
    with FitMonitor(device.name) as monitor:
        start = time.perf_counter()
        taken = device.queue(work)
        returned = time.perf_counter() - start
    timed, truth = monitor.measurement.fit_seconds, taken()
    yield judged(
        "timing",
        "a fit's seconds hold planted work",
        ok=_fits(timed, truth),
        found=f"{timed:.3f} s; the call returned after {returned:.3f} s",
        expected=_range(truth),
        timed_seconds=timed,
        true_seconds=truth,
        returned_seconds=returned,
    )

    # What is aside is left out.
    with FitMonitor(device.name) as monitor, monitor.aside():
        work()
    aside, most = monitor.measurement.fit_seconds, SLACK_SECONDS + 0.1 * truth
    yield judged(
        "timing",
        "work aside is left out",
        ok=aside < most,
        found=f"{aside:.3f} s of {truth:.3f} s",
        expected=f"less than {most:.3f} s",
        timed_seconds=aside,
    )

    # The clock of steps.
    step = device.slow_work(STEP_SECONDS)
    steps, takings = StepTimes(device.name), []
    for _ in range(STEPS):
        steps.begin()
        takings.append(device.queue(step))
        steps.end(1)
    summary = steps.summary()
    timed, truth = summary.p50 if summary else float("nan"), median(take() for take in takings[1:])
    yield judged(
        "timing",
        "a step's seconds are the device's",
        ok=_fits(timed, truth),
        found=f"median of {STEPS - 1} steps {timed:.4f} s",
        expected=_range(truth),
        timed_seconds=timed,
        true_seconds=truth,
    )


def _fits(timed: float, truth: float) -> bool:
    return SHORTEST * truth <= timed <= LONGEST * truth + SLACK_SECONDS


def _range(truth: float) -> str:
    return f"{SHORTEST * truth:.3f} to {LONGEST * truth + SLACK_SECONDS:.3f} s (the device says {truth:.3f} s)"
