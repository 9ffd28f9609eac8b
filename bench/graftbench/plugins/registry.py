"""Finds methods, domains, reports and metrics: in the package, in installed packages (entry points), in what is named.

A user names files and folders (`--plugin`), TOML files of variants, and from Python classes too. A plugin that fails to
import is listed with its error and breaks nothing else.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points
from inspect import isabstract
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from graftbench.contracts import Domain, Method, Report
from graftbench.errors import GraftbenchError, unknown
from graftbench.metrics import catalogue
from graftbench.plugins import stand_ins
from graftbench.plugins.pickled import SUFFIX as SHIPPED
from graftbench.plugins.pickled import load_shipped
from graftbench.plugins.plugin_classes import PluginClasses, names_in
from graftbench.plugins.split_options import split_options
from graftbench.plugins.variants import Variant, class_of, read_variants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
    from types import ModuleType

Plugin = TypeVar("Plugin", bound="Method | Domain | Report")

PluginSource: TypeAlias = "Path | type[Method | Domain | Report]"
"""A plugin as users name it: a file, a folder, a TOML file of variants, or a class."""


@dataclass(frozen=True)
class PluginIndex(Generic[Plugin]):
    """The plugins of a kind, and what could not be imported.

    Attributes:
        kind: "method", "domain" or "report".
        classes: Name -> class, sorted by name. Of the package's files those are imported whose names are asked for.
        failed: File or entry point -> the error with which its import failed, as far as it was tried.
        clashes: Name -> where a second plugin has it too: such a name cannot be looked up.
    """

    kind: str
    classes: MutableMapping[str, type[Plugin]] = field(default_factory=PluginClasses)
    failed: dict[str, str] = field(default_factory=dict)
    clashes: dict[str, str] = field(default_factory=dict)

    @property
    def broken(self) -> dict[str, str]:
        """Return file or entry point -> the error with which its import failed, after all are imported."""
        list(self.classes)
        return self.failed

    def __getitem__(self, name: str) -> type[Plugin]:
        if name in self.clashes:
            raise GraftbenchError(
                f"The name '{name}' is taken twice: there is a {self.kind} of that name, and {self.clashes[name]} is "
                "another. Rename the second."
            )
        if name in self.classes:
            return self.classes[name]
        for where, reason in self.broken.items():
            if where.startswith(f"{_table_of(name)} of "):
                raise GraftbenchError(f"{where}: {reason}")
        error = unknown(self.kind, name, self.classes)
        if self.broken:
            failed = "; ".join(f"{where}: {reason.removesuffix('.')}" for where, reason in self.broken.items())
            error = GraftbenchError(f"{error} Plugins that failed to import: {failed}.")
        raise error


def methods(plugins: Sequence[PluginSource] = (), variants: Mapping[str, Variant] | None = None) -> PluginIndex[Method]:
    """Return all methods, variants among them.

    Args:
        plugins: What the user names.
        variants: Those of a suite.
    """
    index = _find("method", Method, "methods", plugins)
    for path in variant_files(plugins):
        try:
            _add_variants(index, read_variants(path), str(path))
        except GraftbenchError as error:
            index.failed[str(path)] = str(error)
    _add_variants(index, variants or {}, "the suite")
    return index


def domains(plugins: Sequence[PluginSource] = ()) -> PluginIndex[Domain]:
    """Return all families of domains."""
    return _find("domain", Domain, "datasets", plugins)


def reports(plugins: Sequence[PluginSource] = ()) -> PluginIndex[Report]:
    """Return all reports."""
    return _find("report", Report, "reports", plugins)


def metrics(plugins: Sequence[PluginSource] = ()) -> dict[str, str]:
    """Make the metrics of installed packages, and of the files that a user names, known to the catalogue.

    They stay known in this process, as what is imported stays. What they are is read without importing them.

    Args:
        plugins: What the user names; classes have no metrics.

    Returns:
        File or entry point -> why its metrics are not known.
    """
    broken: dict[str, str] = {}
    files = [file for plugin in plugins if not isinstance(plugin, type) for file in plugin_files(Path(plugin))]
    sources = [(str(file), partial(_enter_file, file)) for file in files if file.suffix == ".py"]
    sources += [(f"entry point {point.name}", partial(_enter_point, point)) for point in _entry_points(_METRICS)]
    for where, enter_source in sources:
        try:
            enter_source()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a package raises must not break the others
            broken[where] = str(error) if isinstance(error, GraftbenchError) else f"{type(error).__name__}: {error}"
    catalogue.BROKEN.update(broken)
    return broken


_METRICS = "graftbench.metrics"
"""Group of entry points whose modules hold metrics."""


def _enter_file(file: Path) -> None:
    catalogue.enter(file.resolve(), partial(load_file, file))


def _enter_point(point: EntryPoint) -> None:
    spec = importlib.util.find_spec(point.module)
    if spec is None or spec.origin is None:
        raise GraftbenchError(f"There is no module {point.module}.")
    catalogue.enter(Path(spec.origin).resolve(), partial(importlib.import_module, point.module))


FOLDERS = {"method": "methods", "domain": "datasets", "report": "reports"}
"""Kind -> folder of the package and of a checkout for its plugins, and for their tests within `tests/`."""

SEARCHES: dict[str, Callable[..., PluginIndex[Any]]] = {"method": methods, "domain": domains, "report": reports}
"""Kind -> what finds its plugins."""


def _add_variants(index: PluginIndex[Method], variants: Mapping[str, Variant], where: str) -> None:
    """Enter variants; one whose name is taken or whose method is unknown is listed as broken."""
    for name, variant in variants.items():
        table = f"{_table_of(name)} of {where}"
        try:
            cls = class_of(name, variant, index[variant.method])
        except GraftbenchError as error:
            index.failed[table] = str(error)
            continue
        existing = index.classes.get(name)
        named_twice = existing is not None and existing.variant_of and existing.defaults == cls.defaults
        if existing is None or named_twice:  # in a file and a suite
            index.classes[name] = cls
        else:
            index.failed[table] = f"the method '{name}' exists already"
            index.clashes[name] = table


def _table_of(variant: str) -> str:
    """Return what the table of a variant is called in a TOML file."""
    return f"[variants.{variant}]"


def make_domain(name: str, plugins: Sequence[PluginSource] = ()) -> Domain:
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


def _find(kind: str, base: type[Plugin], folder: str, plugins: Sequence[PluginSource]) -> PluginIndex[Plugin]:
    classes: PluginClasses[type[Plugin]] = PluginClasses()
    index: PluginIndex[Plugin] = PluginIndex(kind, classes)
    for name, names in _packaged(folder).items():
        load = partial(importlib.import_module, f"graftbench.{folder}.{name}")
        enter = partial(_enter, index, base, f"{folder}/{name}.py", load)
        if names:
            classes.wait(names, enter)
        else:
            enter()
    installed = ((f"entry point {point.name}", point.load) for point in _entry_points(f"graftbench.{folder}"))
    for where, load in [*installed, *_files(plugins)]:
        _enter(index, base, where, load)
    return index


def _enter(index: PluginIndex[Plugin], base: type[Plugin], where: str, load: Callable[[], ModuleType | type]) -> None:
    """Import a file and enter its classes, or why it could not be imported."""
    try:
        module = load()
    except (Exception, SystemExit) as error:
        if stand_ins.active():  # which may be the reason
            raise stand_ins.NeedsPackage(where) from error
        index.failed[where] = f"{type(error).__name__}: {error}"
        return
    for cls in _plugin_classes(module, base):
        _add(index, cls, where)


def _add(index: PluginIndex[Plugin], cls: type[Plugin], where: str) -> None:
    """Enter a class; the first of a name stays, the second is reported."""
    if not isinstance(getattr(cls, "name", None), str):
        index.failed[where] = f"class {cls.__name__} has no `name`"
    elif index.classes.get(cls.name, cls) is not cls:
        index.failed[where] = f"the {index.kind} '{cls.name}' exists already"
        index.clashes[cls.name] = where
    else:
        index.classes[cls.name] = cls


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


@cache
def _packaged(folder: str) -> dict[str, tuple[str, ...]]:
    """Return the package's modules of a kind -> the names that their plugins may have; read once a process."""
    package = importlib.import_module(f"graftbench.{folder}")
    files = sorted(file for path in package.__path__ for file in Path(path).glob("[!_]*.py"))
    return {file.stem: names_in(file.read_text("utf-8")) for file in files}


def _entry_points(group: str) -> tuple[EntryPoint, ...]:
    return tuple(point for point in _every_entry_point() if point.group == group)


@cache
def _every_entry_point() -> tuple[EntryPoint, ...]:
    """Look up entry points, once a process: every installed package is asked, and none is installed meanwhile."""
    groups = (f"graftbench.{folder}" for folder in (*FOLDERS.values(), "metrics"))
    every = entry_points()
    return tuple(point for group in groups for point in every.select(group=group))


def _files(plugins: Sequence[PluginSource]) -> Iterator[tuple[str, Any]]:
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
    if not path.exists():
        raise GraftbenchError(
            f"There is no plugin at '{path}'; expected a Python file, a folder of them or a TOML file."
        )
    if not path.is_file() or path.suffix not in (".py", ".toml", SHIPPED):
        raise GraftbenchError(
            f"Plugin '{path}' is neither a Python file nor a folder of them, nor a TOML file of variants."
        )
    return [] if path.suffix == ".toml" else [path]


def variant_files(plugins: Sequence[PluginSource]) -> Iterator[Path]:
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
    """Return the file that defines a plugin class.

    Raises:
        LookupError: There is none: the class was made in a notebook, at a prompt, or by a script on standard input,
            whose module says that its file is `<stdin>`.
    """
    path = getattr(sys.modules.get(cls.__module__), "__file__", None)
    if path is None or not Path(path).is_file():
        raise LookupError(f"the class {cls.__qualname__} is defined in no file")
    return Path(path).resolve()
