"""The finding in words, of made-up runs for every case."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
import pytest
from report_parts import part

from graftbench.records.record import Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from report_parts import Make, MakeRun

    from graftbench.records.record import Record
    from graftbench.records.run import Run

STEADY = (1.0, 1.02, 0.99, 1.01)
"""Four seeds that hardly differ; each method's are in another order."""


def kids(make: Make, means: Mapping[str, float], budget: int = 25, seeds: int = 4, **more: object) -> list[Record]:
    """Cells of seeds that hardly differ around a KID×10³."""
    return [
        make(name, budget, seed, kid=mean * STEADY[(seed * (1 + i % 3) + i) % 4] / 1000, **more)
        for i, (name, mean) in enumerate(means.items())
        for seed in range(seeds)
    ]


def from_source(records: Sequence[Record], *methods: str) -> list[Record]:
    """The records, of which those of these methods started from a source model."""
    return [
        msgspec.structs.replace(record, cell=msgspec.structs.replace(record.cell, source_model="source-model"))
        if record.cell.method in methods
        else record
        for record in records
    ]


def found(run: Run) -> str:
    """The finding of the one group, without its task."""
    (group,) = part("_tables.groups").groups(run)
    text = part("_tables.finding").words(group)
    assert text.startswith("twemoji → openmoji at 32×32. ")
    return text.removeprefix("twemoji → openmoji at 32×32. ")


def with_fid(records: Sequence[Record], fids: Mapping[str, float]) -> list[Record]:
    """Set FID per method."""
    return [
        msgspec.structs.replace(
            record,
            scores=[
                msgspec.structs.replace(score, value=fids[record.cell.method]) if score.name == "fid" else score
                for score in record.scores
            ],
        )
        for record in records
    ]


def test_a_winner(record: Make, a_run: MakeRun) -> None:
    """It alone beats the source and leads, which four seeds settle; copies, real images and FID are told."""
    kid = {"finetune": 20, "freezed": 60, "source": 50, "oracle": 1, "memorizer": 30}
    assert found(a_run(with_fid(kids(record, kid), kid))) == (
        "With 25 training images: finetune leads with a distance to real images (KID×10³, lower is better) of 20.1, "
        "ahead of freezed (60.9); it alone beats the generator before the transfer (50.2). Four trainings of each "
        "method settle this; copies of the training images score 29.9, other real images 1.00; FID, another distance, "
        "gives the same order."
    )


def test_a_verdict_has_at_most_two_sentences_of_plain_words(record: Make, a_run: MakeRun) -> None:
    """Whatever stands in it: no protocol, no riddle, and each sentence ends."""
    kid = {"finetune": 20, "freezed": 60, "vae": 70, "source": 50, "oracle": 1, "memorizer": 2}
    for seeds in (1, 2, 4):
        white = kids(record, {"blank": 65}, seeds=seeds, family="reference")
        (group,) = part("_tables.groups").groups(a_run([*kids(record, kid, seeds=seeds), *white]))
        sentences = ["".join(text for text, _ in pieces) for pieces in part("_tables.finding").verdict(group, 25)]
        assert len(sentences) == 2
        assert all(sentence.endswith(".") and ". " not in sentence for sentence in sentences)
        assert "lite0" not in "".join(sentences)
        assert "but vae does not beat white images" in sentences[0]
        assert ", better than every method" in sentences[1]


def test_two_that_are_level(record: Make, a_run: MakeRun) -> None:
    """Both beat the source; the first is named, and who is not told apart from it."""
    text = found(a_run(kids(record, {"finetune": 20, "freezed": 20.1, "source": 50})))
    assert "both methods beat the generator before the transfer" in text or "both beat the generator" in text
    orders = (("finetune", "freezed"), ("freezed", "finetune"))
    assert any(f"{a} comes first" in text and f"not told apart from {b}" in text for a, b in orders)
    assert "With 25 images alone, four trainings of each method do not settle who comes first" in text


def test_who_does_not_beat_the_source_is_named(record: Make, a_run: MakeRun) -> None:
    """Whether or not it started there; one that is ahead alone says it of all others."""
    kid = {"finetune": 20, "vae": 40, "freezed": 60, "dcgan": 80, "source": 50}
    records = from_source(kids(record, kid), "finetune", "freezed")
    text = found(a_run(records))
    assert "both beat the generator before the transfer (49.8), but freezed and dcgan do not. Four" in text
    assert "Four trainings of each method settle this" in text
    white = kids(record, {"blank": 70}, family="reference")
    assert "(49.8), but freezed does not, and dcgan does not beat white images." in found(a_run([*records, *white]))
    near = found(a_run(from_source(kids(record, kid | {"freezed": 50.1}), "finetune", "freezed")))
    assert "both score better than the generator before the transfer (49.8), but freezed and dcgan do not." in near
    assert "do not settle who beats the generator before the transfer" in near
    alone = found(a_run(from_source(kids(record, kid | {"vae": 55}), "finetune", "freezed")))
    assert "it alone beats the generator before the transfer (49.8). Four" in alone


def test_who_started_from_another_model_is_not_held_to_the_source(record: Make, a_run: MakeRun) -> None:
    """A flow at 40 is neither better nor worse than a GAN at 50: it has no footnote, and the finding says why."""
    kid = {"finetune": 20, "freezed": 60, "flow-finetune": 40, "source": 50}
    records = [
        msgspec.structs.replace(each, cell=msgspec.structs.replace(each.cell, source_model="flow-model"))
        if each.cell.method == "flow-finetune"
        else each
        for each in from_source(kids(record, kid), "finetune", "freezed", "source")
    ]
    said = "; finetune beats the generator before the transfer (50.2); flow-finetune starts from another source model"
    assert said in found(a_run(records))
    worse = [
        msgspec.structs.replace(each, scores=[msgspec.structs.replace(score, value=0.08) for score in each.scores])
        if each.cell.method != "source"
        else each
        for each in records
    ]
    assert "none of those compared beats the generator before the transfer" in found(a_run(worse))
    its_own = [
        msgspec.structs.replace(each, cell=msgspec.structs.replace(each.cell, source_model="flow-model"))
        for each in kids(record, {"source-flow": 30}, family="reference")
    ]
    assert "(50.2); flow-finetune does not beat its own start, source-flow (" in found(a_run([*records, *its_own]))
    more = [
        msgspec.structs.replace(each, cell=msgspec.structs.replace(each.cell, source_model="vae-model"))
        for each in [*kids(record, {"vae-finetune": 45}), *kids(record, {"source-vae": 42}, family="reference")]
    ]
    text = found(a_run([*records, *its_own, *more]))
    both = "flow-finetune and vae-finetune do not beat their own start, "
    assert re.search(both + r"source-flow \(.*\) and source-vae \(", text)
    alone = [each for each in [*records, *its_own] if each.cell.method != "source"]
    assert "flow-finetune does not beat its own start, source-flow (" in found(a_run(alone))
    (group,) = part("_tables.groups").groups(a_run([*records, *its_own]))
    unbeaten = part("_tables.unbeaten")
    (names,) = [unbeaten.unbeaten(group, row) for row in group.methods if row.label == "flow-finetune"]
    assert names == ["source-flow"]
    assert unbeaten.note_on(names).startswith("Does not beat the generator before the transfer (source-flow): its mean")
    (group,) = part("_tables.groups").groups(a_run(worse))
    unbeaten = part("_tables.unbeaten").unbeaten
    assert {row.label: unbeaten(group, row) for row in group.methods} == {
        "finetune": ["source"],
        "freezed": ["source"],
        "flow-finetune": [],
    }


def test_who_lost_a_seed_is_not_spoken_for(record: Make, a_run: MakeRun) -> None:
    """With one seed of two finetune is not compared: the others' failure is theirs alone, and the finding says so."""
    records = kids(record, {"finetune": 10, "freezed": 60, "vae": 70, "source": 50})
    lost = [
        each
        for each in from_source(records, "finetune", "freezed", "source")
        if each.cell.method != "finetune" or each.cell.seed == 0
    ]
    text = found(a_run(lost))
    assert "none of those compared beats the generator before the transfer" in text
    assert "finetune is not compared, for want of seeds" in text


def test_two_seeds_settle_nothing(record: Make, a_run: MakeRun) -> None:
    """Who scores better than the source, and who comes first, is said, and that two trainings do not settle it."""
    kid = {"finetune": (20, 35), "freezed": (60, 40), "source": (49, 49.5), "oracle": (1, 1.1)}
    text = found(
        a_run([record(name, 25, i, kid=value / 1000) for name, both in kid.items() for i, value in enumerate(both)])
    )
    assert "finetune comes first" in text
    assert "it alone scores better than the generator before the transfer (49.2)" in text
    assert "With 25 images alone, two trainings of each method settle neither who comes first nor who beats the" in text
    assert "nothing" not in text
    assert "not told" not in text


def test_nothing_beats_the_source_and_copies_beat_all(record: Make, a_run: MakeRun) -> None:
    """All are worse than the source and than copies; a mean just above the source's is none that beats it."""
    run = a_run(kids(record, {"finetune": 60, "freezed": 80, "source": 50, "memorizer": 5}))
    assert "nothing beats the generator before the transfer (50.2)" in found(run)
    assert "copies of the training images score 5.03, better than every method" in found(run)
    near = a_run(kids(record, {"finetune": 50.1, "freezed": 80, "source": 50}))
    assert "nothing scores better than the generator before the transfer" in found(near)
    assert "do not settle who beats the generator before the transfer" in found(near)


@pytest.mark.parametrize(
    ("fids", "clause"),
    [
        ({"finetune": 100.0, "freezed": 200.0, "vae": 300.0}, "FID, another distance, gives the same order"),
        ({"finetune": 100.0, "freezed": 300.0, "vae": 200.0}, "FID, another distance, agrees on the first alone"),
        ({"finetune": 300.0, "freezed": 200.0, "vae": 100.0}, "FID, another distance, puts vae first"),
    ],
)
def test_whether_fid_agrees(fids: dict[str, float], clause: str, record: Make, a_run: MakeRun) -> None:
    """On the order, on the first alone, or not."""
    records = with_fid(kids(record, {"finetune": 20, "freezed": 40, "vae": 60}), fids)
    assert found(a_run(records)).endswith(f"{clause}.")


def test_one_seed_settles_nothing(record: Make, a_run: MakeRun) -> None:
    """Neither against the source nor among the methods."""
    text = found(a_run(kids(record, {"finetune": 20, "freezed": 40, "source": 50}, seeds=1)))
    assert "finetune comes first with a distance to real images (KID×10³, lower is better) of 20.0, ahead of" in text
    assert "both score better than the generator before the transfer" in text
    assert "With 25 images alone, one training of each method settles neither who comes first nor who beats the" in text


def test_few_reference_images(record: Make, a_run: MakeRun) -> None:
    """Nothing is ranked, and why is said."""
    records = [
        msgspec.structs.replace(r, scores=[msgspec.structs.replace(s, n_reference=12) for s in r.scores])
        for r in kids(record, {"finetune": 20, "freezed": 40})
    ]
    assert found(a_run(records)).startswith("Nothing can be ranked here: with 12 reference images")


def test_all_failed(record: Make, a_run: MakeRun) -> None:
    """No score, and how many trainings failed, at each data budget."""
    failed = [record("finetune", 400, seed, status=Status.OOM) for seed in range(2)]
    sentence = "With 400 training images: No method has a score: 2 of 2 trainings failed."
    assert found(a_run(failed)) == sentence
    assert found(a_run([*kids(record, {"finetune": 20}), *failed])).endswith(sentence)


def test_a_method_that_failed_everywhere_is_named(record: Make, a_run: MakeRun) -> None:
    """It has no place among the others, and the finding says so and how many of its trainings failed."""
    failed = [record("vae", 25, seed, status=Status.OOM) for seed in range(2)]
    text = found(a_run([*kids(record, {"finetune": 20, "freezed": 40}), *failed]))
    assert text.endswith("; vae has no score (2 of 2 trainings failed).")


def test_one_method_and_real_images_that_it_reaches(record: Make, a_run: MakeRun) -> None:
    """It is the only one; that it is not told from real images is said."""
    assert found(a_run(kids(record, {"finetune": 1.001, "oracle": 1}))) == (
        "With 25 training images: finetune is the only method with a score, a distance to real images (KID×10³, lower "
        "is better) of 1.01. Other real images score 1.02, which finetune is not told from."
    )


def test_each_budget_has_its_own_and_table_page_and_terminal_say_it(record: Make, a_run: MakeRun) -> None:
    """Two budgets, one after the other; many names are counted; the text stands in table.md."""
    many = {f"m{i}": 20 + i / 1000 for i in range(8)}
    run = a_run([*kids(record, many), *kids(record, {"m0": 10, "m1": 20}, budget=400)])
    text = found(run)
    assert " With 400 training images: m0 leads" in text
    assert " others. " in text
    assert "Finding: twemoji → openmoji" in part("table").to_markdown(run)
    assert part("_page.setting").verdict is part("_tables.finding").verdict
