"""Jobs on a Ray cluster of three nodes on this machine: limits, lost nodes, what is sent and what comes back."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from planted_cells import PLANTED, CellStarter, live_processes
from tiny_suites import suite_toml, until

from graftbench.errors import GraftbenchError
from graftbench.execution.driver import run
from graftbench.execution.executors.ray import RayExecutor, slots_of
from graftbench.execution.job import LOG, PROGRESS, RESULT, Cause
from graftbench.records import store
from graftbench.records.record import Status
from graftbench.resources.processes import PYTHON, table
from graftbench.suites.plan import make_plan
from graftbench.suites.suite import parse_suite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graftbench.suites.plan import Plan

ray = pytest.importorskip("ray", reason="the extra 'ray' is not installed")

# Ray's own: files and sockets that its processes leave open when they end, and its use of deprecated functions.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"
)

PLUGIN = (
    PLANTED
    + '''
sys.path.insert(0, str(Path(__file__).parent))
import flipping

AGAIN = Path("PLACE") / "again"

class Where(Planted):
    """Says from where it is run."""
    name = "where"
    def fit(self, task, budget):
        print("package", graftbench.__file__, "plugin", __file__, "helper", flipping.__file__, flush=True)
        return ImageBankSampler(flipping.flipped(task.images))

class Daemons(Planted):
    """Starts processes, one of which leaves the session and its parent, and waits."""
    name = "daemons"
    def fit(self, task, budget):
        print("waiting", flush=True)
        subprocess.Popen(["setsid", "--fork", "sleep", "7401"])
        subprocess.Popen(["sleep", "7402"], start_new_session=True)
        subprocess.Popen(["sleep", "7403"])
        time.sleep(7404)

class Once(Planted):
    """Waits the first time."""
    name = "once"
    def fit(self, task, budget):
        if not AGAIN.exists():
            subprocess.run(["sleep", "7405"])
        return ImageBankSampler(task.images)
'''
)

HELPER = """
def flipped(images):
    return images.flip(3)
"""

ENDED = """
import os, signal, sys
from graftbench.execution.executors.ray import RayExecutor

executor = RayExecutor(sys.argv[1])
os.kill(os.getpid(), signal.SIGKILL)
"""

TOML = suite_toml(
    *("memorizer", "source", "where", "daemons", "once"),
    images=8,
    size=32,
    more="""
[source_models.gan]
kimg = 512
seed = 0
parameters = { loss = "non-saturating", augment = "color,translation" }
""",
)

SMALL: dict[str, Any] = {"object_store_memory": 80 << 20, "include_dashboard": False}

SLEEP = b"sleep\x00740"


class Nodes:
    """A cluster of a head without CPUs and two nodes with one each, in a folder of its own, far from the checkout.

    Nodes have their own folder of temporary files, no PYTHONPATH and no cache.
    """

    def __init__(self, home: Path) -> None:
        from ray.cluster_utils import Cluster

        self.home = home
        with self._environment():
            self.cluster = Cluster(initialize_head=True, head_node_args=SMALL | {"num_cpus": 0})
        self.workers: list[Any] = []
        for _ in range(2):
            self.add()

    def add(self) -> None:
        """Add a node."""
        with self._environment():
            self.workers.append(self.cluster.add_node(num_cpus=1, **SMALL))

    @contextlib.contextmanager
    def _environment(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("TMPDIR", "RAY_TMPDIR"):
                patch.setenv(name, str(self.home))
            patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
            patch.setenv("GRAFTBENCH_CACHE", str(self.home / "nowhere"))
            patch.delenv("RAY_ADDRESS", raising=False)
            patch.delenv("PYTHONPATH", raising=False)
            patch.chdir(self.home)
            yield

    def kill_node_of(self, pid: int) -> None:
        """Kill the node's own process that started what started a process."""
        raylets = {worker.all_processes["raylet"][0].process.pid: worker for worker in self.workers}
        processes = table()
        while pid not in raylets:
            pid = processes[pid].parent
        self.workers.remove(raylets[pid])
        self.cluster.remove_node(raylets[pid], allow_graceful=False)

    def sleeping(self) -> list[int]:
        """What planted cells started; jobs have the nodes' TMPDIR."""
        return live_processes(os.fsencode(self.home), SLEEP)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """The cluster; when it has ended, so has everything that ran on it."""
    # Not pytest's folder: the paths of sockets must be shorter than 107 characters.
    home = Path(tempfile.mkdtemp(prefix="gbr"))
    made = Nodes(home)
    yield made
    made.cluster.shutdown()
    ours = (SLEEP, b"graftbench.execution.executors", b"ray::")
    until(lambda: not live_processes(os.fsencode(home), *ours), "the end of all processes", 15)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def executor(nodes: Nodes) -> Iterator[RayExecutor]:
    """Connected to the cluster by its address."""
    before = signal.getsignal(signal.SIGTERM)
    started = RayExecutor(nodes.cluster.address)
    assert signal.getsignal(signal.SIGTERM) is before  # Ray would replace it
    yield started
    started.close()
    started.close()


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> tuple[Plan, Path]:
    """The plan, and the plugin file with a file beside it that it imports."""
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "flipping.py").write_text(HELPER)
    (folder / "secret.py").write_text("nobody imports this")
    plugin = folder / "planted.py"
    plugin.write_text(PLUGIN.replace("PLACE", str(folder)))
    return make_plan(parse_suite(TOML, "planted.toml"), shared_cache, plugins=[plugin]), plugin


@pytest.fixture
def starter(executor: RayExecutor, planted: tuple[Plan, Path], shared_cache: Path, tmp_path: Path) -> CellStarter:
    """Starts cells on the cluster."""
    return CellStarter(executor, planted, shared_cache, tmp_path)


@pytest.mark.slow
def test_a_driver_that_is_ended_from_outside_leaves_a_sentence(nodes: Nodes) -> None:
    """As Ray ends one whose node dies; a shell would show no reason."""
    command = [*PYTHON, "-c", ENDED, nodes.cluster.address]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == -signal.SIGKILL
    assert done.stderr.startswith("graftbench: this process was ended from outside")
    assert "run the same command again" in done.stderr


@pytest.mark.slow
def test_cells_run_on_nodes_that_have_nothing_of_them(starter: CellStarter, capfd: pytest.CaptureFixture[str]) -> None:
    """Code, plugin and the file beside it, images and source model are sent; all files come back; nothing is printed.

    There is room for as many as there are nodes with a CPU.
    """
    folders = []
    for method in ("where", "source"):
        assert starter.executor.room()
        folders.append(starter.start(method))
    assert not starter.executor.room()
    assert sorted(starter.executor.running) == ["source", "where"]
    ended = starter.wait(2)
    assert {end.key: (end.exit_code, end.cause) for end in ended.values()} == {
        "where": (0, Cause.ENDED),
        "source": (0, Cause.ENDED),
    }
    for folder in folders:
        record = starter.record(folder.name)
        assert (record.status, record.reason) == (Status.OK, "")
        assert {file.name for file in folder.iterdir()} - {PROGRESS} == {
            RESULT,
            LOG,
            "sampler.safetensors",
            "samples.png",
            "neighbors.png",
            *(["interpolation.png"] if record.cell.method == "source" else []),
        }
    said = dict(zip(*[iter((folders[0] / LOG).read_text().split())] * 2, strict=False))
    home = f"graftbench-{os.getuid()}/parcels"
    assert all(home in said[what] for what in ("package", "plugin", "helper"))
    assert not (Path(said["plugin"]).parent / "secret.py").exists()
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_cell_over_its_time_ends_with_all_that_it_started(starter: CellStarter, nodes: Nodes) -> None:
    """The node keeps the limit, processes that left their session included; the log up to then comes back."""
    folder = starter.start("daemons", seconds=2)
    end = starter.wait()["daemons"]
    assert (end.cause, end.exit_code) == (Cause.TIME, -signal.SIGKILL), end
    assert 2 <= end.seconds < 10
    assert not nodes.sleeping()
    assert (folder / LOG).read_text().startswith("waiting")
    assert not (folder / RESULT).exists()


@pytest.mark.slow
def test_a_task_that_fails_is_an_end_and_no_exception(starter: CellStarter, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong on a node (here: a parcel that leads out of its folder) is the cell's end, with the reason."""
    monkeypatch.setattr(starter.executor, "_code", ("0" * 64, [ray.put([("../evil.py", b"")])]))
    starter.start("memorizer")
    end = starter.wait()["memorizer"]
    assert (end.cause, end.exit_code) == (Cause.ENDED, 1)
    assert "leads out of its folder" in end.detail


@pytest.mark.slow
def test_the_driver_ends_what_its_node_does_not(
    starter: CellStarter, nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that does not keep the limit (here it is told none): the driver cancels the task, and all of it ends."""
    from graftbench.execution.executors import ray as module

    monkeypatch.setattr(module, "BACKSTOP_SECONDS", 0.5)
    starter.start("daemons", seconds=None)
    until(lambda: not starter.executor.wait(0.1) and len(nodes.sleeping()) == 3, "the start of the cell's processes")
    starter.executor._running["daemons"].seconds = 0.1
    end = starter.wait()["daemons"]
    assert (end.cause, end.exit_code) == (Cause.TIME, None)
    assert "cancelled 0.5 s after the limit" in end.detail
    until(lambda: not nodes.sleeping(), "the end of the cell's processes", 10)


@pytest.mark.long
def test_a_node_that_dies_loses_its_cell_which_then_runs_elsewhere(
    starter: CellStarter, nodes: Nodes, capfd: pytest.CaptureFixture[str]
) -> None:
    """Cause LOST, no process left, nothing printed; the same cell started again ends well on the other node."""
    folder = starter.start("once")
    until(lambda: not starter.executor.wait(0.1) and bool(nodes.sleeping()), "the start of the cell's processes")
    nodes.kill_node_of(nodes.sleeping()[0])
    end = starter.wait()["once"]
    assert (end.cause, end.exit_code) == (Cause.LOST, None)
    assert "gone" in end.detail
    assert not (folder / RESULT).exists()
    until(lambda: not nodes.sleeping(), "the end of the lost cell's processes", 10)
    (starter.plugin.parent / "again").touch()
    starter.start("once")
    assert starter.wait()["once"].exit_code == 0
    assert starter.record("once").status == Status.OK
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_close_ends_what_runs_and_leaves_a_given_cluster_alone(starter: CellStarter, nodes: Nodes) -> None:
    """No process of a job is alive when `close` returns; the next executor finds the cluster as it was."""
    starter.start("daemons")
    until(lambda: not starter.executor.wait(0.1) and len(nodes.sleeping()) == 3, "the start of the cell's processes")
    starter.executor.close()
    assert not nodes.sleeping()
    assert starter.executor.running == []
    again = RayExecutor(nodes.cluster.address)
    assert again.room()
    again.close()


@pytest.mark.long
def test_a_run_goes_on_when_a_node_dies(nodes: Nodes, planted: tuple[Plan, Path], tmp_path: Path) -> None:
    """A suite on the cluster, a node killed in the middle: all cells arrive, the lost one at its second try."""
    _, plugin = planted
    again = plugin.parent / "again"
    again.unlink(missing_ok=True)
    nodes.add()

    def kill() -> None:
        until(lambda: bool(nodes.sleeping()), "the start of the cell that waits", 60)
        again.touch()
        nodes.kill_node_of(nodes.sleeping()[0])

    killer = threading.Thread(target=kill)
    killer.start()
    suite = parse_suite(TOML.replace(', "where", "daemons"', ""), "planted.toml")
    summary = run(suite, tmp_path / "run", plugins=[plugin], executor=lambda: RayExecutor(nodes.cluster.address))
    killer.join()
    assert summary.statuses == {"ok": 3}
    records, _ = store.read(tmp_path / "run" / "records.jsonl")
    assert {record.cell.method: record.attempts for record in records}["once"] == 2
    assert all((tmp_path / "run" / record.artifacts["sampler"]).is_file() for record in records)


def test_no_cluster_is_said_at_once() -> None:
    """A port where nobody listens, one where somebody else does, no cluster here, a client address, no address."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        free = deaf.getsockname()[1]
    start = time.monotonic()
    for address, sentence in (
        (f"127.0.0.1:{free}", f"no Ray cluster at '127.0.0.1:{free}' .*ray start --head"),
        ("ray://head:10001", "one of Ray's client"),
        ("head", "HOST:PORT or auto; found 'head'"),
    ):
        with pytest.raises(GraftbenchError, match=sentence):
            RayExecutor(address)
    assert time.monotonic() - start < 15


def test_a_listener_that_is_no_cluster_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Something that takes connections and says nothing: an error when the time for an answer is up."""
    from graftbench.execution.executors import ray as module

    monkeypatch.setattr(module, "CONNECT_SECONDS", 2.0)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(GraftbenchError, match="does not answer as one"):
            RayExecutor(address)


def test_without_ray_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray is an extra."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(GraftbenchError, match=r"pip install 'graftbench\[ray\]'"):
        RayExecutor("auto")


def test_resources_that_no_cluster_can_have_are_refused() -> None:
    """Ray takes fractions below one GPU and whole numbers above."""
    for cpus, gpus, jobs in ((0, 0, None), (1, 1.5, None), (1, -1, None), (1, 0, 0)):
        with pytest.raises(GraftbenchError):
            RayExecutor("auto", cpus_per_job=cpus, gpus_per_job=gpus, jobs=jobs)


@pytest.mark.parametrize(
    ("resources", "cpus", "gpus", "slots"),
    [
        ({"CPU": 8}, 1, 0, 8),
        ({"CPU": 8}, 3, 0, 2),
        ({"CPU": 1}, 0.1, 0, 10),
        ({"CPU": 16, "GPU": 2}, 1, 0.25, 8),
        ({"CPU": 16, "GPU": 2}, 1, 0.3, 6),  # three on each: what is left of two GPUs does not join
        ({"CPU": 3, "GPU": 2}, 1, 0.25, 3),
        ({"CPU": 16, "GPU": 5}, 1, 2, 2),
        ({"CPU": 16}, 1, 1, 0),
    ],
)
def test_slots_of_a_node(resources: dict[str, float], cpus: float, gpus: float, slots: int) -> None:
    """As many jobs as its CPUs, and its GPUs where they are asked for, suffice for."""
    assert slots_of(resources, cpus, gpus) == slots
