"""The glossary has each term once, and every heading of the tables."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from graftbench.metrics.catalogue import EVERY_METRIC

PAGE = (Path(__file__).parents[2] / "docs" / "glossary.md").read_text("utf-8")
TERMS = re.findall(r'^\| <span id="([\w-]+)">([^<]+)</span> \| (.+) \|$', PAGE, re.MULTILINE)


def test_each_term_stands_once_with_an_anchor_and_an_explanation() -> None:
    """Every row of its tables has all three, and no anchor or term is given twice."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| term", "| ---"))]
    assert len(TERMS) == len(rows)
    for column in (0, 1):
        values = [term[column] for term in TERMS]
        assert len(values) == len(set(values))
    assert all(len(explanation) > 20 for _, _, explanation in TERMS)


def test_it_has_the_headings_and_rows_of_the_first_table() -> None:
    """FID, KID and IS as the table prints them, its second table, and every reference row with a meaning of its own."""
    terms = {term for _, term, _ in TERMS}
    panels = import_module("graftbench.reports._tables.panels")
    headline = panels.HEADLINE
    assert {metric.label for metric in headline} <= terms
    (second,) = [each for each in panels.LAYOUT if each.title == "Fidelity and diversity"]
    labels = {EVERY_METRIC[name].label for name in second.names}
    assert {label for label in labels if label not in terms} == {"Vendi"}  # it stands there as Vendi score
    assert set(import_module("graftbench.reports._tables.groups").MARKS) <= terms
