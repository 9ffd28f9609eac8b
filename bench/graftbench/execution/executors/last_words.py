"""A sentence for when this process ends without one: Ray's core ends its driver at once where its node dies."""

from __future__ import annotations

import atexit
import subprocess

from graftbench.resources.processes import PYTHON

_LISTENER = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
sentence, said = sys.argv[1], sys.stdin.buffer.read()
if not said:
    print(sentence, file=sys.stderr, flush=True)
"""


class LastWords:
    """A small process that prints a sentence to the error output if this one is ended, by a signal or by a library.

    An end of its own, with an error too, calls `withdraw` on the way.

    Args:
        sentence: What to say.
    """

    def __init__(self, sentence: str) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - this very program
            [*PYTHON, "-S", "-c", _LISTENER, sentence], stdin=subprocess.PIPE, start_new_session=True
        )
        atexit.register(self.withdraw)

    def withdraw(self) -> None:
        """Say nothing: the process ends as it should."""
        if self._process.poll() is None:
            self._process.communicate(b"withdrawn")
