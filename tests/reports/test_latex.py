"""table.tex: what stands in it, who is marked, and that LaTeX takes it."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib import import_module
from typing import TYPE_CHECKING

import pytest
from report_parts import on

from graftbench.errors import GraftbenchError
from graftbench.records.cell_spec import Protocol
from graftbench.records.record import Status
from graftbench.records.run import Run, read_run

if TYPE_CHECKING:
    from pathlib import Path

    from report_parts import Make, MakeRun

    from graftbench.records.record import Record


WEIRD = "a_b%c&d#e$f{g}h~i^j\\k"
PDFLATEX = shutil.which("pdflatex")
DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs}
\begin{document}
\input{table.tex}
\IfFileExists{scores.tex}{\input{scores.tex}}{}
\end{document}
"""


def text_of(run: Run, out: Path) -> str:
    """The report's text."""
    import_module("graftbench.reports.latex").Latex().write(run, out)
    return (out / "table.tex").read_text("ascii")


def rows_of(text: str, method: str) -> list[list[str]]:
    """Cells of the rows whose first cell starts so."""
    rows = [re.split(r"(?<!\\) & ", line.removesuffix(r" \\")) for line in text.splitlines() if " & " in line]
    return [row for row in rows if row[0].startswith(method)]


def kids(make: Make, values: dict[str, list[float]]) -> list[Record]:
    """Records at 25 images, a KID a seed."""
    return [make(method, 25, seed, kid=kid) for method, found in values.items() for seed, kid in enumerate(found)]


def column(records: list[Record], a_run: MakeRun, out: Path) -> dict[str, str]:
    """Method -> its KID as printed."""
    text = text_of(a_run(records), out)
    return {record.cell.method: rows_of(text, record.cell.method)[0][3] for record in records}


def test_best_second_and_what_is_level_with_the_best(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Six seeds, two tests: all six worse by far has no mark; a scattered difference has a dagger.

    KID×10³ is 10 for freezed. finetune: differences -1, -1, 2, 2, 2, 8: sd 3.29, level. vae: 20 to 22: worse.
    """
    values = {
        "freezed": [0.010] * 6,
        "finetune": [0.009, 0.009, 0.012, 0.012, 0.012, 0.018],
        "vae": [0.030, 0.031, 0.032, 0.030, 0.031, 0.032],
    }
    assert column(kids(record, values), a_run, tmp_path) == {
        "freezed": r"\textbf{10.0} $\pm$ 0.0",
        "finetune": r"\underline{12.0} $\pm$ 3.3\rlap{$^{\dagger}$}",
        "vae": r"31.0 $\pm$ 0.9",
    }
    caption = text_of(a_run(kids(record, values)), tmp_path).partition(r"\label")[0]
    assert r"$\dagger$: not significantly worse than the best (paired t test of the logarithms" in caption
    assert "Holm's correction" in caption
    assert "underlined: second" in caption


def test_one_seed_tests_nothing(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """No mark that would look like a result, and a sentence that says how many seeds it takes."""
    found = column(kids(record, {"freezed": [0.01], "vae": [0.03]}), a_run, tmp_path)
    assert found == {"freezed": r"\textbf{10.0}", "vae": r"\underline{30.0}"}
    text = text_of(a_run(kids(record, {"freezed": [0.01], "vae": [0.03]})), tmp_path)
    assert "1 seed cannot tell 2 methods apart: it takes 2 or more." in text
    assert "dagger" not in text


def test_a_row_with_too_few_seeds_has_a_mark_of_its_own(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """The others are tested; it has one seed in common with the best, and a double dagger that the caption explains."""
    values = {"freezed": [0.010] * 6, "finetune": [0.02, 0.021, 0.022, 0.02, 0.021, 0.022], "vae": [0.03]}
    assert column(kids(record, values), a_run, tmp_path)["vae"] == r"30.0\rlap{$^{\ddagger}$}"
    text = text_of(a_run(kids(record, values)), tmp_path)
    assert r"$\ddagger$: too few seeds in common with the best" in text


def test_several_tasks_make_tables_over_tasks(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """One for KID and one for FID at each data budget, under labels of their own; the best rank is bold."""
    records = [
        on(made, task) for task in ("openmoji", "noto_x") for made in kids(record, {"freezed": [0.01], "vae": [0.03]})
    ]
    text = text_of(a_run(records), tmp_path)
    assert r"Method & noto\_x & openmoji & Rank & Tasks" in text
    assert r"vae & \underline{30.0} & \underline{30.0} & 2.00 & 2 \\" in text
    assert r"freezed & \textbf{10.0} & \textbf{10.0} & \textbf{1.00} & 2 \\" in text
    labels = re.findall(r"\\label{(.*?)}", text)
    assert len(labels) == len(set(labels)) == 2 + 2
    assert next(label for label in labels if "tasks" in label).endswith("-kid-25")


def test_two_that_share_the_best_leave_no_second(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Both are bold; the third is third."""
    found = column(kids(record, {"freezed": [0.01], "finetune": [0.01], "vae": [0.03]}), a_run, tmp_path)
    assert found["freezed"] == found["finetune"] == r"\textbf{10.0}"
    assert r"\underline" not in found["vae"]


def test_what_looks_at_the_scoring_network_is_not_marked(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """It has the lowest KID, and neither it nor its lead counts."""
    records = [record("projected", 25, 0, kid=0.001, leaks=True, notes=["It looks."])]
    records += kids(record, {"freezed": [0.01], "vae": [0.03]})
    text = text_of(a_run(records), tmp_path)
    (row,) = rows_of(text, "projected")
    assert row[0] == "projected$^{1}$"
    assert row[3] == "1.0"
    assert "$^{1}$ It looks." in text
    assert rows_of(text, "freezed")[0][3] == r"\textbf{10.0}"


def test_failed_and_missing_cells_are_named(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """A row without a good cell says so in place of its numbers; the others count what is not there."""
    records = [record("finetune", 25, seed) for seed in (0, 1, 2)]
    records += [record("freezed", 25, 0), record("freezed", 25, 1, status=Status.OOM)]
    records += [record("dcgan", 25, seed, status=Status.DIVERGED) for seed in (0, 1, 2)]
    text = text_of(a_run(records, expected=9), tmp_path)
    assert rows_of(text, "dcgan") == [["dcgan", "25", r"\multicolumn{4}{c}{\emph{3 diverged}}", "0/3"]]
    assert rows_of(text, "freezed")[0][-1] == "1/3 (1 oom, 1 missing)"
    assert "8 of 9 results" in text


def test_undefined_scores_say_why(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """No NaN is printed; the reason is a footnote."""
    text = text_of(a_run([record("finetune", kid=None), record("vae")]), tmp_path)
    assert rows_of(text, "finetune")[0][3] == r"undefined\rlap{$^{1}$}"
    assert r"$^{1}$ KID$\times$10$^{3}$ undefined: fewer than two images" in text


def test_the_quick_run(quick_run: Run, tmp_path: Path) -> None:
    """Heads with arrows and units, a row for each method and budget, reference rows apart with the floor first."""
    text = text_of(quick_run, tmp_path)
    assert r"Method & Images & FID $\downarrow$ & KID$\times$10$^{3}$ $\downarrow$ & IS $\uparrow$ & Fit (s)" in text
    above, _, below = text.partition("Reference rows")
    assert [row[1] for row in rows_of(above, "finetune")] == ["25", "400"]
    assert not rows_of(above, "oracle")
    assert rows_of(below, "")[0][0] == "floor"
    assert len(rows_of(below, "")) == 1 + 4 * 2
    caption = above.partition(r"\label")[0]
    for words in ("30 kimg per fit", "2 seeds (0, 1)", "Protocol lite0@96", "600 generated images against 620"):
        assert words in caption


def test_a_protocol_a_table(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Two protocols make two tables under two labels."""
    text = text_of(a_run([record("finetune"), record("finetune", protocol=Protocol(n_generated=5000))]), tmp_path)
    assert len(set(re.findall(r"\\label{(.*?)}", text))) == text.count(r"\begin{table}") == 2
    assert "scored under 2 protocols" in text


def test_no_path_is_in_it(quick_folder: Path, tmp_path: Path) -> None:
    """Neither the run's folder nor a home."""
    text = text_of(read_run(quick_folder), tmp_path)
    assert str(quick_folder) not in text
    assert "/home/" not in text


def test_a_run_without_records_is_refused(tmp_path: Path) -> None:
    """An empty table would look like a result."""
    with pytest.raises(GraftbenchError, match="no records"):
        text_of(Run(name="quick", records=[], folder=tmp_path), tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_other_scores_stand_in_a_file_beside_it(
    quick_run: Run, record: Make, a_run: MakeRun, tmp_path: Path
) -> None:
    """A table a panel, at most four scores beside each other, with its own label; no file where there are none."""
    import_module("graftbench.reports.latex").Latex().write(quick_run, tmp_path)
    text = (tmp_path / "scores.tex").read_text("ascii")
    tables = text.split(r"\begin{table}")[1:]
    titles = [re.findall(r"\\caption\{([A-Z][a-z ]+)[.,] ", table)[0] for table in tables]
    assert titles[:1] == ["Fidelity and diversity"]
    assert "Memorisation" in titles
    labels = re.findall(r"\\label\{(.*?)\}", text)
    assert len(set(labels)) == len(tables)
    assert max(line.count(" & ") for line in text.splitlines()) == 5
    md = import_module("graftbench.reports.table").to_markdown(quick_run)
    recall = next(row for row in rows_of(tables[0], "") if len(row) == 6 and row[1] == "25")[3].partition(r"\rlap")[0]
    assert re.sub(r"\\\w+\{(.*?)\}", r"\1", recall).replace(r"$\pm$", "±") in md
    only = tmp_path / "only"
    only.mkdir()
    paths = import_module("graftbench.reports.latex").Latex().write(a_run(kids(record, {"vae": [0.03]})), only)
    assert [path.name for path in paths] == ["table.tex"]


@pytest.mark.skipif(PDFLATEX is None, reason="pdflatex is not installed (Debian: texlive-latex-recommended)")
def test_latex_takes_it(quick_run: Run, record: Make, tmp_path: Path) -> None:
    """A plain document compiles; the quick run fits its text width; every special character in names is printed."""
    assert PDFLATEX is not None
    compiled = {}
    weird = record(WEIRD, 25, 0, parameters={"p_q": 1}, notes=["Ünïcode — 中 “quoted” 100 %"])
    runs = {"quick": quick_run, "weird": Run(name=WEIRD, records=[weird, record("vae")], folder=tmp_path)}
    for name, run in runs.items():
        (tmp_path / name).mkdir()
        text_of(run, tmp_path / name)
        (tmp_path / name / "paper.tex").write_text(DOCUMENT)
        command = [PDFLATEX, "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
        done = subprocess.run(command, cwd=tmp_path / name, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stdout[-2000:]
        compiled[name] = done.stdout
    assert "Overfull" not in compiled["quick"]
    assert r"a\_b\%c\&d\#e\$f\{g\}h\textasciitilde{}i\textasciicircum{}j\textbackslash{}k" in (
        (tmp_path / "weird" / "table.tex").read_text()
    )
