"""What a fit costs: each counter against files in the kernel's own format, and against this machine."""

from __future__ import annotations

import mmap
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import fake_gpu
import pytest

from graftbench.errors import GraftbenchError
from graftbench.resources.energy import EnergySpan, NvmlCounter, RaplCounter
from graftbench.resources.monitor import (
    Beside,
    CpuTicks,
    FitCost,
    FitMonitor,
    Measurement,
    other_cpu_share,
    process_cpu_seconds,
    read_cpu_ticks,
    resources,
    synchronizer,
)
from graftbench.resources.steps import StepSummary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 2**20

# A two-core machine's /proc/stat, shortened after `btime`. Busy: 13972 + 0 + 6715 + 0 + 66 + 12 = 20765;
# idle and iowait: 543308 + 643 = 543951.
STAT = """cpu  13972 0 6715 543308 643 0 66 12 0 0
cpu0 1176 0 1488 279476 138 0 12 3 0 0
cpu1 12796 0 5226 263832 505 0 53 8 0 0
intr 281559 0 0 0 1 14 0
ctxt 467417
btime 1763701000
"""

# 400 ticks later on each core (800 in all): 300 user, 50 system, 20 softirq, 30 steal = 400 busy, 400 idle.
STAT_LATER = """cpu  14272 0 6765 543708 643 0 86 42 0 0
cpu0 1476 0 1538 279526 138 0 12 3 0 0
cpu1 12796 0 5226 264182 505 0 73 38 0 0
intr 281559 0 0 0 1 14 0
ctxt 467417
btime 1763701000
"""

ON_LINUX = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")


def _clock(*moments: float) -> Callable[[], float]:
    remaining = iter(moments)
    return lambda: next(remaining)


def _ticks_per_second() -> int:
    return os.sysconf("SC_CLK_TCK")


# ------------------------------------------------------------------------------------------------------ time, shape


def test_fit_seconds_are_the_clock_s(tmp_path: Path) -> None:
    """The fit's time is what the clock says between the ends of the block."""
    with FitMonitor(clock=_clock(10.0, 12.5), powercap=tmp_path) as monitor:
        pass
    assert monitor.measurement.fit_seconds == 2.5
    assert monitor.measurement.device == "cpu"


def test_no_measurement_before_the_end(tmp_path: Path) -> None:
    """Asking inside the block is an error, not a half-made number."""
    with FitMonitor(powercap=tmp_path) as monitor, pytest.raises(GraftbenchError, match="before the measured block"):
        _ = monitor.measurement


def test_a_fit_that_raises_is_measured_and_its_error_passes(tmp_path: Path) -> None:
    """A cell that runs out of memory has cost something all the same."""
    monitor = FitMonitor(clock=_clock(0.0, 3.0), powercap=tmp_path)
    with pytest.raises(MemoryError), monitor:
        raise MemoryError
    assert monitor.measurement.fit_seconds == 3.0


def test_unknown_device() -> None:
    """A device that nothing here can measure is refused with those that can."""
    with pytest.raises(GraftbenchError, match=r"'tpu:0'.*'cpu', 'cuda'"):
        FitMonitor("tpu:0")


def test_import_leaves_torch_alone() -> None:
    """Reports and `--help` import this module; torch would cost them seconds."""
    program = (
        "import sys, graftbench.resources.monitor, graftbench.resources.environment; sys.exit('torch' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", program], check=False, env=environment).returncode == 0


# ------------------------------------------------------------------------------------------- CPU time of the machine


def test_cpu_ticks_by_hand(tmp_path: Path) -> None:
    """The sums of a real file's first line, by hand (see STAT)."""
    stat = tmp_path / "stat"
    stat.write_text(STAT)
    assert read_cpu_ticks(stat) == CpuTicks(busy=20765, total=20765 + 543951, cores=2)


@pytest.mark.parametrize("text", ["", "cpu  1 2 3\n", "intr 1 2 3 4 5 6 7 8 9\n", "cpu  a b c d e f g h\ncpu0 1\n"])
def test_cpu_ticks_of_another_format(tmp_path: Path, text: str) -> None:
    """A file that is not as proc(5) has it gives no numbers."""
    stat = tmp_path / "stat"
    stat.write_text(text)
    assert read_cpu_ticks(stat) is None


def test_cpu_ticks_without_proc(tmp_path: Path) -> None:
    """No /proc, no numbers."""
    assert read_cpu_ticks(tmp_path / "missing") is None


@ON_LINUX
def test_cpu_ticks_of_this_machine() -> None:
    """The real file parses, and time goes forward."""
    first, second = read_cpu_ticks(Path("/proc/stat")), read_cpu_ticks(Path("/proc/stat"))
    assert first is not None
    assert second is not None
    assert first.cores == os.cpu_count()
    assert 0 < first.busy <= first.total <= second.total


def test_share_of_others_by_hand() -> None:
    """Of 1,000 ticks 400 were busy and 100 our own (1 s at 100 Hz): others had 300/1000."""
    share = other_cpu_share(CpuTicks(50, 5000, 2), CpuTicks(450, 6000, 2), own_seconds=1.0, ticks_per_second=100)
    assert share == pytest.approx(0.3)


@pytest.mark.parametrize(("own_seconds", "expected"), [(5.0, 0.0), (-20.0, 1.0)])
def test_share_stays_a_share(own_seconds: float, expected: float) -> None:
    """The kernel samples busy time and counts our own exactly; their difference is clipped to 0..1."""
    assert other_cpu_share(CpuTicks(0, 0, 2), CpuTicks(400, 1000, 2), own_seconds, ticks_per_second=100) == expected


def test_share_of_a_short_fit_is_not_stated() -> None:
    """Below 20 ticks per core one tick of error would be more than half of the threshold."""
    start = CpuTicks(0, 0, 2)
    assert other_cpu_share(start, CpuTicks(10, 39, 2), own_seconds=0.0, ticks_per_second=100) is None
    assert other_cpu_share(start, CpuTicks(10, 40, 2), own_seconds=0.0, ticks_per_second=100) == 0.25


def test_share_without_a_reading() -> None:
    """A missing reading at either end leaves the share unknown."""
    assert other_cpu_share(None, CpuTicks(1, 1000, 1), 0.0) is None
    assert other_cpu_share(CpuTicks(1, 1, 1), None, 0.0) is None


@pytest.mark.parametrize(("own_busy", "share", "shared"), [(200, 0.25, True), (330, 0.0875, False)])
def test_monitor_takes_its_own_time_off(tmp_path: Path, own_busy: int, share: float, *, shared: bool) -> None:
    """400 of 800 ticks were busy: what the process did not use itself is the others' (see STAT_LATER)."""
    stat = tmp_path / "stat"
    stat.write_text(STAT)
    own = _clock(7.0, 7.0 + own_busy / _ticks_per_second())
    with FitMonitor(stat=stat, powercap=tmp_path, own_cpu_seconds=own) as monitor:
        stat.write_text(STAT_LATER)
    assert monitor.measurement.other_cpu_share == pytest.approx(share)
    assert monitor.measurement.timing_shared is shared


def test_unknown_share_marks_nothing(tmp_path: Path) -> None:
    """Where the share cannot be told it is None, and the timing is not called shared."""
    with FitMonitor(stat=tmp_path / "missing", powercap=tmp_path) as monitor:
        pass
    assert monitor.measurement.other_cpu_share is None
    assert monitor.measurement.timing_shared is False


@pytest.fixture
def other_process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that keeps one core busy."""
    with subprocess.Popen(
        [sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE
    ) as busy:
        assert busy.stdout is not None
        busy.stdout.readline()
        yield busy
        busy.kill()


@ON_LINUX
@pytest.mark.usefixtures("other_process")
def test_a_busy_neighbour_is_seen(tmp_path: Path) -> None:
    """One process in a loop has up to 1/cores of the machine; a third of that is asked for, as it may have to wait."""
    with FitMonitor(powercap=tmp_path) as monitor:
        threading.Event().wait(0.6)
    share = monitor.measurement.other_cpu_share
    assert share is not None
    assert share > 1 / 3 / (os.cpu_count() or 1)


def test_finished_children_are_our_own() -> None:
    """A worker that has been waited for is part of the fit's own CPU time."""
    before = process_cpu_seconds()
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.3: pass"], check=True)
    assert process_cpu_seconds() - before > 0.25


# ---------------------------------------------------------------------------------------------------------- memory


def touch(held: mmap.mmap) -> None:
    """Make every page of a mapping resident. Not with bytes: malloc might hand out pages that are resident already."""
    for page in range(0, len(held), mmap.PAGESIZE):
        held[page] = 1


@ON_LINUX
def test_peak_includes_what_was_freed_again(tmp_path: Path) -> None:
    """64 MiB that live only inside the block are in its peak."""
    with FitMonitor(powercap=tmp_path) as small:
        pass
    with FitMonitor(powercap=tmp_path) as monitor, mmap.mmap(-1, 64 * MIB) as held:
        touch(held)
    peak, before = monitor.measurement.peak_memory_mib, small.measurement.peak_memory_mib
    assert peak is not None
    assert before is not None
    assert 60 < peak - before < 100  # the 64, give or take the pages that the interpreter takes or gives back
    assert monitor.measurement.memory_kind == "resident"
    assert monitor.measurement.memory_source == "VmHWM"
    assert monitor.measurement.notes == []


@ON_LINUX
def test_peak_leaves_out_what_was_freed_before(tmp_path: Path) -> None:
    """256 MiB that were given back before the block began are not in its peak, although the process once had them."""
    with FitMonitor(powercap=tmp_path) as before, mmap.mmap(-1, 256 * MIB) as held:
        touch(held)
    with FitMonitor(powercap=tmp_path) as monitor:
        pass
    high, low = before.measurement.peak_memory_mib, monitor.measurement.peak_memory_mib
    assert high is not None
    assert low is not None
    assert high - low > 200


def test_peak_without_proc_is_the_lifetime_s_and_says_so(tmp_path: Path) -> None:
    """Where the mark cannot be reset, getrusage's is given, with a sentence."""
    with FitMonitor(process=tmp_path / "missing", powercap=tmp_path) as monitor:
        pass
    measurement = monitor.measurement
    unit = 1 if sys.platform == "darwin" else 1024
    assert measurement.memory_source == "ru_maxrss"
    assert measurement.peak_memory_mib == pytest.approx(
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB, rel=0.05
    )
    assert "since it started" in measurement.notes[0]


def test_high_water_mark_is_in_kib(tmp_path: Path) -> None:
    """VmHWM's "kB" are KiB: 320,760 of them are 313.242 MiB."""
    (tmp_path / "status").write_text("Name:\tpython\nVmPeak:\t  999999 kB\nVmHWM:\t  320760 kB\nVmRSS:\t   13556 kB\n")
    with FitMonitor(process=tmp_path, powercap=tmp_path) as monitor:
        pass
    assert (tmp_path / "clear_refs").read_text() == "5"  # proc(5): resets the peak resident set size
    assert monitor.measurement.peak_memory_mib == pytest.approx(313.242, abs=1e-3)


def test_memory_of_the_fit_is_above_what_was_held_before(tmp_path: Path) -> None:
    """Of a mark of 700 MiB 455 were imports: the fit took 245; and as much of a fit that goes on elsewhere."""
    (tmp_path / "status").write_text(f"VmHWM:\t  {455 * 1024} kB\nVmRSS:\t  {455 * 1024} kB\n")
    with FitMonitor(process=tmp_path, powercap=tmp_path) as monitor:
        (tmp_path / "status").write_text(f"VmHWM:\t  {700 * 1024} kB\nVmRSS:\t  {600 * 1024} kB\n")
        assert monitor.state_dict()["fit_memory_mib"] == 245.0
    assert (monitor.measurement.peak_memory_mib, monitor.measurement.fit_memory_mib) == (700.0, 245.0)
    assert resources(monitor.measurement, images_seen=1).fit_memory_mib == 245.0
    first, later = (FitCost(1.0, mark, "VmHWM", fit_memory_mib=above) for mark, above in ((500.0, 90.0), (480.0, 99.0)))
    assert first.and_then(later).fit_memory_mib == 99.0
    assert FitCost(1.0, 500.0, "VmHWM").and_then(later).fit_memory_mib is None  # a checkpoint of an older version


# ------------------------------------------------------------------------------------------- aside, and gone on with


def test_time_aside_does_not_count(tmp_path: Path) -> None:
    """Of 10 s four were aside; within them the state says what the three before cost."""
    clock = _clock(0.0, 3.0, 7.0, 10.0)
    with FitMonitor(clock=clock, powercap=tmp_path) as monitor, monitor.aside():
        assert monitor.state_dict()["seconds"] == 3.0
    assert monitor.measurement.fit_seconds == 6.0


def test_cpu_time_aside_does_not_count(tmp_path: Path) -> None:
    """Of 9 CPU seconds four were aside, and the state within them says what the two before cost."""
    own = _clock(1.0, 3.0, 7.0, 10.0)
    with FitMonitor(own_cpu_seconds=own, powercap=tmp_path) as monitor, monitor.aside():
        assert monitor.state_dict()["cpu_seconds"] == 2.0
    assert monitor.measurement.fit_cpu_seconds == 5.0


@ON_LINUX
def test_memory_aside_does_not_count(tmp_path: Path) -> None:
    """256 MiB that live only aside are not in the peak; the 64 MiB that were there before it still are."""
    with FitMonitor(powercap=tmp_path) as small:
        pass
    with FitMonitor(powercap=tmp_path) as monitor:
        with mmap.mmap(-1, 64 * MIB) as held:
            touch(held)
        with monitor.aside(), mmap.mmap(-1, 256 * MIB) as held:
            touch(held)
    peak, before = monitor.measurement.peak_memory_mib, small.measurement.peak_memory_mib
    assert peak is not None
    assert before is not None
    assert 60 < peak - before < 100  # as without anything aside


def test_energy_aside_does_not_count(tmp_path: Path) -> None:
    """1 J before, 5 J aside and 2 J after it are 3 J."""
    energy = _zone(tmp_path, "intel-rapl:0", "package-0", 0)
    with FitMonitor(powercap=tmp_path) as monitor:
        energy.write_text("1000000")
        with monitor.aside():
            energy.write_text("6000000")
            assert monitor.state_dict()["joules"] == pytest.approx(1.0)
        energy.write_text("8000000")
    assert monitor.measurement.energy_joules == pytest.approx(3.0)


def test_energy_that_cannot_be_read_aside_is_no_measurement(tmp_path: Path) -> None:
    """What was used aside is then not known, and so nothing is."""
    energy = _zone(tmp_path, "intel-rapl:0", "package-0", 0)
    with FitMonitor(powercap=tmp_path) as monitor:
        with monitor.aside():
            energy.write_text("no number")
        energy.write_text("8000000")
    assert monitor.measurement.energy_joules is None


def test_a_fit_in_two_processes_costs_both_parts(tmp_path: Path) -> None:
    """5 s and 4 J there, 2 s and 1 J here, the higher of both marks; what this process did before does not count."""
    (tmp_path / "status").write_text("VmHWM:\t  307200 kB\n")
    energy = _zone(tmp_path, "intel-rapl:0", "package-0", 0)
    clock = _clock(0.0, 100.0, 102.0)
    own = _clock(0.0, 50.0, 51.5)
    before = FitCost(5.0, 400.0, "VmHWM", 4.0, "rapl", 4.5)
    with FitMonitor(clock=clock, process=tmp_path, powercap=tmp_path, own_cpu_seconds=own) as monitor:
        energy.write_text("9000000")
        monitor.load_state_dict(vars(before))
        energy.write_text("10000000")
    measurement = monitor.measurement
    assert (measurement.fit_seconds, measurement.peak_memory_mib) == (7.0, 400.0)
    assert measurement.energy_joules == pytest.approx(5.0)
    assert measurement.energy_source == "rapl"
    assert measurement.fit_cpu_seconds == 6.0


def test_what_one_part_does_not_know_both_do_not() -> None:
    """Energy or a mark that was not measured in one process is not known of the fit; nothing before changes nothing."""
    later = FitCost(2.0, 300.0, "VmHWM", 1.0, "rapl")
    assert FitCost().and_then(later) == later
    assert FitCost(5.0).and_then(later) == FitCost(7.0)
    assert FitCost(5.0, 200.0, "ru_maxrss", 4.0, "nvml").and_then(later) == FitCost(7.0, 300.0, "ru_maxrss")


# ------------------------------------------------------------------------------------------------------ energy: RAPL


def _zone(powercap: Path, zone: str, name: str, energy_uj: int, range_uj: int = 65_532_610_987) -> Path:
    folder = powercap / zone
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
    (folder / "energy_uj").write_text(f"{energy_uj}\n")
    return folder / "energy_uj"


def test_rapl_adds_packages_and_nothing_else(tmp_path: Path) -> None:
    """Two packages count 2 J and 3 J; their cores, the DRAM, the platform and the MMIO mirror are no further energy."""
    first = _zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    second = _zone(tmp_path, "intel-rapl:1", "package-1", 500_000)
    others = [
        _zone(tmp_path, "intel-rapl:0:0", "core", 0),
        _zone(tmp_path, "intel-rapl:0:1", "dram", 0),
        _zone(tmp_path, "intel-rapl:2", "psys", 0),
        _zone(tmp_path, "intel-rapl-mmio:0", "package-0", 0),
    ]
    with FitMonitor(powercap=tmp_path) as monitor:
        first.write_text("3000000\n")
        second.write_text("3500000\n")
        for other in others:
            other.write_text("77000000\n")
    assert monitor.measurement.energy_joules == pytest.approx(5.0)
    assert monitor.measurement.energy_source == "rapl"


def test_rapl_turns_over(tmp_path: Path) -> None:
    """From 10 J below the end of the range to 5 J after it are 15 J; read often enough, each turn counts."""
    range_uj = 65_532_610_987
    energy = _zone(tmp_path, "intel-rapl:0", "package-0", range_uj - 10_000_000, range_uj)
    counter = RaplCounter.open(tmp_path)
    assert counter is not None
    energy.write_text("5000000")
    assert counter.joules() == pytest.approx(15.0)
    energy.write_text("4000000")
    assert counter.joules() == pytest.approx(15.0 + range_uj / 1e6 - 1.0)


def test_rapl_that_does_not_move_is_no_measurement(tmp_path: Path) -> None:
    """Virtual machines show counters that stand still: None, never 0 J."""
    _zone(tmp_path, "intel-rapl:0", "package-0", 123)
    with FitMonitor(powercap=tmp_path) as monitor:
        pass
    assert monitor.measurement.energy_joules is None
    assert monitor.measurement.energy_source == ""


def test_rapl_that_may_not_be_read(tmp_path: Path) -> None:
    """One package that cannot be read makes the sum unknown, at the start or in between."""
    _zone(tmp_path, "intel-rapl:0", "package-0", 1)
    lost = _zone(tmp_path, "intel-rapl:1", "package-1", 1)
    counter = RaplCounter.open(tmp_path)
    assert counter is not None
    lost.unlink()
    lost.mkdir()  # reading a folder is an OSError for root too, for whom a mode of 0 is none
    assert counter.joules() is None
    assert RaplCounter.open(tmp_path) is None


def test_no_counter_no_energy(tmp_path: Path) -> None:
    """A machine without counters has no energy, not an energy of 0."""
    with FitMonitor(powercap=tmp_path / "missing") as monitor:
        pass
    assert monitor.measurement.energy_joules is None
    assert monitor.measurement.energy_source == ""


class _Counter:
    """A counter that goes up by 1 J at each reading and tells when it was read three times."""

    source = "rapl"
    period_seconds: float | None = 0.001

    def __init__(self, step: float = 1.0) -> None:
        self.value = 100.0
        self.step = step
        self.readings = 0
        self.closed = False
        self.third = threading.Event()

    def joules(self) -> float | None:
        """Count the reading."""
        self.readings += 1
        self.value += self.step
        if self.readings == 3:
            self.third.set()
        return self.value

    def close(self) -> None:
        """Note it."""
        self.closed = True


def test_counters_that_turn_over_are_read_meanwhile() -> None:
    """A long fit reads such a counter again and again, and stops when it ends."""
    counter = _Counter()
    span = EnergySpan(counter)
    assert counter.third.wait(10)  # the reading at the start and two of the thread's
    joules, source = span.end()
    assert joules is not None
    assert joules >= 2.0
    assert source == "rapl"
    assert counter.closed
    readings = counter.readings
    threading.Event().wait(0.02)
    assert counter.readings == readings


def test_a_counter_that_was_reset_is_no_measurement() -> None:
    """A driver that is loaded again begins at 0; a negative energy is none."""
    counter = _Counter(step=-10.0)
    assert EnergySpan(counter).end() == (None, "")
    assert counter.closed


# ------------------------------------------------------------------------------------------------------ energy: NVML


class _Nvml:
    """NVML with two boards, of which `GPU-b` is the second, and a count of who is inside."""

    NVML_DEVICE_MIG_ENABLE = 1

    class NVMLError(Exception):
        """What NVML raises."""

    def __init__(self, *, mig: bool = False, energy: bool = True, driver: bool = True) -> None:
        self.mig, self.energy, self.driver = mig, energy, driver
        self.millijoules = {"GPU-a": 1_000, "GPU-b": 5_000}
        self.inside = 0

    def nvmlInit(self) -> None:  # noqa: N802 - NVML names it so
        """Fails without a driver."""
        if not self.driver:
            raise self.NVMLError
        self.inside += 1

    def nvmlShutdown(self) -> None:  # noqa: N802 - NVML names it so
        """One less."""
        self.inside -= 1

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802 - NVML names it so
        """The UUID serves as handle."""
        if uuid not in self.millijoules:
            raise self.NVMLError
        return uuid

    def nvmlDeviceGetMigMode(self, handle: str) -> tuple[int, int]:  # noqa: N802 - NVML names it so
        """Not supported by the first board."""
        if handle == "GPU-a":
            raise self.NVMLError
        return (int(self.mig), 0)

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:  # noqa: N802 - NVML names it so
        """Millijoules."""
        if not self.energy:
            raise self.NVMLError
        return self.millijoules[handle]


@pytest.mark.parametrize("uuid", ["a", "b"])
def test_nvml_counts_the_board_with_this_uuid(uuid: str) -> None:
    """Board b of two used 2.5 J (2,500 mJ): it is told by UUID, whatever CUDA_VISIBLE_DEVICES calls it."""
    nvml = _Nvml()
    span = EnergySpan(NvmlCounter.opened_uuid(uuid, nvml)[0])
    nvml.millijoules[f"GPU-{uuid}"] += 2_500
    nvml.millijoules["GPU-a" if uuid == "b" else "GPU-b"] += 99_000
    assert span.end() == (2.5, "nvml")
    assert nvml.inside == 0


@pytest.mark.parametrize(
    ("uuid", "nvml"),
    [
        ("b", _Nvml(mig=True)),
        ("b", _Nvml(energy=False)),
        ("b", _Nvml(driver=False)),
        ("somebody else's", _Nvml()),
    ],
    ids=["cut into slices", "without a counter", "without a driver", "unknown"],
)
def test_nvml_without_a_counter_of_ones_own(uuid: str, nvml: _Nvml) -> None:
    """A slice's share of the board, an old board, no driver: no energy, and NVML is left again."""
    assert NvmlCounter.opened_uuid(uuid, nvml)[0] is None
    assert nvml.inside == 0


def test_nvml_that_fails_later() -> None:
    """A counter that stops answering in the fit makes its energy unknown."""
    nvml = _Nvml()
    span = EnergySpan(NvmlCounter.opened_uuid("b", nvml)[0])
    nvml.energy = False
    assert span.end() == (None, "")
    assert nvml.inside == 0


def test_real_nvml_knows_no_such_board() -> None:
    """The real library, with or without a driver, has no counter for a UUID that nobody has."""
    import pynvml

    assert NvmlCounter.opened_uuid("00000000-0000-0000-0000-000000000000", pynvml)[0] is None


# ------------------------------------------------------------------------------------------------------------- CUDA


@pytest.fixture
def cuda_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """torch.cuda as on a machine with one GPU, writing down what it is asked; NVML has no counter for it."""
    import torch

    calls: list[str] = []

    def note(name: str, value: Any = None) -> Callable[[object], Any]:
        return lambda _device: (calls.append(name), value)[1]

    monkeypatch.setattr(torch.cuda, "synchronize", note("synchronize"))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", note("reset"))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", note("peak", 48 * MIB))
    monkeypatch.setattr(torch.cuda, "get_device_name", note("name", "A Board"))
    monkeypatch.setattr(torch.cuda, "get_device_properties", note("uuid", SimpleNamespace(uuid="nobody")))
    return calls


def test_cuda_is_synchronised_at_both_ends(cuda_calls: list[str]) -> None:
    """Queued work from before is not the fit's, queued work of the fit is; so with the memory."""

    def clock() -> float:
        cuda_calls.append("clock")
        return 0.0

    with FitMonitor("cuda:0", clock=clock) as monitor:
        cuda_calls.append("fit")
    assert [call for call in cuda_calls if call not in {"name", "uuid"}] == [
        "reset",
        "synchronize",
        "clock",
        "fit",
        "synchronize",
        "clock",
        "peak",
    ]
    assert monitor.measurement.device == "A Board"
    assert monitor.measurement.peak_memory_mib == 48.0
    assert monitor.measurement.memory_kind == "device"


def _raise_device_error(_device: object) -> None:
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


@pytest.mark.usefixtures("cuda_calls")
@pytest.mark.parametrize(
    ("raised", "seen"), [(None, RuntimeError), (KeyError("the fit's"), KeyError)], ids=["alone", "second"]
)
def test_a_device_error_at_the_end(
    monkeypatch: pytest.MonkeyPatch, raised: Exception | None, seen: type[Exception]
) -> None:
    """An error that CUDA reports late is the fit's own; it does not hide one that the fit has raised already."""
    import torch

    monitor = FitMonitor("cuda")

    def fit() -> None:
        with monitor:
            monkeypatch.setattr(torch.cuda, "synchronize", _raise_device_error)
            if raised is not None:
                raise raised

    with pytest.raises(seen):
        fit()


def test_the_cpu_needs_no_synchronising() -> None:
    """On a CPU the function does nothing and does not fail."""
    synchronizer("cpu")()


def test_cuda_for_real() -> None:
    """A 256 MiB tensor that is made and dropped is in the peak; the energy is that of a board that is on."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    with FitMonitor("cuda") as monitor:
        held = torch.zeros(64 * MIB, device="cuda")
        for _ in range(2000):
            held.add_(1.0)
        del held
    measurement = monitor.measurement
    assert measurement.peak_memory_mib is not None
    assert measurement.peak_memory_mib >= 256
    assert measurement.device == torch.cuda.get_device_name(0)
    if measurement.energy_joules is not None:
        # No board idles below 5 W or draws above 3 kW; the counter may be 100 ms late at either end.
        assert 5 * (measurement.fit_seconds - 0.2) < measurement.energy_joules < 3000 * (measurement.fit_seconds + 0.2)


# ------------------------------------------------------------------------------------------------------- the record


def test_resources_of_a_measurement() -> None:
    """500 images in 12.5 s less 2.5 s of snapshots are 50/s; 600 drawn in 3 s are 200/s."""
    measurement = Measurement(
        device="cpu",
        fit_seconds=12.5,
        peak_memory_mib=400.0,
        memory_kind="resident",
        memory_source="VmHWM",
        energy_joules=30.0,
        energy_source="rapl",
        other_cpu_share=0.11,
    )
    cost = resources(
        measurement,
        images_seen=500,
        paused_seconds=2.5,
        sampled_images=600,
        sampling_seconds=3.0,
        parameters_total=7,
        parameters_trained=3,
        flops_per_image=1e6,
        beside=Beside(calibration_seconds=0.007),
    )
    assert cost.calibration_seconds == 0.007
    assert (cost.fit_seconds, cost.images_seen) == (10.0, 500)
    assert (cost.training_images_per_second, cost.sampling_images_per_second) == (50.0, 200.0)
    assert (cost.device, cost.peak_memory_mib, cost.memory_kind) == ("cpu", 400.0, "resident")
    assert (cost.energy_joules, cost.energy_source) == (30.0, "rapl")
    assert (cost.parameters_total, cost.parameters_trained, cost.flops_per_image) == (7, 3, 1e6)
    assert (cost.other_cpu_share, cost.timing_shared) == (0.11, True)


@pytest.mark.parametrize(("images", "seconds"), [(0, 2.0), (5, 0.0)])
def test_no_rate_of_nothing(images: int, seconds: float) -> None:
    """A method that shows no images, or takes no time that the clock can see, has no throughput: None, not 0 or ∞."""
    cost = resources(Measurement(device="cpu", fit_seconds=seconds), images_seen=images)
    assert cost.training_images_per_second is None
    assert cost.sampling_images_per_second is None
    assert cost.energy_joules is None


def test_a_tenth_is_not_yet_shared() -> None:
    """The threshold itself is still undisturbed."""
    assert not Measurement(device="cpu", fit_seconds=1.0, other_cpu_share=0.1).timing_shared
    assert Measurement(device="cpu", fit_seconds=1.0, other_cpu_share=0.1001).timing_shared


@ON_LINUX
def test_this_machine_as_it_is() -> None:
    """With nothing injected, every number is in its range, and an energy is either a positive one or None."""
    with FitMonitor() as monitor:
        threading.Event().wait(0.25)
    measurement = monitor.measurement
    assert 0.25 <= measurement.fit_seconds < 60
    assert measurement.peak_memory_mib is not None
    assert 5 < measurement.peak_memory_mib < 1e6
    assert measurement.other_cpu_share is None or 0 <= measurement.other_cpu_share <= 1
    assert measurement.energy_joules is None or measurement.energy_joules > 0


# ------------------------------------------------------------------------------------------- a GPU that is not there


def test_memory_on_a_gpu_is_counted_three_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """30 MiB handed out above 10, 50 taken by then, 500 more of CUDA's context by the driver; the host beside it."""
    gpu = fake_gpu.install(monkeypatch)
    gpu.allocate(10 * MIB)
    with FitMonitor("cuda:0") as monitor:
        gpu.allocate(30 * MIB)
        gpu.reserved = 50 * MIB
        gpu.allocate(-30 * MIB)
    cost = monitor.measurement
    assert (cost.peak_memory_mib, cost.fit_memory_mib, cost.reserved_memory_mib) == (40.0, 30.0, 50.0)
    assert cost.device_memory_mib == 550.0
    assert cost.energy_source == "nvml"
    assert "device_memory_mib" not in cost.missing
    if ON_LINUX.args[0] is False:
        assert cost.host_memory_mib is not None


@pytest.mark.parametrize(
    ("changes", "name", "reason"),
    [
        ({"driver": False}, "device_memory_mib", "NVML cannot be opened"),
        ({"driver": False}, "energy_joules", "NVML cannot be opened"),
        ({"listed": False}, "device_memory_mib", "does not list this process"),
        ({"mig": True}, "energy_joules", "MIG"),
        ({"watts": None}, "energy_joules", "does not count"),
        ({"others": [1]}, "energy_joules", "other processes computed on the GPU"),
    ],
    ids=["no NVML", "no NVML, energy", "in a container", "MIG", "an old board", "a shared GPU"],
)
def test_what_a_gpu_does_not_tell_has_a_reason(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], name: str, reason: str
) -> None:
    """A value is missing with its reason, in the measurement and in the record; nothing is guessed."""
    gpu = fake_gpu.install(monkeypatch)
    for key, value in changes.items():
        setattr(gpu, key, value)
    with FitMonitor("cuda:0") as monitor:
        gpu.queue(0.01)
    cost = monitor.measurement
    assert getattr(cost, name) is None
    assert reason in cost.missing[name]
    record = resources(cost, images_seen=8)
    assert reason in record.unmeasured[name]
    if name == "energy_joules":
        assert record.joules_per_image is None
        assert reason in record.unmeasured["joules_per_image"]


def test_ratios_by_hand() -> None:
    """60 J over 500 images are 0.12 J each, 3 J of 600 samples 5 J per 1,000; 1e6 · 80 / 1e9 of the peak is 8 %."""
    fit = Measurement(device="cpu", fit_seconds=10.0, energy_joules=60.0, energy_source="rapl")
    sampling = Measurement(device="cpu", fit_seconds=3.0, energy_joules=3.0, peak_memory_mib=300.0)
    steps = StepSummary(steps=9, warmup_seconds=1.0, images_per_second=80.0, p50=0.4, p90=0.5, p99=0.6)
    beside = Beside(sampling=sampling, steps=steps, peak_flops_per_second=1e9, peak_flops_dtype="float32")
    cost = resources(fit, images_seen=500, sampled_images=600, flops_per_image=1e6, beside=beside)
    assert cost.joules_per_image == pytest.approx(0.12)
    assert cost.joules_per_1000_samples == pytest.approx(5.0)
    assert cost.mfu == pytest.approx(0.08)
    assert (cost.warmup_seconds, cost.steady_images_per_second) == (1.0, 80.0)
    assert (cost.step_seconds_p50, cost.step_seconds_p90, cost.step_seconds_p99) == (0.4, 0.5, 0.6)
    assert cost.sampling_memory_mib == 300.0
    assert "mfu" not in cost.unmeasured


def test_no_utilisation_without_a_peak() -> None:
    """A calibration that failed leaves no MFU, and says why."""
    beside = Beside(missing={"peak_flops_per_second": "the product of matrices failed (planted)"})
    cost = resources(Measurement(device="cpu", fit_seconds=1.0), images_seen=8, flops_per_image=1e6, beside=beside)
    assert cost.mfu is None
    assert "planted" in cost.unmeasured["mfu"]
    assert "fewer than two batches" in cost.unmeasured["step_seconds_p50"]
