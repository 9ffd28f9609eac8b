"""A meter that tells others of its steps: who times them, who profiles them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from graftbench.budget import Meter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graftbench.records.cell_spec import ComputeBudget
    from graftbench.resources.steps import StepObserver


class ObservedMeter(Meter):
    """Decides as `Meter` does, and tells observers of each batch that was granted and shown, and of pauses.

    Args:
        budget: The budget.
        observers: Told, in this order.
        **settings: As of `Meter`.
    """

    def __init__(self, budget: ComputeBudget, observers: Sequence[StepObserver], **settings: Any) -> None:  # noqa: ANN401
        super().__init__(budget, **settings)
        self._observers = observers

    def grant(self, batch_size: int) -> int:
        """Grant as `Meter.grant` does."""
        granted = super().grant(batch_size)
        for observer in self._observers if granted else ():
            observer.begin()
        return granted

    def spend(self, images: int) -> None:
        """Spend as `Meter.spend` does."""
        super().spend(images)
        for observer in self._observers:
            observer.end(images)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Pause as `Meter.paused` does."""
        if self._paused_at is not None:
            yield
            return
        for observer in self._observers:
            observer.pause()
        try:
            with super().paused():
                yield
        finally:
            for observer in self._observers:
                observer.go_on()
