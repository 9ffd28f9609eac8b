"""Compare several records of one cell: how they ended, and whether their scores agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graftbench.records.record import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.records.record import Record


@dataclass(frozen=True)
class Duplicate:
    """A cell that more than one run has run.

    Attributes:
        id: The cell's id.
        cell: The cell in words.
        statuses: How it ended, in the order of the runs.
        score: The metric whose values differ most, relative to their size; empty where all agree to the last digit, or
            where there are no two `ok` records to compare.
        values: The least and the greatest value of that metric; None where it is undefined.
    """

    id: str
    cell: str
    statuses: tuple[str, ...]
    score: str = ""
    values: tuple[float | None, float | None] = (None, None)

    @property
    def agrees(self) -> bool:
        """Return whether all runs ended alike, with the same scores to the last digit."""
        return not self.score and len(set(self.statuses)) == 1

    def __str__(self) -> str:
        if len(set(self.statuses)) > 1:
            return f"{self.cell}: {', '.join(self.statuses)}"
        if not self.score:
            return f"{self.cell}: {self.statuses[0]}, equal"
        low, high = self.values
        if low is None or high is None:
            return f"{self.cell}: {self.score} is undefined in some of them"
        return f"{self.cell}: {self.score} {low:.6g} and {high:.6g}, {_relative(low, high):.1e} of it apart"


def compared(records: Sequence[Record]) -> Duplicate:
    """Compare records of one cell, one a run."""
    fine = [record for record in records if record.status == Status.OK]
    score, values = _widest(fine) if len(fine) > 1 else ("", (None, None))
    first = records[0]
    return Duplicate(first.id, str(first.cell), tuple(str(r.status) for r in records), score, values)


def _widest(records: Sequence[Record]) -> tuple[str, tuple[float | None, float | None]]:
    """Return the metric that differs most, its least and greatest value; one undefined in some goes first."""
    names = dict.fromkeys(score.name for record in records for score in record.scores)
    widest, most_apart = ("", (None, None)), 0.0
    for name in names:
        values = [None if (score := record.score(name)) is None else score.value for record in records]
        defined = [value for value in values if value is not None]
        if not defined:
            continue
        low, high = min(defined), max(defined)
        if len(defined) < len(values):
            return name, (low, None)
        if (apart := _relative(low, high)) > most_apart:
            widest, most_apart = (name, (low, high)), apart
    return widest


def _relative(low: float, high: float) -> float:
    """Return how far two numbers are apart, as a share of the larger one's size."""
    return 0.0 if low == high else (high - low) / max(abs(low), abs(high))
