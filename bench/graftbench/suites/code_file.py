"""The file of a run folder that says what code is behind each hash, so that a later plan can name what was edited."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from graftbench.cache import atomic_file
from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from graftbench.suites.plan import Plan

CODE = "code.json"
"""Name of the file: code hash -> definition -> SHA-256 of its contents, of every plan that was run in the folder."""


def known_code(folder: Path) -> dict[str, dict[str, str]]:
    """Return code hash -> definition -> SHA-256, as `note_code` left it; empty where nothing readable lies."""
    try:
        return msgspec.json.decode((folder / CODE).read_bytes(), type=dict[str, dict[str, str]])
    except (OSError, msgspec.MsgspecError, ValueError):
        return {}


def note_code(folder: Path, plan: Plan) -> None:
    """Add the definitions behind a plan's code hashes to the run folder, so that a later plan can name what was edited.

    Called by the one driver that holds the folder. The file is replaced whole; a file that cannot be read is put
    aside as `code.json.damaged`, not overwritten.

    Raises:
        GraftbenchError: The folder cannot be written.
    """
    path, noted = folder / CODE, known_code(folder)
    if noted and plan.code.keys() <= noted.keys():
        return
    try:
        if not noted and path.exists():
            path.replace(path.with_name(f"{CODE}.damaged"))
        with atomic_file(path) as part:
            part.write_bytes(msgspec.json.encode(noted | plan.code, order="sorted"))
    except (OSError, GraftbenchError) as error:
        cause = error.__cause__ or error  # the sentence of `atomic_file` is about the cache
        raise GraftbenchError(f"'{path}' cannot be written ({cause}).") from error


def is_of_whole_files(definitions: Mapping[str, str]) -> bool:
    """Return whether a hash is of an earlier version (before 0.2), which counted whole files and not definitions."""
    return not any("::" in name for name in definitions)
