"""A task that offers what the contract names and not one attribute more, a log that remembers, a meter that watches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.budget import Meter
from graftbench.contracts import FitLog, OverBudget

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from graftbench.records.cell_spec import ComputeBudget

HOOKS = ("keep", "resume", "snapshot", "checkpoint")
"""Calls of a training loop for snapshots and checkpoints; here they do nothing."""

PATIENCE = 1000
"""So often the meter says that nothing is left before it ends a fit that goes on asking."""


class NotOffered(AssertionError):  # noqa: N818 - it says what happened, as `Diverged` does
    """A method looked at something that its task does not offer."""


class OfferedTask:
    """Holds what it is given; a method that asks for anything else is ended by `NotOffered`, `hasattr` included."""

    def __init__(self, **offer: object) -> None:
        vars(self).update(offer)

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotOffered(f"the method asked its task for '{name}', which it is not offered")


class SnapshotLog(FitLog):
    """Keeps every network that takes part in a fit, and what it held when the log first heard of it.

    Attributes:
        networks: Name -> network.
        before: "network.tensor" -> copy of the tensor, buffers included.
    """

    def __init__(self) -> None:
        super().__init__()
        self.networks: dict[str, torch.nn.Module] = {}
        self.before: dict[str, torch.Tensor] = {}

    def watch(self, **networks: torch.nn.Module) -> None:
        """Remember, then count."""
        for name, network in networks.items():
            if name not in self.networks:
                self.networks[name] = network
                self.before |= {f"{name}.{key}": tensor.clone() for key, tensor in network.state_dict().items()}
        super().watch(**networks)


class WatchedMeter(Meter):
    """A meter that knows whether it was asked, and ends a fit that goes on asking when nothing is left.

    Args:
        budget: The budget.
        tell: Told each of "asked" (for the first batch) and "refused" (the first time nothing was left) once.

    Attributes:
        asked: How often a batch was asked for.
        refused: How often nothing was left.
    """

    def __init__(self, budget: ComputeBudget, tell: Callable[[str], None] = lambda _: None) -> None:
        super().__init__(budget)
        self.asked = self.refused = 0
        self._tell = tell

    def grant(self, batch_size: int) -> int:
        """Grant as `Meter.grant` does.

        Raises:
            OverBudget: Nothing was left `PATIENCE` times, or so much was granted and nothing spent.
        """
        granted = super().grant(batch_size)
        self.asked += 1
        if self.asked > PATIENCE and not self.images_seen:
            raise OverBudget(f"the budget was asked {self.asked} times, and nothing of it was spent")
        if self.asked == 1:
            self._tell("asked")
        if not granted:
            self.refused += 1
            if self.refused == 1:
                self._tell("refused")
            if self.refused > PATIENCE:
                raise OverBudget(f"the budget granted nothing {PATIENCE} times, and the fit went on")
        return granted

    def spend(self, images: int) -> None:
        """Spend as `Meter.spend` does.

        Raises:
            OverBudget: `PATIENCE` times the budget was spent.
        """
        super().spend(images)
        limit = self.limit_images
        if limit is not None and self.images_seen > PATIENCE * limit:
            raise OverBudget(f"{self.images_seen} images were spent of a budget of {limit}, and the fit went on")
