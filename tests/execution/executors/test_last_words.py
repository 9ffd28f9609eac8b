"""A process that ends without a word leaves a sentence; one that ends as it should leaves none."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import os, signal
from graftbench.execution.executors.last_words import LastWords

words = LastWords("The node is dead.")
{end}
"""


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "The node is dead.\n"),
        ("os._exit(1)", "The node is dead.\n"),
        ("", ""),
        ("raise SystemExit(2)", ""),
        ("words.withdraw()", ""),
        ("words.withdraw(); words.withdraw()", ""),
    ],
)
def test_the_sentence_is_said_only_where_nothing_else_was(end: str, said: str) -> None:
    """Killed, or ended by a library, the process is spoken for; an end of its own needs nobody."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM.format(end=end)],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == said
