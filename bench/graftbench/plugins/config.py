"""A plugin's configuration from the tables of a suite file, with unknown keys refused."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

import msgspec

from graftbench.errors import GraftbenchError, unknown
from graftbench.plugins.table_faults import found_in_words, plain_error, table_faults

if TYPE_CHECKING:
    from pathlib import Path

Struct = TypeVar("Struct", bound=msgspec.Struct)


def check_keys(raw: dict[str, Any], struct: type[msgspec.Struct], where: str, path: str = "") -> None:
    """Refuse unknown keys as msgspec does, but name the nearest valid one."""
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
    return read_table(parameters, struct, where)


def read_table(raw: object, struct: type[Struct], where: str) -> Struct:
    """Read a table of a TOML file as a struct.

    Raises:
        GraftbenchError: An unknown key (naming the nearest), a wrong type, a value out of its field's range, or one
            that the struct refuses.
    """
    if not isinstance(raw, dict):
        raise GraftbenchError(f"{where} must be a table; found {found_in_words(raw)}.")
    check_keys(raw, struct, where)
    for fault in table_faults(raw, struct):
        raise GraftbenchError(f"{where}: {fault}.")
    try:
        return msgspec.convert(raw, struct)
    except msgspec.ValidationError as error:
        raise GraftbenchError(f"{where}: {plain_error(error)}.") from error


def parse_toml(text: str | bytes, where: str) -> dict[str, Any]:
    """Read TOML as people's editors write it, with a byte order mark or without.

    Raises:
        GraftbenchError: It is no UTF-8, no TOML, nested deeper than a file can be, or has an endless number.
    """
    try:
        return tomllib.loads((text.decode("utf-8") if isinstance(text, bytes) else text).removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        raise GraftbenchError(
            f"{where} is no UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}."
        ) from error
    except RecursionError:
        raise GraftbenchError(f"{where} is no valid TOML: its brackets are nested too deeply.") from None
    except ValueError as error:  # TOMLDecodeError is one; so is an integer of more than 4300 digits
        raise GraftbenchError(f"{where} is no valid TOML: {error}.") from error


def read_toml(path: Path, kind: str) -> dict[str, Any]:
    """Read a TOML file; `kind` names it in errors ("suite file").

    Raises:
        GraftbenchError: It cannot be read, or as `parse_toml`.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise GraftbenchError(f"The {kind} '{path}' cannot be read ({error.strerror or error}).") from error
    return parse_toml(content, f"'{path}'")
