"""`graftbench publish` as a user meets it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import unquote

import msgspec
import pytest
from made_cells import EMOJI_RECORDS, EMOJI_SUITE

from graftbench.execution.run_folder import RunFolder
from graftbench.records.record import FORMAT, Record, Status
from graftbench.records.store import read
from graftbench.suites.matrix import places
from graftbench.suites.suite import load_suite

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from command_line import Command

FILES = {"index.html", "table.md", "results.csv", "records.jsonl"}


@pytest.fixture(scope="module")
def records() -> list[Record]:
    """Twelve real records of the emoji suite, all `ok`."""
    return read(EMOJI_RECORDS)[0][:12]


def write_records(file: Path, records: Sequence[Record]) -> Path:
    """Write a file of records."""
    file.write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
    return file


def make(folder: Path, records: Sequence[Record], name: str = "emoji") -> Path:
    """A run folder of the emoji suite, under a name."""
    run, suite = RunFolder(folder), load_suite(EMOJI_SUITE)
    resolved = msgspec.structs.replace(suite, protocol=records[0].cell.protocol, cells=len(places(suite)))
    with run.claimed(name):
        run.write_suite(msgspec.structs.replace(resolved, name=name))
        write_records(run.records, records)
    return folder


def with_protocol(record: Record, **changes: object) -> Record:
    """The same record under another protocol, with the id of that cell."""
    protocol = msgspec.structs.replace(record.cell.protocol, **changes)
    cell = msgspec.structs.replace(record.cell, protocol=protocol)
    return msgspec.structs.replace(record, id=cell.id, cell=cell, artifacts={})


class _Links(HTMLParser):
    """The addresses that a page names, and the tags that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_two_runs_make_an_index_with_their_findings(run: Command, records: list[Record], tmp_path: Path) -> None:
    """Each has its page, table, CSV and records; the index links them relatively and says each finding."""
    a, b = make(tmp_path / "a", records[:6], "near"), make(tmp_path / "b", records[6:], "far")
    site = tmp_path / "site"
    code, out, err = run("publish", a, b, "--out", site)
    assert (code, out.strip(), err) == (0, str(site / "index.html"), "")
    text = (site / "index.html").read_text()
    links = _Links(text)
    assert all((site / unquote(address)).is_file() for address in links.addresses)
    assert {f"runs/{name}/{file}" for name in ("near", "far") for file in FILES} <= set(links.addresses)
    assert text.count("6 of 36 results; all ended well.") == 2
    assert text.count("twemoji → openmoji at 32×32. With ") == 2
    assert "theirs" not in re.sub(r"<style>.*</style>", "", text, flags=re.DOTALL)
    assert "http" not in re.sub(r"<meta [^>]*>", "", text)
    published = read(site / "runs" / "near" / "records.jsonl")[0]
    assert [record.id for record in published] == [record.id for record in records[:6]]
    assert len((site / "runs" / "far" / "results.csv").read_text().splitlines()) == 7


def test_no_file_names_a_folder_of_the_machine(run: Command, records: list[Record], tmp_path: Path) -> None:
    """Paths in weights, reasons, logs, notes and environments are cut to their last part; every id stays."""
    odd = msgspec.structs.replace(
        with_protocol(records[0], weights="/home/ann/secret/w.pt"),
        status=Status.ERROR,
        scores=[],
        reason="no file '/home/ann/secret/x.png'",
        log_tail='  File "/home/ann/secret/m.py", line 3',
        notes=["see /home/ann/secret/notes"],
        environment={"python": "/home/ann/secret/python", "nested": {"all": ["/home/ann/secret/y"]}},
    )
    file = write_records(tmp_path / "odd.jsonl", [odd, *records[1:4]])
    assert run("publish", file, "--out", tmp_path / "site")[0] == 0
    for name, data in contents(tmp_path / "site").items():
        assert b"/home/ann" not in data, name
        assert str(tmp_path).encode() not in data, name
    (published,) = (tmp_path / "site" / "runs").glob("*/records.jsonl")
    assert [record.id for record in read(published)[0]] == [odd.id, *(record.id for record in records[1:4])]


def test_records_that_another_sent_join_and_are_marked(run: Command, records: list[Record], tmp_path: Path) -> None:
    """A file alone, of which two cells were run here too: one agrees, one differs, and both are said."""
    ours = make(tmp_path / "ours", records[:6])
    fid = records[5].scores[0]
    assert fid.value is not None
    other = [msgspec.structs.replace(fid, value=fid.value * 1.25), *records[5].scores[1:]]
    sent = [records[4], msgspec.structs.replace(records[5], scores=other), *records[6:8]]
    theirs = write_records(tmp_path / "from-ann.jsonl", sent)
    code, out, err = run("publish", ours, "--out", tmp_path / "site", "--theirs", theirs)
    assert (code, err) == (0, "")
    assert f"{records[5].cell}: {fid.name} {fid.value:.6g} and {fid.value * 1.25:.6g}" in out
    first, second = (tmp_path / "site" / "index.html").read_text().split("<article>")[1:]
    assert ">theirs<" not in first
    assert ">theirs<" in second
    assert ">from-ann</a>" in second
    assert "2 cells of it were run by both: 1 agree to the digit, 1 differ." in second
    assert {path.name for path in (tmp_path / "site" / "runs" / "from-ann").iterdir()} >= FILES


def test_what_merge_refuses_publish_refuses_with_the_line(run: Command, records: list[Record], tmp_path: Path) -> None:
    """Another protocol or compute budget, an edited record, no record, no file: exit 2, and nothing is written."""
    ours = make(tmp_path / "ours", records[:6])
    another_budget = msgspec.structs.replace(
        records[7].cell, compute_budget=msgspec.structs.replace(records[7].cell.compute_budget, kimg=9)
    )
    cases = {
        "protocol": ([records[6], with_protocol(records[7], n_generated=50)], "`n_generated` is 600 in", "50 in"),
        "budget": (
            [msgspec.structs.replace(records[7], id=another_budget.id, cell=another_budget, artifacts={})],
            "`compute_budget` is",
            "9",
        ),
        "edited": (
            [records[6], msgspec.structs.replace(records[7], id="0" * 16, format=FORMAT, artifacts={})],
            "line 2 is refused",
            "edited",
        ),
        "empty": ([], "holds no records", ""),
    }
    for name, (sent, *words) in cases.items():
        theirs = write_records(tmp_path / f"{name}.jsonl", sent)
        code, _, err = run("publish", ours, "--out", tmp_path / "site", "--theirs", theirs)
        assert code == 2, name
        assert all(word in err for word in [*words, f"{name}.jsonl"]), err
    (tmp_path / "text.jsonl").write_text("not a record\n")
    for file, words in (("text.jsonl", "line 1 is no record"), ("none.jsonl", "There are no records at")):
        code, _, err = run("publish", ours, "--out", tmp_path / "site", "--theirs", tmp_path / file)
        assert code == 2
        assert words in err
    assert not (tmp_path / "site").exists()


def test_sent_records_are_checked_against_every_run(run: Command, records: list[Record], tmp_path: Path) -> None:
    """They join the run that they fit, also where that has no suite.toml; where none fits, each refusal is said."""
    one = write_records(tmp_path / "one.jsonl", [with_protocol(record, n_generated=50) for record in records[:3]])
    two = write_records(tmp_path / "two.jsonl", records[:3])
    theirs = write_records(tmp_path / "ann.jsonl", records[3:6])
    assert run("publish", one, two, "--out", tmp_path / "site", "--theirs", theirs)[0] == 0
    neither = write_records(tmp_path / "bob.jsonl", [with_protocol(record, n_generated=70) for record in records[3:6]])
    code, _, err = run("publish", one, two, "--out", tmp_path / "other", "--theirs", neither)
    assert code == 2
    assert f"`n_generated` is 50 in the protocol of '{one}', 70 in '{neither}'" in err
    assert "`n_generated` is 600" in err


def test_names_with_markup_are_text(run: Command, records: list[Record], tmp_path: Path) -> None:
    """In the name of a suite, of a method, of a file: no tag of theirs on the index, and plain names of folders."""
    evil = "<script>alert(1)<script>&\"'..x"
    cells = [msgspec.structs.replace(record.cell, method=f"<b>{record.cell.method}</b>") for record in records[:4]]
    marked = [
        msgspec.structs.replace(record, id=cell.id, cell=cell, artifacts={})
        for record, cell in zip(records, cells, strict=False)
    ]
    ours = make(tmp_path / "ours", marked, evil)
    theirs = write_records(tmp_path / "<i>ann.jsonl", records[4:6])
    assert run("publish", ours, "--out", tmp_path / "site", "--theirs", theirs)[0] == 0
    text = (tmp_path / "site" / "index.html").read_text()
    links = _Links(text)
    assert not {"script", "b", "i"} & links.tags
    assert "&lt;script&gt;alert(1)" in text
    assert "&lt;i&gt;ann" in text
    assert all((tmp_path / "site" / address).is_file() for address in links.addresses)
    assert {re.sub(r"[\w.-]", "", path.name) for path in (tmp_path / "site" / "runs").iterdir()} == {""}


@pytest.mark.slow
def test_publishing_again_replaces_what_it_wrote_and_nothing_else(
    run: Command, records: list[Record], tmp_path: Path
) -> None:
    """The same runs give the same bytes; a run that is named no more goes; other people's files stay."""
    a, b = make(tmp_path / "a", records[:3], "near"), make(tmp_path / "b", records[3:6], "far")
    site = tmp_path / "site"
    site.mkdir()
    (site / "CNAME").write_text("bench.example.org")
    assert run("publish", a, b, "--out", site)[0] == 0
    once = contents(site)
    assert run("publish", a, b, "--out", site)[0] == 0
    assert contents(site) == once
    (site / "runs" / "far" / "mine.txt").write_text("mine")
    assert run("publish", a, "--out", site)[0] == 0
    assert (site / "CNAME").read_text() == "bench.example.org"
    assert [path.name for path in (site / "runs" / "far").iterdir()] == ["mine.txt"]
    assert ">far<" not in (site / "index.html").read_text()


def test_what_publish_did_not_write_is_not_replaced(run: Command, records: list[Record], tmp_path: Path) -> None:
    """A file as output, somebody's index.html, a list that names files elsewhere, a link out of the folder."""
    ours = make(tmp_path / "ours", records[:3])
    file = tmp_path / "file"
    file.write_text("mine")
    code, _, err = run("publish", ours, "--out", file)
    assert (code, file.read_text()) == (2, "mine")
    assert "is a file; publish needs a folder" in err
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("mine")
    code, _, err = run("publish", ours, "--out", site)
    assert (code, (site / "index.html").read_text()) == (2, "mine")
    assert "was not published" in err
    assert [path.name for path in site.iterdir()] == ["index.html"]
    other = tmp_path / "other"
    other.mkdir()
    (other / "published.json").write_text(json.dumps({"files": ["../file", str(file), "index.html"]}))
    assert run("publish", ours, "--out", other)[0] == 0
    assert file.read_text() == "mine"
    linked, elsewhere = tmp_path / "linked", tmp_path / "elsewhere"
    linked.mkdir()
    elsewhere.mkdir()
    (linked / "runs").symlink_to(elsewhere)
    code, _, err = run("publish", ours, "--out", linked)
    assert code == 2
    assert "leads out of" in err
    assert not list(elsewhere.iterdir())


def test_no_run_is_a_usage_error(run: Command, tmp_path: Path) -> None:
    """Neither runs nor a run without records make a site."""
    assert run("publish", "--out", tmp_path / "site")[0] == 2
    code, _, err = run("publish", tmp_path / "none", "--out", tmp_path / "site")
    assert code == 2
    assert "There are no records at" in err
    assert not (tmp_path / "site").exists()
