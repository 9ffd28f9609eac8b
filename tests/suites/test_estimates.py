"""Estimates by hand: which records answer, how a fit is scaled, how long a run takes and what is left of it."""

from __future__ import annotations

import pytest
from command_line import imports_of
from hypothesis import given
from hypothesis import strategies as st
from made_cells import make_cell

from graftbench.records.cell_spec import CellSpec, ComputeBudget, Protocol, TaskSpec
from graftbench.records.heads import Head, HeadCost
from graftbench.records.record import Status
from graftbench.suites.estimates import Estimates, Remaining, Running, makespan

KIMG = ComputeBudget(kimg=8)


def cell(method: str = "dcgan", budget: ComputeBudget = KIMG, side: int = 32, seed: int = 0) -> CellSpec:
    """A cell."""
    task = TaskSpec("a", "b", side)
    return make_cell(method, seed, family="scratch", task=task, compute_budget=budget, protocol=Protocol())


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


# ------------------------------------------------------------------------------------------------- the remaining time


def cells_of(**counts: int) -> list[CellSpec]:
    """So many cells of each method."""
    return [cell(method, seed=seed) for method, count in counts.items() for seed in range(count)]


def after(remaining: Remaining, *ended: tuple[CellSpec, Status, float]) -> Remaining:
    """Cells were taken and have ended."""
    for spec, status, seconds in ended:
        remaining.take(spec.id)
        remaining.ended(spec, status, seconds)
    return remaining


def test_nothing_is_known_at_first() -> None:
    """Without an expectation and without a finished cell there is no estimate; with nothing left there is one: 0."""
    remaining = Remaining(jobs=2)
    remaining.wait_for(cells_of(dcgan=2))
    assert remaining.seconds([], 0.0) is None
    assert Remaining().seconds([], 0.0) == 0.0


def test_waiting_cells_take_as_long_as_their_methods() -> None:
    """(2 + 4)/2 = 3 s a cell of `gatys`, 10 s of `dcgan`; of `vae`, of which none has ended, (2 + 4 + 10)/3."""
    remaining = Remaining(jobs=1)
    cells = cells_of(gatys=4, dcgan=2, vae=1)
    remaining.wait_for(cells)
    ok = Status.OK
    after(remaining, (cells[0], ok, 2.0), (cells[1], ok, 4.0), (cells[4], ok, 10.0))
    assert remaining.seconds([], 0.0) == pytest.approx(2 * 3 + 10 + 16 / 3)


def test_what_was_expected_is_corrected_by_what_was_measured() -> None:
    """10 and 30 s were expected; the first took 20: the second takes 60, and a cell of another method twice its 5."""
    expected = {("dcgan", 0): 10.0, ("dcgan", 1): 30.0, ("vae", 0): 5.0}
    remaining = Remaining(1, lambda spec: expected[spec.method, spec.seed])
    cells = cells_of(dcgan=2, vae=1)
    remaining.wait_for(cells)
    assert remaining.seconds([], 0.0) == 45.0
    after(remaining, (cells[0], Status.OK, 20.0))
    assert remaining.seconds([], 0.0) == 70.0


def test_failures_that_end_at_once_do_not_count() -> None:
    """Skipped, failed and adopted cells (0 s) leave the estimate of the others as it was; a timeout is a duration."""
    remaining = Remaining(jobs=1)
    cells = cells_of(dcgan=10)
    remaining.wait_for(cells)
    after(remaining, (cells[0], Status.OK, 100.0))
    after(
        remaining, *((c, s, 0.1) for c, s in zip(cells[1:4], (Status.SKIPPED, Status.ERROR, Status.OOM), strict=True))
    )
    after(remaining, (cells[4], Status.OK, 0.0))
    assert remaining.seconds([], 0.0) == 500.0
    after(remaining, (cells[5], Status.TIMEOUT, 300.0))
    assert remaining.seconds([], 0.0) == 4 * 200.0


def test_running_cells_count_for_what_they_have_not_done() -> None:
    """60 s expected, 45 s ago: 15 s; overdue: none left. Work is spread over the jobs; the longest rest is a bound."""
    remaining = Remaining(jobs=2, expected=lambda _: 60.0)
    cells = cells_of(dcgan=4)
    remaining.wait_for(cells[2:])
    running = [(cells[0], Running(since=0.0)), (cells[1], Running(since=30.0))]
    assert remaining.seconds(running, 45.0) == (15 + 45 + 2 * 60) / 2
    assert remaining.seconds(running, 1000.0) == 60.0
    one = Remaining(jobs=4, expected=lambda _: 60.0)
    assert one.seconds([(cells[0], Running(since=0.0))], 10.0) == 50.0


def test_a_share_tells_more_than_an_expectation() -> None:
    """From 40 % at 10 s to 60 % at 30 s: 1 % a second, so 40 s were left then; a cell resumed at 40 % is no faster."""
    remaining = Remaining(jobs=1, expected=lambda _: 10_000.0)
    state = Running(since=0.0)
    state.hear(10.0, 0.4)
    assert remaining.of_running(cell(), state, 12.0) == 9_988.0
    state.hear(30.0, 0.6)
    assert remaining.of_running(cell(), state, 30.0) == pytest.approx(40.0)
    assert remaining.of_running(cell(), state, 35.0) == pytest.approx(35.0)
    assert Remaining().seconds([(cell(), state)], 30.0) == pytest.approx(40.0)


def test_a_share_that_stands_still_tells_nothing() -> None:
    """A new KID at the same share, or no news since the first: what was expected counts."""
    remaining = Remaining(jobs=1, expected=lambda _: 100.0)
    state = Running(since=0.0)
    state.hear(10.0, 0.5)
    state.hear(20.0, 0.5)
    assert remaining.of_running(cell(), state, 20.0) == 80.0
    state.hear(30.0, 0.505)
    assert remaining.of_running(cell(), state, 30.0) == 70.0


def test_ten_thousand_waiting_cells_cost_nothing_to_draw() -> None:
    """The estimate sums over methods, not over cells: the expectation is asked once for each cell."""
    asked = []
    spec = cell()

    class Many:
        """Cells whose ids cost nothing."""

        def __init__(self, number: int) -> None:
            self.id, self.method = str(number), spec.method

    remaining = Remaining(4, lambda one: asked.append(one) or 1.0)
    remaining.wait_for(Many(i) for i in range(10_000))  # type: ignore[misc]
    for _ in range(100):
        remaining.seconds([], 0.0)
    assert len(asked) == 10_000


def test_no_torch() -> None:
    """The driver and the command line estimate before torch is imported."""
    code = "import graftbench.suites.estimates, graftbench.records.heads, graftbench.suites.status"
    assert imports_of(code, ["torch"])[0] == set()
