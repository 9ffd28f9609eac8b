"""`graftbench cite` as a user meets it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from graftbench.cli import main

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
def cite(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run `graftbench cite` in this process: the methods, and torch, are imported once for all tests."""

    def command(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["graftbench", "cite", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Done(int(ended.value.code or 0), printed.out, printed.err)

    return command


def test_it_prints_bibtex_and_nothing_else(cite: Callable[..., Done]) -> None:
    """Entries in ASCII on the output, each key once, though the run is given twice."""
    done = cite(RECORDS, RECORDS)
    assert (done.code, done.err) == (0, "")
    assert done.out.isascii()
    assert done.out.count("@inproceedings{wang2018transferring,") == 1
    assert done.out.count("{") == done.out.count("}")
    outside = "".join(part.rpartition("\n}")[2] for part in ("\n}" + done.out).split("\n@"))
    assert "@" not in outside


def test_a_method_that_is_not_known_is_told_beside_it(cite: Callable[..., Done], tmp_path: Path) -> None:
    """The entries stay readable by BibTeX: the sentence goes to the error output, and the exit code says so too."""
    line = RECORDS.read_text("utf-8").splitlines()[0].replace('"method":"finetune"', '"method":"mine"', 1)
    (tmp_path / "records.jsonl").write_text(f"{line}\n", "utf-8")
    done = cite(tmp_path)
    assert done.code == 2
    assert done.err == "graftbench: The method 'mine' is not known here; give its file with --plugin.\n"
    assert "wang2018transferring" not in done.out


def test_no_run_is_a_usage_error(cite: Callable[..., Done], tmp_path: Path) -> None:
    """One sentence with the path, exit code 2."""
    done = cite(tmp_path / "none")
    assert (done.code, done.out) == (2, "")
    assert "none" in done.err
