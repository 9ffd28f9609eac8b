"""BibTeX: keys, escapes, one entry a paper, and exactly what was used."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from made_cells import EMOJI_RECORDS
from pybtex.database import parse_string

import graftbench.references
from graftbench.citations import EXTRACTOR_PAPERS, bibliography, bibtex, entry_of, key_of, latex
from graftbench.comparison.claims import CLAIMS
from graftbench.contracts import Reference
from graftbench.errors import GraftbenchError
from graftbench.extractors.catalogue import FIXED, PATTERNS
from graftbench.metrics.catalogue import METRICS
from graftbench.plugins import registry
from graftbench.records.run import read_runs
from graftbench.references import cited, entries_of, references

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graftbench.citations import Entry
    from graftbench.contracts import Domain, Method
    from graftbench.records.record import Record

BIBTEX, PDFLATEX = shutil.which("bibtex"), shutil.which("pdflatex")


def test_the_bibliography_is_read_as_bibtex_is() -> None:
    """Entry for entry and field for field as pybtex, which reads all of BibTeX, has them."""
    text = (Path(graftbench.references.__file__).parent / "references.bib").read_text("utf-8")
    theirs = parse_string(text, "bibtex").entries
    ours = entries_of(text)
    assert list(ours) == list(theirs)
    for key, entry in theirs.items():
        authors = ", ".join(str(person).strip("{}") for person in entry.persons["author"])
        assert cited(key).authors == authors
        assert {name: value for name, value in ours[key].items() if name != "author"} == dict(entry.fields)


@pytest.mark.parametrize("line", ["  title = no braces,", "@misc{Upper,", "  year = {2020}"])
def test_an_entry_in_another_form_is_named(line: str) -> None:
    """Valid BibTeX or not: what our reader would pass over is refused, with the line."""
    text = "% papers\n\n@misc{a2020b,\n  author = {A},\n}\n\n@misc{c,\n" + line + "\n}\n"
    with pytest.raises(GraftbenchError, match=r"entries of the form.*found '@misc"):
        entries_of(text)
    assert entries_of(text.partition("@misc{c")[0]) == {"a2020b": {"author": "A"}}


@pytest.fixture(scope="module")
def records() -> list[Record]:
    """The records of a real run."""
    return list(read_runs([EMOJI_RECORDS]).records)


@pytest.fixture(scope="module")
def methods() -> Mapping[str, type[Method]]:
    """All methods."""
    return registry.methods().classes


@pytest.fixture(scope="module")
def domains() -> Mapping[str, type[Domain]]:
    """All domains."""
    return registry.domains().classes


def changed(record: Record, **cell: object) -> Record:
    """A record whose cell has other fields."""
    return msgspec.structs.replace(record, cell=msgspec.structs.replace(record.cell, **cell))


def by_key(entries: list[Entry]) -> dict[str, Entry]:
    """Entries by key."""
    assert len({entry.key for entry in entries}) == len(entries)
    return {entry.key: entry for entry in entries}


def test_keys(methods: dict[str, type[Method]]) -> None:
    """First author, year, first telling word; accents and hyphens go."""
    assert key_of(methods["finetune"].reference) == "wang2018transferring"
    assert cited("kynkaanniemi2019improved").arxiv == "1904.06991"
    assert key_of(cited("binkowski2018demystifying")) == "binkowski2018demystifying"
    weijer = Reference(authors="van de Weijer, Ångström", title="On the A", venue="", year=2001)
    assert key_of(weijer) == "vandeweijer2001untitled"


def test_keys_do_not_depend_on_the_run(methods: dict[str, type[Method]]) -> None:
    """No two papers that graftbench knows share a key: none has to be told apart by what else is in a run."""
    papers = [method.reference for method in methods.values() if method.reference.authors != "graftbench"]
    papers += references().values()
    identities = {paper.arxiv or paper.title: key_of(paper) for paper in papers}
    assert [key for key, count in Counter(identities.values()).items() if count > 1] == []


def test_papers_that_would_share_a_key_are_told_apart(records: list[Record]) -> None:
    """More words of both titles; never a letter that follows the order."""

    def method(title: str) -> type[Method]:
        reference = Reference(authors="Wang, Wu", title=title, venue="ECCV", year=2018)
        return type("Made", (), {"reference": reference})  # type: ignore[return-value]

    made = {"one": method("Transferring GANs"), "two": method("Transferring VAEs")}
    cells = [changed(records[0], method=name, parameters={}) for name in made]
    for order in (cells, cells[::-1]):
        keys = by_key(bibliography(order, made, {})[0])
        assert {"wang2018transferringgans", "wang2018transferringvaes"} <= keys.keys()


def test_every_metric_and_extractor_with_a_paper_is_known() -> None:
    """What the catalogue cites has an entry; so has each extractor but a user's own file."""
    sources = {paper.arxiv for paper in references().values()} | references().keys()
    assert {metric.paper for metric in METRICS.values() if metric.paper} <= sources
    assert {key for keys in EXTRACTOR_PAPERS.values() for key in keys} <= references().keys()
    for name in [*FIXED, *PATTERNS]:
        assert (name in EXTRACTOR_PAPERS or re.split("[-:]", name)[0] in EXTRACTOR_PAPERS) == (
            not name.startswith("torchscript")
        )


def test_keys_are_made_from_the_entries_and_nothing_stands_unused(methods: dict[str, type[Method]]) -> None:
    """Each key of references.bib is its entry's; each entry is of a method, a metric, an extractor or a claim."""
    for key, paper in references().items():
        assert key_of(paper) == key
    used = {method.reference.title for method in methods.values()}
    used |= {claim.source.title for claim in CLAIMS if claim.source is not None}
    used |= {cited(key).title for keys in EXTRACTOR_PAPERS.values() for key in keys}
    used |= {cited(metric.paper).title for metric in METRICS.values() if metric.paper in references()}
    numbers = {metric.paper for metric in METRICS.values()}
    assert [key for key, p in references().items() if p.title not in used and p.arxiv not in numbers] == []


def test_an_unknown_key_names_the_nearest() -> None:
    """A slip in a method's file says what it should be."""
    with pytest.raises(GraftbenchError, match="mo2020freeze"):
        cited("mo2020freezed")


def test_what_a_run_used(
    records: list[Record], methods: dict[str, type[Method]], domains: dict[str, type[Domain]]
) -> None:
    """Its methods, metrics, extractor, augmentation and domains; nothing of what was not run."""
    entries, missing = bibliography(records, methods, domains)
    found = by_key(entries)
    assert missing == []
    assert {"wang2018transferring", "mo2020freeze", "kingma2014auto", "heusel2017gans", "tan2019efficientnet"} <= (
        found.keys()
    )
    assert found["zhao2020differentiable"].uses == [
        f"augmentation in {name}" for name in ("dcgan", "finetune", "freezed")
    ]
    assert found["naeem2020reliable"].uses == ["metric coverage", "metric density", "metric null_coverage"]
    assert not {"chong2020effectively", "radford2021learning", "karras2020training"} & found.keys()
    assert "CC-BY-SA-4.0" in found["domain-openmoji"].fields["note"]
    assert "twemoji" in found["domain-twemoji"].fields["howpublished"]
    assert found["graftbench2026"].fields["note"].startswith("Version 0.1.0")


def test_one_paper_is_one_entry(records: list[Record], methods: dict[str, type[Method]]) -> None:
    """CDC is a method and the source of a metric."""
    cell = changed(next(r for r in records if r.score("cluster_occupancy")), method="cdc")
    (entry,) = [e for e in bibliography([cell], methods, {})[0] if e.key == "ojha2021few"]
    assert entry.uses == ["method cdc", "metric cluster_occupancy", "metric intra_cluster_distance"]


def test_what_is_not_known_is_said(records: list[Record]) -> None:
    """A plugin's method and domain, an extractor of the user's own; no path is printed."""
    cell = records[0].cell
    protocol = msgspec.structs.replace(cell.protocol, extractor="torchscript:/home/me/net.pt")
    task = msgspec.structs.replace(cell.task, target="folder:/home/me/cats")
    entries, missing = bibliography([changed(records[0], method="mine", protocol=protocol, task=task)], {}, {})
    assert len(missing) == 3
    assert any("'mine'" in sentence and "--plugin" in sentence for sentence in missing)
    assert any("'torchscript:net.pt'" in sentence for sentence in missing)
    assert any("'folder:cats'" in sentence for sentence in missing)
    assert "/home" not in bibtex(entries) + "".join(missing)
    assert "domain-folder-cats" in by_key(entries)


def test_entries() -> None:
    """A proceedings paper with its arXiv number; a journal's; a repository with its address."""
    text = str(entry_of(Reference(authors="Mo, van Ö", title="A & B", venue="C_D", year=2020, arxiv="2002.1")))
    assert text == (
        '@inproceedings{mo2020b,\n  author = {Mo and {van {\\"O}}},\n  title = {{A \\& B}},\n'
        "  booktitle = {C\\_D},\n  year = {2020},\n  eprint = {2002.1},\n  archivePrefix = {arXiv},\n}\n"
    )
    journal = entry_of(Reference(authors="A", title="Bee", venue="IEEE Transactions on X", year=1999))
    assert (journal.kind, journal.fields["journal"]) == ("article", "IEEE Transactions on X")
    code = entry_of(
        Reference(authors="A", title="Bee", venue="GitHub repository", year=1999, code="https://x.org/a_b}")
    )
    assert (code.kind, code.fields["howpublished"]) == ("misc", r"\url{https://x.org/a_b\%7D}")


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        (r"_%&#${}", r"\_\%\&\#\$\{\}"),
        ("~^\\", r"\textasciitilde{}\textasciicircum{}\textbackslash{}"),
        ("Bińkowski, Kynkäänniemi", r"Bi{\'n}kowski, Kynk{\"a}{\"a}nniemi"),
        ("Groß 10³ − 1 …", r"Gro\ss{} 10$^{3}$ $-$ 1 \ldots{}"),
        ("中\n", "U+4E2D "),
    ],
)
def test_escapes(text: str, escaped: str) -> None:
    """ASCII that prints the same; what no font has, by its number."""
    assert latex(text) == escaped


@pytest.mark.skipif(
    not (BIBTEX and PDFLATEX), reason="bibtex or pdflatex is not installed (Debian: texlive-latex-base)"
)
def test_bibtex_takes_it(
    records: list[Record], methods: dict[str, type[Method]], domains: dict[str, type[Domain]], tmp_path: Path
) -> None:
    """All methods, metrics and extractors that graftbench knows, cited in a plain document, without an error."""
    everything = [changed(records[0], method=name) for name in methods]
    names = [*FIXED, "timm:resnet18"]
    protocols = [msgspec.structs.replace(records[0].cell.protocol, extractor=name) for name in names]
    everything += [changed(records[0], protocol=protocol) for protocol in protocols]
    scores = [msgspec.structs.replace(records[0].scores[0], name=name) for name in METRICS]
    everything.append(msgspec.structs.replace(records[0], scores=scores))
    (tmp_path / "used.bib").write_text(bibtex(bibliography(everything, methods, domains)[0]), "ascii")
    lines = [r"\documentclass{article}\usepackage{url}\begin{document}\nocite{*}"]
    lines += [r"\bibliographystyle{plain}\bibliography{used}\end{document}"]
    (tmp_path / "paper.tex").write_text("\n".join(lines))
    latex_command = [str(PDFLATEX), "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    for command in (latex_command, [str(BIBTEX), "paper"], latex_command):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stdout[-2000:]
    assert "error" not in (tmp_path / "paper.blg").read_text().lower().replace("error message", "")
