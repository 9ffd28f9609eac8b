"""Faults of a table of a TOML file, in the words of its author: wrong types, numbers out of range, lacking keys.

Each is a clause without its full stop: the key as the file writes it (`seeds[0]`), what it must be, what was found.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import sys
from difflib import get_close_matches
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.inspect import (
    AnyType,
    BoolType,
    DictType,
    FloatType,
    IntType,
    ListType,
    LiteralType,
    NoneType,
    StrType,
    StructType,
    TupleType,
    UnionType,
    VarTupleType,
    type_info,
)

from graftbench.bounds import LARGEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from msgspec.inspect import Type

MOST_LETTERS = 60
"""Letters of a text that a fault quotes."""

FEW_KEYS = 4
"""Keys of a table that are named where something else was found in its place."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_DATES = (dt.date, dt.time)
_LISTS = (ListType, VarTupleType, TupleType)
_TABLES = (DictType, StructType)


def table_faults(raw: dict[str, Any], struct: type[msgspec.Struct]) -> Iterator[str]:
    """Yield a clause for each value of a table that its key cannot have, and for each key that is missing.

    Args:
        raw: What a TOML file or a caller says, before it is read as the struct. Unknown keys are passed over.
        struct: Whose fields' types say what is expected. What its own `__post_init__` refuses is not looked at, what
            those of structs inside of it refuse is.
    """
    yield from _of_fields(raw, _fields_of(struct), "")


@cache
def _fields_of(struct: type[msgspec.Struct]) -> StructType:
    """Return a struct's fields with their types, looked at once a process: milliseconds for a large one."""
    kind = type_info(struct)
    assert isinstance(kind, StructType)
    return kind


def fault_of(value: object, kind: object, key: str) -> str:
    """Say in a clause what is wrong with one value that is not of its type."""
    info = type_info(kind)
    return next(_faults(value, info, key), f"{key} must be {in_words(info)}; found {found_in_words(value)}")


def plain_error(error: msgspec.ValidationError) -> str:
    """Return the sentence of an error of msgspec, with the key before it in place of `- at $.key` behind it."""
    sentence, _, place = str(error).partition(" - at `$")
    key = place.strip(".`")
    return f"{key}: {sentence}" if key else sentence


def in_words(kind: Type) -> str:
    """Return what a value of a type is: `a whole number`, `a list of texts or true or false`."""
    words = [_one(each) for each in _kinds(kind) if not isinstance(each, NoneType)]
    return " or ".join(dict.fromkeys(words))


# ------------------------------------------------------------------------------------------------- what is looked at


def _faults(value: object, kind: Type, key: str) -> Iterator[str]:
    """Yield what is wrong with a value and with all that it holds."""
    kinds = _kinds(kind)
    fitting = [each for each in kinds if _fits(value, each)]
    if not fitting:
        yield f"{key} must be {in_words(kind)}; found {found_in_words(value)}{_hint(value, kinds)}"
    elif isinstance(value, dict):
        yield from _of_table(value, fitting[0], key)
    elif isinstance(value, list | tuple):
        items = _items(fitting[0], len(value))
        yield from chain.from_iterable(_faults(part, items[i], f"{key}[{i}]") for i, part in enumerate(value))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = next((each for each in fitting if isinstance(each, IntType | FloatType)), None)
        if range_in_words := _expected(value, number):
            yield f"{key} must be {range_in_words}; found {_written(value)}"


def _of_table(value: dict[str, Any], kind: Type, key: str) -> Iterator[str]:
    if isinstance(kind, StructType):
        inner = list(_of_fields(value, kind, key))
        yield from inner or _refused(value, kind, key)
        return
    of_entries = kind.value_type if isinstance(kind, DictType) else AnyType()
    for name, part in value.items():
        yield from _faults(part, of_entries, _below(key, name))


def _of_fields(value: dict[str, Any], kind: StructType, key: str) -> Iterator[str]:
    fields = {field.encode_name: field for field in kind.fields}
    for name, part in value.items():
        if name in fields:
            yield from _faults(part, fields[name].type, _below(key, name))
    needed = [name for name, field in fields.items() if field.required]
    for name in needed:
        if name not in value:
            verb = "is" if len(needed) == 1 else "are"
            yield f"the key `{_below(key, name)}` is missing; needed {verb} {_listed(needed)}"


def _refused(value: dict[str, Any], kind: StructType, key: str) -> Iterator[str]:
    """Yield what a struct itself says against values that are each in order."""
    try:
        msgspec.convert(value, kind.cls)
    except msgspec.ValidationError as error:
        yield f"{key}: {plain_error(error)}"


def _kinds(kind: Type) -> tuple[Type, ...]:
    return kind.types if isinstance(kind, UnionType) else (kind,)


def _items(kind: Type, count: int) -> Sequence[Type]:
    """Return the type of each of so many items of a list."""
    if isinstance(kind, TupleType):
        return kind.item_types
    return [kind.item_type if isinstance(kind, ListType | VarTupleType) else AnyType()] * count


def _fits(value: object, kind: Type) -> bool:
    """Return whether a value is of a type, whatever it holds and whatever the range."""
    if isinstance(kind, LiteralType):
        return value in kind.values
    if isinstance(kind, TupleType) and isinstance(value, list | tuple):
        return len(value) == len(kind.item_types)
    if isinstance(value, bool):  # which Python takes for a number
        return not isinstance(kind, tuple(_PYTHON)) or isinstance(kind, BoolType)
    return next((isinstance(value, python) for each, python in _PYTHON.items() if isinstance(kind, each)), True)


_PYTHON: dict[type[Type], type | tuple[type, ...]] = {
    BoolType: bool,
    IntType: int,
    FloatType: (int, float),
    StrType: str,
    NoneType: type(None),
    **dict.fromkeys(_LISTS, (list, tuple)),
    **dict.fromkeys(_TABLES, dict),
}
"""Type of a field -> types of its values. Of a type that is not here anything is taken, and msgspec judges."""


# ---------------------------------------------------------------------------------------------------- what was found


def _below(key: str, name: str) -> str:
    """Return the key of an entry as TOML writes it: `task_budgets."twemoji->openmoji@32"`."""
    written = name if _BARE_KEY.fullmatch(name) else json.dumps(name, ensure_ascii=False)
    return f"{key}.{written}" if key else written


def found_in_words(value: object) -> str:
    """Return what a value is: `the number 3`, `the text 'a'`, `a table`."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the text '{value if len(value) <= MOST_LETTERS else f'{value[:MOST_LETTERS]}…'}'"
    if isinstance(value, int | float):
        return f"the number {_written(value)}"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return "a table" if isinstance(value, dict) else f"{'the date ' if isinstance(value, _DATES) else ''}{value}"


def _hint(value: object, kinds: Iterable[Type]) -> str:
    """Say what was probably meant: the nearest name, a number without its quotes, a list of the one value."""
    for kind in kinds:
        if isinstance(kind, LiteralType):
            near = get_close_matches(str(value), map(str, kind.values), n=1, cutoff=0.5)
            return f" (did you mean '{near[0]}'?)" if near else ""
        if isinstance(kind, IntType | FloatType) and isinstance(value, str) and re.fullmatch(r"-?[\d.]+", value):
            return f" (write {value}, without quotes)"
        if isinstance(kind, ListType | VarTupleType) and not isinstance(value, dict) and _fits(value, kind.item_type):
            return f" (write [{json.dumps(value, default=str, ensure_ascii=False)}])"
    return ""


# --------------------------------------------------------------------------------------------------- what is expected


def _one(kind: Type) -> str:
    match kind:
        case LiteralType():
            return _listed([f"'{value}'" for value in kind.values], "or", quote="")
        case TupleType():
            return f"a list of {len(kind.item_types)} {_many(kind.item_types[0])}"
        case ListType() | VarTupleType():
            return f"a list of {_many(kind.item_type)}"
        case StructType() if len(kind.fields) <= FEW_KEYS:
            return f"a table ({', '.join(field.encode_name for field in kind.fields)})"
        case _:
            return _WORDS.get(type(kind), ("of another type", ""))[0]


def _many(kind: Type) -> str:
    words = [_WORDS.get(type(each), ("", "values"))[1] for each in _kinds(kind) if not isinstance(each, NoneType)]
    return " or ".join(dict.fromkeys(words))


_WORDS: dict[type[Type], tuple[str, str]] = {
    BoolType: ("true or false", "true or false"),
    IntType: ("a whole number", "whole numbers"),
    FloatType: ("a number", "numbers"),
    StrType: ("a text in quotes", "texts in quotes"),
    DictType: ("a table", "tables"),
    StructType: ("a table", "tables"),
    LiteralType: ("a name", "names"),
    **dict.fromkeys(_LISTS, ("a list", "lists")),
}
"""Type -> what one value of it is called, and what several are."""


def _listed(names: Sequence[str], word: str = "and", quote: str = "`") -> str:
    *others, last = [f"{quote}{name}{quote}" for name in names]
    return f"{', '.join(others)} {word} {last}" if others else last


def _expected(value: float, kind: IntType | FloatType | None) -> str:
    """Say what a number must be; nothing where it is that."""
    if isinstance(kind, IntType) or (kind is None and isinstance(value, int)):
        return _expected_whole(int(value), kind)
    return _expected_real(value, kind)


def _expected_whole(value: int, kind: IntType | None) -> str:
    low = -LARGEST if kind is None or kind.ge is None else kind.ge
    high = LARGEST if kind is None or kind.le is None else kind.le
    if value < low:
        return f"at least {low}"
    return f"at most {high}" if value > high else ""


def _expected_real(value: float, kind: FloatType | None) -> str:
    low, above, high, below = (None,) * 4 if kind is None else (kind.ge, kind.gt, kind.le, kind.lt)
    number = math.inf if abs(value) > sys.float_info.max else value
    if (
        math.isfinite(number)
        and (low is None or number >= low)
        and (above is None or number > above)
        and (high is None or number <= high)
        and (below is None or number < below)
    ):
        return ""
    start = f"at least {low:g}" if low is not None else "positive" if above == 0 else f"above {above}"
    if high is None and below is None:
        return "finite" if low is None and above is None else f"{start} and finite"
    end = f"{high:g}]" if high is not None else f"{below:g})"
    return f"in {f'[{low:g}' if low is not None else f'({above:g}' if above is not None else '(−∞'}, {end}"


def _written(value: float) -> str:
    return (
        f"a whole number of {value.bit_length()} bits" if abs(value) > 2**128 and isinstance(value, int) else str(value)
    )
