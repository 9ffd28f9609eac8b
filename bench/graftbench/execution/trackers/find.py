"""Finds trackers by what a user writes: `tensorboard`, `wandb:project=grafts,mode=offline`, `my_tracker.py`."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from graftbench.errors import GraftbenchError, unknown
from graftbench.execution.trackers.base import Tracker
from graftbench.plugins.registry import load_file
from graftbench.plugins.table_faults import fault_of, plain_error

if TYPE_CHECKING:
    from collections.abc import Mapping

GROUP = "graftbench.trackers"
"""Entry points of packages that bring trackers: NAME = "module:Class"."""

BUILT_IN = {
    "tensorboard": "graftbench.execution.trackers.tensorboard:TensorBoard",
    "wandb": "graftbench.execution.trackers.wandb:WeightsAndBiases",
    "mlflow": "graftbench.execution.trackers.mlflow:MLflow",
}
"""Name -> class; each is imported when it is asked for."""


def make_tracker(request: str) -> Tracker:
    """Make the tracker that a user means by `NAME` or `NAME:key=value,key=value`; a name may be that of a Python file.

    Raises:
        GraftbenchError: An unknown name or option, a value that does not do, a plugin that cannot be imported.
    """
    name, _, options = request.partition(":")
    cls = _class(name)
    pairs = {}
    for part in filter(None, options.split(",")):
        key, equals, value = part.partition("=")
        if not (equals and key):
            raise GraftbenchError(f"An option of a tracker is written {name}:key=value,key=value; found '{part}'.")
        pairs[key.strip()] = value.strip()
    return cls(_options(cls, pairs))


def names() -> list[str]:
    """Return the names of all trackers that are built in or installed, sorted."""
    return sorted({*BUILT_IN, *(point.name for point in entry_points(group=GROUP))})


def described() -> list[dict[str, str]]:
    """Describe every tracker: name, title, options, missing packages; a title says why a tracker cannot be loaded."""
    rows = []
    for name in names():
        try:
            cls = _class(name)
        except GraftbenchError as error:
            rows.append({"name": name, "title": str(error), "options": "", "missing": ""})
            continue
        options = ", ".join(field.name for field in msgspec.structs.fields(cls.Options))
        missing = ", ".join(module for module in cls.needs if find_spec(module) is None)
        rows.append({"name": name, "title": cls.title, "options": options, "missing": missing})
    return rows


def _class(name: str) -> type[Tracker]:
    """Return the class of that name, built in or of an installed package, or the one that a file defines."""
    if name.endswith(".py"):
        return _in_file(Path(name))
    if name not in names():
        raise unknown("tracker", name, names())
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        return getattr(import_module(module), attribute)
    (point, *_) = entry_points(group=GROUP, name=name)
    try:
        cls = point.load()
    except Exception as error:  # a plugin may raise anything when it is imported
        raise GraftbenchError(
            f"Tracker '{name}' ({point.value}) cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if not (isinstance(cls, type) and issubclass(cls, Tracker)):
        raise GraftbenchError(f"Tracker '{name}' ({point.value}) is no class that derives from {Tracker.__qualname__}.")
    return cls


def _in_file(file: Path) -> type[Tracker]:
    if not file.is_file():
        raise GraftbenchError(f"There is no file '{file}' with a tracker.")
    try:
        module = load_file(file)
    except Exception as error:  # likewise
        raise GraftbenchError(f"Tracker '{file}' cannot be imported: {type(error).__name__}: {error}") from error
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Tracker) and value.__module__ == module.__name__
    ]
    if len(classes) != 1 or not isinstance(getattr(classes[0], "name", None), str):
        raise GraftbenchError(f"'{file}' must define one tracker with a name; found {len(classes)} of them.")
    return classes[0]


def _options(cls: type[Tracker], pairs: Mapping[str, str]) -> msgspec.Struct:
    for key in pairs:
        if key not in cls.Options.__struct_fields__:
            raise unknown("option", key, cls.Options.__struct_fields__, where=f"of tracker '{cls.name}'")
    try:
        return msgspec.convert(dict(pairs), cls.Options, strict=False)
    except msgspec.ValidationError as error:
        faults = [fault for name, text in pairs.items() if (fault := _fault(cls, name, text))]
        said = "; ".join(faults) or plain_error(error)
        raise GraftbenchError(f"The options of tracker '{cls.name}' do not do: {said}.") from error


def _fault(cls: type[Tracker], name: str, text: str) -> str:
    """Say what an option must be; nothing where it is that, as a text from the command line can be."""
    (kind,) = (field.type for field in msgspec.structs.fields(cls.Options) if field.name == name)
    try:
        msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError:
        return fault_of(text, kind, name)
    return ""
