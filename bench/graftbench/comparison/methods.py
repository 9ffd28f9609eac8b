"""Each method against a baseline, paired over seeds: differences, intervals, p-values, verdicts in words."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from graftbench.comparison.multiplicity import enough, holm
from graftbench.comparison.sign_flips import sign_flips
from graftbench.comparison.stats import Interval, student_interval
from graftbench.errors import GraftbenchError, unknown
from graftbench.metrics.catalogue import EVERY_METRIC

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    import pandas as pd

    from graftbench.comparison.signed_rank import Shift
    from graftbench.records.record import Record

Verdict = Literal["better", "worse", "not settled", "too few seeds"]

SCRATCH, REFERENCE = "scratch", "reference"
"""Families: trained without a source model; rows that mark the scale and never compete."""
LEVEL = 0.05

COLUMNS = (
    *("task", "data_budget", "compute_budget", "protocol", "metric", "method", "baseline", "pairs"),
    *("difference", "interval_low", "interval_high", "shift", "shift_low", "shift_high"),
    *("wins", "ties", "p", "p_holm", "needed", "verdict"),
)
"""Columns of `compare_methods`."""
_REAL = (*COLUMNS[COLUMNS.index("difference") : COLUMNS.index("wins")], "p", "p_holm")


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One method against the baseline.

    Attributes:
        method: Its name.
        baseline: The other's.
        pairs: Seeds that both have.
        difference: Mean of method - baseline over those seeds, in the unit of the values; None without a pair.
        interval: Student's interval of that mean, of this comparison alone; None for fewer than two pairs.
        shift: Hodges and Lehmann's, with its exact interval; None where so few pairs have none.
        wins: Seeds on which the method is better.
        ties: Seeds on which both are equal.
        p: Two-sided, by sign flips; None without a pair.
        p_holm: Adjusted for all comparisons with a pair; None without one.
        needed: How many pairs it takes before the level can be reached; None where no number is enough.
        verdict: The answer at the level.
    """

    method: str
    baseline: str
    pairs: int
    difference: float | None
    interval: Interval | None
    shift: Shift | None
    wins: int
    ties: int
    p: float | None
    p_holm: float | None
    needed: int | None
    verdict: Verdict

    @property
    def words(self) -> str:
        """Return `better`, or `too few seeds: 5 of 8`."""
        if self.verdict != "too few seeds":
            return self.verdict
        return f"too few seeds: {self.pairs} of {self.needed}" if self.needed else "too many methods for any seeds"


def compare(
    scores: Mapping[str, Mapping[int, float]],
    baseline: str,
    *,
    lower_is_better: bool = True,
    level: float = LEVEL,
) -> list[Compared]:
    """Compare each method with the baseline on what was put to the same test: one task, one data budget, one protocol.

    The test is the exact two-sided sign-flip test of the mean difference, for either verdict may come out; Holm's
    correction is over all methods that share a seed with the baseline. Intervals are not corrected: each is about its
    own comparison, and presumes normal differences (Student's) or symmetric ones (Hodges and Lehmann's).

    Args:
        scores: Method -> seed -> finite value; a method without values has no pair.
        baseline: One of them.
        lower_is_better: As for KID and FID.
        level: Of all tests together, strictly between 0 and 1; intervals have 1 - level.

    Returns:
        One for each other method, in the order given.

    Raises:
        GraftbenchError: An unknown baseline, a value that is not finite, or a level outside 0 to 1.
    """
    if baseline not in scores:
        raise unknown("baseline", baseline, scores)
    base = scores[baseline]
    differences = {
        name: [values[seed] - base[seed] for seed in sorted(values.keys() & base.keys())]
        for name, values in scores.items()
        if name != baseline
    }
    p = _two_sided(differences)
    adjusted = dict(zip(p, holm(list(p.values())).tolist(), strict=True)) if p else {}
    sign = 1.0 if lower_is_better else -1.0
    compared = []
    for name, pairs in differences.items():
        can = enough(len(pairs), level, sides=2, tests=max(1, len(p)))
        verdict: Verdict = "not settled" if can.enough else "too few seeds"
        if name in adjusted and adjusted[name] <= level:
            verdict = "better" if sign * float(np.sum(pairs)) < 0 else "worse"
        compared.append(
            Compared(
                method=name,
                baseline=baseline,
                pairs=len(pairs),
                difference=float(np.mean(pairs)) if pairs else None,
                interval=student_interval(pairs, 1 - level) if pairs else None,
                shift=_shift(pairs, 1 - level),
                wins=sum(sign * difference < 0 for difference in pairs),
                ties=sum(difference == 0 for difference in pairs),
                p=p.get(name),
                p_holm=adjusted.get(name),
                needed=can.needed,
                verdict=verdict,
            )
        )
    return compared


def _two_sided(differences: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return p of every method that has a pair."""
    by_length: defaultdict[int, list[str]] = defaultdict(list)
    for name, pair_differences in differences.items():
        if pair_differences:
            by_length[len(pair_differences)].append(name)
    p: dict[str, float] = {}
    for names in by_length.values():
        tested = sign_flips(np.array([differences[name] for name in names]).T)
        p |= dict(zip(names, tested.p_two_sided.tolist(), strict=True))
    return {name: p[name] for name in differences if name in p}


def _shift(differences: list[float], coverage: float) -> Shift | None:
    """Return Hodges and Lehmann's shift where so many pairs have an interval of that coverage: 6 pairs for 95 %."""
    if not differences or 1 - 0.5 ** (len(differences) - 1) < coverage:
        return None
    from graftbench.comparison.signed_rank import hodges_lehmann  # noqa: PLC0415 - scipy.stats takes half a second

    return hodges_lehmann(differences, coverage)


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
            methods that look at the scoring network (a frame does not say which these are).
        baseline: A method; "" for `default_baseline`, one for all tasks.
        metric: A column with scores.
        level: Of the tests of one task and data budget together, strictly between 0 and 1; intervals have 1 - level.
        by: The column that names a method. Of a method with several sets of parameters make a column of your own.

    Returns:
        One row a comparison with the columns `COLUMNS`, in the unit of the frame (KID is not ×10³). Differences are
        method - baseline. Blocks in which the baseline has no score have rows without a pair.

    Raises:
        GraftbenchError: A column that is missing, an unknown baseline or metric, no scores, a metric without a
            direction, or two cells of one method, task, data budget and seed.
    """
    import pandas as pd  # noqa: PLC0415 - reports compare without it

    better = EVERY_METRIC[metric].better if metric in EVERY_METRIC else 0
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

        table = frame([record for record in records if not record.leaks])
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
    shift = compared.shift
    row["shift"] = None if shift is None else shift.value
    for name, ends in (("interval", compared.interval), ("shift", None if shift is None else shift.interval)):
        row |= {f"{name}_{end}": None if ends is None else getattr(ends, end) for end in ("low", "high")}
    return row
