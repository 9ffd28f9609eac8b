"""What is measured beside a fit: what must be stored, sampling, calibrations that fail, and a profile."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from graftbench.contracts import Sampler
from graftbench.execution import costs_beside
from graftbench.execution.costs_beside import calibrated, measured_sampling, peak_of, sizes_of
from graftbench.execution.profile import TABLE, TRACE, StepProfile
from graftbench.execution.stored_size import stored_bytes, tensor_bytes
from graftbench.resources.calibration import peak_flops_per_second
from graftbench.resources.monitor import Beside

ROWS, COLUMNS, RANK = 64, 576, 4


def _weight(seed: int = 0) -> torch.Tensor:
    return torch.randn(ROWS, 64, 3, 3, generator=torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------------------------------------------------------- size


def test_what_the_source_model_has_is_not_stored() -> None:
    """Equal tensors cost nothing; one that changed costs its bytes, 4 each; so does one that is new."""
    weight, bias = _weight(), torch.zeros(7)
    source = {"generator.a.weight": weight, "generator.a.bias": bias}
    assert stored_bytes({"a.weight": weight.clone(), "a.bias": bias + 1}, source) == 4 * 7
    assert stored_bytes({"generator.a.weight": weight, "mapping.b": torch.zeros(5)}, source) == 4 * 5
    assert stored_bytes({"a.weight": weight}, {}) == tensor_bytes({"a.weight": weight}) == 4 * ROWS * COLUMNS


def test_a_low_rank_change_costs_its_factors() -> None:
    """W + BA with r = 4, merged in float32, costs 4·(64 + 576) numbers; a change of full rank costs all of them."""
    weight, generator = _weight(), torch.Generator().manual_seed(1)
    up, down = torch.randn(ROWS, RANK, generator=generator), torch.randn(RANK, COLUMNS, generator=generator)
    merged = weight + 0.01 * (up @ down).view_as(weight)
    assert stored_bytes({"a.weight": merged}, {"generator.a.weight": weight}) == 4 * RANK * (ROWS + COLUMNS)
    full = weight + 0.01 * _weight(2)
    assert stored_bytes({"a.weight": full}, {"generator.a.weight": weight}) == 4 * ROWS * COLUMNS


def test_a_sampler_without_a_state_has_a_reason() -> None:
    """A plugin's state may raise: the cell keeps its scores, and the record says why there is no size."""
    task: Any = SimpleNamespace(source_model_sha256="")
    beside = sizes_of(SimpleNamespace(state=lambda: 1 / 0), task, Beside())  # pyright: ignore[reportArgumentType]
    assert beside.stored_bytes is None
    assert "ZeroDivisionError" in beside.missing["stored_bytes"]


# ------------------------------------------------------------------------------------------------------------ sampling


class _Noise(Sampler):
    kind = "test-noise"

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        held = torch.ones(64 * 2**20, dtype=torch.uint8)
        del held, generator
        return torch.zeros(n, 3, 4, 4, dtype=torch.uint8)

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
        return {}, {}

    @classmethod
    def from_state(cls, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> _Noise:
        del tensors, metadata
        return cls()


def test_sampling_is_measured_once_and_leaves_no_trace() -> None:
    """The 64 MiB that a draw holds are in its memory; later draws, and the sampler afterwards, are as they were."""
    sampler, generator = _Noise(), torch.Generator()
    with measured_sampling(sampler, "cpu") as made:
        sampler.sample(2, generator)
        sampler.sample(2, generator)
    (measurement,) = made
    assert vars(sampler) == {}
    if Path("/proc/self/clear_refs").exists():
        assert measurement.fit_memory_mib == pytest.approx(64, abs=24)


def test_a_sampler_that_takes_no_attributes_is_not_measured() -> None:
    """Slots: it draws all the same."""

    class Slots:
        __slots__ = ()

        def sample(self) -> int:
            return 3

    sampler: Any = Slots()
    with measured_sampling(sampler, "cpu") as made:
        assert sampler.sample() == 3
    assert made == []


# --------------------------------------------------------------------------------------------------------- calibration


def test_a_calibration_that_fails_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that cannot multiply leaves no peak, no MFU, and the reason; the cell goes on."""

    def broken(*_: object) -> float:
        raise RuntimeError("CUDA error: planted\nmore")

    monkeypatch.setattr(costs_beside, "calibration_seconds", broken)
    monkeypatch.setattr(costs_beside, "peak_flops_per_second", broken)
    reason = calibrated("cpu")
    method: Any = SimpleNamespace(config=SimpleNamespace(precision="bfloat16"))
    beside = peak_of(method, torch.device("cpu"), before=1.0, after=reason)
    assert beside.calibration_seconds is None
    assert beside.peak_flops_per_second is None
    assert beside.peak_flops_dtype == ""
    assert beside.missing["calibration_seconds"] == "the calibration failed (CUDA error: planted)"
    assert beside.missing["peak_flops_per_second"] == "the product of matrices failed (CUDA error: planted)"


def test_the_peak_is_that_of_a_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """2·64³ operations in the fastest of the passes: 1 ms by a clock that is held still gives 524 MFLOP/s."""
    from graftbench.resources import calibration

    monkeypatch.setattr(calibration, "PEAK_SIDE", {"cpu": 64})
    moments = iter([0.0, 0.002, 1.0, 1.001])
    monkeypatch.setattr(calibration.time, "perf_counter", lambda: next(moments))
    assert peak_flops_per_second(repeats=2) == pytest.approx(2 * 64**3 / 0.001)


# ------------------------------------------------------------------------------------------------------------- profile


def _profiled(folder: Path, steps: int) -> StepProfile:
    profile = StepProfile("cpu", folder)
    for _ in range(steps):
        profile.begin()
        torch.mm(torch.randn(8, 8), torch.randn(8, 8))
        profile.end(4)
    profile.close()
    return profile


def test_a_profile_of_some_steps(tmp_path: Path) -> None:
    """Twelve steps leave a trace of five and a table that names the product of matrices."""
    profile = _profiled(tmp_path, 12)
    assert profile.traced == 5
    assert "5 steps were traced" in profile.note()
    assert "aten::mm" in (tmp_path / TABLE).read_text("utf-8")
    assert (tmp_path / TRACE).stat().st_size > 100


@pytest.mark.parametrize("steps", [0, 2, 4])
def test_a_fit_that_is_too_short_is_said(tmp_path: Path, steps: int) -> None:
    """Tracing begins after four steps: before, there is no file and a sentence."""
    profile = _profiled(tmp_path, steps)
    assert profile.note().startswith("No step was traced")
    assert not (tmp_path / TRACE).exists()


def test_a_profiler_that_fails_is_said(tmp_path: Path) -> None:
    """What the profiler raises at the end does not fail the cell."""

    class Broken:
        def __init__(self, **_: object) -> None:
            pass

        def start(self) -> None:
            pass

        def stop(self) -> None:
            raise RuntimeError("CUPTI is held by another tool")

    profile = StepProfile("cpu", tmp_path, Broken)
    profile.begin()
    profile.close()
    assert "CUPTI is held by another tool" in profile.note()
