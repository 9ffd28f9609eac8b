"""The cost of a quality: seconds, joules, images and money until a fit's snapshots reach it.

The qualities lie between what learnt nothing (the source model as it is) and what real images score (the floor). A fit
arrives with the first snapshot at or below a level; between two snapshots nobody looked, so the true cost lies between
them, and that of the later one is stated. A fit that never arrives is censored at its end (`survival`), never dropped.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any, TypeGuard

from graftbench.comparison.nothing_learnt import SOURCE
from graftbench.comparison.survival import Waited, arrival_curve
from graftbench.errors import GraftbenchError
from graftbench.records.cell_spec import SAMPLES
from graftbench.records.provenance import known_cost
from graftbench.records.record import Status

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from graftbench.comparison.survival import ArrivalCurve
    from graftbench.records.record import Record

METRIC = "kid"
WAY = (0.5, 0.75, 0.9)
"""Levels, as shares of the way from what learnt nothing to the floor."""

LEAST_PAIRS = 2
"""Runs a side that a comparison of convergence takes."""

CONVERGENCE_LEVEL = 0.05
"""Level of the one-sided test that a variant takes fewer images than the method it varies."""


@dataclass(frozen=True)
class Passed:
    """Cost and score of a fit at one of its snapshots."""

    images: float
    seconds: float
    joules: float | None
    score: float


@dataclass(frozen=True)
class LevelArrival:
    """Cost of reaching one level, over the runs of a method.

    Attributes:
        seconds: The curve of arrivals by seconds of the fit.
        images: By training images shown.
        joules: By energy; None where a run has none.
        left_again: Runs that arrived and ended above the level.
    """

    seconds: ArrivalCurve
    images: ArrivalCurve
    joules: ArrivalCurve | None
    left_again: int


@dataclass(frozen=True)
class QualityRow:
    """Cost of each quality for one method.

    Attributes:
        method: Its name.
        runs: Cells with a course.
        left_out: Cells without one, by the reason.
        arrivals: One for each level of the table.
        convergence: Of a variant, what the check of its convergence says; else empty.
        started_elsewhere: It started from another source model than the row `source`, whose KID the levels go by.
    """

    method: str
    runs: int
    left_out: dict[str, int]
    arrivals: tuple[LevelArrival, ...]
    convergence: str = ""
    started_elsewhere: bool = False


@dataclass(frozen=True)
class QualityTable:
    """Methods on one task with one number of images under one budget.

    Attributes:
        title: What they share.
        source: KID of the untransferred source, mean over seeds.
        floor: KID of as many real images.
        levels: KID at each of `WAY`.
        rows: By method.
        shared: Methods of whose fits other programs used the machine meanwhile, so that their seconds are upper bounds.
    """

    title: str
    source: float
    floor: float
    levels: tuple[float, ...]
    rows: tuple[QualityRow, ...]
    shared: tuple[str, ...] = ()


@dataclass(frozen=True)
class QualityTables:
    """All tables of a run, and the groups that have none: title -> why."""

    tables: tuple[QualityTable, ...]
    without: dict[str, str]


def quality_tables(records: Iterable[Record]) -> QualityTables:
    """Make a table for each task, number of images, budget and protocol whose fits were looked at on the way.

    Fits on devices of different kinds have a table each: their seconds and joules do not belong together. A fit that
    failed, whose device is not known, stands in each.
    """
    groups: defaultdict[tuple[Any, ...], list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda record: record.id):
        cell = record.cell
        protocol, manifests = cell.protocol.label, tuple(sorted(cell.manifests.items()))
        groups[str(cell.task), cell.data_budget, str(cell.compute_budget), protocol, manifests].append(record)
    tables, without = [], {}
    for key, group in sorted(groups.items()):
        title = f"{key[0]}, n = {key[1]}, {key[2]}, {key[3]}"

        # The fits, and the two ends.
        fits = [record for record in group if record.cell.family != "reference" and record.cell.variant_of != SAMPLES]
        if not any(record.snapshots for record in fits):
            without[title] = "no fit was looked at on the way (`snapshots` in the suite)"
            continue
        ends = ends_of(group)
        if isinstance(ends, str):
            without[title] = ends
            continue

        # A table for each kind of device.
        devices = sorted({device for record in fits if (device := _device(record))})
        for device in devices or [""]:
            of_device = [record for record in fits if _device(record) in (device, "")]
            tables.append(
                _table(f"{title}, {device}" if len(devices) > 1 else title, of_device, *ends, _source_models(group))
            )
    return QualityTables(tuple(tables), without)


def _device(record: Record) -> str:
    """Return the name of the device of a fit, empty where it is not known."""
    return "" if record.resources is None else record.resources.device


def _source_models(group: Iterable[Record]) -> set[str]:
    """Return the ids of the source models that the rows `source` are."""
    return {record.cell.source_model for record in group if record.cell.method == SOURCE} - {""}


def _table(
    title: str, fits: Sequence[Record], source: float, floor: float, source_models: Collection[str]
) -> QualityTable:
    """Make the table of some fits between two ends."""
    levels = tuple(source + share * (floor - source) for share in WAY)
    by_method: defaultdict[str, list[Record]] = defaultdict(list)
    for record in fits:
        by_method[record.cell.method].append(record)
    courses = {method: {r.id: course_of(r) for r in cells} for method, cells in by_method.items()}
    rows = []
    for method, cells in sorted(by_method.items()):
        known = [course for course in courses[method].values() if not isinstance(course, str)]
        left_out: defaultdict[str, int] = defaultdict(int)
        for course in courses[method].values():
            if isinstance(course, str):
                left_out[course] += 1
        arrivals = tuple(_arrival(known, level) for level in levels) if known else ()
        starts = {record.cell.source_model for record in cells} - {""}
        elsewhere = bool(starts and source_models) and starts.isdisjoint(source_models)
        convergence = _convergence(cells[0], courses, levels)
        rows.append(QualityRow(method, len(known), dict(left_out), arrivals, convergence, elsewhere))
    shared = {each.cell.method for each in fits if each.resources is not None and each.resources.timing_shared}
    return QualityTable(title, source, floor, levels, tuple(rows), tuple(sorted(shared)))


def ends_of(group: Iterable[Record]) -> tuple[float, float] | str:
    """Return the KID of the untransferred source and that of real images, means over a group; or why there are none."""
    ok = [record for record in group if record.status == Status.OK]
    sources = [value for record in ok if record.cell.method == SOURCE and (value := _end_score(record)) is not None]
    floors = [score.floor for record in ok if (score := record.score(METRIC)) and _is_known(score.floor)]
    if not sources or not floors:
        return "no row of the untransferred source, or no floor: nothing says what a good score is"
    source, floor = fmean(sources), fmean(floors)
    if not floor < source:
        return f"the untransferred source ({source:.4g}) scores no worse than real images ({floor:.4g})"
    return source, floor


def _end_score(record: Record) -> float | None:
    score = record.score(METRIC)
    return None if score is None else score.value


def course_of(record: Record) -> list[Passed] | str:
    """Return what a fit scored on the way and at its end, in order, or why that is not known.

    A fit that failed has its snapshots, and is censored there; one that diverged never arrives either.
    """
    points = [
        Passed(shot.images_seen, shot.seconds, shot.joules, score.value)
        for shot in record.snapshots
        for score in shot.scores
        if score.name == METRIC and score.value is not None and _is_known(shot.seconds)
    ]
    seconds, images = known_cost(record, "fit_seconds"), known_cost(record, "images_seen")
    end = _end_score(record)
    if record.status == Status.OK and end is not None and _is_known(seconds) and _is_known(images):
        joules = known_cost(record, "energy_joules")
        points.append(Passed(images, seconds, joules if _is_known(joules) else None, end))
    if points:
        return points
    return f"{record.status}: no score on the way" if record.status != Status.OK else "no score or no seconds"


def _is_known(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def arrives(course: Sequence[Passed], level: float) -> tuple[Passed, bool]:
    """Return the first point at or below a level, or the last point; and whether the fit arrived."""
    point = next((point for point in course if point.score <= level), None)
    return (course[-1], False) if point is None else (point, True)


def _arrival(courses: Sequence[Sequence[Passed]], level: float) -> LevelArrival:
    passed = [arrives(course, level) for course in courses]
    joules = [(point.joules, arrived) for point, arrived in passed]
    known = [Waited(value, arrived) for value, arrived in joules if value is not None]
    return LevelArrival(
        seconds=arrival_curve([Waited(point.seconds, arrived) for point, arrived in passed]),
        images=arrival_curve([Waited(point.images, arrived) for point, arrived in passed]),
        joules=arrival_curve(known) if len(known) == len(joules) else None,
        left_again=sum(
            arrived and course[-1].score > level for course, (_, arrived) in zip(courses, passed, strict=True)
        ),
    )


# ----------------------------------------------------------------------------------------------- convergence


def _convergence(
    record: Record, courses: Mapping[str, Mapping[str, list[Passed] | str]], levels: Sequence[float]
) -> str:
    """Check a variant's convergence against what it varies, at the last level that all runs of both reach."""
    original = record.cell.variant_of
    if not original or original == SAMPLES or original not in courses:
        return ""
    sides = [
        [course for course in courses[method].values() if not isinstance(course, str)]
        for method in (original, record.cell.method)
    ]
    for level in reversed(levels):
        passed = [[arrives(course, level) for course in side] for side in sides]
        if all(side and all(arrived for _, arrived in side) for side in passed):
            images = [[point.images for point, _ in side] for side in passed]
            return convergence(images[0], images[1], original)
    return f"cannot be compared with {original}: no level is reached by all runs of both"


def convergence(reference: Sequence[float], variant: Sequence[float], name: str = "the reference") -> str:
    """Say whether a variant converges in fewer images than what it varies.

    MLPerf's rule of reference convergence points: a faster implementation has to do the same training, so that its
    images to the target may not be significantly fewer than the reference's (Welch's one-sided t test); else what
    looks like speed is another training.

    Args:
        reference: Images until the level, a run each.
        variant: Likewise.
        name: Of the reference.

    Raises:
        GraftbenchError: A side has no run.
    """
    if not reference or not variant:
        raise GraftbenchError("A comparison of convergence needs a run on each side.")
    ratio = fmean(variant) / fmean(reference) if fmean(reference) else math.nan
    words = f"{ratio:.2f} times the images of {name}"
    if min(len(reference), len(variant)) < LEAST_PAIRS:
        return f"{words}; too few runs to tell (at least {LEAST_PAIRS} each)"
    p = _fewer(reference, variant)
    if p <= CONVERGENCE_LEVEL:
        return f"{words}, significantly fewer (p = {p:.2g}): it is another training, not a faster one"
    return f"{words}, not significantly fewer (p = {p:.2g})"


def _fewer(reference: Sequence[float], variant: Sequence[float]) -> float:
    """Return the p value of "the variant's mean is lower"; of sides that do not vary 0 or 1."""
    if len(set(reference)) == len(set(variant)) == 1:
        return 0.0 if variant[0] < reference[0] else 1.0
    from scipy.stats import ttest_ind  # noqa: PLC0415 - a second to import, and few runs have variants

    test: Any = ttest_ind(variant, reference, equal_var=False, alternative="less")  # scipy has no types
    return float(test.pvalue)


def money(seconds: float, price_per_hour: float) -> float:
    """Return what so many seconds cost at a price per hour, in its currency."""
    return seconds / 3600 * price_per_hour
