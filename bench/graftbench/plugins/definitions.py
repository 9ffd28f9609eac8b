"""The definitions of a Python file as a cell's id counts them: what computes, without what only explains.

A file is cut into its top-level definitions. Each has a digest of its syntax tree without docstrings, comments, layout,
annotations, the texts of errors and log lines, and the words in which a method describes itself. References to imported
things count by their own name, so that a module can move or be renamed without a change.
"""

from __future__ import annotations

import ast
import hashlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from graftbench.plugins.local_imports import bindings, import_statements, is_type_checking

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from graftbench.plugins.local_imports import Target

DESCRIPTIONS = frozenset({"title", "reference", "trains", "frozen", "differs"})
"""Attributes in which a method says in words what it is."""

LOG_CALLS = frozenset({"print", "say", "log_line", "warn", "debug", "info", "warning", "error", "exception"})
"""Functions whose texts nothing is computed from."""

_UNCOUNTED_FIELDS = frozenset({"annotation", "returns", "type_comment", "type_params", "ctx", "kind", "msg"})


@dataclass(frozen=True)
class Definition:
    """A top-level statement.

    Attributes:
        name: The first name that it binds; empty for one that binds none.
        digest: SHA-256 of what it computes, as bytes.
        uses: Names of the module that it refers to.
        attributes: Attributes that it takes of imported modules: (the module's name here, attribute).
    """

    name: str
    digest: bytes
    uses: frozenset[str]
    attributes: frozenset[tuple[str, str]]


@dataclass(frozen=True)
class ModuleDefinitions:
    """A file in its parts.

    Attributes:
        named: Name -> the statements that bind it.
        unnamed: Statements that bind nothing and run on import.
        imports: Name -> what local files it stands for.
        side_effects: Modules that are imported but never named: importing them is all that is wanted.
        typing_only: As `imports`, of what is imported for the type checker alone: a lazy package's face.
    """

    named: Mapping[str, tuple[Definition, ...]]
    unnamed: tuple[Definition, ...]
    imports: Mapping[str, tuple[Target, ...]]
    side_effects: tuple[Target, ...]
    typing_only: Mapping[str, tuple[Target, ...]]


def definitions_of(file: Path) -> ModuleDefinitions:
    """Return a file's definitions; remembered by its contents, so that an edit in a running session is seen."""
    return _definitions(file, file.read_bytes())


@cache
def _definitions(file: Path, contents: bytes) -> ModuleDefinitions:
    tree = ast.parse(contents, str(file))

    # What the file imports.
    running, for_types = import_statements(tree.body)
    imports, typing_only = _bound(running, file), _bound(for_types, file)
    renamed = {name: targets[0][1] for name, targets in imports.items() if targets[0][1] not in ("", name)}
    modules = frozenset(name for name, targets in imports.items() if not targets[0][1])

    # What it defines.
    named: dict[str, list[Definition]] = {}
    unnamed: list[Definition] = []
    for statement in tree.body:
        reader = _Reader(renamed, modules)
        text = reader.read(statement)
        if not text:
            continue
        names = list(_bound_names(statement))
        digest = hashlib.sha256(text.encode()).digest()
        uses = frozenset(reader.uses.difference(names))
        definition = Definition(names[0] if names else "", digest, uses, frozenset(reader.attributes))
        for name in names:
            named.setdefault(name, []).append(definition)
        if not names:
            unnamed.append(definition)

    # Which imports are for their effect.
    used = {name for each in (*unnamed, *(d for ds in named.values() for d in ds)) for name in _all_names(each)}
    effects = [target for name, targets in imports.items() if name not in used for target in targets]
    return ModuleDefinitions(
        {name: tuple(statements) for name, statements in named.items()},
        tuple(unnamed),
        {name: tuple(targets) for name, targets in imports.items()},
        tuple(effects),
        {name: tuple(targets) for name, targets in typing_only.items()},
    )


def _all_names(definition: Definition) -> set[str]:
    return {*definition.uses, *(module for module, _ in definition.attributes)}


def _bound(statements: Iterable[ast.Import | ast.ImportFrom], file: Path) -> dict[str, list[Target]]:
    bound: dict[str, list[Target]] = {}
    for statement in statements:
        for name, targets in bindings(statement, file).items():
            bound.setdefault(name, []).extend(targets)
    return bound


def _bound_names(statement: ast.stmt) -> list[str]:
    """Return the names that a top-level statement binds in its module, imports not counted."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Expr):
        return []
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    scopes = (*functions, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
    names: dict[str, None] = {}
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names[node.id] = None
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names[node.name] = None
        if not isinstance(node, scopes):
            waiting += ast.iter_child_nodes(node)
    return list(names)


class _Reader:
    """Writes a statement's syntax tree as text and notes the module's names that it refers to.

    Args:
        renamed: Names under which something is imported -> its own name.
        modules: Names that stand for imported local modules.
    """

    def __init__(self, renamed: Mapping[str, str], modules: frozenset[str]) -> None:
        self._renamed, self._modules = renamed, modules
        self._scopes: list[set[str]] = []
        self.uses: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()

    def read(self, node: ast.AST) -> str:
        """Return the text of what a node computes; empty where it computes nothing."""
        if _explains(node):
            return ""
        if isinstance(node, ast.If) and is_type_checking(node.test):
            return self._read_all(node.orelse)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            return self._function(node)
        if isinstance(node, ast.Name):
            return self._name(node)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and self._is_module(node.value.id):
            self.attributes.add((node.value.id, node.attr))
            return f"Name({node.attr})"
        if isinstance(node, ast.AnnAssign):  # with and without an annotation it is the same assignment
            return f"Assign({self.read(node.target)},{'' if node.value is None else self.read(node.value)})"
        if isinstance(node, ast.Assign):
            return f"Assign({self._read_all(node.targets)},{self.read(node.value)})"
        if isinstance(node, ast.Raise):
            return f"Raise({self._raised(node.exc)})"
        if isinstance(node, ast.Constant):
            return f"{type(node.value).__name__}:{node.value!r}"
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _is_log(node.value):
            return self._without_texts(node.value)
        return self._fields(node)

    def _fields(self, node: ast.AST) -> str:
        parts = [f"{name}={self._field(value)}" for name, value in ast.iter_fields(node) if name not in _UNCOUNTED_FIELDS]
        return f"{type(node).__name__}({','.join(part for part in parts if not part.endswith('='))})"

    def _field(self, value: object) -> str:
        if isinstance(value, ast.AST):
            return self.read(value)
        if isinstance(value, list):
            return self._read_all(value)
        return "" if value is None else repr(value)

    def _read_all(self, nodes: Iterable[object]) -> str:
        texts = [self.read(node) if isinstance(node, ast.AST) else repr(node) for node in nodes]
        return f"[{';'.join(text for text in texts if text)}]" if any(texts) else ""

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> str:
        """Read a function: its own arguments and variables are no names of the module."""
        outside = [*getattr(node, "decorator_list", []), *node.args.defaults, *node.args.kw_defaults]
        before = self._read_all([child for child in outside if child is not None])
        self._scopes.append(_local_names(node))
        text = self._fields(node)
        self._scopes.pop()
        return f"{before}{text}"

    def _name(self, node: ast.Name) -> str:
        local = any(node.id in scope for scope in self._scopes)
        if not local:
            self.uses.add(node.id)
        return f"Name({node.id if local else self._renamed.get(node.id, node.id)})"

    def _is_module(self, name: str) -> bool:
        return name in self._modules and not any(name in scope for scope in self._scopes)

    def _raised(self, exception: ast.expr | None) -> str:
        """Read which exception is raised; what it says is for people."""
        if isinstance(exception, ast.Call):
            return self.read(exception.func)
        return "" if exception is None else self.read(exception)

    def _without_texts(self, call: ast.Call) -> str:
        values = [*call.args, *(keyword.value for keyword in call.keywords)]
        texts = (ast.JoinedStr, ast.Constant)
        return f"Log({self.read(call.func)},{self._read_all([v for v in values if not isinstance(v, texts)])})"


def _explains(node: ast.AST) -> bool:
    """Return whether a node is a docstring, an import, a `pass`, or a method's words about itself."""
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Pass):
        return True
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    if isinstance(node, ast.Assign | ast.AnnAssign):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        in_words = isinstance(node.value, ast.Constant | ast.Call | ast.JoinedStr | ast.BinOp)
        return isinstance(target, ast.Name) and target.id in DESCRIPTIONS and in_words
    return False


def _is_log(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    notes = isinstance(call.func, ast.Attribute) and name == "append" and "notes" in ast.dump(call.func.value)
    return name in LOG_CALLS or notes


def _local_names(function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> set[str]:
    """Return a function's arguments and the names that it binds, those of functions inside it not counted."""
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    names = {argument.arg for argument in every if argument is not None}
    shared: set[str] = set()
    waiting: list[ast.AST] = [function.body] if isinstance(function, ast.Lambda) else list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            names.add(node.id)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
        elif isinstance(node, ast.Global):
            shared.update(node.names)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif not isinstance(node, ast.Lambda):
            waiting += ast.iter_child_nodes(node)
    return names - shared
