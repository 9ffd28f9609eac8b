"""Published orderings, and whether the records of a run bear them out.

The claims are data (`claims.toml`); each names one of four verbs, which says how its methods are compared. A claim
compares scores in pairs: cells of one task, seed and budget that differ in the method alone. Its test is that of every
other comparison (`graftbench.comparison.paired`). Neither claims nor tests are fitted to any run: a claim that fails is
reported as such, and so is one that the records do not settle.

A method that learnt nothing says nothing on a claim, whatever its score. At a task and budgets at which either side of
a comparison does not beat the row `blank`, or neither side beats `source`, the two are not compared, as far as these
rows were run there, and a claim of which too little is left is not testable here. To beat is to have the lower mean KID
over the seeds that both have. A claim that measures against one of these rows does not ask who beats that row.

Where a claim is about differences of differences, or about several methods, those of one task and seed are averaged
first, and count as one pair.
"""

from __future__ import annotations

import math
import tomllib
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec

from graftbench.comparison.nothing_learnt import BLANK, SOURCE, beats
from graftbench.comparison.paired import (
    LEVEL,
    PairedDifferences,
    Setting,
    least_pairs,
    paired,
    percent,
    printed_p,
)
from graftbench.comparison.protocols import check_one_protocol
from graftbench.comparison.stats import mean, standard_deviation
from graftbench.comparison.table import frame
from graftbench.comparison.too_few import nothing_ranked
from graftbench.contracts import Reference
from graftbench.errors import GraftbenchError
from graftbench.metrics.catalogue import METRICS
from graftbench.records.record import Status
from graftbench.references import cited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import pandas as pd

    from graftbench.records.record import Record

Key = TypeVar("Key")
Verdict = Literal["holds", "does not hold", "not settled", "not testable here", "not enough data"]
TaskAndBudgets = tuple[str, str, int]
"""Task, compute budget and number of images."""
Verb = Literal["beats", "shrinks", "varies less", "pays near"]

TRAINED = ("scratch", "fine-tune", "frozen", "vae")
"""Families of generators that are trained on the target images."""

AUGMENT = "augment"
"""The parameter, and the column that `check_claims` makes of it, that names a method's DiffAugment policy."""

MOST_TASKS = 3
"""Most tasks that a reason names, each time with who does not beat what."""


# -------------------------------------------------------------------------------------------------------------- claims


class Claim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A published ordering, as `claims.toml` has it.

    Attributes:
        name: Short name.
        statement: The claim, a sentence. "Few images" and "many images" are the run's smallest and largest data budget.
        source: Who made it; None for what is commonly observed and has no single source.
        verb: How the records are compared.
        methods: What the claim speaks for; none for all methods of the families `TRAINED`.
        over: What they are compared with.
        metric: The score. Of one without a better direction the larger value counts as better.
        images: Whether `beats` looks at few images or at all data budgets.
        unaugmented: A method that must not use DiffAugment itself; empty for none.
    """

    name: str
    statement: str
    source: Reference | None = None
    verb: Verb
    methods: tuple[str, ...]
    over: str
    metric: str = "kid"
    images: Literal["few", "all"] = "few"
    unaugmented: str = ""

    @property
    def cited(self) -> str:
        """Return who made the claim: `Mo et al. 2020, arXiv 2002.10964`."""
        if self.source is None:
            return "common observation, no single source"
        names = self.source.authors.split(", ")
        authors = " & ".join(names) if len(names) < 3 else f"{names[0]} et al."
        return f"{authors} {self.source.year}, arXiv {self.source.arxiv}"


def _load_claims() -> tuple[Claim, ...]:
    table = tomllib.loads(Path(__file__).with_name("claims.toml").read_text("utf-8"))
    claims = ({**claim, "source": cited(claim["source"]) if "source" in claim else None} for claim in table["claims"])
    return tuple(Claim(**{**claim, "methods": tuple(claim.get("methods", ()))}) for claim in claims)


CLAIMS = _load_claims()
"""The claims that are checked, in order."""


# ------------------------------------------------------------------------------------------------------------- results


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a claim on a run.

    Attributes:
        name: The claim's name.
        statement: The claim, a sentence.
        source: Who made it: authors, year, arXiv number.
        contrast: What was compared: score, methods, budgets. A positive difference speaks for the claim.
        n: Number of pairs.
        difference: Mean difference: of what `contrast` names, or the logarithm of a ratio; None without pairs.
        is_ratio: Whether it is a logarithm.
        p: Two-sided; None with fewer than two pairs.
        verdict: The answer.
        reason: What is missing, why nothing can be tested, how many pairs would settle it, or that the opposite holds;
            else empty.
    """

    name: str
    statement: str
    source: str
    contrast: str = ""
    n: int = 0
    difference: float | None = None
    is_ratio: bool = True
    p: float | None = None
    verdict: Verdict
    reason: str = ""

    @property
    def is_answered(self) -> bool:
        """Return whether there is enough data for a verdict, or to say that the claim is not testable on it."""
        return self.verdict != "not enough data"

    @property
    def printed_difference(self) -> str:
        """Return the difference with a sign: a ratio as `+50 %`, another with three digits: `−0.0513`."""
        if self.difference is None:
            return "—"
        if self.is_ratio:
            return percent(self.difference)
        sign = "" if not self.difference else "+" if self.difference > 0 else "−"
        return f"{sign}{abs(self.difference):#.3g}"

    @property
    def printed_p(self) -> str:
        """Return p with two significant digits."""
        return printed_p(self.p)


class CheckedClaims(msgspec.Struct, frozen=True, kw_only=True):
    """All claims on the records of one or several runs.

    Attributes:
        findings: One a claim, in the order of `CLAIMS`.
        level: Level of each test.
        cells: Number of cells that ended well.
        left_out: Number of cells that did not, and were left out.
        unranked: Number of cells that did, and were left out: their reference images are too few to rank anything.
        few: The smallest data budget: what a claim calls few images; None without cells.
        many: The largest.
    """

    findings: list[Finding]
    level: float
    cells: int
    left_out: int
    unranked: int
    few: int | None
    many: int | None


@dataclass(frozen=True)
class Contrast:
    """Paired differences, positive where a pair speaks for the claim.

    Attributes:
        text: What is compared, in which unit, and what a pair is.
        differences: None without a pair.
        is_ratio: Whether they are logarithms of ratios.
    """

    text: str
    differences: PairedDifferences | None
    is_ratio: bool = True


class _MissingCells(Exception):  # noqa: N818 - no error: it becomes the verdict "not enough data"
    """Cells that a claim needs and the records do not have."""


# --------------------------------------------------------------------------------------------------------------- checks


def check_claims(records: Sequence[Record], *, level: float = LEVEL, claims: Sequence[Claim] = CLAIMS) -> CheckedClaims:
    """Test every claim on the cells that ended well.

    No correction for the number of claims is made: each is a question of its own.

    Args:
        records: One a cell.
        level: Level of each two-sided test, above 0 and at most 0.5.
        claims: What to check.

    Raises:
        GraftbenchError: A level out of range, or records of several protocols, whose numbers do not compare.
    """
    if not 0 < level <= 0.5:
        raise GraftbenchError(f"The level of a test is above 0 and at most 0.5; found {level:g}.")
    check_one_protocol(records)
    all_ended_well = [record for record in records if record.status == Status.OK]
    ended_well = [record for record in all_ended_well if not nothing_ranked(_reference_images(record))]
    policies = [str(record.cell.parameters.get(AUGMENT) or "") for record in ended_well]
    cells = frame(ended_well).assign(**{AUGMENT: policies})
    few, many = _budgets(cells) if ended_well else (None, None)
    return CheckedClaims(
        findings=[_check(claim, cells, level) for claim in claims],
        level=level,
        cells=len(ended_well),
        left_out=len(records) - len(all_ended_well),
        unranked=len(all_ended_well) - len(ended_well),
        few=few,
        many=many,
    )


def _reference_images(record: Record) -> int:
    return max((score.n_reference for score in record.scores), default=0)


def _check(claim: Claim, cells: pd.DataFrame, level: float) -> Finding:
    finding = partial(Finding, name=claim.name, statement=claim.statement, source=claim.cited)
    try:
        _check_unaugmented(claim.unaugmented, cells)
        contrast = _VERBS[claim.verb](claim, cells)
    except _MissingCells as missing:
        return finding(verdict="not enough data", reason=str(missing))
    if _tested(contrast) and (idle := _idle(claim, cells)):
        try:
            remaining = _VERBS[claim.verb](claim, idle.remaining)
        except _MissingCells:
            remaining = Contrast(contrast.text, None)
        if not _tested(remaining):
            return finding(contrast=contrast.text, verdict="not testable here", reason=idle.reason)
        contrast = replace(remaining, text=f"{remaining.text}; left out, as {idle.reason}")
    differences = contrast.differences
    if differences is None or differences.p is None:
        n = 0 if differences is None else differences.n
        reason = f"needs {_pairs(least_pairs('student', level))}, has {n}"
        return finding(contrast=contrast.text, n=n, verdict="not enough data", reason=reason)
    verdict, reason = _judge(differences, level)
    return finding(
        contrast=contrast.text,
        n=differences.n,
        difference=differences.log_ratio if contrast.is_ratio else differences.mean,
        is_ratio=contrast.is_ratio,
        p=differences.p,
        verdict=verdict,
        reason=reason,
    )


def _tested(contrast: Contrast) -> bool:
    """Return whether there are pairs enough for a p."""
    return contrast.differences is not None and contrast.differences.p is not None


@dataclass(frozen=True)
class IdleCells:
    """Cells of a claim at tasks and budgets where they say nothing on it, for a side of it learnt nothing.

    Attributes:
        remaining: All cells but these.
        reason: Who beats what nowhere, and where: `neither finetune nor dcgan beats source on a->b@32 at 10 images`.
    """

    remaining: pd.DataFrame
    reason: str


def _idle(claim: Claim, cells: pd.DataFrame) -> IdleCells | None:
    """Return the cells that say nothing on a claim; None where there are none."""
    if "kid" not in cells:
        return None
    # KIDs by task and budgets, method and seed; of one budget where the claim is of one
    names = ("task", "compute_budget", "data_budget", "method", "seed", "kid")
    rows = list(zip(*(cells[name].tolist() for name in names), strict=True))
    only_few = claim.verb == "pays near" or (claim.verb == "beats" and claim.images == "few")
    few, _ = _budgets(cells)
    kids_at: defaultdict[TaskAndBudgets, defaultdict[str, dict[int, float]]]
    kids_at = defaultdict(lambda: defaultdict(dict))
    for task, compute, n, method, seed, kid in rows:
        if not math.isnan(kid) and (n == few or not only_few):
            kids_at[task, compute, n][method][seed] = kid
    # which methods are not compared where, and who does not beat which row there
    references = frozenset(cells.loc[cells["family"] == "reference", "method"])
    idle = set[tuple[str, TaskAndBudgets]]()
    losers: defaultdict[tuple[TaskAndBudgets, str], list[str]] = defaultdict(list)
    for where, kids in sorted(kids_at.items()):
        for method in claim.methods or _trained(cells):
            sides, row = _losers(kids, (method, claim.over), references) if method in kids else ((), "")
            if sides:
                idle.add((method, where))
                losers[where, row] += [side for side in sides if side not in losers[where, row]]
    if not idle:
        return None
    kept = [(method, (task, compute, n)) not in idle for task, compute, n, method, _, _ in rows]
    return IdleCells(cells.loc[kept], _who_beats_what_nowhere(losers))


def _losers(
    kids: Mapping[str, Mapping[int, float]], sides: tuple[str, str], references: frozenset[str]
) -> tuple[Sequence[str], str]:
    """Return the sides that make a comparison tell nothing, and the row that they do not beat; no side where it tells.

    A row that was not run, and one without a seed in common, speaks against nobody. A reference row that a claim
    measures against is no side that could have learnt something.
    """
    competing = [side for side in sides if side in kids and side not in references]
    lost = {
        row: [side for side in competing if beats(kids[side], kids.get(row, {})) is False] for row in (BLANK, SOURCE)
    }
    if lost[BLANK]:
        return lost[BLANK], BLANK
    return (competing, SOURCE) if lost[SOURCE] == competing else ((), "")


def _who_beats_what_nowhere(losers: Mapping[tuple[TaskAndBudgets, str], Sequence[str]]) -> str:
    """Write who does not beat which row on which tasks: `vae does not beat blank on a->b@32 at 10 images`."""
    budgets: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for ((task, _, images), row), sides in losers.items():
        nobody = f"none of {', '.join(sides)} beats"
        if len(sides) < 3:
            nobody = f"neither {' nor '.join(sides)} beats" if len(sides) == 2 else f"{sides[0]} does not beat"
        budgets[f"{nobody} {row}", task].add(images)
    # one who and what, then its tasks
    parts: defaultdict[str, list[str]] = defaultdict(list)
    for (nobody, task), counts in list(budgets.items())[:MOST_TASKS]:
        parts[nobody].append(f"{task} at {_listed(sorted(counts))} images")
    more = f"; and {len(budgets) - MOST_TASKS} more" if len(budgets) > MOST_TASKS else ""
    return "; ".join(f"{nobody} on {'; '.join(tasks)}" for nobody, tasks in parts.items()) + more


def _listed(counts: Sequence[int]) -> str:
    *others, last = (f"{count:,}" for count in counts)
    return f"{', '.join(others)} and {last}" if others else last


def _check_unaugmented(method: str, cells: pd.DataFrame) -> None:
    policies = {str(policy) for policy in cells.loc[cells["method"] == method, AUGMENT]} - {""}
    if policies:
        raise _MissingCells(f"{method} is augmented itself ({' / '.join(sorted(policies))})")


def _judge(differences: PairedDifferences, level: float) -> tuple[Verdict, str]:
    """Return verdict and reason of a test: "better" is that it speaks for the claim."""
    verdict = differences.verdict(differences.p, lower_is_better=False, level=level)
    if verdict == "better":
        return "holds", ""
    if verdict == "worse":
        return "does not hold", "the opposite holds"
    needed = differences.pairs_needed(level=level)
    if needed is None or needed <= differences.n:
        return "not settled", ""
    return "not settled", f"{_pairs(needed)} would find such a difference in 80 % of cases"


def _pairs(n: int) -> str:
    return "1 pair" if n == 1 else f"{n} pairs"


# ---------------------------------------------------------------------------------------------------------- four verbs


def _beats(claim: Claim, cells: pd.DataFrame) -> Contrast:
    """Compare scores at few images, or at all data budgets."""
    few, _ = _budgets(cells)
    larger, smaller = (_scores(cells, method, claim.metric) for method in _ordered(claim))
    if claim.images == "all":
        return Contrast(f"{_label(claim)} at all images; pairs: task, images, seed", paired(larger, smaller))
    at_few = {setting: score for setting, score in larger.items() if setting.images == few}
    return Contrast(f"{_label(claim)} at {_images(few)}; pairs: task, seed", paired(at_few, smaller))


def _shrinks(claim: Claim, cells: pd.DataFrame) -> Contrast:
    """Compare what is gained at few images with what is gained at many.

    A claim that names a method is of its score, and compares logarithms of ratios; one of all trained methods is of
    their copying (`_copying`).
    """
    gains = {claim.methods[0]: _log_gains(claim, cells)} if claim.methods else _copying(claim, cells)
    few, many = _two_budgets(cells)
    if claim.methods:
        text = f"{_label(claim)}: at {_images(few)} over the same at {_images(many)}"
    else:
        text = f"train distance over that of {claim.over}: at {_images(many)} less the same at {_images(few)}"
        text += f", mean over {', '.join(gains)}"
    differences = [
        (setting, gain - of_method[at_many])
        for of_method in gains.values()
        for setting, gain in of_method.items()
        if setting.images == few and (at_many := setting._replace(images=many)) in of_method
    ]
    return Contrast(f"{text}; pairs: task, seed", _by_draw(differences), is_ratio=bool(claim.methods))


def _varies_less(claim: Claim, cells: pd.DataFrame) -> Contrast:
    """Compare standard deviations over seeds of log KID, a pair a task and budget.

    The logarithm makes spreads of methods of different KID comparable; a KID of 0 or less has none and is left out.
    The pair's difference is that of the logarithms of the two standard deviations. An F test would take the seeds of
    all tasks for repetitions of one.
    """
    (method,) = claim.methods
    unsteady, steady = (_log_spreads(_scores(cells, name, claim.metric)) for name in (claim.over, method))
    text = f"SD over seeds of log KID, {claim.over} over {method}; pairs: task, images"
    differences = [unsteady[setting] - steady[setting] for setting in unsteady if setting in steady]
    return Contrast(text, _paired_logs(differences))


def _pays_near(claim: Claim, cells: pd.DataFrame) -> Contrast:
    """Compare gains over `over` at the nearest task with those at the farthest, both at few images.

    How far a target is from the source is measured: KID of what the source model generates as it is (`source`) against
    the target, over all cells of the task. The gain is the logarithm of the ratio of the KIDs, for KIDs of two targets
    have no common unit; a KID of 0 or less has no logarithm, and its pair is left out.
    """
    # what there is to compare
    few, _ = _budgets(cells)
    methods = [method for method in claim.methods if method in set(cells["method"])]
    if not methods:
        raise _MissingCells(f"no cells of {' or '.join(claim.methods)}")
    base = _scores(cells, claim.over, claim.metric)
    near, far, distances = _nearest_and_farthest(cells)
    # each method's gain, near less far
    differences: list[tuple[Setting, float]] = []
    for method in methods:
        gains = {
            setting: math.log(base[setting] / score)
            for setting, score in _scores(cells, method, claim.metric).items()
            if setting.images == few and score > 0.0 and base.get(setting, 0.0) > 0.0
        }
        differences += [
            (setting, gain - gains[at_far])
            for setting, gain in gains.items()
            if setting.task == near and (at_far := setting._replace(task=far)) in gains
        ]
    # in words
    kid = METRICS[claim.metric]
    text = (
        f"KID of {claim.over} over {' and '.join(methods)} at {_images(few)}: {near} ({kid.label} of "
        f"{SOURCE} {distances[near] * kid.scale:z,.0f}) over {far} ({distances[far] * kid.scale:z,.0f}); pairs: seed"
    )
    return Contrast(text, _by_draw(differences))


_VERBS: dict[Verb, Callable[[Claim, pd.DataFrame], Contrast]] = {
    "beats": _beats,
    "shrinks": _shrinks,
    "varies less": _varies_less,
    "pays near": _pays_near,
}


# --------------------------------------------------------------------------------------------------- scores and pairs


def _scores(cells: pd.DataFrame, method: str, metric: str) -> dict[Setting, float]:
    """Return a method's score in each setting where it has one."""
    rows = cells.loc[cells["method"] == method]
    if rows.empty:
        raise _MissingCells(f"no cells of {method}")
    rows = rows.query(f"`{metric}`.notna()") if metric in rows else rows[:0]
    if rows.empty:
        raise _MissingCells(f"no {metric} of {method}")
    settings = zip(*(rows[name].tolist() for name in ("task", "compute_budget", "data_budget", "seed")), strict=True)
    scores = dict(zip(map(Setting._make, settings), rows[metric].tolist(), strict=True))
    if len(scores) < len(rows):
        raise _MissingCells(
            f"several variants of {method} (parameters, code or source model differ): a claim is of one"
        )
    return scores


def _ordered(claim: Claim) -> tuple[str, str]:
    """Return the two methods, first the one whose score is larger if the claim holds.

    Of a score without a better direction the method's own is: the claim says what it means.
    """
    (method,) = claim.methods
    return (method, claim.over) if METRICS[claim.metric].better >= 0 else (claim.over, method)


def _label(claim: Claim) -> str:
    """Return what is compared: `KID of dcgan over finetune`."""
    return f"{METRICS[claim.metric].label.removesuffix('×10³')} of {' over '.join(_ordered(claim))}"


def _log_gains(claim: Claim, cells: pd.DataFrame) -> dict[Setting, float]:
    """Return the logarithm of the ratio of the two scores where both have one above 0; larger speaks for the method."""
    larger, smaller = (_scores(cells, method, claim.metric) for method in _ordered(claim))
    return {
        setting: math.log(score / smaller[setting])
        for setting, score in larger.items()
        if score > 0.0 and smaller.get(setting, 0.0) > 0.0
    }


def _copying(claim: Claim, cells: pd.DataFrame) -> dict[str, dict[Setting, float]]:
    """Return, for each trained method, how near its images come to the training images: minus the relative distance.

    The distance to the nearest of n training images shrinks with n, whoever draws the images, so every score of
    memorisation has a yardstick. C_T's is held-out images; but a z-score also grows with the number of images in a cell
    of the partition, and the number of cells follows n (1 below 40 training images, 10 from 200 on): a generator that
    replays its training images scores −31 at 25 images and −13 at 400 (`memorizer`, OpenMoji). AuthPct's is the
    distances among training images: even new real images score 66 at 25 and 74 at 400 (`oracle`). The train
    distance ratio gives both the same at both (0; 1.00 and 0.99).

    It is not free of n either for images off the target domain: 1.25 and 1.45 for the generator that never saw the
    target (`source`), for its distance falls less with n than that of real images. Divided by that row's ratio, of the
    same task, budget and seed, what is left is what training on the images did.
    """
    _two_budgets(cells)
    yardstick = _scores(cells, claim.over, claim.metric)
    methods = _trained(cells)
    if not methods:
        raise _MissingCells("no cells of trained methods")
    return {
        method: {
            setting: -score / yardstick[setting]
            for setting, score in _scores(cells, method, claim.metric).items()
            if yardstick.get(setting)
        }
        for method in methods
    }


def _trained(cells: pd.DataFrame) -> list[str]:
    return sorted(set(cells.loc[cells["family"].isin(TRAINED), "method"]))


def _log_spreads(scores: Mapping[Setting, float]) -> dict[Setting, float]:
    """Return the logarithm of the standard deviation over seeds of log score; the settings' seed is −1."""
    logarithms = [(setting._replace(seed=-1), math.log(score)) for setting, score in scores.items() if score > 0.0]
    spreads = {setting: standard_deviation(values) for setting, values in _grouped(logarithms).items()}
    return {setting: math.log(sd) for setting, sd in spreads.items() if sd}


def _nearest_and_farthest(cells: pd.DataFrame) -> tuple[str, str, dict[str, float]]:
    """Return the two tasks, and each task's mean KID of the source row."""
    scores = _scores(cells, SOURCE, "kid")
    tasks = _grouped((setting.task, score) for setting, score in scores.items())
    distances = {task: mean(values) for task, values in tasks.items()}
    near, far = min(distances, key=distances.__getitem__), max(distances, key=distances.__getitem__)
    if distances[near] == distances[far]:
        raise _MissingCells(f"needs two tasks at different distances from their source, has {len(distances)}")
    return near, far, distances


def _by_draw(differences: Iterable[tuple[Setting, float]]) -> PairedDifferences | None:
    """Average over methods and data budgets: what has task, compute budget and seed in common is one pair."""
    draws = _grouped((setting._replace(images=0), difference) for setting, difference in differences)
    return _paired_logs([mean(values) for values in draws.values()])


def _paired_logs(differences: Sequence[float]) -> PairedDifferences | None:
    """Return differences, of logarithms or else, as pairs; None where there is none."""
    return PairedDifferences(values=tuple(differences), scale="log") if differences else None


def _grouped(items: Iterable[tuple[Key, float]]) -> dict[Key, list[float]]:
    groups: dict[Key, list[float]] = defaultdict(list)
    for key, value in items:
        groups[key].append(value)
    return groups


def _budgets(cells: pd.DataFrame) -> tuple[int, int]:
    """Return the smallest and the largest data budget."""
    if cells.empty:
        raise _MissingCells("no cells")
    budgets = [int(budget) for budget in cells["data_budget"].tolist()]
    return min(budgets), max(budgets)


def _two_budgets(cells: pd.DataFrame) -> tuple[int, int]:
    few, many = _budgets(cells)
    if few == many:
        raise _MissingCells(f"needs two data budgets, has one ({_images(few)})")
    return few, many


def _images(n: int) -> str:
    return "1 image" if n == 1 else f"{n:,} images"
