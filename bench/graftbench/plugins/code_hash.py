"""The hash of a method's code: its file and every local module that it imports, directly or through another."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import graftbench
from graftbench.plugins.pickled import shipped_files, source_digests
from graftbench.plugins.registry import file_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from graftbench.contracts import Method


def code_of(method: type[Method]) -> str:
    """The hash of all code that determines a cell's result: the method's, how it is run and how it is scored."""
    return hash_of(files_of(method))


def files_of(method: type[Method]) -> dict[str, str]:
    """The files that `code_of` counts: name -> SHA-256 of the contents, sorted by name.

    Names are the same on every machine: `graftbench/training.py`, `graftbench/methods/dcgan.py` for files of the
    package, in a checkout too; for those of a plugin, the path from its outermost package or its folder. A class
    without a file (a notebook's) counts by its own text.
    """
    if shipped := shipped_files(method):
        return shipped
    own = _file_of(method)
    if own is None:
        return dict(sorted((files_of_scoring() | source_digests(method)).items()))
    return _digests([own, *_SCORING], own)


def files_of_scoring() -> dict[str, str]:
    """The files that determine the scores of images, whoever made them; as `files_of`."""
    return _digests(_SCORING, _SCORING[0])


_SCORING = [Path(graftbench.__file__).parent / name for name in ("scoring.py", "cell.py")]


def _file_of(method: type[Method]) -> Path | None:
    try:
        return file_of(method)
    except (KeyError, AttributeError, TypeError):
        return None


def _digests(files: Sequence[Path], own: Path) -> dict[str, str]:
    """Name -> SHA-256 of all files that these reach; names of files beside `own` begin at its folder."""
    named: dict[str, str] = {}
    for name, digest in sorted((_name(file, own), _sha256(data)) for file, data in reached(files).items()):
        free = name
        while free in named:  # links to files of one name in several places
            free += "'"
        named[free] = digest
    return named


def hash_of(files: Mapping[str, str]) -> str:
    """The hash of a set of files, from what `files_of` says of them."""
    return _joined(files.values())


def code_hash(files: Iterable[Path]) -> str:
    """SHA-256 over the contents of the files and of the local modules that they import.

    Contents alone count, neither paths nor the order of the files. Imports under `if TYPE_CHECKING` do not count: they
    do not run.
    """
    return _joined(_sha256(data) for data in reached(files).values())


def _joined(digests: Iterable[str]) -> str:
    return hashlib.sha256(b"".join(sorted(map(bytes.fromhex, digests)))).hexdigest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def reached(files: Iterable[Path]) -> dict[Path, bytes]:
    """The files and all local modules that they import, directly or through another, with their contents."""
    reached: dict[Path, bytes] = {}
    waiting = [file.resolve() for file in files]
    while waiting:
        file = waiting.pop()
        if file not in reached:
            reached[file] = _normalised(file)
            waiting.extend(_imports(file, reached[file]))
    return reached


def _normalised(file: Path) -> bytes:
    return file.read_bytes().replace(b"\r\n", b"\n")


def _name(file: Path, own: Path) -> str:
    """A file's name without what is private to a machine; of a file that lies elsewhere (a link), the last part."""
    for root in graftbench.__path__:
        if file.is_relative_to(folder := Path(root).resolve()):
            return f"graftbench/{file.relative_to(folder).as_posix()}"
    folder = own.parent
    while (folder / "__init__.py").exists():
        folder = folder.parent
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.name


@cache
def _imports(file: Path, contents: bytes) -> tuple[Path, ...]:
    """What a file imports; remembered by its contents, so that an edit in a running session is seen."""
    tree = ast.parse(contents, str(file))
    return tuple(path for node in _running_imports(tree.body) for path in _resolve(node, file))


def _running_imports(statements: Iterable[ast.AST]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Import statements at any depth. Expressions are not looked through: they hold none."""
    for node in statements:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and _is_type_checking(node.test):
            yield from _running_imports(node.orelse)
        else:
            for block in ("body", "orelse", "finalbody", "handlers", "cases"):
                yield from _running_imports(getattr(node, block, ()))


def _is_type_checking(test: ast.expr) -> bool:
    """`TYPE_CHECKING` or `typing.TYPE_CHECKING`."""
    return "TYPE_CHECKING" in (getattr(test, "id", ""), getattr(test, "attr", ""))


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
