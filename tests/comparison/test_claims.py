"""Published claims on made-up records: what counts as a pair, what is missing, and every verdict."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from made_cells import make_cell, make_scores
from scipy.stats import ttest_rel

from graftbench.comparison.claims import CLAIMS, CheckedClaims, Finding, check_claims
from graftbench.errors import GraftbenchError
from graftbench.records.cell_spec import Protocol, TaskSpec
from graftbench.records.record import Record, Status
from graftbench.records.run import read_runs
from graftbench.records.store import append

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

FEW, MANY = 10, 100
FAMILIES = {"dcgan": "scratch", "diffaugment": "scratch", "vae": "vae", "freezed": "frozen", "source": "reference"}
FAMILIES["blank"] = "reference"
PROTOCOL = Protocol(size=96, resize="bicubic-antialias", weights_sha256="57" * 32)


def record(
    method: str,
    seed: int = 0,
    images: int = FEW,
    *,
    target: str = "openmoji",
    status: Status = Status.OK,
    parameters: dict[str, Any] | None = None,
    protocol: Protocol = PROTOCOL,
    **scores: float | None,
) -> Record:
    """A cell with some scores."""
    cell = make_cell(
        method,
        seed,
        images,
        family=FAMILIES.get(method, "fine-tune"),
        parameters=parameters or {},
        task=TaskSpec("twemoji", target, 32),
        protocol=protocol,
    )
    ended = make_scores(scores, protocol.label) if status == Status.OK else []
    return Record(id=cell.id, cell=cell, status=status, scores=ended, reason="" if ended else "it broke")


def kids(method: str, values: Iterable[float], images: int = FEW, **more: Any) -> list[Record]:
    """A cell a seed, with these KIDs, each but for some millionths, so that equal ones are no coarse score."""
    jitter = (1 + 1e-6 * ((3 * seed * images + len(method)) % 7) for seed in range(99))
    return [record(method, seed, images, kid=v * j, **more) for (seed, v), j in zip(enumerate(values), jitter)]  # noqa: B905


def found(name: str, records: list[Record], level: float = 0.05) -> Finding:
    """What becomes of one claim."""
    return next(finding for finding in check_claims(records, level=level).findings if finding.name == name)


# ------------------------------------------------------------------------------------------------------------ verdicts


def test_a_claim_holds() -> None:
    """The mean logarithm of the ratios, and the p of SciPy's paired t test of the logarithms."""
    worse, better = [3.0, 4.0, 5.0, 6.0, 7.0], [2.0, 3.5, 4.4, 5.0, 6.0]
    finding = found("finetune-beats-scratch", kids("dcgan", worse) + kids("finetune", better))
    assert (finding.verdict, finding.reason, finding.n) == ("holds", "", 5)
    assert finding.p == pytest.approx(ttest_rel(np.log(worse), np.log(better)).pvalue, rel=1e-4)
    assert finding.difference == pytest.approx(float(np.mean(np.log(worse) - np.log(better))), abs=1e-5)
    assert finding.contrast == "KID of dcgan over finetune at 10 images; pairs: task, seed"


def test_a_claim_that_is_not_settled_and_one_of_which_the_opposite_holds() -> None:
    """Where seeds disagree it is open, and so many pairs would tell; where they agree on the opposite that is said."""
    base = kids("dcgan", [3.0] * 5)
    mixed = found("finetune-beats-scratch", base + kids("finetune", [2.0, 4.0, 2.0, 4.0, 2.9]))
    assert mixed.verdict == "not settled"
    assert re.fullmatch(r"\d+ pairs would find such a difference in 80 % of cases", mixed.reason)
    opposite = found("finetune-beats-scratch", base + kids("finetune", [4.0] * 5))
    assert (opposite.verdict, opposite.reason) == ("does not hold", "the opposite holds")


def test_the_level() -> None:
    """A verdict goes by it: log ratios 1 ± 0.5 of two pairs have t = 2, p = 1 - (2/π) atan 2 = 0.295."""
    records = kids("dcgan", [math.e**1.5, math.e**0.5]) + kids("finetune", [1.0] * 2)
    for level, verdict in ((0.3, "holds"), (0.29, "not settled")):
        finding = found("finetune-beats-scratch", records, level)
        assert (finding.verdict, finding.p) == (verdict, pytest.approx(1 - 2 / math.pi * math.atan(2), abs=1e-4))
    one = found("finetune-beats-scratch", records[:1] + records[2:3])
    assert (one.verdict, one.p, one.reason) == ("not enough data", None, "needs 2 pairs, has 1")


def test_pairs_share_task_seed_and_budget() -> None:
    """Seeds, tasks and budgets that only one method has make no pair."""
    records = [
        *kids("dcgan", [3.0] * 5),
        *kids("finetune", [1.0] * 3),
        record("finetune", 7, kid=1.0),
        record("finetune", 3, target="material", kid=1.0),
        record("finetune", 4, MANY, kid=1.0),
    ]
    finding = found("finetune-beats-scratch", records)
    assert finding.n == 3
    none = found("finetune-beats-scratch", [record("dcgan", 0, kid=1.0), record("finetune", 1, kid=1.0)])
    assert (none.n, none.p, none.verdict, none.reason) == (0, None, "not enough data", "needs 2 pairs, has 0")


# ------------------------------------------------------------------------------------------------- nothing was learnt


def gap(finetune: float, dcgan: float, images: int = FEW, **more: Any) -> list[Record]:
    """Five seeds of both, all alike."""
    return kids("finetune", [finetune] * 5, images, **more) + kids("dcgan", [dcgan] * 5, images, **more)


@pytest.mark.parametrize(
    ("blank", "source", "reason"),
    [
        (None, None, ""),
        (9.0, 9.0, ""),
        (9.0, 2.5, ""),
        (2.5, 9.0, "dcgan does not beat blank"),
        (1.9, 9.0, "neither finetune nor dcgan beats blank"),
        (1.9, 1.9, "neither finetune nor dcgan beats blank"),
        (9.0, 1.9, "neither finetune nor dcgan beats source"),
        (None, 1.0, "neither finetune nor dcgan beats source"),
    ],
)
def test_a_claim_is_tested_where_both_sides_beat_blank_and_one_beats_source(
    blank: float | None, source: float | None, reason: str
) -> None:
    """Finetune has 2, dcgan 3: both lie below white images, and one of them below the source."""
    rows = {"blank": blank, "source": source}
    run = {name: kid for name, kid in rows.items() if kid is not None}
    finding = found("finetune-beats-scratch", gap(2.0, 3.0) + [r for m, kid in run.items() for r in kids(m, [kid] * 5)])
    assert finding.is_answered
    if not reason:
        assert (finding.verdict, finding.n, finding.reason) == ("holds", 5, "")
    else:
        assert (finding.verdict, finding.n, finding.p, finding.difference) == ("not testable here", 0, None, None)
        assert finding.reason == f"{reason} on twemoji->openmoji@32 at 10 images"


def learnt(method: str, kid: float, images: int = FEW, **scores: float) -> list[Record]:
    """Five seeds with a KID and other scores, each a little apart from the last."""
    apart: list[dict[str, Any]] = [{name: value + 1e-3 * seed for name, value in scores.items()} for seed in range(5)]
    return [record(method, seed, images, kid=kid, **scores) for seed, scores in enumerate(apart)]


def test_noise_does_not_refute_that_a_vae_is_blurrier() -> None:
    """A VAE that loses to white images has more high frequencies than a GAN: it learnt nothing. One that learnt has."""
    gan = learnt("dcgan", 2.0, high_frequency=1.0) + learnt("blank", 3.0, high_frequency=0.0)
    finding = found("vae-is-blurrier", gan + learnt("vae", 5.0, high_frequency=4.0))
    assert (finding.verdict, finding.reason) == (
        "not testable here",
        "vae does not beat blank on twemoji->openmoji@32 at 10 images",
    )
    refuted = found("vae-is-blurrier", gan + learnt("vae", 2.5, high_frequency=4.0))
    assert (refuted.verdict, refuted.n) == ("does not hold", 5)


def test_noise_does_not_refute_that_generators_copy() -> None:
    """Dcgan lost to white images at few: of the trained methods that leaves the other, which copies more there."""
    rows = [
        *(*learnt("blank", 3.0), *learnt("blank", 3.0, MANY)),
        *(*learnt("source", 2.5, train_distance_ratio=1.0), *learnt("source", 2.5, MANY, train_distance_ratio=1.0)),
    ]
    copies = learnt("finetune", 2.0, train_distance_ratio=0.5) + learnt("finetune", 2.0, MANY, train_distance_ratio=0.9)
    noise = learnt("dcgan", 9.0, train_distance_ratio=9.0) + learnt("dcgan", 2.0, MANY, train_distance_ratio=1.0)
    finding = found("memorization-grows", rows + copies + noise)
    assert (finding.verdict, finding.difference) == ("holds", pytest.approx(0.4, abs=1e-3))
    assert finding.contrast.endswith("left out, as dcgan does not beat blank on twemoji->openmoji@32 at 10 images")
    alone = found("memorization-grows", rows + noise)
    assert (alone.verdict, alone.reason) == (
        "not testable here",
        "dcgan does not beat blank on twemoji->openmoji@32 at 10 images",
    )


def test_copying_is_not_tested_on_who_does_not_beat_the_source() -> None:
    """The row source is the yardstick of copying, not a side of it: who is behind it learnt nothing to copy."""
    source = [*learnt("source", 1.0, train_distance_ratio=1.0), *learnt("source", 1.0, MANY, train_distance_ratio=1.0)]
    behind = [
        *learnt("finetune", 2.0, train_distance_ratio=0.5),
        *learnt("finetune", 2.0, MANY, train_distance_ratio=0.9),
    ]
    finding = found("memorization-grows", source + behind)
    assert (finding.verdict, finding.reason) == (
        "not testable here",
        "finetune does not beat source on twemoji->openmoji@32 at 10 and 100 images",
    )


def test_one_pair_that_is_left_tests_nothing() -> None:
    """Of spreads at two budgets one is noise: that is why nothing is tested, and not that there is too little data."""
    steady = kids("vae", [1.0, 1.1]) + kids("vae", [1.0, 1.1], MANY)
    unsteady = kids("dcgan", [5.0, 9.0]) + kids("dcgan", [1.0, 2.0], MANY)
    white = kids("blank", [3.0] * 2) + kids("blank", [3.0] * 2, MANY)
    finding = found("vae-is-steadier", steady + unsteady + white)
    assert (finding.verdict, finding.reason) == (
        "not testable here",
        "dcgan does not beat blank on twemoji->openmoji@32 at 10 images",
    )


def test_a_reason_names_three_tasks() -> None:
    """Who does not beat what is said once for all tasks of which it is true; more than three are counted."""
    targets = ("a", "b", "c", "d", "e")
    every = [
        r for t in targets for r in gap(2.0, 3.0, target=t) + kids("blank", [1.0 if t < "d" else 2.5] * 5, target=t)
    ]
    assert found("finetune-beats-scratch", every).reason == (
        "neither finetune nor dcgan beats blank on twemoji->a@32 at 10 images; twemoji->b@32 at 10 images; "
        "twemoji->c@32 at 10 images; and 2 more"
    )
    assert found("finetune-beats-scratch", [r for r in every if r.cell.task.target in "cd"]).reason == (
        "neither finetune nor dcgan beats blank on twemoji->c@32 at 10 images; "
        "dcgan does not beat blank on twemoji->d@32 at 10 images"
    )


def test_only_common_seeds_decide_whether_a_side_beats_a_row() -> None:
    """By seeds 0 to 2 source is worse than finetune (2); its seeds 7 and 8, which finetune has not, do not count."""
    source = [record("source", seed, kid=kid) for seed, kid in ((0, 2.5), (1, 2.5), (2, 1.5), (7, 0.0), (8, 0.0))]
    assert found("finetune-beats-scratch", gap(2.0, 3.0) + source).verdict == "holds"
    elsewhere = [record("source", seed, kid=0.0) for seed in (7, 8)]
    assert found("finetune-beats-scratch", gap(2.0, 3.0) + elsewhere).verdict == "holds"


def test_tasks_at_which_nothing_was_learnt_are_left_out() -> None:
    """The opposite order on a task that nobody can do does not count: the pairs of the other task remain."""
    other = gap(3.0, 2.0, target="photos") + kids("blank", [1.0] * 5, target="photos")
    finding = found("finetune-beats-scratch", gap(2.0, 3.0) + kids("blank", [9.0] * 5) + other)
    assert (finding.verdict, finding.n) == ("holds", 5)
    assert finding.contrast.endswith(
        "pairs: task, seed; left out, as neither finetune nor dcgan beats blank on twemoji->photos@32 at 10 images"
    )


def test_a_gap_that_shrinks_needs_something_learnt_at_both_ends() -> None:
    """At 10 images nobody beats blank: what was gained there is no gain, so that nothing can shrink."""
    white = kids("blank", [1.0] * 5) + kids("blank", [1.0] * 5, MANY)
    finding = found("finetune-gap-shrinks", gap(2.0, 3.0) + gap(0.1, 0.2, MANY) + white)
    assert finding.verdict == "not testable here"
    assert finding.reason == "neither finetune nor dcgan beats blank on twemoji->openmoji@32 at 10 images"
    nowhere = found("finetune-gap-shrinks", gap(2.0, 3.0) + gap(2.0, 3.0, MANY) + white)
    assert nowhere.reason.endswith("on twemoji->openmoji@32 at 10 and 100 images")


def test_too_little_data_comes_first() -> None:
    """Where there is nothing to compare that is said, and not whether it would tell anything."""
    records = kids("dcgan", [3.0] * 5) + kids("blank", [1.0] * 5)
    assert found("finetune-beats-scratch", records).reason == "no cells of finetune"


# ------------------------------------------------------------------------------------------------------ what is missing


def test_what_is_missing_is_named() -> None:
    """No cells of a method, no such score, one budget where two are needed, one task."""
    records = kids("dcgan", [3.0] * 5) + kids("finetune", [1.0] * 5) + kids("vae", [1.0] * 5) + kids("ewc", [1.0] * 5)
    reasons = {finding.name: finding.reason for finding in check_claims(records).findings}
    assert reasons == {
        "finetune-beats-scratch": "",
        "finetune-gap-shrinks": "needs two data budgets, has one (10 images)",
        "diffaugment-helps-scratch": "no cells of diffaugment",
        "diffaugment-helps-finetune": "no cells of finetune-diffaugment",
        "diffaugment-gain-shrinks": "no cells of diffaugment",
        "diffaugment-finetune-gain-shrinks": "no cells of finetune-diffaugment",
        "freezed-beats-finetune": "no cells of freezed",
        "vae-is-blurrier": "no high_frequency of dcgan",
        "vae-is-steadier": "needs 2 pairs, has 1",
        "memorization-grows": "needs two data budgets, has one (10 images)",
        "constraints-pay-near": "no cells of source",
    }
    alone = found("constraints-pay-near", [*records, record("source", kid=0.5)])
    assert alone.reason == "needs two tasks at different distances from their source, has 1"


def test_no_records_at_all() -> None:
    """Every claim lacks data; nothing fails."""
    for records in ([], [record("dcgan", status=Status.ERROR)]):
        checked = check_claims(records)
        assert {finding.verdict for finding in checked.findings} == {"not enough data"}
        assert (checked.cells, checked.left_out, checked.few, checked.many) == (0, len(records), None, None)


def test_cells_of_too_few_reference_images_are_left_out() -> None:
    """Below 30 reference images nothing is ranked, and no claim is tested; from 30 on it is."""

    def of(count: int) -> list[Record]:
        records = kids("dcgan", [3.0, 4.0, 5.0]) + kids("finetune", [2.0, 3.5, 4.4])
        return [
            msgspec.structs.replace(one, scores=[msgspec.structs.replace(s, n_reference=count) for s in one.scores])
            for one in records
        ]

    few, enough = (check_claims(of(count)) for count in (29, 30))
    assert (few.cells, few.unranked, few.left_out) == (0, 6, 0)
    assert not any(finding.is_answered for finding in few.findings)
    assert (enough.cells, enough.unranked) == (6, 0)
    assert any(finding.is_answered for finding in enough.findings)


def test_failed_cells_and_undefined_scores_are_left_out() -> None:
    """They are counted, and make no pair."""
    records = kids("dcgan", [3.0] * 5) + kids("finetune", [1.0] * 3)
    records += [record("finetune", 3, status=Status.DIVERGED), record("finetune", 4, kid=None)]
    checked = check_claims(records)
    assert (checked.cells, checked.left_out, checked.few, checked.many) == (9, 1, FEW, FEW)
    assert checked.findings[0].n == 3


def test_variants_of_a_method_are_not_mixed() -> None:
    """A method with two sets of parameters in one place: which of them is claimed cannot be told."""
    records = kids("dcgan", [3.0] * 5) + kids("finetune", [1.0] * 5)
    finding = found("finetune-beats-scratch", [*records, record("finetune", 2, parameters={"lr": 1}, kid=1.0)])
    assert finding.reason.startswith("several variants of finetune (parameters, code or source model differ)")


def test_augmentation_is_not_compared_with_itself() -> None:
    """Where a suite augments the plain method as well there is nothing to be said of DiffAugment."""
    records = kids("diffaugment", [1.0] * 5) + kids("dcgan", [3.0] * 5, parameters={"augment": "color"})
    finding = found("diffaugment-helps-scratch", records)
    assert (finding.verdict, finding.reason) == ("not enough data", "dcgan is augmented itself (color)")
    plain = kids("diffaugment", [1.0] * 5) + kids("dcgan", [3.0] * 5, parameters={"augment": ""})
    assert found("diffaugment-helps-scratch", plain).verdict == "holds"


@pytest.mark.parametrize("level", [0.0, -0.05, 0.51, 5.0, math.nan])
def test_levels_out_of_range(level: float) -> None:
    """5 instead of 0.05 is a likely slip."""
    with pytest.raises(GraftbenchError, match=r"above 0 and at most 0\.5; found"):
        check_claims([], level=level)


def test_records_of_several_protocols_are_refused() -> None:
    """Both are named with what differs; other metrics and another place of the weights make no other protocol."""
    same = [
        record("dcgan", 0, kid=1.0),
        record("dcgan", 1, protocol=msgspec.structs.replace(PROTOCOL, weights="w.pth", metrics=["kid"]), kid=1.0),
    ]
    assert check_claims(same).cells == 2
    other = msgspec.structs.replace(PROTOCOL, size=64, n_generated=100)
    with pytest.raises(GraftbenchError) as caught:
        check_claims([*same, record("dcgan", 2, protocol=other, kid=1.0)])
    assert "2 protocols" in str(caught.value)
    assert "lite0@96 (size 96, n_generated 600; 2 cells), lite0@64 (size 64, n_generated 100; 1 cells)" in str(
        caught.value
    )


# ---------------------------------------------------------------------------------------------------------- the claims


def both(method: str, few: list[float], many: list[float]) -> list[Record]:
    """KIDs of a method at few and at many images."""
    return kids(method, few) + kids(method, many, MANY)


def test_a_gap_that_shrinks() -> None:
    """Ratios 2 and 2.5 at few and 1.5, 1.5 at many: 4/3 and 5/3 speak for it, in logarithms."""
    records = both("dcgan", [4.0, 5.0], [3.0, 3.0]) + both("finetune", [2.0, 2.0], [2.0, 2.0])
    finding = found("finetune-gap-shrinks", records, 0.25)
    assert (finding.verdict, finding.n) == ("holds", 2)
    assert finding.difference == pytest.approx(math.log(20 / 9) / 2, abs=1e-4)
    assert finding.contrast == (
        "KID of dcgan over finetune: at 10 images over the same at 100 images; pairs: task, seed"
    )


def test_the_budgets_between_do_not_count() -> None:
    """Few and many are the smallest and the largest; what lies between is no pair of either."""
    records = both("dcgan", [4.0], [3.0]) + both("finetune", [2.0], [2.0])
    records += kids("dcgan", [9.0], 50) + kids("finetune", [1.0], 50)
    assert found("finetune-gap-shrinks", records).n == 1
    assert found("finetune-beats-scratch", records + both("dcgan", [4.0] * 2, [3.0] * 2)[1:2]).n == 1


@pytest.mark.parametrize(
    ("name", "better", "worse"),
    [
        ("finetune-beats-scratch", "finetune", "dcgan"),
        ("diffaugment-helps-scratch", "diffaugment", "dcgan"),
        ("diffaugment-helps-finetune", "finetune-diffaugment", "finetune"),
        ("freezed-beats-finetune", "freezed", "finetune"),
    ],
)
def test_orderings_at_few_images(name: str, better: str, worse: str) -> None:
    """The lower KID is the better one; the other way round the opposite holds."""
    assert found(name, kids(better, [1.0] * 5) + kids(worse, [2.0] * 5)).verdict == "holds"
    turned = found(name, kids(better, [2.0] * 5) + kids(worse, [1.0] * 5))
    assert turned.reason.startswith("the opposite holds")


@pytest.mark.parametrize(
    ("name", "better", "worse"),
    [
        ("finetune-gap-shrinks", "finetune", "dcgan"),
        ("diffaugment-gain-shrinks", "diffaugment", "dcgan"),
        ("diffaugment-finetune-gain-shrinks", "finetune-diffaugment", "finetune"),
    ],
)
def test_gains_that_shrink(name: str, better: str, worse: str) -> None:
    """2 at few and 1 at many images is a smaller gain; the same at both is none."""
    base = both(worse, [3.0] * 5, [3.0] * 5)
    assert found(name, base + both(better, [1.0] * 5, [2.0] * 5)).verdict == "holds"
    assert found(name, base + both(better, [1.0] * 5, [1.0] * 5)).difference == pytest.approx(0.0, abs=1e-5)


def test_blur_is_compared_at_every_budget() -> None:
    """Six seeds at two budgets are twelve pairs, as everywhere; the VAE keeps a quarter."""
    records = [
        record(method, seed, images, high_frequency=value * (1 + images / 100 + 1e-6 * seed))
        for method, value in (("dcgan", 1.2), ("vae", 0.3))
        for seed in range(6)
        for images in (FEW, MANY)
    ]
    finding = found("vae-is-blurrier", records)
    assert (finding.verdict, finding.n) == ("holds", 12)
    assert finding.difference == pytest.approx(math.log(4))
    assert finding.printed_difference == "+300 %"
    assert finding.contrast == "high frequencies of dcgan over vae at all images; pairs: task, images, seed"


def test_steadiness_is_that_of_log_kid() -> None:
    """Seeds 1, 4 and 10, 20: log ratios ln 4 and ln 2, whose SDs have the same ratio 2: ln 2 speaks for the VAE.

    A KID of 0 or less has no logarithm and is left out; one seed has no spread.
    """
    records = kids("dcgan", [1.0, 4.0, -0.1]) + kids("vae", [10.0, 20.0])
    records += kids("dcgan", [1.0], MANY) + kids("vae", [1.0, 2.0], MANY)
    finding = found("vae-is-steadier", records, 0.5)
    assert finding.reason == "needs 2 pairs, has 1"
    records += kids("dcgan", [1.0, 2.0], 50) + kids("vae", [1.0, 4.0], 50)
    finding = found("vae-is-steadier", records, 0.5)
    assert finding.n == 2
    assert finding.difference == pytest.approx(0.0, abs=1e-5)  # ln 2 at 10 images, -ln 2 at 50
    assert finding.source == "common observation, no single source"


def memorizers(few: float, many: float, method: str = "dcgan") -> list[Record]:
    """Train distance ratios of five seeds at few and at many images."""
    return [
        record(method, seed, images, train_distance_ratio=ratio)
        for seed in range(5)
        for images, ratio in ((FEW, few), (MANY, many))
    ]


def test_memorization_is_measured_against_the_source_row() -> None:
    """A ratio that rises with the number of images as that of the untransferred generator does is no memorisation.

    That of a generator that replays at few images is 0 there, which counts.
    """
    source = memorizers(1.25, 1.45, "source")
    assert found("memorization-grows", memorizers(1.0, 1.2)).reason == "no cells of source"
    assert found("memorization-grows", source).reason == "no cells of trained methods"
    same = found("memorization-grows", source + memorizers(1.25, 1.45))
    assert (same.n, same.p, same.difference) == (5, 1.0, 0.0)
    copies = found("memorization-grows", source + memorizers(0.0, 1.45), 0.0625)
    assert (copies.verdict, copies.difference, copies.p) == ("holds", pytest.approx(1.0), 2 / 32)
    assert copies.printed_difference == "+1.00"
    both = found("memorization-grows", source + memorizers(1.25, 1.45) + memorizers(0.0, 1.45, "vae"))
    assert (both.n, both.difference) == (5, pytest.approx(0.5))  # the methods' mean, a pair a seed


def test_far_targets_are_those_of_a_large_kid_of_the_source_row() -> None:
    """EWC halves the KID at the near target and changes nothing at the far one: ln 2 for each seed and method."""
    records = []
    for target, distance, base, ours in (("near", 0.5, 0.2, 0.1), ("middle", 1.0, 0.9, 0.1), ("far", 2.0, 0.5, 0.5)):
        records += [record("source", seed, target=target, kid=distance) for seed in range(5)]
        records += kids("finetune", [base * (1 + 1e-6 * base * seed) for seed in range(5)], target=target)
        records += kids("ewc", [ours] * 5, target=target)
    finding = found("constraints-pay-near", records)
    assert (finding.verdict, finding.n) == ("holds", 5)
    assert finding.difference == pytest.approx(math.log(2.0), abs=1e-4)
    assert "twemoji->near@32 (KID×10³ of source 500) over twemoji->far@32 (2,000)" in finding.contrast
    more = kids("cdc", [1.0] * 5, target="near") + kids("cdc", [-0.1] * 5, target="far")
    assert found("constraints-pay-near", records + more).n == 5  # a KID below 0 has no logarithm


@pytest.mark.slow
def test_random_scores_seldom_bear_a_claim_out() -> None:
    """Of 40 runs without any effect 2.5 % (and 4 standard errors, 10 %) find that fine-tuning is better."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(40):
        records = kids("dcgan", rng.lognormal(1, 0.3, 5)) + kids("finetune", rng.lognormal(1, 0.3, 5))
        held += check_claims(records, claims=CLAIMS[:1]).findings[0].verdict == "holds"
    assert held <= 1 + 4 * math.sqrt(40 * 0.025 * 0.975)


def test_claims_are_whole() -> None:
    """Distinct names, a sentence each, and a source with an arXiv number or none at all."""
    assert len({claim.name for claim in CLAIMS}) == len(CLAIMS)
    for claim in CLAIMS:
        assert claim.statement.endswith(".")
        assert claim.source is None or (claim.source.arxiv and claim.source.title and claim.source.venue)
    assert [claim.cited for claim in CLAIMS if claim.name in ("freezed-beats-finetune", "vae-is-blurrier")] == [
        "Mo et al. 2020, arXiv 2002.10964",
        "Gorijala & Dukkipati 2017, arXiv 1701.04568",
    ]


# ---------------------------------------------------------------------------------------------------------------- runs


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, list[Record]], Path]:
    """Writes a run folder."""

    def made(name: str, records: list[Record]) -> Path:
        (tmp_path / name).mkdir()
        for one in records:
            append(tmp_path / name / "records.jsonl", one)
        return tmp_path / name

    return made


def test_runs_are_taken_together(write: Callable[[str, list[Record]], Path]) -> None:
    """Cells of two runs pair; a cell that both have counts once, the later run's."""
    one = write("one", [*kids("dcgan", [3.0] * 5), record("finetune", 0, kid=9.0)])
    two = write("two", kids("finetune", [1.0] * 5))
    records = list(read_runs([one, two]).records)
    assert len(records) == 10
    assert found("finetune-beats-scratch", records).verdict == "holds"
    assert max(record.score("kid").value for record in records if record.cell.method == "finetune") < 1.1  # type: ignore[union-attr]
    with pytest.raises(GraftbenchError, match="There are no records at"):
        read_runs([one, one / "none"])


def test_what_is_checked_survives_json() -> None:
    """Plain values alone: what is written is what is read."""
    checked = check_claims(kids("dcgan", [3.0] * 5) + kids("finetune", [1.0] * 5))
    assert msgspec.json.decode(msgspec.json.encode(checked), type=CheckedClaims) == checked
