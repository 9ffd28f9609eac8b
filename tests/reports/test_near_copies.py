"""Rows whose images are near copies of training images: said in tables, the finding and the page."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

import msgspec
import pytest
from report_parts import part

if TYPE_CHECKING:
    from report_parts import Make, MakeRun

    from graftbench.records.record import Record

SAID = "near copies in 1 of 2 trainings: the images lie nearer to the training images than new real images do"


def with_z(record: Record, z: float) -> Record:
    """Set C_T."""
    scores = [msgspec.structs.replace(s, value=z) if s.name == "copying_z" else s for s in record.scores]
    return msgspec.structs.replace(record, scores=scores)


def cells(make: Make, method: str, *zs: float) -> list[Record]:
    """A cell a seed with these C_T."""
    return [with_z(make(method, 25, seed, full=True), z) for seed, z in enumerate(zs)]


def test_the_table_has_a_footnote_and_the_finding_a_clause(record: Make, a_run: MakeRun) -> None:
    """Of the method alone: the memorizer is a row of copies by its name."""
    run = a_run([*cells(record, "finetune", 1, -5), *cells(record, "freezed", 0, 2), *cells(record, "memorizer", -9)])
    text = part("table").to_markdown(run)
    (note,) = re.findall(r"^(\d+)\. N" + SAID[1:] + r" \(C\\?_T −5\.0, ", text, re.MULTILINE)
    assert re.search(rf"^\| finetune<sup>{note}</sup> \| 25", text, re.MULTILINE)
    assert not re.search(rf"^\| (freezed|memorizer)<sup>[\d,]*{note}\b", text, re.MULTILINE)
    assert "the images of finetune are near copies of training images" in text


def test_the_finding_has_the_largest_share_that_is_known(record: Make, a_run: MakeRun) -> None:
    """8 % in one training and 7 % in the other are up to 8 %; 11 % of one that is not near copies say nothing."""

    def with_share(one: Record, share: float) -> Record:
        (score,) = [score for score in one.scores if score.name == "authpct"]
        copies = msgspec.structs.replace(score, name="copies", value=share, interval=(share - 0.02, share + 0.02))
        return msgspec.structs.replace(one, scores=[*(s for s in one.scores if s.name != "copies"), copies])

    shares = zip(cells(record, "finetune", -5, -5, 1), (0.08, 0.07, 0.11), strict=True)
    (single,) = cells(record, "vae", -5)
    run = a_run([*(with_share(*each) for each in shares), with_share(single, 0.25), *cells(record, "freezed", -4)])
    text = part("table").to_markdown(run)
    assert "up to 8 % of the images of finetune" in text
    assert "25 % of the images of vae" in text


def test_the_page_says_it_beside_the_rank_and_in_the_chart(record: Make, a_run: MakeRun) -> None:
    """Short in the ranking, in full under Memorisation; nothing of rows that do not copy."""
    run = a_run([*cells(record, "finetune", 1, -5), *cells(record, "freezed", 0, 2)])
    text = html.unescape(part("page").render(run, None))
    assert text.count('<span class="note">near copies of training images: see Memorisation</span>') == 1
    assert text.count(f'<p class="near-copies"><strong>finetune.</strong> N{SAID[1:]} (C_T −5.0') == 1
    clean = part("page").render(a_run(cells(record, "freezed", 0, 2)), None)
    assert "near copies of training" not in clean


@pytest.mark.slow
def test_the_page_draws_the_share_of_copies_beside_the_distance(record: Make, a_run: MakeRun) -> None:
    """In per cent, the largest first; where it was not scored there is no such chart."""
    without = [record(method, full=True) for method in ("dcgan", "vae")]
    shares = zip(without, (0.03, 0.98), strict=True)
    with_shares = [
        msgspec.structs.replace(
            one, scores=[*one.scores, msgspec.structs.replace(one.scores[0], name="copies", value=share)]
        )
        for one, share in shares
    ]
    text = part("page").render(a_run(with_shares), None)
    (chart,) = re.findall(r"<h4>Copies %</h4>(.*?)</figure>", text, re.DOTALL)
    rows = re.findall(r'<span class="name">(\w+)</span>.*?<span class="value">([\d.]+)</span>', chart)
    assert [(name, float(value)) for name, value in rows] == [("vae", 98.0), ("dcgan", 3.0)]
    assert "<h4>Train distance</h4>" in text
    assert "<h4>Copies %</h4>" not in part("page").render(a_run(without), None)
