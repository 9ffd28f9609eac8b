"""The verdict on each measure of each group of cells."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from graftbench.comparison.multiplicity import holm
from graftbench.comparison.paired import least_pairs, p_clause, pairs_needed
from graftbench.records.provenance import HANDED_IN, is_declared, origin_of
from graftbench.regression import machines
from graftbench.regression.changes import change_of
from graftbench.regression.measures import IMAGES_TO_QUALITY, REACHES, UNTIL
from graftbench.regression.results import GateRow
from graftbench.regression.until_quality import (
    SCALE,
    ReachDifferences,
    least_pairs_to_reach,
    levels_of,
    reach_of,
    read_until,
    unlooked,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graftbench.comparison.paired import PairedDifferences
    from graftbench.records.record import Record
    from graftbench.regression.changes import Change
    from graftbench.regression.matching import Pair, Place
    from graftbench.regression.measures import Measure
    from graftbench.regression.options import GateOptions
    from graftbench.regression.results import Verdict
    from graftbench.regression.until_quality import Quality

CALIBRATED = (
    "fit_seconds",
    "fit_cpu_seconds",
    "training_images_per_second",
    "sampling_images_per_second",
    "seconds_to_quality",
)
"""Measures of time, which can be expressed in units of the calibration kernel's time."""

MOST_LEVELS = 4
"""KIDs that the note on the quality names."""

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
        measures: What is judged: what was asked for, and what must be judged with it.
        looked_at: Whether any fit could be held to a quality.
        unlooked: Why fits could not be.
    """

    def __init__(self, options: GateOptions, pairs: Sequence[Pair], base_records: Sequence[Record] = ()) -> None:
        self._options = options
        self._pairs = pairs
        self.measures = with_checks(options.measures)
        until_is_judged = any(measure.name in UNTIL for measure in self.measures)
        self._levels = levels_of(base_records, options.until) if until_is_judged else {}
        base = [record for pair in pairs for record in pair.base]
        new = [record for pair in pairs for record in pair.new]
        self._computed = {score.name for record in new for score in record.scores}
        self._left_out = 0
        self.looked_at = False
        self.unlooked: set[str] = set()
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
        if self._levels:
            self.notes.append(_on_levels(self._levels, options.until))
        if note := machines.arithmetic_note(base, new):
            self.notes.append(note)

    @property
    def lacks_levels(self) -> bool:
        """Return whether fits could not be held to a quality because the base says nowhere which KID that is."""
        return bool(self.unlooked & {level for level in self._levels.values() if isinstance(level, str)})

    def rows(self) -> list[GateRow]:
        """Return one row for each measure of each group of pairs; what neither side has measured is left out."""
        groups: dict[tuple[str, str, int | None], list[Pair]] = defaultdict(list)
        for pair in self._pairs:
            groups[self._group(pair)].append(pair)
        families: dict[str, list[_Judged]] = defaultdict(list)
        for (method, task, budget), pairs in groups.items():
            for measure in self.measures:
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
        rows = [
            row
            for kind in ("quality", "cost", "work")
            for row in (_counted(families[kind]) if kind == "work" else self._tested(families[kind]))
        ]
        self.notes += _other_trainings(rows)
        return rows

    def _group(self, pair: Pair) -> tuple[str, str, int | None]:
        by = self._options.by
        return pair.method, pair.task if by != "method" else "", pair.data_budget if by == "budget" else None

    # ------------------------------------------------------------------------------------------- what is compared

    def _change(self, pairs: list[Pair], measure: Measure) -> tuple[Change | None, str]:
        """Return the change, or why there is none; neither where nobody has measured it."""
        if measure.name in UNTIL:
            return self._until(pairs, measure)
        if measure.kind == "quality":
            return self._quality(pairs, measure)
        return self._cost(pairs, measure)

    def _until(self, pairs: list[Pair], measure: Measure) -> tuple[Change | None, str]:
        """Return the change until a quality, or of how many cells reach it; a pair that never does has no say."""
        fitted = [pair for pair in pairs if pair.base[0].cell.family != "reference"]
        looked_at = [pair for pair in fitted if not unlooked(pair, self._levels)]
        if not looked_at:
            self.unlooked |= {unlooked(pair, self._levels) for pair in fitted}
            return None, unlooked(fitted[0], self._levels) if fitted else ""
        self.looked_at = True
        read = read_until(measure, self._levels)
        if measure.name == REACHES:
            reached = reach_of(looked_at, read)
            return reached, "" if reached is not None else "no fit reaches it on either side"
        arriving = [pair for pair in looked_at if _has(pair.base, read) and _has(pair.new, read)]
        if not arriving:
            return None, "no cell that reaches the quality has it on both sides"
        if measure.kind == "cost":
            return self._cost(arriving, read)
        return change_of(arriving, read, test=self._options.test), ""

    def _cost(self, pairs: list[Pair], measure: Measure) -> tuple[Change | None, str]:
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
        if isinstance(differences, ReachDifferences):
            return self._reached(msgspec.structs.replace(row, p=p), measure, change, differences, tests)
        noise = measure.spread if differences.sd is None else differences.sd
        level = options.level / tests
        needed = pairs_needed(noise, differences.on_scale(measure.bound), level, test=options.test)
        row = msgspec.structs.replace(row, p=p, needed=needed)
        if _is_within(change, measure):
            return _with(row, "unchanged", "within the threshold")
        if p is not None and p <= options.level:
            return self._found(row, change, p_clause(p))
        if needed is not None and needed <= differences.n:
            return _with(row, "unchanged", "noise explains it" + ("" if p is None else f" ({p_clause(p)})"))
        more = _more(row, differences, least_pairs(options.test, level))
        if options.few_seeds == "gate":
            return self._found(row, change, f"by the threshold alone: {more}")
        return _with(row, "too few pairs", more)

    def _found(self, row: GateRow, change: Change, reason: str) -> GateRow:
        """Return the row as a change; fewer images are one for the worse where the training has to be the same."""
        if row.measure == IMAGES_TO_QUALITY and change.worse < 0 and self._options.same_training:
            return _with(row, "regression", f"another training, not a faster one: fewer images; {reason}")
        return _with(row, _direction(change.worse), reason)

    def _reached(
        self, row: GateRow, measure: Measure, change: Change, differences: ReachDifferences, tests: int
    ) -> GateRow:
        """Judge how many cells reach the quality: by the count's own test, else as every row."""
        if _is_within(change, measure):
            return _with(row, "unchanged", "within the threshold")
        counted = differences.in_words
        least = least_pairs_to_reach(self._options.level / tests)
        if row.p is not None and row.p <= self._options.level:
            return _with(row, _direction(change.worse), f"{counted}; {p_clause(row.p)}")
        if least <= differences.n:
            return _with(row, "unchanged", f"{counted}; noise explains it ({p_clause(row.p)})")
        more = f"{counted}; {least} pairs would tell if all did"
        if self._options.few_seeds == "gate":
            return _with(row, _direction(change.worse), f"by the threshold alone: {more}")
        return _with(row, "too few pairs", more)


def with_checks(measures: tuple[Measure, ...]) -> tuple[Measure, ...]:
    """Return the measures with those that must be judged beside a cost until a quality.

    Which fits reach it at all, for the others are not in the cost; and with how many images, for what takes fewer is no
    faster implementation of the same training.
    """
    names = [measure.name for measure in measures]
    added = [IMAGES_TO_QUALITY] if {"seconds_to_quality", "joules_to_quality"} & set(names) else []
    added += [REACHES] if set(names) & UNTIL.keys() else []
    return (*measures, *(UNTIL[name] for name in added if name not in names))


def _on_levels(levels: Mapping[Place, float | str], quality: Quality) -> str:
    """Say what is to be reached, and which KID that is where."""
    known = {place: level for place, level in levels.items() if isinstance(level, float)}
    if quality.kid is not None or not known:
        return f"The quality to be reached is {quality}."
    listed = [f"{SCALE * level:,.4g} ({place[0]}, n = {place[1]}, {place[2]})" for place, level in known.items()]
    more = f" and {len(listed) - MOST_LEVELS} more" if len(listed) > MOST_LEVELS else ""
    return f"The quality to be reached is {quality}, of the base: KID×10³ {', '.join(listed[:MOST_LEVELS])}{more}."


def _other_trainings(rows: Sequence[GateRow]) -> list[str]:
    """Say of what is sooner at the quality that it is another training, where it takes fewer images."""
    sooner = {row.subject for row in rows if row.measure == "seconds_to_quality" and row.verdict == "improvement"}
    return [
        f"{row.subject}: sooner at the quality, and with {math.exp(row.change):.2f} times the images of the base: "
        "another training, not a faster one (docs/regressions.md)."
        for row in rows
        if row.measure == IMAGES_TO_QUALITY and row.subject in sooner
        if row.change is not None and row.change < 0 and row.verdict in ("improvement", "regression")
    ]


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
