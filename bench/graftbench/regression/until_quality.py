"""Cost until a quality, compared with the base's: seconds, joules, images, and which fits reach it at all.

The quality is a KID, that of the base's records, and the same for both sides. A fit arrives with the first snapshot at
or below it (`graftbench.comparison.time_to_quality`). Costs are compared of cells that arrive on both sides; a cell
that arrived in the base and never does now is counted against the new run, the reverse for it.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from graftbench.comparison.paired import PairedDifferences
from graftbench.comparison.stats import Interval, mean
from graftbench.comparison.time_to_quality import METRIC, arrives, course_of, ends_of
from graftbench.errors import GraftbenchError
from graftbench.metrics.catalogue import METRICS
from graftbench.regression.changes import Change
from graftbench.regression.matching import place_of
from graftbench.regression.measures import REACHES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graftbench.comparison.time_to_quality import Passed
    from graftbench.records.record import Record
    from graftbench.regression.matching import Pair, Place
    from graftbench.regression.measures import Measure

SCALE = METRICS[METRIC].scale
FAR = 12.0
"""Logarithm of the ratio to or from a share of nothing: as far as a change is told."""


@dataclass(frozen=True)
class Quality:
    """The quality that fits are to reach: one of the two.

    Attributes:
        share: Share of the way from the untransferred source's KID to that of real images, both those of the base.
        kid: A KID, the same on every task.
    """

    share: float | None = 0.5
    kid: float | None = None

    def __str__(self) -> str:
        if self.kid is not None:
            return f"KID×10³ {SCALE * self.kid:.4g}"
        return f"{100 * (self.share or 0):g} % of the way from the untransferred source to real images"


HALF_WAY = Quality()
"""The quality where none is named."""


def parse_quality(text: str) -> Quality:
    """Parse `75%` (of the way) or `485` (KID×10³).

    Raises:
        GraftbenchError: Another form, a share that is not above 0 and at most 100 %, or a KID×10³ below 1, more likely
            a share without its sign.
    """
    share, kid = re.fullmatch(r"([0-9.]+)\s*%", text.strip()), re.fullmatch(r"-?[0-9.]+", text.strip())
    try:
        if share and 0 < float(share[1]) <= 100:
            return Quality(share=float(share[1]) / 100)
        if kid and float(kid[0]) >= 1:
            return Quality(share=None, kid=float(kid[0]) / SCALE)
        meant = f" If a share was meant: {100 * float(kid[0]):g}%." if kid and float(kid[0]) > 0 else ""
    except ValueError:  # more than one point
        meant = ""
    raise GraftbenchError(
        "A quality is a share of the way from the untransferred source to real images, above 0 and at most 100 % "
        f"(75%), or a KID×10³ of at least 1 (485); found '{text}'.{meant}"
    )


def levels_of(base: Iterable[Record], quality: Quality) -> dict[Place, float | str]:
    """Return place -> the KID that fits there are to reach, or why there is none.

    Args:
        base: The base's records: a level is that of the base on both sides.
        quality: What is to be reached.
    """
    groups: defaultdict[Place, list[Record]] = defaultdict(list)
    for record in base:
        groups[place_of(record.cell)].append(record)
    return {place: _level(group, quality) for place, group in groups.items()}


def _level(group: Sequence[Record], quality: Quality) -> float | str:
    if quality.kid is not None:
        return quality.kid
    ends = ends_of(group)
    if isinstance(ends, str):
        return ends
    source, floor = ends
    return source + (quality.share or 0) * (floor - source)


# ------------------------------------------------------------------------------------------------- what is compared


def unlooked(pair: Pair, levels: dict[Place, float | str]) -> str:
    """Say why a pair's fits cannot be compared on their way; empty where they can."""
    shares = [{_shares(record) for record in side} for side in (pair.base, pair.new)]
    lacking = [name for name, side in zip(("base", "new run"), shares, strict=True) if () in side]
    if lacking:
        saved = "; a baseline from before they were kept is to be saved again" if lacking == ["base"] else ""
        return f"the {' and the '.join(lacking)} did not look at fits on the way (`snapshots` in the suite{saved})"
    level = levels.get(pair.series[1:], "the base has no such cells")
    if isinstance(level, str):
        return level
    if shares[0] != shares[1]:
        return "base and new run looked at fits at other shares of the budget (`snapshots` in the suite)"
    unscored = [course for record in (*pair.base, *pair.new) if isinstance(course := course_of(record), str)]
    return unscored[0] if unscored else ""


def _shares(record: Record) -> tuple[float, ...]:
    return tuple(shot.share for shot in record.snapshots)


def read_until(measure: Measure, levels: dict[Place, float | str]) -> Measure:
    """Return the measure as one that reads its value from records: None where the fit never arrives."""
    return replace(measure, read=partial(_spent, name=measure.name, levels=levels))


def _spent(record: Record, *, name: str, levels: dict[Place, float | str]) -> float | None:
    point = _arrival(record, levels)
    if name == REACHES:
        return float(point is not None)
    if point is None:
        return None
    return {"seconds_to_quality": point.seconds, "joules_to_quality": point.joules}.get(name, point.images)


def _arrival(record: Record, levels: dict[Place, float | str]) -> Passed | None:
    course, level = course_of(record), levels.get(place_of(record.cell))
    if isinstance(course, str) or not isinstance(level, float):
        return None
    point, arrived = arrives(course, level)
    return point if arrived else None


# ------------------------------------------------------------------------------------------- which fits reach it at all


@dataclass(frozen=True, kw_only=True)
class ReachDifferences(PairedDifferences):
    """Which cells reach the quality now and did not, 1, or did and do not any more, −1.

    The test: were both sides draws of one thing, a pair's difference would be that of two coin tosses of equal chances,
    and lost less gained cells could be no wider than that of fair coins. So p = 2 P(B ≥ n + d) with B binomial of 2n
    tosses at 1/2, for n pairs of which d more are lost than gained, or the reverse.

    Attributes:
        before: Share of the cells that reached it in the base.
        now: Share of those that do in the new run.
    """

    before: float
    now: float

    @property
    def in_words(self) -> str:
        """Say how many cells of how many no longer reach the quality, and how many do now and did not."""
        lost, gained = self.values.count(-1.0), self.values.count(1.0)
        said = [f"{lost} of {self.n} cells no longer reach it"] if lost else []
        said += [f"{gained}{'' if lost else f' of {self.n} cells'} reach it now and did not"] if gained else []
        return " and ".join(said)

    @property
    def log_ratio(self) -> float:
        """Return the logarithm of the share now over that before; ±12 to or from nothing."""
        if not self.before or not self.now:
            return FAR * ((self.now > 0) - (self.before > 0))
        return math.log(self.now / self.before)

    def interval(self, level: float = 0.95) -> Interval | None:
        """Return no interval: of so few steps Student's would be wrong."""
        del level

    @cached_property
    def p(self) -> float | None:
        """Return the two-sided p; 1 where as many are lost as gained."""
        surplus = abs(round(sum(self.values)))
        tosses = 2 * self.n
        tail = sum(math.comb(tosses, heads) for heads in range(self.n + surplus, tosses + 1))
        return min(1.0, 2 * tail / 2**tosses)


def reach_of(pairs: Sequence[Pair], measure: Measure) -> Change | None:
    """Return how many cells reach the quality on both sides; None where none does on either.

    Of several repeats a cell reaches it where most of them do.

    Args:
        pairs: Pairs whose fits can be compared on their way.
        measure: Reads 1 or 0 from a record.
    """
    reached = [(_most(pair.base, measure), _most(pair.new, measure)) for pair in pairs]
    if not any(before or now for before, now in reached):
        return None
    values = tuple(float(now - before) for before, now in reached)
    before, now = (mean([float(each[side]) for each in reached]) for side in (0, 1))
    differences = ReachDifferences(values=values, scale="relative", before=before, now=now)
    return Change(before, now, differences, measure.better)


def _most(records: Sequence[Record], measure: Measure) -> bool:
    return sum(measure.of(record) or 0 for record in records) * 2 > len(records)


def least_pairs_to_reach(level: float) -> int:
    """Return the fewest pairs of which a loss of all is found at a two-sided level: 2 · 4⁻ⁿ ≤ level."""
    return max(1, math.ceil(math.log(2 / level, 4) - 1e-9))
