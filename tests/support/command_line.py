"""What tests of the command line share: how a command ended, and what a program imports."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Command: TypeAlias = Callable[..., Done]
"""Runs `graftbench` with some arguments."""


def graftbench(*arguments: str | Path, cwd: Path | None = None) -> Done:
    """Run the command in a process of its own."""
    return _run(["-m", "graftbench", *map(str, arguments)], cwd)


def imports_of(code: str, names: Iterable[str], cwd: Path | None = None) -> tuple[set[str], str]:
    """Run Python code in a process of its own; return which of these packages it imported, and what it printed."""
    done = _run(["-c", f"{code}\nimport sys\nprint(*({set(names)!r} & set(sys.modules)))"], cwd)
    assert done.code == 0, done.err
    *printed, last = done.out.splitlines()
    return set(last.split()), "\n".join(printed)


def _run(arguments: list[str], cwd: Path | None) -> Done:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=cwd)
    return Done(done.returncode, done.stdout, done.stderr)
