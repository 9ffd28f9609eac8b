"""Published orderings, and whether the records of a run bear them out.

A claim compares scores in pairs: cells of one task, seed and budget that differ in the method alone. Its test is a
one-sided sign-flip permutation test of the mean difference (`stats.sign_flip_test`). Neither claims nor tests are
fitted to any run: a claim that fails is reported as such, and so is one that the records are too few for.

A pair is one draw of training images and of chance. Where a claim compares several methods, or at several budgets,
those of one seed share that draw: their differences are averaged first, and count as one pair.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from graftbench.comparison.stats import mean, pairs_needed, sign_flip_test, standard_deviation
from graftbench.comparison.table import frame
from graftbench.contracts import Reference
from graftbench.errors import GraftbenchError
from graftbench.metrics.catalogue import METRICS
from graftbench.records.cell_spec import content_hash
from graftbench.records.record import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    import pandas as pd

    from graftbench.records.cell_spec import Protocol
    from graftbench.records.record import Record

Verdict = Literal["holds", "does not hold", "not enough data"]

TRAINED = ("scratch", "fine-tune", "frozen", "vae")
"""Families of generators that are trained on the target images."""

AUGMENT = "augment"
"""The parameter, and the column that `check_claims` makes of it, that names a method's DiffAugment policy."""

SOURCE_ROW = "source"
"""The reference row that generates with the source model as it is."""


# ------------------------------------------------------------------------------------------------------------- results


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a claim on a run.

    Attributes:
        name: The claim's name.
        statement: The claim, a sentence.
        source: Who made it: authors, year, arXiv number.
        contrast: What was compared: score, methods, budgets. A positive difference speaks for the claim.
        n: Number of pairs.
        difference: Mean difference in the unit that `contrast` names; None without pairs.
        p: One-sided p of the claim; None without pairs.
        p_opposite: One-sided p of the opposite; None without pairs.
        verdict: The answer.
        reason: What is missing, or that the opposite holds; else empty.
    """

    name: str
    statement: str
    source: str
    contrast: str = ""
    n: int = 0
    difference: float | None = None
    p: float | None = None
    p_opposite: float | None = None
    verdict: Verdict
    reason: str = ""


class CheckedClaims(msgspec.Struct, frozen=True, kw_only=True):
    """All claims on the records of one or several runs.

    Attributes:
        findings: One a claim, in the order of `CLAIMS`.
        level: Level of each test.
        cells: Cells that ended well.
        left_out: Cells that did not, and were left out.
        few: The smallest data budget: what a claim calls few images; None without cells.
        many: The largest.
    """

    findings: list[Finding]
    level: float
    cells: int
    left_out: int
    few: int | None
    many: int | None


# --------------------------------------------------------------------------------------------------- scores and pairs


class Place(NamedTuple):
    """Where a method was put to work: cells of one place differ in the method alone."""

    task: str
    compute: str
    images: int
    seed: int


@dataclass(frozen=True)
class Contrast:
    """Paired differences, positive where a pair speaks for the claim.

    Attributes:
        text: What is compared, in which unit, and what a pair is.
        differences: One a pair.
    """

    text: str
    differences: tuple[float, ...]


class _Missing(Exception):  # noqa: N818 - no error: it becomes the verdict "not enough data"
    """What a claim needs and the records do not have."""


def _budgets(cells: pd.DataFrame) -> tuple[int, int]:
    """The smallest and the largest data budget."""
    if cells.empty:
        raise _Missing("no cells")
    budgets = [int(budget) for budget in cells["data_budget"].tolist()]
    return min(budgets), max(budgets)


def _two_budgets(cells: pd.DataFrame) -> tuple[int, int]:
    few, many = _budgets(cells)
    if few == many:
        raise _Missing(f"needs two data budgets, has one ({_images(few)})")
    return few, many


def _scores(cells: pd.DataFrame, method: str, metric: str) -> dict[Place, float]:
    """A method's score at each place where it has one."""
    own = cells[cells["method"] == method]
    if own.empty:
        raise _Missing(f"no cells of {method}")
    own = own.dropna(subset=[metric]) if metric in own else own[:0]
    if own.empty:
        raise _Missing(f"no {metric} of {method}")
    columns = [own[name].tolist() for name in ("task", "compute_budget", "data_budget", "seed", metric)]
    found = {
        Place(task, compute, images, seed): score for task, compute, images, seed, score in zip(*columns, strict=True)
    }
    if len(found) < len(own):
        raise _Missing(f"several variants of {method} (parameters, code or source model differ): a claim is of one")
    return found


def _gains(cells: pd.DataFrame, better: str, worse: str, metric: str) -> dict[Place, float]:
    """By how much one method scores better than another, where both have a score, as printed (KID×10³)."""
    sign, ours, theirs = _direction(metric), _scores(cells, better, metric), _scores(cells, worse, metric)
    scale = sign * METRICS[metric].scale
    return {place: scale * (ours[place] - theirs[place]) for place in ours if place in theirs}


def _direction(metric: str) -> int:
    """Of a score without a better direction the larger one counts as better: the claim says what it means."""
    return METRICS[metric].better or 1


def _differences(metric: str, larger: str, smaller: str) -> str:
    """`KID×10³ of dcgan − finetune`: positive where the second is better, for a score of which less is better."""
    first, second = (larger, smaller) if _direction(metric) > 0 else (smaller, larger)
    return f"{METRICS[metric].label} of {first} − {second}"


def _images(n: int) -> str:
    return "1 image" if n == 1 else f"{n:,} images"


# ----------------------------------------------------------------------------------------------------------- contrasts


def _better_at_few(better: str, worse: str, metric: str = "kid") -> Callable[[pd.DataFrame], Contrast]:
    """One method scores better than another at few images."""

    def contrast(cells: pd.DataFrame) -> Contrast:
        few, _ = _budgets(cells)
        gains = _gains(cells, better, worse, metric)
        text = f"{_differences(metric, better, worse)} at {_images(few)}; pairs: task, seed"
        return Contrast(text, tuple(gain for place, gain in gains.items() if place.images == few))

    return contrast


def _gain_shrinks(better: str, worse: str, metric: str = "kid") -> Callable[[pd.DataFrame], Contrast]:
    """What one method gains over another is more at few images than at many."""

    def contrast(cells: pd.DataFrame) -> Contrast:
        gains = _gains(cells, better, worse, metric)
        few, many = _two_budgets(cells)
        text = (
            f"{_differences(metric, better, worse)}: at {_images(few)} less the same at {_images(many)}; "
            "pairs: task, seed"
        )
        return Contrast(text, tuple(few_gain - many_gain for _, few_gain, many_gain in _from_to(gains, few, many)))

    return contrast


def _unless_augmented(plain: str, contrast: Callable[[pd.DataFrame], Contrast]) -> Callable[[pd.DataFrame], Contrast]:
    """A contrast with a method that must not use DiffAugment itself, as a suite's parameters may have it do."""

    def guarded(cells: pd.DataFrame) -> Contrast:
        policies = {str(policy) for policy in cells.loc[cells["method"] == plain, AUGMENT]} - {""}
        if policies:
            raise _Missing(f"{plain} is augmented itself ({' / '.join(sorted(policies))})")
        return contrast(cells)

    return guarded


def _from_to(values: Mapping[Place, float], one: int, other: int) -> Iterable[tuple[Place, float, float]]:
    """Each task, compute budget and seed with its values at two data budgets, where both are there."""
    for place, value in values.items():
        if place.images == one and (there := place._replace(images=other)) in values:
            yield place, value, values[there]


def _by_draw(differences: Iterable[tuple[Place, float]]) -> tuple[float, ...]:
    """Means over methods and data budgets: what has task, compute budget and seed in common is one pair."""
    draws: dict[Place, list[float]] = {}
    for place, difference in differences:
        draws.setdefault(place._replace(images=0), []).append(difference)
    return tuple(mean(values) for values in draws.values())


def _vae_is_blurrier(cells: pd.DataFrame) -> Contrast:
    """Less of the high frequencies, on average over the budgets."""
    gains = _gains(cells, "dcgan", "vae", "high_frequency")
    return Contrast(
        f"{_differences('high_frequency', 'dcgan', 'vae')}, mean over budgets; pairs: task, seed",
        _by_draw(gains.items()),
    )


def _vae_is_steadier(cells: pd.DataFrame) -> Contrast:
    """Standard deviations over seeds of log KID, a pair a task and budget.

    The logarithm makes spreads of methods of different KID comparable; a KID of 0 or less has none and is left out.
    The pair's difference is that of the logarithms of the two standard deviations: if the methods are exchangeable its
    sign is a toss, which is all that the sign-flip test needs. An F test would need normal values, and would take the
    seeds of all tasks for repetitions of one.
    """
    spreads = [_spreads(_scores(cells, method, "kid")) for method in ("dcgan", "vae")]
    text = "log of the ratio of SDs over seeds of log KID, dcgan to vae; pairs: task, budget"
    shared = (spreads[0][key] - spreads[1][key] for key in spreads[0] if key in spreads[1])
    return Contrast(text, tuple(shared))


def _spreads(scores: Mapping[Place, float]) -> dict[Place, float]:
    """Logarithm of the standard deviation over seeds of log score; the places' seed is −1."""
    seeds: dict[Place, list[float]] = {}
    for place, score in scores.items():
        if score > 0.0:
            seeds.setdefault(place._replace(seed=-1), []).append(math.log(score))
    found = {place: standard_deviation(values) for place, values in seeds.items()}
    return {place: math.log(sd) for place, sd in found.items() if sd}


def _memorization_grows(cells: pd.DataFrame) -> Contrast:
    """Train distance over that of the source row, at many images less the same at few.

    The distance to the nearest of n training images shrinks with n, whoever draws the images, so every score of
    memorisation has a yardstick. C_T's is held-out images; but a z-score also grows with the number of images in a cell
    of the partition, and the number of cells follows n (1 below 40 training images, 10 from 200 on): a generator that
    replays its training images scores −31 at 25 images and −13 at 400 (`memorizer` in the quick suite). AuthPct's is
    the distances among training images: even new real images score 66 at 25 and 74 at 400 (`oracle`). The train
    distance ratio gives both the same at both (0; 1.00 and 0.99).

    It is not free of n either for images off the target domain: 1.25 and 1.45 for the generator that never saw the
    target (`source`), for its distance falls less with n than that of real images. Divided by that row's ratio, of the
    same task, budget and seed, what is left is what training on the images did.
    """
    few, many = _two_budgets(cells)
    yardstick = _scores(cells, SOURCE_ROW, "train_distance_ratio")
    methods = sorted(set(cells.loc[cells["family"].isin(TRAINED), "method"]))
    if not methods:
        raise _Missing("no cells of trained methods")
    found: list[tuple[Place, float]] = []
    for method in methods:
        scores = _scores(cells, method, "train_distance_ratio")
        relative = {place: score / yardstick[place] for place, score in scores.items() if yardstick.get(place)}
        found += [(place, at_many - at_few) for place, at_few, at_many in _from_to(relative, few, many)]
    text = (
        f"train distance over that of {SOURCE_ROW}: at {_images(many)} less the same at {_images(few)}, "
        f"mean over {', '.join(methods)}; pairs: task, seed"
    )
    return Contrast(text, _by_draw(found))


def _constraints_pay_near(cells: pd.DataFrame) -> Contrast:
    """Advantage of EWC and CDC over fine-tuning: at the nearest task less that at the farthest, at few images.

    How far a target is from the source is measured: KID of what the source model generates as it is (`source`) against
    the target, over all cells of the task. The advantage is the logarithm of the ratio of the KIDs, for KIDs of two
    targets have no common unit; a KID of 0 or less has no logarithm, and its pair is left out.
    """
    few, _ = _budgets(cells)
    known = set(cells["method"])
    there = [method for method in ("ewc", "cdc") if method in known]
    if not there:
        raise _Missing("no cells of ewc or cdc")
    base = _scores(cells, "finetune", "kid")
    near, far, distances = _nearest_and_farthest(cells)
    found: list[tuple[Place, float]] = []
    for method in there:
        scores = _scores(cells, method, "kid")
        gains = {
            place: math.log(base[place] / score)
            for place, score in scores.items()
            if place.images == few and score > 0.0 and base.get(place, 0.0) > 0.0
        }
        pairs = ((place, gain, gains.get(place._replace(task=far))) for place, gain in gains.items())
        found += [(p, at_near - at_far) for p, at_near, at_far in pairs if p.task == near and at_far is not None]
    scale = METRICS["kid"].scale
    text = (
        f"log of KID of finetune over {' and '.join(there)} at {_images(few)}: {near} ({METRICS['kid'].label} of "
        f"{SOURCE_ROW} {distances[near] * scale:,.0f}) less {far} ({distances[far] * scale:,.0f}); pairs: seed"
    )
    return Contrast(text, _by_draw(found))


def _nearest_and_farthest(cells: pd.DataFrame) -> tuple[str, str, dict[str, float]]:
    """The two tasks, and each task's mean KID of the source row."""
    tasks: dict[str, list[float]] = {}
    for place, score in _scores(cells, SOURCE_ROW, "kid").items():
        tasks.setdefault(place.task, []).append(score)
    distances = {task: mean(values) for task, values in tasks.items()}
    near, far = min(distances, key=distances.__getitem__), max(distances, key=distances.__getitem__)
    if distances[near] == distances[far]:
        raise _Missing(f"needs two tasks at different distances from their source, has {len(distances)}")
    return near, far, distances


# -------------------------------------------------------------------------------------------------------------- claims

_TRANSFER_GAN = Reference(
    authors="Wang, Wu, Herranz, van de Weijer, Gonzalez-Garcia, Raducanu",
    title="Transferring GANs: generating images from limited data",
    venue="ECCV",
    year=2018,
    arxiv="1805.01677",
)
_DIFFAUGMENT = Reference(
    authors="Zhao, Liu, Lin, Zhu, Han",
    title="Differentiable Augmentation for Data-Efficient GAN Training",
    venue="NeurIPS",
    year=2020,
    arxiv="2006.10738",
)
_FREEZED = Reference(
    authors="Mo, Cho, Shin",
    title="Freeze the Discriminator: a Simple Baseline for Fine-Tuning GANs",
    venue="CVPR Workshops",
    year=2020,
    arxiv="2002.10964",
)
_VIGAN = Reference(
    authors="Gorijala, Dukkipati",
    title="Image Generation and Editing with Variational Info Generative Adversarial Networks",
    venue="arXiv",
    year=2017,
    arxiv="1701.04568",
)
_REPLICATE = Reference(
    authors="Feng, Guo, Benitez-Quiroz, Martinez",
    title="When do GANs replicate? On the choice of dataset size",
    venue="ICCV",
    year=2021,
    arxiv="2202.11765",
)
_ADAM = Reference(
    authors="Zhao, Chandrasegaran, Abdollahzadeh, Cheung",
    title="Few-shot Image Generation via Adaptation-Aware Kernel Modulation",
    venue="NeurIPS",
    year=2022,
    arxiv="2210.16559",
)


@dataclass(frozen=True)
class Claim:
    """A published ordering.

    Attributes:
        name: Short name.
        statement: The claim, a sentence. "Few images" and "many images" are the run's smallest and largest data budget.
        source: Who made it; None for what is commonly observed and has no single source.
        contrast: The cells that ended well -> paired differences. Columns as `graftbench.load` has them, and `augment`,
            the DiffAugment policy among the method's parameters.
    """

    name: str
    statement: str
    source: Reference | None
    contrast: Callable[[pd.DataFrame], Contrast]

    @property
    def cited(self) -> str:
        """`Mo et al. 2020, arXiv 2002.10964`."""
        if self.source is None:
            return "common observation, no single source"
        names = self.source.authors.split(", ")
        authors = " & ".join(names) if len(names) < 3 else f"{names[0]} et al."
        return f"{authors} {self.source.year}, arXiv {self.source.arxiv}"


CLAIMS = (
    Claim(
        "finetune-beats-scratch",
        "At few images fine-tuning scores better than training from scratch.",
        _TRANSFER_GAN,
        _better_at_few("finetune", "dcgan"),
    ),
    Claim(
        "finetune-gap-shrinks",
        "What fine-tuning gains over training from scratch shrinks as images grow.",
        _TRANSFER_GAN,
        _gain_shrinks("finetune", "dcgan"),
    ),
    Claim(
        "diffaugment-helps-scratch",
        "At few images DiffAugment helps training from scratch.",
        _DIFFAUGMENT,
        _unless_augmented("dcgan", _better_at_few("diffaugment", "dcgan")),
    ),
    Claim(
        "diffaugment-helps-finetune",
        "At few images DiffAugment helps fine-tuning.",
        _DIFFAUGMENT,
        _unless_augmented("finetune", _better_at_few("finetune-diffaugment", "finetune")),
    ),
    Claim(
        "diffaugment-gain-shrinks",
        "DiffAugment helps training from scratch less as images grow.",
        _DIFFAUGMENT,
        _unless_augmented("dcgan", _gain_shrinks("diffaugment", "dcgan")),
    ),
    Claim(
        "diffaugment-finetune-gain-shrinks",
        "DiffAugment helps fine-tuning less as images grow.",
        _DIFFAUGMENT,
        _unless_augmented("finetune", _gain_shrinks("finetune-diffaugment", "finetune")),
    ),
    Claim(
        "freezed-beats-finetune",
        "At few images FreezeD scores better than fine-tuning.",
        _FREEZED,
        _better_at_few("freezed", "finetune"),
    ),
    Claim(
        "vae-is-blurrier",
        "A VAE's images are blurrier than a GAN's.",
        _VIGAN,
        _vae_is_blurrier,
    ),
    Claim(
        "vae-is-steadier",
        "A VAE's score varies less from seed to seed than a GAN's.",
        None,
        _vae_is_steadier,
    ),
    Claim(
        "memorization-grows",
        "Generators copy their training images more as these get fewer.",
        _REPLICATE,
        _memorization_grows,
    ),
    Claim(
        "constraints-pay-near",
        "EWC and CDC gain less over fine-tuning where the target is far from the source.",
        _ADAM,
        _constraints_pay_near,
    ),
)
"""The claims that are checked, in order."""


# --------------------------------------------------------------------------------------------------------------- checks


def check_claims(records: Sequence[Record], *, level: float = 0.05, claims: Sequence[Claim] = CLAIMS) -> CheckedClaims:
    """Test every claim on the cells that ended well.

    No correction for the number of claims is made: each is a question of its own.

    Args:
        records: One a cell.
        level: Level of each one-sided test, above 0 and at most 0.5.
        claims: What to check.

    Raises:
        GraftbenchError: A level out of range, or records of several protocols, whose numbers do not compare.
    """
    if not 0 < level <= 0.5:
        raise GraftbenchError(f"The level of a test is above 0 and at most 0.5; found {level:g}.")
    _check_protocols(records)
    ended_well = [record for record in records if record.status == Status.OK]
    cells = frame(ended_well).assign(**{AUGMENT: [_policy(record) for record in ended_well]})
    few, many = _budgets(cells) if ended_well else (None, None)
    return CheckedClaims(
        findings=[_check(claim, cells, level) for claim in claims],
        level=level,
        cells=len(ended_well),
        left_out=len(records) - len(ended_well),
        few=few,
        many=many,
    )


def _policy(record: Record) -> str:
    """The DiffAugment policy among a cell's parameters; empty where it has none."""
    return str(record.cell.parameters.get(AUGMENT) or "")


def _check(claim: Claim, cells: pd.DataFrame, level: float) -> Finding:
    finding = partial(Finding, name=claim.name, statement=claim.statement, source=claim.cited)
    try:
        contrast = claim.contrast(cells)
    except _Missing as missing:
        return finding(verdict="not enough data", reason=str(missing))
    needed, n = pairs_needed(level), len(contrast.differences)
    if not n:
        return finding(contrast=contrast.text, verdict="not enough data", reason=f"needs {_pairs(needed)}, has 0")
    test = sign_flip_test(contrast.differences)
    verdict, reason = _judge(test.p, test.p_opposite, level, lacking=test.least > level, n=n)
    return finding(
        contrast=contrast.text,
        n=n,
        difference=test.mean,
        p=test.p,
        p_opposite=test.p_opposite,
        verdict=verdict,
        reason=reason,
    )


def _judge(p: float, opposite: float, level: float, *, lacking: bool, n: int) -> tuple[Verdict, str]:
    """Verdict and reason of a test; `lacking`: the level could not have been reached, whatever the differences."""
    if lacking:
        needed = pairs_needed(level)
        few = f"needs {_pairs(needed)}, has {n}"
        return "not enough data", few if n < needed else f"no test here gives a p of {level:g} or less"
    if p <= level:
        return "holds", ""
    return "does not hold", f"the opposite holds (p = {opposite:.2g})" if opposite <= level else ""


def _pairs(n: int) -> str:
    return "1 pair" if n == 1 else f"{n} pairs"


def _check_protocols(records: Sequence[Record]) -> None:
    """Refuse records of several protocols, and say in what they differ.

    Raises:
        GraftbenchError: There is more than one.
    """
    found: dict[str, tuple[Protocol, int]] = {}
    for record in records:
        protocol = record.cell.protocol
        key = content_hash(_identity(protocol))
        found[key] = protocol, found.get(key, (protocol, 0))[1] + 1
    if len(found) < 2:
        return
    identities = [_identity(protocol) for protocol, _ in found.values()]
    differing = [name for name in identities[0] if len({str(identity[name]) for identity in identities}) > 1]
    named = [
        f"{protocol.label} ({', '.join(f'{name} {_short(identity[name])}' for name in differing)}; {count} cells)"
        for (protocol, count), identity in zip(found.values(), identities, strict=True)
    ]
    raise GraftbenchError(
        f"The records are of {len(found)} protocols, whose numbers do not compare: {', '.join(named)}. "
        "Give runs of one protocol."
    )


def _identity(protocol: Protocol) -> dict[str, Hashable]:
    """What scores depend on: neither where the weights' file lies nor which other metrics were computed."""
    fields = msgspec.structs.asdict(protocol)
    return {name: value for name, value in fields.items() if name not in ("weights", "metrics")}


def _short(value: object) -> str:
    return str(value)[:12] if isinstance(value, str) and len(value) == 64 else str(value)
