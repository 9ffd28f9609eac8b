"""`graftbench export-task` and `graftbench add samples` as a user meets them."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from random_inputs import blobs
from tiny_suites import suite_toml

from graftbench.cli.add import compute_budget, given_costs, read_costs
from graftbench.errors import GraftbenchError
from graftbench.images.writers import write_png_folder
from graftbench.records.cell_spec import ComputeBudget

if TYPE_CHECKING:
    from command_line import Command

pytestmark = pytest.mark.usefixtures("shared_cache")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a suite file on a domain of 120 pictures."""
    monkeypatch.chdir(tmp_path)
    write_png_folder(blobs(120, 0), tmp_path / "cats")
    text = suite_toml(
        "memorizer",
        name="mine",
        tasks=[f"none->folder:{tmp_path}/cats@32"],
        images=5,
        budget="{ kimg = 1 }",
        n_generated=24,
        size=32,
        metrics=["kid", "fid", "authpct"],
    )
    (tmp_path / "mine.toml").write_text(text)
    return tmp_path


@pytest.mark.long
@pytest.mark.usefixtures("warm_executor")
def test_from_the_export_to_the_row(place: Path, run: Command) -> None:
    """The README's own command, with what a colleague fills in, makes the record; a second time it is refused."""
    task = "none->folder:cats@32"
    code, printed, _ = run(
        "export-task",
        f"none->folder:{place}/cats@32",
        "for-ann",
        "--budget",
        "5",
        "--seed",
        "0",
        "--suite",
        "mine.toml",
    )
    assert (code, printed) == (0, "for-ann: 5 images of folder:cats, 32 px. What to hand back: README.md\n")
    readme = Path("for-ann/README.md").read_text("utf-8")
    found = re.search(r"\$ graftbench (add samples(?:.*\\\n)*.*)", readme)
    assert found is not None
    write_png_folder(blobs(24, 1), Path("for-ann/samples"))
    costs = Path("for-ann/costs.toml")
    costs.write_text(costs.read_text("utf-8").replace("# fit_seconds =", "fit_seconds = 90"))
    said = found.group(1).replace("SAMPLES", "for-ann/samples").replace("RUN", "run").replace("NAME", "anns")
    arguments = [part for part in shlex.split(said.replace("costs.toml", str(costs))) if part != "\n"]
    assert arguments[arguments.index("--task") + 1] == task
    code, printed, told = run(*arguments, "--suite", "mine.toml", "--note", "By hand.", "--cost", "device=laptop")
    first, *others = printed.splitlines()
    assert code == 0, told
    assert re.fullmatch(r"anns none->folder:.*cats@32 n=5 seed=0: KID×10³ -?[\d.]+, FID [\d.]+\.", first)
    assert others == ["Declared, not measured here: device, fit_seconds.", "By hand."]
    assert "graftbench report run" in told
    code, _, told = run(*arguments)
    assert code == 2
    assert "--replace puts these in their place" in told
    code, printed, _ = run(*arguments, "--replace", "--json", "--cost", "device=laptop")
    assert code == 0
    assert json.loads(printed)[0]["resources"]["declared"] == ["device", "fit_seconds"]
    code, printed, _ = run("plan", "run/suite.toml", "--out", "run", "--json")
    assert "laptop" not in printed  # what was declared is no measurement to estimate from
    assert [(cell["method"], cell["state"]) for cell in json.loads(printed)["cells"]] == [
        ("anns", "done"),
        ("memorizer", "new"),
    ]


def test_bad_calls_are_sentences(place: Path, run: Command) -> None:
    """Exit code 2, one sentence, nothing made."""
    write_png_folder(blobs(24, 1), place / "s")
    add = ["add", "samples", "s", "--run", "run", "--method", "anns", "--suite", "mine.toml", "--seed", "0"]
    for arguments, words in (
        ([*add, "--budget", "5", "--cost", "fit_seconds"], "A cost is written NAME=VALUE"),
        ([*add, "--budget", "5", "--cost", "price=1"], "Unknown cost 'price'"),
        ([*add, "--budget", "5", "--costs", "none.toml"], "The file of costs 'none.toml' cannot be read"),
        ([*add, "--budget", "5", "--compute", "8 images"], "A compute budget is written '8 kimg'"),
        (add, "Which cell are the samples 's' of? --budget is missing"),
        (["export-task", "cats", "out", "--budget", "5", "--seed", "0"], "A task is written source->target@resolution"),
        (["export-task", "a->b@32", "out", "--budget", "5", "--seed", "0", "--run", "no"], "'no' is no run folder"),
        (
            ["export-task", "a->b@32", "out", "--budget", "5", "--seed", "0", "--run", "no", "--suite", "quick"],
            "give --suite or --run, not both",
        ),
        (
            ["export-task", "a->b@32", "out", "--budget", "5", "--seed", "0"],
            "Unknown task 'a->b@32' of the suite 'quick'",
        ),
    ):
        code, printed, told = run(*arguments)
        assert (code, printed) == (2, ""), arguments
        assert words in told
    assert sorted(path.name for path in place.iterdir()) == ["cats", "mine.toml", "s"]


@pytest.mark.parametrize("text", ["8 kimg", "8kimg", "kimg=8", " 8.0  kimg ", "kimg = 8e0"])
def test_ways_to_write_a_compute_budget(text: str) -> None:
    """As a table prints it, and as a suite writes it."""
    assert compute_budget(text) == ComputeBudget(kimg=8)


@pytest.mark.parametrize("text", ["8", "kimg", "8 hours", "-8 kimg", "nan kimg", "1.2.3 kimg", "inf seconds", ""])
def test_what_is_no_compute_budget(text: str) -> None:
    """Numbers without units, unknown units, numbers out of range."""
    with pytest.raises(GraftbenchError, match=f"found --compute '{re.escape(text)}'"):
        compute_budget(text)


def test_costs_from_options_and_files(tmp_path: Path) -> None:
    """Spaces do not matter, a value may have an equals sign; a name twice is refused, and so is no TOML."""
    assert given_costs(["fit_seconds = 3", "device=A=B"]) == {"fit_seconds": "3", "device": "A=B"}
    with pytest.raises(GraftbenchError, match="The cost device is given twice"):
        given_costs(["device=a", "device=b"])
    (tmp_path / "c.toml").write_text("fit_seconds = 3\n")
    assert read_costs(tmp_path / "c.toml") == {"fit_seconds": 3}
    (tmp_path / "c.toml").write_text("fit_seconds 3\n")
    with pytest.raises(GraftbenchError, match=r"c.toml' is no valid TOML"):
        read_costs(tmp_path / "c.toml")
