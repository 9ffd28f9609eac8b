"""Each look passes where all is well, and fails where a fault is planted; on a CPU, and on a GPU that is not there."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fake_gpu
import pytest
import torch

from graftbench.records.record import Status
from graftbench.resources import memory as memory_module
from graftbench.resources import monitor
from graftbench.resources.energy import EnergySpan
from graftbench.resources.steps import StepTimes
from graftbench.selftest import rounding
from graftbench.selftest.device import CheckedDevice
from graftbench.selftest.finding import Bench
from graftbench.selftest.looks import cells, energy, kernels, memory, methods, throughput, timing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fake_gpu import FakeGpu

    from graftbench.selftest.finding import SelftestFinding


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> FakeGpu:
    """A GPU that is not there."""
    return fake_gpu.install(monkeypatch)


@pytest.fixture
def on_gpu(gpu: FakeGpu, tmp_path: Path) -> Bench:
    """Looks at it, short ones."""
    return Bench(device=fake_gpu.FakeDevice(gpu), quick=True, folder=tmp_path, cache=tmp_path)


@pytest.fixture
def on_cpu(shared_cache: Path, tmp_path: Path) -> Bench:
    """Short looks at this CPU."""
    return Bench(device=CheckedDevice("cpu"), quick=True, folder=tmp_path, cache=shared_cache)


def outcomes(findings: Iterable[SelftestFinding]) -> dict[str, str]:
    """Name -> outcome."""
    return {finding.name: finding.outcome for finding in findings}


# ------------------------------------------------------------------------------------------------------------ timing


def test_times_hold_queued_work(on_gpu: Bench) -> None:
    """Work of 0.2 s that is queued at once is inside the fit's time and each step's, and not in what is aside."""
    assert set(outcomes(timing.look(on_gpu)).values()) == {"passed"}


def test_a_clock_that_does_not_wait_is_found(on_gpu: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A monitor that forgets to synchronise times the launch alone; steps by the host's clock likewise."""
    monkeypatch.setattr(monitor, "synchronizer", lambda _: lambda: None)
    monkeypatch.setattr(timing, "StepTimes", lambda _: StepTimes("cpu"))
    ends = outcomes(timing.look(on_gpu))
    assert ends["a fit's seconds hold planted work"] == "failed"
    assert ends["a step's seconds are the device's"] == "failed"


def test_work_aside_that_counts_is_found(on_cpu: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A monitor whose `aside` leaves nothing out fails; on the CPU the planted work is a sleep."""
    monkeypatch.setattr(timing.FitMonitor, "aside", lambda _: contextlib.nullcontext())
    ends = outcomes(timing.look(on_cpu))
    assert ends["work aside is left out"] == "failed"
    assert ends["a step's seconds are the device's"] == "passed"


# ------------------------------------------------------------------------------------------------------------ memory


def test_planted_memory_is_counted(on_gpu: Bench) -> None:
    """256 MiB are in the allocator's count and the driver's; the driver counts CUDA's context besides."""
    assert set(outcomes(memory.look(on_gpu)).values()) == {"passed"}


@pytest.mark.parametrize(
    ("planted", "failing"),
    [
        ({"max_memory_allocated": lambda _=None: 0}, "a planted tensor is in the fit's memory"),
        ({"max_memory_reserved": lambda _=None: 0}, "what is reserved is at least what was allocated"),
    ],
)
def test_counts_that_miss_the_tensor_are_found(
    on_gpu: Bench, monkeypatch: pytest.MonkeyPatch, planted: dict[str, Any], failing: str
) -> None:
    """An allocator that counts nothing fails the look."""
    for name, stand_in in planted.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    assert outcomes(memory.look(on_gpu))[failing] == "failed"


def test_a_driver_that_counts_too_little_is_found(on_gpu: Bench, gpu: FakeGpu) -> None:
    """The driver's count below what the allocator has taken cannot be."""
    gpu.context_mib = -100.0
    assert outcomes(memory.look(on_gpu))["the driver counts at least what is reserved"] == "failed"


@pytest.mark.parametrize(("name", "value"), [("listed", False), ("driver", False)])
def test_a_driver_that_does_not_tell_is_skipped_with_its_reason(
    on_gpu: Bench, gpu: FakeGpu, name: str, value: object
) -> None:
    """In a container the driver lists no process of ours; without NVML there is nobody to ask."""
    setattr(gpu, name, value)
    finding = next(f for f in memory.look(on_gpu) if f.name == "the driver's count")
    assert finding.outcome == "skipped"
    assert "does not list this process" in finding.found or "NVML cannot be opened" in finding.found


def test_memory_on_a_cpu_and_a_mark_that_stays(on_cpu: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """On this CPU the planted 256 MiB are found; a mark that is not reset after what is aside is found too."""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("needs Linux's /proc")
    assert "failed" not in outcomes(memory.look(on_cpu)).values()
    monkeypatch.setattr(memory_module.ResidentMemory, "reset", lambda _: None)
    monkeypatch.setattr(memory_module.ResidentMemory, "look", lambda _: None)
    assert outcomes(memory.look(on_cpu))["a tensor aside is not in it"] == "failed"


# ------------------------------------------------------------------------------------------------------------ energy


def test_energy_is_the_counter_s(on_gpu: Bench) -> None:
    """100 W for a second: what the monitor says is what the counter says."""
    assert set(outcomes(energy.look(on_gpu)).values()) == {"passed"}


def test_energy_that_is_not_the_counter_s_is_found(on_gpu: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Joules that are twice the counter's, and a board that draws 10 kW, fail."""
    end = EnergySpan.end
    monkeypatch.setattr(EnergySpan, "end", lambda span: ((end(span)[0] or 0) * 200, "nvml"))
    assert set(outcomes(energy.look(on_gpu)).values()) == {"failed"}


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("watts", None, "does not count"),
        ("mig", True, "MIG"),
        ("driver", False, "NVML cannot be opened"),
        ("others", [1], "other processes"),
    ],
)
def test_energy_that_cannot_be_had_is_skipped(
    on_gpu: Bench, gpu: FakeGpu, name: str, value: object, reason: str
) -> None:
    """No counter, instances, no NVML, somebody else on the GPU: a reason stands where a number would be a guess."""
    setattr(gpu, name, value)
    (finding,) = energy.look(on_gpu)
    assert finding.outcome == "skipped"
    assert reason in finding.found


# ----------------------------------------------------------------------------------------------------------- methods


@pytest.mark.slow
def test_a_method_on_this_cpu_and_planted_faults(on_cpu: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """`dcgan` passes; losses a fifth off, chances that no seed fixes, and a state that is forgotten do not."""
    monkeypatch.setattr(methods, "QUICK", ("dcgan",))
    good = outcomes(methods.look(on_cpu))
    assert "failed" not in good.values()
    assert good["dcgan: losses in bfloat16"] == "passed"

    course = methods.course

    def too_large(world: Any, cls: Any, precision: str, *within: Any) -> Any:
        made = course(world, cls, precision, *within)
        factor = 1.2 if precision == "bfloat16" else 1.0
        curve = [{name: factor * loss for name, loss in losses.items()} for losses in made.curve]
        return methods.Course(curve, made.samples, made.sampler)

    monkeypatch.setattr(methods, "course", too_large)
    assert outcomes(methods.look(on_cpu))["dcgan: losses in bfloat16"] == "failed"
    monkeypatch.setattr(methods, "course", course)

    from graftbench.training import adversarial

    descend = adversarial._descend

    def off(optimizer: Any, name: str, loss: torch.Tensor, terms: Any) -> dict[str, torch.Tensor]:
        noise = 1 + torch.rand(())  # of torch's global generator: no seed of the task's fixes it
        return {key: value * noise for key, value in descend(optimizer, name, loss, terms).items()}

    monkeypatch.setattr(adversarial, "_descend", off)
    assert outcomes(methods.look(on_cpu))["dcgan: one seed, twice"] == "failed"
    monkeypatch.setattr(adversarial, "_descend", descend)

    monkeypatch.setattr(adversarial.Adversary, "load_state_dict", lambda *_: None)
    monkeypatch.setattr(methods, "load_sampler", lambda _: _Black())
    bad = outcomes(methods.look(on_cpu))
    assert bad["dcgan: killed and gone on"] == "failed"
    assert bad["dcgan: its sampler on the CPU"] == "failed"


class _Black:
    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Black images."""
        del generator
        return torch.zeros(n, 3, 32, 32, dtype=torch.uint8)


def test_how_far_losses_are_off_by_hand() -> None:
    """12 times the root mean square of 0.03, 0.04 and 0 is 0.346, and 64 roundings of 2⁻²⁴ are 3.8e-6."""
    reference, around = [{"d": 1.0}], [[{"d": 1.03}], [{"d": 0.96}], [{"d": 1.0}]]
    assert methods.farthest(reference, [{"d": 1.173}], around)[0] == pytest.approx(0.4994, abs=1e-4)
    assert methods.farthest(reference, [{"d": 1.35}], around)[0] > 1
    assert methods.farthest(reference, [{"d": float("nan")}], around)[0] == float("inf")
    assert methods.farthest(reference, [], around)[0] == float("inf")


def test_disturbed_products_are_off_by_their_rounding() -> None:
    """A product of ones of 64×64 with factors off by up to 2⁻⁸ moves, by less than 3·64·2⁻⁸; all else is left alone."""
    ones = torch.ones(64, 64)
    state = torch.get_rng_state()
    with rounding.RoundedProducts(rounding.UNIT_BFLOAT16, torch.Generator().manual_seed(0)):
        product, total = ones @ ones, ones + ones
    error = float((product - 64).abs().max())
    assert 0 < error < 3.1 * 64 * 2**-8
    assert torch.equal(total, 2 * ones)
    assert torch.equal(torch.get_rng_state(), state)


def test_an_error_in_one_method_does_not_stop_the_others(on_cpu: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A method that raises on the device is a failure with its words; the next one is looked at."""
    monkeypatch.setattr(methods, "QUICK", ("gaussian", "dcgan"))
    monkeypatch.setattr(methods, "_losses", lambda *_: (_ for _ in ()).throw(RuntimeError("CUDA error: planted")))
    findings = [f for f in methods.look(on_cpu) if f.outcome == "failed"]
    assert {f.name for f in findings} == {"dcgan", "gaussian"}
    assert "planted" in findings[0].found


# ----------------------------------------------------------------------------------------------------------- kernels


@pytest.mark.slow
def test_features_against_float64(on_cpu: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extractor on this CPU is within its rounding; features in bfloat16 are not."""
    assert set(outcomes(kernels.look(on_cpu)).values()) == {"passed"}
    from graftbench.extractors.base import Extractor

    features = Extractor.features

    def rounded(extractor: Extractor, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        pooled, logits = features(extractor, images)
        return pooled.bfloat16().float(), logits

    monkeypatch.setattr(Extractor, "features", rounded)
    assert outcomes(kernels.look(on_cpu))["features of lite0 against float64"] == "failed"


# -------------------------------------------------------------------------------------------------------- throughput


@pytest.mark.slow
def test_a_slow_loop_is_found(on_cpu: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that idles in each step takes more than a fifth of it; what a CPU cannot do is skipped."""
    from graftbench.nn.ema import Ema

    update = Ema.update

    def slow(ema: Ema, network: Any) -> None:
        time.sleep(0.4)
        update(ema, network)

    monkeypatch.setattr(Ema, "update", slow)
    monkeypatch.setattr(throughput, "ATTEMPTS", 1)
    ends = outcomes(throughput.look(on_cpu))
    assert ends["the suite's loop beside its step alone"] == "failed"
    assert ends["a DCGAN written plainly"] == "measured"
    assert ends["a DCGAN written plainly, as a CUDA graph"] == "skipped"
    assert ends["the step alone, compiled"] == "skipped"


# ------------------------------------------------------------------------------------------------------------- cells


class _Row:
    def __init__(self, method: str, status: Status, kid: float | None) -> None:
        self.cell, self.status, self.reason, self._kid = type("Cell", (), {"method": method}), status, "", kid

    def score(self, _: str) -> Any:
        """The KID."""
        return None if self._kid is None else type("Value", (), {"value": self._kid})


@pytest.mark.parametrize(
    ("kid", "greedy", "expected"),
    [
        (1.0, Status.OOM, ("passed", "passed")),
        (1.5, Status.OOM, ("failed", "passed")),
        (1.0, Status.ERROR, ("passed", "failed")),
    ],
)
def test_cells_that_disturb_each_other_are_found(
    on_cpu: Bench, monkeypatch: pytest.MonkeyPatch, kid: float, greedy: Status, expected: tuple[str, str]
) -> None:
    """Another score side by side, or an error in place of out of memory, fails."""

    def run(_: Bench, name: str, names: Iterable[str], *, jobs: int) -> list[_Row]:
        value = 1.0 if name == "alone" else kid
        return [_Row(m, greedy, None) if m == cells.GREEDY else _Row(m, Status.OK, value) for m in names if jobs]

    monkeypatch.setattr(cells, "_run", run)
    bench = Bench(device=on_cpu.device, quick=False, folder=on_cpu.folder, cache=on_cpu.cache)
    ends = outcomes(cells.look(bench))
    assert (ends["3 cells side by side"], ends["out of memory is a row"]) == expected


@pytest.mark.long
def test_cells_for_real(on_cpu: Bench) -> None:
    """Three cells alone and side by side with one that asks for 64 TiB."""
    bench = Bench(device=on_cpu.device, quick=False, folder=on_cpu.folder, cache=on_cpu.cache)
    ends = outcomes(cells.look(bench))
    assert ends == {
        "3 cells side by side": "passed",
        "out of memory is a row": "passed",
        "batch-size back-off": "skipped",
    }
