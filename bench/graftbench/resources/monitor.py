"""Measure the cost of a fit: wall time, peak memory, energy, and how much of the machine others used meanwhile.

What each number covers:

- *Time* is wall time with the device synchronised at both ends, so queued GPU work is inside.
- *Memory* is, on CUDA, the most that torch's allocator held on the device; on a CPU, the most that this process had
  resident. Both marks are reset when the fit begins, so what came before counts only as far as it is still there.
  Beside it, on CUDA: what the allocator had *reserved* (a card must have that), what the *driver* counts for this
  process (with CUDA's own context and what libraries take past the allocator), and what the process had resident.
- *Energy* is that of the whole GPU board (NVML) or of all CPU packages (RAPL, without the DRAM), idle draw included.
  No counter gives a process's share, and none is guessed: where the driver lists other processes on the GPU meanwhile,
  there is no energy; what others do on a CPU is inside. No counter means None, never 0.
- *CPU time of others* is a share of all CPUs that `/proc/stat` lists: the machine's, whatever affinity or cgroup
  quota this process has. Inside a container the kernel still lists the host's.

What happens inside `FitMonitor.aside` (snapshots, checkpoints) is in neither time, memory nor energy: the mark of
memory is read before and reset after it. Not excluded is what stays resident on a CPU when it is over: modules that it
imported, the libraries' own caches, and what the C library keeps of freed memory in spite of `malloc_trim`. Nor is the
counters' grain (NVML's moves every 20 to 100 ms). The CPU time of others covers such spans too.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from graftbench.errors import GraftbenchError
from graftbench.records.record import Resources
from graftbench.resources.device import is_cuda
from graftbench.resources.energy import EnergySpan, NvmlCounter, RaplCounter
from graftbench.resources.memory import DeviceMemory, DriverCount, ResidentMemory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType
    from typing import Self

    import torch

    from graftbench.resources.steps import StepSummary

SHARED_ABOVE = 0.1
"""Share of the machine's CPU time in other hands above which a timing is only an upper bound."""

MIN_TICKS_PER_CORE = 20
"""Shortest span over which a share is stated. The kernel counts whole ticks (10 ms): one tick of error in 20 is 0.05,
half of SHARED_ABOVE."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The numbers that `FitMonitor` measured.

    Attributes:
        device: `cpu`, or the name of the CUDA device.
        fit_seconds: Wall time, without what was aside.
        fit_cpu_seconds: CPU time of this process and its finished children meanwhile, without what was aside.
        peak_memory_mib: Highest mark during the fit; None where the system tells none.
        fit_memory_mib: The mark less what was held when the fit began (imports, the images); None without either.
        memory_kind: `device` or `resident`; empty without a mark.
        memory_source: `torch` (allocator), `VmHWM` (reset at the start) or `ru_maxrss` (since the process started).
        energy_joules: None where no counter can be read, or where it did not move.
        energy_source: `nvml` or `rapl`; empty without a value.
        other_cpu_share: Share of the machine's CPU time that others used, 0 to 1; None where it cannot be told
            (no `/proc/stat`, or a fit shorter than `MIN_TICKS_PER_CORE` ticks). Of a fit that went on in another
            process, the last one's.
        reserved_memory_mib: The most that torch's allocator had taken from the device; None on a CPU.
        device_memory_mib: The most that the driver counted for this process on the device; None on a CPU, and where it
            does not tell.
        host_memory_mib: The most that this process had resident; None where the system tells none for the block.
        missing: Name of a field above (or of a record's) -> why it has no value.
    """

    device: str
    fit_seconds: float
    fit_cpu_seconds: float | None = None
    peak_memory_mib: float | None = None
    fit_memory_mib: float | None = None
    memory_kind: str = ""
    memory_source: str = ""
    energy_joules: float | None = None
    energy_source: str = ""
    other_cpu_share: float | None = None
    reserved_memory_mib: float | None = None
    device_memory_mib: float | None = None
    host_memory_mib: float | None = None
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def timing_shared(self) -> bool:
        """Return whether others used more than a tenth of the machine: the timing is then an upper bound."""
        return self.other_cpu_share is not None and self.other_cpu_share > SHARED_ABOVE

    @property
    def notes(self) -> list[str]:
        """Sentences that a reader of the numbers should know."""
        lifetime = (
            "Peak memory is the process's highest mark since it started, not during the fit: "
            "this system does not let the mark be reset."
        )
        return [lifetime] if self.memory_source == "ru_maxrss" else []


class FitMonitor:
    """Measures what happens inside its `with` block.

    >>> with FitMonitor("cpu") as monitor:
    ...     sampler = method.fit(task, budget)  # doctest: +SKIP
    >>> monitor.measurement.fit_seconds  # doctest: +SKIP

    The block is measured also when it raises. What is not the fit's (evaluation snapshots) happens inside `aside`.
    A fit that goes on in another process takes what the first one cost with it (`state_dict`, `load_state_dict`).

    Args:
        device: `cpu`, `cuda` or `cuda:INDEX`, as torch counts the devices it sees.
        stat: The system's CPU times (proc(5)).
        process: This process's folder under /proc.
        powercap: The folder of the RAPL counters.
        clock: Seconds, monotonic.
        own_cpu_seconds: CPU seconds that this process and its finished children have used.

    Raises:
        GraftbenchError: The device is neither of these.
    """

    def __init__(
        self,
        device: str | torch.device = "cpu",
        *,
        stat: Path = Path("/proc/stat"),
        process: Path = Path("/proc/self"),
        powercap: Path = Path("/sys/class/powercap"),
        clock: Callable[[], float] = time.perf_counter,
        own_cpu_seconds: Callable[[], float] | None = None,
    ) -> None:
        self._device = str(device)
        self._cuda = is_cuda(device)
        self._stat = stat
        self._process = process
        self._powercap = powercap
        self._clock = clock
        self._own_cpu_seconds = own_cpu_seconds or process_cpu_seconds
        self._synchronize = synchronizer(device)
        self._measurement: Measurement | None = None
        self._before = FitCost()

    @property
    def measurement(self) -> Measurement:
        """The measurement, once the block has ended.

        Raises:
            GraftbenchError: The block has not ended yet.
        """
        if self._measurement is None:
            raise GraftbenchError("A measurement was asked for before the measured block had ended.")
        return self._measurement

    def __enter__(self) -> Self:
        self._measurement = None
        self._begin()
        return self

    def _begin(self) -> None:
        self._host = ResidentMemory(self._process)
        self._memory = DeviceMemory(self._device) if self._cuda else self._host
        self._driver = DriverCount(self._device) if self._cuda else None
        counter, self._no_energy = (
            NvmlCounter.opened(self._device) if self._cuda else RaplCounter.opened(self._powercap)
        )
        self._synchronize()
        self._energy = EnergySpan(counter)
        self._ticks = read_cpu_ticks(self._stat)
        self._own_cpu_start = self._own_cpu_seconds()
        self._aside_at: float | None = None
        self._aside_seconds = self._aside_cpu_seconds = self._aside_cpu_at = 0.0
        self._started = self._clock()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Leave out what happens inside from the fit's cost; only within the measured block."""
        self._synchronize()
        self._aside_at, self._aside_cpu_at = self._clock(), self._own_cpu_seconds()
        marks = list(dict.fromkeys([self._memory, self._host]))
        for mark in marks:
            mark.look()
        self._energy.pause()
        try:
            yield
        finally:
            self._synchronize()
            self._energy.go_on()
            for mark in marks:
                mark.reset()
            self._aside_seconds += self._clock() - self._aside_at
            self._aside_cpu_seconds += self._own_cpu_seconds() - self._aside_cpu_at
            self._aside_at = None

    def joules(self) -> float | None:
        """Return the fit's energy so far, the processes before this one included; None where it is not known."""
        return self.state_dict()["joules"]

    def state_dict(self) -> dict[str, Any]:
        """Return what the fit has cost so far, the processes before this one included."""
        now = self._clock() if self._aside_at is None else self._aside_at
        cpu_now = self._own_cpu_seconds() if self._aside_at is None else self._aside_cpu_at
        return asdict(self._cost(now, cpu_now, *self._energy.so_far()))

    def _cost(self, now: float, cpu_now: float, joules: float | None, energy_source: str) -> FitCost:
        """Return what the fit has cost until these readings of the clocks and of the energy counter."""
        mib, memory_source = self._memory.peak_mib()
        baseline = self._memory.baseline_mib
        host, host_source = self._host.peak_mib()
        return self._before.and_then(
            FitCost(
                now - self._started - self._aside_seconds,
                mib,
                memory_source,
                joules,
                energy_source,
                cpu_now - self._own_cpu_start - self._aside_cpu_seconds,
                None if mib is None or baseline is None else max(0.0, mib - baseline),
                self._memory.reserved_mib() if isinstance(self._memory, DeviceMemory) else None,
                self._driver.peak_mib()[0] if self._driver else None,
                host if host_source == "VmHWM" else None,
            )
        )

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Begin again inside the block, and count from what another process left: what this one did does not count."""
        self._energy.end()
        if self._driver is not None:
            self._driver.close()
        self._before = FitCost(**state)
        self._begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._synchronize()
        except RuntimeError:
            if error is None:  # an asynchronous CUDA error is the block's own; a second one would hide the first
                self._energy.end()
                if self._driver is not None:
                    self._driver.close()
                raise
        now, energy, cpu_now = self._clock(), self._energy.end(), self._own_cpu_seconds()
        if self._driver is not None:
            self._driver.close()
        if self._driver is not None and self._driver.shared and energy[0] is not None:
            energy, self._no_energy = (None, ""), "other processes computed on the GPU meanwhile"
        share = other_cpu_share(self._ticks, read_cpu_ticks(self._stat), cpu_now - self._own_cpu_start)
        cost = self._cost(now, cpu_now, *energy)
        self._measurement = Measurement(
            device=self._memory.device,
            fit_seconds=cost.seconds,
            fit_cpu_seconds=cost.cpu_seconds,
            peak_memory_mib=cost.peak_memory_mib,
            fit_memory_mib=cost.fit_memory_mib,
            memory_kind="" if cost.peak_memory_mib is None else self._memory.kind,
            memory_source=cost.memory_source,
            energy_joules=cost.joules,
            energy_source=cost.energy_source,
            other_cpu_share=share,
            reserved_memory_mib=cost.reserved_memory_mib,
            device_memory_mib=cost.device_memory_mib,
            host_memory_mib=cost.host_memory_mib,
            missing=self._missing(cost),
        )

    def _missing(self, cost: FitCost) -> dict[str, str]:
        """Return why what was not measured was not."""
        on_cpu = "the device is a CPU"
        driver = self._driver.peak_mib()[1] if self._driver else on_cpu
        elsewhere = "it was not measured in all processes of the fit"
        reasons = {
            "peak_memory_mib": "this system tells no mark of memory",
            "reserved_memory_mib": elsewhere if self._cuda else on_cpu,
            "device_memory_mib": driver or elsewhere,
            "host_memory_mib": "this system does not let the mark be reset",
            "energy_joules": self._no_energy or "the counter did not move, or not in all processes of the fit",
        }
        values = asdict(cost) | {"energy_joules": cost.joules}
        return {name: reason for name, reason in reasons.items() if values[name] is None}


@dataclass(frozen=True)
class FitCost:
    """The cost of a part of a fit, in one process.

    Attributes:
        seconds: Wall time, without what was aside.
        peak_memory_mib: As in Measurement.
        memory_source: Likewise; empty where nothing was measured yet.
        joules: As in Measurement.
        energy_source: Likewise.
        cpu_seconds: CPU time of the process and its finished children, without what was aside.
        fit_memory_mib: As in Measurement.
        reserved_memory_mib: As in Measurement.
        device_memory_mib: As in Measurement.
        host_memory_mib: As in Measurement.
    """

    seconds: float = 0.0
    peak_memory_mib: float | None = None
    memory_source: str = ""
    joules: float | None = None
    energy_source: str = ""
    cpu_seconds: float = 0.0
    fit_memory_mib: float | None = None
    reserved_memory_mib: float | None = None
    device_memory_mib: float | None = None
    host_memory_mib: float | None = None

    def and_then(self, later: FitCost) -> FitCost:
        """Return the cost of both parts together. What was not measured in one of them is not known of both."""
        if self == FitCost():
            return later
        counted = self.joules is not None and later.joules is not None and self.energy_source == later.energy_source
        peak = _larger(self.peak_memory_mib, later.peak_memory_mib)
        sources = {self.memory_source, later.memory_source}
        return FitCost(
            self.seconds + later.seconds,
            peak,
            "" if peak is None else "ru_maxrss" if "ru_maxrss" in sources else later.memory_source,
            (self.joules or 0) + (later.joules or 0) if counted else None,
            later.energy_source if counted else "",
            self.cpu_seconds + later.cpu_seconds,
            _larger(self.fit_memory_mib, later.fit_memory_mib),
            _larger(self.reserved_memory_mib, later.reserved_memory_mib),
            _larger(self.device_memory_mib, later.device_memory_mib),
            _larger(self.host_memory_mib, later.host_memory_mib),
        )


def _larger(one: float | None, other: float | None) -> float | None:
    """Return the larger of two marks; None unless both are known."""
    return None if one is None or other is None else max(one, other)


@dataclass(frozen=True, kw_only=True)
class Beside:
    """Measurements beside a fit that go into its record; None for those that were not made.

    Attributes:
        sampling: Of sampling the evaluation's images.
        steps: How long the fit's steps took.
        calibration_seconds: Of the fixed work beside the fit (graftbench.resources.calibration).
        peak_flops_per_second: Of a large product of matrices (likewise).
        peak_flops_dtype: In which it was measured.
        sampler_bytes: Of the sampler's tensors.
        stored_bytes: Of what of them the source model does not hold.
        missing: Name of a field of the record -> why it has no value.
    """

    sampling: Measurement | None = None
    steps: StepSummary | None = None
    calibration_seconds: float | None = None
    peak_flops_per_second: float | None = None
    peak_flops_dtype: str = ""
    sampler_bytes: int | None = None
    stored_bytes: int | None = None
    missing: dict[str, str] = field(default_factory=dict)


def resources(
    measurement: Measurement,
    *,
    images_seen: int,
    paused_seconds: float = 0.0,
    sampled_images: int = 0,
    sampling_seconds: float | None = None,
    parameters_total: int = 0,
    parameters_trained: int = 0,
    flops_per_image: float | None = None,
    beside: Beside | None = None,
) -> Resources:
    """Make the record of a cell's cost.

    Args:
        measurement: Of the fit.
        images_seen: Training images shown, as metered.
        paused_seconds: Wall seconds inside the fit that were not the fit's and not aside; taken off fit_seconds.
        sampled_images: Images drawn for the evaluation.
        sampling_seconds: Wall seconds that drawing them took; None if not measured.
        parameters_total: Numbers in all networks that take part.
        parameters_trained: Those that the fit moves.
        flops_per_image: Floating-point operations per training image; None if not counted.
        beside: What was measured beside the fit.
    """
    fit_seconds = measurement.fit_seconds - paused_seconds
    beside = beside or Beside()
    sampling, steps = beside.sampling, beside.steps
    costs = Resources(
        device=measurement.device,
        fit_seconds=fit_seconds,
        fit_cpu_seconds=measurement.fit_cpu_seconds,
        images_seen=images_seen,
        training_images_per_second=_rate(images_seen, fit_seconds),
        sampling_images_per_second=_rate(sampled_images, sampling_seconds),
        peak_memory_mib=measurement.peak_memory_mib,
        fit_memory_mib=measurement.fit_memory_mib,
        memory_kind=measurement.memory_kind,
        energy_joules=measurement.energy_joules,
        energy_source=measurement.energy_source,
        parameters_total=parameters_total,
        parameters_trained=parameters_trained,
        flops_per_image=flops_per_image,
        flops=None if flops_per_image is None else flops_per_image * images_seen,
        other_cpu_share=measurement.other_cpu_share,
        timing_shared=measurement.timing_shared,
        calibration_seconds=beside.calibration_seconds,
        reserved_memory_mib=measurement.reserved_memory_mib,
        device_memory_mib=measurement.device_memory_mib,
        host_memory_mib=measurement.host_memory_mib,
        sampling_memory_mib=sampling and sampling.peak_memory_mib,
        sampling_reserved_memory_mib=sampling and sampling.reserved_memory_mib,
        sampling_device_memory_mib=sampling and sampling.device_memory_mib,
        sampling_host_memory_mib=sampling and sampling.host_memory_mib,
        joules_per_image=_share(measurement.energy_joules, images_seen),
        joules_per_1000_samples=_share(sampling and sampling.energy_joules, sampled_images / 1000),
        warmup_seconds=steps and steps.warmup_seconds,
        steady_images_per_second=steps and steps.images_per_second,
        step_seconds_p50=steps and steps.p50,
        step_seconds_p90=steps and steps.p90,
        step_seconds_p99=steps and steps.p99,
        mfu=_utilisation(flops_per_image, steps and steps.images_per_second, beside.peak_flops_per_second),
        peak_flops_per_second=beside.peak_flops_per_second,
        peak_flops_dtype=beside.peak_flops_dtype,
        sampler_bytes=beside.sampler_bytes,
        stored_bytes=beside.stored_bytes,
    )
    return msgspec.structs.replace(costs, unmeasured=_reasons(costs, measurement, beside))


_OF_SAMPLING = {
    "peak_memory_mib": "sampling_memory_mib",
    "reserved_memory_mib": "sampling_reserved_memory_mib",
    "device_memory_mib": "sampling_device_memory_mib",
    "host_memory_mib": "sampling_host_memory_mib",
    "energy_joules": "joules_per_1000_samples",
}
"""Field of a measurement of sampling -> field of the record."""
_OF_STEPS = ("warmup_seconds", "steady_images_per_second", "step_seconds_p50", "step_seconds_p90", "step_seconds_p99")


def _reasons(costs: Resources, measurement: Measurement, beside: Beside) -> dict[str, str]:
    """Return why each field that has no value has none, where it is known."""
    reasons = dict(measurement.missing)
    if "energy_joules" in reasons:
        reasons["joules_per_image"] = reasons["energy_joules"]
    nothing = "nothing was sampled, or the sampler could not be watched"
    for name, field_name in _OF_SAMPLING.items():
        why = beside.sampling.missing.get(name, "") if beside.sampling else nothing
        reasons |= {field_name: why} if why else {}
    reasons |= dict.fromkeys(_OF_STEPS, "the fit asked its budget for fewer than two batches")
    reasons |= dict.fromkeys(("flops_per_image", "flops"), "torch counted no operations in the first batch")
    reasons |= beside.missing
    lacking = [name for name in ("flops_per_image", "steady_images_per_second", "peak_flops_per_second")
               if getattr(costs, name) is None and name in reasons]  # fmt: skip
    reasons["mfu"] = "; ".join(f"{name}: {reasons[name]}" for name in lacking)
    return {name: reason for name, reason in reasons.items() if reason and getattr(costs, name) is None}


def _share(joules: float | None, count: float) -> float | None:
    return None if joules is None or count <= 0 else joules / count


def _utilisation(flops_per_image: float | None, images_per_second: float | None, peak: float | None) -> float | None:
    if not flops_per_image or images_per_second is None or peak is None:
        return None
    return flops_per_image * images_per_second / peak


def with_told(
    costs: Resources, *, measured: Mapping[str, float | str | None], declared: Mapping[str, float | int | str]
) -> Resources:
    """Return costs with those that the method told.

    Args:
        costs: What the suite measured.
        measured: What the method measured better: it takes the place of the suite's.
        declared: What nobody measured here. It fills what is not known, and never takes the place of a measurement;
            what it fills is named in `declared`.
    """
    costs = msgspec.structs.replace(costs, **measured)
    empty = {name: value for name, value in declared.items() if getattr(costs, name) in (None, 0, "")}
    costs = msgspec.structs.replace(costs, **empty, declared=sorted(empty))
    reasons = dict.fromkeys((name for name, value in measured.items() if value is None), "another program did the work")
    unmeasured = {name: why for name, why in (costs.unmeasured | reasons).items() if getattr(costs, name) is None}
    return msgspec.structs.replace(costs, unmeasured=unmeasured)


def declared_resources(declared: Mapping[str, float | int | str]) -> Resources | None:
    """Return the costs of what was made elsewhere: all declared, none measured; None where nothing was declared."""
    if not declared:
        return None
    return with_told(Resources(device="", fit_seconds=None, images_seen=0), measured={}, declared=declared)


def _rate(count: int, seconds: float | None) -> float | None:
    return count / seconds if count > 0 and seconds is not None and seconds > 0 else None


# ---------------------------------------------------------------------------------------------------------- device


def synchronizer(device: str | torch.device) -> Callable[[], None]:
    """Return a function that waits until the device has done all that was queued; on a CPU it does nothing."""
    if not is_cuda(device):
        return lambda: None
    import torch  # noqa: PLC0415 - reports read this module's constants without torch

    return lambda: torch.cuda.synchronize(device)


# ------------------------------------------------------------------------------------------- CPU time of the machine


class CpuTicks(NamedTuple):
    """CPU time of the whole machine since boot, in clock ticks summed over its cores."""

    busy: int
    total: int
    cores: int


def read_cpu_ticks(stat: Path) -> CpuTicks | None:
    """Read the machine's CPU times; None where the file is missing or is not in the format of proc(5).

    Busy is user, nice, system, irq, softirq and steal (time that the hypervisor gave to other guests: it slows a
    timing like any other process). Guest time is inside user already.
    """
    try:
        lines = stat.read_text().splitlines()
        words = lines[0].split()
        user, nice, system, idle, iowait, irq, softirq, steal = (int(word) for word in words[1:9])
    except (OSError, ValueError, IndexError):
        return None
    cores = sum(line.startswith("cpu") and line[3:4].isdigit() for line in lines)
    busy = user + nice + system + irq + softirq + steal
    return CpuTicks(busy, busy + idle + iowait, cores) if words[0] == "cpu" and cores else None


def process_cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its children that have ended and been waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def other_cpu_share(
    before: CpuTicks | None, after: CpuTicks | None, own_seconds: float, ticks_per_second: float | None = None
) -> float | None:
    """Return the share of the machine's CPU time between two readings that was neither idle nor this process's, 0 to 1.

    A worker process that still runs at the end counts among the others until it has been waited for.

    Args:
        before: Reading at the start.
        after: Reading at the end.
        own_seconds: CPU seconds that this process used between them.
        ticks_per_second: The unit of the readings; None asks the system.

    Returns:
        None where a reading is missing or the span is too short to tell (`MIN_TICKS_PER_CORE`).
    """
    if before is None or after is None or after.total - before.total < MIN_TICKS_PER_CORE * after.cores:
        return None
    own_ticks = own_seconds * (ticks_per_second or os.sysconf("SC_CLK_TCK"))
    share = (after.busy - before.busy - own_ticks) / (after.total - before.total)
    return min(1.0, max(0.0, share))
