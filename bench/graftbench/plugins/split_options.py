"""Parse the options about splits behind a domain's name in a suite: `folder:DIR?train=40&near_duplicates=keep`."""

from __future__ import annotations

from graftbench.contracts import SplitRule
from graftbench.errors import GraftbenchError

_NUMBERS = ("train", "validation")
_NEAR = "near_duplicates"

SPLIT_OPTIONS = (*_NUMBERS, _NEAR)
"""Options that every domain has; the others are the domain's own."""

_MOST_DIGITS = 9


def split_options(name: str) -> tuple[str, SplitRule]:
    """Take the options on splits out of a domain's name as a suite writes it.

    Returns:
        The name without them, and what they say.

    Raises:
        GraftbenchError: One has no such value, is given twice, or a number of validation images stands alone.
    """
    base, _, text = name.partition("?")
    given: dict[str, str] = {}
    others = []
    for part in text.split("&") if text else ():
        key, _, value = part.partition("=")
        if key not in SPLIT_OPTIONS:
            others.append(part)
        elif key in given:
            raise GraftbenchError(f"The option '{key}' in '{name}' is given twice; expected it once.")
        else:
            given[key] = value
    if given.get(_NEAR, "join") not in ("join", "keep"):
        raise GraftbenchError(
            f"The option '{_NEAR}' in '{name}' is '{given[_NEAR]}'; expected 'keep' (each picture for itself) or "
            "'join' (as without it)."
        )
    numbers = {key: _number(given[key], key, name, least=1 - i) for i, key in enumerate(_NUMBERS) if key in given}
    if "validation" in numbers and "train" not in numbers:
        raise GraftbenchError(f"'{name}' states a number of validation images; state that of training images too.")
    rule = SplitRule(numbers.get("train"), numbers.get("validation", 0), given.get(_NEAR) == "keep")
    return "?".join([base, "&".join(others)] if others else [base]), rule


def _number(text: str, key: str, name: str, *, least: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS and int(text) >= least):
        raise GraftbenchError(f"The option '{key}' in '{name}' is '{text}'; expected a whole number, at least {least}.")
    return int(text)
