"""BibTeX for what a run used: papers of methods, metrics and extractors, the domains with their licences, graftbench.

Keys are made from an entry alone (first author, year, first telling word of the title: `wang2018transferring`), so that
they do not change with the run. One paper is one entry, however many things in the run come from it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from graftbench.contracts import PLACEHOLDER
from graftbench.metrics.catalogue import METRICS
from graftbench.records.cell_spec import NO_SOURCE, SAMPLES, without_path
from graftbench.records.provenance import SAYS, origin_of
from graftbench.records.record import Status
from graftbench.references import cited, references
from graftbench.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graftbench.contracts import Domain, Method, Reference
    from graftbench.records.record import Record

GIVE_PLUGIN = "give its file with --plugin"
"""Ends of messages that say how a user can add what is missing."""

OURS = "graftbench"
"""Author of the reference rows that have no paper of their own."""
OUR_TITLE = "graftbench: a benchmark and evaluation suite for transfer-learned image generators"
OUR_YEAR = 2026

# ----------------------------------------------------------------------------------------------------- LaTeX's letters

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",  # \\textquotedbl needs the T1 encoding
    **{mark: f"\\{mark}" for mark in "_%&#${}"},
    "“": "``",
    "”": "''",
    "‘": "`",
    "’": "'",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "\N{NO-BREAK SPACE}": "~",
    "ß": r"\ss{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "ı": r"\i{}",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "∞": r"$\infty$",
    "→": r"$\rightarrow$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "²": "$^{2}$",
    "³": "$^{3}$",
    "µ": r"$\mu$",
}
_ACCENTS = {
    "\N{COMBINING GRAVE ACCENT}": "`",
    "\N{COMBINING ACUTE ACCENT}": "'",
    "\N{COMBINING CIRCUMFLEX ACCENT}": "^",
    "\N{COMBINING TILDE}": "~",
    "\N{COMBINING DIAERESIS}": '"',
    "\N{COMBINING MACRON}": "=",
    "\N{COMBINING BREVE}": "u ",
    "\N{COMBINING CARON}": "v ",
    "\N{COMBINING CEDILLA}": "c ",
    "\N{COMBINING RING ABOVE}": "r ",
}


def latex(text: str) -> str:
    r"""Return text that LaTeX (and BibTeX) prints as it is, in ASCII: `a_b` -> `a\_b`, `ń` -> `{\'n}`.

    A character that no standard font has (Chinese, emoji) becomes its number, `U+4E2D`: a table that does not compile
    says less. Control characters and line breaks become spaces.
    """
    return "".join(map(_character, text))


def _character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isascii():
        return character if character.isprintable() else " "
    base, *marks = unicodedata.normalize("NFD", character)
    if len(marks) == 1 and base.isascii() and base.isalpha() and marks[0] in _ACCENTS:
        return f"{{\\{_ACCENTS[marks[0]]}{base}}}"
    return f"U+{ord(character):04X}"


# ------------------------------------------------------------------------------------------------------ known papers

EXTRACTOR_PAPERS: dict[str, tuple[str, ...]] = {
    "lite0": ("tan2019efficientnet",),
    "lite2": ("tan2019efficientnet",),
    "inception-v3-compat": ("szegedy2016rethinking", "obukhov2020high"),
    "vgg16": ("simonyan2015very",),
    "clip": ("radford2021learning",),
    "dinov2": ("oquab2024dinov2",),
    "timm": ("wightman2019pytorch",),
}
"""Extractor, or what its name begins with before `-` or `:` -> the network's paper, and whose port of it is used."""

DIFFAUGMENT = "zhao2020differentiable"


# ------------------------------------------------------------------------------------------------------------ entries


@dataclass
class Entry:
    r"""One BibTeX entry.

    Attributes:
        kind: `inproceedings`, `article` or `misc`.
        key: What `\cite` names.
        fields: Field -> value, as BibTeX reads it, without the outer braces.
        uses: What in the run it stands for: `method finetune`.
    """

    kind: str
    key: str
    fields: dict[str, str]
    uses: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        # Outside entries BibTeX skips everything up to the next "@".
        head = f"% {', '.join(self.uses)}\n".replace("@", " at ") if self.uses else ""
        lines = "".join(f"  {name} = {{{value}}},\n" for name, value in self.fields.items() if value)
        return f"{head}@{self.kind}{{{self.key},\n{lines}}}\n"


def entry_of(reference: Reference) -> Entry:
    """Return a paper, package or repository as BibTeX."""
    kind, venue_field = _place(reference.venue)
    fields = {"author": _authors(reference.authors), "title": f"{{{latex(reference.title)}}}"}
    fields |= {venue_field: latex(reference.venue)} if venue_field else {}
    fields["year"] = str(reference.year)
    if reference.arxiv:
        fields |= {"eprint": reference.arxiv, "archivePrefix": "arXiv"}
    elif reference.code:
        fields["howpublished"] = rf"\url{{{_url(reference.code)}}}"
    return Entry(kind, key_of(reference), fields)


def key_of(reference: Reference, words: int = 1) -> str:
    """Return `wang2018transferring`: first author, year, so many telling words of the title; lower-case ASCII."""
    telling = [word for word in _words(reference.title) if word not in _SMALL_WORDS] or ["untitled"]
    return _plain(reference.authors.split(", ")[0]) + str(reference.year) + "".join(telling[:words])


_SMALL_WORDS = frozenset(
    ("a", "an", "and", "at", "by", "do", "for", "from", "how", "in", "is", "of", "on", "the", "to", "via", "with")
)


def _words(text: str) -> list[str]:
    """Return words as written, in ASCII lower case: `Auto-Encoding` is two."""
    return [plain for word in re.split(r"[^\w]+", text) if (plain := _plain(word))]


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKD", text.translate(_FOLDED))
    return re.sub(r"[^a-z0-9]", "", folded.lower())


_FOLDED = str.maketrans({"ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "æ": "ae", "Æ": "AE"})


def _authors(authors: str) -> str:
    """`Wang, van de Weijer` -> `Wang and {van de Weijer}`: records of papers have surnames alone."""
    return " and ".join(f"{{{latex(name)}}}" if " " in name else latex(name) for name in authors.split(", "))


def _place(venue: str) -> tuple[str, str]:
    """Return the kind of the entry, and the field of its venue, which an arXiv number and a repository do not need."""
    if not venue or venue in ("arXiv", "GitHub repository"):
        return "misc", ""
    if venue.startswith(("arXiv", "Zenodo")):
        return "misc", "note"
    if venue.startswith(("Journal", "IEEE Transactions", "Transactions")):
        return "article", "journal"
    return "inproceedings", "booktitle"


def _url(address: str) -> str:
    r"""Return an address for `\url`: `%` is escaped, what would end the argument is percent-encoded."""
    encoded = re.sub(r"[\\{}\s^]", lambda match: f"%{ord(match[0]):02X}", address)
    return encoded.replace("%", r"\%")


# ------------------------------------------------------------------------------------------------------------- a run


def bibliography(
    records: Sequence[Record], methods: Mapping[str, type[Method]], domains: Mapping[str, type[Domain]]
) -> tuple[list[Entry], list[str]]:
    """Return entries for what these cells used, sorted by key within methods and metrics, domains, graftbench.

    A metric counts where a cell has its score, a method where a cell of it was run, however it ended.

    Args:
        records: One a cell.
        methods: Name -> class of those that are known here.
        domains: Name -> class of those that are known here.

    Returns:
        The entries, and sentences on what nothing is known to cite for.
    """
    missing: list[str] = []
    papers = _Papers()
    for record in records:
        papers.add_method(record, methods, missing)
        papers.add_extractor(record, missing)
        for score in record.scores:
            papers.add_metric(score.name)
    entries = [*papers.entries(), *_domain_entries(records, domains, missing), _own_entry(records)]
    return entries, list(dict.fromkeys(missing))


def bibtex(entries: Iterable[Entry]) -> str:
    """Return the entries as the text of a .bib file: ASCII, an empty line between them."""
    return "\n".join(map(str, entries))


class _Papers:
    """Papers, each once, with what in the run comes from it."""

    def __init__(self) -> None:
        self._papers: dict[str, Reference] = {}
        self._uses: defaultdict[str, dict[str, None]] = defaultdict(dict)

    def add(self, reference: Reference, use: str) -> None:
        identity = reference.arxiv or " ".join(_words(reference.title))
        self._papers.setdefault(identity, reference)
        self._uses[identity][use] = None

    def add_method(self, record: Record, methods: Mapping[str, type[Method]], missing: list[str]) -> None:
        name, base = record.cell.method, record.cell.variant_of
        registered_name = base or name
        if origin_of(record):
            missing.append(f"'{name}' is {SAYS[origin_of(record)]}: cite its makers.")
        if registered_name != SAMPLES and registered_name not in methods:
            missing.append(f"The method '{registered_name}' is not known here; {GIVE_PLUGIN}.")
        elif registered_name != SAMPLES and PLACEHOLDER in (
            methods[registered_name].reference.authors,
            methods[registered_name].reference.title,
        ):
            missing.append(
                f"The method '{registered_name}' does not say yet whose it is: fill in `reference` in its file."
            )
        elif registered_name != SAMPLES and methods[registered_name].reference.authors != OURS:
            self.add(methods[registered_name].reference, f"method {name}" + (f" (a variant of {base})" if base else ""))
        if record.cell.parameters.get("augment"):
            self.add(cited(DIFFAUGMENT), f"augmentation in {name}")

    def add_extractor(self, record: Record, missing: list[str]) -> None:
        protocol = record.cell.protocol
        names = [protocol.extractor, *([protocol.second.extractor] if protocol.second else [])]
        for name in names if record.scores else []:
            keys = EXTRACTOR_PAPERS.get(name) or EXTRACTOR_PAPERS.get(re.split("[-:]", name)[0])
            if keys is None:
                missing.append(f"Nothing is known to cite for the extractor '{without_path(name)}'.")
            for key in keys or ():
                self.add(cited(key), f"extractor {name}")

    def add_metric(self, name: str) -> None:
        source = METRICS[name].paper if name in METRICS else ""
        for key, paper in references().items():
            if source and source in (key, paper.arxiv):
                self.add(paper, f"metric {name}")

    def entries(self) -> list[Entry]:
        """Return the entries by key; where two would share one, with as many title words as tell them apart."""
        made = {identity: entry_of(paper) for identity, paper in self._papers.items()}
        for words in (2, 3, 4, 99):
            by_key: defaultdict[str, list[str]] = defaultdict(list)
            for identity, entry in made.items():
                by_key[entry.key].append(identity)
            for identity in (one for alike in by_key.values() if len(alike) > 1 for one in alike):
                made[identity].key = key_of(self._papers[identity], words)
        for identity, entry in made.items():
            entry.uses = sorted(self._uses[identity])
        return sorted(made.values(), key=lambda entry: entry.key)


def _domain_entries(records: Sequence[Record], domains: Mapping[str, type[Domain]], missing: list[str]) -> list[Entry]:
    names = {without_path(name) for record in records for name in (record.cell.task.source, record.cell.task.target)}
    recorded_facts: dict[str, dict[str, str]] = {}
    for record in records:
        recorded_facts |= record.environment.get("domains", {})
    return [_domain_entry(name, domains, recorded_facts, missing) for name in sorted(names - {NO_SOURCE})]


def _domain_entry(
    name: str, domains: Mapping[str, type[Domain]], recorded_facts: Mapping[str, Mapping[str, str]], missing: list[str]
) -> Entry:
    """Return a domain: title and source of its class, licence and attribution of the record."""
    cls = domains.get(name.partition(":")[0])
    if cls is None and name not in recorded_facts:
        missing.append(f"The domain '{name}' is not known here; {GIVE_PLUGIN}.")
    facts = recorded_facts.get(name, {})
    license_ = facts.get("license") or (cls.license if cls else "")
    attribution = facts.get("attribution") or (cls.attribution if cls else "")
    note = ". ".join(part.rstrip(".") for part in (f"License: {license_}" if license_ else "", attribution) if part)
    title = facts.get("title") or (cls.title if cls else name)
    fields = {
        "title": f"{{{latex(f'{title} ({name})' if ':' in name else title)}}}",
        "howpublished": latex(cls.source) if cls else "",
        "note": latex(f"{note}." if note else ""),
    }
    return Entry("misc", f"domain-{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}", fields, [f"domain {name}"])


def _own_entry(records: Sequence[Record]) -> Entry:
    """Return graftbench, in the versions and commits that made the records."""
    versions = sorted({str(version) for r in records if (version := r.environment.get("graftbench"))})
    commits = sorted({str(commit)[:12] for r in records if (commit := r.environment.get("commit"))})
    note = f"Version {', '.join(versions or [__version__])}"
    note += f", commit {', '.join(commits)}" if commits else ""
    fields = {
        "author": "{The graftbench authors}",
        "title": f"{{{latex(OUR_TITLE)}}}",
        "year": str(OUR_YEAR),
        "note": latex(note),
    }
    ok = sum(record.status == Status.OK for record in records)
    return Entry("misc", f"graftbench{OUR_YEAR}", fields, [f"{len(records)} cells of which {ok} ended well"])
