"""A run whose reference images are too few: every report says that nothing can be ranked, and names no best."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import msgspec
import pytest

from graftbench.comparison.too_few import LEAST_REFERENCE, nothing_ranked
from graftbench.plotting import style

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from graftbench.records.record import Record
    from graftbench.records.run import Run


def _against(records: Sequence[Record], n_reference: int) -> list[Record]:
    """The records as if scored against so many reference images."""
    replace = msgspec.structs.replace
    return [
        replace(
            record,
            scores=[replace(score, n_reference=n_reference) if score.n_reference else score for score in record.scores],
        )
        for record in records
    ]


def _text(report: str, run: Run, out: Path) -> str:
    module, cls = report.split(".")
    paths = getattr(import_module(f"graftbench.reports.{module}"), cls)().write(run, out)
    return "\n".join(path.read_text("utf-8") for path in paths if path.suffix in {".md", ".html", ".tex"})


@pytest.mark.parametrize(
    ("report", "named"),
    [
        ("table.Table", ("**", "leads by")),
        ("latex.Latex", (r"\textbf{", "Bold:")),
        ("comparisons.Comparisons", ("Baseline:", "better than")),
    ],
)
def test_no_best_is_named(
    report: str, named: tuple[str, ...], quick_run: Run, a_run: Callable[..., Run], tmp_path: Path
) -> None:
    """With 17 reference images one plain sentence stands where the marks and the lead would be; with enough, those."""
    sentence = nothing_ranked(17)
    assert sentence.startswith("Nothing can be ranked here: with 17 reference images")
    few = _text(report, a_run(_against(quick_run.records, 17)), tmp_path)
    assert sentence in few
    assert not [words for words in named if words in few]
    enough = _text(report, a_run(_against(quick_run.records, LEAST_REFERENCE)), tmp_path)
    assert "Nothing can be ranked" not in enough
    assert any(words in enough for words in named)


@pytest.mark.slow
def test_the_page_names_no_leader(quick_run: Run, a_run: Callable[..., Run]) -> None:
    """Its first sentence says that nothing can be ranked; no row has a rank, and there is no lead."""
    verdict = import_module("graftbench.reports._tables.finding").verdict
    groups = import_module("graftbench.reports._tables.groups").groups
    scores = import_module("graftbench.reports._tables.scores")
    render = import_module("graftbench.reports.page").render
    run = a_run(_against(quick_run.records, 17))
    (few,) = groups(run)
    ((piece,),) = verdict(few, 25)
    assert piece[0].startswith("Nothing can be ranked here: with 17 reference images")
    assert '<span class="rank">' not in render(run)
    assert scores.leads(few) == []
    (enough,) = groups(quick_run)
    assert '<span class="rank">' in render(quick_run)
    assert any(is_name for sentence in verdict(enough, 25) for _, is_name in sentence)


def test_scores_without_a_reference_say_nothing_of_it() -> None:
    """Neither none, where no score needs a reference, nor enough are remarked on."""
    assert nothing_ranked(0) == ""
    assert nothing_ranked(LEAST_REFERENCE) == ""
    assert "with 1 reference image the interval" in nothing_ranked(1)


def test_figures_name_no_best_either(quick_run: Run, a_run: Callable[..., Run]) -> None:
    """The matrix of best methods leaves the pair out with the sentence; that of a chosen method, and KID, stay."""
    groups = import_module("graftbench.reports._tables.groups").groups(a_run(_against(quick_run.records, 17)))
    heatmap = import_module("graftbench.reports._figures.heatmap")
    matrix, notes = heatmap.transfer_matrix(groups, 25)
    assert not matrix
    assert all(note.endswith(f"no best is named. {nothing_ranked(17)}") for note in notes)
    chosen, _ = heatmap.transfer_matrix(groups, 25, "finetune")
    assert len(chosen) == len(groups)
    with style():
        figure = import_module("graftbench.reports._figures.quality").quality_figure(groups)
    assert all(nothing_ranked(17) in part.get_suptitle() for part in figure.subfigs)
