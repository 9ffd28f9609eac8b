"""The half of the Ray executor that runs on a node: it unpacks what a job needs, and runs the job."""

from __future__ import annotations

import math
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import msgspec

from graftbench.execution.executors import shipping
from graftbench.execution.executors.local import LocalExecutor
from graftbench.execution.job import JOB, PROGRESS, Cause, CellJob, Ended, Job, SourceJob, decode
from graftbench.extractors.weights import FOLDER_VARIABLE
from graftbench.resources import processes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence


CLOSE_SECONDS = 5.0


PROGRESS_SECONDS = 2.0
"""A job's progress is sent at most this often."""


Reference = Any
"""A reference to an object in Ray's store."""


Parcel = tuple[str, list[Reference]]
"""Hash of some files, and the bundles in Ray's store that hold them."""


class Order(TypedDict):
    """A task's order, in plain values: it is read before graftbench can be imported.

    Attributes:
        code: Parcel of the package.
        job: The job as JSON, with the driver's paths.
        places: Path on the driver's machine -> parcel that holds it, and its name inside; the name is empty where the
            parcel is the whole folder.
        weights: Parcel of the extractor's weights.
        earlier: Parcel of what an earlier attempt left in the job's folder.
        device: `cpu`, or `cuda:0`: Ray shows a job no other GPU than its own.
        seconds: Limit of wall time.
        memory_mib: Limit of resident memory.
    """

    code: Parcel
    job: bytes
    places: dict[str, tuple[str, list[Reference], str]]
    weights: Parcel | None
    earlier: Parcel | None
    device: str
    seconds: float | None
    memory_mib: float | None


def _relocated(job: Job, path_on_node: Callable[[str], str], *, folder: Path, cache: Path, device: str) -> Job:
    """Return the job with the paths of the machine that runs it."""
    job = msgspec.structs.replace(job, folder=str(folder), cache=str(cache), device=device)
    if isinstance(job, SourceJob) and job.imported:
        return msgspec.structs.replace(job, imported=path_on_node(job.imported))
    if not isinstance(job, CellJob):
        return msgspec.structs.replace(job, images=path_on_node(job.images))
    samples = job.samples
    if samples is not None:
        samples = msgspec.structs.replace(samples, path=path_on_node(str(samples.source)), folder="")
    return msgspec.structs.replace(
        job,
        images={name: path_on_node(path) for name, path in job.images.items()},
        source_model_file=path_on_node(job.source_model_file) if job.source_model_file else "",
        plugins=[path_on_node(path) for path in job.plugins],
        samples=samples,
    )


Fetch = Callable[[Reference], list[tuple[str, bytes]]]
"""Reference to a bundle -> the bundle."""


class Keeper:
    """A process that runs one job after another with the node's `LocalExecutor`, for the process of a Ray task.

    Ray kills the children of a task's process when that ends, and they cannot clear up. The processes that the keeper
    has started are not among them: they see the pipe to the keeper break, and end all that jobs have started.

    Args:
        device: The device of the jobs.
    """

    def __init__(self, device: str) -> None:
        command = [*processes.PYTHON, "-m", __name__, device]
        self._process = subprocess.Popen(  # noqa: S603 - this file
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )

    def start(self, order: KeeperOrder) -> None:
        """Start a job.

        Raises:
            OSError: The process is gone.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")
        self._process.stdin.flush()

    def wait(self, seconds: float) -> Ended | None:
        """Wait for the end of the job; None if it has not ended within `seconds`."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        if not ready:
            return None
        if line := self._process.stdout.readline():
            return msgspec.json.decode(line, type=Ended)
        return Ended("", None, Cause.LOST, 0.0, "the process that started the job on its node died")

    def close(self) -> None:
        """End the process and what it runs; returns when all of it has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):  # it has died
            self._process.stdin.close()
        try:
            self._process.wait(timeout=2 * CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class KeeperOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A line to the keeper's process: a job in its folder, and its limits."""

    job: Job
    seconds: float | None
    memory_mib: float | None


def main(arguments: Sequence[str]) -> None:
    """Serve as the keeper: a job per line of standard input, its end on standard output; end with the former."""
    (device,) = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    executor = LocalExecutor(jobs=1, devices=[device])
    try:
        while line := sys.stdin.buffer.readline():
            order = msgspec.json.decode(line, type=KeeperOrder)
            folder = Path(order.job.folder)
            executor.start("", order.job, folder, seconds=order.seconds, memory_mib=order.memory_mib)
            while not (ended := executor.wait(0.2)):
                if select.select([0], [], [], 0)[0]:  # no order comes while a job runs: this is the end
                    return
            os.write(1, msgspec.json.encode(ended[0]) + b"\n")
    finally:
        executor.close()


_KEPT: dict[tuple[str, ...], Keeper] = {}
"""In a task's process: the keeper that runs its jobs. It has imported torch, and serves later tasks of the process too,
as long as they have the same code, GPU and weights."""


def _close_kept() -> None:
    while _KEPT:
        _KEPT.popitem()[1].close()


def carry_out(order: Order, home: Path, fetch: Fetch) -> Iterator[tuple[str, Any]]:
    """Run an order's job on this node.

    Args:
        order: The order.
        home: The node's folder.
        fetch: Gets a bundle.

    Yields:
        ("started", None); ("progress", bytes of PROGRESS) now and then; ("files", bundle) for the job's files;
        ("ended", (exit code, cause, seconds, detail)).
    """
    folder = home / "jobs" / uuid.uuid4().hex
    folder.mkdir(parents=True)
    try:
        job = _arrange(order, home, folder, fetch)
        ended = yield from _run(order, job, folder)
        for bundle in shipping.bundles(shipping.files_under(folder, without=_is_temporary)):
            yield "files", bundle
        yield "ended", (ended.exit_code, str(ended.cause), ended.seconds, ended.detail)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _arrange(order: Order, home: Path, folder: Path, fetch: Fetch) -> Job:
    """Unpack everything that the job names on this node, and return the job with the paths here."""

    def parcel(digest: str, references: Collection[Reference]) -> Path:
        return shipping.settle(home / "parcels", digest, lambda: map(fetch, references))

    def path_on_node(path: str) -> str:
        digest, references, name = order["places"][path]
        return str(parcel(digest, references) / name)

    for reference in (order["earlier"] or ("", []))[1]:
        shipping.unpack(fetch(reference), folder)
    if order["weights"]:
        os.environ[FOLDER_VARIABLE] = str(parcel(*order["weights"]))
    return _relocated(decode(order["job"]), path_on_node, folder=folder, cache=home / "cache", device=order["device"])


def _run(order: Order, job: Job, folder: Path) -> Iterator[tuple[str, Any]]:
    """Run the job and return how it ended. Whatever interrupts this, the job's processes end with it."""
    weights = order["weights"][0] if order["weights"] else ""
    setting = (order["code"][0], os.environ.get("CUDA_VISIBLE_DEVICES", ""), weights)
    if setting not in _KEPT:
        _close_kept()
        _KEPT[setting] = Keeper(order["device"])
    keeper = _KEPT[setting]
    progress, sent = b"", -math.inf
    try:
        yield "started", None
        keeper.start(KeeperOrder(job=job, seconds=order["seconds"], memory_mib=order["memory_mib"]))
        while (ended := keeper.wait(0.5)) is None:
            if time.monotonic() - sent > PROGRESS_SECONDS and (now := _progress(folder)) != progress:
                progress, sent = now, time.monotonic()
                yield "progress", progress
    except BaseException:  # cancelled: a KeyboardInterrupt, wherever it hits
        _close_kept()
        raise
    if ended.cause == Cause.LOST:
        _close_kept()
    return ended


def _progress(folder: Path) -> bytes:
    try:
        return (folder / PROGRESS).read_bytes()
    except OSError:
        return b""


def _is_temporary(name: str) -> bool:
    """Return whether a file of the job's folder is of no use elsewhere."""
    return name in (JOB, PROGRESS) or name.startswith("checkpoint") or name.endswith(".part")


if __name__ == "__main__":
    main(sys.argv[1:])
