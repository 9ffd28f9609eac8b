"""Results of the gate: a row for each measure of each group of cells, and the cells that fail or are gone."""

from __future__ import annotations

from typing import Literal

import msgspec

Verdict = Literal["regression", "improvement", "unchanged", "too few pairs", "not compared"]


class GateRow(msgspec.Struct, frozen=True, kw_only=True):
    """One measure of one method (on one task, at one data budget).

    Attributes:
        method: Label of the method.
        task: The task, or empty where all are taken together.
        data_budget: Training images, or None where all are taken together.
        measure: Name of the measure.
        kind: `quality`, `cost` or `work`.
        verdict: What is found.
        reason: Why, in a sentence or clause.
        pairs: Number of pairs.
        base: Mean of the base, in the measure's own unit.
        new: Mean of the new run.
        change: Logarithm of new over base, the mean over pairs, above zero worse; None where nothing was compared.
        interval: 95 % interval of it; None of one pair.
        p: Two-sided p, corrected by Holm; None where there is none.
        threshold: What nobody minds; 0.1 is a factor of 1.1 either way.
        needed: How many pairs find a change of that size in 80 % of cases, at the noise seen; None where unknown.
    """

    method: str
    task: str = ""
    data_budget: int | None = None
    measure: str
    kind: str
    verdict: Verdict
    reason: str = ""
    pairs: int = 0
    base: float | None = None
    new: float | None = None
    change: float | None = None
    interval: tuple[float, float] | None = None
    p: float | None = None
    threshold: float
    needed: int | None = None

    @property
    def subject(self) -> str:
        """Return `finetune twemoji->openmoji@32 n=25`, as far as it is given."""
        budget = "" if self.data_budget is None else f"n={self.data_budget}"
        return " ".join(part for part in (self.method, self.task, budget) if part)


class FailedCell(msgspec.Struct, frozen=True, kw_only=True):
    """A cell that failed: which, with which status, and why."""

    cell: str
    status: str
    reason: str

    def __str__(self) -> str:
        return f"{self.cell}: {self.status}. {self.reason}"


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Results of the gate.

    Attributes:
        base: Name of the base.
        new: Name of the new run.
        rows: Everything that was judged: regressions first, then by method and measure.
        failing: Cells that ended well in the base and not in the new run.
        vanished: Cells of the base that the new run has not, and scores of cells that have become undefined.
        appeared: Cells that only the new run has.
        mended: Cells that failed in the base and ended well now.
        still_failing: Cells that fail on both sides.
        notes: What a reader should know.
        level: Of all tests of one kind together.
        test: Which test.
        pairs: Number of pairs of cells that were compared.
        format: Version of this object.
    """

    base: str
    new: str
    rows: list[GateRow]
    failing: list[FailedCell]
    vanished: list[str]
    appeared: list[str]
    mended: list[str]
    still_failing: list[FailedCell]
    notes: list[str]
    level: float
    test: str
    pairs: int
    format: int = 1

    def of(self, verdict: Verdict) -> list[GateRow]:
        """Return the rows with this verdict."""
        return [row for row in self.rows if row.verdict == verdict]

    @property
    def nothing_compared(self) -> bool:
        """Return whether pairs of cells are there and nothing of what they were to be compared by could be."""
        return bool(self.rows) and len(self.of("not compared")) == len(self.rows)

    @property
    def code(self) -> int:
        """Return the exit code: 1 a regression, 3 newly failing or vanished cells without one, 0 neither.

        2, as of bad input, where nothing was compared: nothing says that it did not get worse.
        """
        if self.of("regression"):
            return 1
        if self.failing or self.vanished:
            return 3
        return 2 if self.nothing_compared else 0
