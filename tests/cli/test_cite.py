"""`graftbench cite` as a user meets it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from made_cells import EMOJI_RECORDS

if TYPE_CHECKING:
    from pathlib import Path

    from command_line import Command


@pytest.fixture
def cite(run: Command) -> Command:
    """Run `graftbench cite`."""
    return partial(run, "cite")


def test_it_prints_bibtex_and_nothing_else(cite: Command) -> None:
    """Entries in ASCII on the output, each key once, though the run is given twice."""
    done = cite(EMOJI_RECORDS, EMOJI_RECORDS)
    assert (done.code, done.err) == (0, "")
    assert done.out.isascii()
    assert done.out.count("@inproceedings{wang2018transferring,") == 1
    assert done.out.count("{") == done.out.count("}")
    outside = "".join(part.rpartition("\n}")[2] for part in ("\n}" + done.out).split("\n@"))
    assert "@" not in outside


def test_a_method_that_is_not_known_is_told_beside_it(cite: Command, tmp_path: Path) -> None:
    """The entries stay readable by BibTeX: the sentence goes to the error output, and the exit code says so too."""
    line = EMOJI_RECORDS.read_text("utf-8").splitlines()[0].replace('"method":"finetune"', '"method":"mine"', 1)
    (tmp_path / "records.jsonl").write_text(f"{line}\n", "utf-8")
    done = cite(tmp_path)
    assert done.code == 2
    assert done.err == "graftbench: The method 'mine' is not known here; give its file with --plugin.\n"
    assert "wang2018transferring" not in done.out


def test_no_run_is_a_usage_error(cite: Command, tmp_path: Path) -> None:
    """One sentence with the path, exit code 2."""
    done = cite(tmp_path / "none")
    assert (done.code, done.out) == (2, "")
    assert "none" in done.err
