"""Two versions of the code on one machine, by turns: what the machine does meanwhile, it does to both.

Costs of two runs made at different times differ by what else the machine did. Repeats that alternate (base, new, new,
base, …) meet the same disturbances, drifts cancel to first order, and `compare` takes the median over repeats of the
difference between neighbours.
"""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING, Literal

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

Name = Literal["base", "new"]

FINE = (0, 3)
"""Exit codes of `graftbench run` after which there are records: all cells ended well, or some failed."""


def order(repeats: int) -> list[tuple[Name, int]]:
    """Return who runs when: base 1, new 1, new 2, base 2, and so on.

    Each is followed by the other side as often as it follows it, so that a steady drift falls on both alike.

    Raises:
        GraftbenchError: Fewer than one repeat.
    """
    if repeats < 1:
        raise GraftbenchError(f"At least one repeat is needed; found {repeats}.")
    turns: list[tuple[Name, int]] = []
    base: Name = "base"
    new: Name = "new"
    for i in range(1, repeats + 1):
        turns.extend([(base, i), (new, i)] if i % 2 else [(new, i), (base, i)])
    return turns


def interleave(
    commands: dict[Name, str],
    arguments: Sequence[str],
    out: Path,
    repeats: int,
    *,
    tell: Callable[[str], None] = lambda _: None,
) -> None:
    """Run a suite by turns into out/base/1, out/new/1, …; what is finished there already is not run again.

    Args:
        commands: How each side's graftbench is called, arguments included (`../main/.venv/bin/graftbench`).
        arguments: What follows `run`: the suite and its options, without `--out`.
        out: Folder of both sides.
        repeats: How often each side runs.
        tell: Gets a line before each run.

    Raises:
        GraftbenchError: A command is not there, or it ended without records.
    """
    width = len(str(repeats))
    for turn, (side, i) in enumerate(order(repeats), start=1):
        folder = out / side / f"{i:0{width}}"
        tell(f"[{turn}/{2 * repeats}] {side} {i}: {folder}")
        command = [*shlex.split(commands[side]), "run", *arguments, "--out", str(folder)]
        try:
            process = subprocess.run(command, check=False)  # noqa: S603 - the caller's own command
        except OSError as error:
            raise GraftbenchError(f"The {side}'s command '{commands[side]}' cannot be started: {error}.") from error
        if process.returncode not in FINE:
            raise GraftbenchError(
                f"The {side}'s command ended with exit code {process.returncode}: {shlex.join(command)}. "
                "What is finished is kept; the same command goes on there."
            )
