"""`graftbench claims` as a user meets it."""

from __future__ import annotations

import json
import math
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import pytest
from made_cells import EMOJI_RECORDS

from graftbench.comparison.claims import CLAIMS, Finding, check_claims
from graftbench.records.run import read_runs
from graftbench.records.store import append, read

if TYPE_CHECKING:
    from pathlib import Path

    from command_line import Command


@pytest.fixture
def run(run: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run `graftbench claims` at 100 columns."""
    monkeypatch.setenv("COLUMNS", "100")
    return partial(run, "claims")


def test_the_table(run: Command) -> None:
    """On the committed records: every claim that is answered, within 100 columns; the others in a line; the counts."""
    done = run(EMOJI_RECORDS, "--level", "0.5")
    assert (done.code, done.err) == (0, "")
    assert max(map(len, done.out.splitlines())) <= 100
    words = " ".join(done.out.replace("│", " ").split())
    checked = check_claims(read_runs([EMOJI_RECORDS]).records, level=0.5)
    answered = [finding for finding in checked.findings if finding.verdict != "not enough data"]
    assert 0 < len(answered) < len(CLAIMS)
    for finding in answered:
        assert finding.statement.split()[-1] in words
    assert done.out.count("arXiv") == sum("arXiv" in finding.source for finding in answered)
    assert words.count("not enough data") == 1
    assert f"{checked.cells} cells. Few images: {checked.few}; many: {checked.many}." in words
    assert "level 0.5, not corrected for many claims." in words


def test_the_object(run: Command) -> None:
    """`--json` holds what Python gives, unrounded."""
    done = run(EMOJI_RECORDS, "--json", "--level", "0.25")
    found = json.loads(done.out)
    checked = check_claims(read_runs([EMOJI_RECORDS]).records, level=0.25)
    assert (found["level"], found["cells"], found["few"]) == (0.25, checked.cells, checked.few)
    assert [one["p"] for one in found["findings"]] == [one.p for one in checked.findings]
    assert [one["verdict"] for one in found["findings"]] == [one.verdict for one in checked.findings]


def test_one_markdown_table(run: Command) -> None:
    """A row a claim, as many cells in each, the papers linked, nothing else."""
    lines = run(EMOJI_RECORDS, "--markdown").out.splitlines()
    assert len(lines) == 2 + len(CLAIMS)
    assert {line.count(" | ") for line in lines} == {6}
    assert lines[1] == "| --- | --- | --- | ---: | ---: | ---: | --- |"
    assert "[1805.01677](https://arxiv.org/abs/1805.01677)" in lines[2]


def test_an_empty_run(run: Command, tmp_path: Path) -> None:
    """Nothing is an error: all claims lack data, which one line says, and the command ends with 0."""
    (tmp_path / "records.jsonl").write_text("")
    done = run(tmp_path)
    assert (done.code, done.err) == (0, "")
    (line,) = (line for line in done.out.splitlines() if "not enough data" in line)
    assert line.startswith(f"{len(CLAIMS)} claims have not enough data here: no cells (7)")
    assert done.out.splitlines()[0] == "0 cells."
    assert "\n".join(done.out.splitlines()[1:]).count("not enough data") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["no/such/run"], "There are no records at 'no/such/run'"),
        ([str(EMOJI_RECORDS), "no/such/run"], "There are no records at 'no/such/run'"),
        ([str(EMOJI_RECORDS), "--level", "5"], "above 0 and at most 0.5; found 5"),
        ([str(EMOJI_RECORDS), "--level", "0"], "above 0 and at most 0.5; found 0"),
    ],
)
def test_mistakes_end_with_two(run: Command, arguments: list[str], sentence: str) -> None:
    """One sentence on standard error, nothing on standard output."""
    done = run(*arguments)
    assert (done.code, done.out) == (2, "")
    assert sentence in done.err
    assert len(done.err.splitlines()) == 1


def test_records_of_two_protocols(run: Command, tmp_path: Path) -> None:
    """Two runs that were scored in different ways are refused; what differs is named."""
    records, _ = read(EMOJI_RECORDS)
    for record in records:
        protocol = msgspec.structs.replace(record.cell.protocol, n_generated=60)
        cell = msgspec.structs.replace(record.cell, protocol=protocol)
        append(tmp_path / "records.jsonl", msgspec.structs.replace(record, id=cell.id, cell=cell, artifacts={}))
    done = run(EMOJI_RECORDS, tmp_path)
    assert done.code == 2
    count = len(records)
    assert f"(n_generated 600; {count} cells)" in done.err
    assert f"(n_generated 60; {count} cells)" in done.err


def test_cells_that_failed_are_counted(run: Command, tmp_path: Path) -> None:
    """They are left out, and the line below the table says how many."""
    lines = EMOJI_RECORDS.read_text("utf-8").splitlines(keepends=True)
    changed = [line.replace('"status":"ok"', '"status":"oom"') for line in lines[:3]]
    (tmp_path / "records.jsonl").write_text("".join([*changed, *lines[3:]]), "utf-8")
    assert f"{len(lines) - 3} cells, 3 that did not end well left out." in run(tmp_path).out


@pytest.mark.parametrize(
    ("value", "is_ratio", "text"),
    [
        (math.log(1.5), True, "+50 %"),
        (-math.log(4), True, "−75 %"),
        (0.02691, False, "+0.0269"),
        (-0.9, False, "−0.900"),
        (0.0, False, "0.00"),
    ],
)
def test_differences_have_a_sign(value: float, is_ratio: bool, text: str) -> None:  # noqa: FBT001
    """Ratios as shares, others with three significant digits; a real minus; none for 0."""
    finding = Finding(name="", statement="", source="", verdict="holds", difference=value, is_ratio=is_ratio)
    assert finding.printed_difference == text


@pytest.mark.parametrize(("p", "text"), [(1.0, "1.00"), (0.03125, "0.031"), (1 / 16385, "< 0.0001")])
def test_p_is_never_printed_as_zero(p: float, text: str) -> None:
    """Two significant digits; below a ten thousandth that it is."""
    assert Finding(name="", statement="", source="", verdict="holds", p=p).printed_p == text
