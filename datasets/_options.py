"""Options behind a domain's argument: `PATH?label=3`, `NAME?split=train&column=image`."""

from __future__ import annotations

from graftbench.errors import GraftbenchError, unknown


def options(argument: str, known: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """Split an argument into what is no option, and the options.

    Args:
        argument: As a suite writes it behind the colon.
        known: Names of the options that there are.

    Raises:
        GraftbenchError: An unknown option, one without a value, or one given twice.
    """
    base, _, text = argument.partition("?")
    found: dict[str, str] = {}
    for part in text.split("&") if text else ():
        key, _, value = part.partition("=")
        if key not in known:
            raise unknown("option", key, known, where=f"in '{argument}'")
        if not value or key in found:
            fault = "is given twice" if key in found else "has no value"
            raise GraftbenchError(f"The option '{key}' in '{argument}' {fault}; expected {key}=VALUE once.")
        found[key] = value
    return base, found
