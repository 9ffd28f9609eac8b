"""Report failures of a command: in a sentence where the fault is the user's or the system's."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback

from graftbench.errors import GraftbenchError
from graftbench.version import __version__

USAGE = 2
"""Exit code of what a user can mend: an unknown name, a file that cannot be read, a disk that is full."""

INTERNAL = 70
"""Exit code of a fault of graftbench or of a plugin (EX_SOFTWARE of sysexits.h): no verdict that 1 would be."""


def report_failure(error: Exception) -> int:
    """Print what went wrong to standard error.

    A fault of ours leaves its traceback in a file of the temporary folder, to be sent along; where none can be written,
    it is printed.

    Returns:
        The exit code.
    """
    if sentence := sentence_of(error):
        print(f"graftbench: {visible(sentence)}", file=sys.stderr)
        return USAGE
    trace = "".join(traceback.format_exception(error))
    text = f"graftbench {__version__}, Python {sys.version}\n{sys.argv}\n\n{trace}"
    name = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    print(f"graftbench: a fault of graftbench or of a plugin, not of yours: {visible(name)}", file=sys.stderr)
    try:
        descriptor, path = tempfile.mkstemp(prefix="graftbench-traceback-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError:
        print(text, file=sys.stderr)
    else:
        print(f"Its traceback is in {path}; please report it with that file.", file=sys.stderr)
    return INTERNAL


def sentence_of(error: Exception) -> str:
    """Return what a user or the system did, in a sentence; empty where the fault is ours."""
    match error:
        case GraftbenchError():
            sentence = str(error)
        case OSError():
            files = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
            short = [name if len(name) <= 100 else f"{name[:60]}… ({len(name)} characters)" for name in files]
            subject = "'{}' cannot be used: ".format("' and '".join(short)) if short else ""
            sentence = f"{subject}{error.strerror or error or type(error).__name__}."
        case UnicodeDecodeError() | UnicodeEncodeError():
            sentence = f"A text is no UTF-8: {error.object[error.start : error.end]!r}."
        case RecursionError():
            sentence = "What was given is nested too deeply to be read."
        case MemoryError():
            sentence = f"There is not enough memory{f': {error}' if str(error) else ''}."
        case RuntimeError() if str(error).startswith("Symlink loop from"):  # pathlib's, until Python 3.13
            sentence = f"{error}: a link that leads to itself."
        case _:
            sentence = ""
    return sentence


def visible(text: str) -> str:
    r"""Return a text with what a terminal would obey, not show, written as its escape (`\x1b`); line breaks stay."""
    return "".join(
        character if character.isprintable() or character == "\n" else character.encode("unicode_escape").decode()
        for character in text
    )
