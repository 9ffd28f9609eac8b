"""`graftbench versus` as a user meets it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from made_cells import EMOJI_RECORDS

import graftbench
from graftbench.records.run import read_runs

if TYPE_CHECKING:
    from command_line import Command


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
