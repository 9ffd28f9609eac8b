"""Do two networks order methods alike? Kendall's τ of their rankings, and the conclusions that one of them reverses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from graftbench.comparison.best import contest
from graftbench.comparison.bootstrap import stratified_interval
from graftbench.comparison.paired import LEVEL, of_one_cell, paired
from graftbench.comparison.ranks import told_apart
from graftbench.comparison.stats import Interval
from graftbench.errors import GraftbenchError
from graftbench.metrics.estimate import quantile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from graftbench.comparison.bootstrap import Strata

FEWEST_SEEDS = 4
"""From so many seeds on the interval of τ is one over seeds: of three it covers the truth in as little as 71 %."""
MOST_DRAWN = 100
"""Most methods of which τ is drawn again: each draw compares all pairs."""
RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class OrderAgreement:
    """How alike two networks order the methods of one task and number of images.

    Attributes:
        tau: Kendall's τ_b of the methods' means: 1 for the same order, 0 for no relation, -1 for the reverse; None
            where there is none (fewer than two methods, or all level).
        interval: Its 95 % interval; None without τ.
        over: Over what the interval is: `seeds`, or `methods`.
        why: Why it is not over seeds; empty where it is.
        methods: Names of those that were ranked, by the first network.
        seeds: The seeds that all of them have.
        reversed_pairs: (A, B): the first network tells that A is better, the second that B is.
    """

    tau: float | None
    interval: Interval | None
    over: str
    why: str
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    reversed_pairs: tuple[tuple[str, str], ...]


def kendall_tau(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Return Kendall's τ_b of paired values along the last axis; NaN where all values of a side are equal.

    τ_b = Σ sign(xᵢ − xⱼ) sign(yᵢ − yⱼ) / √(Σ sign²(xᵢ − xⱼ) · Σ sign²(yᵢ − yⱼ)), over all pairs.

    Args:
        first: Shape (..., n).
        second: The same shape.

    References:
        Kendall 1945, "The treatment of ties in ranking problems", Biometrika 33.
    """
    one, other = (np.asarray(side, dtype=np.float64) for side in (first, second))
    a, b = (np.sign(side[..., :, None] - side[..., None, :]) for side in (one, other))
    both, of_a, of_b = (np.asarray(part.sum(axis=(-2, -1))) for part in (a * b, a**2, b**2))
    with np.errstate(invalid="ignore"):
        return both / np.sqrt(of_a * of_b)


def interval_over_methods(tau: float, n: int) -> Interval:
    """Return the 95 % interval of τ over other methods like these n.

    It holds every τ' with |τ − τ'| ≤ z σ √(1 − τ'²), where σ² = 2 (2n + 5) / (9n (n − 1)) is the variance of τ between
    unrelated orders. It stays within −1 to 1, and is no point where the orders are equal. docs/metrics.md says how
    often it covers the truth.

    Args:
        tau: Kendall's τ.
        n: Number of methods, at least two.

    References:
        Kendall 1938, "A new measure of rank correlation", Biometrika 30 (the variance); that variances of τ shrink as
        τ grows: Fieller, Hartley & Pearson 1957, Biometrika 44.
    """
    c = quantile() ** 2 * 2 * (2 * n + 5) / (9 * n * (n - 1))
    half = math.sqrt(c * (1 + c - tau**2))
    return Interval(max(-1.0, (tau - half) / (1 + c)), min(1.0, (tau + half) / (1 + c)), 0.95, n)


def agreement(
    first: Mapping[str, Mapping[int, float]],
    second: Mapping[str, Mapping[int, float]],
    *,
    lower_is_better: bool = True,
    level: float = LEVEL,
) -> OrderAgreement:
    """Compare the rankings of methods by two networks that scored the same images.

    Who is ranked, and on which seeds, is as in the tables (`best.contest`). With four seeds or more the interval is
    over seeds: they are drawn again, a seed with all its scores of both networks (`bootstrap`, expanded percentiles).
    With fewer it is over methods. A conclusion is reversed if both networks tell two methods apart, by the paired test
    with Holm's correction over all pairs of methods, in opposite directions.

    Args:
        first: Method -> seed -> finite score by the first network.
        second: The same by the second.
        lower_is_better: As for KID and FID.
        level: Of all tests by one network together.

    Raises:
        GraftbenchError: The two sides name different methods.
    """
    if first.keys() != second.keys():
        odd = sorted(first.keys() ^ second.keys())
        raise GraftbenchError(f"Both networks rank the same methods; found {', '.join(odd)} on one side alone.")

    # Who competes, and on which seeds.
    names = list(first)
    shared = [{seed: first[name][seed] for seed in first[name].keys() & second[name].keys()} for name in names]
    chosen = contest(shared)
    sign = 1.0 if lower_is_better else -1.0
    mean = {names[i]: sign * sum(shared[i][seed] for seed in chosen.seeds) for i in chosen.members}
    methods = sorted(mean, key=lambda name: (mean[name], name))

    # τ and its interval.
    values = np.array([[[side[name][seed] for name in methods] for side in (first, second)] for seed in chosen.seeds])
    tau = float(_tau_of_means([values[None]])[0]) if len(methods) > 1 else math.nan
    why = _why_not_over_seeds(len(chosen.seeds), len(methods))
    interval = None
    if math.isfinite(tau):
        interval = interval_over_methods(tau, len(methods)) if why else _over_seeds(values)
    return OrderAgreement(
        tau=tau if math.isfinite(tau) else None,
        interval=interval,
        over="methods" if why else "seeds",
        why=why,
        methods=tuple(methods),
        seeds=chosen.seeds,
        reversed_pairs=tuple(_reversed(methods, first, second, sign, level)),
    )


def _tau_of_means(strata: Strata) -> NDArray[np.float64]:
    """Return τ of the means over seeds: one array of shape (R, seeds, 2, methods) -> (R,)."""
    means = strata[0].mean(axis=1)
    return kendall_tau(means[:, 0], means[:, 1])


def _why_not_over_seeds(seeds: int, methods: int) -> str:
    if seeds < FEWEST_SEEDS:
        return f"{seeds} of the {FEWEST_SEEDS} seeds that it takes"
    return f"over {MOST_DRAWN} methods" if methods > MOST_DRAWN else ""


def _over_seeds(values: NDArray[np.float64]) -> Interval | None:
    drawn = stratified_interval([values], _tau_of_means, rng=np.random.default_rng(0), resamples=RESAMPLES)
    return drawn.interval if math.isfinite(drawn.interval.low) else None


def _reversed(
    methods: Sequence[str],
    first: Mapping[str, Mapping[int, float]],
    second: Mapping[str, Mapping[int, float]],
    sign: float,
    level: float,
) -> list[tuple[str, str]]:
    """Return the pairs that both networks tell apart, in opposite directions: first who is better by the first."""
    sides = [[of_one_cell(side[name]) for name in methods] for side in (first, second)]
    apart = set.intersection(*(told_apart(side, level) for side in sides))
    found = []
    for i, j in combinations(range(len(methods)), 2):
        differences = [paired(side[i], side[j]) for side in sides]
        if (i, j) not in apart or None in differences:
            continue
        ahead = [sign * each.mean < 0 for each in differences if each is not None]
        if ahead[0] != ahead[1]:
            found.append((methods[i], methods[j]) if ahead[0] else (methods[j], methods[i]))
    return found
