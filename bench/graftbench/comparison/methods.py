"""Each method against a baseline: the test of `graftbench.comparison.paired` for each, with Holm's correction."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from graftbench.comparison.checks import check_level
from graftbench.comparison.multiplicity import holm
from graftbench.comparison.paired import LEVEL, of_one_cell, paired
from graftbench.errors import GraftbenchError, unknown
from graftbench.metrics.catalogue import is_by_second, metric_named

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    import pandas as pd

    from graftbench.comparison.paired import PairedDifferences, Verdict
    from graftbench.records.record import Record

SCRATCH, REFERENCE = "scratch", "reference"
"""Families: trained without a source model; rows that mark the scale and never compete."""

COLUMNS = (
    *("task", "data_budget", "compute_budget", "protocol", "metric", "method", "baseline", "pairs"),
    *("difference", "ratio", "ratio_low", "ratio_high"),
    *("wins", "ties", "p", "p_holm", "p_sign_flips", "needed", "verdict"),
)
"""Columns of `compare_methods`."""
_REAL = (*COLUMNS[COLUMNS.index("difference") : COLUMNS.index("wins")], "p", "p_holm", "p_sign_flips")


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One method against the baseline.

    Attributes:
        method: Its name.
        baseline: The other's.
        pairs: Seeds that both have.
        difference: Mean of method - baseline over those seeds, in the unit of the values; None without a pair.
        differences: What the test is of; None without a pair.
        wins: Seeds on which the method is better.
        ties: Seeds on which both are equal.
        p_holm: p adjusted for all comparisons that have one; None with fewer than two pairs.
        verdict: The answer at the level, by `p_holm`.
        alone: The answer by p, as if it were the only comparison.
    """

    method: str
    baseline: str
    pairs: int
    difference: float | None
    differences: PairedDifferences | None
    wins: int
    ties: int
    p_holm: float | None
    verdict: Verdict
    alone: Verdict

    @property
    def p(self) -> float | None:
        """Return the two-sided p of this comparison alone; None with fewer than two pairs."""
        return None if self.differences is None else self.differences.p

    @property
    def needed(self) -> int | None:
        """Return how many seeds would find such a difference in 80 % of cases; None where that is unknown."""
        return None if self.differences is None else self.differences.pairs_needed()

    @property
    def words(self) -> str:
        """Return `better`, `better taken alone`, `not settled: 3 of 12 seeds` or `too few seeds: 1 of 2`."""
        if self.verdict == "too few seeds":
            return f"too few seeds: {self.pairs} of 2"
        if self.verdict != "not settled":
            return self.verdict
        if self.alone != "not settled":
            return f"{self.alone} taken alone"
        more = self.needed is not None and self.needed > self.pairs
        return f"not settled: {self.pairs} of {self.needed:,} seeds" if more else "not settled"


def compare(
    scores: Mapping[str, Mapping[int, float]],
    baseline: str,
    *,
    lower_is_better: bool = True,
    level: float = LEVEL,
) -> list[Compared]:
    """Compare each method with the baseline on what was put to the same test: one task, one data budget, one protocol.

    The test is that of `graftbench.comparison.paired`, two-sided, for either verdict may come out; Holm's correction is
    over all methods that share two seeds with the baseline. Intervals are not corrected: each is about its own
    comparison.

    Args:
        scores: Method -> seed -> finite value; a method without values has no pair.
        baseline: One of them.
        lower_is_better: As for KID and FID.
        level: Of all tests together, strictly between 0 and 1.

    Returns:
        One for each other method, in the order given.

    Raises:
        GraftbenchError: An unknown baseline, a value that is not finite, or a level outside 0 to 1.
    """
    check_level(level, "a test")
    if baseline not in scores:
        raise unknown("baseline", baseline, scores)
    base = scores[baseline]
    differences = {
        name: paired(of_one_cell(values), of_one_cell(base)) for name, values in scores.items() if name != baseline
    }
    p = {name: each.p for name, each in differences.items() if each is not None and each.p is not None}
    adjusted = dict(zip(p, holm(list(p.values())).tolist(), strict=True)) if p else {}
    compared = []
    for name, each in differences.items():
        gaps = [scores[name][seed] - base[seed] for seed in sorted(scores[name].keys() & base.keys())]
        judge = None if each is None else partial(each.verdict, lower_is_better=lower_is_better, level=level)
        compared.append(
            Compared(
                method=name,
                baseline=baseline,
                pairs=len(gaps),
                difference=float(np.mean(gaps)) if gaps else None,
                differences=each,
                wins=sum((gap < 0) == lower_is_better for gap in gaps if gap),
                ties=gaps.count(0.0),
                p_holm=adjusted.get(name),
                verdict="too few seeds" if judge is None else judge(adjusted.get(name)),
                alone="too few seeds" if judge is None else judge(p.get(name)),
            )
        )
    return compared


# ---------------------------------------------------------------------------------------------------------- baseline


def default_baseline(
    families: Mapping[str, str], blocks: Sequence[Mapping[str, float]], *, lower_is_better: bool = True
) -> str:
    """Return the baseline where nobody names one: the first method of family `scratch`, else the best.

    The first is that with a score in most blocks, of equals the first by name: it is chosen without a look at how good
    the scores are, so that the p-values of what is compared with it mean what they say. The best, by the mean of its
    ranks, is chosen by its scores: that it beats others is then no news.

    Args:
        families: Method -> family; methods of family `reference` are not chosen.
        blocks: Method -> score, for each task and data budget.
        lower_is_better: As for KID and FID.

    Raises:
        GraftbenchError: No method that is no reference row has a score.
    """
    scored_blocks = {
        name: [block for block in blocks if name in block] for name, kind in families.items() if kind != REFERENCE
    }
    scored = {name: own_blocks for name, own_blocks in scored_blocks.items() if own_blocks}
    if not scored:
        raise GraftbenchError("No method has a score, so there is no baseline; name one, or choose another metric.")
    scratch = [name for name in scored if families[name] == SCRATCH]
    if scratch:
        return min(scratch, key=lambda name: (-len(scored[name]), name))
    sign = 1.0 if lower_is_better else -1.0
    ranks: defaultdict[str, list[int]] = defaultdict(list)
    for block in blocks:
        order = sorted((sign * value, name) for name, value in block.items() if name in scored)
        for rank, (_, name) in enumerate(order):
            ranks[name].append(rank)
    return min(scored, key=lambda name: (-len(scored[name]), float(np.mean(ranks[name])), name))


# ------------------------------------------------------------------------------------------------------------- frame


def compare_methods(
    records: pd.DataFrame | Iterable[Record],
    *,
    baseline: str = "",
    metric: str = "kid",
    level: float = LEVEL,
    by: str = "method",
) -> pd.DataFrame:
    """Compare each method with a baseline, for every task, compute budget, protocol and data budget of a run.

    >>> import graftbench
    >>> from graftbench.comparison.methods import compare_methods
    >>> compare_methods(graftbench.load("runs/quick"), baseline="dcgan")  # doctest: +SKIP

    Args:
        records: What `graftbench.load` returns, or the records themselves. Cells that failed or have no finite score
            are no repetitions. Reference rows are left out unless one is the baseline; of records, so are those of
            methods that were trained with the scoring network (a frame does not say which these are).
        baseline: A method; "" for `default_baseline`, one for all tasks.
        metric: A column with scores.
        level: Of the tests of one task and data budget together, strictly between 0 and 1.
        by: The column that names a method. Of a method with several sets of parameters make a column of your own.

    Returns:
        One row a comparison with the columns `COLUMNS`, in the unit of the frame (KID is not ×10³). The difference is
        method - baseline, the ratio, with its 95 % interval, method over baseline. Blocks in which the baseline has no
        score have rows without a pair.

    Raises:
        GraftbenchError: A column that is missing, an unknown baseline or metric, no scores, a metric without a
            direction, or two cells of one method, task, data budget and seed.
    """
    import pandas as pd  # noqa: PLC0415 - reports compare without it

    known = metric_named(metric)
    better = 0 if known is None else known.better
    table = _table(records, metric, by)
    if not better:
        raise GraftbenchError(f"Which way '{metric}' is better is not known, so no method is better by it.")
    blocks = _blocks(table, metric, by)
    families = cast("dict[str, str]", dict(zip(table[by], table["family"], strict=True)))
    means = [
        {name: float(np.mean(list(scores.values()))) for name, scores in block.items()} for block in blocks.values()
    ]
    chosen = baseline or default_baseline(families, means, lower_is_better=better < 0)
    if chosen not in families:
        raise unknown("baseline", chosen, families)
    rows: list[dict[str, Any]] = []
    for key, block in blocks.items():
        scores = {name: block.get(name, {}) for name, kind in families.items() if kind != REFERENCE or name == chosen}
        shared = dict(zip(_BLOCK, cast("tuple[Any, ...]", key), strict=True)) | {"metric": metric}
        rows += [
            shared | _row(compared) for compared in compare(scores, chosen, lower_is_better=better < 0, level=level)
        ]
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS)).astype(dict.fromkeys(_REAL, "float64") | {"needed": "Int64"})


_BLOCK = ("task", "data_budget", "compute_budget", "protocol")


def _table(records: pd.DataFrame | Iterable[Record], metric: str, by: str) -> pd.DataFrame:
    """Return the records as a frame, its columns checked."""
    import pandas as pd  # noqa: PLC0415 - reports compare without it

    if isinstance(records, pd.DataFrame):
        table = records
    else:
        from graftbench.comparison.table import frame  # noqa: PLC0415 - it knows pandas

        leaks = "leaks_second" if is_by_second(metric) else "leaks"
        table = frame([record for record in records if not getattr(record, leaks)])
    for name in (by, "family", "seed", metric, *_BLOCK):
        if name not in table.columns:
            raise unknown("column", name, map(str, table.columns))
    return table


def _blocks(table: pd.DataFrame, metric: str, by: str) -> dict[Hashable, dict[str, dict[int, float]]]:
    """Return method -> seed -> score, for every block in order."""
    scores: dict[Hashable, dict[str, dict[int, float]]] = {}
    columns = [table[name].tolist() for name in (by, "seed", metric)]
    for key, name, seed, value in zip(
        zip(*(table[part].tolist() for part in _BLOCK), strict=True), *columns, strict=True
    ):
        values = scores.setdefault(key, {}).setdefault(name, {})
        if not np.isfinite(value):
            continue
        if seed in values:
            raise GraftbenchError(
                f"'{name}' has two cells of seed {seed} at {key[1]} images of {key[0]}: select one set of parameters, "
                "or name a column that tells them apart with by=."
            )
        values[int(seed)] = float(value)
    if not any(values for block in scores.values() for values in block.values()):
        raise GraftbenchError(f"No cell has a finite '{metric}'; there is nothing to compare.")
    return {key: {name: values for name, values in scores[key].items() if values} for key in sorted(scores, key=_order)}


def _order(key: Hashable) -> tuple[object, ...]:
    """Return the sort key of a block: task, compute budget and protocol, then the number of images."""
    task, images, compute, protocol = cast("tuple[Any, ...]", key)
    return str(task), str(compute), str(protocol), images


def _row(compared: Compared) -> dict[str, Any]:
    """Return the comparison as columns; None where there is no number."""
    plain = ("method", "baseline", "pairs", "difference", "wins", "ties", "p", "p_holm", "needed")
    row = {name: getattr(compared, name) for name in plain} | {"verdict": compared.words}
    if compared.differences is not None:
        row |= {"ratio": math.exp(compared.differences.log_ratio), "p_sign_flips": compared.differences.p_sign_flips}
        if ends := compared.differences.interval():
            row |= {"ratio_low": math.exp(ends.low), "ratio_high": math.exp(ends.high)}
    return row
