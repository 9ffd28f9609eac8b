"""Reads msgspec structs for the reference pages: fields, types, defaults, and what docstrings say of each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import docstring_parser
import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROSE = re.compile(r"^`(\w+)`: (.*?)(?=\n\n|\Z)", re.MULTILINE | re.DOTALL)


class Field(NamedTuple):
    """A field as a page shows it.

    Attributes:
        name: As TOML writes it.
        type: In words of TOML.
        default: As TOML writes it; None where it must be given.
        meaning: From the docstring of the struct, or of one that it derives from; empty if none says.
    """

    name: str
    type: str
    default: str | None
    meaning: str


def fields(struct: type[msgspec.Struct]) -> list[Field]:
    """Return the fields of a struct in their order."""
    meanings = meanings_of(struct)
    return [
        Field(field.encode_name, type_words(field.type), _default(field), meanings.get(field.name, ""))
        for field in msgspec.structs.fields(struct)
    ]


def meanings_of(struct: type) -> dict[str, str]:
    """Return field -> what the docstrings say of it; a derived struct's word counts before its base's."""
    meanings: dict[str, str] = {}
    for cls in reversed(struct.__mro__):
        if not cls.__doc__ or not issubclass(cls, msgspec.Struct) or cls is msgspec.Struct:
            continue
        meanings |= {name: one_line(text) for name, text in _PROSE.findall(_dedented(cls.__doc__))}
        meanings |= {
            meta.arg_name: one_line(meta.description or "") for meta in docstring_parser.parse(cls.__doc__).params
        }
    return meanings


def first_paragraph(text: str | None) -> str:
    """Return what a docstring says before its first blank line."""
    return one_line(_dedented(text or "").partition("\n\n")[0])


def table(rows: list[Field]) -> str:
    """Write the fields as a Markdown table."""
    lines = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    for row in rows:
        default = "required" if row.default is None else f"`{row.default}`" if row.default else ""
        lines.append(f"| `{row.name}` | {row.type} | {default} | {row.meaning.replace('|', '&#124;')} |")
    return "\n".join(lines)


def type_words(kind: Any) -> str:  # noqa: ANN401 - whatever stands in an annotation
    """Write a type as a reader of TOML would say it: `list[int]` is "list of integers"."""
    info = msgspec.inspect.type_info(kind)
    return _words(info)


_PLAIN = {
    "IntType": "integer",
    "FloatType": "number",
    "StrType": "string",
    "BoolType": "true or false",
    "AnyType": "any value",
    "NoneType": "",
}
_PLURAL = {"integer": "integers", "number": "numbers", "string": "strings", "table": "tables", "any value": "values"}


def _words(info: msgspec.inspect.Type) -> str:
    name = type(info).__name__
    words = _PLAIN.get(name, name.removesuffix("Type").lower())
    if isinstance(info, msgspec.inspect.StructType):
        words = f"table [`{info.cls.__name__}`](#{info.cls.__name__.lower()})"
    elif isinstance(info, msgspec.inspect.LiteralType):
        words = ", ".join(f"`{toml(value)}`" for value in info.values)
    elif isinstance(info, msgspec.inspect.UnionType):
        words = " or ".join(part for kind in info.types if (part := _words(kind)))
    elif isinstance(info, (msgspec.inspect.ListType, msgspec.inspect.VarTupleType)):
        words = f"list of {_plural(_words(info.item_type))}"
    elif isinstance(info, msgspec.inspect.DictType):
        words = f"table: name → {_words(info.value_type)}"
    return words


def _plural(words: str) -> str:
    first, space, rest = words.partition(" ")
    return _PLURAL.get(words) or (_PLURAL.get(first, first) + space + rest)


def _default(field: msgspec.structs.FieldInfo) -> str | None:
    if field.required:
        return None
    value = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    if value is msgspec.UNSET:  # a key that is not there says something itself
        return ""
    return toml(msgspec.to_builtins(value)) if not isinstance(value, msgspec.Struct) else "{}"


def toml(value: Any) -> str:  # noqa: ANN401 - a value as TOML has it
    """Write a value as TOML does; nothing for None, which TOML cannot say."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(part)}" for key, part in value.items()) + "}"
    return str(value)


def one_line(text: str) -> str:
    """Join the lines of a text with spaces."""
    return " ".join(text.split())


def _dedented(text: str) -> str:
    return "\n".join(line.strip() for line in text.splitlines())


def structs_within(struct: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    """Yield a struct and those that its fields hold, each once, in the order of the fields."""
    listed: list[type[msgspec.Struct]] = []
    waiting = [struct]
    while waiting:
        cls = waiting.pop(0)
        if cls in listed:
            continue
        listed.append(cls)
        yield cls
        for field in msgspec.structs.fields(cls):
            waiting += _structs(msgspec.inspect.type_info(field.type))


def _structs(info: msgspec.inspect.Type) -> list[type[msgspec.Struct]]:
    if isinstance(info, msgspec.inspect.StructType):
        return [info.cls]
    parts = [getattr(info, name) for name in ("item_type", "value_type") if hasattr(info, name)]
    parts += getattr(info, "types", ())
    return [cls for part in parts for cls in _structs(part)]
