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

ASK = """
import importlib.metadata, json, sys
found = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions() if d.metadata["Name"]}
print(json.dumps({"python": sys.version.split()[0], "packages": dict(sorted(found.items()))}))
"""


def interpreter(python: str, variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the version and packages of a Python interpreter; empty for one that does not answer."""
    try:
        asked = subprocess.run(  # noqa: S603 - the user's own interpreter
            [python, "-c", ASK],
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=ANSWER_SECONDS,
        )
        return json.loads(asked.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return {}


def keep(out: Path, what: str, words: Sequence[str], about: Mapping[str, Any]) -> None:
    """Add a command and what is known of its interpreter to the file."""
    file = out / FILE
    try:
        known = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        known = {}
    known = known if isinstance(known, dict) else {}
    text = json.dumps({**known, **about, what: list(words)}, indent=1, ensure_ascii=False)
    out.mkdir(exist_ok=True)
    file.write_text(text + "\n", "utf-8")
