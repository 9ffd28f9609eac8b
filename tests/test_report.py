"""Reports of several runs, of some formats, of some cells."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import msgspec
import numpy as np
import pytest
from command_line import graftbench
from made_cells import EMOJI_RECORDS
from matplotlib.figure import Figure
from rich.console import Console

from graftbench.comparison.table import load
from graftbench.contracts import Report
from graftbench.errors import GraftbenchError
from graftbench.plotting import budget_curves, looks
from graftbench.plugins.registry import PluginIndex, reports
from graftbench.records import store
from graftbench.records.run import read_runs
from graftbench.report import terminal_table, write_reports

if TYPE_CHECKING:
    from graftbench.records.run import Run

DOCS = Path(__file__).parents[1] / "docs"
RESULTS = DOCS / "results" / "records.jsonl"


@pytest.fixture
def halves(tmp_path: Path) -> list[Path]:
    """A real run's records as two runs, one a seed, each with a sample sheet."""
    records, _ = store.read(EMOJI_RECORDS)
    folders = []
    for seed in (0, 1):
        folder = tmp_path / f"seed{seed}"
        folder.mkdir()
        for record in records:
            if record.cell.seed == seed:
                store.append(folder / "records.jsonl", record)
        folders.append(folder)
    return folders


def test_several_runs_are_one_report(halves: list[Path], tmp_path: Path) -> None:
    """The table of both halves is that of the whole, and artifacts are found where they are."""
    whole, both = read_runs([EMOJI_RECORDS]), read_runs(halves)
    assert {record.id for record in both.records} == {record.id for record in whole.records}
    first = next(record for record in both.records if record.cell.seed == 1)
    assert first.artifacts["samples"] == f"seed1/cells/{first.id}/samples.png"
    assert both.folder == tmp_path
    assert both.name == "seed0 + seed1"


def test_of_two_records_of_a_cell_the_newest_counts(halves: list[Path], tmp_path: Path) -> None:
    """Whatever the order of the runs."""
    records, _ = store.read(halves[0] / "records.jsonl")
    newer = msgspec.structs.replace(records[0], notes=["newer"], finished_at="2999-01-01T00:00:00+00:00")
    (tmp_path / "again").mkdir()
    store.append(tmp_path / "again" / "records.jsonl", newer)
    for order in ([tmp_path / "again", halves[0]], [halves[0], tmp_path / "again"]):
        found = {record.id: record for record in read_runs(order).records}
        assert found[newer.id].notes == ["newer"]
        assert len(found) == len(records)


class Pictures(Report):
    """Writes two pictures in two formats."""

    name = "pictures"
    title = "Pictures"
    formats = (".svg", ".pdf")

    def write(self, run: Run, out: Path) -> list[Path]:
        """Write them."""
        paths = [out / f"{stem}{ending}" for stem in ("quality", "cost") for ending in self.formats]
        for path in paths:
            path.write_text(run.name)
        return paths


class Text(Report):
    """Writes a text, in a folder of its own."""

    name = "text"
    title = "Text"
    formats = (".md",)

    def write(self, run: Run, out: Path) -> list[Path]:
        """Write it."""
        (out / "texts").mkdir()
        path = out / "texts" / "table.md"
        path.write_text(run.name)
        return [path]


FOUND: PluginIndex[Report] = PluginIndex("report", {"pictures": Pictures, "text": Text})


@pytest.mark.parametrize(
    ("formats", "figure", "names"),
    [
        ([], "", ["cost.pdf", "cost.svg", "quality.pdf", "quality.svg", "texts/table.md"]),
        (["md", "svg"], "", ["cost.svg", "quality.svg", "texts/table.md"]),
        ([], "quality", ["quality.pdf", "quality.svg"]),
        (["pdf"], "qual", ["quality.pdf"]),
    ],
)
def test_formats_and_figures(tmp_path: Path, formats: list[str], figure: str, names: list[str]) -> None:
    """Only what was asked for is there afterwards."""
    written = write_reports(read_runs([EMOJI_RECORDS]), tmp_path, FOUND, formats=formats, figure=figure)
    there = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert there == names == sorted(path.relative_to(tmp_path).as_posix() for path in written)


class Captioned(Report):
    """Writes a picture and its caption."""

    name = "captioned"
    title = "Captioned"
    formats = (".svg", ".md")

    def write(self, run: Run, out: Path) -> list[Path]:
        """Write them."""
        paths = [out / "figure.svg", out / "figure.md"]
        for path in paths:
            path.write_text(run.name)
        return paths


class OnRequest(Text):
    """Writes a text of every day and one that is written on request."""

    on_request = ("more*",)

    def write(self, run: Run, out: Path) -> list[Path]:
        """Write both."""
        paths = [out / "table.md", out / "more.md"]
        for path in paths:
            path.write_text(run.name)
        return paths


class ForPaper(Captioned):
    """Writes a picture and its caption for a paper."""

    formats = (".pdf", ".svg", ".md")
    on_request = ("*",)
    for_paper = True

    def write(self, run: Run, out: Path) -> list[Path]:
        """Write them."""
        paths = [out / f"figure{ending}" for ending in self.formats]
        for path in paths:
            path.write_text(run.name)
        return paths


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["table.md"]),
        ({"formats": ["md"]}, ["more.md", "table.md"]),
        ({"formats": ["svg"]}, ["figure.svg"]),
        ({"paper": True}, ["figure.md", "figure.pdf"]),
    ],
)
def test_some_files_are_written_on_request(tmp_path: Path, options: dict[str, Any], names: list[str]) -> None:
    """By default what is for every day; with a format all of it; for a paper PDF and captions, in the folder itself."""
    found: PluginIndex[Report] = PluginIndex("report", {"on-request": OnRequest, "for-paper": ForPaper})
    write_reports(read_runs([EMOJI_RECORDS]), tmp_path, found, **options)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == names


def test_by_default_a_page_and_two_tables(tmp_path: Path) -> None:
    """The command writes these three, prints the table, and says in its last line where the page is."""
    done = graftbench("report", EMOJI_RECORDS, "--out", tmp_path)
    assert done.code == 0, done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.html", "results.csv", "table.md"]
    assert done.out.splitlines()[-1] == str(tmp_path / "index.html")
    assert sum(str(tmp_path) in line for line in done.out.splitlines()) == 1


def test_footnotes_on_a_terminal_have_no_gaps() -> None:
    """Numbers begin with 1 and leave none out, although table.md has more of them; each is explained once."""
    console = Console(record=True, width=100, file=io.StringIO())
    for part in terminal_table(read_runs([RESULTS]), reports()):
        console.print(part)
    text = console.export_text()
    explained = [int(number) for number in re.findall(r"^\[(\d+)\] ", text, re.MULTILINE)]
    referred = {int(number) for number in re.findall(r"\w \[(\d+)\]", text)}
    assert explained == sorted(referred) == list(range(1, len(explained) + 1))


def test_a_paper_has_one_folder(tmp_path: Path) -> None:
    """--paper beside --out or --format is refused."""
    for more in (["--out", tmp_path / "a"], ["--format", "pdf"]):
        done = graftbench("report", EMOJI_RECORDS, "--paper", tmp_path / "b", *more)
        assert done.code == 2
        assert "--paper" in done.err
    assert not list(tmp_path.iterdir())


def test_unknown_formats_and_figures_are_named(tmp_path: Path) -> None:
    """With the nearest, and nothing is written."""
    with pytest.raises(GraftbenchError, match=r"^Unknown figure 'qualty'\. Did you mean 'quality'\?$"):
        write_reports(read_runs([EMOJI_RECORDS]), tmp_path, FOUND, figure="qualty")
    with pytest.raises(GraftbenchError, match="of the formats html none is one; expected pdf, png or svg"):
        write_reports(read_runs([EMOJI_RECORDS]), tmp_path, FOUND, formats=["html"], figure="quality")
    with pytest.raises(GraftbenchError, match=r"^Unknown figure 'zzz'\. Names begin with: [a-z]+, .*quality[^-]*$"):
        write_reports(read_runs([EMOJI_RECORDS]), tmp_path, FOUND, figure="zzz")
    with pytest.raises(GraftbenchError, match=r"Unknown format 'svgz'\. Did you mean 'svg'"):
        write_reports(read_runs([EMOJI_RECORDS]), tmp_path, FOUND, formats=["svgz"])
    assert not list(tmp_path.iterdir())


def test_an_unknown_baseline_is_named(tmp_path: Path) -> None:
    """Whatever is written, comparisons or none; nothing is."""
    for formats in ([], ["html"], ["md"]):
        with pytest.raises(GraftbenchError, match=r"Unknown baseline 'sorce' in this run\. Did you mean 'source'"):
            write_reports(read_runs([EMOJI_RECORDS]), tmp_path, FOUND, formats=formats, baseline="sorce")
    assert not list(tmp_path.iterdir())


def test_captions_alone_are_no_reason_to_draw(tmp_path: Path) -> None:
    """Asked for Markdown, a report that draws is not run; asked for everything it is, captions and all."""
    found: PluginIndex[Report] = PluginIndex("report", {"captioned": Captioned, "text": Text})
    names = [path.name for path in write_reports(read_runs([EMOJI_RECORDS]), tmp_path / "md", found, formats=["md"])]
    assert names == ["table.md"]
    assert len(write_reports(read_runs([EMOJI_RECORDS]), tmp_path / "all", found)) == 3


def test_a_selection_is_reported_alone() -> None:
    """Its cells, and no word on how many the suite has."""
    run = read_runs([EMOJI_RECORDS], "budget<=25 method=dcgan")
    assert len(run.records) == 2
    assert run.expected == 0


@pytest.mark.slow
def test_the_example_of_a_figure_for_a_paper(tmp_path: Path) -> None:
    """It runs as it stands on the published records, and its figure is one column wide with a line a method."""
    out = tmp_path / "quality.svg"
    command = [sys.executable, str(DOCS / "examples" / "paper_figure.py"), str(RESULTS)]
    subprocess.run([*command, str(out)], check=True)
    root = ET.parse(out).getroot()  # noqa: S314 - our own file
    assert root.get("width") == f"{3.4 * 72:g}pt"
    look = looks({record.cell.method for record in read_runs([RESULTS], "family!=reference").records})
    svg = out.read_text("utf-8")
    for method in ("dcgan", "freezed"):
        assert svg.count(f"stroke: {look[method].color}") >= 2, method  # its line, and that in the legend


def test_curves_of_one_task_alone() -> None:
    """Means over seeds in the printed scale, bands of two seeds or more; several tasks are refused."""
    cells = load(RESULTS)
    axes = Figure().subplots()
    budget_curves(axes, cells, ["dcgan"])
    (line,) = axes.get_lines()
    seeds = cells[(cells["method"] == "dcgan") & (cells["data_budget"] == 100)]["kid"]
    assert np.asarray(line.get_xydata())[1] == pytest.approx([100, 1000 * seeds.mean()])
    assert len(axes.collections) == 1
    assert axes.get_ylabel() == "KID×10³ ↓"
    with pytest.raises(GraftbenchError, match=r"Unknown method 'dcgn'. Did you mean 'dcgan'\?"):
        budget_curves(axes, cells, ["dcgn"])
    with pytest.raises(GraftbenchError, match=r"Unknown metric 'kd'"):
        budget_curves(axes, cells, metric="kd")
    with pytest.raises(GraftbenchError, match=r"Curves are of one task; found a->b@32, twemoji->openmoji@32"):
        budget_curves(axes, cells.assign(task=["a->b@32", *cells["task"][1:]]))


def test_looks_are_those_of_the_reports() -> None:
    """Of the same names the same colours."""
    assert import_module("graftbench.reports._figures.quality").looks is looks


def test_a_file_that_cannot_be_read_is_not_one_that_cannot_be_written(tmp_path: Path) -> None:
    """The sentence names the file and what is wrong with it."""

    def fail_at(file: Path | None) -> PluginIndex[Report]:
        class Fails(Report):
            """Meets a file that it may not use: one of the run, or its own."""

            name = "fails"
            title = "Fails"

            def write(self, run: Run, out: Path) -> list[Path]:
                """Fail."""
                raise PermissionError(13, "Permission denied", str(file or out / f"{run.name}.md"))

        return PluginIndex("report", {"fails": Fails})

    run = read_runs([EMOJI_RECORDS])
    with pytest.raises(GraftbenchError, match=r"sheet\.png' cannot be read \(Permission denied\)"):
        write_reports(run, tmp_path, fail_at(EMOJI_RECORDS.parent / "cells" / "sheet.png"))
    with pytest.raises(GraftbenchError, match="cannot be written"):
        write_reports(run, tmp_path, fail_at(None))
