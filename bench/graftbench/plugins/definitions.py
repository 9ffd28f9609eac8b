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
from graftbench.plugins.remembered import ReadFile, Statement, key_of, memory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
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
    # What the file imports.
    known = memory().get(key_of(contents))
    if known is None:
        running, for_types = import_statements(ast.parse(contents, str(file)).body)
    else:
        running, for_types = (import_statements(ast.parse(t).body)[0] for t in (known.running, known.typing_only))
    imports, typing_only = _bound(running, file), _bound(for_types, file)
    renamed = {name: targets[0][1] for name, targets in imports.items() if targets[0][1] not in ("", name)}
    modules = frozenset(name for name, targets in imports.items() if not targets[0][1])

    # What it defines.
    resolved = repr((sorted(renamed.items()), sorted(modules)))
    if known is None or known.resolved != resolved:
        text, text_for_types = ("\n".join(map(ast.unparse, statements)) for statements in (running, for_types))
        statements = tuple(_statements(ast.parse(contents, str(file)), renamed, modules))
        known = ReadFile(text, text_for_types, resolved, statements)
        memory().put(key_of(contents), known)
    named: dict[str, list[Definition]] = {}
    unnamed: list[Definition] = []
    for statement in known.statements:
        name = statement.names[0] if statement.names else ""
        definition = Definition(name, statement.digest, statement.uses, statement.attributes)
        for each in statement.names:
            named.setdefault(each, []).append(definition)
        if not statement.names:
            unnamed.append(definition)

    # Which imports are for their effect.
    every = [*unnamed, *(definition for definitions in named.values() for definition in definitions)]
    used = {name for one in every for name in (*one.uses, *(module for module, _ in one.attributes))}
    effects = [target for name, targets in imports.items() if name not in used for target in targets]
    return ModuleDefinitions(
        {name: tuple(statements) for name, statements in named.items()},
        tuple(unnamed),
        {name: tuple(targets) for name, targets in imports.items()},
        tuple(effects),
        {name: tuple(targets) for name, targets in typing_only.items()},
    )


def _statements(tree: ast.Module, renamed: Mapping[str, str], modules: frozenset[str]) -> Iterator[Statement]:
    """Read the statements that compute something."""
    for statement in tree.body:
        reader = _Reader(renamed, modules)
        if text := reader.visit(statement):
            names = tuple(_bound_names(statement))
            digest = hashlib.sha256(text.encode()).digest()
            yield Statement(names, digest, frozenset(reader.uses.difference(names)), frozenset(reader.attributes))


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


class _Reader(ast.NodeVisitor):
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

    def visit(self, node: ast.AST) -> str:
        """Return the text of what a node computes; empty where it computes nothing."""
        return "" if _explains(node) else super().visit(node)

    def generic_visit(self, node: ast.AST) -> str:
        """Return a node's kind and its fields, empty ones left out: Python's versions differ in those."""
        fields = ((name, self._field(value)) for name, value in ast.iter_fields(node) if name not in _UNCOUNTED_FIELDS)
        return f"{type(node).__name__}({','.join(f'{name}={text}' for name, text in fields if text)})"

    def _field(self, value: object) -> str:
        if isinstance(value, ast.AST):
            return self.visit(value)
        if isinstance(value, list):
            return self._visit_all(value)
        return "" if value is None else repr(value)

    def _visit_all(self, nodes: Iterable[object]) -> str:
        texts = [self.visit(node) if isinstance(node, ast.AST) else repr(node) for node in nodes]
        return f"[{';'.join(text for text in texts if text)}]" if any(texts) else ""

    def visit_If(self, node: ast.If) -> str:
        """Leave out what only the type checker sees."""
        return self._visit_all(node.orelse) if is_type_checking(node.test) else self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> str:
        """Read a function: its own arguments and variables are no names of the module, its defaults may be."""
        outside = [*getattr(node, "decorator_list", []), *node.args.defaults, *node.args.kw_defaults]
        before = self._visit_all([child for child in outside if child is not None])
        self._scopes.append(_local_names(node))
        text = self.generic_visit(node)
        self._scopes.pop()
        return before + text

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 - ast.NodeVisitor looks for these names
    visit_Lambda = visit_FunctionDef  # noqa: N815 - likewise

    def visit_Name(self, node: ast.Name) -> str:
        """Note a name of the module; what was imported under another name counts by its own."""
        if self._is_local(node.id):
            return f"Name({node.id})"
        self.uses.add(node.id)
        return f"Name({self._renamed.get(node.id, node.id)})"

    def visit_Attribute(self, node: ast.Attribute) -> str:
        """Read `losses.hinge` of an imported module as `hinge`, as if it had been imported by its name."""
        if isinstance(node.value, ast.Name) and node.value.id in self._modules and not self._is_local(node.value.id):
            self.attributes.add((node.value.id, node.attr))
            return f"Name({node.attr})"
        return self.generic_visit(node)

    def _is_local(self, name: str) -> bool:
        return any(name in scope for scope in self._scopes)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> str:
        """Read an assignment with an annotation as one without."""
        return f"Assign({self._visit_all([node.target])},{'' if node.value is None else self.visit(node.value)})"

    def visit_Assign(self, node: ast.Assign) -> str:
        """Read an assignment."""
        return f"Assign({self._visit_all(node.targets)},{self.visit(node.value)})"

    def visit_Raise(self, node: ast.Raise) -> str:
        """Read which exception is raised; what it says is for people."""
        exception = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        return f"Raise({'' if exception is None else self.visit(exception)})"

    def visit_Constant(self, node: ast.Constant) -> str:
        """Read a value with its type: 1, 1.0 and True are three."""
        return f"{type(node.value).__name__}:{node.value!r}"

    def visit_Expr(self, node: ast.Expr) -> str:
        """Leave out the texts of log lines and notes."""
        if not (isinstance(node.value, ast.Call) and _is_log(node.value)):
            return self.generic_visit(node)
        values = [*node.value.args, *(keyword.value for keyword in node.value.keywords)]
        computed = [value for value in values if not isinstance(value, ast.JoinedStr | ast.Constant)]
        return f"Log({self.visit(node.value.func)},{self._visit_all(computed)})"


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
