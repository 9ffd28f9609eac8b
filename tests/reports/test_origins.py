"""Reports over runs in which others made some rows: marked everywhere, their costs told from what was measured."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from report_parts import part

from graftbench.plugins import registry
from graftbench.records.cell_spec import ComputeBudget, TaskSpec
from graftbench.records.record import Resources, Status
from graftbench.resources.monitor import declared_resources

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from report_parts import Make, MakeRun

    from graftbench.records.record import Record
    from graftbench.records.run import Run


HANDED_IN = "s: submitted (made elsewhere, only scored here)."
FOREIGN = "c: trained by a foreign program under the suite's clock."
DECLARED = "d: declared by whoever handed the images in; not measured here."
SUBMITTED = {"variant_of": "samples", "family": "submitted", "parameters": {}}
COMMAND = {
    "variant_of": "command",
    "family": "scratch",
    "parameters": {"train": "python train.py", "code": "/home/me/train.py"},
    "files": {"code": "cd" * 32},
}
COSTS = {"device": "A100", "fit_seconds": 5400.0, "images_seen": 25_000_000, "peak_memory_mib": 11_000.0}


def of_cell(record: Record, **fields: Any) -> Record:
    """The record with other fields of its cell, and the id of that."""
    cell = msgspec.structs.replace(record.cell, **fields)
    return msgspec.structs.replace(record, cell=cell, id=cell.id)


def submitted(make: Make, method: str, seed: int = 0, *, budget: int = 25, costs: Any = None, **more: Any) -> Record:
    """Images that were handed in, with these declared costs."""
    resources = declared_resources(costs or {})
    made = make(method, budget, seed, **({"origin": "submitted", "resources": resources, "artifacts": {}} | more))
    return of_cell(made, **SUBMITTED, files={"samples": f"{budget:032x}{seed:032x}"})


def by_a_program(make: Make, seed: int = 0, *, budget: int = 25, **resources: Any) -> Record:
    """A cell that a foreign program trained; the suite measured its seconds and memory."""
    measured: dict[str, Any] = {"device": "cpu", "fit_seconds": 41.0, "images_seen": 0, "memory_kind": "resident"}
    measured |= {"peak_memory_mib": 900.0}
    made = make("our-cli", budget, seed, origin="command", resources=Resources(**(measured | resources)), artifacts={})
    return of_cell(made, **COMMAND)


@pytest.fixture
def mixed(record: Make) -> list[Record]:
    """Two methods of the suite, a variant, a program, and images of two colleagues; one says what they cost."""
    records = [record(method, 25, seed) for method in ("dcgan", "finetune") for seed in (0, 1)]
    records += [of_cell(record("slow-finetune", 25, seed), variant_of="finetune") for seed in (0, 1)]
    records += [by_a_program(record, seed, declared=["images_seen"]) for seed in (0, 1)]
    records += [submitted(record, "our-gan", seed, costs=COSTS, kid=0.001) for seed in (0, 1)]
    return records + [submitted(record, "colleague", seed) for seed in (0, 1)]


def written(name: str, run: Run, out: Path) -> dict[str, str]:
    """Texts that a report writes, by file name."""
    paths = registry.reports()[name]().write(run, out)
    return {path.name: path.read_text("utf-8") for path in paths}


def row_of(text: str, method: str) -> list[str]:
    """Cells of a method's first row in a Markdown table."""
    line = next(line for line in text.splitlines() if re.match(rf"\| \*{{0,2}}{re.escape(method)}\b", line))
    return [cell.strip() for cell in line.split("|")[1:-1]]


# --------------------------------------------------------------------------------------------------------- tables


def test_the_table_marks_rows_and_declared_costs(mixed: list[Record], a_run: MakeRun, tmp_path: Path) -> None:
    """A letter after the name and after the cost, one sentence for each letter; nothing said is a dash."""
    text = written("table", a_run(mixed), tmp_path)["table.md"]
    ours, colleague = row_of(text, "our-gan"), row_of(text, "colleague")
    assert (ours[0], ours[5]) == ("our-gan<sup>s</sup>", "5,400 ± 0<sup>d</sup>")
    assert (colleague[0], colleague[5]) == ("colleague<sup>s</sup>", "—")
    assert row_of(text, "our-cli")[0] == "our-cli<sup>c</sup>"
    assert row_of(text, "our-cli")[5] == "41.0 ± 0.0"
    assert row_of(text, "slow-finetune")[0] == "slow-finetune"
    assert all(text.count(sentence) == 1 for sentence in (HANDED_IN, FOREIGN, DECLARED))
    assert "What submitted rows spent was not checked. Fitted on: A100 (declared): our-gan; cpu: " in text


def test_a_submitted_row_competes_for_the_best_score_and_the_lead_says_so(
    mixed: list[Record], a_run: MakeRun, tmp_path: Path
) -> None:
    """Its score was measured as all others; the sentence is read without the table's marks."""
    text = written("table", a_run(mixed), tmp_path)["table.md"]
    assert row_of(text, "our-gan")[3].startswith("**1.0 ")
    assert "our-gan (submitted) leads by KID×10³" in text
    assert "**5,400" not in text


def test_seeds_of_which_some_are_declared_are_told(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """A mean of both has the letter, and a footnote says of how many; one of fewer seeds says of how many it is."""
    costs = {"device": "cpu", "images_seen": 0}
    one = by_a_program(record, 0, fit_seconds=40.0, declared=["fit_seconds"])
    text = written("table", a_run([one, by_a_program(record, 1)]), tmp_path)["table.md"]
    assert row_of(text, "our-cli")[5] == "40.5 ± 0.7<sup>d,1</sup>"
    assert "1. Declared are the seconds of 1 of 2 seeds; the others' were measured." in text
    assert "d: declared by the program that trained; not measured here." in text
    lone = [submitted(record, "our-gan", seed, costs=COSTS if seed else costs) for seed in (0, 1)]
    assert row_of(written("table", a_run(lone), tmp_path)["table.md"], "our-gan")[5] == "5,400 (n=1)<sup>d</sup>"


def test_declared_hours_do_not_round_what_was_measured(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Decimals of a column are those of the measured; each declared cost has its own."""
    records = [record("finetune"), *(submitted(record, f"g{i}", costs={"fit_seconds": 86_400.0}) for i in range(3))]
    text = written("table", a_run(records), tmp_path)["table.md"]
    assert re.fullmatch(r"\d\d\.\d", row_of(text, "finetune")[5])
    assert row_of(text, "g1")[5] == "86,400<sup>d</sup>"


def test_latex_has_the_letters_as_superscripts(mixed: list[Record], a_run: MakeRun, tmp_path: Path) -> None:
    """Upright, at names and costs, and each explained in the caption; all of it ASCII."""
    text = written("latex", a_run(mixed), tmp_path)["table.tex"]
    assert text.isascii()
    assert re.search(r"our-gan\$\^\{\\mathrm\{s\}\}\$ & .* & 5,400\\rlap\{\$\^\{\\mathrm\{d\}\}\$\} & 2", text)
    assert r"our-cli$^{\mathrm{c}}$ & 25" in text
    assert r"$\mathrm{d}$: declared by whoever handed the images in; not measured here." in text
    assert r"$\mathrm{s}$: submitted (made elsewhere, only scored here)." in text


def test_the_terminal_has_them_in_brackets(mixed: list[Record], a_run: MakeRun) -> None:
    """Within 80 columns, all columns there."""
    from rich.console import Console

    console = Console(width=80, record=True, file=io.StringIO())
    for piece in part("_tables.terminal").to_terminal(a_run(mixed)):
        console.print(piece)
    text = console.export_text()
    assert "our-gan [s]" in text
    assert "5,400 [d]" in text
    assert "Seeds" in text
    assert HANDED_IN in " ".join(text.split())


def test_csv_has_who_made_it_and_what_was_declared(mixed: list[Record], a_run: MakeRun, tmp_path: Path) -> None:
    """Columns `variant_of`, `origin`, `declared`; what nobody said is empty."""
    rows = list(csv.DictReader(written("csv", a_run(mixed), tmp_path)["results.csv"].splitlines()))
    found = {row["method"]: row for row in rows}
    told = {name: (row["variant_of"], row["origin"], row["declared"]) for name, row in found.items()}
    assert told["finetune"] == ("", "", "")
    assert told["slow-finetune"] == ("finetune", "", "")
    assert told["our-cli"] == ("command", "command", "images_seen")
    assert told["our-gan"] == ("samples", "submitted", "device fit_seconds images_seen peak_memory_mib")
    assert told["colleague"] == ("samples", "submitted", "")
    assert found["colleague"]["images_seen"] == found["our-gan"]["parameters_total"] == ""


def test_tables_over_tasks_and_budgets_have_the_letters(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """In table.md, table.tex and budgets.md, with the sentences; declared seconds and images too."""
    records = [record("finetune"), submitted(record, "our-gan", costs=COSTS)]
    tasks = [of_cell(item, task=TaskSpec("twemoji", target, 32)) for item in records for target in ("openmoji", "x")]
    run = a_run(tasks)
    over = written("table", run, tmp_path)["table.md"].partition("## Over tasks")[2]
    assert row_of(over, "our-gan")[0] == "our-gan<sup>s</sup>"
    assert HANDED_IN in over
    latex = written("latex", run, tmp_path)["table.tex"].rpartition(r"\begin{tabular}")[2]
    assert r"our-gan$^{\mathrm{s}}$" in latex
    budgets = [ComputeBudget(kimg=30), ComputeBudget(seconds=60)]
    several = [of_cell(item, compute_budget=budget) for item in records for budget in budgets]
    text = written("budgets", a_run(several), tmp_path)["budgets.md"]
    assert row_of(text, "our-gan")[0] == "our-gan<sup>s</sup>"
    assert "| 25,000<sup>d</sup> / 5,400<sup>d</sup> / — |" in text.replace("25.0 k", "25,000")
    assert DECLARED in text


def test_comparisons_name_what_others_made(mixed: list[Record], a_run: MakeRun, tmp_path: Path) -> None:
    """Compared as any other; who they are stands above."""
    text = written("comparisons", a_run(mixed), tmp_path)["comparisons.md"]
    assert "Submitted (made elsewhere, only scored here): colleague and our-gan." in text
    assert "Trained by a foreign program under the suite's clock: our-cli." in text
    assert re.search(r"\| 25 \| our-gan \|", text)


# ------------------------------------------------------------------------------------------------------------- page


def test_the_page_marks_names_and_costs_and_explains_them(mixed: list[Record], a_run: MakeRun) -> None:
    """A letter with a tooltip wherever the name stands, a sentence under ranking, scores and costs."""
    page = part("page").render(a_run(mixed))
    letter = '<sup><abbr title="submitted (made elsewhere, only scored here)">s</abbr></sup>'
    # Ranking, seconds, memorisation, scores in three tables with intervals, costs.
    assert page.count(f'<span class="name">our-gan</span>{letter}') >= 4
    assert page.count(HANDED_IN) >= 3
    assert page.count(DECLARED) == 1
    assert "d: declared by whoever handed the images in or by the program that trained; not measured here." in page
    assert (
        '<span>5,400</span> <span class="sd">± 0</span><sup><abbr title="declared; not measured here">d</abbr></sup>'
        in page
    )
    assert "Declared is not measured." in page
    cost = page.partition('<table data-sortable class="cost">')[2].partition("</table>")[0]
    ours = cost.partition(">our-gan<")[2].partition("</tr>")[0]
    assert ours.count("declared; not measured here") == 3
    assert "no counter" not in ours
    colleague = re.sub("<[^>]*>", " ", cost.partition(">colleague<")[2].partition("</tr>")[0])
    assert colleague.split()[-10:] == ["—"] * 10


def test_the_page_s_cells_say_line_by_line_what_was_measured(mixed: list[Record], a_run: MakeRun) -> None:
    """Who made it, what it is a variant of, digits in place of paths; the suite's own cells are as ever."""
    page = part("page").render(a_run(mixed))
    data = json.loads(re.findall(r'id="cells-data">(.*?)</script>', page, re.DOTALL)[0])
    text = data["strings"]
    cells = {text[cell["name"]].split()[0]: cell for cell in data["cells"]}

    def told(name: str, what: str) -> dict[str, str]:
        return {text[key]: text[value] for key, value in cells[name][what]}

    assert told("our-gan", "cost") == {
        "device": "A100 (declared)",
        "fit_seconds": "5,400 (declared)",
        "images_seen": "25,000,000 (declared)",
        "peak_memory_mib": "11,000 (declared)",
    }
    assert told("our-cli", "cost")["fit_seconds"] == "41 (measured)"
    assert told("our-cli", "facts")["parameters"] == "train = python train.py, code = sha256:cdcdcdcdcdcd"
    assert told("our-cli", "facts")["variant of"] == "command"
    assert told("slow-finetune", "facts")["variant of"] == "finetune"
    assert told("colleague", "cost") == {"costs": "none was declared, and none could be measured here"}
    assert "(" not in told("finetune", "cost")["fit_seconds"]
    assert not {"variant of", "made by others"} & told("finetune", "facts").keys()


def test_a_run_of_the_suite_alone_has_none_of_it(quick_run: Run) -> None:
    """No letters, no sentences."""
    page = part("page").render(quick_run)
    assert "<abbr" not in page
    assert "Declared is not measured" not in page


# ---------------------------------------------------------------------------------------------------------- figures


def test_the_pareto_front_is_of_what_was_measured(mixed: list[Record], a_run: MakeRun) -> None:
    """A submitted row is drawn hollow beside it, however cheap and good it says it is; a program's row may be on it."""
    cheap = {"fit_seconds": 0.001, "peak_memory_mib": 1.0}
    mixed = [
        msgspec.structs.replace(item, resources=declared_resources(cheap)) if item.cell.method == "our-gan" else item
        for item in mixed
    ]
    found = part("_tables.groups").groups(a_run(mixed))
    (plot,) = part("_figures.pareto").pareto_plots(found, {})
    spots = {spot.label: spot for spot in part("_figures.pareto")._spots(found[0].methods, "fit_seconds")}
    assert {label for label, spot in spots.items() if not spot.competes} == {"our-gan"}
    assert "our-gan" not in {spot.label for spot in part("_figures.pareto").front(spots.values())}
    assert "Hollow, and not on the front, because nobody measured their cost here: our-gan." in plot.notes
    assert "Without KID or seconds of fitting, so not drawn: colleague." in plot.notes


def test_what_was_elsewhere_measured_is_no_cost_of_the_fit(record: Make, a_run: MakeRun) -> None:
    """Loading what was trained elsewhere takes a moment: it is recorded, and on no front."""
    loaded = Resources(device="cpu", fit_seconds=0.2, images_seen=0, peak_memory_mib=300.0)
    made = of_cell(record("ours", resources=loaded, origin="submitted"), variant_of="checkpoint", family="submitted")
    found = part("_tables.groups").groups(a_run([record("finetune"), made]))
    spots = part("_figures.pareto")._spots(found[0].methods, "fit_seconds")
    assert {spot.label: spot.competes for spot in spots} == {"finetune": True, "ours": False}


def test_figures_of_cost_say_what_is_declared(mixed: list[Record], a_run: MakeRun) -> None:
    """In the note under the page's figures and in the caption of the paper's, naming whose and which."""
    found = part("_tables.groups").groups(a_run(mixed))
    cost = part("_figures.cost")
    says = "our-gan (fit and peak memory), declared by whoever handed the images in; not measured here."
    assert cost.declared_note(found[0]) == f"Hollow, or in words beyond the scale of what was measured: {says}"
    (plot,) = cost.cost_plots(found, {})
    assert cost.declared_note(found[0]) in plot.notes
    assert "Device: A100 (declared) and cpu." in plot.caption
    alone = part("_tables.groups").groups(a_run([item for item in mixed if item.cell.method == "colleague"]))
    assert cost.unmeasured_note(alone[0]).startswith("Not declared: fit, peak memory")


def test_declared_bars_are_hollow_and_never_set_the_scale(record: Make, a_run: MakeRun) -> None:
    """Within the measured axis a dashed bar without a face; beyond it words in its place; nothing known says so."""
    from graftbench.plotting import looks, style

    near = submitted(record, "near", costs={"fit_seconds": 35.0})
    far = submitted(record, "far", costs={"fit_seconds": 86_400.0})
    (group,) = part("_tables.groups").groups(a_run([record("finetune"), near, far, submitted(record, "silent")]))
    palette = looks(["far", "finetune", "near", "silent"])
    cost = part("_figures.cost")
    with style():
        axes = cost.cost_figure([group], palette).axes[0]
    faces = [bar.get_facecolor()[3] for bar in axes.patches]
    assert sorted(faces) == [0.0, 0.85]
    assert axes.get_xscale() == "linear"
    assert axes.get_xlim()[1] < 60
    assert {"86.4 k, declared", "not known"} <= {text.get_text() for text in axes.texts}


def test_samples_say_that_they_were_submitted(mixed: list[Record], a_run: MakeRun, tmp_path: Path) -> None:
    """Under the name, in the grid and on the page."""
    (group,) = part("_tables.groups").groups(a_run(mixed))
    details = {strip.label: strip.detail for strip in part("_figures.samples").strips(group, tmp_path)}
    assert details["our-gan"] == "25 images, seed 0, submitted"
    assert details["our-cli"] == "25 images, seed 0"


# --------------------------------------------------------------------------------------------------- nothing crashes


def only_submitted(make: Make) -> list[Record]:
    """Some costs, none, and a failed cell."""
    failed = submitted(make, "broken", status=Status.ERROR, reason="Too few images.", scores=[], log_tail="")
    return [submitted(make, "a", costs=COSTS), submitted(make, "a", 1), submitted(make, "b"), failed]


def without_costs(make: Make) -> list[Record]:
    """Resources of no cell are known."""
    return [make(method, 25, seed, resources=None) for method in ("dcgan", "finetune", "oracle") for seed in (0, 1)]


def some_costs(make: Make) -> list[Record]:
    """One declared cost each, and seeds of which one is declared and one measured."""
    lone = [submitted(make, name, costs={name: 7}) for name in ("fit_seconds", "parameters_total", "flops")]
    named = [submitted(make, "device", costs={"device": "A100"}), submitted(make, "energy", costs={"energy_joules": 5})]
    return [*lone, *named, by_a_program(make, 0, declared=["peak_memory_mib"]), by_a_program(make, 1), make("finetune")]


@pytest.mark.parametrize("records", [only_submitted, without_costs, some_costs])
def test_tables_and_page_of_odd_runs(
    records: Callable[[Make], Sequence[Record]], record: Make, a_run: MakeRun, tmp_path: Path
) -> None:
    """Every report of text is written; no cell of a table is None or nan."""
    run = a_run(records(record))
    texts = [
        text
        for name in ("table", "latex", "csv", "comparisons", "page")
        for text in written(name, run, tmp_path).values()
    ]
    for text in texts:
        assert not re.search(r"\b(None|nan|NaN)( ?[|&,]|</|$)", text.partition("<script")[0], re.MULTILINE)
    assert part("_tables.terminal").to_terminal(run)


@pytest.mark.long
@pytest.mark.parametrize("records", [only_submitted, without_costs, some_costs])
def test_every_report_of_odd_runs(
    records: Callable[[Make], Sequence[Record]], record: Make, a_run: MakeRun, tmp_path: Path
) -> None:
    """The figures too."""
    run = a_run(records(record))
    for name, report in registry.reports().classes.items():
        assert report().write(run, tmp_path) or name == "budgets"
