"""Jobs through submitit, on its stand-in for a cluster on this machine: limits, preemption, orphans, parameters."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest
from planted_cells import PLANTED, CellStarter, live_processes
from tiny_suites import suite_toml, until

from graftbench.errors import GraftbenchError
from graftbench.execution.executors import slurm
from graftbench.execution.executors.slurm import ClaimCheck, SlurmExecutor
from graftbench.execution.job import LOG, RESULT, Cause, Ended, ReferenceJob
from graftbench.records.cell_spec import Protocol
from graftbench.records.record import Status
from graftbench.resources.processes import children_of
from graftbench.suites.plan import make_plan
from graftbench.suites.suite import parse_suite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from graftbench.suites.plan import Plan

submitit = pytest.importorskip("submitit", reason="the extra 'slurm' is not installed")

PLUGIN = (
    PLANTED
    + '''
class Daemons(Planted):
    """Starts processes, one of which leaves the session and its parent, and waits."""
    name = "daemons"
    def fit(self, task, budget):
        subprocess.Popen(["setsid", "--fork", "sleep", "7501"])
        subprocess.Popen(["sleep", "7502"], start_new_session=True)
        time.sleep(7503)

class Twice(Planted):
    """Waits the first time; the second time it ends well."""
    name = "twice"
    def fit(self, task, budget):
        trace = Path("PLACE") / "trace"
        if not trace.exists():
            trace.write_text("here")
            subprocess.run(["sleep", "7504"])
        print("the second time", flush=True)
        return ImageBankSampler(task.images)
'''
)

TOML = suite_toml("daemons", "twice", images=8, size=32)

MARK = "GRAFTBENCH_TEST_PLACE"
"""Environment variable by which the processes of this test run are known."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of this test run, known to all processes that it starts."""
    folder = tmp_path_factory.mktemp("slurm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MARK, str(folder))
        yield folder


def _alive(place: Path, *commands: bytes) -> list[int]:
    return live_processes(os.fsencode(f"{MARK}={place}"), *commands)


def _sleeping(place: Path) -> list[int]:
    return _alive(place, b"sleep\x00750")


@pytest.fixture(scope="module")
def planted(place: Path, shared_cache: Path) -> tuple[Plan, Path]:
    """The plan and the plugin file."""
    plugin = place / "planted.py"
    plugin.write_text(PLUGIN.replace("PLACE", str(place)))
    return make_plan(parse_suite(TOML, "planted.toml"), shared_cache, plugins=[plugin]), plugin


@pytest.fixture
def starter(planted: tuple[Plan, Path], shared_cache: Path, place: Path, tmp_path: Path) -> Iterator[CellStarter]:
    """Starts cells through submitit; at the end nothing that it started is alive."""
    executor = SlurmExecutor(tmp_path / "submitit", jobs=2, cluster="local")
    made = CellStarter(executor, planted, shared_cache, tmp_path)
    yield made
    executor.close()
    executor.close()
    assert not _sleeping(place)
    until(lambda: not _alive(place, b"submitit", b"graftbench.execution.executors"), "the end of all processes", 10)


@pytest.mark.long
def test_a_job_over_its_time_ends_and_a_preempted_one_goes_on(starter: CellStarter, place: Path) -> None:
    """One job of an array ends with all that it started; the other is requeued, in its folder, and reported once.

    Both are submitted at once, and there is room for no third. No file of the executor's own stays.
    """
    preempted, over = starter.start("twice"), starter.start("daemons", seconds=3)
    assert not starter.executor.room()
    assert sorted(starter.executor.running) == ["daemons", "twice"]
    ended: list[Ended] = []
    until(lambda: bool(ended.extend(starter.executor.wait(0.1)) or (place / "trace").exists()), "the first try")
    controller = int(starter.executor._running["twice"].task.job_id)
    for process in children_of(controller):
        os.kill(process.pid, signal.SIGUSR2)  # as Slurm does before it takes the node away
    until(lambda: bool(ended.extend(starter.executor.wait(0.1)) or len(ended) == 2), "the end of both")
    ends = {end.key: (end.exit_code, end.cause) for end in ended}
    assert ends == {"twice": (0, Cause.ENDED), "daemons": (-signal.SIGKILL, Cause.TIME)}
    assert starter.executor.running == []
    assert not _sleeping(place)
    assert starter.record("twice").status == Status.OK
    assert "the second time" in (preempted / LOG).read_text()
    assert not (over / RESULT).exists()
    assert not [*preempted.glob("slurm-*"), *over.glob("slurm-*")]


@pytest.mark.slow
def test_close_ends_what_runs(starter: CellStarter, place: Path) -> None:
    """No process of a job is alive when `close` returns, and nothing of submitit's stays."""
    starter.start("daemons", seconds=None)
    until(lambda: not starter.executor.wait(0.1) and len(_sleeping(place)) == 2, "the start of the cell's processes")
    starter.executor.close()
    assert not _sleeping(place)
    assert starter.executor.running == []
    assert list((starter.folder / "submitit").iterdir()) == []


@pytest.mark.slow
def test_a_job_that_dies_without_a_word_is_lost(starter: CellStarter, place: Path) -> None:
    """The process that submitit started is killed, as when its node fails: LOST, and its job's processes end."""
    starter.start("daemons")
    until(lambda: not starter.executor.wait(0.1) and len(_sleeping(place)) == 2, "the start of the cell's processes")
    for pid in _alive(place, b"submitit.local._local"):
        os.kill(pid, signal.SIGKILL)
    for pid in _alive(place, b"submitit.core._submit"):
        os.kill(pid, signal.SIGKILL)
    end = starter.wait()["daemons"]
    assert (end.exit_code, end.cause) == (None, Cause.LOST)
    assert end.detail == "Slurm ended the job: INTERRUPTED"
    until(lambda: not _sleeping(place), "the end of the cell's processes", 10)


def test_a_job_is_wanted_as_long_as_its_driver_lives_and_nobody_else_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the machine's own clock; another claim, or no sign of the driver for too long, ends it."""
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    claim, alive = tmp_path / "claim", tmp_path / "alive"
    claim.write_text("me")
    alive.touch()
    is_claimed = ClaimCheck(claim, "me", alive)
    assert is_claimed()
    clock[0] += slurm.ORPHANED_SECONDS - 1
    assert is_claimed()
    os.utime(alive, (5, 5))  # touched: on a machine whose clock is far behind
    assert is_claimed()
    clock[0] += slurm.ORPHANED_SECONDS - 1
    assert is_claimed()
    clock[0] += 2
    assert not is_claimed()
    os.utime(alive, (6, 6))
    assert is_claimed()
    claim.write_text("another driver")
    assert not is_claimed()
    claim.write_text("me")
    alive.unlink()
    assert not is_claimed()


def test_parameters_reach_sbatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of submitit and those of sbatch, and the job's limit with a margin; one array for all jobs of one limit.

    The commands are stand-ins: `sbatch` keeps the script that it is given.
    """
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, script in {
        "srun": "exit 0",
        "sbatch": f'cp "$1" {tmp_path}/script-$$; echo "Submitted batch job 42"',
        "scancel": f'echo "$@" >> {tmp_path}/cancelled',
        "sacct": 'echo "JobID|State|NodeList"; echo "42_0|CANCELLED by 0|"; echo "42_1|CANCELLED by 0|"',
    }.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    given = {"partition": "gpu", "gres": "gpu:1", "mem_gb": "16", "cpus-per-task": "4", "reservation": "lab"}
    executor = SlurmExecutor(tmp_path / "submitit", parameters=given)
    job = ReferenceJob(folder=str(tmp_path), cache=str(tmp_path), protocol=Protocol(), images="", manifest="")
    for key in ("a", "b"):
        (tmp_path / key).mkdir()
        executor.start(key, job, tmp_path / key, seconds=1800, memory_mib=None)
    assert executor.wait(0) == []  # submitted, and not heard of yet
    told = (tmp_path / "a" / slurm.JOB_FILE).read_text()
    assert '"device":"cuda:0"' in told
    (script,) = tmp_path.glob("script-*")
    options = {
        line.removeprefix("#SBATCH --") for line in script.read_text().splitlines() if line.startswith("#SBATCH")
    }
    assert {"partition=gpu", "gres=gpu:1", "mem=16GB", "cpus-per-task=4", "reservation=lab", "time=35"} <= options
    assert "array=0-1%2" in options
    executor.close()
    assert (tmp_path / "cancelled").read_text().split() == ["42_0", "42_1"]
    assert executor.running == []
    assert not list(tmp_path.glob("?/slurm-*"))


def test_wrong_parameters_and_no_slurm_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A number that is none; a machine without Slurm; nothing is left behind."""
    if shutil.which("srun") is None:
        with pytest.raises(GraftbenchError, match='Could not detect "srun"'):
            SlurmExecutor(tmp_path / "submitit")
    with pytest.raises(GraftbenchError, match="mem_gb is a number; found 'much'"):
        SlurmExecutor(tmp_path / "submitit", parameters={"mem_gb": "much"}, cluster="local")
    with pytest.raises(GraftbenchError, match="jobs must be at least 1"):
        SlurmExecutor(tmp_path / "submitit", jobs=0, cluster="local")
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(GraftbenchError, match=r"pip install 'graftbench\[slurm\]'"):
        SlurmExecutor(tmp_path / "submitit")
    assert not list(tmp_path.glob("submitit/*"))
