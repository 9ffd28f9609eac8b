"""Verdicts, reasons and exit codes."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

from graftbench.comparison.multiplicity import holm
from graftbench.errors import GraftbenchError
from graftbench.records.record import Status
from graftbench.regression.gate import Comparison, compare, compare_runs
from graftbench.regression.measures import DEFAULT, MEASURES, parse_measures
from graftbench.regression.options import GateOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KID = (MEASURES["kid"],)


def judged(base: Any, new: Any, **options: Any) -> Comparison:
    """Two runs, one repeat each."""
    return compare([base], [new], GateOptions(**options))


def verdicts(found: Comparison) -> dict[str, str]:
    """Method -> verdict of its only row."""
    return {row.subject: row.verdict for row in found.rows}


def worse(make: Any, method: str = "a", by: float = 2.0, n: int = 5) -> tuple[Any, Any]:
    """A base, and a run whose KIDs are that many times as large, with a little noise."""
    values = np.linspace(0.95, 1.05, n).tolist()
    return make.run_of(method, "kid", values), make.run_of(method, "kid", [by * value for value in reversed(values)])


# ------------------------------------------------------------------------------------------------------------ verdicts


def test_a_regression_and_its_swap(make: Any) -> None:
    """Twice the KID of five seeds; the other way round the same row is an improvement, to the last digit."""
    base, new = worse(make)
    there, back = judged(base, new), judged(new, base)
    (row,), (mirrored,) = there.rows, back.rows
    assert (row.verdict, there.code, mirrored.verdict, back.code) == ("regression", 1, "improvement", 0)
    assert (row.change, row.p, row.needed) == (-(mirrored.change or 0), mirrored.p, mirrored.needed)
    assert (row.pairs, row.base, row.new) == (5, mirrored.new, mirrored.base)


def test_a_regression_needs_both(make: Any) -> None:
    """9 % beyond all noise is within a threshold of 10 %; a large change within the noise is none either."""
    base = make.run_of("a", "kid", [1.0, 1.001, 0.999])
    small = judged(base, make.run_of("a", "kid", [1.089, 1.09, 1.091])).rows[0]
    assert (small.verdict, small.reason) == ("unchanged", "within the threshold")
    assert small.p is not None
    assert small.p < 0.001
    assert judged(base, make.run_of("a", "kid", [1.1, 1.101, 1.102])).rows[0].verdict == "regression"
    noisy = judged(make.run_of("a", "kid", [1.0, 2.0, 3.0]), make.run_of("a", "kid", [3.0, 2.0, 4.0])).rows[0]
    assert noisy.verdict == "too few pairs"


def test_a_step_to_copying_is_a_regression(make: Any) -> None:
    """With equal KID, samples half as far from the training images as before are told without being asked for."""
    scores = [{"kid": 1.0 + 0.01 * i, "train_distance_ratio": 0.9 + 0.01 * i} for i in range(5)]
    copied = [each | {"train_distance_ratio": each["train_distance_ratio"] / 2} for each in scores]
    base, new = ([make.record("a", i, scores=each) for i, each in enumerate(side)] for side in (scores, copied))
    found = {row.measure: row.verdict for row in judged(base, new).rows}
    assert found == {"kid": "unchanged", "train_distance_ratio": "regression"}


@pytest.mark.parametrize("portable", [False, True])
def test_other_processors_move_trained_scores_and_compare_says_so(make: Any, *, portable: bool) -> None:
    """Also by settings alone; under `determinism = "portable"` it says that they should not."""
    protocol = make.record().cell.protocol
    if portable:
        protocol = msgspec.structs.replace(protocol, determinism="portable")
    base = make.run_of("a", "kid", [1.0, 2.0], protocol=protocol)
    other = {"cpu": {"model": "Intel Xeon", "cores_usable": 2}}
    new = make.run_of("a", "kid", [1.0, 2.0], protocol=protocol, environment=other)
    (note,) = (note for note in judged(base, new, measures=KID).notes if note.startswith("Arithmetic differs"))
    assert "processor: AMD EPYC → Intel Xeon" in note
    assert ("KID 4 to 14 %" in note) == (not portable)
    assert not any("Arithmetic" in note for note in judged(base, base, measures=KID).notes)
    settings = {"variables": {"ONEDNN_MAX_CPU_ISA": "AVX2"}}
    by_settings = judged(base, make.run_of("a", "kid", [1.0, 2.0], protocol=protocol, environment=settings))
    assert any("ONEDNN_MAX_CPU_ISA: not set → AVX2" in note for note in by_settings.notes)


def test_portable_and_plain_cells_do_not_compare(make: Any) -> None:
    """They are other protocols, and the sentence names the field."""
    plain = make.run_of("a", "kid", [1.0])
    portable = msgspec.structs.replace(plain[0].cell.protocol, determinism="portable")
    with pytest.raises(GraftbenchError, match="determinism: base 'not set', new 'portable'"):
        judged(plain, make.run_of("a", "kid", [1.0], protocol=portable))


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.0999, "unchanged"), (1.1001, "regression"), (1 / 1.1001, "improvement")]
)
def test_a_threshold_is_a_factor(make: Any, factor: float, verdict: str) -> None:
    """10 % is 1.1 times, or divided by 1.1, whichever way the measure points."""
    base = make.costs_of("a", "training_images_per_second", [2.0, 2.0])
    new = make.costs_of("a", "training_images_per_second", [2 / factor, 2 / factor])
    assert judged(base, new, measures=parse_measures(["training_images_per_second"])).rows[0].verdict == verdict


def test_noise_that_many_pairs_would_see_through(make: Any) -> None:
    """Enough pairs for the threshold, a change beyond it, and p above the level: noise explains it."""
    rng = np.random.default_rng(3)
    measures = parse_measures(["kid=50%"])
    base = make.run_of("a", "kid", rng.normal(1, 0.2, 12))
    row = judged(base, make.run_of("a", "kid", rng.normal(1, 0.2, 12)), measures=measures).rows[0]
    assert row.verdict == "unchanged"
    many = judged(make.run_of("a", "kid", [1.0, 1.2] * 20), make.run_of("a", "kid", [1.2, 1.06] * 20)).rows[0]
    assert (many.verdict, many.needed is not None and many.needed <= 40) == ("unchanged", True)


def test_holm_over_quality_and_over_cost(make: Any) -> None:
    """p-values of a kind are corrected together: as `holm` gives them, and costs do not weigh on scores."""
    rng = np.random.default_rng(0)
    base, new, plain = [], [], []
    for i, method in enumerate("abcd"):
        old, late = rng.lognormal(0, 0.1, 4), rng.lognormal(0.1 * i, 0.1, 4)
        base += make.run_of(method, "kid", old)
        new += make.run_of(method, "kid", late)
        alone = judged(make.run_of(method, "kid", old), make.run_of(method, "kid", late)).rows[0]
        plain.append((method, alone.change, alone.p))
    rows = {row.method: row for row in judged(base, new).rows}
    assert all((change or 0) > 0 for _, change, _ in plain)
    assert [rows[method].p for method, _, _ in plain] == pytest.approx(holm([p or 0.0 for *_, p in plain]).tolist())
    with_costs = [make.changed(r, resources=make.record(cost={}).resources) for r in base]
    late = [make.changed(r, resources=make.record(cost={"peak_memory_mib": 3.0}).resources) for r in new]
    assert {row.method: row.p for row in judged(with_costs, late).rows if row.measure == "kid"} == {
        method: row.p for method, row in rows.items()
    }


def test_rows_that_are_equal_do_not_weigh(make: Any) -> None:
    """In a deterministic run nine methods score as before: the one whose code changed is judged as if alone."""
    base, new = worse(make, by=1.3)
    others = [cell for method in "bcdefghij" for cell in make.run_of(method, "kid", [1.0, 1.1, 1.2, 1.3, 1.4])]
    among = {row.method: row for row in judged([*base, *others], [*new, *others]).rows}
    assert among["a"] == judged(base, new).rows[0]
    assert (among["b"].verdict, among["b"].p) == ("unchanged", 1.0)


def test_equal_runs_are_unchanged(make: Any) -> None:
    """The same run twice: each row unchanged, exit code 0."""
    run = [
        make.record(
            method,
            seed,
            scores={"kid": 1.0 + seed, "fid": 10.0},
            cost={"peak_memory_mib": 500.0, "flops_per_image": 1e9},
        )
        for method in "ab"
        for seed in range(3)
    ]
    found = judged(run, run)
    assert {row.verdict for row in found.rows} == {"unchanged"}
    assert {row.measure for row in found.rows} == {"kid", "fid", "fit_seconds", "peak_memory_mib", "flops_per_image"}
    assert (found.code, found.notes, found.pairs) == (0, [], 6)


def test_one_pair_says_how_many_it_takes(make: Any) -> None:
    """Student has no noise to go by: the published runs' is taken; where none is published it takes at least two."""
    row = judged(make.run_of("a", "kid", [1.0]), make.run_of("a", "kid", [2.0])).rows[0]
    assert (row.verdict, row.p) == ("too few pairs", None)
    assert (
        row.reason == f"has 1 pair; {row.needed} would find 10 % in 80 % of cases, by the noise of the published runs"
    )
    assert row.needed is not None
    # two-sided 5 %: ((1.960 + 0.842) · 0.27 / log 1.1)² = 63.0, and a little more for Student's tails
    assert 64 <= row.needed <= 66
    measures = parse_measures(["cmmd"])
    row = judged(make.run_of("a", "cmmd", [1.0]), make.run_of("a", "cmmd", [2.0]), measures=measures).rows[0]
    assert row.reason == "has 1 pair; it takes at least 2 pairs to find 10 %"


def test_sign_flips_need_more(make: Any) -> None:
    """Three pairs that all agree reach 1/4, two-sided, and no lower level: 5 % takes six."""
    base, new = worse(make, n=3)
    row = judged(base, new, test="sign-flip").rows[0]
    assert (row.verdict, row.p) == ("too few pairs", 0.25)
    assert row.needed is not None
    assert row.needed >= 6
    assert judged(*worse(make, n=6), test="sign-flip").rows[0].verdict == "regression"


@pytest.mark.parametrize(("new", "code"), [(2.0, 1), (0.5, 0), (1.05, 0)])
def test_few_seeds_by_the_threshold_alone(make: Any, new: float, code: int) -> None:
    """By choice one pair gates, in either direction."""
    found = judged(make.run_of("a", "kid", [1.0]), make.run_of("a", "kid", [new]), few_seeds="gate")
    assert found.code == code
    if new == 2.0:
        assert found.rows[0].reason.startswith("by the threshold alone: has 1 pair; ")


def test_what_is_judged_as_one(make: Any) -> None:
    """All cells of a method, those on a task, or those of a data budget on it."""
    run = [
        make.record("a", seed, images, target=target, scores={"kid": 1.0 + seed + images})
        for seed in (0, 1)
        for images in (10, 100)
        for target in ("openmoji", "material")
    ]
    for by, subjects, pairs in (("method", 1, 8), ("task", 2, 4), ("budget", 4, 2)):
        found = judged(run, run, by=by)
        assert (len(found.rows), {row.pairs for row in found.rows}) == (subjects, {pairs})
    assert judged(run, run, by="budget").rows[0].subject == "a twemoji->openmoji@32 n=10"


# --------------------------------------------------------------------------------------------------------------- costs


def test_what_is_counted_has_no_noise(make: Any) -> None:
    """One pair: 2 % more arithmetic is a regression, 1 % is not."""
    base = make.costs_of("a", "flops_per_image", [100.0])
    assert judged(base, make.costs_of("a", "flops_per_image", [102.0])).code == 1
    assert judged(base, make.costs_of("a", "flops_per_image", [101.0])).code == 0


def test_reference_rows_have_scores_and_no_cost(make: Any) -> None:
    """A row that fits nothing takes milliseconds, which differ by half."""
    base = [
        make.record("oracle", s, family="reference", scores={"kid": 1.0}, cost={"fit_seconds": 0.1}) for s in (0, 1)
    ]
    new = [make.record("oracle", s, family="reference", scores={"kid": 1.0}, cost={"fit_seconds": 9.9}) for s in (0, 1)]
    assert [row.measure for row in judged(base, new).rows] == ["kid"]


def test_a_reference_row_of_other_seeds_is_not_judged(make: Any) -> None:
    """Another draw of real images has a KID near zero that is larger by any factor; of the same seed it is judged."""
    base = [make.record("oracle", s, family="reference", scores={"kid": 1e-3 + 1e-6 * s}) for s in range(4)]
    for first_seed, verdict in ((4, "not compared"), (0, "regression")):
        new = [
            make.record("oracle", first_seed + s, family="reference", scores={"kid": 3e-3 + 2e-5 * s}) for s in range(4)
        ]
        assert [row.verdict for row in judged(base, new).rows] == [verdict]


def test_a_cost_that_one_side_has_not_is_told(make: Any) -> None:
    """A counter that the new run lost, and one that the base did not have yet."""
    base = [make.record("a", scores={"kid": 1.0}, cost={"energy_joules": 5.0})]
    new = [make.record("a", scores={"kid": 1.0}, cost={"peak_memory_mib": 5.0})]
    reasons = {row.measure: row.reason for row in judged(base, new).rows}
    assert reasons["energy_joules"] == "the new run did not measure it"
    assert reasons["peak_memory_mib"] == "the base did not measure it"


OTHER = {"cpu": {"model": "Xeon", "cores_usable": 8}}


def elsewhere(make: Any, cost: float, **options: Any) -> Comparison:
    """Twice the seconds and the memory, on another machine."""
    base = [
        make.record("a", s, scores={"kid": 1.0}, cost={"fit_seconds": 10.0, "peak_memory_mib": 1.0}) for s in (0, 1)
    ]
    new = [
        make.record("a", s, scores={"kid": 1.0}, cost={"fit_seconds": cost, "peak_memory_mib": 2.0}, environment=OTHER)
        for s in (0, 1)
    ]
    return judged(base, new, **options)


def test_costs_of_other_hardware_are_not_compared(make: Any) -> None:
    """What differs is named; scores are compared; `any` compares all."""
    found = elsewhere(make, 20.0)
    told = {row.measure: (row.verdict, row.reason) for row in found.rows}
    assert told["kid"][0] == "unchanged"
    assert told["fit_seconds"] == told["peak_memory_mib"] == ("not compared", "other hardware")
    assert "processor: AMD EPYC → Xeon; usable cores: 2 → 8" in found.notes[0]
    assert found.code == 0
    assert {row.measure for row in elsewhere(make, 20.0, costs="any").of("regression")} == {
        "fit_seconds",
        "peak_memory_mib",
    }


def test_calibrated_costs_travel(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that takes twice as long for the kernel and for the fit is as fast; memory stays incomparable."""
    from graftbench.regression import machines

    def kernel(record: Any) -> float:
        return 0.02 if record.environment["cpu"]["model"] == "Xeon" else 0.01

    found = elsewhere(make, 20.0, costs="calibrated")
    fit = next(row for row in found.rows if row.measure == "fit_seconds")
    assert (fit.verdict, fit.reason) == ("not compared", "other hardware, and no calibration was timed on both")
    monkeypatch.setattr(machines, "calibration", kernel)
    rows = {row.measure: row for row in elsewhere(make, 20.0, costs="calibrated").rows}
    assert (rows["fit_seconds"].verdict, rows["fit_seconds"].change) == ("unchanged", 0.0)
    assert (rows["fit_seconds"].base, rows["fit_seconds"].new) == (10.0, 20.0)  # told as they were measured
    assert rows["peak_memory_mib"].reason == "other hardware"
    slower = {row.measure: row for row in elsewhere(make, 30.0, costs="calibrated").rows}["fit_seconds"]
    assert (slower.verdict, slower.change) == ("regression", pytest.approx(math.log(1.5)))


def test_the_calibration_is_read_from_the_resources() -> None:
    """None where there are no resources, or where it was not timed."""
    from graftbench.regression import machines

    read: Any = machines.calibration
    resources = (None, SimpleNamespace(calibration_seconds=None), SimpleNamespace(calibration_seconds=0.5))
    found = [read(SimpleNamespace(resources=one)) for one in resources]
    assert found == [None, None, 0.5]


def test_shared_timings_are_left_out(make: Any) -> None:
    """Cell by cell, and told; memory is not a timing; `shared` compares them too."""
    base = [make.record("a", s, cost={"fit_seconds": 10.0, "peak_memory_mib": 9.0}) for s in range(3)]
    new = [
        make.record("a", s, cost={"fit_seconds": 20.0, "peak_memory_mib": 9.0, "timing_shared": s > 0})
        for s in range(3)
    ]
    found = judged(base, new)
    rows = {row.measure: row for row in found.rows}
    assert (rows["fit_seconds"].pairs, rows["peak_memory_mib"].pairs) == (1, 3)
    assert found.notes == [
        "2 wall times were left out: other processes used the machine (--shared-timings compares them too)."
    ]
    every = judged(
        base, [make.changed(r, resources=msgspec.structs.replace(r.resources, timing_shared=True)) for r in new]
    )
    assert {row.measure: row.reason for row in every.rows}["fit_seconds"] == "other processes used the machine"
    assert judged(base, new, shared=True).code == 1


def test_other_software_is_told_and_compared(make: Any) -> None:
    """A maintainer may have changed it on purpose."""
    base = make.run_of("a", "kid", [1.0, 1.0])
    new = make.run_of("a", "kid", [1.0, 1.0], environment={"packages": {"torch": "2.14.1", "numpy": "2.4.6"}})
    assert judged(base, new).notes == ["Software differs: packages.torch: 2.11.0 → 2.14.1."]


# ----------------------------------------------------------------------------------------- what fails, and what is gone


def test_exit_codes(make: Any) -> None:
    """3 for a failing or a vanished cell, 1 for a regression whatever else; new and mended cells are fine."""
    base, new = worse(make)
    broken = make.record("b", status=Status.TIMEOUT)
    assert judged([*base, make.record("b")], [*base, broken]).code == 3
    assert judged([*base, make.record("b")], base).code == 3
    assert judged([*base, make.record("b")], [*new, broken]).code == 1
    found = judged([*base, broken], [*base, make.record("b"), make.record("c")])
    assert (found.code, len(found.mended), len(found.appeared)) == (0, 1, 1)
    failed = judged([make.record("b")], [broken]).failing[0]
    assert (failed.status, failed.reason) == ("timeout", "it broke")


def test_a_score_that_became_undefined_has_vanished(make: Any) -> None:
    """A cell that lost its score fails the gate, and says why; one that never had it does not."""
    found = judged(make.run_of("a", "kid", [1.0, 1.0, None]), make.run_of("a", "kid", [1.0, None, None]))
    assert found.vanished == ["a twemoji->openmoji@32 n=25 seed=1: KID×10³ (too few images)"]
    assert (found.code, found.rows[0].pairs) == (3, 1)
    gone = judged(make.run_of("a", "kid", [1.0]), make.run_of("a", "kid", [None]))
    assert (gone.code, gone.rows[0].verdict, gone.rows[0].reason) == (3, "not compared", "the new run has no value")


def test_a_score_that_one_run_does_not_compute(make: Any) -> None:
    """Not compared, and that is said."""
    base = [make.record("a", scores={"kid": 1.0, "fid": 1.0})]
    rows = {row.measure: row.reason for row in judged(base, make.run_of("a", "kid", [1.0])).rows}
    assert rows["fid"] == "the new run did not compute it"
    rows = {row.measure: row.reason for row in judged(make.run_of("a", "kid", [1.0]), base).rows}
    assert rows["fid"] == "the base has no value"


def test_what_nobody_measured_does_not_pass(make: Any) -> None:
    """A measure that was asked for, or no default measure at all: refused; one default measure is enough."""
    run = make.run_of("a", "kid", [1.0, 1.0])
    with pytest.raises(GraftbenchError, match=r"The 2 pairs of cells have no cmmd on both sides.*Measured: kid\."):
        judged(run, run, measures=parse_measures(["kid,cmmd"]))
    bare = [make.record("a")]
    with pytest.raises(GraftbenchError, match="The one pair of cells has no measure of the default ones on both sides"):
        judged(bare, bare)
    broken = [make.record("a", status=Status.OOM)]
    with pytest.raises(GraftbenchError, match="No cell ended well, in the base or in the new run"):
        judged(broken, broken)


# ------------------------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"level": 0}, "above 0 and is at most 0.5; found 0"),
        ({"by": "seed"}, "Unknown unit of judgement 'seed'"),
        ({"test": "t"}, "Unknown test 't'"),
        ({"few_seeds": "fail"}, "Unknown rule for few seeds 'fail'"),
        ({"costs": "all"}, "Unknown rule for costs 'all'"),
    ],
)
def test_bad_options(options: dict[str, Any], sentence: str) -> None:
    """They are named with what is known."""
    with pytest.raises(GraftbenchError, match=sentence):
        GateOptions(**options)


def test_measures_as_text() -> None:
    """Names with thresholds as a share or in per cent; none: the default ones."""
    found = parse_measures(["kid=15%, fid", "peak_memory_mib=0.02"])
    assert [(m.name, m.threshold) for m in found] == [("kid", 0.15), ("fid", 0.05), ("peak_memory_mib", 0.02)]
    assert tuple(m.name for m in parse_measures([])) == DEFAULT


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("kidd", "Unknown measure 'kidd'. Did you mean 'kid'"),
        ("null_coverage", "Unknown measure"),
        ("kid,kid=1%", "'kid' is named twice"),
        ("kid=", "from 0 to 1000%; found ''"),
        ("kid=-1%", "found '-1%'"),
        ("kid=nan", "found 'nan'"),
        ("kid=11", "found '11'"),
        ("", "Unknown measure ''"),
    ],
)
def test_bad_measures(text: str, sentence: str) -> None:
    """An unknown one, one without a direction, a threshold that is none."""
    with pytest.raises(GraftbenchError, match=sentence):
        parse_measures([text])


# --------------------------------------------------------------------------------------------------------------- files


def test_runs_from_python(make: Any, written: Callable[..., Path]) -> None:
    """Paths, options and a selection; a folder of repeats is read as such."""
    base, new = worse(make)
    paths = written("base", base), written("new", new)
    assert compare_runs(*paths).code == 1
    assert compare_runs(*paths, selection="seed<2", measures=parse_measures(["kid=200%"])).pairs == 2
    written("many/1", base)
    written("many/2", base)
    assert compare_runs(paths[0].parent / "many", paths[0]).code == 0
    with pytest.raises(GraftbenchError):
        compare_runs(*paths, selection="seed=99")


def test_half_written_records(make: Any, written: Callable[..., Path]) -> None:
    """An unfinished last line is told, and its cell has vanished."""
    base = make.run_of("a", "kid", [1.0, 1.0, 1.0])
    old, late = written("base", base), written("new", base)
    file = late / "records.jsonl"
    file.write_bytes(file.read_bytes()[:-100])
    found = compare_runs(old, late)
    assert (found.code, found.vanished) == (3, ["a twemoji->openmoji@32 n=25 seed=2"])
    assert "the last line is unfinished" in found.notes[0]


def test_nothing_there(tmp_path: Path, written: Callable[..., Path]) -> None:
    """A path without records, and a name that is no baseline."""
    empty = written("empty", [])
    (empty / "records.jsonl").touch()
    for what, sentence in (
        (str(tmp_path / "no"), "nothing at"),
        (str(tmp_path), "Unknown|no records"),
        ("mian", "Unknown run or baseline 'mian'"),
    ):
        with pytest.raises(GraftbenchError, match=sentence):
            compare_runs(what, empty, folder=tmp_path)
    (tmp_path / "bare").mkdir()
    with pytest.raises(GraftbenchError, match="is no run folder"):
        compare_runs(tmp_path / "bare", empty)
