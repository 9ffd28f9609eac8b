"""The command line as a user meets it, in the process of the tests: torch is imported once for all of them."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING

import pytest
from command_line import Command, Done

from graftbench.cli import run_command

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command as the console script does, with `sys.argv`, which cyclopts takes for a mistake in a test."""

    def command(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["graftbench", *map(str, arguments)])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Cyclopts application invoked without tokens")
            with pytest.raises(SystemExit) as ended:
                run_command()
        printed = capsys.readouterr()
        return Done(int(ended.value.code or 0), printed.out, printed.err)

    return command
