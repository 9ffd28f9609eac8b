"""Ranges of settings, as types: a field says what it may be, and one function refuses what it may not.

    class Config(AdversarialConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
        weight: NonNegative = 0.3
        decay: ShareBelowOne = 0.99

They are msgspec's own constraints, so a plugin may write `Annotated[float, msgspec.Meta(gt=0, le=180)]` for a range
of its own. Every number must be finite, whether its field has a range or not.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta
from msgspec.inspect import (
    AnyType,
    DictType,
    FloatType,
    IntType,
    ListType,
    StructType,
    UnionType,
    VarTupleType,
    type_info,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from msgspec.inspect import Type

MOST = 10**9
"""The largest count: beyond it nothing is a number of images, steps or channels that anyone means."""

LARGEST_SIDE = 4096
"""Pixels: a larger square of float32 takes 200 MB, and no network here is meant for it."""

LARGEST = 2**63 - 1
"""The largest whole number that TOML has."""

Count: TypeAlias = Annotated[int, Meta(ge=1, le=MOST)]
"""1, 2, 3, …"""

CountOrZero: TypeAlias = Annotated[int, Meta(ge=0, le=MOST)]
"""0, 1, 2, …"""

AtLeastTwo: TypeAlias = Annotated[int, Meta(ge=2, le=MOST)]
"""2, 3, …: a batch that has a variance."""

Side: TypeAlias = Annotated[int, Meta(ge=1, le=LARGEST_SIDE)]
"""Side of a square image in pixels."""

Seed: TypeAlias = Annotated[int, Meta(ge=0, le=LARGEST)]
"""A seed of a random generator."""

Positive: TypeAlias = Annotated[float, Meta(gt=0)]
"""Above 0, and finite."""

NonNegative: TypeAlias = Annotated[float, Meta(ge=0)]
"""At least 0, and finite."""

Share: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
"""[0, 1]."""

ShareBelowOne: TypeAlias = Annotated[float, Meta(ge=0, lt=1)]
"""[0, 1)."""

InnerShare: TypeAlias = Annotated[float, Meta(gt=0, lt=1)]
"""(0, 1)."""


MOST_BLUR, MOST_DITHER = 8, 64
"""Pixels, and levels of 255: beyond them little of a picture is left."""

BlurPixels: TypeAlias = Annotated[float, Meta(ge=0, le=MOST_BLUR)]
"""Standard deviation of a Gaussian blur in pixels."""

Levels: TypeAlias = Annotated[float, Meta(ge=0, le=MOST_DITHER)]
"""Levels of the 255 of a colour channel."""


def range_faults(raw: dict[str, Any], struct: type[msgspec.Struct]) -> Iterator[str]:
    """Yield a sentence for each number of a table that its field cannot be: what was found, and what was expected.

    Args:
        raw: What a TOML file or a caller says, before it is read as the struct. Wrong types are left to msgspec.
        struct: Whose fields' types have the ranges.
    """
    yield from _faults(raw, type_info(struct), "")


def _faults(value: object, kind: Type, path: str) -> Iterator[str]:
    kinds = kind.types if isinstance(kind, UnionType) else (kind,)
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _faults(part, _type_of_entry(kinds, key), f"{path}.{key}".lstrip("."))
    elif isinstance(value, (list, tuple)):
        item = next((each.item_type for each in kinds if isinstance(each, (ListType, VarTupleType))), AnyType())
        for i, part in enumerate(value):
            yield from _faults(part, item, f"{path}[{i}]")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        number = next((each for each in kinds if isinstance(each, (IntType, FloatType))), None)
        if sentence := _expected(value, number):
            yield f"{path} must be {sentence}; found {_written(value)}"


def _type_of_entry(kinds: tuple[Type, ...], key: str) -> Type:
    for kind in kinds:
        if isinstance(kind, StructType):
            return next((field.type for field in kind.fields if field.encode_name == key), AnyType())
        if isinstance(kind, DictType):
            return kind.value_type
    return AnyType()


def _expected(value: float, kind: IntType | FloatType | None) -> str:
    """Say what a number must be; nothing where it is that, or of another type than its field."""
    if isinstance(kind, IntType) or (kind is None and isinstance(value, int)):
        return "" if isinstance(value, float) else _expected_whole(value, kind)
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
