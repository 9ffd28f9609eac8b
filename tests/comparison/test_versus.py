"""A against B: the sentence, the rows, what is refused, and that every other screen says the same."""

from __future__ import annotations

import math
import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from made_cells import PROTOCOL, make_cell, make_scores
from scipy.stats import ttest_rel

import graftbench
from graftbench.comparison.claims import Claim, check_claims
from graftbench.comparison.table import frame
from graftbench.comparison.versus import Versus, versus
from graftbench.errors import GraftbenchError
from graftbench.records.cell_spec import Protocol, TaskSpec
from graftbench.records.record import Record, Status
from graftbench.records.run import Run
from graftbench.regression.gate import compare
from graftbench.regression.measures import parse_measures
from graftbench.regression.options import GateOptions

if TYPE_CHECKING:
    from collections.abc import Iterable


def record(
    method: str, seed: int, images: int = 25, *, target: str = "openmoji", protocol: Protocol = PROTOCOL, **scores: Any
) -> Record:
    """A cell with some scores."""
    cell = make_cell(method, seed, images, protocol=protocol, task=TaskSpec("twemoji", target, 32))
    return Record(id=cell.id, cell=cell, status=Status.OK, scores=make_scores(scores, protocol.label))


def kids(method: str, values: Iterable[float | None], images: int = 25, **more: Any) -> list[Record]:
    """A cell a seed."""
    return [record(method, seed, images, kid=value, **more) for seed, value in enumerate(values)]


BETTER, WORSE = [1.0, 1.1, 0.95], [2.0, 2.3, 1.95]


def test_the_sentence_and_the_rows_of_a_winner() -> None:
    """p, ratio and interval are SciPy's of the logarithms; all cells first, then each number of images."""
    records = [*kids("a", BETTER), *kids("b", WORSE), *kids("a", BETTER, 400), *kids("b", [1.0, 1.2, 0.9], 400)]
    answer = graftbench.versus(records, "a", "b", metric="kid")
    pooled, few, many = answer.rows
    theirs = ttest_rel(np.log(BETTER), np.log(WORSE))
    assert few.p == pytest.approx(theirs.pvalue)
    assert math.log(few.ratio) == pytest.approx(float(np.mean(np.log(BETTER) - np.log(WORSE))))
    assert few.ratio_high == pytest.approx(math.exp(theirs.confidence_interval(0.95).high))
    assert (few.verdict, many.verdict, many.more_seeds is not None) == ("better", "not settled", True)
    assert [(row.data_budget, row.pairs) for row in (pooled, few, many)] == [(None, 6), (25, 3), (400, 3)]
    alone = versus([r for r in records if r.cell.data_budget == 25], "a", "b", metric=["kid"])
    assert alone.sentence.startswith("a is better than b by KID: −51 % (−5")
    assert alone.sentence.endswith("(3 pairs: 3 seeds, 25 images).")
    assert versus(records, "b", "a", metric="kid").rows[1].verdict == "worse"


def test_what_is_open_says_how_many_seeds_more() -> None:
    """So many that the noncentral t finds what was seen in 80 % of cases; in pairs, then in seeds."""
    answer = versus([*kids("a", [1.0, 1.3, 0.9]), *kids("b", [1.1, 1.2, 1.2])], "a", "b", metric="kid")
    (row, _) = answer.rows
    assert row.verdict == "not settled"
    assert f"{row.more_seeds} seeds more would find such a difference in 80 % of cases." in answer.sentence


def test_who_does_not_beat_white_images_is_named() -> None:
    """A difference from a method that learnt nothing is a difference all the same; a note says where that is so."""
    records = [*kids("a", [1.0, 1.1]), *kids("b", [3.0, 3.1]), *kids("blank", [2.0, 2.0])]
    (note,) = versus(records, "a", "b", metric="kid").notes
    assert note.startswith("b does not beat white images (blank) at 25 images of ")
    assert note.endswith(": it has learnt nothing there.")
    assert not versus(records, "a", "blank", metric="kid").notes


def test_one_seed_tells_generators_apart_and_never_methods() -> None:
    """Also at several numbers of images; by the errors of two KIDs their two generators differ, or not."""
    records = [*kids("a", [1.0]), *kids("b", [2.0]), *kids("a", [1.0], 400), *kids("b", [2.1], 400)]
    answer = versus(records, "a", "b", metric="kid")
    assert {(row.verdict, row.p) for row in answer.rows} == {("too few seeds", None)}
    assert answer.sentence.startswith("Nothing can be said of the methods a and b by KID: one seed has no noise")
    assert not answer.notes

    def with_error(one: Record, error: float) -> Record:
        return msgspec.structs.replace(one, scores=[msgspec.structs.replace(one.scores[0], standard_error=error)])

    for error, words in (
        (0.1, "seed 0 at 25 images differ by more than the sampling error"),
        (0.9, "seed 0 at 25 images do not differ by more"),
    ):
        (note,) = versus([with_error(one, error) for one in records], "a", "b", metric="kid").notes
        assert words in note
        assert note.endswith("another seed gives other generators.")


def test_metrics_that_disagree_and_scores_that_are_missing() -> None:
    """Said in notes; a method that was trained with the scoring network too."""
    records = [record("a", s, kid=kid, fid=100.0 + s) for s, kid in enumerate(BETTER)]
    records += [record("b", s, kid=kid, fid=50.0 + s) for s, kid in enumerate(WORSE)]
    answer = versus(records, "a", "b", metric=["kid", "fid", "cmmd"])
    assert answer.notes == [
        "No cell that both have has a cmmd.",
        "The metrics disagree: better by KID×10³, worse by FID.",
    ]
    looking = [msgspec.structs.replace(one, leaks="sees it") if one.cell.method == "a" else one for one in records]
    assert "a was trained with the scoring network" in versus(looking, "a", "b").notes[-1]


def test_scores_by_a_second_extractor() -> None:
    """Their whole name, or what it begins with where exactly one does; else all are listed, the nearest first."""
    name = "kid.lite2@128+blur0.7+dither8"

    def cells(scores: dict[str, Any]) -> list[Record]:
        return [record(method, seed, **scores) for method in "ab" for seed in (0, 1)]

    records = cells({name: 1.0})
    for asked in (name, "kid.lite2", "kid.lite2@128"):
        assert versus(records, "a", "b", metric=asked).rows[0].metric == name
    for asked in ("kid.lite", "kid.lite0"):
        sentence = f"has a {asked}. Did you mean '{name}'? Scores that it has: {name}."
        with pytest.raises(GraftbenchError, match=re.escape(sentence)):
            versus(records, "a", "b", metric=asked)
    two = cells({name: 1.0, "kid.lite2@64": 2.0})
    with pytest.raises(GraftbenchError, match=r"Did you mean 'kid\.lite2@"):
        versus(two, "a", "b", metric="kid.lite2")


def test_what_is_refused() -> None:
    """Unknown names with the nearest, no cell in common, two protocols, no such score, variants, one method twice."""
    records = [*kids("finetune", BETTER), *kids("dcgan", WORSE), record("vae", 7, kid=1.0)]
    for arguments, sentence in (
        (("finetune", "dcgam"), "Unknown method 'dcgam' in these records. Did you mean 'dcgan'"),
        (("finetune", "finetune"), "cannot be compared with itself"),
        (("finetune", "vae"), "have no cell in common with a kid or fid"),
    ):
        with pytest.raises(GraftbenchError, match=sentence):
            versus(records, *arguments)
    failed = make_cell("ewc", 0, 25, protocol=PROTOCOL, task=TaskSpec("twemoji", "openmoji", 32))
    lost = Record(id=failed.id, cell=failed, status=Status.OOM)
    with pytest.raises(GraftbenchError, match=r"No cell of 'ewc' ended well, .* found 1 oom"):
        versus([*records, lost], "finetune", "ewc")
    with pytest.raises(GraftbenchError, match=r"No cell of 'ewc' ended well, .* found 1 oom"):
        versus(frame([*records, lost]), "finetune", "ewc")
    for metric, sentence in (
        ("kidd", "Did you mean 'kid'"),
        ("authpct", "Neither a high nor a low"),
        ("fid", "No cell of 'finetune' that ended well has a fid. Scores that it has: kid"),
        ([], "No metric was named"),
    ):
        with pytest.raises(GraftbenchError, match=sentence):
            versus(records, "finetune", "dcgan", metric=metric)
    with pytest.raises(GraftbenchError, match="2 protocols"):
        versus([*records, record("dcgan", 1, protocol=Protocol(size=64), kid=1.0)], "finetune", "dcgan")
    cell = msgspec.structs.replace(records[0].cell, parameters={"lr": 1})
    variant = msgspec.structs.replace(records[0], id=cell.id, cell=cell)
    with pytest.raises(GraftbenchError, match="two cells of seed 0 at 25 images"):
        versus([*records, variant], "finetune", "dcgan")
    with pytest.raises(GraftbenchError, match="strictly between"):
        versus(records, "finetune", "dcgan", level=5)


def test_frames_and_json() -> None:
    """A frame gives the same answer; of two protocols it is refused, without a column it is named; JSON keeps all."""
    records = [*kids("a", BETTER), *kids("b", WORSE)]
    answer = versus(records, "a", "b", metric="kid")
    table = frame(records)
    assert versus(table, "a", "b", metric="kid") == answer
    assert msgspec.json.decode(msgspec.json.encode(answer), type=Versus) == answer
    table.loc[0, "protocol"] = "other"
    with pytest.raises(GraftbenchError, match="2 protocols"):
        versus(table, "a", "b")
    with pytest.raises(GraftbenchError, match="Unknown column 'seed'"):
        versus(table.drop(columns="seed"), "a", "b")


# -------------------------------------------------------------------------------------------------------- one verdict


def verdicts(records: list[Record], a: str, b: str, folder: Path) -> dict[str, tuple[str, float | None]]:
    """What every screen says of A against B at one number of images: verdict and p, before any correction."""
    said: dict[str, tuple[str, float | None]] = {}
    row = versus(records, a, b, metric="kid").rows[0]
    said["versus"] = row.verdict, row.p
    # the gate: B as the base, A as the new run, under one name; no threshold
    sides = [
        [
            msgspec.structs.replace(r, cell=msgspec.structs.replace(r.cell, method="m"))
            for r in records
            if r.cell.method == m
        ]
        for m in (b, a)
    ]
    (gated,) = compare([sides[0]], [sides[1]], GateOptions(measures=parse_measures(["kid=0%"]))).rows
    words = {"regression": "worse", "improvement": "better", "unchanged": "not settled"}
    open_word = "too few seeds" if gated.p is None else "not settled"
    said["compare"] = words.get(gated.verdict, open_word), gated.p
    # the report, with B as the baseline
    own = [record for record in records if record.cell.method in (a, b)]
    run = Run(name="made", records=own, folder=folder)
    comparisons = import_module("graftbench.reports._tables.comparisons")
    groups = import_module("graftbench.reports._tables.groups").groups(run)
    kid = import_module("graftbench.reports._tables.numbers").KID
    (block,) = comparisons.blocks(comparisons.scores_of(groups[0], kid), b, kid)
    said["report"] = block.compared[0].verdict, block.compared[0].p
    # a claim that A beats B
    claim = Claim(name="c", statement="A beats B.", verb="beats", methods=(a,), over=b)
    (finding,) = check_claims(records, claims=[claim]).findings
    words = {"holds": "better", "does not hold": "worse", "not enough data": "too few seeds"}
    if finding.verdict != "not testable here":  # neither beats what learnt nothing, which the others do not ask
        said["claims"] = words.get(finding.verdict, finding.verdict), finding.p
    return said


@pytest.mark.parametrize("seed", range(20))
def test_every_screen_gives_one_verdict_of_made_up_runs(seed: int, tmp_path: Path) -> None:
    """`versus`, `compare`, `report` and `claims` on 1 to 10 seeds of any effect and noise: one verdict, one p."""
    rng = np.random.default_rng(seed)
    seeds, effect, noise = (1, 2, 3, 5, 10)[seed % 5], rng.normal(0, 0.4), rng.uniform(0.02, 0.4)
    shared = rng.lognormal(0, 0.3, seeds)
    records = [
        *kids("a", shared * rng.lognormal(effect, noise, seeds)),
        *kids("b", shared * rng.lognormal(0, noise, seeds)),
    ]
    said = verdicts(records, "a", "b", tmp_path)
    assert len({verdict for verdict, _ in said.values()}) == 1, said
    first = said["versus"][1]
    assert all(p == (None if first is None else pytest.approx(first, rel=1e-9)) for _, p in said.values()), said


def test_every_screen_gives_one_verdict_of_the_published_run(tmp_path: Path) -> None:
    """Each pair of three fine-tuning methods at each number of images."""
    from graftbench.records.run import read_run

    docs = Path(__file__).parents[2] / "docs"
    records = [r for r in read_run(docs / "results").records if r.cell.data_budget in (10, 800)]
    for images in (10, 800):
        own = [r for r in records if r.cell.data_budget == images]
        for a, b in (
            ("finetune", "freezed"),
            ("finetune-diffaugment", "finetune"),
            ("freezed", "finetune-diffaugment"),
        ):
            said = verdicts(own, a, b, tmp_path)
            assert len({verdict for verdict, _ in said.values()}) == 1, said
