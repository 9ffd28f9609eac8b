"""What every report does with runs that went wrong, are tiny, huge, mixed, or were named to do harm.

The tests are parametrised over the registry: a new report is tested at once.
"""

from __future__ import annotations

import csv
import math
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import msgspec
import pytest
from PIL import Image

from graftbench.errors import GraftbenchError
from graftbench.plugins.registry import reports
from graftbench.records.cell_spec import ComputeBudget, Protocol, TaskSpec
from graftbench.records.record import Resources, Score, Status
from graftbench.records.run import Run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from report_parts import Make, MakeRun

    from graftbench.records.record import Record


FOUND = reports()
REPORTS = FOUND.classes
DRAWS = {name for name, cls in REPORTS.items() if {".svg", ".pdf"} & set(cls.formats)}
"""Reports that draw for paper, which takes seconds."""
EVERY = [pytest.param(name, marks=pytest.mark.long if name in DRAWS else ()) for name in REPORTS]
SCRIPT, SPECIAL = "<script>alert(1)</script>", r"a_b%c\d{e}$"
LONG = "a method whose name goes on " * 20


def write(name: str, run: Run, out: Path) -> list[Path]:
    """Files of one report, each opened as what its ending says it is."""
    out.mkdir(exist_ok=True)
    paths = REPORTS[name]().write(two_compute_budgets(run) if name == "budgets" else run, out)
    assert paths
    for path in paths:
        _open(path)
    return paths


def two_compute_budgets(run: Run) -> Run:
    """Each cell under a second compute budget too: without one that report has nothing to say, and writes nothing."""
    cells = [msgspec.structs.replace(record.cell, compute_budget=ComputeBudget(seconds=60)) for record in run.records]
    more = [msgspec.structs.replace(r, cell=c, id=c.id) for r, c in zip(run.records, cells, strict=True)]
    return Run(name=run.name, records=[*run.records, *more], folder=run.folder, expected=run.expected)


def _open(path: Path) -> None:
    if path.suffix == ".svg":
        ET.parse(path)  # noqa: S314 - our own file
    elif path.suffix == ".png":
        with Image.open(path) as image:
            image.load()
    elif path.suffix == ".pdf":
        assert path.read_bytes().startswith(b"%PDF-")
    elif path.suffix == ".csv":
        rows = list(csv.reader(path.read_text("utf-8").splitlines()))
        assert len({len(row) for row in rows}) == 1
    elif path.suffix == ".html":
        HTMLParser().feed(path.read_text("utf-8"))
    elif path.suffix == ".tex":
        text = path.read_text("ascii")
        assert text.count(r"\begin{") == text.count(r"\end{")
    else:
        assert path.read_text("utf-8").endswith("\n")


def texts(paths: Sequence[Path]) -> dict[str, str]:
    """Name -> content of the files that are text to be read."""
    return {path.name: path.read_text("utf-8") for path in paths if path.suffix in {".md", ".csv", ".tex", ".html"}}


def test_every_report_is_found() -> None:
    """One that cannot be imported would be tested by nothing below."""
    assert not FOUND.broken
    assert {"table", "page", "figures", "csv", "latex"} <= REPORTS.keys()


@pytest.mark.parametrize("name", REPORTS)
def test_no_records_are_refused(name: str, a_run: MakeRun, tmp_path: Path) -> None:
    """In a sentence, before anything is written."""
    with pytest.raises(GraftbenchError, match="no records"):
        REPORTS[name]().write(a_run([]), tmp_path)
    assert not list(tmp_path.iterdir())


def one_cell(record: Make) -> list[Record]:
    """One method, task, budget and seed."""
    return [record(full=True)]


def one_seed(record: Make) -> list[Record]:
    """Two methods and a reference row."""
    return [record(name, full=True) for name in ("finetune", "vae", "oracle")]


def one_method(record: Make) -> list[Record]:
    """Two seeds at two budgets."""
    return [record(budget=budget, seed=seed, full=True) for budget in (25, 400) for seed in (0, 1)]


def only_references(record: Make) -> list[Record]:
    """No method competes."""
    return [record(name, full=True) for name in ("oracle", "memorizer")]


def all_failed(record: Make) -> list[Record]:
    """Every way to end badly, nothing else."""
    bad = [status for status in Status if status != Status.OK]
    return [record("dcgan", seed=i, status=status, log_tail="stop") for i, status in enumerate(bad)]


def one_method_failed(record: Make) -> list[Record]:
    """All cells of one of two methods."""
    return [record("vae", seed=i, full=True) for i in range(2)] + [
        record("dcgan", seed=i, status=Status.OOM, log_tail="stop") for i in range(2)
    ]


def undefined_scores(record: Make) -> list[Record]:
    """Cells that ended well without one number to show for it."""
    found = []
    for name in ("finetune", "vae"):
        whole = record(name, full=True)
        empty = [msgspec.structs.replace(score, value=None, undefined="too few images") for score in whole.scores]
        found.append(msgspec.structs.replace(whole, scores=empty, resources=None))
    return [*found, record("gatys", scores=[])]


def infinite_numbers(record: Make) -> list[Record]:
    """Standard errors, intervals, floors and costs that are no numbers: other programs write records, too."""
    found = []
    for name in ("finetune", "vae", "memorizer"):
        whole = record(name, full=True)
        broken = [
            msgspec.structs.replace(
                score, standard_error=math.inf, interval=(-math.inf, math.inf), floor=math.nan, value=score.value
            )
            for score in whole.scores
        ]
        cost = Resources(
            device="cpu", fit_seconds=math.inf, images_seen=0, peak_memory_mib=math.nan, flops_per_image=math.inf
        )
        found.append(msgspec.structs.replace(whole, scores=broken, resources=cost))
    return found


def extreme_scores(record: Make) -> list[Record]:
    """A diverged network's features: 10⁷⁷ is the largest squared distance of float32."""
    return [record("finetune", kid=1e77), record("vae", kid=-1e77), record("gatys", kid=1e-300), record("dcgan", kid=0)]


def unknown_scores(record: Make) -> list[Record]:
    """A metric that only a plugin knows, with a name that is markup."""
    scores = [Score(name=f"own{SCRIPT}|_$", value=0.5, n_generated=9, n_reference=0, protocol="x")]
    return [record("finetune", scores=scores), record("vae", scores=scores)]


CASES = {
    case.__name__: case
    for case in (
        *(one_cell, one_seed, one_method, only_references, all_failed, one_method_failed),
        *(undefined_scores, infinite_numbers, extreme_scores, unknown_scores),
    )
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", EVERY)
def test_every_report_is_whole(name: str, case: str, record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Files that open, in which nothing is printed as nan, inf or None."""
    paths = write(name, a_run(CASES[case](record)), tmp_path / "out")
    for file, text in texts(paths).items():
        prose = re.sub(r"<(script|style).*?</\1>", "", text, flags=re.DOTALL)
        assert not re.search(r"(?<![\w-])(nan|inf)(?![\w-])|[>|,] *None *[<|,]", prose), file


@pytest.mark.parametrize("name", EVERY)
def test_names_do_no_harm(name: str, record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Markup of every kind, a tab, a right-to-left override, emoji, very long: all is printed, none is obeyed."""
    names = [SCRIPT, SPECIAL, LONG, "tab\tand\x1b[31mred", "\u202eoverride", "🦊", "|a|", "-->", "]]>", "&lt;", "=1+1"]
    records = [record(method, budget, seed, full=True) for method in names for budget in (25, 400) for seed in (0, 1)]
    records += [record(SCRIPT, 100, 0, status=Status.ERROR, reason=SCRIPT, log_tail=SCRIPT + SPECIAL)]
    for file in write(name, a_run(records), tmp_path / "out"):
        if file.suffix in {".html", ".md", ".svg"}:
            assert SCRIPT not in file.read_text("utf-8"), file.name
        if file.suffix == ".tex":
            assert SPECIAL not in file.read_text("ascii"), file.name
        if file.suffix in {".html", ".md", ".tex", ".svg"}:
            assert "\x1b" not in file.read_text("utf-8"), file.name


@pytest.mark.long
@pytest.mark.parametrize("name", REPORTS)
def test_thousands_of_methods(name: str, record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """2,000 methods of one seed: files of at most 40 MB together; tables have every one of them."""
    records = [record(f"method{i:04d}", full=True) for i in range(2000)]
    paths = write(name, a_run(records), tmp_path / "out")
    assert sum(path.stat().st_size for path in paths) < 40e6
    for path in paths:
        if path.name in {"table.md", "table.tex", "results.csv", "index.html"}:
            found = set(re.findall(r"method\d{4}", path.read_text("utf-8")))
            assert len(found) == 2000, path.name


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(REPORTS.keys() - DRAWS))
def test_thousands_of_variants_of_one_method(name: str, record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """A sweep: each variant is told by the parameter in which it differs."""
    records = [record(parameters={"rate": i, "width": 8}, full=True) for i in range(1000)]
    text = "".join(texts(write(name, a_run(records), tmp_path / "out")).values())
    if name in {"table", "page"}:
        assert {f"rate={i}" for i in range(1000)} <= set(re.findall(r"rate=\d+", text))
        assert "width=" not in text.replace("width=device-width", "")


def other_task(record: Record) -> Record:
    """The same cell on another task."""
    cell = msgspec.structs.replace(record.cell, task=TaskSpec("twemoji", "noto", 32))
    return msgspec.structs.replace(record, cell=cell, id=cell.id)


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_protocols_are_kept_apart(name: str, record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Two extractors' sizes over two tasks: no number is made of both, and files to be read say that they differ."""
    protocols = [Protocol(size=96, resize="bicubic-antialias"), Protocol(size=48, resize="bicubic-antialias")]
    records = [
        record(method, budget, seed, protocol=protocol, kid=kid + 0.001 * seed, full=True)
        for protocol, kid in zip(protocols, (0.020, 0.060), strict=True)
        for method in ("finetune", "vae", "gatys")
        for budget in (25, 400)
        for seed in (0, 1)
    ]
    records += [other_task(record) for record in records]
    found: dict[str, Any] = texts(write(name, a_run(records), tmp_path / "out"))
    for file, text in found.items():
        assert "lite0@96" in text, file
        assert "lite0@48" in text, file
        assert not re.search(r"(?<![\d.])40\.5", text), file  # the mean of 20, 21, 60 and 61
        if not file.endswith(".csv"):
            assert "Numbers of two protocols do not compare" in text, file


@pytest.mark.parametrize("name", EVERY)
def test_equal_records_in_any_order_give_equal_bytes(name: str, record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """Also where KID ties, names differ only in case, and seeds are missing."""
    records = [record(name, kid=0.02, seed=seed) for name in ("Vae", "vae", "VAE") for seed in (0, 1)][:-1]
    first = write(name, a_run(records), tmp_path / "first")
    second = write(name, a_run(records[::-1]), tmp_path / "second")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
