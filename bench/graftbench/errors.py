"""Errors that a user can mend: what was found, what was expected, and the nearest valid name."""

from __future__ import annotations

import errno
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class GraftbenchError(Exception):
    """A usage error: a bad suite, an unknown name, unusable data. The command line prints it and exits with 2."""


DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a full disk."""


def is_disk_full(error: BaseException | None) -> bool:
    """Return whether an error is that of a full disk, or came of one, whatever it was turned into on the way."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


def unknown(kind: str, name: str, known: Iterable[str], *, where: str = "") -> GraftbenchError:
    """Make an error that names the nearest valid `kind` for the unknown `name`, and all valid ones.

    Args:
        kind: What was looked for, in the singular ("method").
        name: What was found instead.
        known: The valid names.
        where: Where it was found ("in suite.toml"), if that helps.
    """
    names = sorted(known)
    beginning = [each for each in names if name and re.match(rf"{re.escape(name)}[-_]", each)]  # lr: lr_generator
    near = beginning or get_close_matches(name, names, n=1, cutoff=0.5)
    hint = " Did you mean '{}'?".format("' or '".join(near)) if near else ""
    ending = f" {where}" if where else ""
    return GraftbenchError(f"Unknown {kind} '{name}'{ending}.{hint} Available: {', '.join(names) or 'none'}.")
