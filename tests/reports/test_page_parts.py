"""Ranking, cells, claims, licences and citations of the page: hand-made numbers, and the commands that say the same."""

from __future__ import annotations

import html
import json
import re
import tomllib
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from graftbench.records.cell_spec import Protocol
from graftbench.records.record import Score, Status
from graftbench.records.run import Run

if TYPE_CHECKING:
    from pathlib import Path

    from report_parts import Make, MakeRun

    from graftbench.records.record import Record


def render(run: Run, place: Path | None = None) -> str:
    """The page."""
    return import_module("graftbench.reports.page").render(run, place)


def part(name: str) -> Any:
    """A module of the page."""
    return import_module(f"graftbench.reports._page.{name}")


@pytest.fixture(autouse=True)
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is drawn: figures take most of a page's time, and no test here looks at them."""
    monkeypatch.setattr(part("figures"), "MOST_DRAWN", -1)


def words(text: str) -> str:
    """Without tags, whitespace folded."""
    return html.unescape(" ".join(re.sub("<[^>]*>", " ", text).split()))


def section(page: str, name: str) -> str:
    """The section of that id."""
    return page.partition(f'<h2 id="{name}">')[2].partition("</section>")[0]


def held(page: str) -> dict[str, Any]:
    """What the page's JSON holds."""
    return json.loads(re.findall(r'id="cells-data">(.*?)</script>', page, re.DOTALL)[0])


# ---------------------------------------------------------------------------------------------------------- ranking


def seeds(record: Make, method: str, *kids: float, **changes: Any) -> list[Record]:
    """One record a KID."""
    return [record(method, 25, seed, kid=kid / 1000, **changes) for seed, kid in enumerate(kids)]


def places(page: str) -> list[str]:
    """Rows of the ranking as text."""
    return [words(row) for row in re.findall(r"<tr data-row.*?</tr>", section(page, "ranking"), re.DOTALL)]


def test_the_ranking_has_intervals_and_says_what_the_seeds_leave_open(record: Make, a_run: MakeRun) -> None:
    """Differences to the first of both signs (open), and six of one sign: p = 1/64, twice that by Holm's correction.

    Student's factor for six seeds is 2.5706: 11.5 ± 2.5706·1.3784/√6 = 10.1 to 12.9.
    """
    records = [*seeds(record, "finetune", 10, 11, 11, 12, 11, 14), *seeds(record, "vae", 11, 10, 15, 11, 15, 13)]
    records += [*seeds(record, "dcgan", 100, 101, 103, 100, 101, 103), *seeds(record, "oracle", 1, 1, 1, 1, 1, 1)]
    assert places(render(a_run(records))) == [
        "1 finetune 11.5 10.1 to 12.9 6",
        "2 vae ≈ not told from the first 12.5 10.2 to 14.8 6",
        "3 dcgan 101.3 99.9 to 102.8 6",
    ]


def test_two_seeds_are_shown_as_two_values(record: Make, a_run: MakeRun) -> None:
    """An interval of one degree of freedom, here −114 to 140, would say less than the values themselves."""
    page = render(a_run([*seeds(record, "finetune", 3, 23), *seeds(record, "dcgan", 100, 120)]))
    assert [row.replace(" ≈ not told from the first", "") for row in places(page)] == [
        "1 finetune 13 3 and 23 2",
        "2 dcgan 110 100 and 120 2",
    ]
    assert "Each seed" in section(page, "ranking")


def test_one_seed_ranks_and_settles_nothing(record: Make, a_run: MakeRun) -> None:
    """No interval, no mark at any place but a sentence under all; equal means share the rank."""
    records = [*seeds(record, "finetune", 10), *seeds(record, "vae", 20), *seeds(record, "dcgan", 20)]
    assert [place[:3] for place in places(render(a_run(records)))] == ["1 f", "2 d", "2 v"]
    assert not any("≈" in place for place in places(render(a_run(records))))
    assert "1 seed cannot tell 3 methods apart: it takes 2 or more." in words(
        section(render(a_run(records)), "ranking")
    )


def test_a_long_ranking_is_cut_and_says_so(record: Make, a_run: MakeRun) -> None:
    """Twelve rows of fifteen; what has no KID or may not compete is counted."""
    records = [r for i in range(15) for r in seeds(record, f"m{i:02}", 10 + i)]
    records += [record("lost", status=Status.OOM), record("leaky", leaks=True)]
    page = render(a_run(records))
    assert len(places(page)) == 12
    assert (
        "3 more in the table of scores. Not ranked: 2 without a KID, with too few seeds or out of competition."
        in words(page)
    )


def test_nothing_to_rank_is_said(record: Make, a_run: MakeRun) -> None:
    """At a data budget at which all failed."""
    assert "no method that may compete has a KID" in words(
        section(render(a_run([record(status=Status.OOM)])), "ranking")
    )


# ------------------------------------------------------------------------------------------------------------ cells


def test_every_row_leads_to_its_cells(quick_run: Run) -> None:
    """In every table of scores, the ranking and the cost table: the places of the row's cells, by seed."""
    page = render(quick_run)
    data = held(page)
    assert len(data["cells"]) == len(quick_run.records)
    rows = re.findall(r'<tr data-row data-method="freezed"[^>]* data-budget="400" data-cells="([\d ]+)"', page)
    assert len(rows) == 5  # ranking, three tables of scores, cost
    (found,) = set(rows)
    cells = [data["cells"][int(place)] for place in found.split()]
    wanted = [r for r in quick_run.records if (r.cell.method, r.cell.data_budget) == ("freezed", 400)]
    assert [data["strings"][cell["id"]] for cell in cells] == [r.id for r in sorted(wanted, key=lambda r: r.cell.seed)]


def test_the_command_is_that_of_show(quick_run: Run) -> None:
    """Line for line, and the suite in it is one."""
    from graftbench.records.cell_view import view_cell

    data = held(render(quick_run))
    cell = data["cells"][0]
    command = "\n".join(data["strings"][line] for line in cell["command"])
    assert command == view_cell(quick_run, data["strings"][cell["id"]]).command
    suite = command.partition("<<'END'\n")[2].partition("END\n")[0]
    assert tomllib.loads(suite)["seeds"] == [cell["seed"]]


def test_only_what_differs_of_the_environment_is_told_with_a_cell(record: Make, a_run: MakeRun) -> None:
    """Two commits under one Python: the commit."""
    records = [record(seed=s, environment={"python": "3.11", "commit": c}) for s, c in enumerate(("aa", "bb"))]
    data = held(render(a_run(records)))
    told = [[[data["strings"][i] for i in pair] for pair in cell["environment"]] for cell in data["cells"]]
    assert told == [[["commit", "aa"]], [["commit", "bb"]]]


def links(run: Run, place: Path | None) -> list[list[str]]:
    """Of the first cell: (what, path, address)."""
    data = held(render(run, place))
    return [[data["strings"][i] for i in link] for link in data["cells"][0]["links"]]


def test_files_are_linked_from_within_the_run_folder_and_named_elsewhere(record: Make, tmp_path: Path) -> None:
    """An address relative to the page, percent-encoded; none where the page lies outside or its place is unknown."""
    folder = tmp_path / "run"
    (folder / "a b").mkdir(parents=True)
    (folder / "a b" / "log#1.txt").write_text("end\n")
    (tmp_path / "other.txt").write_text("not ours\n")
    artifacts = {"log": "a b/log#1.txt", "samples": "../other.txt", "sampler": "a b/log#1.txt"}
    run = Run(name="quick", records=[record(artifacts=artifacts)], folder=folder)
    assert links(run, folder / "report") == [["log", "a b/log#1.txt", "../a%20b/log%231.txt"]]
    assert links(run, folder) == [["log", "a b/log#1.txt", "a%20b/log%231.txt"]]
    assert links(run, tmp_path / "elsewhere") == links(run, None) == [["log", "a b/log#1.txt", ""]]


def test_a_file_that_is_gone_is_not_linked(record: Make, a_run: MakeRun) -> None:
    """The record still names it; `graftbench show` says that it is no longer there."""
    assert links(a_run([record(artifacts={"log": "cells/x/log.txt"})]), None) == []


def test_of_too_many_cells_the_failed_and_the_best_are_held(
    record: Make, a_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so, rows whose cells are not held have none to open, and the best come before the failed."""
    monkeypatch.setattr(part("cells"), "MOST", 5)
    records = [*seeds(record, "finetune", 10, 11), *seeds(record, "vae", 20, 21), record("dcgan", status=Status.OOM)]
    records += [record("oracle")]
    page = render(a_run(records))
    assert "This page holds 3 cells of 6" in words(page)
    assert not re.search(r'data-method="(vae|oracle)"[^>]*data-cells', page)
    assert re.search(r'data-method="finetune"[^>]*data-cells="\d+ \d+"', page)
    more = [record(f"m{i}", status=Status.ERROR) for i in range(9)]
    names = [record.cell.method for record in part("cells").chosen_cells(import_groups(a_run([*records, *more])))]
    assert len(names) == 5
    assert names[:2] == ["finetune", "finetune"]


def import_groups(run: Run) -> Any:
    """The run's groups."""
    return import_module("graftbench.reports._tables.groups").groups(run)


def test_the_json_holds_no_end_of_a_script(record: Make, a_run: MakeRun) -> None:
    """`<` is written as its number, and read back as it was."""
    text = "</script><!-- <script>"
    data = held(render(a_run([record(notes=[text])])))
    assert text in data["strings"]


def test_a_command_whose_paths_were_cut_says_so(record: Make, a_run: MakeRun) -> None:
    """The page is mailed around; where a weights file lies is in the run folder."""
    protocol = Protocol(extractor="lite0", weights="/home/someone/lite0.pt", weights_sha256="ab")
    page = render(a_run([record(protocol=protocol)]))
    assert "/home/someone" not in page
    assert "Paths are cut to their last part here" in page


@pytest.mark.parametrize(
    ("value", "text"), [(1234.5, "1,234"), (0.012345, "0.01235"), (-2.0, "−2"), (1e-7, "1e-07"), (0.0, "0")]
)
def test_numbers_of_a_cell_have_four_digits(value: float, text: str) -> None:
    """Or all before the point."""
    assert part("cells").digits(value) == text


# ----------------------------------------------------------------------------------------------------------- claims


def test_claims_say_what_the_command_says(record: Make, a_run: MakeRun) -> None:
    """Statement, contrast, source, difference, pairs, p, verdict and reason of every claim."""
    from graftbench.cli.claims import markdown_table
    from graftbench.comparison.claims import check_claims

    values = {"finetune": 10, "dcgan": 50, "freezed": 12}
    records = [r for method, kid in values.items() for r in seeds(record, method, *(kid + i for i in range(6)))]
    checked = check_claims(records)
    text = words(section(render(a_run(records)), "claims"))
    answered = 0
    for finding, row in zip(checked.findings, markdown_table(checked).split("\n")[2:], strict=True):
        assert finding.statement in text
        assert finding.source in text
        assert finding.reason in text
        numbers = [cell.strip() for cell in row.split("|")[4:7]]
        if finding.verdict != "not enough data":
            answered += 1
            assert f"{finding.contrast} {finding.source} {' '.join(numbers)} {finding.verdict}" in text
    assert answered == 2
    assert "holds" in text


def test_claims_of_two_protocols_are_checked_apart(record: Make, a_run: MakeRun) -> None:
    """Numbers of two protocols do not compare; another list of metrics or place of the weights is no other protocol."""
    same = Protocol(size=96, resize="bicubic-antialias", metrics=["kid"], weights="/elsewhere")
    tables = part("related_work").claim_tables([record(), record(protocol=same)])
    assert [table.protocol for table in tables] == [""]
    other = Protocol(size=None, extractor="dinov2")
    tables = part("related_work").claim_tables([record(), record(protocol=other)])
    assert [table.protocol for table in tables] == ["lite0@96", "dinov2"]
    assert "11 claims for which there is not enough data" in words(render(a_run([record(), record(protocol=other)])))


# ------------------------------------------------------------------------------------------------ licences, citing


@pytest.mark.slow
def test_what_is_read_of_methods_and_domains_is_what_their_classes_say() -> None:
    """The files are read as text, for importing them imports torch; nothing may get lost by that."""
    from graftbench.plugins.registry import domains, methods

    read = part("related_work").known_methods()
    there = methods().classes
    assert set(read) == {name for name, cls in there.items() if cls.__module__.startswith("graftbench.methods.")}
    for name in read:
        assert read[name].reference == there[name].reference
    told = part("related_work").known_domains()
    for name, found in domains().classes.items():
        for field in ("license", "attribution", "source", "title"):
            said = getattr(found, field)
            assert getattr(told[name], field) == (said if isinstance(said, str) else ""), (name, field)


@pytest.mark.slow
def test_the_page_cites_what_the_command_cites(quick_run: Run) -> None:
    """The same BibTeX, as text that is folded away."""
    from graftbench.citations import bibliography, bibtex
    from graftbench.plugins.registry import domains, methods

    entries, _ = bibliography(quick_run.records, methods().classes, domains().classes)
    shown = html.unescape(
        section(render(quick_run), "cite").partition("<pre")[2].partition(">")[2].partition("</pre>")[0]
    )
    assert shown == bibtex(entries)
    assert "wang2018transferring" in shown


def test_a_method_that_is_not_installed_is_named_as_such(record: Make, a_run: MakeRun) -> None:
    """In the licences and beside the BibTeX; the page is made all the same."""
    page = render(a_run([record("nobody's"), record("freezed")]))
    assert "nobody's not a method of this installation" in words(section(page, "licences"))
    assert "The method 'nobody's' is not known here" in words(section(page, "cite"))
    assert "github.com/sangwoomo/FreezeD: none stated" in words(section(page, "licences"))


@pytest.mark.parametrize("told", ["CC", ["x"], {"twemoji": "CC-BY"}, {"twemoji": {"license": 3}}, None])
def test_an_environment_that_tells_of_domains_in_another_form_is_survived(
    told: object, record: Make, a_run: MakeRun
) -> None:
    """An older or foreign record; the licence of the class stands in the citation then."""
    page = render(a_run([record(environment={"domains": told})]))
    assert "domain-twemoji" in section(page, "cite")


def test_a_broken_method_file_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `graftbench ls` lists it as broken, and everything else works."""
    (tmp_path / "broken.py").write_text("class (")
    (tmp_path / "odd.py").write_text("class A:\n    name = 'a'\n    reference = Reference(authors=1)\n")
    (tmp_path / "good.py").write_text(
        "class B:\n    name: str = 'b'\n"
        "    reference = Reference(authors='X', title='Y', venue='', year=2020)\n    other = open('x')\n"
    )

    class Spec:
        submodule_search_locations = (str(tmp_path),)

    monkeypatch.setattr("importlib.util.find_spec", lambda _: Spec())
    assert list(part("related_work").known_methods()) == ["b"]


# ------------------------------------------------------------------------------------------------------------ figures


def test_more_methods_than_a_figure_can_tell_apart_are_not_drawn(
    record: Make, a_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables have them all, and the methods are then found by a part of their name."""
    monkeypatch.setattr(part("figures"), "MOST_DRAWN", 64)
    records = [r for i in range(65) for r in seeds(record, f"m{i:02}", 10 + i)]
    page = render(a_run(records))
    assert "Not drawn: 65 methods are more than one figure can tell apart." in page
    assert "<svg" not in page
    assert '<input type="search" name="method"' in page


def test_an_undefined_score_has_no_number_to_sort_by(record: Make, a_run: MakeRun) -> None:
    """So it comes last whichever way; a defined one has it unrounded to seven digits."""
    score = Score(name="fid", value=123.456789, n_generated=600, n_reference=620, protocol="lite0@96")
    page = render(a_run([record("vae", scores=[score]), record("dcgan", kid=None)]))
    rows = {
        words(row).split()[0]: row for row in re.findall(r"<tr data-row.*?</tr>", page, re.DOTALL) if "counted" in row
    }
    assert ' data-value="123.4568"' in rows["vae"]
    assert rows["dcgan"].count("data-value") == 5  # budget, FID, IS, fit, seeds
