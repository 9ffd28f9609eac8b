"""The files of this package, and a plugin's neighbours, that import statements name."""

from __future__ import annotations

import ast
import importlib.util
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Target = tuple[Path, str]
"""A file, and the name in it that an import binds; an empty name stands for the module itself."""


@cache
def package_roots() -> tuple[Path, ...]:
    """Return the folders of the package: the installed one, and in a checkout its root with the plugin folders."""
    spec = importlib.util.find_spec("graftbench")
    assert spec is not None
    return tuple(Path(root).resolve() for root in spec.submodule_search_locations or ())


def imported_files(files: Iterable[Path]) -> dict[Path, bytes]:
    """Return the files and all local modules that they import, directly or through another, with their contents."""
    contents: dict[Path, bytes] = {}
    waiting = [file.resolve() for file in files]
    while waiting:
        file = waiting.pop()
        if file not in contents:
            contents[file] = file.read_bytes()
            waiting.extend(_files_imported_by(file, contents[file]))
    return contents


@cache
def _files_imported_by(file: Path, contents: bytes) -> tuple[Path, ...]:
    """Return what a file imports; remembered by its contents, so that an edit in a running session is seen."""
    running, _ = import_statements(ast.parse(contents, str(file)).body)
    return tuple(target for node in running for targets in bindings(node, file).values() for target, _ in targets)


def import_statements(
    statements: Iterable[ast.AST],
) -> tuple[list[ast.Import | ast.ImportFrom], list[ast.Import | ast.ImportFrom]]:
    """Return the import statements at any depth: those that run, and those for the type checker alone."""
    running: list[ast.Import | ast.ImportFrom] = []
    typing_only: list[ast.Import | ast.ImportFrom] = []
    for node in statements:
        if isinstance(node, ast.Import | ast.ImportFrom):
            running.append(node)
        elif isinstance(node, ast.If) and is_type_checking(node.test):
            typing_only += [child for child in node.body if isinstance(child, ast.Import | ast.ImportFrom)]
            running += import_statements(node.orelse)[0]
        else:
            for block in ("body", "orelse", "finalbody", "handlers", "cases"):
                nested_running, nested_typing = import_statements(getattr(node, block, ()))
                running += nested_running
                typing_only += nested_typing
    return running, typing_only


def is_type_checking(test: ast.expr) -> bool:
    """Return whether a condition is `TYPE_CHECKING` or `typing.TYPE_CHECKING`."""
    return "TYPE_CHECKING" in (getattr(test, "id", ""), getattr(test, "attr", ""))


def bindings(node: ast.Import | ast.ImportFrom, file: Path) -> dict[str, list[Target]]:
    """Return each name that an import statement binds -> what it stands for among the local files."""
    bound: dict[str, list[Target]] = {}
    if isinstance(node, ast.Import):
        for alias in node.names:
            targets = [(path, "") for path in _absolute(alias.name.split("."), file.parent)]
            bound.setdefault(alias.asname or alias.name.partition(".")[0], []).extend(targets)
        return {name: targets for name, targets in bound.items() if targets}
    for alias in node.names:
        parts = node.module.split(".") if node.module else []
        if node.level:
            folder = file.parents[node.level - 1]
            modules, submodules = _in(folder, parts), _in(folder, [*parts, alias.name])
        else:
            modules, submodules = _absolute(parts, file.parent), _absolute([*parts, alias.name], file.parent)
        targets = [(path, "") for path in submodules] or [(path, alias.name) for path in modules]
        if targets:
            bound[alias.asname or alias.name] = targets
    return bound


def _absolute(parts: list[str], neighbours: Path) -> list[Path]:
    if parts and parts[0] == "graftbench":
        return [path for root in package_roots() for path in _in(root, parts[1:])]
    # A plugin given by path may import the file beside it; what lies beside an installed one are other packages.
    alone = (neighbours / "__init__.py").exists() or neighbours in package_roots()
    return [] if alone or neighbours.name in ("site-packages", "dist-packages") else _in(neighbours, parts)


def _in(folder: Path, parts: list[str]) -> list[Path]:
    if not parts:
        return []
    base = os.path.join(folder, *parts)  # noqa: PTH118 - Path takes five times as long, and there are thousands
    for name in (f"{base}.py", os.path.join(base, "__init__.py")):  # noqa: PTH118
        if os.path.isfile(name):  # noqa: PTH113
            return [_resolved(name)]
    return []


@cache
def _resolved(name: str) -> Path:
    return Path(name).resolve()


@cache
def public_name(file: Path, folder: Path) -> str:
    """Return a file's name without what is private to a machine.

    Files of the package begin with `graftbench/`; those of a plugin are named from its outermost package or from
    `folder`; a file that lies elsewhere (a link's target) by its last part.
    """
    if (path := package_path(file)) is not None:
        return f"graftbench/{path}"
    while (folder / "__init__.py").exists():
        folder = folder.parent
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.name


def package_path(file: Path) -> str | None:
    """Return a file's path inside the package with `/`: `nn/losses.py`; None for a file outside it."""
    return next((file.relative_to(root).as_posix() for root in package_roots() if file.is_relative_to(root)), None)
