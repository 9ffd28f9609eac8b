"""Is A better than B, by how much, and how sure is that? One test of paired values, which every screen prints.

Tables, the page, comparisons, claims, the gate, the rank figure and `versus` all take their differences, intervals and
p-values from here, so that no two of them contradict each other. The test is the two-sided paired t test of the
logarithms of the ratios (Student 1908); the exact sign-flip test stands beside it as a check that assumes no normality.
docs/statistics.md says how often both are right on the noise of the published runs.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property, lru_cache
from statistics import median
from typing import TYPE_CHECKING, Literal, NamedTuple

from graftbench.comparison.stats import Interval, mean, sign_flip_test, standard_deviation, student_interval
from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Scale = Literal["log", "relative"]
Test = Literal["student", "sign-flip"]
Verdict = Literal["better", "worse", "not settled", "too few seeds"]

LEVEL = 0.05
"""Level of every test, two-sided, where none is given."""
POWER = 0.8
"""With which chance a difference should be found by as many pairs as are said to be needed."""
MOST_PAIRS = 10_000
SAME = 1e-9
"""Differences that differ by no more than this share of the largest are the same: what is left is rounding."""
_MOST_LOG = 12.0
"""Logarithm of the largest ratio that is told, 160,000; on the relative scale a ratio has no end."""


class Setting(NamedTuple):
    """All of a cell but its method: cells of one setting differ in the method alone."""

    task: str
    compute: str
    images: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class PairedDifferences:
    """Differences of paired values of A and B, above zero where A's is larger.

    Attributes:
        values: One a pair, on the scale; at least one.
        scale: `log`: the logarithm of A over B. `relative`: 2 (A − B) / (mean size of A + mean size of B), which is
            the same to second order and is defined for values of either sign.
        coarse: Whether differences that are all the same may be chance: steps of a score that has few values.
        test: Which test gives `p`.
        draws: How many different draws of chance the pairs stand on, where it is known: of one seed at several numbers
            of images one. No p comes of one draw: that two generators differ says nothing of their methods.
    """

    values: tuple[float, ...]
    scale: Scale
    coarse: bool = True
    test: Test = "student"
    draws: int | None = None

    @property
    def n(self) -> int:
        """Return the number of pairs."""
        return len(self.values)

    @cached_property
    def mean(self) -> float:
        """Return the mean difference on the scale."""
        return mean(self.values)

    @cached_property
    def sd(self) -> float | None:
        """Return the standard deviation of the differences on the scale; None of one pair."""
        return standard_deviation(self.values)

    @property
    def log_ratio(self) -> float:
        """Return the logarithm of A over B, the mean over pairs."""
        return self._log(self.mean)

    def interval(self, level: float = 1 - LEVEL) -> Interval | None:
        """Return Student's interval of the logarithm of A over B; None of one pair."""
        ends = student_interval(self.values, level)
        return None if ends is None else Interval(self._log(ends.low), self._log(ends.high), level, ends.n)

    @property
    def none(self) -> bool:
        """Return whether the values of each pair are equal: nothing happened, and no test can raise a false alarm."""
        return not any(self.values)

    @cached_property
    def p(self) -> float | None:
        """Return the two-sided p; None of one pair or of one draw, of which Student knows no noise.

        Differences that are all the same leave Student no noise: where they are steps of a coarse score, p is the
        chance that n signs agree, 2¹⁻ⁿ; else it is 0, for chance does not change different values by one factor.
        """
        n, largest = self.n, max(map(abs, self.values))
        if largest == 0:
            return 1.0
        if self.test == "sign-flip":
            return self.p_sign_flips
        if n < 2 or self.draws == 1:
            return None
        if max(self.values) - min(self.values) <= SAME * largest:
            return 0.5 ** (n - 1) if self.coarse else 0.0
        from scipy.special import stdtr  # noqa: PLC0415 - the command line must not pay for scipy

        assert self.sd is not None
        return min(1.0, 2 * float(stdtr(n - 1, -abs(self.mean) / (self.sd / math.sqrt(n)))))

    @cached_property
    def p_sign_flips(self) -> float:
        """Return the two-sided p of the exact sign-flip test, the check that assumes no normality."""
        return sign_flip_test(self.values).p_two_sided

    def verdict(self, p: float | None, *, lower_is_better: bool, level: float = LEVEL) -> Verdict:
        """Say whether A is better than B.

        Args:
            p: The p of this comparison, corrected or not; None for too few pairs for any.
            lower_is_better: As for KID and FID.
            level: Largest p of a verdict.
        """
        if p is None:
            return "too few seeds"
        if p > level or not self.mean:
            return "not settled"
        return "better" if (self.mean < 0) == lower_is_better else "worse"

    def pairs_needed(self, log_ratio: float | None = None, level: float = LEVEL) -> int | None:
        """Return how many pairs find a difference in 80 % of cases, at the noise of these; None where it is unknown.

        Args:
            log_ratio: Logarithm of the ratio that should be found; the one that was seen by default.
            level: Two-sided level of the test.
        """
        size = abs(self.mean if log_ratio is None else self.on_scale(log_ratio))
        return pairs_needed(self.sd, size, level, test=self.test)

    def on_scale(self, log_ratio: float) -> float:
        """Return the difference on the scale that is the logarithm of a ratio."""
        return log_ratio if self.scale == "log" else 2 * math.tanh(log_ratio / 2)

    def _log(self, difference: float) -> float:
        """Return the logarithm of the ratio that is a difference on the scale."""
        largest = 2 * math.tanh(_MOST_LOG / 2)
        log = difference if self.scale == "log" else 2 * math.atanh(max(-largest, min(largest, difference)) / 2)
        return max(-_MOST_LOG, min(_MOST_LOG, log))


Couple = tuple["Sequence[float]", "Sequence[float]"]
"""The values of A and of B of one pair, one a repeat."""


def differences_of(
    series: Iterable[Sequence[Couple]], *, measured: bool = True, test: Test = "student", draws: int | None = None
) -> PairedDifferences | None:
    """Return the differences of paired values; None where there is no pair.

    Logarithms are taken where every value is above zero, else relative differences, whose unit is the mean size of a
    series. Of several repeats a pair's difference is the median over the repeats, which are taken to have run side by
    side; of unequal numbers, that of the medians.

    Args:
        series: For each series (cells that differ in the seed alone) the pairs.
        measured: Whether they are scores and not costs: of a cost, what differs, differs.
        test: Which test gives the p.
        draws: How many different draws of chance the pairs stand on, where it is known.

    Raises:
        GraftbenchError: An unknown test, or a value that is not finite.
    """
    if test not in ("student", "sign-flip"):
        raise GraftbenchError(f"The test is 'student' or 'sign-flip'; found '{test}'.")
    all_series = [couples for couples in series if couples]
    numbers = [value for couples in all_series for couple in couples for side in couple for value in side]
    if not numbers:
        return None
    if not all(map(math.isfinite, numbers)):
        raise GraftbenchError("Paired values are finite numbers; at least one is not.")
    if min(numbers) > 0:
        logs = [([*map(math.log, a)], [*map(math.log, b)]) for couples in all_series for a, b in couples]
        values = [_difference(a, b) for a, b in logs]
        coarse = measured and all(couple == all_series[0][0] for couples in all_series for couple in couples)
        return PairedDifferences(values=tuple(values), scale="log", coarse=coarse, test=test, draws=draws)
    values = []
    for couples in all_series:
        size = sum(mean([abs(median(couple[side])) for couple in couples]) for side in (0, 1)) / 2
        values += [_difference(a, b) / size if size else 0.0 for a, b in couples]
    return PairedDifferences(values=tuple(values), scale="relative", coarse=measured, test=test, draws=draws)


def _difference(a: Sequence[float], b: Sequence[float]) -> float:
    if len(a) == len(b):
        return median(x - y for x, y in zip(a, b, strict=True))
    return median(a) - median(b)


def paired(a: Mapping[Setting, float], b: Mapping[Setting, float]) -> PairedDifferences | None:
    """Return the differences of two methods over the settings that both have; None where they share none.

    A pair is a setting: a task, a number of images and a seed. Who scores the same at every number of images is no new
    pair at each: such a pair counts once.

    Args:
        a: Setting -> finite score of A.
        b: The same of B.
    """
    series: defaultdict[Setting, list[Couple]] = defaultdict(list)
    counted: set[object] = set()
    for setting in sorted(a.keys() & b.keys()):
        pair = a[setting], b[setting]
        key = setting._replace(images=0), pair
        if key not in counted:
            counted.add(key)
            series[setting._replace(seed=-1)].append(((pair[0],), (pair[1],)))
    draws = {(setting.task, setting.compute, setting.seed) for setting in a.keys() & b.keys()}
    return differences_of(series.values(), draws=len(draws))


def of_one_cell(values: Mapping[int, float]) -> dict[Setting, float]:
    """Return seed -> value of one task and number of images as settings."""
    return {Setting("", "", 0, seed): value for seed, value in values.items()}


# ------------------------------------------------------------------------------------------------------ pairs needed


def pairs_needed(sd: float | None, size: float, level: float, *, test: Test = "student") -> int | None:
    """Return how many pairs find a difference in 80 % of cases, by a two-sided t test at this level.

    By the noncentral t distribution, exact for normal differences; never fewer than can reach the level at all. None
    where the noise is unknown, the difference is 0, or the number would exceed 10,000.

    Args:
        sd: Standard deviation of the pairs' differences.
        size: Difference that should be found, in the same unit.
        level: Two-sided level of the test.
        test: Which test: sign flips have a least p.
    """
    if sd is None or size <= 0 or (sd and _power(size / sd, MOST_PAIRS, level) < POWER):
        return None
    few, many = 1, 2  # `many` is enough, `few` is not
    while sd and _power(size / sd, many, level) < POWER:
        few, many = many, 2 * many
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if _power(size / sd, middle, level) >= POWER else (middle, many)
    return max(many, least_pairs(test, level))


def least_pairs(test: Test, level: float) -> int:
    """Return the fewest pairs with which a two-sided test can reach a level: Student's 2, sign flips' 2¹⁻ⁿ ≤ level."""
    return 2 if test == "student" else max(1, math.ceil(1 - math.log2(level) - 1e-9))


@lru_cache(maxsize=4096)
def _power(effect: float, n: int, level: float) -> float:
    """Return the chance that a two-sided t test of n pairs finds an effect, in standard deviations, on its own side."""
    from scipy.special import nctdtr, stdtrit  # noqa: PLC0415 - the command line must not pay for scipy

    return 1 - float(nctdtr(n - 1, effect * math.sqrt(n), stdtrit(n - 1, 1 - level / 2)))


# ---------------------------------------------------------------------------------------------------------- printing


def percent(log_ratio: float) -> str:
    """Write the logarithm of a ratio as a signed change of the second: twice is `+100 %`, half `−50 %`."""
    share = math.expm1(log_ratio)
    if share > 9.995:
        return "> +999 %"
    text = f"{abs(100 * share):.{0 if abs(share) >= 0.1 else 1}f}"
    sign = "" if not text.strip("0.") else "+" if share > 0 else "−"
    return f"{sign}{text} %"


def printed_p(p: float | None) -> str:
    """Write p with two significant digits, `0.0025`, below 0.0001 `< 0.0001`; a dash for None."""
    if p is None:
        return "—"
    return "< 0.0001" if p < 0.0001 else f"{p:.2f}" if p >= 0.0995 else f"{p:.2g}"


def p_clause(p: float | None) -> str:
    """Write `p = 0.0025`, or `p < 0.0001`."""
    return f"p {printed_p(p)}" if p is not None and p < 0.0001 else f"p = {printed_p(p)}"


def change(differences: PairedDifferences, level: float = 1 - LEVEL) -> str:
    """Write the difference and its interval: `−33 % (−40 % to −25 %)`."""
    ends = differences.interval(level)
    text = percent(differences.log_ratio)
    return text if ends is None else f"{text} ({percent(ends.low)} to {percent(ends.high)})"
