"""Data budgets (nested subsets) and compute budgets (the meter that ends every fit)."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from graftbench.records.cell_spec import ComputeBudget


class Meter:
    """Decides when a fit ends. Not the method.

    A method that trains in batches loops over `batches`; one that does not calls `spend` itself. The clock is
    injected so that a test can hold it still. `aside` is entered for as long as the meter is paused: whoever measures
    the fit can look away.

    Attributes:
        images_seen: Training images shown so far.
        flops_per_image: Floating-point operations per training image, counted on the first batch.
    """

    def __init__(
        self,
        budget: ComputeBudget,
        *,
        clock: Callable[[], float] = time.perf_counter,
        synchronize: Callable[[], None] = lambda: None,
        aside: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.budget = budget
        self.images_seen = 0
        self.flops_per_image: float | None = None
        self._clock = clock
        self._synchronize = synchronize
        self._aside = aside
        self._started: float | None = None
        self._paused_seconds = 0.0
        self._paused_at: float | None = None

    @property
    def limit_images(self) -> int | None:
        """The budget in whole images, at least one; None where seconds bind, or FLOPs that are not counted yet."""
        if self.budget.kimg is not None:
            return max(1, round(self.budget.kimg * 1000))
        if self.budget.gflops is not None and self.flops_per_image:
            return max(1, round(self.budget.gflops * 1e9 / self.flops_per_image))
        return None

    @property
    def paused_seconds(self) -> float:
        """Seconds spent in pauses since the first image was asked for; one that lasts still is not in it."""
        return self._paused_seconds

    def seconds(self) -> float:
        """Seconds since the first image was asked for, pauses not counted: within one they stand still."""
        if self._started is None:
            return 0.0
        now = self._clock() if self._paused_at is None else max(self._paused_at, self._started)
        return now - self._started - self._paused_seconds

    def state_dict(self) -> dict[str, Any]:
        """Return what was spent so far."""
        return {
            "images_seen": self.images_seen,
            "flops_per_image": self.flops_per_image,
            "seconds": self.seconds(),
            "paused_seconds": self._paused_seconds,
        }

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Go on from there; the clock runs from now on, and a batch that was not finished is granted again."""
        self.images_seen = state["images_seen"]
        self.flops_per_image = state["flops_per_image"]
        self._paused_seconds = state["paused_seconds"]
        self._started = self._clock() - state["seconds"] - self._paused_seconds

    def share(self) -> float:
        """Spent share of the budget, 0 to 1."""
        if self.limit_images is not None:
            return min(1.0, self.images_seen / self.limit_images)
        return 0.0 if self.budget.seconds is None else min(1.0, self.seconds() / self.budget.seconds)

    def grant(self, batch_size: int) -> int:
        """How many images the next step may show: batch_size, fewer at the end, 0 when the budget is spent.

        Raises:
            GraftbenchError: FLOPs bind, but images were shown and no arithmetic was counted: the fit would never end.
        """
        if self._started is None:
            self._started = self._clock()
        if self.limit_images is not None:
            return max(0, min(batch_size, self.limit_images - self.images_seen))
        if self.budget.seconds is not None:
            self._synchronize()  # queued device work has been paid for too
            return 0 if self.share() >= 1.0 else batch_size
        if self.images_seen:
            raise GraftbenchError(
                "A budget in gflops cannot end this method: torch counted no arithmetic in its first batch. "
                "Use kimg or seconds."
            )
        return batch_size

    def spend(self, images: int) -> None:
        """Count images that were shown."""
        self.images_seen += images

    def batches(self, batch_size: int) -> Iterator[int]:
        """Sizes of the batches that the budget pays for; the first one's arithmetic is counted.

        Counting slows the first step only. Operations that torch's counter does not know (interpolation, grid
        sampling) count nothing. A batch counts as shown when the loop is left in it, too.
        """
        while (size := self.grant(batch_size)) > 0:
            try:
                if self.images_seen == 0:
                    with self._count_flops(size):
                        yield size
                else:
                    yield size
            finally:
                self.spend(size)

    @contextmanager
    def _count_flops(self, images: int) -> Iterator[None]:
        from torch.utils.flop_counter import FlopCounterMode  # noqa: PLC0415 - this file serves without torch too

        with FlopCounterMode(display=False) as counter:
            yield
        self.flops_per_image = counter.get_total_flops() / images

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time spent inside (evaluation snapshots) does not count. Pauses may be nested."""
        if self._paused_at is not None:
            yield
            return
        self._synchronize()
        self._paused_at = self._clock()
        try:
            with self._aside():
                yield
        finally:
            self._synchronize()
            if self._started is not None:
                self._paused_seconds += self._clock() - max(self._paused_at, self._started)
            self._paused_at = None
