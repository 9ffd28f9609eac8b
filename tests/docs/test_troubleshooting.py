"""The headings of docs/troubleshooting.md are messages that the code still has."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "troubleshooting.md"
MESSAGES = [line.removeprefix("### ") for line in PAGE.read_text("utf-8").splitlines() if line.startswith("### ")]
VALUE = "\0"
"""Stands for what an f-string puts in."""


@cache
def written() -> frozenset[str]:
    """All strings of the code, values put in as VALUE and adjacent literals joined, as Python does."""
    found: set[str] = set()
    for folder in ("bench/graftbench", "methods", "datasets", "reports"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = (p.value if isinstance(p, ast.Constant) else VALUE for p in node.values)
                    found.add("".join(map(str, parts)))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.add(node.value)
    return frozenset(found)


def stands_in(message: str, text: str) -> bool:
    """Whether what stands between the gaps of a message occurs in the text in that order."""
    place = 0
    for part in filter(None, (part.strip() for part in message.split("…"))):
        place = text.find(part, place)
        if place < 0:
            return False
        place += len(part)
    return True


@pytest.mark.slow
@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_of_the_page_is_one_of_the_code(message: str) -> None:
    """Somebody who changes a message is told to change the page."""
    assert any(stands_in(message, text) for text in written())


def test_a_message_that_nobody_writes_is_noticed() -> None:
    """Parts in another order, or words that are nowhere, do not count."""
    assert not any(stands_in("There is no suite … file of this name", text) for text in written())
    assert stands_in("a … b", f"a {VALUE} b")
    assert not stands_in("b … a", f"a {VALUE} b")
