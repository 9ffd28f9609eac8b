"""The pytest plugin in pytest sessions of its own, on the records of a real run."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from made_cells import EMOJI_RECORDS

import graftbench.regression.pytest_plugin
from graftbench.records.record import Record, Status
from graftbench.records.run import read_run
from graftbench.regression import baselines, gate, sides

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytest_plugins = ["pytester"]

TASK = "twemoji->openmoji@32"


@pytest.fixture(autouse=True)
def _only_this_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inner sessions load what `-p` names and no other installed plugin."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)


@pytest.fixture(scope="module")
def records() -> list[Record]:
    """Of a real run's records those of four methods."""
    found = read_run(EMOJI_RECORDS).records
    return [record for record in found if record.cell.method in ("dcgan", "finetune", "vae", "oracle")]


@pytest.fixture
def runs(pytester: pytest.Pytester, records: list[Record]) -> Callable[..., None]:
    """Writes the run folder `base`, and `new`, in which each record was changed (None: left out)."""

    def write(change: Callable[[Record], Record | None] = lambda record: record, *, base: Any = None) -> None:
        for name, how in (("base", base or (lambda record: record)), ("new", change)):
            (pytester.path / name).mkdir()
            changed = [record for record in map(how, records) if record is not None]
            lines = b"".join(msgspec.json.encode(record) + b"\n" for record in changed)
            (pytester.path / name / "records.jsonl").write_bytes(lines)

    return write


def worse(record: Record, *, score: str = "kid", factor: float = 1.5) -> Record:
    """The record with one of its scores multiplied."""
    scores = [
        msgspec.structs.replace(each, value=each.value * factor)
        if each.name == score and each.value is not None
        else each
        for each in record.scores
    ]
    return msgspec.structs.replace(record, scores=scores)


def finetune_worse(record: Record) -> Record:
    """KID of finetune at 25 images half as large again."""
    return worse(record) if (record.cell.method, record.cell.data_budget) == ("finetune", 25) else record


def session(pytester: pytest.Pytester, *calls: str, options: tuple[str, ...] | None = None) -> pytest.RunResult:
    """A pytest session with one test a call, on `base` and `new` unless other options are given."""
    lines = ["import pytest", ""]
    for index, call in enumerate(calls or ('assert_no_regression("finetune")',)):
        lines += [f"def test_{index}(assert_no_regression):", f"    {call}", ""]
    pytester.makepyfile("\n".join(lines))
    given = ("--graftbench-base=base", "--graftbench-new=new") if options is None else options
    warned = "-Walways::graftbench.regression.pytest_plugin.RegressionWarning"  # in this process warnings are errors
    return pytester.runpytest("-p", "graftbench.regression.pytest_plugin", "-rs", warned, *given)


# ---------------------------------------------------------------------------------------------------------- settings


def test_without_runs_the_test_is_skipped(pytester: pytest.Pytester) -> None:
    """Neither run is named: a skip that says which options there are."""
    result = session(pytester, options=())
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*no runs to compare: --graftbench-base and --graftbench-new*"])


@pytest.mark.parametrize(("given", "missing"), [("base", "new"), ("new", "base")])
def test_one_run_alone_is_an_error(pytester: pytest.Pytester, given: str, missing: str) -> None:
    """One is named and the other forgotten: no skip, for somebody meant to compare."""
    result = session(pytester, options=(f"--graftbench-{given}=somewhere",))
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*--graftbench-{given} is 'somewhere', and there is no --graftbench-{missing}*"])


def test_a_missing_run_is_an_error_that_names_what_there_is(
    pytester: pytest.Pytester, runs: Callable[..., None]
) -> None:
    """A misspelt baseline: the nearest and all of them."""
    runs()
    baselines.save("main", pytester.path / "base", pytester.path / "baselines")
    result = session(pytester, options=("--graftbench-base=mian", "--graftbench-new=new"))
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*'mian'*Did you mean 'main'?*"])
    result = session(pytester, options=("--graftbench-base=main", "--graftbench-new=runs/new"))
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*nothing at 'runs/new'*"])


def test_settings_of_the_project(pytester: pytest.Pytester, runs: Callable[..., None]) -> None:
    """Paths in the settings begin at the project's root, wherever pytest is started; a name is a baseline's."""
    runs(finetune_worse)
    baselines.save("main", pytester.path / "base", pytester.path / "kept")
    pytester.makeini("[pytest]\ngraftbench_base = main\ngraftbench_new = new\ngraftbench_baselines = kept\n")
    folder = pytester.mkdir("elsewhere")
    test = 'def test_it(assert_no_regression):\n    assert_no_regression("dcgan")\n'
    (folder / "test_it.py").write_text(test)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = pytester.runpytest("-p", "graftbench.regression.pytest_plugin", str(folder))
    result.assert_outcomes(passed=1)


def test_an_option_wins_over_a_setting(pytester: pytest.Pytester, runs: Callable[..., None]) -> None:
    """The settings name the changed run as new; the option names the base: nothing differs."""
    runs(finetune_worse)
    pytester.makeini("[pytest]\ngraftbench_base = base\ngraftbench_new = new\n")
    call = 'assert_no_regression("finetune", budget=25)'
    session(pytester, call, options=()).assert_outcomes(failed=1)
    session(pytester, call, options=("--graftbench-new=base",)).assert_outcomes(passed=1)


def test_the_runs_are_read_once(
    pytester: pytest.Pytester, runs: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three tests, two runs, two readings."""
    runs()
    read, asked = sides.read_side, []
    monkeypatch.setattr(sides, "read_side", lambda what, **more: (asked.append(what), read(what, **more))[1])
    session(pytester, *['assert_no_regression("finetune")'] * 3).assert_outcomes(passed=3)
    assert asked == ["base", "new"]


# ---------------------------------------------------------------------------------------------------------- verdicts


def test_equal_runs_pass(pytester: pytest.Pytester, runs: Callable[..., None]) -> None:
    """One method, several, all of them, each task, each budget; and the comparison comes back."""
    runs()
    result = session(
        pytester,
        'assert_no_regression("finetune")',
        f'assert_no_regression("finetune", task="{TASK}", budget=25, metric="kid=15%")',
        'assert_no_regression("finetune", "dcgan", "oracle", by="budget", test="sign-flip", costs="any")',
        'assert assert_no_regression(metric=["kid", "fid=5%"], shared_timings=True).code == 0',
    )
    result.assert_outcomes(passed=4)


def test_a_regression_fails_where_it_is_and_nowhere_else(pytester: pytest.Pytester, runs: Callable[..., None]) -> None:
    """KID of finetune at 25 images is half as large again: beyond 15 %, within 60 %."""
    runs(finetune_worse)
    result = session(
        pytester,
        f'assert_no_regression("finetune", task="{TASK}", budget=25, metric="kid=15%")',
        'assert_no_regression("finetune", budget=400, metric="kid")',
        'assert_no_regression("dcgan")',
        'assert_no_regression("finetune", budget=25, metric="kid=60%")',
        'assert_no_regression("finetune", budget=25, metric="fid")',
    )
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(
        ["*new against base", "*worse:", "*finetune: KID*before,*now,*threshold 15 %, 2 pairs*"]
    )
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")  # the traceback ends at the test's own line


def test_an_improvement_passes(pytester: pytest.Pytester, runs: Callable[..., None]) -> None:
    """The same change the other way round."""
    runs(base=finetune_worse)
    session(pytester, 'assert_no_regression("finetune", metric="kid")').assert_outcomes(passed=1)


def test_a_cell_that_newly_fails_is_a_failure(pytester: pytest.Pytester, runs: Callable[..., None]) -> None:
    """Its status and reason are in the message; other methods' tests do not hear of it."""

    def broken(record: Record) -> Record:
        if (record.cell.method, record.cell.data_budget, record.cell.seed) != ("vae", 400, 1):
            return record
        return msgspec.structs.replace(record, status=Status.TIMEOUT, scores=[], reason="60 s were not enough")

    runs(broken)
    result = session(pytester, 'assert_no_regression("vae")', 'assert_no_regression("vae", budget=25)')
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*newly failing:", f"*vae {TASK} n=400 seed=1: timeout. 60 s were not enough"])


def test_a_vanished_cell_is_a_failure(pytester: pytest.Pytester, runs: Callable[..., None]) -> None:
    """One seed, or all that was selected."""
    runs(lambda record: None if record.cell.method == "vae" and record.cell.seed == 1 else record)
    result = session(pytester, 'assert_no_regression("vae")', 'assert_no_regression("dcgan")')
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*vanished:", f"*vae {TASK} n=25 seed=1"])


def test_a_vanished_method_is_a_failure(pytester: pytest.Pytester, runs: Callable[..., None]) -> None:
    """The new run has nothing of it: its cells are named."""
    runs(lambda record: None if record.cell.method == "vae" else record)
    result = session(pytester, 'assert_no_regression("vae", budget=25)')
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*'new' has no cell of method vae, budget 25; vanished:", f"*vae {TASK} n=25 seed=0"])


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ('assert_no_regression("finetun")', "*Unknown method 'finetun' in the base 'base'. Did you mean 'finetune'?*"),
        ('assert_no_regression("finetune", task="twemoji->openmoji@64")', f"*Did you mean '{TASK}'?*"),
        ('assert_no_regression("finetune", budget=40)', "*Unknown budget '40'*Did you mean '400'?*"),
        ('assert_no_regression("finetune", metric="kdi")', "*Unknown measure 'kdi'*Did you mean 'kid'?*"),
        ('assert_no_regression("finetune", metric="kid=15#")', "*'kid=15#': a threshold is a share*"),
        ('assert_no_regression("finetune", few_seeds="pas")', "*Unknown rule for few seeds 'pas'*"),
        ('assert_no_regression("finetune", level=2)', "*level of a gate*found 2*"),
    ],
)
def test_names_that_are_not_there(pytester: pytest.Pytester, runs: Callable[..., None], call: str, told: str) -> None:
    """A misspelt name fails the test and names the nearest, so that no assertion passes by judging nothing."""
    runs()
    result = session(pytester, call)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([told])


def test_a_combination_that_is_not_there(pytester: pytest.Pytester, runs: Callable[..., None]) -> None:
    """The method and the budget occur in the base, and never together."""
    runs(base=lambda record: None if (record.cell.method, record.cell.data_budget) == ("vae", 25) else record)
    result = session(pytester, 'assert_no_regression("vae", budget=25)')
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*No cell of the base 'base' has method vae, budget 25, though each occurs in it.*"])


def test_a_measure_that_nobody_took_is_a_failure(pytester: pytest.Pytester, runs: Callable[..., None]) -> None:
    """Nothing meters the energy of this machine; it is named with what was measured."""
    runs()
    result = session(pytester, 'assert_no_regression("finetune", metric="kid,energy_joules", budget=25)')
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*The 2 pairs of cells have no energy_joules on both sides*Measured: kid.*"])


def test_other_hardware_is_a_skip(pytester: pytest.Pytester, runs: Callable[..., None]) -> None:
    """Costs alone cannot be compared there, which is nobody's fault; with a score beside them the test goes on."""

    def elsewhere(record: Record) -> Record:
        cpu = {**record.environment["cpu"], "model": "Another CPU"}
        return msgspec.structs.replace(record, environment={**record.environment, "cpu": cpu})

    runs(elsewhere)
    result = session(
        pytester,
        'assert_no_regression("finetune", metric="peak_memory_mib")',
        'assert_no_regression("finetune", metric="peak_memory_mib,kid")',
        'assert_no_regression("finetune", metric="peak_memory_mib", costs="any")',
    )
    result.assert_outcomes(passed=2, skipped=1)
    result.stdout.fnmatch_lines(["*nothing could be compared: other hardware*"])


# --------------------------------------------------------------------------------------------------------- few seeds


def one_seed(record: Record) -> Record | None:
    """Seed 0 at 25 images alone."""
    return record if (record.cell.seed, record.cell.data_budget) == (0, 25) else None


@pytest.mark.parametrize(("rule", "outcome"), [("pass", {"passed": 1, "warnings": 1}), ("gate", {"failed": 1})])
def test_too_few_pairs(
    pytester: pytest.Pytester, runs: Callable[..., None], rule: str, outcome: dict[str, int]
) -> None:
    """One pair half as large again: a warning that names the row, or the threshold alone decides."""
    runs(lambda record: one_seed(finetune_worse(record)), base=one_seed)
    result = session(pytester, f'assert_no_regression("finetune", metric="kid", few_seeds="{rule}")')
    result.assert_outcomes(**outcome)
    result.stdout.fnmatch_lines(["*finetune: KID*1 pair*"])
    if rule == "pass":
        result.stdout.fnmatch_lines(["*RegressionWarning: too few pairs of cells to tell:*"])


def test_too_few_pairs_for_an_improvement_are_no_matter(pytester: pytest.Pytester, runs: Callable[..., None]) -> None:
    """One pair that got better warns nobody."""
    runs(one_seed, base=lambda record: one_seed(finetune_worse(record)))
    session(pytester, 'assert_no_regression("finetune", metric="kid")').assert_outcomes(passed=1, warnings=0)


def test_few_pairs_without_a_change_are_no_matter(pytester: pytest.Pytester, runs: Callable[..., None]) -> None:
    """A change within its threshold passes under each rule, without a warning."""
    runs(one_seed, base=one_seed)
    calls = [f'assert_no_regression("finetune", metric="kid", few_seeds="{rule}")' for rule in ("pass", "gate")]
    session(pytester, *calls).assert_outcomes(passed=2, warnings=0)


# ------------------------------------------------------------------------------------------------------------- start


def test_pytest_starts_without_what_compares(tmp_path: Path) -> None:
    """Loading the plugin and skipping a test imports none of the packages that take time."""
    (tmp_path / "test_it.py").write_text("def test_it(assert_no_regression):\n    pass\ndef test_other():\n    pass\n")
    heavy = {"torch", "numpy", "scipy", "pandas", "matplotlib", "msgspec", "rich"}
    code = (
        "import sys, pytest\n"
        f"code = pytest.main(['-p', 'graftbench.regression.pytest_plugin', '-q', {str(tmp_path)!r}])\n"
        f"print('imported:', sorted({heavy!r} & set(sys.modules)), 'code:', int(code))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.splitlines()[-1] == "imported: [] code: 0", done.stdout


def test_arguments_are_described_and_their_defaults_are_the_gate_s() -> None:
    """What `graftbench compare` does where nothing is said, the fixture does."""
    call = graftbench.regression.pytest_plugin.AssertNoRegression.__call__
    parameters = inspect.signature(call).parameters
    assert all(f"{name}:" in (call.__doc__ or "") for name in parameters if name != "self")
    defaults = gate.GateOptions()
    assert all(
        parameters[name].default == getattr(defaults, name) for name in ("level", "by", "test", "few_seeds", "costs")
    )
    assert parameters["shared_timings"].default is defaults.shared
