"""Plugin classes that exist in Python alone (a notebook, a script): written down for the processes that run cells.

A class travels by value, through cloudpickle. Such a file is written by `graftbench.run` for its own cells; its name
holds the hash of its contents. Unpickling runs code, as importing a plugin does: name only files that you trust.
"""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

SUFFIX = ".plugin"

_MODULES = "graftbench_shipped_files"
"""Attribute of a class that was shipped: its code, as `code.files_of` counts it (name -> SHA-256)."""


def ship(cls: type[Any], files: dict[str, str], folder: Path) -> Path:
    """Write a class into a folder.

    Args:
        cls: The class.
        files: Its code, name -> SHA-256: what loads it cannot see the files.
        folder: Made if it is not there.

    Returns:
        The file.

    Raises:
        GraftbenchError: The class holds something that cannot be pickled.
    """
    import cloudpickle  # noqa: PLC0415 - only for classes given from Python

    try:
        with _by_value(cls):
            data = cloudpickle.dumps((cls, files))
    except Exception as error:  # cloudpickle raises whatever the objects' own code does
        raise GraftbenchError(
            f"The class {cls.__qualname__} cannot be sent to the processes that run cells ({error}). Put it into a "
            "file and name that as a plugin."
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{cls.__name__}-{hashlib.sha256(data).hexdigest()[:32]}{SUFFIX}"
    path.write_bytes(data)
    return path


def load_shipped(path: Path) -> type[Any]:
    """Load the class that `ship` wrote.

    Raises:
        GraftbenchError: The file is not what its name says.
    """
    import cloudpickle  # noqa: PLC0415 - as above

    data = path.read_bytes()
    if path.stem.rpartition("-")[2] != hashlib.sha256(data).hexdigest()[:32]:
        raise GraftbenchError(f"'{path}' is not what its name says; it was changed after graftbench wrote it.")
    cls, files = cloudpickle.loads(data)
    # A class of its own: in the process that shipped it, cloudpickle gives back the very class.
    return type(cls)(cls.__name__, (cls,), {_MODULES: files, "__module__": cls.__module__, "__doc__": cls.__doc__})


def shipped_files(cls: type[Any]) -> dict[str, str] | None:
    """Return the code of a class that was shipped; None for any other."""
    return vars(cls).get(_MODULES)


@contextmanager
def _by_value(cls: type[Any]) -> Iterator[None]:
    """Pickle what the class's module defines by value, unless every process can import it."""
    import cloudpickle  # noqa: PLC0415 - as above

    module = sys.modules.get(cls.__module__)
    if module is None or module.__name__ == "__main__" or _is_installed(module):
        yield
        return
    cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def _is_installed(module: object) -> bool:
    file = getattr(module, "__file__", None) or ""
    return "site-packages" in Path(file).parts or getattr(module, "__name__", "").partition(".")[0] == "graftbench"


def source_digests(cls: type[Any]) -> dict[str, str]:
    """Return the code of a class that has no file (a notebook's, an interpreter's): name -> SHA-256.

    It covers the class's own functions and attributes, and what of the same module they name: functions and classes
    by their text where it can be had, else by their byte code; other values by their `repr`. What those import from
    elsewhere does not count.
    """
    seen: dict[str, str] = {}
    _visit(cls.__name__, cls, cls.__module__, seen)
    return {f"<{cls.__module__}>/{name}": hashlib.sha256(text.encode()).hexdigest() for name, text in seen.items()}


def _visit(name: str, value: object, module: str, seen: dict[str, str]) -> None:
    if name in seen:
        return
    if isinstance(value, type) and value.__module__ == module:
        bookkeeping = ("__weakref", "__dict__", "__module__", "__abstract", "_abc_", "__static", "__firstline")
        parts = {key: part for key, part in vars(value).items() if not key.startswith(bookkeeping)}
        seen[name] = "\n".join(f"{key}: {_text(part)}" for key, part in sorted(parts.items()))
        for part in parts.values():
            _visit_names(part, module, seen)
        for base in value.__bases__:
            _visit(base.__name__, base, module, seen)
    elif inspect.isfunction(value) and value.__module__ == module:
        seen[name] = _text(value)
        _visit_names(value, module, seen)
    elif isinstance(value, bool | int | float | str | bytes | tuple | list | dict | frozenset | set | None):
        seen[name] = repr(value)


def _visit_names(part: object, module: str, seen: dict[str, str]) -> None:
    """Follow the global names that a function, or what wraps one, uses."""
    for function in _functions(part):
        for name in _names(function.__code__):
            if name in function.__globals__:
                _visit(name, function.__globals__[name], module, seen)


def _functions(part: object) -> list[Any]:
    inner = [part, *(getattr(part, name, None) for name in ("__func__", "fget", "fset", "func", "__wrapped__"))]
    return [value for value in inner if inspect.isfunction(value)]


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if inspect.iscode(constant):
            yield from _names(constant)


def _text(part: object) -> str:
    functions = _functions(part)
    if not functions:
        return "" if isinstance(part, type) else re.sub(r" at 0x[0-9a-f]+", "", repr(part))
    return "\n".join(_source(function) for function in functions)


def _source(function: Any) -> str:  # noqa: ANN401 - a function object
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return _code_text(function.__code__)


def _code_text(code: CodeType) -> str:
    constants = [_code_text(c) if inspect.iscode(c) else repr(c) for c in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {constants}"
