"""`graftbench compare` and `graftbench baseline` as a user meets them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from made_cells import EMOJI_RECORDS

from graftbench.regression.formats import FORMATS

if TYPE_CHECKING:
    from pathlib import Path

    from command_line import Command


@pytest.fixture
def run(run: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Run a command of graftbench in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return run


def worse(folder: Path, *, without: int = 0, failing: int = 0, factor: float = 2.0) -> Path:
    """The committed run with finetune's FIDs that much larger; some cells of the end are missing or have failed."""
    lines = []
    for line in EMOJI_RECORDS.read_text("utf-8").splitlines():
        record = json.loads(line)
        for score in record["scores"]:
            if score["name"] == "fid" and record["cell"]["method"] == "finetune":
                score["value"] *= factor
        lines.append(record)
    lines = lines[: len(lines) - without]
    for record in lines[len(lines) - failing :]:
        record |= {"status": "oom", "reason": "not enough memory", "scores": [], "resources": None}
    folder.mkdir()
    (folder / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in lines), "utf-8")
    return folder


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"factor": 1.0}, 0),
        ({}, 1),
        ({"factor": 0.5}, 0),
        ({"factor": 1.0, "without": 1}, 3),
        ({"factor": 1.0, "failing": 2}, 3),
        ({"without": 1, "failing": 2}, 1),
    ],
)
def test_the_comparison_is_printed_whatever_the_code(
    run: Command, tmp_path: Path, change: dict[str, float], code: int
) -> None:
    """The headline, the rows and the summary; 0 fine, 1 a regression, 3 failing or vanished cells alone."""
    new = worse(tmp_path / "new", **change)  # pyright: ignore[reportArgumentType]
    done = run("compare", EMOJI_RECORDS, new)
    assert (done.code, done.err) == (code, "")
    assert done.out.startswith(f"{new} against {EMOJI_RECORDS}")
    assert re.search(r"finetune +FID ↓", done.out)
    assert re.search(r"\(\d+ pairs of cells\)\.\n$", done.out)
    assert ("regression" in done.out.splitlines()[-1]) == (code == 1)
    assert ("Newly failing:" in done.out) == ("failing" in change)
    assert ("Vanished:" in done.out) == ("without" in change)


def test_folded_and_all(run: Command) -> None:
    """Costs that did not change are counted, what is not compared is a sentence; `--all` prints them row by row."""
    folded, every = run("compare", EMOJI_RECORDS, EMOJI_RECORDS), run("compare", EMOJI_RECORDS, EMOJI_RECORDS, "--all")
    assert "Not compared (other processes used the machine): fit; sampling." in folded.out
    assert "10 rows of cost unchanged." in folded.out
    assert "peak memory" not in folded.out
    assert every.out.count("peak memory, MiB") == 5
    assert "rows of cost unchanged" not in every.out
    assert "within the threshold" not in folded.out + every.out


def test_every_format_is_written(run: Command, tmp_path: Path) -> None:
    """Also when the code is not 0, into folders that are made."""
    new = worse(tmp_path / "new")
    writes = ["--shared-timings", "--metric", "kid,fid,sampling_images_per_second"]
    writes += [part for name in FORMATS for part in ("--write", f"{name}=out/deep/{name}.txt")]
    assert run("compare", EMOJI_RECORDS, new, *writes).code == 1
    assert all((tmp_path / "out" / "deep" / f"{name}.txt").stat().st_size > 2 for name in FORMATS)
    assert json.loads((tmp_path / "out" / "deep" / "json.txt").read_text("utf-8"))["code"] == 1


def test_options_reach_the_gate(run: Command, tmp_path: Path) -> None:
    """Thresholds, selection, unit of judgement, the rule for few seeds."""
    new = worse(tmp_path / "new", factor=1.3)
    assert run("compare", EMOJI_RECORDS, new, "--metric", "kid,fid=50%").code == 0
    assert run("compare", EMOJI_RECORDS, new, "--select", "method!=finetune").code == 0
    done = run("compare", EMOJI_RECORDS, new, "--select", "method=finetune", "--by", "budget", "--test", "sign-flip")
    assert done.code == 0
    assert "finetune twemoji->openmoji@32 n=400" in done.out
    assert "2 changes that need more pairs" in done.out
    few = ("--test", "sign-flip", "--few-seeds", "gate")
    assert run("compare", EMOJI_RECORDS, new, *few).code == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["no/such/run", EMOJI_RECORDS], "There is nothing at 'no/such/run'"),
        (["mian", EMOJI_RECORDS], "Unknown run or baseline 'mian'"),
        ([EMOJI_RECORDS, EMOJI_RECORDS, "--metric", "kidd"], "Did you mean 'kid'"),
        ([EMOJI_RECORDS, EMOJI_RECORDS, "--metric", "cmmd"], "have no cmmd on both sides"),
        ([EMOJI_RECORDS, EMOJI_RECORDS, "--metric", "kid=x"], "a threshold is a share"),
        ([EMOJI_RECORDS, EMOJI_RECORDS, "--level", "2"], "at most 0.5; found 2"),
        ([EMOJI_RECORDS, EMOJI_RECORDS, "--select", "seed=99"], ""),
        ([EMOJI_RECORDS, EMOJI_RECORDS, "--write", "junitt=a.xml"], "Did you mean 'junit'"),
        ([EMOJI_RECORDS, EMOJI_RECORDS, "--write", "junit"], "--write takes FORMAT=PATH"),
    ],
)
def test_mistakes_end_with_two(run: Command, arguments: list[str | Path], sentence: str) -> None:
    """One sentence on standard error and nothing on standard output: an empty matrix is no success."""
    done = run("compare", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("graftbench: ")
    assert sentence in done.err


def test_a_summary_that_cannot_be_written(run: Command, tmp_path: Path) -> None:
    """The comparison has been printed by then."""
    (tmp_path / "file").touch()
    done = run("compare", EMOJI_RECORDS, EMOJI_RECORDS, "--write", "md=file/summary.md")
    assert done.code == 2
    assert "pairs of cells" in done.out
    assert "cannot be written to 'file/summary.md'" in done.err


def test_baselines(run: Command, tmp_path: Path) -> None:
    """Saved, listed, compared with, replaced, removed."""
    assert "no baselines in 'baselines'" in run("baseline", "ls").out
    assert run("baseline", "save", "main", EMOJI_RECORDS).out.startswith("baselines/main: 36 cells of emoji, finished")
    assert run("baseline", "ls").out.startswith("main  emoji, 36 cells, finished 2026-")
    assert json.loads(run("baseline", "ls", "--json").out)[0]["name"] == "main"
    done = run("compare", "main", worse(tmp_path / "new"))
    assert (done.code, "against main (emoji, 2026-" in done.out) == (1, True)
    again = run("baseline", "save", "main", EMOJI_RECORDS)
    assert (again.code, "--replace puts the new one there" in again.err) == (2, True)
    assert run("baseline", "save", "main", tmp_path / "new", "--replace").code == 0
    assert run("compare", "main", tmp_path / "new").code == 0
    assert run("baseline", "remove", "main").out == "removed baselines/main\n"
    assert run("compare", "main", EMOJI_RECORDS).code == 2
