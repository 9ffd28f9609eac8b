"""`graftbench show`: finding a cell, what is printed, and the suite that makes it again."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import msgspec
import pytest
from command_line import Done, graftbench, imports_of
from made_cells import EMOJI_RECORDS

from graftbench.cli.show import _number
from graftbench.cli.tasks import _kid, _text
from graftbench.errors import GraftbenchError
from graftbench.records.cell_view import LOG_LINES, view_cell
from graftbench.records.record import Status
from graftbench.records.run import Run, read_run
from graftbench.records.selection import find_cell
from graftbench.scoring.task_distance import Gap
from graftbench.suites.suite import parse_suite, parse_task

if TYPE_CHECKING:
    from pathlib import Path

    from graftbench.records.record import Record


@pytest.fixture(scope="module")
def run() -> Run:
    """A real run."""
    return read_run(EMOJI_RECORDS)


def of(run: Run, method: str) -> Record:
    """A cell of a method."""
    return next(record for record in run.records if record.cell.method == method)


def show(*arguments: str | Path) -> Done:
    """Run the command."""
    return graftbench("show", *arguments)


def test_a_cell_is_found_by_its_first_digits(run: Run) -> None:
    """As many as no other begins with; case and spaces do not matter."""
    record = of(run, "finetune")
    assert find_cell(run.records, record.id) is record
    assert find_cell(run.records, f" {record.id[:12].upper()} ") is record


def test_a_cell_is_found_by_conditions(run: Run) -> None:
    """Whatever `--select` takes, if it leaves one cell."""
    record = of(run, "finetune")
    cell = record.cell
    assert find_cell(run.records, f"method=finetune budget={cell.data_budget} seed={cell.seed}") is record
    with pytest.raises(GraftbenchError, match=r"names 4 cells.*more conditions"):
        find_cell(run.records, "method=finetune")


def test_no_cell_and_several_are_refused(run: Run) -> None:
    """The nearest is named; or all that begin so, each with what it is."""
    record = of(run, "finetune")
    digit = "0" if record.id[7] != "0" else "1"
    with pytest.raises(GraftbenchError, match=rf"of 36 cells.*nearest is {record.id} \(finetune"):
        find_cell(run.records, record.id[:7] + digit)
    shared = next(r.id[0] for r in run.records if sum(o.id[0] == r.id[0] for o in run.records) > 1)
    with pytest.raises(GraftbenchError, match="more digits"):
        find_cell(run.records, shared)
    with pytest.raises(GraftbenchError, match="No cell's id"):
        find_cell(run.records, "")


@pytest.mark.parametrize("method", ["finetune", "gaussian", "vae"])
def test_the_suite_has_the_cell_alone(run: Run, method: str) -> None:
    """Every coordinate of the cell, its parameters and its protocol come back from the TOML."""
    record = of(run, method)
    cell, suite = record.cell, parse_suite(view_cell(run, record.id).suite, "the suite")
    assert [parse_task(task) for task in suite.tasks] == [cell.task]
    assert (suite.methods, suite.data_budgets, suite.seeds) == ([method], [cell.data_budget], [cell.seed])
    assert suite.compute_budget == cell.compute_budget
    assert suite.protocol == cell.protocol
    assert suite.parameters[method] == cell.parameters


def test_empty_parameters_are_kept_and_none_is_told(run: Run, tmp_path: Path) -> None:
    """`augment = ""` is not the default of every method; TOML has no none."""
    record = of(run, "finetune")
    cell = msgspec.structs.replace(record.cell, parameters={"augment": "", "limit": None})
    record = msgspec.structs.replace(record, cell=cell)
    view = view_cell(Run(name="r", records=[record], folder=tmp_path), record.id)
    assert parse_suite(view.suite, "the suite").parameters == {"finetune": {"augment": ""}}
    assert any("limit" in sentence for sentence in view.caveats)


def test_the_run_s_suite_says_how_the_source_model_was_made(run: Run, tmp_path: Path) -> None:
    """Its tables for source models and limits are taken over; without them a sentence warns."""
    record = of(run, "finetune")
    alone = view_cell(Run(name="r", records=[record], folder=tmp_path), record.id)
    assert any(record.cell.source_model in sentence for sentence in alone.caveats)
    (tmp_path / "suite.toml").write_text("[source_models.gan]\nkimg = 512.0\n[limits]\ncell_seconds = 60\n")
    view = view_cell(Run(name="r", records=[record], folder=tmp_path), record.id)
    suite = parse_suite(view.suite, "the suite")
    assert (suite.source_models["gan"].kimg, suite.limits.cell_seconds) == (512, 60)
    assert not any(record.cell.source_model in sentence for sentence in view.caveats)


def test_the_command_writes_that_suite(run: Run, tmp_path: Path) -> None:
    """A shell that is given all but the last line has the very TOML; the last line runs it."""
    view = view_cell(run, of(run, "finetune").id)
    *lines, last = view.command.splitlines()
    subprocess.run(["/bin/sh", "-c", "\n".join(lines)], cwd=tmp_path, check=True)
    name = f"cell-{view.record.id}"
    assert (tmp_path / f"{name}.toml").read_text() == view.suite
    assert last == f"graftbench run {name}.toml --out {name} --jobs 1 --threads 1 --device cpu"


@pytest.mark.long
def test_the_suite_plans_to_that_cell(run: Run, shared_cache: Path) -> None:
    """What `graftbench run` would make of it differs in nothing but what today's code and images are."""
    from graftbench.suites.plan import make_plan

    for method in ("vae", "gaussian"):  # neither starts from a source model
        record = of(run, method)
        (cell,) = make_plan(parse_suite(view_cell(run, record.id).suite, "the suite"), shared_cache).cells
        here = {"code": "", "manifests": {}}
        assert msgspec.structs.replace(cell, **here) == msgspec.structs.replace(record.cell, **here)


def test_the_end_of_the_log(run: Run, tmp_path: Path) -> None:
    """A failed cell's own; else the last lines of the file that it left; none where that is gone."""
    record = of(run, "finetune")
    path = tmp_path / record.artifacts["log"]
    here = Run(name="r", records=[record], folder=tmp_path)
    assert view_cell(here, record.id).log == ""
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"line {i}\n" for i in range(100)))
    view = view_cell(here, record.id)
    assert view.log.splitlines() == [f"line {i}" for i in range(100 - LOG_LINES, 100)]
    assert {found.kind: found.there for found in view.artifacts} == {"sampler": False, "samples": False, "log": True}
    failed = msgspec.structs.replace(record, status=Status.DIVERGED, reason="It left.", log_tail="loss nan\nstop\n")
    assert view_cell(Run(name="r", records=[failed], folder=tmp_path), record.id).log == "loss nan\nstop"


def test_what_is_printed(run: Run) -> None:
    """Identity, scores with intervals, cost, artifacts, environment, how to make it again."""
    record = of(run, "finetune")
    done = show(EMOJI_RECORDS, record.id[:10])
    assert (done.code, done.err) == (0, "")
    fid = record.score("fid")
    assert fid is not None
    assert fid.interval is not None
    for words in (
        record.id,
        "KID×10³ ↓",
        f"{fid.interval[0]:.4g} to {fid.interval[1]:.4g}",
        "fit_seconds",
        "(no longer",
    ):
        assert words in done.out
    for title in ("Cost", "Artifacts", "Environment", "To make it again"):
        assert f"\n{title}\n" in done.out
    assert f"\n{view_cell(run, record.id).command}\n" in done.out


def test_the_object(run: Run) -> None:
    """`--json` has the record's fields unrounded, and what was made of them."""
    record = of(run, "vae")
    found = json.loads(show(EMOJI_RECORDS, record.id, "--json").out)
    assert found["scores"] == json.loads(msgspec.json.encode(record.scores))
    assert found["cell"]["method"] == "vae"
    assert found["reproduce"]["suite"] == view_cell(run, record.id).suite
    assert {"kind", "path", "there"} == set(found["artifacts"][0])


def test_torch_is_not_imported(run: Run) -> None:
    """Looking at a cell takes no torch, NumPy or pandas."""
    code = "from graftbench.cli.show import show\nfrom pathlib import Path\n"
    code += f"show(Path({str(EMOJI_RECORDS)!r}), {run.records[0].id!r})"
    assert imports_of(code, ("torch", "pandas", "numpy"))[0] == set()


def test_an_unknown_cell_is_a_usage_error() -> None:
    """One sentence with the nearest, exit code 2."""
    done = show(EMOJI_RECORDS, "ffffffff")
    assert done.code == 2
    assert "The nearest is" in done.err
    assert "Traceback" not in done.err


def test_no_score_is_minus_zero() -> None:
    """A KID of 0 of a distance that came from below, also where it is rounded, and in the table of tasks."""
    assert (_number(-0.0), _number(-0.5), _number(-1234.4)) == ("0", "-0.5", "-1,234")
    assert _kid(Gap(-0.0003, 0.0004, None, None)) == "0 ± 0"
    assert (_text(-0.04, 1), _text(-0.06, 1)) == ("0.0", "-0.1")
