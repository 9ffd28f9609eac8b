"""Rank agreement with the truth over fitted generators: the records of a run on targets with known factors."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graftbench.comparison.agreement import kendall_tau
from graftbench.metrics.catalogue import EVERY_METRIC, SETS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graftbench.records.record import Record, Score

TRUTHS = SETS["truth"]
"""Scores against known factors."""

_RESAMPLES = 1000
_FEWEST = 6
_AT_BEST = {"high_frequency": 1.0, "train_distance_ratio": 1.0, "copying_z": 0.0}
"""What real images score, of scores that neither rise nor fall with quality and have no floor."""


@dataclass(frozen=True)
class RankAgreement:
    """How a score orders generators, against a truth.

    Attributes:
        tau: Kendall's τ_b, the mean over tasks.
        low: Lower end of its 95 % interval.
        high: Upper end; a percentile bootstrap over the cells of each task.
        cells: Number of cells.
        tasks: Number of tasks.
    """

    tau: float
    low: float
    high: float
    cells: int
    tasks: int


def agreements(records: Iterable[Record], *, seed: int = 0) -> dict[str, dict[str, RankAgreement]]:
    """Return truth -> metric -> agreement, over all metrics that the records hold.

    Values are signed so that more is better. Of scores without a better direction the distance to what real images
    score counts. The order of the records does not matter.
    """
    tasks: dict[str, list[dict[str, float]]] = defaultdict(list)
    for record in records:
        row = {score.name: value for score in record.scores if (value := _goodness(score)) is not None}
        if record.status == "ok" and any(name in row for name in TRUTHS):
            tasks[str(record.cell.task)].append(row)
    names = {name for rows in tasks.values() for row in rows for name in row}
    found: dict[str, dict[str, RankAgreement]] = {}
    for truth in TRUTHS:
        found[truth] = {}
        for metric in EVERY_METRIC:
            pairs = [_pairs(tasks[task], metric, truth) for task in sorted(tasks)] if metric in names - {truth} else []
            if agreement := _agreement([each for each in pairs if len(each) >= _FEWEST], seed):
                found[truth][metric] = agreement
    return found


def _goodness(score: Score) -> float | None:
    if score.value is None:
        return None
    better = EVERY_METRIC[score.name].better if score.name in EVERY_METRIC else 0
    if better:
        return better * score.value
    best = score.floor if score.floor is not None else _AT_BEST.get(score.name)
    return None if best is None or score.name == "null_coverage" else -abs(score.value - best)


def _pairs(rows: Sequence[dict[str, float]], metric: str, truth: str) -> np.ndarray:
    return np.array(sorted((row[metric], row[truth]) for row in rows if metric in row and truth in row))


def _agreement(pairs: Sequence[np.ndarray], seed: int) -> RankAgreement | None:
    if not pairs:
        return None
    rng = np.random.default_rng(seed)
    tau = _mean_tau(pairs)
    drawn = [_mean_tau([each[rng.integers(len(each), size=len(each))] for each in pairs]) for _ in range(_RESAMPLES)]
    drawn = [value for value in drawn if np.isfinite(value)]
    if not np.isfinite(tau) or not drawn:
        return None
    low, high = np.quantile(drawn, (0.025, 0.975))
    return RankAgreement(tau, float(low), float(high), sum(map(len, pairs)), len(pairs))


def _mean_tau(pairs: Sequence[np.ndarray]) -> float:
    """Return the mean of Kendall's τ_b; NaN where all values of a side are equal."""
    return float(np.mean([kendall_tau(*each.T) for each in pairs]))
