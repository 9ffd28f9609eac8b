"""table.md and the terminal's table."""

from __future__ import annotations

import re
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from report_parts import measured_on, on
from rich.console import Console

from graftbench.metrics.catalogue import EVERY_METRIC
from graftbench.records.cell_spec import Protocol
from graftbench.records.record import Score, Status, Truth

if TYPE_CHECKING:
    from pathlib import Path

    from report_parts import Make, MakeRun

    from graftbench.records.record import Record
    from graftbench.records.run import Run


def text_of(run: Run, out: Path) -> str:
    """The report's text."""
    (path,) = import_module("graftbench.reports.table").Table().write(run, out)
    return path.read_text("utf-8")


def lines_of(text: str, method: str) -> list[list[str]]:
    """Cells of the rows whose first cell starts with the method's name."""
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in text.splitlines()]
    return [row for row in rows if row and row[0].startswith(method)]


def headline(text: str) -> str:
    """What stands above the first panel."""
    return text.partition("\n### ")[0]


def panel(text: str, title: str) -> str:
    """A panel's reading and table; empty if there is none of that title."""
    return text.partition(f"\n### {title}\n")[2].partition("\n### ")[0]


def scored(make: Make, method: str, values: dict[str, float | None], seed: int = 0, **fields: Any) -> Record:
    """A record of these scores; None is undefined for want of images."""
    common: dict[str, Any] = {"n_generated": 600, "n_reference": 620, "protocol": "lite0@96"} | fields
    scores = [
        Score(name=name, value=value, undefined="too few images" if value is None else "", **common)
        for name, value in values.items()
    ]
    return make(method, 25, seed, scores=scores)


def with_kid(make: Make, kids: dict[tuple[str, int], float]) -> list[Record]:
    """Records with these KIDs for (method, seed) at 25 images."""
    return [make(method, 25, seed, kid=kid) for (method, seed), kid in kids.items()]


def test_means_and_deviations_are_those_of_the_seeds(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """KIDs of 0.010 and 0.014 print as 12.0 ± 2.8 in thousandths: the sd of two values is their distance over √2."""
    run = a_run(with_kid(record, {("finetune", 0): 0.010, ("finetune", 1): 0.014}))
    (row,) = lines_of(text_of(run, tmp_path), "finetune")
    assert row[3] == "12.0 ± 2.8"
    assert row[-1] == "2"


def test_one_seed_has_no_deviation(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """A mean of one value carries no ±, and the caption says one seed."""
    text = text_of(a_run(with_kid(record, {("finetune", 0): 0.010})), tmp_path)
    (row,) = lines_of(text, "finetune")
    assert row[3] == "10.0"
    assert "1 seed (0)." in text


def test_the_best_method_of_each_budget_is_bold_and_reference_rows_never(quick_run: Run, tmp_path: Path) -> None:
    """The leaders at 25 and 400 lead in FID and KID (lower) and IS (higher); the memorizer beats them, in plain."""
    text = headline(text_of(quick_run, tmp_path))
    bold = {(row[0], row[1]) for row in lines_of(text, "") if all(row[i].startswith("**") for i in (2, 3, 4))}
    assert bold == {("freezed", "25"), ("finetune", "400")}
    assert text.count("**") == 2 * 6
    memorizer = lines_of(text, "memorizer")[0]
    assert float(memorizer[3].split()[0]) < 10


def test_a_failed_cell_has_its_reason_below_the_table(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Equal reasons once, with whose cells they ended."""
    broken = [
        msgspec.structs.replace(record("vae", seed=seed), status=Status.ERROR, reason="boom | it went", scores=[])
        for seed in (0, 1)
    ]
    text = text_of(a_run([record("finetune"), *broken]), tmp_path)
    assert "Failed cells:\n\n- error: boom \\| it went (vae: 2 cells)." in text


def test_a_score_that_nobody_asked_for_has_no_column(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """A suite of KID alone has neither FID nor IS in its first table; one whose cells all failed has all three."""
    text = text_of(a_run([scored(record, "finetune", {"kid": 0.04})]), tmp_path)
    assert "| Method | Images | KID×10³ ↓ | Fit, s | Seeds |" in text
    failed = text_of(a_run([scored(record, "finetune", {})]), tmp_path)
    assert "| Method | Images | FID ↓ | KID×10³ ↓ | IS ↑ | Fit, s | Seeds |" in failed


def test_more_than_real_images_have_is_no_merit(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Where one IS is above the floor of 5, none is bold at that number of images; it is at the other, where none is.

    Density above 1 likewise; the sentence names who has more. KID is ranked as ever.
    """

    def cell(method: str, images: int, score: float, kid: float) -> Record:
        made = scored(record, method, {"inception_score": score, "density": score / 5, "kid": kid})
        floors = {"inception_score": 5.0, "density": 1.0, "kid": 0.0}
        scores = [msgspec.structs.replace(one, floor=floors[one.name]) for one in made.scores]
        return msgspec.structs.replace(record(method, images, 0), scores=scores)

    records = [cell("finetune", 25, 6.0, 0.01), cell("vae", 25, 4.0, 0.02)]
    records += [cell("finetune", 400, 4.5, 0.01), cell("vae", 400, 3.0, 0.02)]
    text = text_of(a_run(records), tmp_path)
    rows = {(row[0], row[1]): row for row in lines_of(headline(text), "")}
    assert [rows[key][3] for key in (("finetune", "25"), ("vae", "25"))] == ["6.00", "4.00"]
    assert [rows[key][3] for key in (("finetune", "400"), ("vae", "400"))] == ["**4.50**", "*3.00*"]
    assert rows["finetune", "25"][2] == "**10.0**"
    assert (
        "IS marks no best with 25 images: finetune has more than real images (5.00), which says nothing good." in text
    )
    density = panel(text, "Fidelity and diversity")
    assert "density marks no best with 25 images: finetune has more than real images (1.000)" in density
    assert "**0.900**" in density


def test_ties_are_all_bold_and_a_lone_method_is_not(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Bold says better than another."""
    tie = text_of(a_run(with_kid(record, {("finetune", 0): 0.01, ("freezed", 0): 0.01})), tmp_path)
    assert [row[3] for name in ("finetune", "freezed") for row in lines_of(tie, name)] == ["**10.0**"] * 2
    assert "**" not in text_of(a_run(with_kid(record, {("finetune", 0): 0.01})), tmp_path)


def test_the_second_is_in_italics_and_what_is_level_with_the_best_has_a_dagger(
    record: Make, a_run: MakeRun, tmp_path: Path
) -> None:
    """Six seeds: vae is three times as bad on all, finetune worse on four of them."""
    values = {"freezed": [10] * 6, "finetune": [9, 9, 12, 12, 12, 18], "vae": [30, 31, 32, 30, 31, 32]}
    records = [record(name, 25, seed, kid=kid / 1000) for name, by in values.items() for seed, kid in enumerate(by)]
    text = text_of(a_run(records), tmp_path)
    found = {name: lines_of(text, name)[0][3] for name in values}
    assert found == {"freezed": "**10.0 ± 0.0**", "finetune": "*12.0 ± 3.3*<sup>†</sup>", "vae": "31.0 ± 0.9"}
    assert "in italics the second. †: not significantly worse than the best (paired t test of the logarithms" in text


def test_one_seed_is_told_and_nothing_is_marked(quick_run: Run, a_run: MakeRun, tmp_path: Path) -> None:
    """A test takes two seeds: one sentence for both data budgets says so; no dagger in any table."""
    records = [r for r in quick_run.records if r.cell.seed == 0]
    text = text_of(a_run(records), tmp_path)
    assert not set("†‡") & set(text)
    assert "1 seed cannot tell 4 methods apart: it takes 2 or more (FID, KID×10³ and IS at 25 images)" in text
    assert "1 seed cannot tell 5 methods apart: it takes 2 or more (FID, KID×10³ and IS at 400 images)" in text


def test_two_seeds_tell_two_methods_apart_where_the_noise_is_small(
    record: Make, a_run: MakeRun, tmp_path: Path
) -> None:
    """Twice as large on both to a thousandth: no dagger at the second; so with a missing third seed."""
    pairs = {("a", s): 0.010 + 1e-5 * s for s in range(3)} | {("b", s): 0.02 for s in range(2)}
    text = headline(text_of(a_run(with_kid(record, pairs)), tmp_path))
    assert lines_of(text, "b")[0][3] == "*20.0 ± 0.0*"
    assert "cannot tell" not in text


@pytest.mark.slow
def test_thousands_of_methods_are_a_table_in_seconds(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Each is a row; one seed tells nothing apart."""
    records = [record(f"m{i:04d}", 25, 0, kid=0.001 * (i + 1)) for i in range(2000)]
    start = time.process_time()
    text = text_of(a_run(records), tmp_path)
    assert time.process_time() - start < 6
    assert len(lines_of(text, "m")) == 2000
    assert "1 seed cannot tell 2,000 methods apart: it takes 2 or more." in text


def test_failed_cells_are_told_as_what_they_are(quick_run: Run, tmp_path: Path) -> None:
    """A row without a good cell keeps its place and says what became of its seeds."""
    (failed,) = [row for row in lines_of(headline(text_of(quick_run, tmp_path)), "dcgan") if row[1] == "25"]
    assert failed[2:] == ["—", "—", "—", "—", "2 of 2 diverged"]


def test_partly_failed_and_missing_seeds_are_counted(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Of three seeds that finetune has, freezed has one good, one out of memory and one not yet there."""
    records = [record("finetune", 25, seed) for seed in (0, 1, 2)]
    records += [record("freezed", 25, 0), record("freezed", 25, 1, status=Status.OOM)]
    text = text_of(a_run(records, expected=6), tmp_path)
    assert lines_of(text, "freezed")[0][-1] == "1 of 3 ok, 1 of 3 oom, 1 of 3 missing"
    assert "5 of 6 results" in text
    complete = text_of(a_run(records, expected=5), tmp_path)
    assert lines_of(complete, "freezed")[0][-1] == "1 of 2 ok, 1 of 2 oom"


def test_a_budget_that_a_method_has_not_run_is_a_row(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Missing whole rows would look like a smaller benchmark."""
    records = [record("finetune", 25), record("finetune", 400), record("freezed", 25)]
    row = lines_of(text_of(a_run(records), tmp_path), "freezed")[1]
    assert (row[1], row[-1]) == ("400", "1 of 1 missing")


def test_undefined_scores_say_why(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """The other seed's value stands with its n; with none left the cell says undefined. No NaN is printed."""
    records = [record("finetune", 25, 0, kid=None), record("finetune", 25, 1, kid=0.01), record("vae", 25, 0, kid=None)]
    text = text_of(a_run(records), tmp_path)
    assert lines_of(text, "finetune")[0][3] == "10.0 (n=1)<sup>1</sup>"
    assert lines_of(text, "vae")[0][3] == "undefined<sup>1</sup>"
    assert "1. KID×10³ undefined: fewer than two images" in text
    assert "nan" not in text.lower()


def test_negative_kid_keeps_its_sign(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """An unbiased estimate may be below zero; it prints with a true minus."""
    row = lines_of(text_of(a_run([record("finetune", kid=-0.0012)]), tmp_path), "finetune")[0]
    assert row[3] == "−1.20"


def test_protocols_stand_apart(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Two protocols make two tables and a warning; even where only the number of generated images differs."""
    other = Protocol(n_generated=5000)
    text = text_of(a_run([record("finetune"), record("finetune", protocol=other)]), tmp_path)
    assert "scored under 2 protocols" in text
    assert len(re.findall(r"^## ", text, re.MULTILINE)) == 2
    assert len(set(re.findall(r"^## .*$", text, re.MULTILINE))) == 2
    assert "600 generated images against 620 of the split" in text
    assert "5,000 generated images against 620 of the split" in text


def test_variants_of_a_method_are_no_seeds_of_one_another(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Other parameters make another row, named by what differs; its seeds are counted for themselves."""
    records = [record("freezed", parameters={"frozen": n, "batch": 32}, kid=0.01 * n) for n in (2, 4)]
    rows = lines_of(text_of(a_run(records), tmp_path), "freezed")
    assert [(row[0], row[3], row[-1]) for row in rows] == [
        ("freezed (frozen=2)", "**20.0**", "1"),
        ("freezed (frozen=4)", "*40.0*", "1"),
    ]


def test_reference_rows_stand_apart_with_what_they_mark(quick_run: Run, tmp_path: Path) -> None:
    """They come in a table of their own, below."""
    above, below = text_of(quick_run, tmp_path).split("For comparison, not ranked:")
    marks = {"oracle": "no method has seen", "memorizer": "copying", "source": "untransferred", "gaussian": "PCA"}
    for name, mark in marks.items():
        assert not lines_of(above, name)
        assert len(lines_of(below, name)) == 2
        assert mark in lines_of(below, name)[0][-1]


def test_notes_become_footnotes_once(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Both seeds carry the same note: one footnote, one mark."""
    records = [record("finetune", 25, seed, notes=["It looks at lite0 itself."]) for seed in (0, 1)]
    text = text_of(a_run(records), tmp_path)
    assert lines_of(text, "finetune")[0][0] == "finetune<sup>1</sup>"
    assert text.count("It looks at lite0 itself.") == 1


def test_shared_timings_are_upper_bounds(quick_run: Run, tmp_path: Path) -> None:
    """A fit that other processes slowed down prints as ≤."""
    assert lines_of(text_of(quick_run, tmp_path), "gatys")[0][5].startswith("≤ ")


def test_the_caption_counts_the_target_s_reference(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """KID to the source stands on other images, of the source: they are not the target's reference."""
    made = record("dcgan")
    other = msgspec.structs.replace(made.scores[0], name="source_kid", n_reference=1722)
    text = text_of(a_run([msgspec.structs.replace(made, scores=[*made.scores, other])]), tmp_path)
    assert "against 620 of the split" in text


def test_times_of_two_devices_have_no_mean(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Of fits on two kinds of GPU no seconds are printed, and a footnote says why; one kind has its mean."""

    def fits(*devices: str) -> list[Record]:
        made = [record("dcgan", seed=seed) for seed in range(len(devices))]
        return [measured_on(each, device) for each, device in zip(made, devices, strict=True)]

    two = text_of(a_run(fits("NVIDIA A100", "Tesla T4")), tmp_path)
    assert lines_of(two, "dcgan")[0][5] == "—<sup>1</sup>"
    assert "1. Run on NVIDIA A100 and Tesla T4: times of different devices have no mean." in two
    one = text_of(a_run(fits("Tesla T4", "Tesla T4")), tmp_path)
    assert not lines_of(one, "dcgan")[0][5].startswith("—")


@pytest.mark.parametrize(
    ("name", "printed"),
    [("<script>", "&lt;script&gt;"), ("a_b%", r"a\_b%"), ("a|b", r"a\|b"), ("`x`*", r"\`x\`\*"), ("a\nb", "a b")],
)
def test_names_cannot_break_the_table(name: str, printed: str, record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Markdown's and HTML's own characters are printed, not obeyed."""
    text = text_of(a_run([record(name)]), tmp_path)
    assert f"\n| {printed} |" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.split(r"(?<!\\)\|", line)) for line in rows} == {9}


def test_leads_say_whether_the_seeds_settle_them(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Five differences of one sign and size settle it; of both signs not, and so many seeds would; one says nothing."""
    pairs = {("a", s): 0.010 + 0.001 * s for s in range(5)}
    steady = pairs | {("b", s): 0.0200 + 0.001 * s + 0.0001 * (s % 2) for s in range(5)}
    text = text_of(a_run(with_kid(record, steady)), tmp_path)
    assert "5 seeds settle it (p &lt; 0.0001, also after Holm's correction over 1 comparison)" in text
    unsteady = pairs | {("b", s): 0.013 + 0.01 * (s - 2) for s in range(5)}
    text = text_of(a_run(with_kid(record, unsteady)), tmp_path)
    assert re.search(r"5 seeds do not settle the order \(p = 0\.\d+\); [\d,]+ would", text)
    few = with_kid(record, {key: kid for key, kid in steady.items() if key[1] < 1})
    assert "1 seed cannot tell 2 methods apart: it takes 2 or more" in text_of(a_run(few), tmp_path)


def test_the_lead_and_the_mark_say_the_same(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """A second that bears † does not settle the order; one without it does."""
    for gap, marked in ((0.0005, True), (0.05, False)):
        kids = {("a", s): 0.01 + 0.001 * s for s in range(6)}
        kids |= {("b", s): 0.01 + gap + 0.001 * (s + (-1) ** s) for s in range(6)}
        text = text_of(a_run(with_kid(record, kids)), tmp_path)
        row = next(line for line in text.splitlines() if line.startswith("| b "))
        assert ("†" in row) == marked
        assert ("do not settle the order" in text) == marked


def test_a_survivor_neither_leads_nor_is_bold(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Four of its five seeds failed; the fifth has the least KID of all, and the sentence says why it does not lead."""
    records = with_kid(record, {("a", s): 0.020 + 0.001 * s for s in range(5)})
    records += with_kid(record, {("b", s): 0.030 + 0.001 * s for s in range(5)})
    records += with_kid(record, {("lucky", 3): 0.001})
    records += [record("lucky", seed=s, status=Status.DIVERGED) for s in (0, 1, 2, 4)]
    text = text_of(a_run(records), tmp_path)
    assert "a leads by KID×10³" in text
    assert "lucky does not compete (1 of 5 seeds; the others failed)" in text
    assert "Not compared, for want of seeds: lucky with 25 images: 1 of 5 seeds; the others failed." in text
    assert "**" not in next(line for line in text.splitlines() if line.startswith("| lucky "))
    assert "**" in next(line for line in text.splitlines() if line.startswith("| a "))


def test_the_lead_is_by_common_seeds_and_says_so(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Without the seed that failed b's own mean is less than a's; on the seeds of both a is better."""
    kids = {("a", s): kid for s, kid in enumerate((0.01, 0.02, 0.03, 0.04, 0.9))}
    kids |= {("b", s): kid for s, kid in enumerate((0.02, 0.03, 0.04, 0.05))}
    text = text_of(a_run([*with_kid(record, kids), record("b", seed=4, status=Status.OOM)]), tmp_path)
    assert "a leads by KID×10³ (25.0 ± 12.9)" in text
    assert "by the 4 seeds that all compared methods have" in text
    assert "Best and second go by the means over seeds that all compared rows have: 4 seeds (with 25 images)." in text


def test_where_all_failed_the_caption_says_what_was_asked_for(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """How many images the protocol generates; how many the reference has no record says."""
    failed = record("a", status=Status.ERROR)
    text = text_of(a_run([failed]), tmp_path)
    count = f"{failed.cell.protocol.n_generated:,}"
    assert f": {count} generated images against the split “{failed.cell.protocol.reference}”, " in text
    text = text_of(a_run([*with_kid(record, {("b", 0): 0.02}), failed]), tmp_path)
    assert re.search(r": \d+ generated images against \d+ of the split “", text)


def test_no_number_of_a_table_is_minus_zero() -> None:
    """A KID a little below 0 is 0 in the places that the column has; one that shows has a true minus."""
    number = import_module("graftbench.reports._tables.numbers").number
    assert [number(value, 1) for value in (-0.04, -0.0, -0.06, 0.04)] == ["0.0", "0.0", "−0.1", "0.0"]
    assert [number(value, 0) for value in (-0.4, -1234.4)] == ["0", "−1,234"]


def test_a_score_that_is_not_known_here_gets_a_plain_column(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Its name heads a column under "Other scores"; no arrow and no bold, for which way is better is not known."""
    records = [scored(record, "finetune", {"sharpness": 3.25}), scored(record, "freezed", {"sharpness": 4.5})]
    text = text_of(a_run(records), tmp_path)
    other = panel(text, "Other scores")
    assert "| sharpness |" in other
    assert "Not in the catalogue of metrics" in other
    assert "**" not in text
    assert lines_of(other, "freezed") == [["freezed", "25", "4.50"]]


# ------------------------------------------------------------------------------------------------------ over tasks


def tasks_of(text: str) -> str:
    """The first table over tasks, with its caption."""
    return text.partition("\n## Over tasks\n")[2].partition("\n### ")[2].partition("\n### ")[0]


def test_methods_by_tasks_with_average_ranks(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Method a ranks 1, 1 and 2, b the rest; c has no score on one task and so no rank, and the caption says so."""
    kids = {"x": (10, 20, 30), "y": (10, 20, None), "z": (40, 20, 30)}
    records = [
        on(record(name, 25, 0, kid=kid / 1000), task)
        for task, by in kids.items()
        for name, kid in zip("abc", by, strict=True)
        if kid is not None
    ]
    table = tasks_of(text_of(a_run(records), tmp_path))
    assert table.startswith("KID×10³ over 3 tasks with 25 images, 30 kimg, lite0@96\n")
    assert lines_of(table, "") == [
        ["Method", "x", "y", "z", "Average rank", "Tasks"],
        ["---", "---:", "---:", "---:", "---:", "---:"],
        ["a", "**10.0**", "**10.0**", "40.0", "**1.33**", "3"],
        ["b", "*20.0*", "*20.0*", "**20.0**", "1.67", "3"],
        ["c", "30.0", "—", "*30.0*", "—", "2 of 3"],
    ]
    assert "from twemoji at 32×32" in table
    assert "of the 2 methods with a score in each. Without a rank (no score in every task): c." in table


def test_one_task_has_no_table_over_tasks(quick_run: Run, tmp_path: Path) -> None:
    """Nor do tasks of two protocols, which do not compare."""
    assert "Over tasks" not in text_of(quick_run, tmp_path)


def test_tasks_of_two_protocols_are_not_put_together(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Each protocol has one task here."""
    records = [on(record("a"), "x"), on(record("a", protocol=Protocol(n_generated=5000)), "y")]
    assert "Over tasks" not in text_of(a_run(records), tmp_path)


def test_what_looks_at_the_scoring_network_has_no_rank(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """It is shown and does not count; tasks of two resolutions are named in full."""
    records = [
        on(made, "x", resolution)
        for resolution in (32, 64)
        for made in (record("a", kid=0.02), record("b", kid=0.03), record("looks", kid=0.001, leaks=True))
    ]
    table = tasks_of(text_of(a_run(records), tmp_path))
    assert "twemoji → x@64" in table
    assert lines_of(table, "looks")[0][-2:] == ["—", "2"]
    assert lines_of(table, "a")[0][-2] == "**1.00**"
    assert "Without a rank (trained with the scoring network): looks." in table


def test_the_terminal_shows_kid_over_tasks(record: Make, a_run: MakeRun) -> None:
    """After the tables of each task; FID over tasks is in table.md."""
    records = [on(record(name, kid=kid), task) for task in ("x", "y") for name, kid in (("a", 0.02), ("[b]", 0.03))]
    console = Console(width=100, force_terminal=False)
    with console.capture() as capture:
        for part in import_module("graftbench.reports.table").Table().terminal(a_run(records)):
            console.print(part)
    shown = capture.get()
    assert "KID×10³ over 2 tasks with 25 images" in shown
    assert "FID over" not in shown
    assert [line.split() for line in shown.splitlines() if line.startswith(" [b]")][-1] == [
        *("[b]", "30.0", "30.0", "2.00", "2"),
    ]


# --------------------------------------------------------------------------------------------------------- panels


def test_every_metric_of_the_catalogue_stands_in_exactly_one_panel() -> None:
    """A metric that is new in the catalogue is to be given its place; sentences belong to metrics that exist."""
    panels = import_module("graftbench.reports._tables.panels")
    placed = [metric.name for metric in panels.HEADLINE] + [
        name for layout in panels.LAYOUT for name in panels.names_of(layout)
    ]
    assert sorted(placed) == sorted(EVERY_METRIC)
    assert panels.READINGS.keys() <= EVERY_METRIC.keys()


def test_panels_follow_the_headline_with_the_same_rows(quick_run: Run, tmp_path: Path) -> None:
    """FID, KID and IS first, with cost and seeds; then what else there is, each with a table of its own."""
    text = text_of(quick_run, tmp_path)
    assert re.findall(r"^### (.*)$", text, re.MULTILINE) == ["Fidelity and diversity", "Memorisation"]
    assert "| Method | Images | FID ↓ | KID×10³ ↓ | IS ↑ | Fit, s | Seeds |" in headline(text)
    rows = [row[:2] for row in lines_of(headline(text), "") if row[0] not in {"Method", "Reference row", "---"}]
    for title in ("Fidelity and diversity", "Memorisation"):
        below = [[row[0].strip("*"), row[1]] for row in lines_of(panel(text, title), "")[2:]]
        assert [row for row in below if row[0] != "floor"] == [row for row in rows if row[0] != "floor"]


def test_a_panel_without_any_score_is_left_out(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Records of FID, KID and IS alone have the headline alone; one other score brings its panel with its sentence."""
    assert "###" not in text_of(a_run([record("finetune")]), tmp_path)
    text = text_of(a_run([scored(record, "finetune", {"fid": 80.0, "vendi_score": 12.5})]), tmp_path)
    assert re.findall(r"^### (.*)$", text, re.MULTILINE) == ["Fidelity and diversity"]
    assert "Vendi is the effective number" in text
    assert "Precision" not in text


def test_known_truth_has_a_panel_that_says_of_how_many(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Modes and KL of factors stand in a panel of their own; its sentence has N, the factors and those left out."""
    truth = Truth(variants=21, accuracy={"hair": 1.0, "mouth": 0.98}, left_out={"nose": "read rightly in 79 %"})
    made = scored(record, "finetune", {"kid": 0.5, "modes": 17.0, "factor_kl": 0.25}, floor=20.0)
    other = scored(record, "freezed", {"kid": 0.6, "modes": 12.0, "factor_kl": 0.75}, floor=20.0)
    text = text_of(a_run([msgspec.structs.replace(each, truth=truth) for each in (made, other)]), tmp_path)
    section = panel(text, "Known truth")
    assert "| modes ↑ | factor KL ↓ |" in section
    assert "of 21 variants of 2 factors (hair and mouth; not read well enough: nose)" in section
    assert re.search(r"\*floor\* .*20", section)


def test_null_coverage_is_a_sentence_beside_coverage(quick_run: Run, tmp_path: Path) -> None:
    """It is the same for every row, so it takes no column."""
    fidelity = panel(text_of(quick_run, tmp_path), "Fidelity and diversity")
    assert "equal distributions have 0.969 at these numbers of images (null coverage)" in fidelity
    assert "| null coverage" not in fidelity


def test_null_coverages_that_differ_keep_their_column(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """So does one without a coverage beside it: no number is lost."""
    records = [
        scored(record, "finetune", {"coverage": 0.5, "null_coverage": 0.97}),
        scored(record, "freezed", {"coverage": 0.6, "null_coverage": 0.95}),
    ]
    assert "| null coverage |" in text_of(a_run(records), tmp_path)
    lone = text_of(a_run([scored(record, "finetune", {"null_coverage": 0.97})]), tmp_path)
    assert "| null coverage |" in lone


def test_the_floor_is_one_row_in_every_panel_that_has_one(quick_run: Run, tmp_path: Path) -> None:
    """First among the reference rows: the records' floors in the printed scale, no images, no seconds, no seeds."""
    text = text_of(quick_run, tmp_path)
    (row,) = lines_of(headline(text), "floor")
    assert row == ["floor", "—", "16.2", "0.0", "6.60", "—", "—", "what as many real held-out images score"]
    fidelity = panel(text, "Fidelity and diversity")
    (row,) = lines_of(fidelity, "*floor*")
    assert row == ["*floor*", "—", "0.710", "0.684", "0.697", "0.991", "0.952", "27.3", "—", "—"]
    assert fidelity.index("*floor*") < fidelity.index("*oracle*")
    assert "floor" not in panel(text, "Memorisation").partition("|")[2]


def test_floors_that_differ_are_told_from_lowest_to_highest(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Cells scored at different times may stand beside different floors; KID's prints in thousandths."""
    records = [scored(record, "finetune", {"kid": 0.04}, seed, floor=0.001 * (seed + 1)) for seed in (0, 1)]
    (row,) = lines_of(text_of(a_run(records), tmp_path), "floor")
    assert row[2] == "1.0 to 2.0"


def test_nothing_is_ranked_by_memorisation(quick_run: Run, tmp_path: Path) -> None:
    """Neither bold nor arrows: a generator that learned nothing is far from the training images."""
    memorisation = panel(text_of(quick_run, tmp_path), "Memorisation")
    assert "**" not in memorisation
    assert not set("↑↓") & set(memorisation)
    assert "| train distance | AuthPct | C\\_T | MiFID |" in memorisation
    assert "new real images have what the floor says, not 100" in memorisation


def test_the_best_is_bold_in_the_other_panels_too(quick_run: Run, tmp_path: Path) -> None:
    """At each number of images, among methods; the floor and the oracle, better still, stay plain."""
    fidelity = panel(text_of(quick_run, tmp_path), "Fidelity and diversity")
    bold = {(row[0], row[1]) for row in lines_of(fidelity, "") if row[2].startswith("**")}
    assert bold == {("freezed", "25"), ("finetune", "400")}


def test_a_reason_is_told_once_for_all_its_scores(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Three scores undefined for one reason, in two panels: one footnote that names them, one mark."""
    names = ("kid", "precision", "authpct")
    text = text_of(a_run([scored(record, "finetune", dict.fromkeys(names))]), tmp_path)
    assert text.count("undefined<sup>1</sup>") == 3
    assert "\n\n1. KID×10³, precision and AuthPct undefined: too few images\n\n" in text


def test_a_row_without_training_images_says_so(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """What others have and it has not is no failure; a row that failed has a plain dash."""
    records = [
        scored(record, "finetune", {"authpct": 41.0}),
        record("source"),
        record("vae", status=Status.OOM),
    ]
    text = text_of(a_run(records), tmp_path)
    memorisation = panel(text, "Memorisation")
    assert lines_of(memorisation, "*source*") == [["*source*", "25", "—<sup>1</sup>"]]
    assert lines_of(memorisation, "vae") == [["vae", "25", "—"]]
    assert "1. AuthPct not computed: the row has no training images to compare with." in text


def test_the_readme_can_take_the_first_section_apart(quick_run: Run, tmp_path: Path) -> None:
    """The first paragraph of the first "## " section is the conditions; the finding and the table follow."""
    _, _, section = text_of(quick_run, tmp_path).partition("\n## ")
    _, conditions, finding, table, *_ = section.split("\n\n")
    assert conditions.startswith("twemoji → openmoji at 32×32; 30 kimg per fit")
    assert finding.startswith("Finding: ")
    assert table.startswith("| Method | Images | FID ↓ |")


@pytest.mark.parametrize("width", [100, 80])
def test_the_terminal_shows_the_headline_within_its_width_and_says_where_the_rest_is(
    width: int, quick_run: Run
) -> None:
    """No number is cut or broken at 100 columns nor at 80; other panels are named."""
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        for part in import_module("graftbench.reports.table").Table().terminal(quick_run):
            console.print(part)
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= width
    (gaussian, _) = [line.split() for line in lines if line.startswith(" gaussian")]
    assert " ".join(gaussian) == "gaussian 25 494.2 ± 32.7 250.6 ± 17.2 1.49 ± 0.34 0.0 2"
    words = " ".join(" ".join(lines).split())
    assert "floor: what as many real held-out images score." in words
    assert "More scores in table.md and index.html: “Fidelity and diversity” and “Memorisation”." in words
    assert not {"AuthPct", "precision"} & set(words.split())


# ------------------------------------------------------------------------------------------------------- terminal


def test_the_terminal_shows_the_same_and_obeys_no_markup(record: Make, a_run: MakeRun) -> None:
    """Names with rich's own markup are printed as they are."""
    records = [
        record("[red]x[/red]", kid=0.02),
        record("finetune", kid=0.01),
        record("oracle"),
        record("vae", status=Status.OOM),
    ]
    console = Console(width=120, record=True, force_terminal=False)
    with console.capture() as capture:
        for part in import_module("graftbench.reports.table").Table().terminal(a_run(records)):
            console.print(part)
    shown = capture.get()
    for expected in ("[red]x[/red]", "20.0", "1 of 1 oom", "references", "oracle", "FID ↓", "IS ↑"):
        assert expected in shown
