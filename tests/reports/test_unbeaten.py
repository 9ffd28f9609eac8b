"""Rows that do not beat white or source images, or where they started: marked in tables, page and figures' captions."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

import msgspec
import pytest
from report_parts import on, part
from rich.console import Console

if TYPE_CHECKING:
    from pathlib import Path

    from report_parts import Make, MakeRun

    from graftbench.records.record import Record
    from graftbench.records.run import Run

BOTH = (
    "Does not beat white images (blank) and untouched images of the source (source-images): its mean KID over the "
    "seeds that both have is not lower."
)
WHITE = "Does not beat white images (blank): its mean KID over the seeds that both have is not lower."


def seeds(make: Make, method: str, *kids: float | None, budget: int = 25) -> list[Record]:
    """A cell a seed, with these KIDs (×10³); None is a seed without a cell."""
    family = "reference" if method in ("blank", "source-images") else "fine-tune"
    return [
        make(method, budget, seed, kid=kid / 1000, family=family) for seed, kid in enumerate(kids) if kid is not None
    ]


@pytest.fixture
def records(record: Make) -> list[Record]:
    """White 50, source images 30. Good has 20, fair 40, poor 60, level 50, ours of two seeds beats both by them."""
    return [
        *seeds(record, "blank", 40, 60, 50),
        *seeds(record, "source-images", 30, 30, 30),
        *seeds(record, "good", 20, 20, 20),
        *seeds(record, "fair", 40, 40, 40),
        *seeds(record, "level", 50, 50, 50),
        *seeds(record, "poor", 60, 60, 60),
        *seeds(record, "poor", 60, 60, 60, budget=400),
    ]


def row_of(run: Run, label: str, budget: int = 25) -> tuple[object, object]:
    """The group and the row of a method."""
    (group,) = part("_tables.groups").groups(run)
    return group, next(row for row in group.rows if (row.label, row.data_budget) == (label, budget))


@pytest.mark.parametrize(
    ("label", "names"),
    [
        ("good", []),
        ("fair", ["source-images"]),
        ("level", ["blank", "source-images"]),
        ("poor", ["blank", "source-images"]),
        ("blank", []),
    ],
)
def test_beating_is_a_lower_mean(label: str, names: list[str], records: list[Record], a_run: MakeRun) -> None:
    """An equal mean beats nothing; reference rows themselves are never marked."""
    assert part("_tables.unbeaten").unbeaten(*row_of(a_run(records), label)) == names


def test_a_row_is_compared_over_common_seeds_at_its_own_budget(record: Make, a_run: MakeRun) -> None:
    """By seeds 1 and 2 white has 55; seed 0, which the row lacks, would make that 40. At 400 images it was not run."""
    records = [*seeds(record, "blank", 10, 60, 50), *seeds(record, "ours", None, 54, 54)]
    run = a_run([*records, *seeds(record, "ours", 900, budget=400), *seeds(record, "other", 56, None, None)])
    unbeaten = part("_tables.unbeaten").unbeaten
    assert unbeaten(*row_of(run, "ours")) == []
    assert unbeaten(*row_of(run, "other")) == ["blank"]
    assert unbeaten(*row_of(run, "ours", 400)) == []
    apart = a_run([*seeds(record, "blank", 1), *seeds(record, "ours", None, 54)])
    assert unbeaten(*row_of(apart, "ours")) == []


@pytest.mark.slow
def test_a_transfer_that_does_not_beat_where_it_started_has_a_footnote(record: Make, a_run: MakeRun) -> None:
    """Its KID is 60, the source's 50; one from scratch of the same KID never was there."""
    source = [record("source", 25, seed, kid=0.05, family="reference") for seed in range(2)]
    moved = [
        msgspec.structs.replace(one, cell=msgspec.structs.replace(one.cell, source_model="source-model"))
        for one in [*source, *seeds(record, "moved", 60, 60), *seeds(record, "better", 40, 40)]
    ]
    run = a_run([*moved, *seeds(record, "scratch", 60, 60)])
    unbeaten = part("_tables.unbeaten").unbeaten
    labels = ("moved", "better", "scratch", "source")
    assert [unbeaten(*row_of(run, label)) for label in labels] == [["source"], [], [], []]
    text = part("table").to_markdown(run)
    note = "Does not beat the generator before the transfer (source): its mean KID over the seeds that both have is not"
    assert text.count(note) == 1
    assert re.search(r"^\| moved<sup>\d</sup> \| 25 ", text, re.MULTILINE)
    assert "does not beat the generator before the transfer" in part("page").render(run, None)


def test_the_table_has_footnotes(records: list[Record], a_run: MakeRun) -> None:
    """A number after the name, and one sentence for all rows that fail alike; what beats both has none."""
    text = part("table").to_markdown(a_run(records))
    notes = dict(re.findall(r"^(\d)\. (.*)$", text, re.MULTILINE))
    numbers = {note: number for number, note in notes.items()}
    headline = text.partition("\n### ")[0]
    marks = dict(re.findall(r"^\| (good|fair|level|poor)(?:<sup>(\d)</sup>)? \| 25 ", headline, re.MULTILINE))
    assert marks == {
        "good": "",
        "fair": numbers[BOTH.replace("white images (blank) and ", "")],
        "level": numbers[BOTH],
        "poor": numbers[BOTH],
    }
    assert re.search(r"^\| poor \| 400 ", headline, re.MULTILINE)
    assert "- 25 images: good leads" in text
    assert "does not beat" not in text.partition("- 25 images")[2].splitlines()[0]


def test_a_lead_that_does_not_beat_white_images_says_so(record: Make, a_run: MakeRun) -> None:
    """In the sentence below the table, in the page's headline and in its ranking."""
    run = a_run([*seeds(record, "blank", 10, 10), *seeds(record, "a", 20, 20), *seeds(record, "b", 30, 30)])
    (line,) = [line for line in part("table").to_markdown(run).splitlines() if line.startswith("- 25 images")]
    assert line.startswith("- 25 images: a leads by KID×10³ (20.0 ± 0.0), ahead of b (30.0 ± 0.0); ")
    assert line.endswith("; a does not beat blank.")


def test_latex_and_terminal_have_the_footnote(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Below the table, with its number at the row."""
    run = a_run([*seeds(record, "blank", 10), *seeds(record, "a", 20)])
    part("latex").Latex().write(run, tmp_path)
    latex = (tmp_path / "table.tex").read_text("ascii")
    assert re.search(r"^a\$\^\{1\}\$ & 25 &", latex, re.MULTILINE)
    assert f"$^{{1}}$ {WHITE}" in latex
    console = Console(width=200, force_terminal=False)
    with console.capture() as capture:
        for piece in part("table").Table().terminal(run):
            console.print(piece)
    assert re.search(r"^ ?a \[1\] +25 ", capture.get(), re.MULTILINE)
    assert f"[1] {WHITE}" in capture.get()


def test_the_page_has_footnote_headline_and_ranking(record: Make, a_run: MakeRun) -> None:
    """The row links to the footnote; the ranking says it in words; what the row is for stands beside the table."""
    page = part("page").render(a_run([*seeds(record, "blank", 10), *seeds(record, "a", 20)]), None)
    text = html.unescape(re.sub("<[^>]*>", " ", page))
    assert f'<li id="set-1-note-1">{WHITE}</li>' in page
    assert re.search(r'<span class="name">a</span>\s*<sup><a href="#set-1-note-1"', page)
    assert re.search(r"a\s+is the only method .*, but\s+a\s+does not beat white images", text)
    assert '<span class="note">does not beat white images</span>' in page
    assert "white images: a method that does not beat them has shown nothing" in text


def test_tables_over_tasks_name_them(record: Make, a_run: MakeRun) -> None:
    """By the task at which they fail."""
    rows = {"x": (10, 20, 30), "y": (90, 20, 30)}
    records = [
        on(cell, target)
        for target, (blank, a, b) in rows.items()
        for method, kid in (("blank", blank), ("a", a), ("b", b))
        for cell in seeds(record, method, kid)
    ]
    text = part("table").to_markdown(a_run(records)).partition("## Over tasks")[2]
    assert "x: a and b do not beat blank." in text
    assert "y: " not in text


def test_captions_of_figures_name_them(
    record: Make, a_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """figures.md begins with them: no figure needs a mark of its own for each."""
    kinds = ("rank", "curve", "cost", "pareto", "memorization", "heatmap", "grid", "progress", "neighbor")
    for kind in (*kinds, "interpolation"):
        monkeypatch.setattr(part("figures"), f"{kind}_plots", lambda *_: [])
    run = a_run([*seeds(record, "blank", 10), *seeds(record, "a", 20), *seeds(record, "b", 5)])
    part("figures").PaperFigures().write(run, tmp_path)
    text = (tmp_path / "figures.md").read_text("utf-8")
    assert re.search(
        r"^twemoji .*, 25 images: a does not beat blank, by the mean KID over the seeds", text, re.MULTILINE
    )
