"""Numbers in suites and method configurations: what no field can mean is refused in a sentence, for every field."""

from __future__ import annotations

import datetime as dt
import math
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from msgspec.inspect import (
    AnyType,
    BoolType,
    DictType,
    FloatType,
    IntType,
    ListType,
    StrType,
    StructType,
    TupleType,
    UnionType,
    VarTupleType,
    type_info,
)

from graftbench.bounds import LARGEST, NonNegative
from graftbench.errors import GraftbenchError
from graftbench.plugins import registry
from graftbench.plugins.config import config_of, parse_toml, read_table
from graftbench.suites.suite import Suite, suite_of
from graftbench.training.source import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from msgspec.inspect import Type

Place = tuple[str | int, ...]
"""Keys and positions from the top of a table to a number in it."""

CONFIGS = {name: cls.Config for name, cls in registry.methods().classes.items()} | {
    f"a source model of kind {kind}": kind_of(kind).config for kind in ("gan", "vae", "diffusion", "flow")
}

REQUIRED: dict[str, dict[str, Any]] = {
    "checkpoint": {"file": "g.pt", "latent": [8]},
    "command": {"train": "train {images}"},
    "diffusers": {"model": "owner/name"},
}
"""Adapter -> parameters that have no default."""

SUITE: dict[str, Any] = {
    "name": "s",
    "tasks": ["twemoji->openmoji@32"],
    "methods": ["gaussian"],
    "data_budgets": [25],
    "compute_budget": {"kimg": 8},
}


def values(kind: Type, place: Place = ()) -> Iterator[tuple[Place, Type]]:
    """Yield every value that a type holds, also tables and lists, and where: a list's first, a dictionary's key `x`."""
    if place:
        yield place, kind
    for each in kind.types if isinstance(kind, UnionType) else (kind,):
        if isinstance(each, ListType | VarTupleType):
            yield from values(each.item_type, (*place, 0))
        elif isinstance(each, DictType):
            yield from values(each.value_type, (*place, "x"))
        elif isinstance(each, StructType):
            for field in each.fields:
                yield from values(field.type, (*place, field.encode_name))


def numbers(kind: Type) -> Iterator[tuple[Place, IntType | FloatType]]:
    """Yield every number that a type holds, with where it stands."""
    for place, value in values(kind):
        for each in value.types if isinstance(value, UnionType) else (value,):
            if isinstance(each, IntType | FloatType):
                yield place, each


OTHERS: tuple[tuple[Any, tuple[type[Type], ...]], ...] = (
    ("many", (StrType,)),
    (3, (IntType, FloatType)),
    (2.5, (FloatType,)),
    (True, (BoolType,)),
    ([], (ListType, VarTupleType)),
    ([[], {}, "many"], ()),
    ({}, (DictType, StructType)),
    ({"x": {"y": []}}, ()),
    (dt.date(1979, 5, 27), ()),
)
"""One value of each type that TOML has, and what it is a value of; the deep ones are in no field of ours."""


def wrong_values(kind: Type) -> list[Any]:
    """Return a value of each type that a field is not of."""
    kinds = kind.types if isinstance(kind, UnionType) else (kind,)
    if any(isinstance(each, AnyType) for each in kinds):
        return []
    deep = any(isinstance(each, DictType | StructType | ListType | VarTupleType | TupleType) for each in kinds)
    return [
        value
        for value, types in OTHERS
        if not any(isinstance(each, types) for each in kinds) and not (deep and not types and value)
    ]


RAW = re.compile(r"\$|`(int|float|str|bool|array|object|null)`|Expected|Invalid|\bgot\b|required field")
"""Words of msgspec."""


def nonsense(kind: IntType | FloatType) -> st.SearchStrategy[float]:
    """Numbers that the field's type says it is not: beyond each end that it has, and never finite."""
    low = kind.ge if kind.ge is not None else kind.gt
    high = kind.le if kind.le is not None else kind.lt
    if isinstance(kind, IntType):
        below = [] if low is None else [st.integers(max_value=int(low) - 1)]
        return st.one_of(st.integers(min_value=int(high or LARGEST) + 1), *below)
    below = [] if low is None else [st.floats(max_value=low, exclude_max=kind.ge is not None, allow_nan=False)]
    above = [] if high is None else [st.floats(min_value=high, exclude_min=kind.le is not None, allow_nan=False)]
    return st.one_of(st.sampled_from([math.nan, math.inf, -math.inf]), *below, *above)


def with_number(table: dict[str, Any], place: Place, value: float) -> dict[str, Any]:
    """Return a copy of a table with a number set deep inside of it."""
    key, *rest = place
    inner: Any = value
    for part in reversed(rest):
        inner = [inner] if part == 0 else {part: inner}
    return table | {str(key): inner}


def settings_of(name: str) -> list[tuple[Place, IntType | FloatType]]:
    """Return the numbers of a configuration."""
    return list(numbers(type_info(CONFIGS[name])))


@pytest.mark.parametrize("name", CONFIGS)
def test_every_number_of_a_configuration_has_a_range(name: str) -> None:
    """No setting takes any number at all; of the stages of a backbone the method says which there are."""
    without = {place[0] for place, kind in settings_of(name) if kind.ge is None and kind.gt is None}
    assert without <= {"style_layers", "layers"}


@pytest.mark.parametrize("name", [name for name in CONFIGS if settings_of(name)])
@seed(17)
@settings(max_examples=60, deadline=None, database=None)
@given(data=st.data())
def test_no_configuration_takes_nonsense(name: str, data: st.DataObject) -> None:
    """Below or above its range, infinite or no number: the sentence names the setting and what was found."""
    place, kind = data.draw(st.sampled_from(settings_of(name)))
    value = data.draw(nonsense(kind))
    with pytest.raises(GraftbenchError) as refused:
        config_of(CONFIGS[name], with_number(REQUIRED.get(name, {}), place, value), "[parameters.x]")
    assert str(place[0]) in str(refused.value)
    assert "must be" in str(refused.value)


@pytest.mark.parametrize("name", CONFIGS)
def test_defaults_are_in_their_ranges(name: str) -> None:
    """What a configuration is without any parameter, written out and read again, is the same configuration."""
    config = config_of(CONFIGS[name], REQUIRED.get(name, {}), "x")
    assert config_of(CONFIGS[name], msgspec.to_builtins(config), "x") == config


@pytest.mark.slow
@seed(17)
@settings(max_examples=300, deadline=None, database=None)
@given(data=st.data())
def test_no_field_of_a_suite_takes_nonsense(data: st.DataObject) -> None:
    """Seeds, budgets, limits, the protocol, source models, submissions: each number at every depth."""
    place, kind = data.draw(st.sampled_from(list(numbers(type_info(Suite)))))
    with pytest.raises(GraftbenchError) as refused:
        suite_of(with_number(SUITE, place, data.draw(nonsense(kind))), "mine.toml")
    assert "must be" in str(refused.value) or "Unknown" in str(refused.value)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_wrong_type_in_a_configuration_is_a_sentence(name: str) -> None:
    """Each setting, each type of TOML that it is not: its key, what it must be, what was found, no word of msgspec."""
    for place, kind in values(type_info(CONFIGS[name])):
        for value in wrong_values(kind):
            with pytest.raises(GraftbenchError) as refused:
                config_of(CONFIGS[name], with_number(REQUIRED.get(name, {}), place, value), "[parameters.x]")
            said = str(refused.value)
            assert re.fullmatch(rf"\[parameters\.x\]: {place[0]}[^ ]* must be .*; found .*", said), said
            assert not RAW.search(said), said


@pytest.mark.slow
def test_a_wrong_type_anywhere_in_a_suite_is_a_sentence() -> None:
    """Each field at each depth, as above; keys that are missing beside it are no reason to speak otherwise."""
    places = list(values(type_info(Suite)))
    assert len(places) > 80
    for place, kind in places:
        for value in wrong_values(kind):
            with pytest.raises(GraftbenchError) as refused:
                suite_of(with_number(SUITE, place, value), "mine.toml")
            said = str(refused.value)
            assert re.match(rf"mine\.toml: {place[0]}[^ ]* must be .*; found .*", said), said
            assert not RAW.search(said), said


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"seeds": ["0"]}, r"seeds[0] must be a whole number; found the text '0' (write 0, without quotes)."),
        ({"seeds": 0}, "seeds must be a list of whole numbers; found the number 0 (write [0])."),
        (
            {"tasks": "a->b@8"},
            """tasks must be a list of texts in quotes; found the text 'a->b@8' (write ["a->b@8"]).""",
        ),
        ({"title": True}, "title must be a text in quotes; found true."),
        (
            {"compute_budget": "8 kimg"},
            "compute_budget must be a table (kimg, seconds, gflops) or a list of tables; found the text '8 kimg'.",
        ),
        (
            {"compute_budget": [{"kimg": 8}, {"kimg": 8, "seconds": 3}]},
            "compute_budget[1]: a compute budget is exactly one of kimg, seconds, gflops; found kimg, seconds.",
        ),
        (
            {"task_budgets": {"a->b@8": 25}},
            'task_budgets."a->b@8" must be a list of whole numbers; found the number 25 (write [25]).',
        ),
        ({"parameters": {"gaussian": 3}}, "parameters.gaussian must be a table; found the number 3."),
        (
            {"protocol": {"determinism": "portabel"}},
            "protocol.determinism must be 'portable'; found the text 'portabel' (did you mean 'portable'?).",
        ),
        ({"variants": {"x": {}}}, "the key `variants.x.method` is missing; needed is `method`."),
        ({"variants": {"x": 3}}, "variants.x must be a table; found the number 3."),
        (
            {"samples": [{"method": "m", "task": "t"}]},
            "the key `samples[0].path` is missing; needed are `method`, `path`, `task` and `data_budget`.",
        ),
        ({"title": "x" * 70, "cells": "y" * 70}, f"cells must be a whole number; found the text '{'y' * 60}…'."),
        ({"title": dt.date(1979, 5, 27)}, "title must be a text in quotes; found the date 1979-05-27."),
    ],
)
def test_what_a_slip_is_answered_with(table: dict[str, Any], sentence: str) -> None:
    """The whole sentence, in the words of the file."""
    with pytest.raises(GraftbenchError) as refused:
        suite_of(SUITE | table, "mine.toml")
    assert str(refused.value) == f"mine.toml: {sentence}"


def test_a_suite_without_a_key_names_it() -> None:
    """The first that is missing, and all that a suite must have."""
    with pytest.raises(GraftbenchError, match="the key `tasks` is missing; needed are `name`, `tasks`, `methods`"):
        suite_of({"name": "s"}, "mine.toml")


def test_every_number_of_a_suite_has_a_range() -> None:
    """Every field, at every depth."""
    assert not [place for place, kind in numbers(type_info(Suite)) if kind.ge is None and kind.gt is None]


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        (("seeds", 0), -1, r"seeds\[0\] must be at least 0; found -1"),
        (("seeds", 0), 2**64, r"seeds\[0\] must be at most 9223372036854775807; found 18446744073709551616"),
        (("source_models", "gan", "kimg"), 0, "source_models.gan.kimg must be positive and finite; found 0"),
        (("source_models", "gan", "kimg"), math.nan, "positive and finite; found nan"),
        (("cells",), -5, "cells must be at least 0; found -5"),
        (("limits", "memory_mib"), 1e-300, "limits.memory_mib must be at least 1 and finite; found 1e-300"),
        (("protocol", "n_generated"), 2**63, "protocol.n_generated must be at most 1000000000"),
        (("protocol", "n_generated"), 1, "protocol.n_generated must be at least 2; found 1"),
        (("parameters", "gaussian", "components"), math.nan, "parameters.gaussian.components must be finite"),
        (("snapshots", 0), 1.0, r"snapshots\[0\] must be in \(0, 1\); found 1.0"),
    ],
)
def test_the_sentence_says_where_and_what(place: Place, value: float, sentence: str) -> None:
    """As the suite's author wrote it."""
    with pytest.raises(GraftbenchError, match=sentence):
        suite_of(with_number(SUITE, place, value), "mine.toml")


class _Nested(msgspec.Struct, frozen=True):
    weights: dict[str, list[NonNegative]] = {}
    count: int = 0


def test_numbers_are_looked_at_at_every_depth() -> None:
    """In lists of dictionaries too; a number without a range of its own has that of 64 bits."""
    with pytest.raises(GraftbenchError, match=r"x: weights.a\[1\] must be at least 0 and finite; found -1"):
        read_table({"weights": {"a": [0, -1]}}, _Nested, "x")
    with pytest.raises(GraftbenchError, match="count must be at most 9223372036854775807; found a whole number of"):
        read_table({"count": 10**5000}, _Nested, "x")
    assert read_table({"weights": {"a": [0, 2]}}, _Nested, "x") == _Nested(weights={"a": [0.0, 2.0]})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a = " + "[" * 5000 + "]" * 5000, "x is no valid TOML: its brackets are nested too deeply"),
        ("a = 1" + "0" * 5000, "x is no valid TOML: .*4300 digits"),
        ("a = ", "x is no valid TOML: Invalid value"),
        (b"a = '\xff'", "x is no UTF-8: byte 5 is 0xff"),
    ],
)
def test_what_is_no_toml_is_a_sentence(text: str | bytes, sentence: str) -> None:
    """Nested or long without end, broken, or in another encoding."""
    with pytest.raises(GraftbenchError, match=sentence):
        parse_toml(text, "x")


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    """Editors on Windows write one."""
    assert parse_toml(b"\xef\xbb\xbfa = 1\n", "x") == {"a": 1}


def test_the_beginning_of_a_name_is_near_it() -> None:
    """`lr` is meant for the rates; by letters alone `loss` would be as near."""
    config = CONFIGS["dcgan"]
    with pytest.raises(GraftbenchError, match="Did you mean 'lr_discriminator' or 'lr_generator'"):
        config_of(config, {"lr": 1e-3}, "[parameters.dcgan]")
