"""The verdict on each measure of each group of cells."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from graftbench.comparison.multiplicity import holm
from graftbench.comparison.paired import least_pairs, p_clause, pairs_needed
from graftbench.records.provenance import HANDED_IN, is_declared, origin_of
from graftbench.regression import machines
from graftbench.regression.changes import change_of
from graftbench.regression.results import GateRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.comparison.paired import PairedDifferences
    from graftbench.records.record import Record
    from graftbench.regression.changes import Change
    from graftbench.regression.matching import Pair
    from graftbench.regression.measures import Measure
    from graftbench.regression.options import GateOptions
    from graftbench.regression.results import Verdict

CALIBRATED = ("fit_seconds", "fit_cpu_seconds", "training_images_per_second", "sampling_images_per_second")
"""Measures of time, which can be expressed in units of the calibration kernel's time."""

_COST_RULES = {
    "same-machine": "costs are not compared (--costs calibrated divides times by the calibration kernel's).",
    "calibrated": "times are divided by the calibration kernel's; memory and energy are not compared.",
    "any": "costs are compared all the same, as was asked.",
}

_Judged = tuple[GateRow, "Measure", "Change | None"]


class Judge:
    """Judges pairs of cells.

    Attributes:
        notes: What holds for all rows, in sentences.
        vanished: Scores that cells have in the base and no longer in the new run, `CELL: KID×10³ (why)`.
    """

    def __init__(self, options: GateOptions, pairs: Sequence[Pair]) -> None:
        self._options = options
        self._pairs = pairs
        base = [record for pair in pairs for record in pair.base]
        new = [record for pair in pairs for record in pair.new]
        self._computed = {score.name for record in new for score in record.scores}
        self._left_out = 0
        self._declared: set[str] = set()
        self.vanished: list[str] = []
        self.notes: list[str] = []
        software = machines.differences(base, new, machines.SOFTWARE)
        if software:
            self.notes.append(f"Software differs: {'; '.join(software)}.")
        hardware = machines.differences(base, new, machines.HARDWARE)
        if hardware:
            self.notes.append(f"Hardware differs ({'; '.join(hardware)}): {_COST_RULES[options.costs]}")
        self._other_hardware = bool(hardware)
        if note := machines.arithmetic_note(base, new):
            self.notes.append(note)

    def rows(self) -> list[GateRow]:
        """Return one row for each measure of each group of pairs; what neither side has measured is left out."""
        groups: dict[tuple[str, str, int | None], list[Pair]] = defaultdict(list)
        for pair in self._pairs:
            groups[self._group(pair)].append(pair)
        families: dict[str, list[_Judged]] = defaultdict(list)
        for (method, task, budget), pairs in groups.items():
            for measure in self._options.measures:
                change, reason = self._change(pairs, measure)
                if change is not None or reason:
                    blank = GateRow(
                        method=method,
                        task=task,
                        data_budget=budget,
                        measure=measure.name,
                        kind=measure.kind,
                        verdict="not compared",
                        reason=reason,
                        threshold=measure.threshold,
                    )
                    families[measure.kind].append((blank, measure, change))
        if self._left_out:
            self.notes.append(
                f"{self._left_out} wall times were left out: other processes used the machine (--shared-timings "
                "compares them too)."
            )
        if self._declared:
            self.notes.append(
                "Costs that were declared and not measured here, or of what was made elsewhere on one side alone, are "
                f"left out: {'; '.join(sorted(self._declared))}."
            )
        return [
            row
            for kind in ("quality", "cost", "work")
            for row in (_counted(families[kind]) if kind == "work" else self._tested(families[kind]))
        ]

    def _group(self, pair: Pair) -> tuple[str, str, int | None]:
        by = self._options.by
        return pair.method, pair.task if by != "method" else "", pair.data_budget if by == "budget" else None

    # ------------------------------------------------------------------------------------------- what is compared

    def _change(self, pairs: list[Pair], measure: Measure) -> tuple[Change | None, str]:
        """Return the change, or why there is none; neither where nobody has measured it."""
        if measure.kind == "quality":
            return self._quality(pairs, measure)
        # a reference row fits nothing: its milliseconds are no cost
        fitted = [pair for pair in pairs if pair.base[0].cell.family != "reference"]
        if unmeasured := [pair for pair in fitted if _is_unmeasured(pair, measure)]:
            self._declared |= {f"{pair.method}: {measure.label}" for pair in unmeasured}
            fitted = [pair for pair in fitted if pair not in unmeasured]
            if not fitted:
                return None, "declared or made elsewhere, not measured"
        pairs = [pair for pair in fitted if _has(pair.base, measure) and _has(pair.new, measure)]
        if not pairs:
            sides = (("new run", (pair.base for pair in fitted)), ("base", (pair.new for pair in fitted)))
            lacking = [name for name, paired in sides if any(_has(records, measure) for records in paired)]
            return None, f"the {lacking[0]} did not measure it" if lacking else ""
        unit = None
        if measure.kind == "cost" and self._other_hardware and self._options.costs != "any":
            if self._options.costs == "same-machine" or measure.name not in CALIBRATED:
                return None, "other hardware"
            unit = machines.calibration
        if measure.timed and not self._options.shared:
            alone = [pair for pair in pairs if not machines.shared((*pair.base, *pair.new))]
            self._left_out += len(pairs) - len(alone)
            if not alone:
                return None, "other processes used the machine"
            pairs = alone
        change = change_of(pairs, measure, test=self._options.test, unit=unit)
        return change, "" if change is not None else "other hardware, and no calibration was timed on both"

    def _quality(self, pairs: list[Pair], measure: Measure) -> tuple[Change | None, str]:
        if not any(_has(pair.base, measure) for pair in pairs):
            new_alone = any(_has(pair.new, measure) for pair in pairs)
            return None, "the base has no value" if new_alone else ""
        if measure.name not in self._computed:
            return None, "the new run did not compute it"
        # A reference row does not learn: under one seed it changes only if the evaluation does, which is worth knowing;
        # under another it changes by the draw alone, and a KID near zero by any factor.
        cells = [(pair.base[0].cell, pair.new[0].cell) for pair in pairs]
        if any(old.family == "reference" and old.seed != late.seed for old, late in cells):
            return None, "a reference row of other seeds is another draw of real images"
        for pair in pairs:
            if _has(pair.base, measure) and not _has(pair.new, measure):
                self.vanished.append(f"{pair}: {measure.label} ({_why_undefined(pair.new, measure)})")
        change = change_of(pairs, measure, test=self._options.test)
        return change, "" if change is not None else "the new run has no value"

    # ---------------------------------------------------------------------------------------------- what is found

    def _tested(self, family: Sequence[_Judged]) -> list[GateRow]:
        """Return the rows of one family of tests: p-values corrected together.

        A row whose pairs are all equal is no test (Tarone 1990): in a deterministic run those are the methods whose
        code has not changed, and they do not weigh on the one whose code has.
        """
        changed = [change.differences for _, _, change in family if change is not None and not change.differences.none]
        corrected = iter(_corrected([differences.p for differences in changed]))
        tests = max(1, sum(differences.p is not None for differences in changed))
        rows = []
        for row, measure, change in family:
            if change is None:
                rows.append(row)
                continue
            p = 1.0 if change.differences.none else next(corrected)
            rows.append(self._verdict(_with_change(row, change), measure, change, p, tests))
        return rows

    def _verdict(self, row: GateRow, measure: Measure, change: Change, p: float | None, tests: int) -> GateRow:
        options, differences = self._options, change.differences
        noise = measure.spread if differences.sd is None else differences.sd
        level = options.level / tests
        needed = pairs_needed(noise, differences.on_scale(measure.bound), level, test=options.test)
        row = msgspec.structs.replace(row, p=p, needed=needed)
        if _is_within(change, measure):
            return _with(row, "unchanged", "within the threshold")
        if p is not None and p <= options.level:
            return _with(row, _direction(change.worse), p_clause(p))
        if needed is not None and needed <= differences.n:
            return _with(row, "unchanged", "noise explains it" + ("" if p is None else f" ({p_clause(p)})"))
        more = _more(row, differences, least_pairs(options.test, level))
        if options.few_seeds == "gate":
            return _with(row, _direction(change.worse), f"by the threshold alone: {more}")
        return _with(row, "too few pairs", more)


def _is_within(change: Change, measure: Measure) -> bool:
    """Return whether a change is within the threshold; what lies at its end is, whatever the last bit says."""
    return abs(change.worse) <= measure.bound + 1e-12


def _more(row: GateRow, differences: PairedDifferences, least: int) -> str:
    """Say `has 4 pairs; 38 would find 10 % in 80 % of cases`, or what else is known of how many it takes."""
    pairs = f"has {differences.n} pair{'' if differences.n == 1 else 's'}"
    share = f"{100 * row.threshold:g} %"
    if row.needed is None:
        lacking = "more pairs than can be said" if differences.n >= least else f"at least {least} pairs"
        return f"{pairs}; it takes {lacking} to find {share}"
    source = ", by the noise of the published runs" if differences.sd is None else ""
    return f"{pairs}; {row.needed:,} would find {share} in 80 % of cases{source}"


def _has(records: Sequence[Record], measure: Measure) -> bool:
    return any(measure.of(record) is not None for record in records)


def _is_unmeasured(pair: Pair, measure: Measure) -> bool:
    """Return whether the cost of a fit was not measured on both sides: it is declared, or made elsewhere on one."""
    records = (*pair.base, *pair.new)
    if any(is_declared(record, measure.name) for record in records):
        return True
    return len({origin_of(record) == HANDED_IN for record in records}) > 1 and _has(records, measure)


def _why_undefined(records: Sequence[Record], measure: Measure) -> str:
    scores = [score for record in records if (score := record.score(measure.name)) is not None]
    return next((score.undefined for score in scores if score.undefined), "no value") if scores else "not computed"


def _corrected(p: list[float | None]) -> list[float | None]:
    defined = [value for value in p if value is not None]
    adjusted = iter(holm(defined).tolist() if defined else [])
    return [None if value is None else next(adjusted) for value in p]


def _with_change(row: GateRow, change: Change) -> GateRow:
    numbers = {"base": change.base, "new": change.new, "change": change.worse, "interval": change.interval}
    return msgspec.structs.replace(row, pairs=change.differences.n, **numbers)


def _counted(family: Sequence[_Judged]) -> list[GateRow]:
    """Judge what is counted and has no noise: the threshold decides alone."""
    rows = []
    for blank, measure, change in family:
        if change is None:
            rows.append(blank)
        elif _is_within(change, measure):
            rows.append(_with(_with_change(blank, change), "unchanged", "within the threshold"))
        else:
            rows.append(_with(_with_change(blank, change), _direction(change.worse), "counted"))
    return rows


def _direction(change: float) -> Verdict:
    return "regression" if change > 0 else "improvement"


def _with(row: GateRow, verdict: Verdict, reason: str) -> GateRow:
    return msgspec.structs.replace(row, verdict=verdict, reason=reason)
