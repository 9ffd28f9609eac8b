"""Nonsense at the command line: whatever is given, a sentence and an exit code come back, never a traceback.

The cases are drawn from a fixed seed. Nothing among them is a suite, a domain or a run, so nothing is trained.
"""

from __future__ import annotations

import inspect
import os
import random
import sys
import tempfile
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from graftbench.cli import run_command
from graftbench.cli.commands import COMMANDS
from graftbench.cli.failures import INTERNAL, sentence_of
from graftbench.suites.plan import make_plan
from graftbench.suites.suite import load_suite

if TYPE_CHECKING:
    from pathlib import Path

LONG = "x" * 300
"""Longer than a file system's names."""

WORDS = (
    *("loop", "loop.toml", "loop/x", "file", "file/x", "folder", "folder.toml", "bytes.toml", "text.txt", "nul"),
    *(LONG, f"{LONG}.toml", f"{LONG}.py", f"folder:{LONG}", "folder:loop", "folder:", ":", "zip:file", "npz:text.txt"),
    *("", " ", "-1", "nan", "inf", "1e308", "99999999999", "9" * 5000, "²", "a->b@²", "none->x@32", "a->b@1048576"),
    *(
        "none",
        "@",
        "\x1b[31mred",
        "a\tb",
        "\udcff",
        "é",
        "{budget}",
        "%s",
        "a=b",
        "=",
        "a=",
        "../..",
        "/",
        "~no/x",
        "*",
        "[",
    ),
    *("method=", "budget<=x", "0/0", "3/2", "kid=%", "md=", "8 kimg", "nan kimg", "main", "x.npz", "empty.npz", "x.py"),
)

SUITE_VALUES = (
    *("-1", "0", "nan", "inf", "1e308", "9" * 30, "9" * 5000, '""', "[]", "{}", "true", "[[[]]]", "'''", "1979-05-27"),
    *('"\\u001b[31m"', '"none->none@8"', '"a->b@²"', '"a->b@99999999999"', '["a", 1]', "{ kimg = -1 }", "[" * 5000),
)

SUITE = """\
name = "s"
title = "t"
tasks = ["none->nothing@32"]
methods = ["gaussian"]
data_budgets = [25]
compute_budget = { kimg = 8 }
seeds = [0]
snapshots = [0.5]
checkpoint_seconds = 60
resize = "bicubic"
cells = 0
task_budgets = { }
parameters = { }
variants = { x = { method = "gaussian", parameters = { components = 3 } } }
source_models = { gan = { kimg = 1, seed = 0 } }
limits = { cell_seconds = 3 }
samples = [{ method = "m", path = "p", task = "none->nothing@32", data_budget = 25 }]
protocol = { n_generated = 10, metrics = ["kid"] }
"""


@pytest.fixture
def odd_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the current folder one with link loops, files that are none, and a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRAFTBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("loop", "loop.toml"):
        (tmp_path / name).symlink_to(name)
    for name in ("folder", "folder.toml"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").write_bytes(b"x\n")
    (tmp_path / "text.txt").write_bytes(b"no line ends here")
    (tmp_path / "nul").write_bytes(bytes(64))
    (tmp_path / "bytes.toml").write_bytes(b'name = "\xff"')
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 no archive")
    (tmp_path / "x.py").write_text("1 / 0\n")
    return tmp_path


def exit_code(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a command line in this process."""
    monkeypatch.setattr(sys, "argv", ["graftbench", *arguments])
    with pytest.raises(SystemExit) as ended:
        run_command()
    return ended.value.code if isinstance(ended.value.code, int) else 0


def options_of(command: str) -> list[str]:
    """Return the options of a command, as its function has them, and those with another name."""
    group, _, verb = command.rpartition(" ")
    module = import_module(f"graftbench.cli.{(group or verb).replace('-', '_')}")
    parameters = inspect.signature(getattr(module, verb.replace("-", "_"))).parameters.values()
    return [f"--{p.name.replace('_', '-')}" for p in parameters if p.kind is p.KEYWORD_ONLY] + ["--format"]


SKIPPED = ("doctor", "completion", "selftest", "court")
"""Commands that take nothing that could be nonsense, and two that would take minutes each time."""


@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in SKIPPED])
def test_no_command_line_ends_in_a_traceback(
    command: str, odd_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twelve lines a command: words and options by chance."""
    rng = random.Random(f"17 {command}")  # noqa: S311 - no secret
    options = options_of(command)
    for _ in range(12):
        words = rng.choices(WORDS, k=rng.randint(0, 3))
        for option in rng.sample(options, k=min(len(options), rng.randint(0, 3))):
            words += [option, rng.choice(WORDS)]
        code = exit_code([*command.split(), *words], monkeypatch)
        printed = capsys.readouterr()
        assert code != INTERNAL, (command, words, printed.err, [p.read_text() for p in odd_folder.glob("*traceback*")])
        assert code in (0, 1, 2, 3)
        assert "Traceback" not in printed.err
        assert "\x1b[31m" not in printed.err


def refusal(suite_file: Path) -> str:
    """Return the sentence with which the plan of a suite is refused; empty where it is a fault of ours, or none."""
    try:
        make_plan(load_suite(suite_file), suite_file.parent / "cache")
    except Exception as error:  # noqa: BLE001 - as the command line does
        return sentence_of(error)
    return ""


@pytest.mark.parametrize("key", [line.split(" =", 1)[0] for line in SUITE.splitlines()])
def test_no_suite_file_ends_in_a_traceback(
    key: str, odd_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each key with each odd value, and files cut and mixed by chance: refused, for the target is no domain.

    The last goes through the command line; of the others the plan alone is made, and what it raises has a sentence.
    """
    rng = random.Random(f"17 {key}")  # noqa: S311 - no secret
    lines = SUITE.splitlines(keepends=True)
    texts = [
        "".join(f"{key} = {value}\n" if line.startswith(f"{key} =") else line for line in lines)
        for value in SUITE_VALUES
    ]
    for _ in range(4):
        start, end = sorted(rng.sample(range(len(SUITE)), 2))
        texts += [SUITE[:start] + SUITE[end:], SUITE[:start] + rng.choice("[]{}\"'=\n\0\ufeff²") + SUITE[start:]]
    file = odd_folder / "suite.toml"
    for text in texts:
        file.write_bytes(os.fsencode(text))
        assert refusal(file), text
    code = exit_code(["plan", "suite.toml"], monkeypatch)
    printed = capsys.readouterr()
    assert code == 2, (texts[-1], printed.err, [path.read_text() for path in odd_folder.glob("*traceback*")])
    assert "Traceback" not in printed.err
    assert "\x1b" not in printed.err
