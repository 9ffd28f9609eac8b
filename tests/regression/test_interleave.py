"""Two versions by turns."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from graftbench.errors import GraftbenchError
from graftbench.regression.interleave import interleave, order

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """
import sys
from pathlib import Path
name, *arguments = sys.argv[1:]
out = Path(arguments[arguments.index("--out") + 1])
out.mkdir(parents=True)
with (out.parents[1] / "log").open("a") as log:
    print(name, *arguments, file=log)
sys.exit({code})
"""


def script(folder: Path, code: int = 0) -> str:
    """A command that notes how it was called."""
    file = folder / f"fake{code}.py"
    file.write_text(SCRIPT.replace("{code}", str(code)))
    return f"{sys.executable} {file}"


def test_each_side_follows_the_other_as_often_as_it_is_followed() -> None:
    """A steady drift of the machine falls on both sides alike: the mean turns are equal for an even number."""
    turns = order(4)
    assert [side for side, _ in turns] == ["base", "new", "new", "base", "base", "new", "new", "base"]
    places = {side: [i for i, turn in enumerate(turns) if turn[0] == side] for side in ("base", "new")}
    assert sum(places["base"]) == sum(places["new"])
    assert [i for _, i in turns] == [1, 1, 2, 2, 3, 3, 4, 4]


def test_no_repeat_is_an_error() -> None:
    """Zero runs would compare nothing."""
    with pytest.raises(GraftbenchError, match="At least one repeat is needed; found 0"):
        order(0)


def test_both_commands_run_by_turns_with_the_same_arguments(tmp_path: Path) -> None:
    """Each into a folder of its own; cells that failed (exit code 3) do not end the series."""
    commands = {"base": f"{script(tmp_path, 3)} b", "new": f"{script(tmp_path)} n"}
    lines: list[str] = []
    interleave(commands, ["quick", "--jobs", "1"], tmp_path / "ab", 2, tell=lines.append)  # pyright: ignore[reportArgumentType]
    called = (tmp_path / "ab" / "log").read_text().splitlines()
    ab = tmp_path / "ab"
    expected = [("b", "base", 1), ("n", "new", 1), ("n", "new", 2), ("b", "base", 2)]
    assert called == [f"{name} run quick --jobs 1 --out {ab / side / str(i)}" for name, side, i in expected]
    assert lines[0] == f"[1/4] base 1: {ab / 'base' / '1'}"


def test_a_command_that_is_not_there_or_breaks_is_named(tmp_path: Path) -> None:
    """With its side, its exit code and what was called."""
    with pytest.raises(GraftbenchError, match="The base's command 'no-such-command' cannot be started"):
        interleave({"base": "no-such-command", "new": "x"}, ["quick"], tmp_path, 1)
    with pytest.raises(GraftbenchError, match=r"The base's command ended with exit code 2: .* run quick --out"):
        interleave({"base": f"{script(tmp_path, 2)} b", "new": "x"}, ["quick"], tmp_path, 1)
