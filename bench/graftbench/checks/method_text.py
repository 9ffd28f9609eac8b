"""Checks of a method that need no fit: of its words, its parameters, its file."""

from __future__ import annotations

import ast
import re
import sys
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from graftbench import contracts
from graftbench.checks.check import Check, Fault
from graftbench.contracts import Family, Method, SourceNeed, SourcePart
from graftbench.plugins.registry import file_of
from graftbench.plugins.variants import NAME
from graftbench.records.cell_spec import Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from types import ModuleType

    from graftbench.checks.method_subject import MethodSubject

GROUND = frozenset(
    (
        *("bounds", "budget", "comparison", "contracts", "errors", "extractors"),
        *("metrics", "nn", "records", "references", "resources", "training"),
    )
)
"""Modules of the core that a method's file may import: the layers beneath it. None leads to a domain's images."""

OWN = "graftbench.methods."
"""Where the package's own methods are; among them neighbours are imported relatively, the core by its modules."""


def metadata(subject: MethodSubject) -> Iterator[Fault]:
    """All metadata that tables, documentation and bibliography are made from are given, in their form."""
    cls = subject.cls
    if not NAME.fullmatch(cls.name):
        yield Fault(
            f"name = {cls.name!r}",
            "lower-case letters, digits and . _ + -, as suites and tables write it",
            f'write name = "{re.sub(r"[^a-z0-9._+-]+", "-", cls.name.lower()).strip("-") or "my-method"}"',
        )
    yield from one_of(cls, "family", get_args(Family))
    yield from one_of(cls, "source_model", get_args(SourceNeed))
    if not cls.kinds or not set(cls.kinds) <= set(get_args(Kind)):
        yield Fault(f"kinds = {cls.kinds!r}", f"some of {', '.join(get_args(Kind))}", 'write kinds = ("generate",)')
    if not set(cls.source_parts) <= set(get_args(SourcePart)):
        choices = ", ".join(get_args(SourcePart))
        yield Fault(f"source_parts = {cls.source_parts!r}", f"some of {choices}", 'write source_parts = ("network",)')
    for name in ("title", "trains", "frozen", "differs"):
        yield from words(cls, name)
    yield from _reference(cls)
    if not cls.__doc__:
        yield Fault(
            f"class {cls.__name__} has no docstring", "a sentence that says what it is", "write one under `class …:`"
        )


def one_of(cls: type[Any], name: str, allowed: Collection[str]) -> Iterator[Fault]:
    """Find an attribute that is none of the known values."""
    declared = getattr(cls, name, None)
    if declared not in allowed:
        choices = ", ".join(repr(value) for value in allowed)
        value_text = "is missing" if declared is None else f"= {declared!r}"
        yield Fault(f"{name} {value_text}", f"one of {choices}", f"write {name} = … with one of them in the class")


def words(cls: type[Any], name: str, *, period: bool = False) -> Iterator[Fault]:
    """Find an attribute that is no text to print; with `period` it may be a whole sentence."""
    text = getattr(cls, name, None)
    if not isinstance(text, str) or not text.strip():
        value_text = f"= {text!r}" if isinstance(text, str) else "is missing"
        yield Fault(f"{name} {value_text}", "words for tables and documentation", f'write {name} = "…" in the class')
    elif text != text.strip() or (not period and text.endswith(".")):
        end = "" if period else " and without a final period"
        yield Fault(f"{name} = {text!r}", f"words without blanks at the ends{end}", "take them away")


def _reference(cls: type[Method]) -> Iterator[Fault]:
    """Check the paper or package that a method comes from."""
    reference = getattr(cls, "reference", None)
    if not isinstance(reference, contracts.Reference):
        yield Fault(
            "reference is missing" if reference is None else f"reference = {reference!r}",
            "a graftbench.contracts.Reference: the paper or package that the method comes from",
            'write reference = Reference(authors="…", title="…", venue="unpublished", year=…)',
        )
        return
    for name in ("authors", "title"):
        if getattr(reference, name) in ("", contracts.PLACEHOLDER):
            yield Fault(f"reference.{name} is empty", "who wrote it and what it is called", f"fill in {name}")
    if not 1900 < reference.year <= 2100:
        yield Fault(f"reference.year = {reference.year}", "the year of publication", "fill in year")
    if bool(reference.code) != bool(reference.code_license):
        present, missing = ("code", "code_license") if reference.code else ("code_license", "code")
        yield Fault(
            f"reference.{present} without reference.{missing}",
            "both or neither",
            f'fill in {missing} ("none stated" is a licence\'s answer too)',
        )


# ------------------------------------------------------------------------------------------------------ parameters


def config(subject: MethodSubject) -> Iterator[Fault]:
    """The configuration's defaults construct, are frozen, and unknown parameters are errors."""
    cls = subject.cls
    if not issubclass(cls.Config, msgspec.Struct):
        yield Fault(f"Config is a {cls.Config.__mro__[1].__name__}", "a msgspec.Struct", _STRUCT)
        return
    settings = cls.Config.__struct_config__
    if not settings.frozen:
        yield Fault("Config is not frozen", "a frozen msgspec.Struct: a cell's parameters do not change", _STRUCT)
    if not settings.forbid_unknown_fields:
        yield Fault("Config takes unknown parameters", "a slip in a parameter's name is an error", _STRUCT)
    unknown = [name for name in (*cls.paths, *cls.defaults) if name not in cls.Config.__struct_fields__]
    if unknown:
        yield Fault(f"{', '.join(unknown)} among paths or defaults", "names of Config's parameters", "correct the name")
    if not cls.adapter:
        yield from _constructed(cls)


_STRUCT = "write class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True)"


def _constructed(cls: type[Method]) -> Iterator[Fault]:
    try:
        expected = msgspec.convert(dict(cls.defaults), cls.Config)
    except (msgspec.MsgspecError, ValueError) as error:
        yield Fault(
            f"Config refuses its own defaults: {error}" if not cls.defaults else f"Config refuses them: {error}",
            "a default for each parameter, of its type and in its range",
            "correct the value, or give the parameter a default",
        )
        return
    config = cls().config
    if config != expected:
        yield Fault(
            f"{cls.__name__}().config is {config!r}",
            f"{expected!r}",
            "let __init__ pass its config on to Method.__init__, or leave __init__ out",
        )
    if msgspec.json.decode(msgspec.json.encode(expected), type=cls.Config) != expected:
        yield Fault(
            "the parameters are others when they are written as JSON and read back",
            "numbers, texts, booleans, lists and dicts: records and job files hold them",
            "give each parameter such a type",
        )
    from graftbench.extractors.load import extractor_names  # noqa: PLC0415 - for this one question

    leaks = cls().leaks
    if leaks and leaks not in extractor_names():
        extractors = ", ".join(sorted(extractor_names()))
        yield Fault(
            f"leaks = {leaks!r}", f"empty or an extractor: {extractors}", "name the extractor as `graftbench ls` does"
        )


# ------------------------------------------------------------------------------------------------------------ file


def file(subject: MethodSubject) -> Iterator[Fault]:
    """The file says what it is in a docstring, and defines one public method, no more."""
    module = sys.modules[subject.cls.__module__]
    if not module.__doc__:
        yield Fault("the file has no docstring", "the idea in a sentence or two at its top", 'write """…""" there')
    class_names = [value.__name__ for value in vars(module).values() if is_own(value, module)]
    if len(class_names) > 1:
        yield Fault(
            f"methods {', '.join(class_names)} in one file",
            "one method a file",
            "move the others to files of their own",
        )


def is_own(value: object, module: ModuleType) -> bool:
    """Return whether a module's attribute is a method that the module defines."""
    return isinstance(value, type) and issubclass(value, Method) and value.__module__ == module.__name__


def imports(subject: MethodSubject) -> Iterator[Fault]:
    """Nothing of graftbench is imported that could load a domain: validation and reference images are not the fit's."""
    text = file_of(subject.cls).read_text("utf-8")
    for line, module in _imported(ast.parse(text), own=subject.cls.__module__.startswith(OWN)):
        yield Fault(
            f"line {line} imports {module}",
            f"of graftbench nothing but {', '.join(sorted(GROUND))}",
            "take what the fit needs from `task`; what only the suite may see is not for a method",
        )


def _imported(tree: ast.AST, *, own: bool) -> Iterator[tuple[int, str]]:
    """Yield (line, module) of each import that leads further than it may."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            first = node.module or node.names[0].name
            if own and not first.startswith("_"):
                yield node.lineno, f".{first}"
        elif isinstance(node, ast.ImportFrom):
            whole = node.module == "graftbench" and not own
            for name in [f"graftbench.{alias.name}" for alias in node.names] if whole else [node.module or ""]:
                if not _allowed(name, own=own):
                    yield node.lineno, name
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if not _allowed(alias.name, own=own):
                    yield node.lineno, alias.name


def _allowed(module: str, *, own: bool) -> bool:
    package, _, rest = module.partition(".")
    first = rest.partition(".")[0]
    public = not own and hasattr(contracts, first)  # `from graftbench import Method`, for what is not the package's own
    return package != "graftbench" or first in GROUND or public


def without_file(cls: type[Method]) -> str:
    """Return why a file cannot be looked at, for a class that has none."""
    try:
        return "" if file_of(cls).is_file() else "the class has no file"
    except (KeyError, AttributeError, TypeError):
        return "the class has no file"


CHECKS: tuple[Check[MethodSubject], ...] = (
    Check("metadata", metadata),
    Check("parameters", config),
    Check("file", file, unless=lambda cls: without_file(cls) or ("it is a variant" if cls.variant_of else "")),
    Check("imports", imports, unless=without_file),
)
