"""`graftbench claims` as a user meets it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from graftbench.cli import main
from graftbench.cli.claims import _probability, _signed
from graftbench.comparison.claims import CLAIMS, check_claims
from graftbench.records.run import read_runs

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")
"""The command line is called as the console script calls it, with `sys.argv`; cyclopts takes that for a mistake."""

RECORDS = Path(__file__).parents[2] / "docs" / "quick" / "records.jsonl"


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run `graftbench claims` in this process, at 100 columns."""
    monkeypatch.setenv("COLUMNS", "100")

    def command(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["graftbench", "claims", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Done(int(ended.value.code or 0), printed.out, printed.err)

    return command


def test_the_table(run: Callable[..., Done]) -> None:
    """On the committed records: every claim that is answered, within 100 columns; the others in a line; the counts."""
    done = run(RECORDS, "--level", "0.5")
    assert (done.code, done.err) == (0, "")
    assert max(map(len, done.out.splitlines())) <= 100
    words = " ".join(done.out.replace("│", " ").split())
    checked = check_claims(read_runs([RECORDS]).records, level=0.5)
    answered = [finding for finding in checked.findings if finding.verdict != "not enough data"]
    assert 0 < len(answered) < len(CLAIMS)
    for finding in answered:
        assert finding.statement.split()[-1] in words
    assert done.out.count("arXiv") == sum("arXiv" in finding.source for finding in answered)
    assert words.count("not enough data") == 1
    assert f"{checked.cells} cells. Few images: {checked.few}; many: {checked.many}." in words
    assert "level 0.5, not corrected for many claims." in words


def test_the_object(run: Callable[..., Done]) -> None:
    """`--json` holds what Python gives, unrounded."""
    done = run(RECORDS, "--json", "--level", "0.25")
    found = json.loads(done.out)
    checked = check_claims(read_runs([RECORDS]).records, level=0.25)
    assert (found["level"], found["cells"], found["few"]) == (0.25, checked.cells, checked.few)
    assert [one["p"] for one in found["findings"]] == [one.p for one in checked.findings]
    assert [one["verdict"] for one in found["findings"]] == [one.verdict for one in checked.findings]


def test_one_markdown_table(run: Callable[..., Done]) -> None:
    """A row a claim, as many cells in each, the papers linked, nothing else."""
    lines = run(RECORDS, "--markdown").out.splitlines()
    assert len(lines) == 2 + len(CLAIMS)
    assert {line.count(" | ") for line in lines} == {6}
    assert lines[1] == "| --- | --- | --- | ---: | ---: | ---: | --- |"
    assert "[1805.01677](https://arxiv.org/abs/1805.01677)" in lines[2]


def test_an_empty_run(run: Callable[..., Done], tmp_path: Path) -> None:
    """Nothing is an error: all claims lack data, which one line says, and the command ends with 0."""
    (tmp_path / "records.jsonl").write_text("")
    done = run(tmp_path)
    assert (done.code, done.err) == (0, "")
    (line,) = (line for line in done.out.splitlines() if "not enough data" in line)
    assert line.startswith(f"{len(CLAIMS)} claims have not enough data here: no cells (6)")
    assert done.out.splitlines()[0] == "0 cells."
    assert "\n".join(done.out.splitlines()[1:]).count("not enough data") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["no/such/run"], "There are no records at 'no/such/run'"),
        ([str(RECORDS), "no/such/run"], "There are no records at 'no/such/run'"),
        ([str(RECORDS), "--level", "5"], "above 0 and at most 0.5; found 5"),
        ([str(RECORDS), "--level", "0"], "above 0 and at most 0.5; found 0"),
    ],
)
def test_mistakes_end_with_two(run: Callable[..., Done], arguments: list[str], sentence: str) -> None:
    """One sentence on standard error, nothing on standard output."""
    done = run(*arguments)
    assert (done.code, done.out) == (2, "")
    assert sentence in done.err
    assert len(done.err.splitlines()) == 1


def test_records_of_two_protocols(run: Callable[..., Done], tmp_path: Path) -> None:
    """Two runs that were scored in different ways are refused; what differs is named."""
    text = RECORDS.read_text("utf-8").replace('"n_generated":600,"reference"', '"n_generated":60,"reference"')
    (tmp_path / "records.jsonl").write_text(text.replace('{"id":"', '{"id":"other-'), "utf-8")
    done = run(RECORDS, tmp_path)
    assert done.code == 2
    count = len(text.splitlines())
    assert f"(n_generated 600; {count} cells)" in done.err
    assert f"(n_generated 60; {count} cells)" in done.err


def test_cells_that_failed_are_counted(run: Callable[..., Done], tmp_path: Path) -> None:
    """They are left out, and the line below the table says how many."""
    lines = RECORDS.read_text("utf-8").splitlines(keepends=True)
    changed = [line.replace('"status":"ok"', '"status":"oom"') for line in lines[:3]]
    (tmp_path / "records.jsonl").write_text("".join([*changed, *lines[3:]]), "utf-8")
    assert f"{len(lines) - 3} cells, 3 that did not end well left out." in run(tmp_path).out


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3903.035, "+3,903"),
        (999.6, "+1,000"),
        (-56.41, "−56.4"),
        (0.02691, "+0.0269"),
        (-0.9, "−0.900"),
        (0.0, "0"),
        (123.4, "+123"),
    ],
)
def test_differences_have_a_sign(value: float, text: str) -> None:
    """Three significant digits or all before the point; a real minus; none for 0."""
    assert _signed(value) == text


@pytest.mark.parametrize(("p", "text"), [(1.0, "1.000"), (0.03125, "0.031"), (1 / 16385, "6e-05")])
def test_p_is_never_printed_as_zero(p: float, text: str) -> None:
    """Three decimals; a power of ten below a thousandth."""
    assert _probability(p) == text
