"""Estimates by hand: which records answer, how a fit is scaled, how long a run takes."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graftbench.records.cell_spec import CellSpec, ComputeBudget, Protocol, TaskSpec
from graftbench.records.heads import Head, HeadCost
from graftbench.records.record import Status
from graftbench.suites.estimates import Estimates, makespan

KIMG = ComputeBudget(kimg=8)


def cell(method: str = "dcgan", budget: ComputeBudget = KIMG, side: int = 32, seed: int = 0) -> CellSpec:
    """A cell."""
    return CellSpec(
        method=method,
        family="scratch",
        parameters={},
        task=TaskSpec("a", "b", side),
        data_budget=25,
        compute_budget=budget,
        seed=seed,
        protocol=Protocol(),
    )


def past(
    spec: CellSpec,
    fit: float,
    wall: float | None,
    *,
    mib: float | None = 500.0,
    device: str = "cpu",
    status: Status = Status.OK,
) -> Head:
    """What a cell left."""
    cost = HeadCost(device=device, fit_seconds=fit, peak_memory_mib=mib)
    return Head(id=spec.id, cell=spec, status=status, resources=cost, wall_seconds=wall)


def test_the_same_method_and_budget_answer_first() -> None:
    """Median of 50, 60 and 100; the other method, side and budget do not count."""
    records = [past(cell(), fit, fit + 10) for fit in (40, 50, 90)]
    records += [past(cell("vae"), 1, 1), past(cell(side=64), 1, 1), past(cell(budget=ComputeBudget(kimg=1)), 1, 1)]
    time = Estimates.of(records).time(cell())
    assert (time.value, time.records, time.basis, time.fit_only) == (60, 3, "same method and budget", False)


def test_a_fit_is_scaled_and_the_rest_is_not() -> None:
    """8 kimg took 40 s of 50 s: 24 kimg take 3·40 + 10 = 130 s, and no more memory."""
    known = Estimates.of([past(cell(), 40, 50, mib=512)])
    asked = cell(budget=ComputeBudget(kimg=24))
    assert known.seconds(asked) == pytest.approx(130)
    assert known.time(asked).basis == "same method, scaled by budget"
    assert known.memory_mib(asked) == 512


def test_seconds_scale_with_seconds_and_not_with_images() -> None:
    """10 s took 12 s: 30 s take 32 s. A budget in images says nothing about one in seconds: 12 s it stays."""
    known = Estimates.of([past(cell(budget=ComputeBudget(seconds=10)), 10, 12)])
    assert known.seconds(cell(budget=ComputeBudget(seconds=30))) == pytest.approx(32)
    assert known.seconds(cell()) == pytest.approx(12)


def test_other_methods_answer_last() -> None:
    """Median over everything at that resolution, then over everything, then nothing."""
    known = Estimates.of([past(cell("vae"), 5, 7), past(cell("gatys"), 9, 11), past(cell("gatys", side=64), 90, 99)])
    assert (known.seconds(cell()), known.time(cell()).basis) == (9, "all methods")
    assert known.seconds(cell(side=16)) == 11
    assert known.seconds(cell("gatys", side=16)) == 55
    assert Estimates.of([]).seconds(cell()) is None
    assert Estimates.of([]).memory_mib(cell()) is None


def test_without_a_wall_time_the_fit_stands_alone_and_says_so() -> None:
    """Old records know the fit only; one that knows more is preferred."""
    old = [past(cell(), 40, None), past(cell(seed=1), 42, None)]
    assert Estimates.of(old).time(cell()).fit_only
    assert Estimates.of(old).seconds(cell()) == 41
    time = Estimates.of([*old, past(cell(seed=2), 40, 55)]).time(cell())
    assert (time.value, time.records, time.fit_only) == (55, 1, False)


def test_failed_cells_and_other_devices_do_not_count() -> None:
    """A crash after a second and a GPU's seconds say nothing about a CPU's."""
    records = [past(cell(), 1, 1, status=Status.ERROR), past(cell(seed=1), 2, 3, device="NVIDIA H200", mib=9000)]
    records += [past(cell(seed=2), 40, 50), past(cell(seed=3), 40, 50)]
    known = Estimates.of(records)
    assert (known.device, known.records, known.seconds(cell()), known.memory_mib(cell())) == ("cpu", 2, 50, 500)
    assert Estimates.of(records, device="NVIDIA H200").seconds(cell()) == 3


def test_memory_that_was_not_measured_is_not_zero() -> None:
    """The measured ones answer; where there is none, those of other methods."""
    known = Estimates.of([past(cell(), 1, 1, mib=None), past(cell("vae"), 1, 1, mib=700)])
    assert known.memory_mib(cell()) == 700
    assert known.memory(cell()).basis == "all methods"


def test_the_wall_time_of_a_run_by_hand() -> None:
    """Two slots: 5 | 3, then 4 goes to the second (7), 1 to the first (6)."""
    assert makespan([5, 3, 4, 1], 2) == 7
    assert makespan([5, 3], 8) == 5
    assert makespan([], 2) == 0


@given(st.lists(st.floats(0, 1e4), max_size=30), st.integers(1, 8))
def test_the_wall_time_of_a_run_has_bounds(seconds: list[float], jobs: int) -> None:
    """Between what no schedule can beat and Graham's bound for list scheduling (1966): sum/m + (1 - 1/m)·longest."""
    wall, longest, share = makespan(seconds, jobs), max(seconds, default=0.0), sum(seconds) / jobs
    slack = 1e-9 * (1 + sum(seconds))  # rounding of sums
    assert max(longest, share) - slack <= wall <= share + (1 - 1 / jobs) * longest + slack


def test_no_torch() -> None:
    """The driver and the command line estimate before torch is imported."""
    imports = "import sys, graftbench.suites.estimates, graftbench.records.heads, graftbench.suites.status"
    code = f"{imports}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
