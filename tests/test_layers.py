"""The import rule where import-linter does not look: plugin folders lie outside the package; names of classes."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]

GROUND = (
    *("contracts", "records", "metrics", "extractors", "resources"),
    *("digests", "budget", "bounds", "cache", "errors", "version", "references"),
)
MAY_IMPORT = {
    "methods": (*GROUND, "training", "images", "nn", "plugins", "comparison", "methods"),
    "datasets": (*GROUND, "images", "plugins", "datasets"),
    "reports": (*GROUND, "comparison", "plotting", "citations", "plugins", "reports"),
}
"""Plugin folder -> what its files may import of the package: the layers beneath it, and its own neighbours."""

DEMANDED = {"Config": "a method's configuration has this name in every method's file"}
"""Class names that a contract demands in more than one file, with the reason."""


def imported(file: Path) -> Iterator[tuple[int, str]]:
    """Yield line and first part of each module of the package that a file imports, in functions and for types too."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == "graftbench":
                yield node.lineno, rest.partition(".")[0]


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_plugin_folders_import_what_lies_beneath_them(folder: str) -> None:
    """A method knows training and below, a domain images and below, a report comparison and records."""
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {name or 'graftbench'}"
        for file in files
        for line, name in imported(file)
        if name not in MAY_IMPORT[folder]
    ]
    assert not wrong


def test_a_class_name_occurs_once() -> None:
    """Whoever reads or searches for a name finds one thing."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for folder in ("bench", "methods", "datasets", "reports"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.parse(file.read_text("utf-8")).body:
                if isinstance(node, ast.ClassDef) and node.name not in DEMANDED:
                    places[node.name].append(str(file.relative_to(ROOT)))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def test_few_modules_lie_at_the_top() -> None:
    """A reader finds a thing where its name says: in a package, of which the top level names what each is for."""
    modules = {path.stem for path in (ROOT / "bench" / "graftbench").glob("*.py")}
    assert modules == {
        *("__init__", "__main__", "errors", "version", "bounds", "cache", "digests", "budget"),
        *("contracts", "references", "plotting", "citations", "report"),
    }
