"""Costs that somebody declares, in parameters or in a file that a program leaves."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

from graftbench.errors import GraftbenchError
from graftbench.records.costs import checked_costs

if TYPE_CHECKING:
    from pathlib import Path

FILES = ("costs.json", "costs.toml")
"""Names of the file in which a program may declare costs; the first that is there counts."""

LARGEST = 1 << 20
"""Bytes of such a file."""


def check_costs(costs: dict[str, Any]) -> None:
    """Refuse unknown names and unusable values of costs.

    Raises:
        ValueError: It names the nearest.
    """
    try:
        checked_costs(costs, "among the costs")
    except GraftbenchError as error:
        raise ValueError(str(error)) from error


def declared_costs(out: Path) -> tuple[dict[str, float | int | str], list[str]]:
    """Read a program's `costs.json` or `costs.toml`: the usable costs, and notes on those that are left out."""
    file = next((out / name for name in FILES if (out / name).is_file()), None)
    if file is None:
        return {}, []
    try:
        given = _parsed(file)
    except (OSError, ValueError) as error:
        return {}, [f"The program's {file.name} cannot be read ({error}): it declares nothing."]
    costs, notes = {}, []
    for name, value in given.items():
        try:
            costs |= checked_costs({name: value}, f"in the program's {file.name}")
        except GraftbenchError as error:
            notes.append(f"Left out: {error}")
    return costs, notes


def _parsed(file: Path) -> dict[str, Any]:
    if file.stat().st_size > LARGEST:
        raise ValueError(f"it has more than {LARGEST:,} bytes")
    text = file.read_text("utf-8")
    found = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"expected names and values, found {type(found).__name__}")  # noqa: TRY004 - of a file
    return found
