"""Finds methods, domains and reports: in the package, in installed packages (entry points), in what a user names.

A user names files and folders (`--plugin`), TOML files of variants, and from Python classes too. A plugin that fails to
import is listed with its error and breaks nothing else.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import pkgutil
import sys
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from inspect import isabstract
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, cast

from graftbench.contracts import Domain, Method, Report
from graftbench.errors import GraftbenchError, unknown
from graftbench.plugins.pickled import SUFFIX as SHIPPED
from graftbench.plugins.pickled import load_shipped
from graftbench.plugins.split_options import split_options
from graftbench.plugins.variants import Variant, class_of, read_variants

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import ModuleType

Plugin = TypeVar("Plugin", bound="Method | Domain | Report")

Given: TypeAlias = "Path | type[Method | Domain | Report]"
"""What a user names as a plugin: a file, a folder, a TOML file of variants, or a class."""


@dataclass(frozen=True)
class Found(Generic[Plugin]):
    """What a search found.

    Attributes:
        kind: "method", "domain" or "report".
        classes: Name -> class, sorted by name.
        broken: Where -> the error with which the import failed.
    """

    kind: str
    classes: dict[str, type[Plugin]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> type[Plugin]:
        if name in self.classes:
            return self.classes[name]
        error = unknown(self.kind, name, self.classes)
        if self.broken:
            failed = "; ".join(f"{where}: {reason}" for where, reason in self.broken.items())
            error = GraftbenchError(f"{error} Plugins that failed to import: {failed}.")
        raise error


def methods(plugins: Sequence[Given] = (), variants: Mapping[str, Variant] | None = None) -> Found[Method]:
    """All methods, variants among them.

    Args:
        plugins: What the user names.
        variants: Those of a suite.
    """
    found = _find("method", Method, "methods", plugins)
    for path in _toml(plugins):
        try:
            _add_variants(found, read_variants(path), str(path))
        except GraftbenchError as error:
            found.broken[str(path)] = str(error)
    _add_variants(found, variants or {}, "the suite")
    return Found(found.kind, dict(sorted(found.classes.items())), found.broken)


def domains(plugins: Sequence[Given] = ()) -> Found[Domain]:
    """All families of domains."""
    return _find("domain", Domain, "datasets", plugins)


def reports(plugins: Sequence[Given] = ()) -> Found[Report]:
    """All reports."""
    return _find("report", Report, "reports", plugins)


def _add_variants(found: Found[Method], variants: Mapping[str, Variant], where: str) -> None:
    """Enter variants; one whose name is taken or whose method is unknown is listed as broken."""
    for name, variant in variants.items():
        place = f"[variants.{name}] of {where}"
        try:
            cls = class_of(name, variant, found[variant.method])
        except GraftbenchError as error:
            found.broken[place] = str(error)
            continue
        there = found.classes.get(name)
        if there is None or (there.variant_of and there.defaults == cls.defaults):  # named twice: in a file and a suite
            found.classes[name] = cls
        else:
            found.broken[place] = f"the method '{name}' exists already"


def make_domain(name: str, plugins: Sequence[Given] = ()) -> Domain:
    """Make the domain that a suite writes as `name` or `name:ARGUMENT`, options on its splits behind it.

    Raises:
        GraftbenchError: An unknown domain, an argument that is missing or not taken, or a bad option on its splits.
    """
    plain, rule = split_options(name)
    base, colon, argument = plain.partition(":")
    domain = domains(plugins)[base]
    if rule.keep_near_duplicates and domain.curated_groups:
        raise GraftbenchError(
            f"Domain '{base}' has groups of its own, and no near-duplicates are looked for; found '{name}'."
        )
    if domain.takes_argument and not argument and (colon or not domain.takes_argument.startswith("[")):
        raise GraftbenchError(f"Domain '{name}' needs an argument: {base}:{domain.takes_argument}.")
    if colon and not domain.takes_argument:
        raise GraftbenchError(f"Domain '{base}' takes no argument; found '{name}'.")
    made = domain(argument)
    made.split_rule = rule
    return made


def _find(kind: str, base: type[Plugin], folder: str, plugins: Sequence[Given]) -> Found[Plugin]:
    found: Found[Plugin] = Found(kind)
    for where, load in [*_packaged(folder), *_installed(folder), *_files(plugins)]:
        try:
            module = load()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a file raises must not break the others
            found.broken[where] = f"{type(error).__name__}: {error}"
            continue
        for cls in _plugin_classes(module, base):
            _add(found, cls, where)
    return Found(kind, dict(sorted(found.classes.items())), found.broken)


def _add(found: Found[Plugin], cls: type[Plugin], where: str) -> None:
    """Enter a class; the first of a name stays, the second is reported."""
    if not isinstance(getattr(cls, "name", None), str):
        found.broken[where] = f"class {cls.__name__} has no `name`"
    elif found.classes.get(cls.name, cls) is not cls:
        found.broken[where] = f"the {found.kind} '{cls.name}' exists already"
    else:
        found.classes[cls.name] = cls


def _plugin_classes(module: ModuleType | type, base: type[Plugin]) -> list[type[Plugin]]:
    """Return the concrete plugin classes that a module defines itself; an entry point may name the class directly."""
    if isinstance(module, type):
        return [module] if issubclass(module, base) else []
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, base)
        and not isabstract(value)
        and value.__module__ == module.__name__
    ]


def _packaged(folder: str) -> Iterator[tuple[str, Any]]:
    package = importlib.import_module(f"graftbench.{folder}")
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda m: m.name):
        if not module.name.startswith("_"):
            name = f"graftbench.{folder}.{module.name}"
            yield f"{folder}/{module.name}.py", lambda name=name: importlib.import_module(name)


def _installed(folder: str) -> Iterator[tuple[str, Any]]:
    for point in _entry_points(f"graftbench.{folder}"):
        yield f"entry point {point.name}", point.load


@cache
def _entry_points(group: str) -> tuple[EntryPoint, ...]:
    """Look up entry points, once a process: every installed package is asked, and none is installed meanwhile."""
    return tuple(entry_points(group=group))


def _files(plugins: Sequence[Given]) -> Iterator[tuple[str, Any]]:
    for plugin in plugins:
        if isinstance(plugin, type):
            yield f"class {plugin.__qualname__}", lambda plugin=plugin: plugin
            continue
        for file in plugin_files(Path(plugin)):
            yield str(file), lambda file=file: load_shipped(file) if file.suffix == SHIPPED else load_file(file)


def plugin_files(path: Path) -> list[Path]:
    """Return the code files that `--plugin PATH` means: a file, or a folder's Python files that do not begin with `_`.

    A TOML file of variants has none.

    Raises:
        GraftbenchError: There is no such file or folder, or it is none of these.
    """
    if path.is_dir():
        return sorted(file for file in path.glob("*.py") if not file.name.startswith("_"))
    if not path.is_file() or path.suffix not in (".py", ".toml", SHIPPED):
        raise GraftbenchError(
            f"Plugin '{path}' is neither a Python file nor a folder of them, nor a TOML file of variants."
        )
    return [] if path.suffix == ".toml" else [path]


def _toml(plugins: Sequence[Given]) -> Iterator[Path]:
    """Yield the TOML files that are named, and those in folders that are."""
    for plugin in plugins:
        if isinstance(plugin, type):
            continue
        path = Path(plugin)
        if path.is_dir():
            yield from sorted(file for file in path.glob("*.toml") if not file.name.startswith("_"))
        elif path.suffix == ".toml":
            yield path


def load_file(file: Path) -> ModuleType:
    """Import a plugin from a file, under a module name made from its path, once per process."""
    resolved = file.resolve()
    digest = hashlib.sha256(str(resolved).encode()).hexdigest()[:8]
    name = f"graftbench_plugin_{resolved.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, resolved)
    if spec is None or spec.loader is None:
        raise GraftbenchError(f"Plugin '{file}' is no Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def file_of(cls: type[Any]) -> Path:
    """Return the file that defines a plugin class."""
    module = sys.modules[cls.__module__]
    return Path(cast("str", module.__file__)).resolve()
