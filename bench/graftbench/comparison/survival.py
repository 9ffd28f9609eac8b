"""Estimate the time until an event where some runs ended before it (censored): Kaplan and Meier's estimate.

E. L. Kaplan, P. Meier, "Nonparametric estimation from incomplete observations", JASA 53, 1958.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Waited:
    """One run: what it had spent when it arrived, or when it ended without arriving.

    Attributes:
        cost: Seconds, joules, images, money: at least 0.
        arrived: False where the run ended first: all that is known is that it takes more (it is censored).
    """

    cost: float
    arrived: bool


@dataclass(frozen=True)
class ArrivalCurve:
    """The share of runs that have arrived, as a function of what they spent.

    Attributes:
        costs: Where it steps up, ascending.
        shares: Its value from there on, 0 to 1.
        runs: Number of runs.
        arrivals: How many of them arrived.
        longest: The most that any run had spent, arrived or not; the curve is not known beyond.
    """

    costs: tuple[float, ...]
    shares: tuple[float, ...]
    runs: int
    arrivals: int
    longest: float

    def quantile(self, share: float) -> float | None:
        """Return the cost at which this share of runs has arrived; None where the curve never gets there."""
        return next((cost for cost, value in zip(self.costs, self.shares, strict=True) if value >= share - 1e-12), None)


def arrival_curve(runs: Sequence[Waited]) -> ArrivalCurve:
    """Estimate the share of runs that have arrived: 1 − Π (1 − arrivals / runs that still wait), over the arrivals.

    A run that ended without arriving counts among those that wait until then; at equal costs arrivals come first.

    Raises:
        GraftbenchError: There is no run, or a cost that is negative or not finite.
    """
    if not runs:
        raise GraftbenchError("No runs were given; how long they take needs at least one.")
    if wrong := [run.cost for run in runs if not 0 <= run.cost < math.inf]:
        raise GraftbenchError(f"What a run spent is a finite number of at least 0; found {wrong[0]}.")
    costs, shares, waiting = [], [], 1.0
    for cost in sorted({run.cost for run in runs if run.arrived}):
        at_risk = sum(run.cost >= cost for run in runs)
        waiting *= 1 - sum(run.arrived and run.cost == cost for run in runs) / at_risk
        costs.append(cost)
        shares.append(1 - waiting)
    arrivals = sum(run.arrived for run in runs)
    return ArrivalCurve(tuple(costs), tuple(shares), len(runs), arrivals, max(run.cost for run in runs))
