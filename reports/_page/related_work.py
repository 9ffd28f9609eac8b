"""What the page says of others' work: claims that were checked, licences of methods' code, how to cite.

Papers and licences stand in the files of methods and domains. Importing those would import torch, so their class
bodies are read as text: only what is written there as a literal is known.
"""

from __future__ import annotations

import ast
import importlib.util
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import msgspec

from graftbench.citations import OURS, bibliography, bibtex
from graftbench.comparison.claims import CheckedClaims, Finding, check_claims
from graftbench.comparison.protocols import scoring_fields
from graftbench.contracts import Domain, Method, Reference
from graftbench.records.cell_spec import SAMPLES, content_hash
from graftbench.references import references

from .._tables.text import one_line, shorten_paths

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graftbench.records.record import Record


# ---------------------------------------------------------------------------------------------------------- claims


@dataclass(frozen=True)
class ClaimTable:
    """All claims on the cells of one protocol.

    Attributes:
        protocol: Its label where the run has several, else empty.
        checked: Level, cells, what few and many images are.
        answered: Claims with an answer.
        open: Claims for which the cells are too few.
    """

    protocol: str
    checked: CheckedClaims
    answered: tuple[Finding, ...]
    open: tuple[Finding, ...]


def claim_tables(records: Sequence[Record]) -> list[ClaimTable]:
    """Make one table a protocol: numbers of two protocols do not compare, and `check_claims` refuses them."""
    by_protocol: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_protocol[content_hash(scoring_fields(record.cell.protocol))].append(record)
    tables = []
    for alike in by_protocol.values():
        checked = check_claims(alike)
        tables.append(
            ClaimTable(
                protocol=alike[0].cell.protocol.label if len(by_protocol) > 1 else "",
                checked=checked,
                answered=tuple(finding for finding in checked.findings if finding.is_answered),
                open=tuple(finding for finding in checked.findings if not finding.is_answered),
            )
        )
    return tables


# -------------------------------------------------------------------------------------- what installed files say


def known_methods() -> dict[str, type[Method]]:
    """Name -> the `reference` of each method of the package, as an object that has this alone."""
    methods = {}
    for name, body in _classes("methods"):
        fields = body.get("reference")
        if isinstance(fields, Reference):
            methods[name] = cast("type[Method]", SimpleNamespace(reference=fields))
    return methods


def known_domains() -> dict[str, type[Domain]]:
    """Name -> title, licence, attribution and source of each domain of the package, as an object with these alone."""
    names = ("title", "license", "attribution", "source")
    return {
        name: cast("type[Domain]", SimpleNamespace(**{key: str(body.get(key, "")) for key in names}))
        for name, body in _classes("datasets")
    }


def _classes(folder: str) -> Iterator[tuple[str, dict[str, object]]]:
    """Name and class attributes of each class that has a literal `name`, in the files of a plugin folder."""
    spec = importlib.util.find_spec(f"graftbench.{folder}")
    folders = (spec.submodule_search_locations or ()) if spec is not None else ()
    for file in sorted(file for folder_path in folders for file in Path(folder_path).glob("[!_]*.py")):
        try:
            tree = ast.parse(file.read_text("utf-8"))
        except (OSError, SyntaxError, ValueError):  # a broken plugin is listed by `graftbench ls`, and breaks nothing
            continue
        for node in tree.body:
            body = _literals(node) if isinstance(node, ast.ClassDef) else {}
            if isinstance(name := body.get("name"), str):
                yield name, body


def _literals(node: ast.ClassDef) -> dict[str, object]:
    literals: dict[str, object] = {}
    for statement in node.body:
        target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
        if isinstance(target, ast.Name) and (value := getattr(statement, "value", None)) is not None:
            literals[target.id] = _literal(value)
    return literals


def _literal(node: ast.expr) -> object:
    """Return a literal, `Reference(...)` of literals or `cited("key")`; None for anything else."""
    try:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "cited":
            return references().get(ast.literal_eval(node.args[0]))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Reference":
            fields: dict[str, Any] = {str(word.arg): ast.literal_eval(word.value) for word in node.keywords}
            return msgspec.convert(fields, Reference)
        return ast.literal_eval(node)
    except (ValueError, msgspec.ValidationError):
        return None


# ------------------------------------------------------------------------------------------------ licences, citing


@dataclass(frozen=True)
class CodeLine:
    """Whose method it is, and the licence of the published code.

    Attributes:
        method: Registered name.
        paper: Authors, title, venue and year.
        code: Address of the published code; empty where there is none.
        license: Its licence as the method's file tells it; says so where nothing is known.
    """

    method: str
    paper: str
    code: str
    license: str


def code_lines(records: Sequence[Record], methods: dict[str, type[Method]]) -> list[CodeLine]:
    """Make a line a method, by name, a variant's being its method's. Reference rows of our own have no line."""
    names = sorted({record.cell.variant_of or record.cell.method for record in records} - {SAMPLES})
    lines = []
    for name in names:
        if name not in methods:
            lines.append(CodeLine(one_line(name), "not a method of this installation", "", ""))
            continue
        paper = methods[name].reference
        if paper.authors == OURS:
            continue
        venue = ", ".join(part for part in (paper.venue, str(paper.year)) if part)
        license_ = (paper.code_license or "not checked") if paper.code else ""
        lines.append(CodeLine(name, f"{paper.authors}: {paper.title}. {venue}", paper.code, license_))
    return lines


def citations(records: Sequence[Record], methods: dict[str, type[Method]]) -> tuple[str, list[str]]:
    """Return BibTeX for what the records used, and sentences on what nothing is known to cite for."""
    entries, missing = bibliography([_readable(record) for record in records], methods, known_domains())
    return shorten_paths(bibtex(entries)), [shorten_paths(one_line(sentence)) for sentence in missing]


def _readable(record: Record) -> Record:
    """Drop from a record what its environment says of domains in another form than name -> (field -> text)."""
    recorded = record.environment.get("domains", {})
    facts = {
        str(name): {key: text for key, text in fields.items() if isinstance(text, str)}
        for name, fields in (recorded.items() if isinstance(recorded, dict) else ())
        if isinstance(fields, dict)
    }
    if facts == recorded:
        return record
    return msgspec.structs.replace(record, environment=record.environment | {"domains": facts})
