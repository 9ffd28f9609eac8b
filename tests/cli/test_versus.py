"""`graftbench versus` as a user meets it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest
from made_cells import EMOJI_RECORDS

import graftbench
from graftbench.records.run import read_runs
from graftbench.records.store import append

if TYPE_CHECKING:
    from pathlib import Path

    from command_line import Command


METRICS = ("kid", "kid.vgg16")


def test_the_sentence_comes_first(run: Command) -> None:
    """Then a table of a row a metric and number of images; it is what Python gives."""
    done = run("versus", EMOJI_RECORDS, "finetune", "dcgan")
    answer = graftbench.versus(read_runs([EMOJI_RECORDS]).records, "finetune", "dcgan")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert " ".join(done.out.split()).startswith(answer.sentence)
    assert sum(" images " in line and "%" in line for line in lines[2:]) == 4
    assert "KID ↓" in done.out
    assert "sign flips" in done.out


def test_the_object(run: Command) -> None:
    """`--json` holds what Python gives, unrounded; `--metric` and `--select` choose."""
    done = run("versus", EMOJI_RECORDS, "finetune", "freezed", "--metric", "fid", "--select", "budget=25", "--json")
    found = json.loads(done.out)
    assert [row["metric"] for row in found["rows"]] == ["fid", "fid"]
    assert found["rows"][1]["data_budget"] == 25
    assert found["sentence"].endswith("(2 pairs: 2 seeds, 25 images).") or "seeds more would" in found["sentence"]


def test_a_second_extractor_by_its_name(run: Command, tmp_path: Path) -> None:
    """The metric `kid.vgg16` is printed with the extractor; of reciprocal scores the ratios are reciprocal."""
    for record in read_runs([EMOJI_RECORDS]).records:
        kid = record.score("kid")
        assert kid is not None
        assert kid.value is not None
        second = msgspec.structs.replace(kid, name="kid.vgg16", value=1 / kid.value, protocol="vgg16")
        append(tmp_path / "records.jsonl", msgspec.structs.replace(record, scores=[*record.scores, second]))
    done = run("versus", tmp_path, "finetune", "dcgan", "--metric", "kid.vgg16")
    assert (done.code, done.err) == (0, "")
    assert "KID (vgg16) ↓" in done.out
    rows = [
        json.loads(run("versus", tmp_path, "finetune", "dcgan", "--metric", m, "--json").out)["rows"] for m in METRICS
    ]
    assert rows[0][0]["ratio"] * rows[1][0]["ratio"] == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["finetune", "dcgam"], "Did you mean 'dcgan'"),
        (["finetune", "dcgan", "--metric", "kdi"], "Did you mean 'kid'"),
        (["finetune", "dcgan", "--metric", "cmmd"], "No cell of 'finetune' that ended well has a cmmd."),
        (["finetune", "dcgan", "no/such/run"], "There are no records at 'no/such/run'"),
    ],
)
def test_mistakes_end_with_two(run: Command, arguments: list[str], sentence: str) -> None:
    """One sentence on standard error, nothing on standard output."""
    done = run("versus", EMOJI_RECORDS, *arguments)
    assert (done.code, done.out) == (2, "")
    assert sentence in done.err
    assert len(done.err.splitlines()) == 1
