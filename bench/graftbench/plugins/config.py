"""A plugin's configuration from the tables of a suite file, with unknown keys refused."""

from __future__ import annotations

from typing import Any, get_args, get_origin

import msgspec

from graftbench.errors import GraftbenchError, unknown


def check_keys(raw: dict[str, Any], struct: type[msgspec.Struct], where: str, path: str = "") -> None:
    """Like msgspec's own check of unknown keys, but naming the nearest valid one."""
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(struct)}
    for key, value in raw.items():
        if key not in fields:
            raise unknown("key", key, fields, where=f"in {where}" + (f" [{path}]" if path else ""))
        kind = next((t for t in (fields[key], *get_args(fields[key])) if _is_struct(t)), None)
        inner = f"{path}.{key}".lstrip(".")
        if kind is not None and isinstance(value, list):
            for part in value:
                check_keys(part if isinstance(part, dict) else {}, kind, where, inner)
        if kind is None or not isinstance(value, dict):
            continue
        if get_origin(fields[key]) is dict:
            for name, part in value.items():
                check_keys(part if isinstance(part, dict) else {}, kind, where, f"{inner}.{name}")
        else:
            check_keys(value, kind, where, inner)


def _is_struct(kind: object) -> bool:
    return get_origin(kind) is None and isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def config_of(struct: type[msgspec.Struct], parameters: dict[str, Any], where: str) -> msgspec.Struct:
    """Read a method's parameters as its Config.

    Raises:
        GraftbenchError: An unknown parameter (naming the nearest), a wrong type, or a value out of range.
    """
    check_keys(parameters, struct, where)
    try:
        return msgspec.convert(parameters, struct)
    except msgspec.ValidationError as error:
        raise GraftbenchError(f"{where}: {error}.") from error
