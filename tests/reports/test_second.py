"""Records with the scores of a second extractor: every report shows them, and says what the second reverses."""

from __future__ import annotations

import csv
from importlib import import_module
from typing import TYPE_CHECKING

import msgspec
from made_cells import PROTOCOL
from report_parts import part

from graftbench.comparison.methods import compare_methods
from graftbench.comparison.versus import versus
from graftbench.records.cell_spec import SecondExtractor
from graftbench.records.record import Score

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from report_parts import Make, MakeRun

    from graftbench.records.record import Record
    from graftbench.records.run import Run

TWO = msgspec.structs.replace(PROTOCOL, second=SecondExtractor(extractor="vgg16", resize="extractor"))
STEADY = (1.0, 1.02, 0.99, 1.01)
FIRST = {"finetune": 20.0, "freezed": 60.0, "vae": 90.0, "source": 95.0}
SECOND = {"finetune": 60.0, "freezed": 20.0, "vae": 90.0, "source": 95.0}
"""KID×10³: finetune and freezed change places."""


def two_extractors(
    make: Make, first: Mapping[str, float], second: Mapping[str, float], seeds: int = 4, **fields: object
) -> list[Record]:
    """Records of a KID by each extractor, of seeds that hardly differ."""
    records = []
    for i, name in enumerate(first):
        for seed in range(seeds):
            factor = STEADY[(seed * (1 + i % 3) + i) % 4] / 1000
            record = make(name, 25, seed, kid=first[name] * factor, protocol=TWO, **fields)
            score = Score(
                name="kid.vgg16", value=second[name] * factor, n_generated=600, n_reference=620, protocol="vgg16"
            )
            records.append(msgspec.structs.replace(record, scores=[*record.scores, score]))
    return records


def test_a_reversal_is_told_everywhere(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """The finding, the table's footnotes, comparisons.md and its rows name the two that change places."""
    run = a_run(two_extractors(record, FIRST, SECOND))
    (group,) = part("_tables.groups").groups(run)
    words = part("_tables.finding").words(group)
    assert "vgg16, a second network, reverses finetune and freezed (τ 0.33 (0.33 to 0.33))" in words
    (table,) = part("_tables.scores").score_tables([group])
    assert "By KID better than freezed with lite0@96, worse with vgg16." in table.footnotes
    assert "By KID worse than finetune with lite0@96, better with vgg16." in table.footnotes
    assert "Second extractor: vgg16, the same images and the same split." in table.caption

    text, rows = _comparisons(run, tmp_path)
    assert "### lite0@96 and vgg16" in text
    assert "- 25 images: by KID 1 conclusion reversed: finetune before freezed." in text
    assert "| 25 | KID×10³ | 3 | 4 | 0.33 (0.33 to 0.33) | seeds | finetune before freezed |" in text
    (tau,) = (row for row in rows if row["question"] == "Kendall's tau with the second extractor")
    assert (float(tau["value"]), tau["n"], tau["answer"]) == (1 / 3, "4", "interval over seeds")
    (pair,) = (row for row in rows if row["question"] == "reversed by the second extractor")
    assert (pair["method"], pair["baseline"], pair["metric"]) == ("finetune", "freezed", "kid")


def _comparisons(run: Run, out: Path) -> tuple[str, list[dict[str, str]]]:
    text, table = import_module("graftbench.reports.comparisons").Comparisons().write(run, out)
    with table.open(encoding="utf-8", newline="") as file:
        return text.read_text("utf-8"), list(csv.DictReader(file))


def test_equal_orders_are_told_in_a_clause(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """No footnote and no reversal; of one seed the interval is over methods."""
    run = a_run(two_extractors(record, FIRST, FIRST, seeds=1))
    (group,) = part("_tables.groups").groups(run)
    assert "vgg16, a second network, gives the same order" in part("_tables.finding").words(group)
    text, _ = _comparisons(run, tmp_path)
    assert "- 25 images: by KID nothing is reversed." in text
    assert "| 3 | 1 | 1.00 (−0.22 to 1.00) | methods | — |" in text  # (1 − c) / (1 + c), c = 1.96² · 2 · 11 / 54


def test_who_does_not_beat_the_source_by_the_second_is_named(record: Make, a_run: MakeRun) -> None:
    """By the second the source has 10 and all others more: so said, whether it orders methods alike or not."""

    def words(first: dict[str, float], second: dict[str, float]) -> str:
        (group,) = part("_tables.groups").groups(a_run(two_extractors(record, first, second)))
        return part("_tables.finding").words(group)

    behind = "not score better than the generator before the transfer (10.1)"
    alike = words(FIRST, FIRST | {"source": 10.0})
    assert f"vgg16, a second network, gives the same order, but by it finetune, freezed and vae do {behind}" in alike
    other = words(FIRST | {"vae": 99.0}, SECOND | {"source": 10.0})  # by the first vae is worse than the source
    assert f"reverses finetune and freezed (τ 0.33 (0.33 to 0.33)), but by it finetune and freezed do {behind}" in other
    alone = words({"finetune": 20.0, "source": 95.0}, {"finetune": 20.0, "source": 10.0})
    assert "; by vgg16, a second network, finetune does not score better than the generator before" in alone
    assert "but by it" not in words(FIRST, SECOND)


def test_one_extractor_alone_says_nothing_of_a_second(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Neither panel nor clause nor section."""
    run = a_run([record(name, 25, seed) for name in ("finetune", "freezed") for seed in range(3)])
    (group,) = part("_tables.groups").groups(run)
    assert "network" not in part("_tables.finding").words(group)
    assert "τ" not in _comparisons(run, tmp_path)[0]
    (table,) = part("_tables.scores").score_tables([group])
    assert not table.panels


def test_who_was_trained_with_one_network_competes_by_the_other(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Both have the best of both columns: `peek` is bold in the second alone, `spy` in the first; τ is of others."""
    first, second = FIRST | {"peek": 1.0, "spy": 10.0}, SECOND | {"peek": 1.0, "spy": 0.5}
    records = [
        msgspec.structs.replace(made, leaks=made.cell.method == "peek", leaks_second=made.cell.method == "spy")
        for made in two_extractors(record, first, second)
    ]
    run = a_run(records)
    (group,) = part("_tables.groups").groups(run)
    (table,) = part("_tables.scores").score_tables([group])
    (panel,) = table.panels
    assert (panel.panel.title, panel.panel.headings) == ("By the second extractor", ("KID×10³ (vgg16) ↓",))
    best_first = [line.label for line in table.headline.methods if line.scores[1].best]
    best_second = [line.label for line in panel.methods if line.scores[0].best]
    assert (best_first, best_second) == (["spy"], ["peek"])
    text, _ = _comparisons(run, tmp_path)
    assert (
        "By vgg16 alone compete peek, trained with the other. By lite0@96 alone compete spy, trained with the other."
        in text
    )
    assert {made.competes for made in records} == {
        "",
        "by the second extractor alone: it was trained with the first",
        "by the first extractor alone: it was trained with the second",
    }


def test_every_report_and_reader_takes_them(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Page, table, LaTeX and CSV are written; versus and compare_methods go by the second's KID when asked to."""
    records = two_extractors(record, FIRST, SECOND)
    run = a_run(records)
    for name, cls in (("table", "Table"), ("csv", "Csv"), ("latex", "Latex"), ("page", "Page")):
        paths = getattr(import_module(f"graftbench.reports.{name}"), cls)().write(run, tmp_path)
        if name in ("table", "csv", "page"):
            assert "vgg16" in paths[0].read_text("utf-8")
    assert versus(records, "finetune", "freezed").rows[0].verdict == "better"
    assert versus(records, "finetune", "freezed", metric="kid.vgg16").rows[0].verdict == "worse"
    frame = compare_methods(records, baseline="freezed", metric="kid.vgg16").set_index("method")
    assert frame.loc["finetune", "verdict"] == "worse"
    assert records[0].scores[-1].full_name == "kid_n600_ref620_vgg16"
