"""The papers and packages that methods, metrics, extractors and claims come from, each once, in references.bib."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from graftbench.contracts import Reference
from graftbench.errors import unknown

_VENUES = ("booktitle", "journal", "howpublished")
"""Fields in which BibTeX's kinds of entries have the venue."""


def cited(key: str) -> Reference:
    """Return the entry of a key.

    Raises:
        GraftbenchError: There is none; it names the nearest.
    """
    if key not in references():
        raise unknown("reference", key, references(), where="in references.bib")
    return references()[key]


@cache
def references() -> dict[str, Reference]:
    """Return key -> reference of all entries; authors are surnames, text is plain and not yet LaTeX's."""
    from pybtex.database import parse_string  # noqa: PLC0415 - commands that cite nothing do without

    text = Path(__file__).with_name("references.bib").read_text("utf-8")
    by_key: dict[str, Reference] = {}
    for key, entry in parse_string(text, "bibtex").entries.items():
        authors = (str(person).strip("{}") for person in entry.persons["author"])
        venue = next((entry.fields[name] for name in _VENUES if name in entry.fields), "")
        optional = {ours: entry.fields.get(theirs, "") for ours, theirs in _OPTIONAL.items()}
        year = int(entry.fields["year"])
        by_key[key] = Reference(
            authors=", ".join(authors), title=entry.fields["title"], venue=venue, year=year, **optional
        )
    return by_key


_OPTIONAL = {"arxiv": "eprint", "code": "url", "code_license": "license"}
