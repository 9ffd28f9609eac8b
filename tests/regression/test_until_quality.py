"""The gate until a quality: made-up courses with known arrivals, censored ones, and what is another training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from graftbench.errors import GraftbenchError
from graftbench.records.record import Record, Snapshot
from graftbench.regression import baselines
from graftbench.regression.formats import render
from graftbench.regression.formats._words import summary
from graftbench.regression.gate import Comparison, compare, compare_runs
from graftbench.regression.measures import UNTIL, parse_measures
from graftbench.regression.options import GateOptions
from graftbench.regression.until_quality import (
    Quality,
    ReachDifferences,
    least_pairs_to_reach,
    parse_quality,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

SECONDS = (UNTIL["seconds_to_quality"],)
END = 40.0
"""Seconds of a whole fit."""


def with_floor(record: Record, snapshots: list[Snapshot]) -> Record:
    """The record with a floor of KID 0, and with snapshots."""
    scores = [msgspec.structs.replace(score, floor=0.0) for score in record.scores]
    return msgspec.structs.replace(record, scores=scores, snapshots=snapshots)


def a_fit(
    make: Any, seed: int, arrival: float | None, *, method: str = "m", rate: float = 100, joules: float = 5, **more: Any
) -> Record:
    """A fit that is at KID 0.4 after so many seconds, looked at once on the way; None: it never falls below 0.6."""
    end = 0.6 if arrival is None else 0.3
    cost = {"fit_seconds": END, "images_seen": round(rate * END), "energy_joules": joules * END} | more
    record = make.record(method, seed, scores={"kid": end}, cost=cost)
    seconds, kid = (20.0, 0.7) if arrival is None else (arrival, 0.4)
    (score,) = make.record(scores={"kid": kid}).scores
    shot = Snapshot(
        share=0.5, images_seen=round(rate * seconds), seconds=seconds, joules=joules * seconds, scores=[score]
    )
    return with_floor(record, [shot])


def a_run(make: Any, arrivals: Iterable[float | None], *, source: float = 1.0, **more: Any) -> list[Record]:
    """A fit a seed, and the untransferred source: half of the way to the floor is KID 0.5."""
    row = with_floor(make.record("source", 0, scores={"kid": source}, family="reference"), [])
    return [row, *(a_fit(make, seed, arrival, **more) for seed, arrival in enumerate(arrivals))]


def judged(base: Sequence[Record], new: Sequence[Record], **options: Any) -> Comparison:
    """Two runs, one repeat each, by the seconds until half of the way."""
    chosen: dict[str, Any] = {"measures": SECONDS} | options
    return compare([base], [new], GateOptions(**chosen))


def rows_of(found: Comparison) -> dict[str, Any]:
    """Measure -> its row of the fits."""
    return {row.measure: row for row in found.rows if row.method == "m"}


def test_twice_the_seconds_by_hand(make: Any) -> None:
    """10, 11, 12, 13 s become 20 to 26: means 11.5 and 23, +100 %; images at 100 a second likewise; all arrive."""
    found = judged(a_run(make, [10, 11, 12, 13]), a_run(make, [20, 22, 24, 26]))
    rows = rows_of(found)
    seconds, images = rows["seconds_to_quality"], rows["images_to_quality"]
    assert (seconds.verdict, seconds.base, seconds.new, seconds.pairs) == ("regression", 11.5, 23.0, 4)
    assert seconds.change == pytest.approx(math.log(2))
    assert (images.verdict, images.base, images.new) == ("regression", 1150, 2300)
    assert (rows["reaches_quality"].verdict, rows["reaches_quality"].new) == ("unchanged", 1.0)
    assert found.code == 1
    assert "KID×10³ 500 (twemoji->openmoji@32, n = 25, 8 kimg)" in " ".join(found.notes)
    back = rows_of(judged(a_run(make, [20, 22, 24, 26]), a_run(make, [10, 11, 12, 13])))
    assert back["seconds_to_quality"].verdict == "improvement"
    assert back["seconds_to_quality"].change == pytest.approx(-math.log(2))


def test_within_the_threshold_or_the_noise_nothing_is_said(make: Any) -> None:
    """5 % more of a threshold of 10 % is unchanged; of its own threshold of 2 % it is a regression."""
    base, new = a_run(make, [10, 11, 12, 13]), a_run(make, [10.5, 11.5, 12.7, 13.6])
    assert rows_of(judged(base, new))["seconds_to_quality"].reason == "within the threshold"
    strict = judged(base, new, measures=parse_measures(["seconds_to_quality=2%"]))
    assert rows_of(strict)["seconds_to_quality"].verdict == "regression"
    noisy = judged(a_run(make, [10, 20, 30]), a_run(make, [30, 20, 25]))
    assert rows_of(noisy)["seconds_to_quality"].verdict == "too few pairs"


def test_fits_that_never_arrive_any_more_are_a_regression(make: Any) -> None:
    """All four: p is 2 P(8 heads of 8) = 2/256, alone in its family; their seconds compare with nothing."""
    found = judged(a_run(make, [10, 11, 12, 13]), a_run(make, [None] * 4))
    rows = rows_of(found)
    reached = rows["reaches_quality"]
    assert (reached.verdict, reached.base, reached.new) == ("regression", 1.0, 0.0)
    assert reached.p == pytest.approx(2 / 256)
    assert reached.reason == "4 of 4 cells no longer reach it; p = 0.0078"
    assert rows["seconds_to_quality"].verdict == "not compared"
    assert found.code == 1
    back = judged(a_run(make, [None] * 4), a_run(make, [10, 11, 12, 13]))
    assert rows_of(back)["reaches_quality"].verdict == "improvement"
    assert rows_of(back)["reaches_quality"].reason == "4 of 4 cells reach it now and did not; p = 0.0078"
    assert back.code == 0


def test_two_censored_sides_have_no_verdict(make: Any) -> None:
    """Nobody knows when they would have arrived; one that arrives on both sides is compared beside them."""
    nobody = rows_of(judged(a_run(make, [None] * 3), a_run(make, [None] * 3)))
    assert {row.verdict for row in nobody.values()} == {"not compared"}
    assert nobody["reaches_quality"].reason == "no fit reaches it on either side"
    found = judged(a_run(make, [None] * 3), a_run(make, [None] * 3))
    assert (found.code, found.nothing_compared) == (2, True)
    assert summary(found) == "Nothing was compared (4 pairs of cells)."
    assert "Nothing was compared" in render(found, "md")
    gone = judged(a_run(make, [None] * 3), a_run(make, [None] * 2))
    assert (gone.code, summary(gone)) == (3, "Nothing was compared; 1 vanished cell (3 pairs of cells).")
    some = rows_of(judged(a_run(make, [None, 10, 11]), a_run(make, [None, 10, 11])))
    assert (some["seconds_to_quality"].pairs, some["seconds_to_quality"].verdict) == (2, "unchanged")
    assert judged(a_run(make, [None, 10, 11]), a_run(make, [None, 10, 11])).code == 0
    assert some["reaches_quality"].base == pytest.approx(2 / 3)


def test_few_lost_cells_are_open_or_gated(make: Any) -> None:
    """Of two cells chance loses both in 2/16 of cases: open, and by the threshold alone a regression; 3 would tell."""
    base, new = a_run(make, [10, 11]), a_run(make, [None, None])
    row = rows_of(judged(base, new))["reaches_quality"]
    assert (row.verdict, row.p) == ("too few pairs", pytest.approx(1 / 8))
    assert row.reason == "2 of 2 cells no longer reach it; 3 pairs would tell if all did"
    assert rows_of(judged(base, new, few_seeds="gate"))["reaches_quality"].verdict == "regression"
    one_of_six = rows_of(judged(a_run(make, [10] * 6), a_run(make, [None, *[10] * 5])))["reaches_quality"]
    assert (one_of_six.verdict, one_of_six.reason[:33]) == ("unchanged", "1 of 6 cells no longer reach it; ")


def reach(*values: float) -> ReachDifferences:
    """Differences of so many cells."""
    return ReachDifferences(values=values, scale="relative", before=0.5, now=0.5)


@pytest.mark.parametrize(
    ("values", "p"),
    [
        ((-1,), 2 * 1 / 4),
        ((-1, -1), 2 * 1 / 16),
        ((1, 1, 1), 2 * 1 / 64),
        ((-1, -1, -1, 0), 2 * (1 + 8) / 256),
        ((-1, 1, 0), 1.0),
        ((0, 0), 1.0),
    ],
)
def test_the_p_of_lost_cells_by_hand(values: tuple[float, ...], p: float) -> None:
    """Twice the chance of so many heads of two fair coins a pair."""
    assert reach(*values).p == pytest.approx(p)


def test_no_chance_of_arriving_gives_more_false_alarms_than_the_level() -> None:
    """By the exact distribution of two equal binomials, for 2 to 7 pairs and chances of arriving from 0.02 to 0.98."""
    for n in range(2, 8):
        p_of = {d: reach(*[-1.0] * d, *[0.0] * (n - d)).p or 0.0 for d in range(n + 1)}
        for chance in (0.02, 0.1, 0.3, 0.5, 0.7, 0.98):
            binomial = [math.comb(n, k) * chance**k * (1 - chance) ** (n - k) for k in range(n + 1)]
            for level in (0.01, 0.05, 0.2):
                alarms = sum(
                    binomial[a] * binomial[b] for a in range(n + 1) for b in range(n + 1) if p_of[abs(a - b)] <= level
                )
                assert alarms <= level + 1e-12
    assert [least_pairs_to_reach(level) for level in (0.5, 0.125, 0.05, 0.03)] == [1, 2, 3, 4]


def test_what_takes_fewer_images_is_another_training(make: Any) -> None:
    """Half the seconds at one rate are half the images: said, and a regression where the training must be the same.

    Half the seconds at twice the rate are the same images: a faster implementation, and nothing more is said.
    """
    base = a_run(make, [20, 22, 24, 26])
    other = judged(base, a_run(make, [10, 11, 12, 13]))
    assert rows_of(other)["images_to_quality"].verdict == "improvement"
    assert any("m: sooner at the quality, and with 0.50 times the images" in note for note in other.notes)
    held = judged(base, a_run(make, [10, 11, 12, 13]), same_training=True)
    row = rows_of(held)["images_to_quality"]
    assert (row.verdict, held.code) == ("regression", 1)
    assert row.reason.startswith("another training, not a faster one: fewer images; p")
    faster = judged(base, a_run(make, [10, 11, 12, 13], rate=200), same_training=True)
    assert rows_of(faster)["seconds_to_quality"].verdict == "improvement"
    assert (rows_of(faster)["images_to_quality"].verdict, faster.code) == ("unchanged", 0)
    assert not any("another training" in note for note in faster.notes)


def test_the_level_is_the_base_s(make: Any) -> None:
    """A source that scores otherwise in the new run moves no goal; as a KID×10³ the goal is the same without source."""
    base = a_run(make, [10, 11, 12])
    rows = rows_of(judged(base, a_run(make, [10, 11, 12], source=0.1)))
    assert rows["reaches_quality"].new == 1.0
    assert rows_of(judged(base[1:], base[1:], until=parse_quality("500")))["seconds_to_quality"].base == 11
    never = rows_of(judged(base, base, until=parse_quality("90%")))
    assert never["reaches_quality"].reason == "no fit reaches it on either side"


def test_what_cannot_be_held_to_a_quality_is_refused(make: Any) -> None:
    """Without snapshots, source or floor nothing says that it did not get worse; other shares are another look."""
    base = a_run(make, [10, 11, 12])
    blind = [msgspec.structs.replace(record, snapshots=[]) for record in base]
    with pytest.raises(
        GraftbenchError, match=r"No fit can be held to a quality: the new run did not look at fits on the"
    ):
        judged(base, blind)
    with pytest.raises(GraftbenchError, match="a baseline from before they were kept is to be saved again"):
        judged(blind, base)
    with pytest.raises(GraftbenchError, match=r"no row of the untransferred source.*--until 485"):
        judged(base[1:], base[1:])
    shots = [msgspec.structs.replace(shot, share=0.25) for shot in base[1].snapshots]
    with pytest.raises(GraftbenchError, match="at other shares of the budget"):
        judged(base[:2], [base[0], msgspec.structs.replace(base[1], snapshots=shots)])


@pytest.mark.parametrize("name", [*UNTIL])
@pytest.mark.parametrize("until", ["75%", "485"])
def test_without_snapshots_these_are_what_is_missing(name: str, until: str, make: Any) -> None:
    """Whatever is asked for and whether the base has source and floor or not; no other level would mend it."""
    blind = [msgspec.structs.replace(record, snapshots=[]) for record in a_run(make, [10, 11, 12])]
    for run in (blind, blind[1:]):
        with pytest.raises(GraftbenchError) as refused:
            judged(run, run, measures=parse_measures([name]), until=parse_quality(until))
        assert str(refused.value) == (
            "No fit can be held to a quality: the base and the new run did not look at fits on the way (`snapshots` in "
            "the suite)."
        )


def test_which_fits_reach_it_can_be_asked_for_alone(make: Any) -> None:
    """Without a cost beside it: all four of four are lost."""
    found = judged(a_run(make, [10, 11, 12, 13]), a_run(make, [None] * 4), measures=(UNTIL["reaches_quality"],))
    assert {measure: row.verdict for measure, row in rows_of(found).items()} == {"reaches_quality": "regression"}


def test_shared_machines_and_other_hardware_keep_the_images(make: Any) -> None:
    """Wall times are left out as everywhere in the gate; images and arrivals depend on no clock."""
    base, busy = a_run(make, [10, 11, 12]), a_run(make, [20, 22, 24], timing_shared=True)
    rows = rows_of(judged(base, busy))
    assert rows["seconds_to_quality"].reason == "other processes used the machine"
    assert rows["images_to_quality"].verdict == "regression"
    assert rows_of(judged(base, busy, shared=True))["seconds_to_quality"].verdict == "regression"
    environment = base[1].environment | {"device": "cuda:0"}
    elsewhere = [msgspec.structs.replace(record, environment=environment) for record in base]
    rows = rows_of(judged(base, elsewhere))
    assert rows["seconds_to_quality"].reason == "other hardware"
    assert rows["images_to_quality"].verdict == "unchanged"


def test_energy_until_a_quality(make: Any) -> None:
    """5 J a second become 10: twice the joules at the same seconds; not measured is said."""
    joules = {"measures": parse_measures(["joules_to_quality"])}
    base = a_run(make, [10, 11, 12])
    row = rows_of(judged(base, a_run(make, [10, 11, 12], joules=10), **joules))["joules_to_quality"]
    assert (row.verdict, row.base, row.new) == ("regression", 55, 110)


def test_a_baseline_keeps_what_it_takes(make: Any, written: Callable[..., Path], tmp_path: Path) -> None:
    """Saved and read again it gives the same rows as the run itself."""
    base, new = written("base", a_run(make, [10, 11, 12, 13])), written("new", a_run(make, [20, None, 24, 26]))
    baselines.save("main", base, tmp_path / "baselines")
    options: dict[str, Any] = {"measures": SECONDS, "folder": tmp_path / "baselines"}
    assert compare_runs("main", new, **options).rows == compare_runs(base, new, **options).rows


def test_qualities_are_parsed() -> None:
    """A share with its sign, or a KID×10³; anything else is refused with both forms."""
    assert parse_quality("75%") == Quality(share=0.75)
    assert parse_quality(" 12.5 % ") == Quality(share=0.125)
    assert parse_quality("485") == Quality(share=None, kid=0.485)
    assert parse_quality("1") == Quality(share=None, kid=0.001)
    for text in ("", "0%", "101%", "kid=3", "1.2.3", "nan", "75 percent", "0", "-3", "0.0", "-0.75"):
        with pytest.raises(GraftbenchError, match=r"\(75%\), or a KID×10³ of at least 1 \(485\); found '.*'\.$"):
            parse_quality(text)
    for text, share in (("0.75", "75%"), (".5", "50%"), ("0.005", "0.5%")):
        with pytest.raises(GraftbenchError, match=rf"found '{text}'\. If a share was meant: {share}\.$"):
            parse_quality(text)
