"""Jobs on the nodes of a Ray cluster.

A job is a Ray task; the task runs it with the node's own `LocalExecutor`, in a process of its own under the same limits
as on one machine, and sends back its files. The driver alone writes into the run folder. Nodes need Python with
graftbench's dependencies, and Ray; graftbench itself, plugins, prepared images, source models and the extractor's
weights are sent to them (`shipping`). Methods and domains that installed packages offer as entry points have to be
installed on the nodes too.

Ray has no time limit per task (ray-project/ray#15672). The node keeps the limits; should it not, the driver cancels
the task `BACKSTOP_SECONDS` later. What runs ends with the task's process, in whatever way that ends (`Keeper`).

The driver runs on a machine of the cluster: Ray's client (`ray://`) cannot stream what a task yields.
"""

from __future__ import annotations

import importlib
import logging
import math
import os
import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from graftbench.errors import GraftbenchError, is_disk_full
from graftbench.execution.executors import shipping
from graftbench.execution.executors.last_words import LastWords
from graftbench.execution.executors.ray_node import CLOSE_SECONDS, Order, Parcel
from graftbench.execution.job import (
    EXIT_DISK_FULL,
    JOB,
    PROGRESS,
    RESULT,
    Cause,
    CellJob,
    Ended,
    Job,
    SourceJob,
)
from graftbench.extractors.catalogue import PACKAGED
from graftbench.extractors.load import weights_file
from graftbench.extractors.weights import ENDINGS, file_stem, given_file
from graftbench.images.decoding import list_images
from graftbench.plugins.local_imports import imported_files
from graftbench.resources import processes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graftbench.execution.executors import Limit

BACKSTOP_SECONDS = 30.0
"""The driver ends a job whose time is up so much later than its node should have."""

SILENCE_SECONDS = 60.0
"""A cancelled task that sends nothing for so long is given up."""

CONNECT_SECONDS = 12.0
NO_NODE_SECONDS = 60.0
"""Seconds that the driver waits for a node which can run a job."""

PLUGIN_BYTES = 256 << 20
"""A plugin folder that holds more is not sent."""

MESSAGES_AHEAD = 4
"""How many messages a task may send before the driver has taken the first: bounds the memory that bundles hold."""


# ------------------------------------------------------------------------------------------------------- the driver


@dataclass
class _RayJob:
    messages: Any
    arrival: shipping.Arrival
    folder: Path
    submitted: float
    seconds: float | None
    started: float | None = None
    cancelled: float | None = None

    def overdue(self, now: float) -> bool:
        """Return whether the node should have ended the job long ago."""
        if self.started is None or self.seconds is None:
            return False
        return now > self.started + self.seconds + BACKSTOP_SECONDS


class RayExecutor:
    """Runs jobs on a Ray cluster.

    With GPUs, each job sees one device `cuda:0` (or several, where whole ones are asked for); jobs with a fraction
    share a GPU, whose memory nobody divides among them.

    Args:
        address: `auto` (the cluster of this machine, or $RAY_ADDRESS) or `HOST:PORT`; None starts a cluster on this
            machine, which ends with the executor.
        cpus_per_job: CPUs that Ray sets aside for a job.
        gpus_per_job: GPUs that Ray sets aside for a job: 0 for jobs on the CPU, a fraction of one, or a whole number.
        jobs: How many are in flight at most; None for as many as the cluster has room for.

    Raises:
        GraftbenchError: Ray is not installed, there is no cluster, or none of its nodes can run a job.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        cpus_per_job: float = 1,
        gpus_per_job: float = 0,
        jobs: int | None = None,
    ) -> None:
        _check_resources(cpus_per_job, gpus_per_job, jobs)
        self._cpus, self._gpus, self._jobs = cpus_per_job, gpus_per_job, jobs
        self._running: dict[str, _RayJob] = {}
        self._parcels: dict[tuple[object, ...], Parcel] = {}
        self._counted, self._slots = -math.inf, 0
        self._ray = _import_ray()
        self._connection = _Connection(self._ray, address, cpus=math.ceil(cpus_per_job * jobs) if jobs else None)
        try:
            self._check_nodes()
            folders = {name: list(importlib.import_module(f"graftbench.{name}").__path__) for name in _PLUGIN_FOLDERS}
            self._code = self._parcel(shipping.package_files(Path(__file__).resolve().parents[2], folders))
            self._task = self._remote()
        except BaseException:
            self.close()
            raise

    @property
    def running(self) -> Sequence[str]:
        """Return the keys of the jobs that were started and have not been reported as ended."""
        return list(self._running)

    def room(self, memory_mib: float | None = None) -> bool:  # noqa: ARG002 - Ray places jobs by what they ask for
        """Return whether another job may be started now: at most as many as the cluster has room for, or `jobs`.

        A cluster that has lost all its nodes has room for one: `start` then waits for a node, or says so.
        """
        return len(self._running) < (self._jobs or max(1, self._count_slots()))

    def start(
        self,
        key: str,
        job: Job,
        folder: Path,
        *,
        seconds: Limit,
        memory_mib: Limit,
        expected_mib: float | None = None,  # noqa: ARG002 - as in `room`
    ) -> None:
        """Send a job to the cluster; see `Executor.start`. Its time begins when a node starts it."""
        self._await_node()
        earlier = shipping.files_under(folder, without=lambda name: name in (JOB, RESULT, PROGRESS))
        order = Order(
            code=self._code,
            job=msgspec.json.encode(_without_weights(job)),
            places={path: (*self._parcel(files), name) for path, (files, name) in _needed(job).items()},
            weights=self._weights(job),
            earlier=self._stored(earlier) if earlier else None,
            device="cuda:0" if self._gpus else "cpu",
            seconds=seconds,
            memory_mib=memory_mib,
        )
        messages = self._task.remote(order)
        self._running[key] = _RayJob(messages, shipping.Arrival(folder, RESULT), folder, time.monotonic(), seconds)

    def _remote(self) -> Any:  # noqa: ANN401 - Ray's types are an extra
        """Make the task as a remote function."""
        # The function is sent as it is, not by name: nodes cannot import it yet.
        self._ray.cloudpickle.register_pickle_by_value(shipping)
        # Not `num_gpus` in the decorator: that starts a process for each task.
        return self._ray.remote(shipping.on_node).options(
            num_returns="streaming",
            num_cpus=self._cpus,
            num_gpus=self._gpus,
            max_retries=0,  # the driver tries again, and counts
            scheduling_strategy="SPREAD",
            _generator_backpressure_num_objects=MESSAGES_AHEAD,
        )

    # -------------------------------------------------------------------------------------------------- what is sent

    def _parcel(self, files: Mapping[str, Path]) -> Parcel:
        """Put a parcel into Ray's store; files that have not changed are read and stored once."""
        stats = ((name, path, path.stat()) for name, path in files.items())
        signature = tuple((name, str(path), stat.st_size, stat.st_mtime_ns) for name, path, stat in stats)
        if signature not in self._parcels:
            self._parcels[signature] = self._stored(files)
        return self._parcels[signature]

    def _stored(self, files: Mapping[str, Path]) -> Parcel:
        return shipping.digest_of(files), [self._ray.put(bundle) for bundle in shipping.bundles(files)]

    def _weights(self, job: Job) -> Parcel | None:
        """Return a parcel of the extractors' weights; None where the job needs none or nodes have them in a package."""
        if isinstance(job, SourceJob):
            return None
        protocol = job.cell.protocol if isinstance(job, CellJob) else job.protocol
        files: dict[str, Path] = {}
        for each in filter(None, (protocol, protocol.under_second)):
            if each.extractor in PACKAGED and given_file(each.extractor, each.weights) is None:
                continue
            file = weights_file(each.extractor, each.weights)
            files[file_stem(each.extractor) + (file.suffix if file.suffix in ENDINGS else ENDINGS[0])] = file
        return self._parcel(files) if files else None

    # ---------------------------------------------------------------------------------------------- what comes back

    def wait(self, seconds: float) -> list[Ended]:
        """Return jobs that ended within the next `seconds`; early when one does.

        Raises:
            GraftbenchError: What a job left cannot be written.
        """
        deadline = time.monotonic() + seconds
        while True:
            self._keep_limits()
            ended = self._listen(max(0.0, deadline - time.monotonic()))
            if ended or time.monotonic() >= deadline:
                return ended

    def _listen(self, seconds: float) -> list[Ended]:
        """Take the messages that have arrived, or the first that comes."""
        silence = time.monotonic() - SILENCE_SECONDS
        silent = [key for key, job in self._running.items() if job.cancelled is not None and job.cancelled < silence]
        lost = [self._end(key, Cause.TIME) for key in silent]
        if lost or not self._running:
            time.sleep(0 if lost else seconds)
            return lost
        keys = {id(job.messages): key for key, job in self._running.items()}
        waiting = [job.messages for job in self._running.values()]
        ready, _ = self._ray.wait(waiting, num_returns=1, timeout=seconds)
        if ready:  # take all that are ready by now: none has to wait for another's bundles
            ready, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0)
        return [end for messages in ready if (end := self._take(keys[id(messages)])) is not None]

    def _take(self, key: str) -> Ended | None:
        """Take a job's next message; return its end, if that was the message."""
        job = self._running[key]
        try:
            kind, value = self._ray.get(next(job.messages))
        except StopIteration:
            return self._end(key, Cause.LOST, detail="the task on the node ended without a word")
        except Exception as error:  # noqa: BLE001 - whatever happened there is how the job ended
            return self._failed(key, error)
        try:
            return self._handle(key, job, kind, value)
        except OSError as error:
            raise GraftbenchError(
                f"What a job left cannot be written to '{job.folder}' ({error.strerror or error}). Nothing recorded is "
                "lost; make room and run the same command again."
            ) from error

    def _handle(self, key: str, job: _RayJob, kind: str, value: Any) -> Ended | None:  # noqa: ANN401 - by `kind`
        """Handle a message of `carry_out`; return the job's end, if it says so."""
        if kind == "started":
            job.started = time.monotonic()
        elif kind == "progress":
            part = job.folder / f"{PROGRESS}.part"
            part.write_bytes(value)
            part.replace(job.folder / PROGRESS)
        elif kind == "files":
            job.arrival.add(value)
        else:
            job.arrival.finish()
            del self._running[key]
            exit_code, cause, seconds, detail = value
            return Ended(key, exit_code, Cause(cause), seconds, detail)
        return None

    def _failed(self, key: str, error: Exception) -> Ended:
        """End a job whose task has failed. Ray's own words name machines; records do not."""
        errors = self._ray.exceptions
        cause = getattr(error, "cause", None) if isinstance(error, errors.RayTaskError) else error
        if isinstance(cause, errors.OutOfMemoryError):
            return self._end(key, Cause.MEMORY, detail="killed by Ray, for its node had no memory left")
        if isinstance(cause, errors.RayError) or cause is None:
            return self._end(key, Cause.LOST, detail=f"the node or its process is gone ({type(cause).__name__})")
        full = is_disk_full(cause)
        return self._end(
            key,
            Cause.ENDED,
            exit_code=EXIT_DISK_FULL if full else 1,
            detail=f"the task on the node failed: {type(cause).__name__}: {cause}",
        )

    def _end(self, key: str, cause: Cause, *, exit_code: int | None = None, detail: str = "") -> Ended:
        """Return the end of a job that did not report its own."""
        job = self._running.pop(key)
        job.arrival.drop()
        if job.cancelled is not None:
            cause, exit_code = Cause.TIME, None
            detail = f"cancelled {BACKSTOP_SECONDS:g} s after the limit of {job.seconds:g} s; its node had not ended it"
        return Ended(key, exit_code, cause, time.monotonic() - (job.started or job.submitted), detail)

    # ------------------------------------------------------------------------------------------------------- limits

    def _keep_limits(self) -> None:
        """Cancel the jobs that their nodes should have ended long ago."""
        now = time.monotonic()
        for job in self._running.values():
            if job.cancelled is None and job.overdue(now):
                job.cancelled = now
                self._cancel(job, force=True)

    def _cancel(self, job: _RayJob, *, force: bool) -> None:
        with suppress(Exception):  # it has just ended, or the cluster is gone
            self._ray.cancel(job.messages, force=force)

    # -------------------------------------------------------------------------------------------------------- nodes

    def _count_slots(self) -> int:
        """Return how many jobs the cluster's nodes have room for; ask Ray every other second."""
        if time.monotonic() - self._counted > 2:
            alive = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
            self._slots = sum(slots_of(resources, self._cpus, self._gpus) for resources in alive)
            self._counted = time.monotonic()
        return self._slots

    def _check_nodes(self) -> None:
        """Refuse a cluster that cannot run a job, unless it may grow as needed (`jobs`).

        Raises:
            GraftbenchError: It says what the cluster has.
        """
        if self._jobs is None and not self._count_slots():
            total = self._ray.cluster_resources()
            held = f"{total.get('CPU', 0):g} CPU and {total.get('GPU', 0):g} GPU in all"
            raise GraftbenchError(f"The Ray cluster has no node with {self._needs()}; it has {held}.")

    def _await_node(self) -> None:
        """Wait a while for a node that can run a job, unless the cluster may grow as needed (`jobs`).

        Raises:
            GraftbenchError: None came.
        """
        deadline = time.monotonic() + NO_NODE_SECONDS
        while self._jobs is None and not self._count_slots():
            if time.monotonic() > deadline:
                raise GraftbenchError(
                    f"The Ray cluster has no node with {self._needs()} any more. Nothing recorded is lost; start "
                    "nodes (`ray start --address=HEAD:PORT`) and run the same command again."
                )
            time.sleep(0.5)

    def _needs(self) -> str:
        return f"{self._cpus:g} CPU" + (f" and {self._gpus:g} GPU" if self._gpus else "")

    def close(self) -> None:
        """End the running jobs, and leave the cluster; a cluster that was started here ends."""
        running = list(self._running.values())
        self._running.clear()
        if not self._connection.open:
            return
        for force in (False, True):  # first so that tasks clear up: what they started has ended when they have
            for job in running:
                self._cancel(job, force=force)
            deadline = time.monotonic() + CLOSE_SECONDS
            while running and time.monotonic() < deadline:
                running = [job for job in running if not self._has_ended(job)]
        for job in running:
            job.arrival.drop()
        self._parcels.clear()
        self._connection.close()

    def _has_ended(self, job: _RayJob) -> bool:
        """Take a cancelled task's next message, and return whether it has ended."""
        try:
            ready, _ = self._ray.wait([job.messages], timeout=0.1)
            if not ready:
                return False
            kind, _ = self._ray.get(next(job.messages))
        except (Exception, StopIteration):  # noqa: BLE001 - the error of its cancelling, or of a cluster that is gone
            ended = True
        else:
            ended = kind == "ended"
        if ended:
            job.arrival.drop()
        return ended


def slots_of(resources: Mapping[str, float], cpus: float, gpus: float) -> int:
    """Return how many jobs fit on a node. Fractions of a GPU do not join across GPUs.

    Args:
        resources: The node's resources, as Ray names them (`CPU`, `GPU`).
        cpus: CPUs per job, above 0.
        gpus: GPUs per job: 0, a fraction of one, or a whole number.
    """
    tiny = 1e-6  # 1 / 0.1 is to be 10
    by_cpu = int(resources.get("CPU", 0) / cpus + tiny)
    if not gpus:
        return by_cpu
    held = int(resources.get("GPU", 0) + tiny)
    return min(by_cpu, held * int(1 / gpus + tiny) if gpus <= 1 else int(held / gpus + tiny))


def _check_resources(cpus: float, gpus: float, jobs: int | None) -> None:
    if not 0 < cpus < math.inf:
        raise GraftbenchError(f"A job needs more than 0 CPUs; found {cpus:g}.")
    if not 0 <= gpus < math.inf or (gpus > 1 and gpus != int(gpus)):
        raise GraftbenchError(f"A job has a fraction of a GPU, or a whole number of GPUs; found {gpus:g}.")
    if jobs is not None and jobs < 1:
        raise GraftbenchError(f"jobs must be at least 1; found {jobs}.")


# --------------------------------------------------------------------------------------------- what a job consists of


_PLUGIN_FOLDERS = ("methods", "datasets", "reports")


def _needed(job: Job) -> dict[str, tuple[dict[str, Path], str]]:
    """Return path that a job names -> the files of its parcel, and the path's name in it (empty: the whole parcel)."""
    if isinstance(job, SourceJob) and job.imported:
        imported = Path(job.imported)
        return {job.imported: ({imported.name: imported}, imported.name)}
    if not isinstance(job, CellJob):
        return {job.images: (shipping.files_under(Path(job.images)), "")}
    needed = {path: (shipping.files_under(Path(path)), "") for path in job.images.values()}
    if job.source_model_file:
        file = Path(job.source_model_file)
        needed[job.source_model_file] = {file.name: file}, file.name
    if job.samples is not None:
        images = job.samples.source  # a folder, of which the pictures are sent, or a file
        needed[str(images)] = (
            (list_images(images).files, "") if images.is_dir() else ({images.name: images}, images.name)
        )
    return needed | {plugin: _plugin(Path(plugin)) for plugin in job.plugins}


def _plugin(path: Path) -> tuple[dict[str, Path], str]:
    """Return a plugin folder whole; of a plugin file, the file and those beside it that it imports.

    Raises:
        GraftbenchError: The folder holds too much to be a plugin.
    """
    if path.is_dir():
        files = shipping.files_under(path)
        if (held := sum(file.stat().st_size for file in files.values())) > PLUGIN_BYTES:
            raise GraftbenchError(
                f"The plugin folder '{path}' holds {held >> 20} MiB; at most {PLUGIN_BYTES >> 20} MiB are sent to "
                "nodes. Keep data elsewhere, or name the plugin's files one by one."
            )
        return files, ""
    path = path.resolve()
    beside = [file for file in imported_files([path]) if file.is_relative_to(path.parent)]
    return {file.relative_to(path.parent).as_posix(): file for file in sorted(beside)}, path.name


def _without_weights(job: Job) -> Job:
    """Leave the protocol's own paths of weights out of a job: a node finds them in FOLDER_VARIABLE."""
    if isinstance(job, SourceJob):
        return job
    if not isinstance(job, CellJob):
        return msgspec.structs.replace(job, protocol=job.protocol.with_weights_at(lambda _: ""))
    protocol = job.cell.protocol.with_weights_at(lambda _: "")
    return msgspec.structs.replace(job, cell=msgspec.structs.replace(job.cell, protocol=protocol))


# ------------------------------------------------------------------------------------------------------- connection


def _import_ray() -> Any:  # noqa: ANN401 - Ray's types are an extra
    # Read when Ray is imported. It sends statistics about its use to its makers unless told not to.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray 2.5x warns about the other setting
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise GraftbenchError(f"Ray is not installed ({error}): pip install 'graftbench[ray]'.") from error


class _Connection:
    """This process as a driver of a cluster. One that Ray has already (in a notebook) is used and left as it is."""

    def __init__(self, ray: Any, address: str | None, *, cpus: int | None) -> None:  # noqa: ANN401 - Ray's types are an extra
        self._ray = ray
        self._is_ours = not ray.is_initialized()
        self.open = True
        if not self._is_ours:
            return
        checked_address = _checked_address(address)
        sizes = {"num_cpus": cpus, "include_dashboard": False} if address is None else {}
        _silence()
        try:
            with _own_signal_handlers():
                ray.init(address=checked_address, log_to_driver=False, logging_level=logging.CRITICAL, **sizes)
        except Exception as error:
            raise GraftbenchError(_no_cluster(checked_address, str(error).strip().partition("\n")[0])) from error
        self._last_words = LastWords(
            "graftbench: this process was ended from outside, as Ray does where the node that it runs on dies. Nothing "
            "that was recorded is lost; run the same command again."
        )

    def close(self) -> None:
        """Leave the cluster."""
        self.open = False
        if self._is_ours:
            self._ray.shutdown()
            self._last_words.withdraw()


def _checked_address(address: str | None) -> str:
    """Return an address behind which a cluster answers; `ray.init` itself tries for 80 s.

    Raises:
        GraftbenchError: No cluster answers.
    """
    if address is None:
        return "local"
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or "auto"
    if address == "auto":
        return address  # Ray looks for the processes of a cluster on this machine, which takes no time
    if "://" in address:
        raise GraftbenchError(
            f"The address '{address}' is one of Ray's client, which cannot bring back what jobs leave. Run graftbench "
            "on a machine of the cluster, with the address auto."
        )
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdigit()):
        raise GraftbenchError(f"An address of a Ray cluster is HOST:PORT or auto; found '{address}'.")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS / 2).close()
    except (OSError, OverflowError) as error:
        raise GraftbenchError(_no_cluster(address, str(error))) from error
    _check_health(address)
    return address


def _check_health(address: str) -> None:
    """Refuse an address without a Ray cluster, by Ray's own command: only a process can be given up.

    Raises:
        GraftbenchError: No cluster answers.
    """
    command = [*processes.PYTHON, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    try:
        health = subprocess.run(command, capture_output=True, timeout=CONNECT_SECONDS, check=False)  # noqa: S603 - Ray's
        healthy = health.returncode == 0
    except subprocess.TimeoutExpired:
        healthy = False
    if not healthy:
        raise GraftbenchError(_no_cluster(address, "what listens there does not answer as one"))


def _no_cluster(address: str, why: str) -> str:
    return (
        f"There is no Ray cluster at '{address}' ({why}). Start one with `ray start --head` on one machine and "
        "`ray start --address=HOST:PORT` on the others, and run graftbench on one of them with the address auto."
    )


def _silence() -> None:
    """Keep Ray's messages on dying nodes off the terminal: Ray has no switch for it, and the driver reports them.

    `listen_error_messages` prints every error of the cluster on standard output, log_to_driver or not (Ray 2.60).
    """
    worker: Any = importlib.import_module("ray._private.worker")
    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *_, **__: None


@contextmanager
def _own_signal_handlers() -> Iterator[None]:
    """Put the program's handler of SIGTERM back, which `ray.init` replaces."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
