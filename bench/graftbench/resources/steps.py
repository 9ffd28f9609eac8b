"""Time the steps of a fit: the warm-up, and the steady state after it."""

from __future__ import annotations

import time
from array import array
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from graftbench.resources.device import is_cuda

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

SLOW = 2.0
"""A step at the beginning that takes more than this many medians belongs to the warm-up."""


class StepObserver(Protocol):
    """Hears when each step of a fit begins and ends, and when the fit is paused within one."""

    def begin(self) -> None:
        """Hear that a batch was granted."""
        ...

    def end(self, images: int) -> None:
        """Hear that it was shown, so many images."""
        ...

    def pause(self) -> None:
        """Hear that what follows is not the fit's."""
        ...

    def go_on(self) -> None:
        """Hear that what follows is the fit's again."""
        ...


@dataclass(frozen=True)
class StepSummary:
    """Times of the steps of a fit.

    Attributes:
        steps: How many there were.
        warmup_seconds: Of the first step, and of those that follow it and took over `SLOW` times the median.
        images_per_second: Of the steps after them.
        p50: Median of their seconds.
        p90: 90th percentile (linear between two steps).
        p99: 99th percentile.
    """

    steps: int
    warmup_seconds: float
    images_per_second: float
    p50: float
    p90: float
    p99: float


def summarize_steps(seconds: array[float], images: array[int]) -> StepSummary | None:
    """Summarise the seconds and images of steps, in their order; None of fewer than two steps."""
    times, shown = np.asarray(seconds, dtype=np.float64), np.asarray(images, dtype=np.float64)
    if len(times) < 2:
        return None
    # The median is that of the later half, which no warm-up reaches.
    slow = times > SLOW * np.median(times[len(times) // 2 :])
    first = max(1, int(np.argmin(slow)) if not slow.all() else len(times) // 2)
    steady = times[first:]
    p50, p90, p99 = (float(value) for value in np.percentile(steady, [50, 90, 99]))
    rate = float(shown[first:].sum() / steady.sum()) if steady.sum() > 0 else float("inf")
    return StepSummary(len(times), float(times[:first].sum()), rate, p50, p90, p99)


class StepTimes:
    """Times steps: on a CPU by the clock, on CUDA by events in the device's own queue, which stop nothing.

    Args:
        device: Where the fit computes.
        clock: Seconds, monotonic; for a CPU.
        make_event: Makes an event of the device (`torch.cuda.Event`), for CUDA.
    """

    def __init__(
        self,
        device: str | torch.device = "cpu",
        *,
        clock: Callable[[], float] = time.perf_counter,
        make_event: Callable[[], Any] | None = None,
    ) -> None:
        self.seconds, self.images = array("d"), array("q")
        self._moment: Callable[[], Any] = _events(device, make_event) if is_cuda(device) else clock
        self._began: Any = None
        self._spans: list[tuple[Any, Any]] = []
        self._pending: deque[tuple[list[tuple[Any, Any]], int]] = deque()

    def begin(self) -> None:
        """Begin a step."""
        self._spans, self._began = [], self._moment()

    def pause(self) -> None:
        """Leave out what follows."""
        if self._began is not None:
            self._spans.append((self._began, self._moment()))

    def go_on(self) -> None:
        """Count again."""
        if self._began is not None:
            self._began = self._moment()

    def end(self, images: int) -> None:
        """End the step; one that never began is none."""
        if self._began is None:
            return
        self.pause()
        self._pending.append((self._spans, images))
        self._began = None
        while self._pending and _is_over(self._pending[0][0][-1][1]):
            self._count(*self._pending.popleft())

    def _count(self, spans: list[tuple[Any, Any]], images: int) -> None:
        self.seconds.append(sum(_seconds(start, end) for start, end in spans))
        self.images.append(images)

    def summary(self) -> StepSummary | None:
        """Summarise the steps so far; waits for the device. None of fewer than two."""
        while self._pending:
            spans, images = self._pending.popleft()
            if hasattr(last := spans[-1][1], "synchronize"):
                last.synchronize()
            self._count(spans, images)
        return summarize_steps(self.seconds, self.images)

    def state_dict(self) -> dict[str, Any]:
        """Return the times so far; a step that lasts still is not in them."""
        self.summary()
        return {"seconds": list(self.seconds), "images": list(self.images)}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Go on from such a state."""
        self.seconds, self.images = array("d", state["seconds"]), array("q", state["images"])
        self._began, self._pending = None, deque()


def _events(device: str | torch.device, make_event: Callable[[], Any] | None) -> Callable[[], Any]:
    """Return what puts an event into the device's present stream."""
    import torch  # noqa: PLC0415 - the command line reads this module's neighbours without torch

    make = make_event or (lambda: torch.cuda.Event(enable_timing=True))

    def recorded() -> Any:  # noqa: ANN401 - an event
        event = make()
        event.record(torch.cuda.current_stream(device))
        return event

    return recorded


def _is_over(moment: Any) -> bool:  # noqa: ANN401 - seconds, or an event
    return isinstance(moment, float) or moment.query()


def _seconds(start: Any, end: Any) -> float:  # noqa: ANN401 - likewise
    return end - start if isinstance(start, float) else start.elapsed_time(end) / 1e3
