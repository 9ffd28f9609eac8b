"""Nothing that lies in the working directory is imported by the processes that the package starts."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import graftbench
from graftbench.execution.executors.local import LocalExecutor
from graftbench.resources import processes

PACKAGE = Path(graftbench.__file__).parent
SHADOWS = ("timm", "random", "graftbench", "torch", "json")
"""Modules that children import first."""


@pytest.fixture
def shadows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of files named like modules; each leaves a mark when it is imported."""
    for name in SHADOWS:
        mark = tmp_path / f"{name}.imported"
        (tmp_path / f"{name}.py").write_text(f"open({str(mark)!r}, 'w').close()\nraise SystemExit(99)\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_shadows_would_be_imported(shadows: Path) -> None:
    """By a Python that is started without the option: the tests below can fail."""
    done = subprocess.run([sys.executable, "-c", "import random"], check=False)
    assert done.returncode == 99
    assert (shadows / "random.imported").exists()


def test_children_see_none_of_them(shadows: Path) -> None:
    """`-m` and `-c` alike."""
    for arguments in (["-c", "import random, graftbench, json"], ["-m", "graftbench", "--version"]):
        done = subprocess.run([*processes.PYTHON, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert list(shadows.glob("*.imported")) == []


def test_every_python_of_ours_is_started_so() -> None:
    """No other place of the package names the interpreter as a command."""
    named = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if re.search(r"sys\.executable", path.read_text("utf-8"))
    }
    assert named == {"resources/processes.py"}


@pytest.mark.long
def test_the_fork_server_sees_none_of_them(shadows: Path) -> None:
    """It imports torch, timm and every method, and answers."""
    executor = LocalExecutor()
    try:
        answer = executor._spawn().stdout
        assert answer is not None
        assert b"ready" in answer.readline()
    finally:
        executor.close()
    assert list(shadows.glob("*.imported")) == []
