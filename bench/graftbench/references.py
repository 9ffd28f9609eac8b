"""The papers and packages that methods, metrics, extractors and claims come from, each once, in references.bib."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from graftbench.contracts import Reference
from graftbench.errors import GraftbenchError, unknown

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
    text = Path(__file__).with_name("references.bib").read_text("utf-8")
    return {key: _reference(fields) for key, fields in entries_of(text).items()}


def entries_of(text: str) -> dict[str, dict[str, str]]:
    """Read entries as references.bib writes them, a field a line: key -> field -> text, the outer braces taken off.

    That is BibTeX, and less than BibTeX: a reader of all of it takes twenty times as long, and every list of methods
    waits for it.

    Raises:
        GraftbenchError: It names the first line that is neither of an entry in this form nor a comment.
    """
    rest = _COMMENT.sub("", _ENTRY.sub("", text)).strip()
    if rest:
        raise GraftbenchError(
            "references.bib has entries of the form `@kind{key,`, a line `  field = {text},` each, and `}`; found "
            f"'{rest.splitlines()[0]}'."
        )
    return {key: dict(_FIELD.findall(fields)) for key, fields in _ENTRY.findall(text)}


_ENTRY = re.compile(r"^@[a-z]+\{([a-z0-9]+),\n((?:  [a-z]+ = \{.*\},\n)+)\}$", re.MULTILINE)
_FIELD = re.compile(r"^  ([a-z]+) = \{(.*)\},$", re.MULTILINE)
_COMMENT = re.compile(r"^%.*$", re.MULTILINE)


def _reference(fields: dict[str, str]) -> Reference:
    authors = (person.strip("{}") for person in fields["author"].split(" and "))
    venue = next((fields[name] for name in _VENUES if name in fields), "")
    optional = {ours: fields.get(theirs, "") for ours, theirs in _OPTIONAL.items()}
    return Reference(
        authors=", ".join(authors), title=fields["title"], venue=venue, year=int(fields["year"]), **optional
    )


_OPTIONAL = {"arxiv": "eprint", "code": "url", "code_license": "license"}
