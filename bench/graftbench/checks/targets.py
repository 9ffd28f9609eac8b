"""Find the plugins to be checked: in files, folders, TOML files of variants, classes of installed packages."""

from __future__ import annotations

import importlib
import traceback
from dataclasses import dataclass, field
from inspect import isabstract
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from graftbench.contracts import Domain, Method, Report
from graftbench.errors import GraftbenchError, unknown
from graftbench.plugins import registry

if TYPE_CHECKING:
    from graftbench.plugins.registry import PluginSource

BASES: dict[str, type[Any]] = {"method": Method, "domain": Domain, "report": Report}


class Target(NamedTuple):
    """A plugin to be checked.

    Attributes:
        kind: "method", "domain" or "report".
        cls: The class.
        where: Where it was found, in words.
        given: The same as `given` takes it; empty for one that is registered anyway.
    """

    kind: str
    cls: type[Any]
    where: str
    given: str


@dataclass
class Plugins:
    """Plugins that were found at a target.

    Attributes:
        classes: In the order in which they are checked.
        unusable: Where -> why nothing there can be checked.
    """

    classes: list[Target] = field(default_factory=list)
    unusable: dict[str, str] = field(default_factory=dict)


def plugin_sources(target: str) -> list[PluginSource]:
    """Read a target as the registry takes it: a path, or a class `package.module:Class`; none for an empty text.

    Raises:
        GraftbenchError: There is no such module or class.
    """
    if not target:
        return []
    path = Path(target).expanduser()
    module, colon, name = target.partition(":")
    if path.exists() or not colon:
        return [path]
    try:
        imported = importlib.import_module(module)
    except ImportError as error:
        raise GraftbenchError(f"'{target}' is no file, and there is no module '{module}' ({error}).") from error
    cls = getattr(imported, name, None)
    if not (isinstance(cls, type) and issubclass(cls, tuple(BASES.values()))):
        raise unknown(
            "plugin class",
            name,
            [key for key, value in vars(imported).items() if _is_plugin(value) and not isabstract(value)],
        )
    return [cls]


def plugins_of(target: str) -> Plugins:
    """Find the plugins in a target.

    Raises:
        GraftbenchError: There is no such file, folder or class.
    """
    (one,) = plugin_sources(target)
    if isinstance(one, type):
        kind = next(kind for kind, base in BASES.items() if issubclass(one, base))
        return Plugins([Target(kind, one, target, target)])
    plugins, usable = Plugins(), list[Path]()
    for file in [*registry.plugin_files(one), *registry.variant_files([one])]:
        if own := _registered(file):
            plugins.classes += own
            continue
        reason = "" if file.suffix == ".toml" else _import(file)
        if reason:
            plugins.unusable[str(file)] = reason
        else:
            usable.append(file)
    for file in usable:
        _add(plugins, file, alone=one == file)
    if not plugins.classes and not plugins.unusable:
        plugins.unusable[target] = "there is no plugin in it"
    return plugins


def _registered(file: Path) -> list[Target]:
    """Return the plugins of a file that is one of the package's own."""
    for kind, folder in registry.FOLDERS.items():
        own = importlib.import_module(f"graftbench.{folder}").__path__
        if file.resolve().parent in {Path(own_folder).resolve() for own_folder in own}:
            classes = registry.SEARCHES[kind]([]).classes.values()
            return [Target(kind, cls, str(file), "") for cls in classes if registry.file_of(cls) == file.resolve()]
    return []


def _import(file: Path) -> str:
    """Import a file; return why it cannot be, with the place, or nothing."""
    try:
        registry.load_file(file)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - SystemExit too: a plugin may do anything
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
        line = f"line {lines[-1]}: " if lines else ""
        return f"it cannot be imported: {line}{type(error).__name__}: {error}"
    return ""


def _add(plugins: Plugins, file: Path, *, alone: bool) -> None:
    """Add the plugins of one file that can be imported."""
    before, refused = len(plugins.classes), dict[str, str]()
    for kind in _kinds_in(file):
        registered, new = (registry.SEARCHES[kind](named) for named in ([], [file]))
        names = new.classes.keys() - registered.classes.keys()
        plugins.classes += [Target(kind, new.classes[name], str(file), str(file.resolve())) for name in sorted(names)]
        refused |= {where: why for where, why in new.broken.items() if where not in registered.broken}
    plugins.unusable |= refused
    if alone and len(plugins.classes) == before and not refused:
        plugins.unusable[str(file)] = _why_none(file)


def _kinds_in(file: Path) -> list[str]:
    """Return the kinds of plugins that a file may have; others are not searched for, nor their imports imported."""
    if file.suffix != ".py":
        return ["method"]
    own = [value for value in vars(registry.load_file(file)).values() if _is_plugin(value)]
    return [kind for kind, base in BASES.items() if any(issubclass(cls, base) for cls in own)]


def _why_none(file: Path) -> str:
    """Return why a file that can be imported has no plugin."""
    module = registry.load_file(file)
    abstract = [value for value in vars(module).values() if _is_plugin(value)]
    abstract = [cls for cls in abstract if cls.__module__ == module.__name__ and isabstract(cls)]
    if not abstract:
        return "it defines no class that derives from graftbench.contracts.Method, Domain or Report"
    cls = abstract[0]
    missing = ", ".join(sorted(cls.__abstractmethods__))
    base = next(base.__name__ for base in BASES.values() if issubclass(cls, base))
    return f"class {cls.__name__} derives from {base} but does not define {missing}"


def _is_plugin(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, tuple(BASES.values()))
