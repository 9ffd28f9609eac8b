"""What a failed command says: a sentence for the user's and the system's faults, a file with the traceback for ours."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import pytest
from made_cells import EMOJI_RECORDS

from graftbench.cli import run_command
from graftbench.cli.failures import INTERNAL, sentence_of, visible
from graftbench.errors import GraftbenchError


def exit_code(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Run a command in this process."""
    monkeypatch.setattr(sys, "argv", ["graftbench", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        run_command()
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (GraftbenchError("It is so."), "It is so."),
        (FileExistsError(17, "File exists", "a/b"), "'a/b' cannot be used: File exists."),
        (OSError(18, "Invalid cross-device link", "a", None, "b"), "'a' and 'b' cannot be used: Invalid cross-device"),
        (OSError(28, "No space left on device"), "No space left on device."),
        (OSError(36, "File name too long", "x" * 300), f"'{'x' * 60}… (300 characters)' cannot be used"),
        (UnicodeDecodeError("utf-8", b"a\xff", 1, 2, "bad"), r"A text is no UTF-8: b'\xff'."),
        (RecursionError(), "What was given is nested too deeply to be read."),
        (MemoryError(), "There is not enough memory."),
        (RuntimeError("Symlink loop from 'a'"), "Symlink loop from 'a': a link that leads to itself."),
        (RuntimeError("else"), ""),
        (ZeroDivisionError("division by zero"), ""),
    ],
)
def test_what_is_not_ours_is_a_sentence(error: Exception, sentence: str) -> None:
    """Each names what it is about; of what is ours there is none."""
    assert sentence_of(error).startswith(sentence)
    assert bool(sentence) == bool(sentence_of(error))


def test_the_traceback_of_a_fault_of_ours_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The terminal has two lines, the file all of it; the exit code is no verdict of a comparison."""

    def broken(_: object) -> None:
        raise ZeroDivisionError("by \x1b[31mzero")

    monkeypatch.setattr("graftbench.records.run.read_runs", broken)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert exit_code(monkeypatch, "cite", EMOJI_RECORDS) == INTERNAL == 70
    said = capsys.readouterr().err
    assert said.startswith(
        "graftbench: a fault of graftbench or of a plugin, not of yours: ZeroDivisionError: by \\x1b[31m"
    )
    (file,) = re.findall(r"traceback is in (\S+);", said)
    text = Path(file).read_text("utf-8")
    assert "in broken" in text
    assert str(EMOJI_RECORDS) in text

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    assert exit_code(monkeypatch, "cite", EMOJI_RECORDS) == INTERNAL
    assert "in broken" in capsys.readouterr().err


def test_a_terminal_shows_and_does_not_obey() -> None:
    """Escape sequences and other control characters are written out; letters of any script stay."""
    assert visible("a\x1b[31m\x07\tß→\n\u202eb") == "a\\x1b[31m\\x07\\tß→\n\\u202eb"


def test_names_in_errors_are_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In sentences of ours, and in those about the usage."""
    for arguments in (["plan", "red\x1b[31m.toml"], ["plan", "x.toml", "--red\x1b[31m"], ["run\x1b[31m"]):
        assert exit_code(monkeypatch, *arguments) == 2
        printed = capsys.readouterr()
        assert "\\x1b[31m" in printed.err + printed.out
        assert "\x1b[31m" not in printed.err + printed.out


def test_a_text_without_a_line_is_no_empty_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Only what begins like a record was left unfinished by a killed writer."""
    (tmp_path / "notes.txt").write_text("no line ends here")
    assert exit_code(monkeypatch, "claims", tmp_path / "notes.txt") == 2
    assert "line 1 is no record" in capsys.readouterr().err
    (tmp_path / "records.jsonl").write_text('{"format":1,"id":"ab')
    assert exit_code(monkeypatch, "claims", tmp_path / "records.jsonl") == 0


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_the_largest_numbers_are_numbers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A score of 1e308, whose sums and squares are infinite: read, compared and written, or refused in a sentence."""
    lines = EMOJI_RECORDS.read_text("utf-8").splitlines()
    score = re.compile(r'("name":"(?:fid|kid)","value":)-?[0-9.e-]+')
    lines[::2] = [score.sub(r"\g<1>1e308", line) for line in lines[::2]]
    assert "".join(lines).count("1e308") >= 18
    (tmp_path / "records.jsonl").write_text("\n".join([*lines, ""]), "utf-8")
    for arguments in (
        ["report", tmp_path, "--format", "md,csv"],
        ["claims", tmp_path],
        ["compare", EMOJI_RECORDS.parent, tmp_path],
        ["compare", tmp_path, tmp_path],
        ["track", "add", tmp_path, "--history", tmp_path / "history", "--commit", "abc", "--date", "2026-01-31"],
        ["track", "show", tmp_path / "history"],
    ):
        code = exit_code(monkeypatch, *arguments)
        assert code in (0, 1, 2, 3), (arguments, capsys.readouterr().err)


@pytest.mark.parametrize("seconds", ["nan", "inf", "1e308", "-1", "0"])
def test_a_limit_that_is_none_is_refused(
    seconds: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No number, one that no timer takes, or none above 0: at once, as a mistake of usage."""
    assert exit_code(monkeypatch, "check", "none.py", "--seconds", seconds) == 2
    printed = capsys.readouterr()
    assert "Must be" in printed.err + printed.out
