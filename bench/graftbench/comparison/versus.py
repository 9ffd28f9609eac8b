"""Is method A better than method B, by how much, and how sure is that? One sentence, then every task and budget."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from difflib import get_close_matches
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from graftbench.comparison.nothing_learnt import BLANK, SOURCE, SOURCE_IMAGES, beats
from graftbench.comparison.paired import (
    LEVEL,
    PairedDifferences,
    Setting,
    Verdict,
    p_clause,
    paired,
    percent,
)
from graftbench.comparison.protocols import check_one_protocol
from graftbench.comparison.too_few import nothing_ranked
from graftbench.errors import GraftbenchError, unknown
from graftbench.metrics.catalogue import EVERY_METRIC, is_by_second, metric_named

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

    from graftbench.metrics.catalogue import Metric
    from graftbench.records.record import Record

METRICS = ("kid", "fid")
"""Metrics that are compared where none is named; the sentence is about the first."""
MOST_SEEDS = 1000
"""Most seeds that are said to be lacking; of more it is said that they are more."""

_Scores = dict[Setting, float]


class VersusRow(msgspec.Struct, frozen=True, kw_only=True):
    """A against B by one metric, on one task at one number of images, or on all that both have.

    Attributes:
        metric: Name of the metric.
        task: The task; empty for all together.
        compute_budget: Of each fit; empty for all together.
        data_budget: Target training images; None for all together.
        pairs: Cells that both have: equal task, images and seed.
        seeds: Different seeds among them.
        ratio: A over B, the geometric mean over pairs; what has values of both signs is turned into a ratio to second
            order.
        ratio_low: Lower end of its 95 % interval; None of one pair.
        ratio_high: Upper end.
        p: Two-sided, of the paired t test; None of one pair.
        p_sign_flips: Two-sided, of the exact sign-flip test: the check beside it.
        verdict: Whether A is better, by `p`.
        more_seeds: How many seeds more would find such a difference in 80 % of cases; None where it is settled,
            unknown, or more than a thousand.
    """

    metric: str
    task: str = ""
    compute_budget: str = ""
    data_budget: int | None = None
    pairs: int
    seeds: int
    ratio: float
    ratio_low: float | None
    ratio_high: float | None
    p: float | None
    p_sign_flips: float
    verdict: Verdict
    more_seeds: int | None

    @property
    def change(self) -> str:
        """Return the change of A relative to B with its interval: `−33 % (−40 % to −25 %)`."""
        text = percent(math.log(self.ratio))
        if self.ratio_low is None or self.ratio_high is None:
            return text
        return f"{text} ({percent(math.log(self.ratio_low))} to {percent(math.log(self.ratio_high))})"

    @property
    def words(self) -> str:
        """Return the verdict, and how many more seeds it takes where it is open."""
        if self.verdict == "too few seeds":
            return "open: one seed"
        if self.verdict != "not settled":
            return self.verdict
        if self.more_seeds is None:
            return f"open: over {MOST_SEEDS:,} seeds more"
        return f"open: {_seeds(self.more_seeds)} more"


class Versus(msgspec.Struct, frozen=True, kw_only=True):
    """The answer for two methods.

    Attributes:
        a: Name of the first method.
        b: Name of the second.
        sentence: The answer.
        rows: For each metric all cells together, then each task and number of images.
        notes: What a reader should know, in sentences.
        level: Of each test.
    """

    a: str
    b: str
    sentence: str
    rows: list[VersusRow]
    notes: list[str]
    level: float = LEVEL


def versus(
    run: str | Path | pd.DataFrame | Iterable[Record],
    a: str,
    b: str,
    *,
    metric: str | Sequence[str] = METRICS,
    level: float = LEVEL,
) -> Versus:
    """Say whether method A is better than method B, by how much, and how sure that is.

    >>> import graftbench
    >>> graftbench.versus("runs/quick", "finetune", "dcgan").sentence  # doctest: +SKIP

    The test is `graftbench.comparison.paired`: p of each row is its own, and none is corrected, for the pair of methods
    was chosen beforehand.

    Args:
        run: A run folder or records.jsonl, records, or what `graftbench.load` returns.
        a: A method's name.
        b: Another's.
        metric: One metric or several; the sentence is of the first that both have.
        level: Of each two-sided test, strictly between 0 and 1.

    Raises:
        GraftbenchError: An unknown method or metric, a metric without a better direction or that no common cell has,
            methods without a cell in common, several variants of a method, records of several protocols.
    """
    names = [metric] if isinstance(metric, str) else list(metric)
    _check(names, level)
    records = None if _is_frame(run) else _records(run)
    cells = _frame(run, records)
    names = [_in_full(name, cells) for name in names]
    methods = sorted(map(str, cells["method"].unique()))
    for name in (a, b):
        if name not in methods:
            raise _no_method(name, methods, _statuses(run, records, name))
    if a == b:
        raise GraftbenchError(f"'{a}' cannot be compared with itself: name two methods.")
    rows: list[VersusRow] = []
    for name in names:
        scores = [_scores(cells, method, name) for method in (a, b)]
        if scores[0].keys() & scores[1].keys():
            rows += _rows(name, scores[0], scores[1], level)
    if not rows:
        raise _nothing_in_common(cells, a, b, names)
    pooled = [row for row in rows if not row.task]
    notes = [*_missing(names, pooled), *_disagreement(pooled), *_not_beating_blank(cells, a, b)]
    if records is not None:
        notes += _of_records(records, a, b, pooled[0])
    sentence = _sentence(a, b, pooled[0], [row for row in rows if row.task and row.metric == pooled[0].metric])
    return Versus(a=a, b=b, sentence=sentence, rows=rows, notes=notes, level=level)


# ------------------------------------------------------------------------------------------------------------- cells


def _statuses(run: Any, records: list[Record] | None, method: str) -> list[str]:  # noqa: ANN401 - a frame, or what was read
    """Return how the cells of a method ended; empty where a frame does not tell."""
    if records is not None:
        return [str(record.status) for record in records if record.cell.method == method]
    return list(map(str, run.loc[run["method"] == method, "status"])) if "status" in run.columns else []


def _no_method(name: str, methods: Sequence[str], statuses: Sequence[str]) -> GraftbenchError:
    """Say that a method has no cell that ended well, or that no cell is of that name."""
    if not statuses:
        return unknown("method", name, methods, where="in these records")
    endings = ", ".join(f"{count:,} {status}" for status, count in Counter(statuses).items())
    return GraftbenchError(f"No cell of '{name}' ended well, so there is nothing to compare; found {endings}.")


def _check(names: Sequence[str], level: float) -> None:
    if not 0 < level < 1:
        raise GraftbenchError(f"The level of a test lies strictly between 0 and 1; found {level}.")
    if not names:
        raise GraftbenchError("No metric was named; expected at least one, such as kid.")
    for name in names:
        metric = metric_named(name)
        if metric is None:
            raise unknown("metric", name, EVERY_METRIC)
        if not metric.better:
            raise GraftbenchError(f"Neither a high nor a low '{name}' is better, so no method is better by it.")


def _in_full(name: str, cells: pd.DataFrame) -> str:
    """Return a second extractor's score as the cells name it, where exactly one begins so: `kid.lite2`."""
    if name in cells.columns or not is_by_second(name):
        return name
    beginning = [column for column in map(str, cells.columns) if re.match(rf"{re.escape(name)}[@+]", column)]
    return beginning[0] if len(beginning) == 1 else name


def _nearest(name: str, scored: Sequence[str]) -> str:
    """Return the score that is meant, by the part of a second extractor's name that tells networks apart first."""
    candidates = {each.partition("@")[0]: each for each in reversed(scored)}
    near = get_close_matches(name.partition("@")[0], candidates, n=1, cutoff=0.6)
    return candidates[near[0]] if near and is_by_second(name) else ""


def checked_metric(name: str) -> Metric:
    """Return a metric that was checked."""
    metric = metric_named(name)
    assert metric is not None
    return metric


def _is_frame(run: object) -> bool:
    return hasattr(run, "columns")


def _records(run: Any) -> list[Record]:  # noqa: ANN401 - a path or records
    from graftbench.records.run import read_runs  # noqa: PLC0415 - a frame needs none of it

    return list(read_runs([Path(run)]).records if isinstance(run, str | Path) else run)


def _frame(run: Any, records: list[Record] | None) -> pd.DataFrame:  # noqa: ANN401 - a frame, a path or records
    """Return the cells that ended well, of one protocol."""
    if records is not None:
        from graftbench.comparison.table import frame  # noqa: PLC0415 - it knows pandas

        check_one_protocol(records)
        run = frame(records)
    for name in ("method", "task", "compute_budget", "data_budget", "seed", "protocol"):
        if name not in run.columns:
            raise unknown("column", name, map(str, run.columns))
    protocols = sorted(map(str, run["protocol"].unique()))
    if len(protocols) > 1:
        raise GraftbenchError(
            f"The records are of {len(protocols)} protocols, whose numbers do not compare: {', '.join(protocols)}. "
            "Give cells of one protocol."
        )
    return run[run["status"] == "ok"] if "status" in run.columns else run


def _scores(cells: pd.DataFrame, method: str, metric: str) -> _Scores:
    """Return setting -> finite score of a method.

    Raises:
        GraftbenchError: Two cells of one setting.
    """
    scores: _Scores = {}
    if metric not in cells.columns:
        return scores
    rows = cells[cells["method"] == method]
    columns = [rows[name].tolist() for name in ("task", "compute_budget", "data_budget", "seed", metric)]
    for task, compute, images, seed, value in zip(*columns, strict=True):
        if not math.isfinite(value):
            continue
        setting = Setting(str(task), str(compute), int(images), int(seed))
        if setting in scores:
            raise GraftbenchError(
                f"'{method}' has two cells of seed {seed} at {images} images of {task}: several variants (parameters, "
                "code or source model differ). Select one of them (--select)."
            )
        scores[setting] = float(value)
    return scores


def _nothing_in_common(cells: pd.DataFrame, a: str, b: str, metrics: Sequence[str]) -> GraftbenchError:
    def settings(method: str) -> set[Setting]:
        return {setting for metric in metrics for setting in _scores(cells, method, metric)}

    labels = " or ".join(metrics)
    for method in (a, b):
        if not settings(method):
            known = [*EVERY_METRIC, *filter(is_by_second, map(str, cells.columns))]
            scored = [name for name in known if name in cells.columns and _scores(cells, method, name)]
            nearest = _nearest(metrics[0], scored)
            hint = f" Did you mean '{nearest}'?" if nearest else ""
            return GraftbenchError(
                f"No cell of '{method}' that ended well has a {labels}.{hint} Scores that it has: "
                f"{', '.join(scored) or 'none'}."
            )
    examples = [min(settings(method)) for method in (a, b)]
    shown = [
        f"{method} has {e.task} with {e.images} images, seed {e.seed}"
        for method, e in zip((a, b), examples, strict=True)
    ]
    return GraftbenchError(
        f"'{a}' and '{b}' have no cell in common with a {labels}: the same task, number of images and seed "
        f"({', '.join(shown)})."
    )


# -------------------------------------------------------------------------------------------------------------- rows


def _rows(metric: str, a: _Scores, b: _Scores, level: float) -> list[VersusRow]:
    """Return the row of all cells, then one a task, compute budget and number of images."""
    common = sorted(a.keys() & b.keys())
    parts = [list(cells) for _, cells in groupby(common, key=lambda setting: setting[:3])]
    rows = [_row(metric, a, b, common, level)]
    for part in parts:
        where = {"task": part[0].task, "compute_budget": part[0].compute, "data_budget": part[0].images}
        rows.append(_row(metric, a, b, part, level, **where))
    return rows


def _row(metric: str, a: _Scores, b: _Scores, settings: Sequence[Setting], level: float, **where: Any) -> VersusRow:  # noqa: ANN401
    differences = paired({s: a[s] for s in settings}, {s: b[s] for s in settings})
    assert differences is not None
    verdict = differences.verdict(differences.p, lower_is_better=checked_metric(metric).better < 0, level=level)
    ends = None if differences.p is None else differences.interval()
    seeds = len({setting.seed for setting in settings})
    return VersusRow(
        metric=metric,
        pairs=differences.n,
        seeds=seeds,
        ratio=math.exp(differences.log_ratio),
        ratio_low=None if ends is None else math.exp(ends.low),
        ratio_high=None if ends is None else math.exp(ends.high),
        p=differences.p,
        p_sign_flips=differences.p_sign_flips,
        verdict=verdict,
        more_seeds=_more_seeds(differences, seeds, level) if verdict == "not settled" else None,
        **where,
    )


def _more_seeds(differences: PairedDifferences, seeds: int, level: float) -> int | None:
    needed = differences.pairs_needed(level=level)
    if needed is None:
        return None
    more = max(1, math.ceil(needed * seeds / differences.n) - seeds)
    return more if more <= MOST_SEEDS else None


# ------------------------------------------------------------------------------------------------------------- words


def _sentence(a: str, b: str, row: VersusRow, parts: Sequence[VersusRow]) -> str:
    label = checked_metric(row.metric).label.replace("×10³", "")
    p = p_clause(row.p)
    budgets = sorted({part.data_budget or 0 for part in parts})
    tasks = len({part.task for part in parts})
    images = f"{', '.join(f'{n:,}' for n in budgets)} image{'' if budgets == [1] else 's'}"
    where = f"{row.pairs} pair{'' if row.pairs == 1 else 's'}: {_seeds(row.seeds)}, {images}"
    where += f", {tasks} tasks" if tasks > 1 else ""
    if row.verdict in ("better", "worse"):
        return f"{a} is {row.verdict} than {b} by {label}: {row.change}, {p} ({where})."
    if row.verdict == "too few seeds":
        return (
            f"Nothing can be said of the methods {a} and {b} by {label}: one seed has no noise to go by ({a} has "
            f"{percent(math.log(row.ratio))}; {where}). At least 2 seeds are needed."
        )
    more = (
        f"more than {MOST_SEEDS:,} seeds more would be needed"
        if row.more_seeds is None
        else f"{_seeds(row.more_seeds)} more would find such a difference in 80 % of cases"
    )
    return f"{a} and {b} are not told apart by {label}: {a} has {row.change}, {p} ({where}); {more}."


def _missing(names: Sequence[str], pooled: Sequence[VersusRow]) -> list[str]:
    lacking = [name for name in names if name not in {row.metric for row in pooled}]
    return [f"No cell that both have has a {' or '.join(lacking)}."] if lacking else []


def _disagreement(pooled: Sequence[VersusRow]) -> list[str]:
    """Say so where two metrics settle opposite orders."""
    by_verdict = defaultdict(list)
    for row in pooled:
        by_verdict[row.verdict].append(checked_metric(row.metric).label)
    if not (by_verdict["better"] and by_verdict["worse"]):
        return []
    better, worse = (" and ".join(by_verdict[verdict]) for verdict in ("better", "worse"))
    return [f"The metrics disagree: better by {better}, worse by {worse}."]


def _not_beating_blank(cells: pd.DataFrame, a: str, b: str) -> list[str]:
    """Say where a method does not beat white images: a comparison with it tells nothing there."""
    white = _by_seed(cells, BLANK)
    notes = []
    for method in (a, b):
        kids = _by_seed(cells, method) if method not in (BLANK, SOURCE, SOURCE_IMAGES) else {}
        behind = [setting for setting, own in sorted(kids.items()) if beats(own, white.get(setting, {})) is False]
        where = dict.fromkeys(f"{images:,} images of {task}" for task, _, images in behind)
        if where:
            notes.append(
                f"{method} does not beat white images (blank) at {'; '.join(where)}: it has learnt nothing there."
            )
    return notes


def _by_seed(cells: pd.DataFrame, method: str) -> dict[tuple[str, str, int], dict[int, float]]:
    """Return task, compute budget and number of images -> seed -> KID of a method."""
    kids: defaultdict[tuple[str, str, int], dict[int, float]] = defaultdict(dict)
    rows = cells[cells["method"] == method]
    columns = [rows[name].tolist() for name in ("task", "compute_budget", "data_budget", "seed")]
    values = rows["kid"].tolist() if "kid" in rows.columns else [math.nan] * len(rows)
    for task, compute, images, seed, kid in zip(*columns, values, strict=True):
        if math.isfinite(kid):
            kids[str(task), str(compute), int(images)][int(seed)] = float(kid)
    return kids


def _of_records(records: Sequence[Record], a: str, b: str, row: VersusRow) -> list[str]:
    """Say what records know besides: who was trained with the scoring network; of one seed, what it can show."""
    ended = [record for record in records if record.status == "ok"]
    leaks = "leaks_second" if is_by_second(row.metric) else "leaks"
    looking = sorted({record.cell.method for record in ended if getattr(record, leaks)} & {a, b})
    notes = [f"{name} was trained with the scoring network, so its scores are no measure of it." for name in looking]
    fewest = min((score.n_reference for record in ended for score in record.scores if score.n_reference), default=0)
    notes += filter(None, [nothing_ranked(fewest)])
    if row.verdict != "too few seeds":
        return notes
    scores = {
        (record.cell.method, str(record.cell.task), record.cell.data_budget, record.cell.seed): score
        for record in ended
        if (score := record.score(row.metric)) is not None and score.value is not None and score.standard_error
    }
    for (method, *where), mine in scores.items():
        theirs = scores.get((b, *where)) if method == a else None  # pyright: ignore[reportArgumentType]
        if theirs is None or mine.value is None or theirs.value is None:
            continue
        error = math.hypot(mine.standard_error or 0.0, theirs.standard_error or 0.0)
        apart = math.erfc(abs(mine.value - theirs.value) / error / math.sqrt(2))
        differ = "differ by more than" if apart <= LEVEL else "do not differ by more than"
        notes.append(
            f"The two generators of seed {where[2]} at {where[1]} images {differ} the sampling error of "
            f"{checked_metric(row.metric).label} explains ({p_clause(apart)}); "
            "another seed gives other generators."
        )
        break
    return notes


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count:,} seeds"
