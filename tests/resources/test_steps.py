"""Times of steps: warm-up, steady state and percentiles by hand; pauses left out; a queue is waited for."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

import fake_gpu
import pytest

from graftbench.budget import Meter
from graftbench.execution.timed_meter import ObservedMeter
from graftbench.records.cell_spec import ComputeBudget
from graftbench.resources.steps import StepTimes, summarize_steps

if TYPE_CHECKING:
    from collections.abc import Callable


def _summary(*seconds: float) -> object:
    return summarize_steps(array("d", seconds), array("q", [4] * len(seconds)))


def test_warm_up_and_steady_state_by_hand() -> None:
    """5 s and 3 s come before steps of 1 s: warm-up 8 s; then 24 images in 7 s, of which one step took 2 s."""
    summary = summarize_steps(array("d", [5, 3, 1, 1, 1, 1, 2, 1]), array("q", [4] * 8))
    assert summary is not None
    assert summary.warmup_seconds == 8
    assert summary.images_per_second == pytest.approx(24 / 7)
    assert (summary.p50, summary.p90, summary.p99) == pytest.approx((1.0, 1.5, 1.95))


def test_the_first_step_is_always_warm_up() -> None:
    """It counts operations, however long it takes; one step alone says nothing."""
    summary = summarize_steps(array("d", [1, 1, 1]), array("q", [4] * 3))
    assert summary is not None
    assert summary.warmup_seconds == 1
    assert _summary(1.0) is None
    assert _summary() is None


def test_pauses_are_no_part_of_a_step() -> None:
    """A step of 1 s, a pause of 9 s and 2 s more is one of 3 s."""
    moments = iter([0.0, 1.0, 10.0, 12.0, 20.0, 24.0])
    steps = StepTimes(clock=lambda: next(moments))
    steps.begin()
    steps.pause()
    steps.go_on()
    steps.end(4)
    steps.begin()
    steps.end(4)
    assert list(steps.seconds) == [3.0, 4.0]
    steps.end(4)  # one that never began
    assert list(steps.images) == [4, 4]


def test_a_resumed_fit_keeps_its_steps() -> None:
    """What another process timed is in the summary."""
    steps = StepTimes()
    steps.load_state_dict({"seconds": [5.0, 1.0], "images": [4, 4]})
    assert steps.state_dict() == {"seconds": [5.0, 1.0], "images": [4, 4]}


def test_steps_on_a_queue_are_the_queue_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work of 20 ms that is queued in no time is a step of 20 ms, and nobody waits between steps."""
    gpu = fake_gpu.install(monkeypatch)
    steps = StepTimes("cuda:0")
    for _ in range(4):
        steps.begin()
        gpu.queue(0.02)
        steps.end(8)
    assert len(steps.seconds) < 4
    summary = steps.summary()
    assert summary is not None
    assert summary.p50 == pytest.approx(0.02, rel=0.02)
    assert summary.images_per_second == pytest.approx(400, rel=0.02)


def test_a_meter_tells_its_observers_and_decides_as_ever() -> None:
    """Grants, shown batches and pauses are told; the batches are those of a plain meter."""
    told: list[str] = []

    class Observer:
        def __init__(self) -> None:
            self.begin, self.pause, self.go_on = (self._teller(word) for word in ("begin", "pause", "go on"))

        def _teller(self, word: str) -> Callable[[], None]:
            return lambda: told.append(word)

        def end(self, images: int) -> None:
            told.append(f"end {images}")

    budget = ComputeBudget(kimg=0.006)
    meter = ObservedMeter(budget, [Observer()])
    sizes = []
    for size in meter.batches(4):
        with meter.paused(), meter.paused():
            sizes.append(size)
    assert sizes == list(Meter(budget).batches(4)) == [4, 2]
    assert told == ["begin", "pause", "go on", "end 4", "begin", "pause", "go on", "end 2"]
