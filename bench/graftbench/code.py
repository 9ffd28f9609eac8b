"""The hash of a method's code: its file and every local module that it imports, directly or through another."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import graftbench

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def code_hash(files: Iterable[Path]) -> str:
    """SHA-256 over the contents of the files and of the local modules that they import.

    Contents alone count, neither paths nor the order of the files. Imports under `if TYPE_CHECKING` do not count: they
    do not run.
    """
    reached: set[Path] = set()
    waiting = [file.resolve() for file in files]
    while waiting:
        file = waiting.pop()
        if file not in reached:
            reached.add(file)
            waiting.extend(_imports(file, _normalised(file)))
    digests = sorted(hashlib.sha256(_normalised(file)).digest() for file in reached)
    return hashlib.sha256(b"".join(digests)).hexdigest()


def _normalised(file: Path) -> bytes:
    return file.read_bytes().replace(b"\r\n", b"\n")


@cache
def _imports(file: Path, contents: bytes) -> tuple[Path, ...]:
    """What a file imports; remembered by its contents, so that an edit in a running session is seen."""
    tree = ast.parse(contents, str(file))
    return tuple(path for node in _running_imports(tree) for path in _resolve(node, file))


def _running_imports(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for branch in node.orelse:
                yield from _running_imports(branch)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        else:
            yield from _running_imports(node)


def _resolve(node: ast.Import | ast.ImportFrom, file: Path) -> Iterator[Path]:
    """Files of this package, or neighbours of `file`, that an import statement runs."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield from _module(alias.name.split("."), file.parent)
        return
    base = (node.module or "").split(".") if node.module else []
    if node.level:
        folder = file.parents[node.level - 1]
        yield from _in(folder, base)
        for alias in node.names:
            yield from _in(folder, [*base, alias.name])
    else:
        yield from _module(base, file.parent)
        for alias in node.names:
            yield from _module([*base, alias.name], file.parent)


def _module(parts: list[str], neighbours: Path) -> Iterator[Path]:
    if parts[0] == "graftbench":
        for root in graftbench.__path__:
            yield from _in(Path(root), parts[1:])
    elif not (neighbours / "__init__.py").exists() and neighbours not in map(Path, graftbench.__path__):
        yield from _in(neighbours, parts)  # a plugin given by path may import the file beside it


def _in(folder: Path, parts: list[str]) -> Iterator[Path]:
    if parts and (file := folder.joinpath(*parts).with_suffix(".py")).is_file():
        yield file.resolve()
    elif (package := folder.joinpath(*parts, "__init__.py")).is_file() and parts:
        yield package.resolve()
