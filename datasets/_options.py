"""Options behind a domain's argument: `PATH?label=3`, `NAME?split=train&column=image`."""

from __future__ import annotations

from graftbench.errors import GraftbenchError, unknown


def options(argument: str, names: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """Split an argument into what is no option, and the options.

    Args:
        argument: As a suite writes it behind the colon.
        names: Names of the options that there are.

    Raises:
        GraftbenchError: An unknown option, one without a value, or one given twice.
    """
    base, _, text = argument.partition("?")
    values: dict[str, str] = {}
    for part in text.split("&") if text else ():
        key, _, value = part.partition("=")
        if key not in names:
            raise unknown("option", key, names, where=f"in '{argument}'")
        if not value or key in values:
            fault = "is given twice" if key in values else "has no value"
            raise GraftbenchError(f"The option '{key}' in '{argument}' {fault}; expected {key}=VALUE once.")
        values[key] = value
    return base, values
