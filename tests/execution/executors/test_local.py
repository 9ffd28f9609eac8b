"""Jobs as processes of this machine: limits hold, nothing stays behind, one death takes nobody along."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import pytest
from planted_cells import PLANTED, CellStarter
from tiny_suites import suite_toml

from graftbench.execution.executors.local import LocalExecutor
from graftbench.execution.executors.placement import MARGIN, RESERVE_MIB, Placement
from graftbench.execution.job import EXIT_DISK_FULL, LOG, RESULT, Cause
from graftbench.records.record import Status
from graftbench.suites.plan import Plan, make_plan
from graftbench.suites.suite import parse_suite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLUGIN = (
    PLANTED
    + '''
class Daemons(Planted):
    """Starts a process that leaves the session and outlives its parent, a child, and waits."""
    name = "daemons"
    def fit(self, task, budget):
        subprocess.Popen(["setsid", "--fork", "sleep", "7301"])
        subprocess.Popen(["sleep", "7302"], start_new_session=True)
        os.system("sleep 7303 & sleep 7304")

class Leaves(Planted):
    """Ends well and leaves processes behind."""
    name = "leaves"
    def fit(self, task, budget):
        subprocess.Popen(["setsid", "--fork", "sleep", "7305"])
        subprocess.Popen(["sleep", "7306"])
        time.sleep(1)
        return ImageBankSampler(task.images)

class Bomb(Planted):
    """Forks until there are 200 of it."""
    name = "bomb"
    def fit(self, task, budget):
        for _ in range(200):
            if os.fork() == 0:
                time.sleep(7307)
        time.sleep(7307)

class Talks(Planted):
    name = "talks"
    def fit(self, task, budget):
        line = "x" * 99
        for number in range(1_000_000):
            print(line)
        print("the last line", flush=True)
        raise ValueError("said enough")

class Full(Planted):
    """Meets a full disk, with text in its buffer that its log has no room for."""
    name = "full"
    def fit(self, task, budget):
        sys.stdout.write("x")
        raise OSError(28, "No space left on device")

'''
)

TOML = suite_toml("fine", "daemons", "leaves", "bomb", "hoards", "talks", "full", "patricide")


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> tuple[Plan, Path]:
    """A plan of planted methods and its plugin file."""
    plugin = tmp_path_factory.mktemp("plugin") / "planted.py"
    plugin.write_text(PLUGIN)
    return make_plan(parse_suite(TOML, "tiny"), shared_cache, plugins=[plugin]), plugin


@pytest.fixture(scope="module")
def shared_executor() -> Iterator[LocalExecutor]:
    """Two jobs side by side on the CPU; torch is imported once for many tests."""
    made = LocalExecutor(jobs=2)
    yield made
    made.close()


@pytest.fixture
def executor() -> Iterator[LocalExecutor]:
    """One for a test that ends it, or counts its processes."""
    made = LocalExecutor(jobs=2)
    yield made
    made.close()


Leftovers = Callable[[], list[str]]


@pytest.fixture
def starter(plan: tuple[Plan, Path], shared_executor: LocalExecutor, shared_cache: Path, tmp_path: Path) -> CellStarter:
    """Starts planted cells."""
    return CellStarter(shared_executor, plan, shared_cache, tmp_path)


@pytest.fixture
def own_starter(plan: tuple[Plan, Path], executor: LocalExecutor, shared_cache: Path, tmp_path: Path) -> CellStarter:
    """Likewise with an executor of the test's own."""
    return CellStarter(executor, plan, shared_cache, tmp_path)


def gone(left_over: Leftovers, patience: float = 10) -> bool:
    """Whether nothing is left over, after a little patience."""
    deadline = time.monotonic() + patience
    while left_over() and time.monotonic() < deadline:
        time.sleep(0.05)
    return not left_over()


@pytest.mark.slow
def test_a_job_runs_and_a_second_one_starts_at_once(starter: CellStarter) -> None:
    """A cell leaves its record; with torch imported, a cell from start to end takes less than the import alone."""
    starter.start("fine")
    ended = starter.wait()["fine"]
    assert (ended.exit_code, ended.cause) == (0, Cause.ENDED)
    assert starter.record("fine").status == Status.OK
    starter.start("fine")
    assert starter.wait()["fine"].seconds < 3


@pytest.mark.slow
def test_all_that_a_job_started_ends_with_it(
    left_over: Leftovers, own_starter: CellStarter, executor: LocalExecutor
) -> None:
    """Its children, another session, a daemon: at its limit, while others go on, and where it ends well itself.

    They end before the executor is closed; then nothing is left.
    """
    own_starter.start("daemons", seconds=3)
    own_starter.start("fine")
    ended = own_starter.wait(2)
    assert ended["daemons"].cause == Cause.TIME
    assert "limit of 3 s" in ended["daemons"].detail
    assert 3 <= ended["daemons"].seconds < 8
    assert ended["fine"].exit_code == 0
    assert own_starter.record("fine").status == Status.OK
    own_starter.start("leaves")
    assert own_starter.wait()["leaves"].exit_code == 0
    assert gone(lambda: [line for line in left_over() if "sleep" in line], patience=2)
    executor.close()
    assert gone(left_over)


@pytest.mark.long
def test_a_fork_bomb_is_cleared_away(left_over: Leftovers, own_starter: CellStarter, executor: LocalExecutor) -> None:
    """Two hundred forks end with their cell."""
    own_starter.start("bomb", seconds=2)
    assert own_starter.wait()["bomb"].cause == Cause.TIME
    assert len(left_over()) == 1  # the process that starts jobs
    executor.close()
    assert not left_over()


@pytest.mark.slow
def test_memory_over_the_limit_ends_a_job(starter: CellStarter) -> None:
    """A job that takes memory without end is killed at its limit, and the sentence names both numbers."""
    starter.start("hoards", memory_mib=1500)
    ended = starter.wait()["hoards"]
    assert ended.cause == Cause.MEMORY
    assert "the limit is 1500 MiB" in ended.detail


@pytest.mark.long
def test_a_talkative_job_does_not_fill_the_disk(starter: CellStarter) -> None:
    """A hundred megabytes of output: the log's end is kept, the record is there."""
    folder = starter.start("talks")
    assert starter.wait()["talks"].exit_code == 0
    log = (folder / LOG).read_bytes()
    assert len(log) <= 8 << 20
    assert b"bytes were cut off" in log[:100]
    assert b"the last line" in log
    assert starter.record("talks").reason == "ValueError: said enough"


@pytest.mark.slow
def test_a_job_on_a_full_disk_says_so_by_its_exit_code(starter: CellStarter) -> None:
    """Even where its log has no room for a word; and the process that starts jobs goes on."""
    folder = starter.start("full", log="/dev/full")
    ended = starter.wait()["full"]
    assert (ended.exit_code, ended.cause) == (EXIT_DISK_FULL, Cause.ENDED)
    assert not (folder / RESULT).exists()
    starter.start("fine", log="/dev/full")
    assert starter.wait()["fine"].exit_code == 0
    assert starter.record("fine").status == Status.OK


@pytest.mark.slow
def test_the_death_of_the_starting_process_loses_its_jobs_and_nothing_else(starter: CellStarter) -> None:
    """What ran is lost, and said to be lost; the next job gets a new starting process."""
    starter.start("patricide")
    ended = starter.wait()["patricide"]
    assert (ended.exit_code, ended.cause) == (None, Cause.LOST)
    starter.start("fine")
    assert starter.wait()["fine"].exit_code == 0
    assert starter.record("fine").status == Status.OK


DRIVER = """
import sys, time
from pathlib import Path
from graftbench.execution.executors.local import LocalExecutor
from graftbench.execution.job import decode
executor = LocalExecutor(jobs=1)
job = decode(Path(sys.argv[1]).read_bytes())
executor.start("daemons", job, Path(job.folder), seconds=None, memory_mib=None)
while True:
    executor.wait(0.2)
    print(executor._running["daemons"].pid, flush=True)
"""


@pytest.mark.slow
def test_the_death_of_the_driver_ends_everything(left_over: Leftovers, starter: CellStarter, tmp_path: Path) -> None:
    """SIGKILL of the driver: no process stays, whatever session it is in."""
    file = tmp_path / "job.json"
    file.write_bytes(msgspec.json.encode(starter.job("daemons")))
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(file)], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    deadline = time.monotonic() + 60
    while len(left_over()) < 7:  # the driver, the starting process, its fork, and four sleepers
        assert time.monotonic() < deadline
        assert driver.poll() is None
        time.sleep(0.1)
    time.sleep(0.6)  # seen by the one who has to end them
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    driver.stdout.close()
    assert gone(left_over)


def test_devices_are_taken_by_turns() -> None:
    """Each new job goes to the device with the fewest; a device for itself where its memory is not known."""
    placement = Placement(["cuda:0", "cuda:1"], free_mib=lambda _: 10_000.0)
    assert placement.choose([], None) == "cuda:0"
    assert placement.choose(["cuda:0"], None) == "cuda:1"
    assert placement.choose(["cuda:0", "cuda:1"], None) is None
    assert placement.choose(["cuda:0", "cuda:1"], 1000) == "cuda:0"
    assert placement.choose(["cuda:0", "cuda:1", "cuda:0"], 1000) == "cuda:1"


def test_a_second_job_on_a_gpu_needs_room() -> None:
    """Room is the expected memory with a margin, and the context's; a GPU that does not answer takes one job."""
    free: dict[str, float | None] = {"cuda:0": MARGIN * 1000 + RESERVE_MIB}
    placement = Placement(["cuda:0"], free_mib=free.__getitem__)
    assert placement.choose(["cuda:0"], 1000) == "cuda:0"
    assert placement.choose(["cuda:0"], 1001) is None
    free["cuda:0"] = None
    assert placement.choose(["cuda:0"], 1) is None
    assert placement.choose([], 1_000_000) == "cuda:0"


def test_the_cpu_has_room_for_every_job() -> None:
    """How many run side by side on the CPU is the user's choice."""
    assert Placement(["cpu"]).choose(["cpu"] * 9, None) == "cpu"
