"""What was run, for whoever wants to run it again: the words of the commands, and the packages of the interpreter."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FILE = "graftbench.json"
"""In `{out}`, written when a command has ended."""

ANSWER_SECONDS = 60

# Nothing is imported from the working directory: any version of Python may answer, so not by the option -P.
QUERY = """
import sys
sys.path = [entry for entry in sys.path if entry]
import importlib.metadata, json
packages = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions() if d.metadata["Name"]}
print(json.dumps({"python": sys.version.split()[0], "packages": dict(sorted(packages.items()))}))
"""


def interpreter(python: str, variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the version and packages of a Python interpreter; empty for one that does not answer."""
    try:
        answer = subprocess.run(  # noqa: S603 - the user's own interpreter
            [python, "-c", QUERY],
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=ANSWER_SECONDS,
        )
        return json.loads(answer.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return {}


def keep(out: Path, what: str, words: Sequence[str], about: Mapping[str, Any]) -> None:
    """Add a command and what is known of its interpreter to the file."""
    file = out / FILE
    try:
        entries = dict(json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        entries = {}
    text = json.dumps({**entries, **about, what: list(words)}, indent=1, ensure_ascii=False)
    out.mkdir(exist_ok=True)
    file.write_text(text + "\n", "utf-8")
