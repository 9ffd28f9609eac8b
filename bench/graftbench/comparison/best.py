"""Rank methods by one score: the best, the second, and those that are not significantly worse than the best.

The test is that of `graftbench.comparison.paired`, each against the best on the seeds that both have, with Holm's
correction over all that are tested. Read together, the best and those not significantly worse are a set that leaves out
the truly best method in at most about 5 % of cases (docs/statistics.md has the simulation; for a set with a proof see
Hsu 1996, Multiple Comparisons: Theory and Methods). That a method is in the set does not say that it is as good.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graftbench.comparison.checks import check_level
from graftbench.comparison.multiplicity import holm
from graftbench.comparison.paired import LEVEL, of_one_cell, paired
from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Standing:
    """Standing of one method.

    Attributes:
        best: Whether no mean is better; several may share it.
        second: Whether its mean comes next after a single best; several may share it.
        level: Whether it was tested and is not significantly worse than the best; False for the best itself.
        untested: Whether it has too few seeds in common with the best to be told apart from it.
        out: Whether it has too few of the seeds that others have to compete (`contest`).
    """

    best: bool = False
    second: bool = False
    level: bool = False
    untested: bool = False
    out: bool = False


@dataclass(frozen=True)
class Contest:
    """The methods that compete, and the seeds that they share.

    Attributes:
        members: Indices of the methods that compete, in the order given.
        seeds: The seeds that all of them have, ascending: best and second go by the means over these.
        left_out: Whether a member has other seeds besides.
    """

    members: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()
    left_out: bool = False


@dataclass(frozen=True)
class Standings:
    """Standings of all methods.

    Attributes:
        each: In the order given.
        contenders: How many have a value at all.
        others: How many of them do not share the best.
        pairs: Most seeds that another has in common with the best.
        tests: How many were tested, each of which takes two: Holm's correction is over these.
        contest: Who competes, and on which seeds.
    """

    each: tuple[Standing, ...]
    contenders: int = 0
    others: int = 0
    pairs: int = 0
    tests: int = 0
    contest: Contest = Contest()

    @property
    def tested(self) -> bool:
        """Return whether any was tested."""
        return bool(self.tests)


def contest(scores: Sequence[Mapping[int, float]]) -> Contest:
    """Choose who competes: methods whose seeds mostly failed are compared with nobody, however good the rest is.

    The usual seeds are those that at least half of the methods with any value have. Who has more than half of them
    competes, on the seeds that all who compete have; nobody does where there is no such seed.

    Args:
        scores: Seed -> value, for each method; empty for one without a value.
    """
    contenders = [i for i, values in enumerate(scores) if values]
    counts = Counter(seed for i in contenders for seed in scores[i])
    usual = {seed for seed, count in counts.items() if 2 * count >= len(contenders)}
    members = tuple(i for i in contenders if 2 * len(usual & scores[i].keys()) > len(usual))
    shared = set.intersection(*(set(scores[i]) for i in members)) if members else set[int]()
    if not shared:
        return Contest()
    return Contest(members, tuple(sorted(shared)), any(len(scores[i]) > len(shared) for i in members))


def standings(
    scores: Sequence[Mapping[int, float]], *, lower_is_better: bool = True, level: float = LEVEL
) -> Standings:
    """Say how methods stand by one score.

    Args:
        scores: Seed -> finite value, for each method; empty for one without a value, which then does not count.
        lower_is_better: As for KID and FID.
        level: Of all tests together, strictly between 0 and 1.

    Raises:
        GraftbenchError: A value that is not finite, or a level outside 0 to 1.
    """
    check_level(level, "a test")
    contenders = [i for i, values in enumerate(scores) if values]
    if not np.isfinite([value for i in contenders for value in scores[i].values()]).all():
        raise GraftbenchError("A standing was asked for of values that are not all finite numbers.")
    if len(contenders) < 2:
        return Standings(tuple(Standing() for _ in scores), contenders=len(contenders))
    # Rank those that compete by their means over the seeds that all of them have.
    competing = contest(scores)
    means = {i: float(np.mean([scores[i][seed] for seed in competing.seeds])) for i in competing.members}
    sign = 1.0 if lower_is_better else -1.0
    ranked = sorted({sign * mean for mean in means.values()})
    leaders = [i for i, mean in means.items() if sign * mean == ranked[0]]
    others = [i for i in means if i not in set(leaders)]
    next_best = ranked[1] if len(leaders) == 1 and others else None  # two that share the best leave no second
    # Test each against the best.
    differences = {i: paired(of_one_cell(scores[i]), of_one_cell(scores[leaders[0]])) for i in others}
    p = {i: each.p for i, each in differences.items() if each is not None and each.p is not None}
    adjusted = dict(zip(p, holm(list(p.values())).tolist(), strict=True)) if p else {}
    pairs = max((each.n for each in differences.values() if each is not None), default=0)
    # Say where each stands.
    each = [
        Standing(untested=i not in means, out=i not in means) if values else Standing()
        for i, values in enumerate(scores)
    ]
    for i in leaders:
        each[i] = Standing(best=True)
    for i, each_difference in differences.items():
        verdict = (
            "too few seeds"
            if each_difference is None
            else each_difference.verdict(adjusted.get(i), lower_is_better=lower_is_better, level=level)
        )
        each[i] = Standing(
            second=sign * means[i] == next_best,
            level=verdict in ("not settled", "better"),  # its mean is worse, whatever its logarithms say
            untested=verdict == "too few seeds",
        )
    beaten = len(contenders) - len(leaders)
    return Standings(tuple(each), len(contenders), beaten, pairs, tests=len(p), contest=competing)
