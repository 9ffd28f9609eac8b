"""Ranking, cells, claims, licences and citations of the page: hand-made numbers, and the commands that say the same."""

from __future__ import annotations

import html
import json
import re
import tomllib
from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from report_parts import measured_on, on

from graftbench.records.cell_spec import Protocol
from graftbench.records.costs import REPLAYED
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


def words(text: str) -> str:
    """Without tags, whitespace folded."""
    return html.unescape(" ".join(re.sub("<[^>]*>", " ", text).split()))


def section(page: str, name: str) -> str:
    """What is folded under that id."""
    return page.partition(f'<details class="fold" id="{name}">')[2].partition('<details class="fold"')[0]


def held(page: str) -> dict[str, Any]:
    """What the page's JSON holds."""
    return json.loads(re.findall(r'id="cells-data">(.*?)</script>', page, re.DOTALL)[0])


# ---------------------------------------------------------------------------------------------------------- ranking


def seeds(record: Make, method: str, *kids: float, **changes: Any) -> list[Record]:
    """One record a KID."""
    return [record(method, 25, seed, kid=kid / 1000, **changes) for seed, kid in enumerate(kids)]


def places(page: str) -> list[str]:
    """Rows of the rankings as text."""
    return [words(row) for row in re.findall(r'<li class="row place.*?</li>', page, re.DOTALL)]


def ranking(page: str) -> str:
    """The first ranking."""
    return page.partition('aria-label="Ranking')[2].partition("</ol>")[0]


def test_the_ranking_has_intervals_and_says_what_the_seeds_leave_open(record: Make, a_run: MakeRun) -> None:
    """Differences to the first of both signs (open), and six of one sign: p = 1/64, twice that by Holm's correction.

    Student's factor for six seeds is 2.5706: 11.5 ± 2.5706·1.3784/√6 = 10.1 to 12.9.
    """
    records = [*seeds(record, "finetune", 10, 11, 11, 12, 11, 14), *seeds(record, "vae", 11, 10, 15, 11, 15, 13)]
    records += [*seeds(record, "dcgan", 100, 101, 103, 100, 101, 103), *seeds(record, "oracle", 1, 1, 1, 1, 1, 1)]
    page = render(a_run(records))
    assert places(page) == [
        "oracle other real images KID×10³ 1.00 1.00 to 1.00",
        "1 finetune KID×10³ 11.5 10.1 to 12.9",
        "2 vae ≈ not told from the first KID×10³ 12.5 10.2 to 14.8",
        "3 dcgan KID×10³ 101 100 to 103",
    ]
    assert ranking(page).count('class="interval"') == 4
    assert "The bar is the 95 % interval of the mean." in page


def test_two_seeds_are_shown_as_two_points(record: Make, a_run: MakeRun) -> None:
    """An interval of one degree of freedom, here −114 to 140, would say less than the values themselves."""
    page = render(a_run([*seeds(record, "finetune", 3, 23), *seeds(record, "dcgan", 100, 120)]))
    assert [row.replace(" ≈ not told from the first", "") for row in places(page)] == [
        "1 finetune KID×10³ 13.0 3.0 and 23.0",
        "2 dcgan KID×10³ 110 100 and 120",
    ]
    assert ranking(page).count('class="seed"') == 4
    assert 'class="interval"' not in page


def test_one_seed_ranks_and_settles_nothing(record: Make, a_run: MakeRun) -> None:
    """No interval, no mark at any place but a sentence under all; equal means share the rank."""
    records = [*seeds(record, "finetune", 10), *seeds(record, "vae", 20), *seeds(record, "dcgan", 20)]
    page = render(a_run(records))
    assert [place[:3] for place in places(page)] == ["1 f", "2 d", "2 v"]
    assert "≈" not in page
    assert "1 seed cannot tell 3 methods apart: it takes 2 or more." in words(page)


def test_a_long_ranking_is_folded(record: Make, a_run: MakeRun) -> None:
    """Twelve rows of seventeen stand; what has no rank comes last and says why."""
    records = [r for i in range(15) for r in seeds(record, f"m{i:02}", 10 + i)]
    records += [record("lost", status=Status.OOM), record("leaky", leaks=True)]
    page = render(a_run(records))
    assert len(places(page.partition('<details class="more">')[0])) == 12
    assert "<summary>5 more methods</summary>" in page
    rest = places(page)[-2:]
    assert any("leaky not ranked: it was trained with the network that scores it" in row for row in rest)
    assert any("lost not ranked: 1 of 1 oom" in row for row in rest)


def test_a_lone_row_whose_trainings_failed_is_readable(record: Make, a_run: MakeRun) -> None:
    """It has a row with a dash, and no chart."""
    page = render(a_run([record(status=Status.OOM)]))
    assert places(page) == ["finetune not ranked: 1 of 1 oom KID×10³ —"]
    assert 'class="frame"' not in page


# ------------------------------------------------------------------------------------------------------------- axes


def test_a_logarithmic_axis_has_equal_ratios_equally_far_apart() -> None:
    """From 10 to 1,000 with four per cent free at each end: 100 stands in the middle; what is beyond is pinned."""
    scale = part("scale").scale_of([10.0, 1000.0])
    assert scale.logarithmic
    assert [scale.percent(value) for value in (10, 100, 1000, -3, 1e9)] == [4.0, 50.0, 96.0, 4.0, 96.0]
    assert (scale.beyond(5), scale.beyond(50), scale.beyond(5000)) == ("below", "", "above")
    assert [tick.text for tick in scale.ticks] == ["10", "20", "50", "100", "200", "500", "1,000"]


def test_a_linear_axis_has_round_numbers_and_is_not_squeezed_by_a_far_mark() -> None:
    """20 to 40: a mark at 60 lies within 1.5 spans of them and widens the axis, one at 1,000 does not."""
    scale = part("scale").scale_of([20.0, 40.0], [60.0, 1000.0])
    assert (scale.low, scale.high, scale.logarithmic) == (20.0, 60.0, False)
    assert [tick.text for tick in scale.ticks] == ["20", "30", "40", "50", "60"]


@pytest.mark.parametrize("values", [[], [0.0], [7.0, 7.0], [1e77, -1e77], [-5.0, 5.0], [1e-300]])
def test_every_axis_has_two_ends(values: list[float]) -> None:
    """Whatever stands on it, its ends differ, and every value has a place."""
    scale = part("scale").scale_of(values)
    assert scale.low < scale.high
    assert all(0 <= scale.percent(value) <= 100 for value in values)


# ------------------------------------------------------------------------------------------------------------ cells


@pytest.mark.slow
def test_every_place_leads_to_its_cells(quick_run: Run) -> None:
    """The indices of the row's cells, by seed, in the ranking of its data budget."""
    page = render(quick_run)
    data = held(page)
    assert len(data["cells"]) == len(quick_run.records)
    larger = page.partition('<article class="setting" id="set-1-n400"')[2].partition("</ol>")[0]
    (found,) = re.findall(r'data-method="freezed"[^>]* data-cells="([\d ]+)"', larger)
    cells = [data["cells"][int(place)] for place in found.split()]
    wanted = [r for r in quick_run.records if (r.cell.method, r.cell.data_budget) == ("freezed", 400)]
    assert [data["strings"][cell["id"]] for cell in cells] == [r.id for r in sorted(wanted, key=lambda r: r.cell.seed)]


def test_a_training_curve_is_held_in_few_points(record: Make, a_run: MakeRun) -> None:
    """100 points become at most 40, the last among them; a loss that was not finite is left out."""
    from graftbench.records.record import CurvePoint

    points = [CurvePoint(images_seen=i, seconds=i / 10, losses={"g": i / 3, "d": None}) for i in range(1, 101)]
    (cell,) = held(render(a_run([record(curve=points)])))["cells"]
    assert len(cell["curve"]) <= 40
    assert cell["curve"][-1] == [100, {"g": 33.33}]


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_what_other_reports_have_written_beside_the_page_is_linked(tmp_path: Path) -> None:
    """Tables, and figures for a paper by their names; nothing that is not there, and nothing without a folder."""
    (tmp_path / "paper").mkdir()
    for name in ("table.md", "paper/rank-2col.svg", "paper/rank-1col.svg"):
        (tmp_path / name).touch()
    assert part("run_facts").beside(tmp_path) == [
        *(("table.md", "tables in Markdown"), ("paper/rank-2col.svg", "rank"))
    ]
    assert part("run_facts").beside(None) == []


def test_of_too_many_cells_the_failed_and_the_best_are_held(
    record: Make, a_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so, rows whose cells are not held have none to open, and the best come before the failed."""
    monkeypatch.setattr(part("cells"), "MOST", 5)
    records = [*seeds(record, "finetune", 10, 11), *seeds(record, "vae", 20, 21), record("dcgan", status=Status.OOM)]
    records += [record("oracle")]
    page = render(a_run(records))
    assert "This page holds 3 cells of 6" in words(page)
    assert len(re.findall(r'data-cells="', page)) == 2
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
    ("value", "text"), [(1234.5, "1,234"), (0.012345, "0.01235"), (-2.0, "−2"), (1e-7, "1e-07"), (-0.0, "0")]
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


@pytest.mark.long
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


@pytest.mark.long
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


# ---------------------------------------------------------------------------------------------------------- methods


def test_of_very_many_methods_a_part_of_the_name_finds_some(record: Make, a_run: MakeRun) -> None:
    """In place of a box each."""
    page = render(a_run([r for i in range(65) for r in seeds(record, f"m{i:02}", 10 + i)]))
    assert '<input type="search" name="search"' in page
    assert 'name="method"' not in page


def test_tasks_stand_in_the_suite_s_order_or_in_that_of_their_first_results(record: Make, tmp_path: Path) -> None:
    """Not in the alphabet's, and not in that of the records; by the suite where it is known."""
    near, far = (on(record(finished_at=f"2026-01-0{day}T00:00:00Z"), name) for day, name in ((1, "zoo"), (2, "ant")))
    run = Run(name="quick", records=[far, near], folder=tmp_path)
    assert [group.task.target for group in import_groups(run)] == ["zoo", "ant"]
    known = Run(name="quick", records=[far, near], folder=tmp_path, tasks=(str(far.cell.task), str(near.cell.task)))
    assert [group.task.target for group in import_groups(known)] == ["ant", "zoo"]


def test_an_undefined_score_has_no_number_to_sort_by(record: Make, a_run: MakeRun) -> None:
    """So it comes last whichever way; a defined one has it unrounded to seven digits."""
    score = Score(name="fid", value=123.456789, n_generated=600, n_reference=620, protocol="lite0@96")
    page = render(a_run([record("vae", scores=[score]), record("dcgan", kid=None)]))
    rows = {
        words(row).split()[0]: row
        for row in re.findall(r"<tr data-row.*?</tr>", page.partition("95 % intervals")[0], re.DOTALL)
    }
    assert ' data-value="123.4568"' in rows["vae"]
    assert rows["dcgan"].count("data-value") == 5  # budget, FID, IS, fit, seeds


def test_costs_that_a_record_has_are_columns(record: Make, a_run: MakeRun) -> None:
    """Memory by the driver, joules per 1,000 samples, MFU and size stand there where a row has them, by hand."""
    plain = record("vae")
    assert plain.resources is not None
    new = {"device_memory_mib": 2048.0, "joules_per_1000_samples": 12.5, "mfu": 0.241, "stored_bytes": 1_441_260}
    known = msgspec.structs.replace(
        plain, resources=msgspec.structs.replace(plain.resources, memory_kind="device", **new)
    )
    groups_of = import_module("graftbench.reports._tables.groups").groups
    headings = {
        "by the driver, MiB": "2,048",
        "J per 1,000 samples": "12.5",
        "MFU, %": "24.1",
        "to be stored, MB": "1.44",
    }
    (group,) = groups_of(a_run([known]))
    cells = dict(zip(part("cost").cost_headings(group), part("cost").cost_lines(group)[0].cells, strict=True))
    assert {heading: cells[heading] for heading in headings} == headings
    (group,) = groups_of(a_run([plain]))
    assert not set(headings) & set(part("cost").cost_headings(group))


def test_what_depends_on_the_device_has_no_mean_over_two(record: Make, a_run: MakeRun) -> None:
    """Seconds and memory of a row on two kinds of GPU are a dash, its images and numbers stay, and a note says why."""
    made = [record("vae", seed=0), record("vae", seed=1)]
    on = [measured_on(each, device) for each, device in zip(made, ("NVIDIA A100", "Tesla T4"), strict=True)]
    (group,) = import_module("graftbench.reports._tables.groups").groups(a_run(on))
    (row,) = group.methods
    assert row.cost("fit_seconds") is row.cost("peak_memory_mib") is None
    assert row.cost("images_seen") is not None
    assert row.cost("parameters_total") is not None
    note = "Run on NVIDIA A100 and Tesla T4, so that what depends on the device has no mean: vae."
    assert note in part("cost").cost_marks(group)


def test_figures_and_costs_md_draw_no_cost_of_two_devices(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """No bar stands for two kinds of GPU, and both say why, not that nothing was measured; one kind has its bars."""
    two = [measured_on(record("vae", seed=i), device) for i, device in enumerate(("NVIDIA A100", "Tesla T4"))]
    one = [measured_on(record("dcgan", seed=seed), "Tesla T4") for seed in range(2)]
    figures = import_module("graftbench.reports._figures.cost")
    cost = next(each for each in figures.COSTS if each.name == "fit_seconds")
    groups_of = import_module("graftbench.reports._tables.groups").groups
    assert set(figures._bars(groups_of(a_run([*two, *one]))[0], cost)) == {"dcgan"}
    (alone,) = groups_of(a_run(two))
    assert cost not in figures.measured(alone)
    import_module("graftbench.reports.page").Page().write(a_run(two), tmp_path)
    page = (tmp_path / "index.html").read_text("utf-8")
    (said,) = re.findall(r"Cost</h3>.*?<p>(.*?)</p>\s*</section>", page, re.DOTALL)
    assert said == "Run on NVIDIA A100 and Tesla T4, so that what depends on the device has no mean: vae."
    assert "Run on NVIDIA A100 and Tesla T4" in figures.unmeasured_note(alone)
    (file,) = import_module("graftbench.reports.costs").Costs().write(a_run(two), tmp_path)
    assert "Missing (each row was measured on devices of several kinds): " in file.read_text("utf-8")


def test_samples_that_are_replayed_have_no_rate(record: Make, a_run: MakeRun) -> None:
    """To hand out finished images again is no speed: the table of costs says what it is."""
    cell = record("gatys", notes=[REPLAYED])
    assert cell.resources is not None
    cell = msgspec.structs.replace(
        cell, resources=msgspec.structs.replace(cell.resources, sampling_images_per_second=None)
    )
    (group,) = import_module("graftbench.reports._tables.groups").groups(a_run([cell, record("vae")]))
    place = part("cost").cost_headings(group).index("sampling images/s")
    printed = {line.label: line.cells[place] for line in part("cost").cost_lines(group)}
    assert printed["gatys"] == "replayed"
    assert printed["vae"][0].isdigit()
