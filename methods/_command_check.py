"""What can be seen of a command before it runs: whether its program and its script are there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from graftbench.errors import GraftbenchError

from ._command_place import search_path

if TYPE_CHECKING:
    from collections.abc import Mapping


def check_program(word: str, python: str, files: Mapping[str, Path], *, what: str) -> None:
    """Refuse a program that cannot be run; one that only the working directory has must be among `code`.

    Raises:
        GraftbenchError: What was looked for, and where.
    """
    if "{" in word:
        return
    if os.sep in word and not Path(word).is_absolute() and Path(word).as_posix() in files:
        return
    if os.sep in word and not Path(word).is_absolute():
        raise GraftbenchError(
            f"`{what}` runs '{word}', which is not among `code`; in the working directory lie {_some(files)}."
        )
    if shutil.which(word, path=search_path(python)) is None:
        there = "is no program that can be run" if Path(word).exists() else "does not exist"
        raise GraftbenchError(f"`{what}` runs '{word}', which {there if os.sep in word else 'is not on the PATH'}.")


def check_script(word: str, files: Mapping[str, Path], *, what: str) -> None:
    """Refuse a script that is not there: the first argument, if it is written as a file of Python or of a shell.

    Raises:
        GraftbenchError: It names those that are.
    """
    path = Path(word)
    if "{" in word or path.suffix not in (".py", ".sh"):
        return
    if path.is_absolute():
        if not path.is_file():
            raise GraftbenchError(f"`{what}` runs '{word}', which does not exist.")
    elif os.path.normpath(word) not in files:
        raise GraftbenchError(
            f"`{what}` runs '{word}', which is not among `code`; in the working directory lie {_some(files)}. "
            f'Write code = ["{word}"], with all else that it needs.'
        )


def _some(files: Mapping[str, Path]) -> str:
    names = sorted(files)
    return ", ".join(names[:5]) + (", …" if names[5:] else "") if names else "no files, for `code` names none"
