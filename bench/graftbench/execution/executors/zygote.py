"""A process that has imported torch once and forks a child per job: a job then starts in tens of milliseconds.

It imports torch but never touches CUDA, for a forked process cannot use a device that its parent has opened. It is not
`multiprocessing`'s fork server, which imports the caller's `__main__` again and so breaks scripts without a main guard.

It reads one JSON object a line from standard input (`JobRequest`) and answers on standard output with {"key", "pid"} at
the start of a job and {"key", "exit_code", "cause", "detail"} at its end. It keeps the limits, for it does nothing
else. When standard input ends, which it does when the driver dies in whatever way, every process of every job ends.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import selectors
import signal
import sys
import time
import traceback
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from graftbench.execution.job import LOG, Cause
from graftbench.resources import processes

if TYPE_CHECKING:
    from collections.abc import Iterator

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36

NOT_OURS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that the driver handles; this process ends with its standard input."""

WATCH_SECONDS = 0.25
"""Seconds between two looks at the limits and the process tree."""

LOG_LIMIT_BYTES, LOG_KEPT_BYTES = 8 << 20, 256 << 10
"""A log that grows beyond the limit is cut to its end: a job that prints without end must not fill the disk."""


class JobRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to start a job.

    Attributes:
        key: The key of the answers.
        job: Path of the job file; its log is written beside it.
        seconds: Wall time after which everything that the job started is killed.
        memory_mib: Resident memory of all its processes together above which they are killed.
    """

    key: str
    job: str
    seconds: float | None = None
    memory_mib: float | None = None


@dataclass
class _ChildJob:
    request: JobRequest
    family: processes.Family
    started: float
    kernel_kills: int
    cause: Cause = Cause.ENDED
    detail: str = ""

    def over_limit(self) -> bool:
        """Return whether the job is over a limit, and note which."""
        limits = self.request
        if limits.seconds is not None and time.monotonic() - self.started > limits.seconds:
            self.cause = Cause.TIME
            self.detail = f"killed after the limit of {limits.seconds:g} s"
        elif limits.memory_mib is not None and (held := self.family.held_mib(limits.memory_mib)) > limits.memory_mib:
            self.cause = Cause.MEMORY
            self.detail = f"killed at {held:.0f} MiB of resident memory; the limit is {limits.memory_mib:g} MiB"
        return self.cause != Cause.ENDED


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _child(path: Path, parent: int) -> int:
    """Run one job in the forked process, in a session of its own, by which the processes that it starts are known."""
    os.setsid()
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before it could be asked for
        return 1
    for number in (*NOT_OURS, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    log = os.open(path.with_name(LOG), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor, target in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
        os.dup2(descriptor, target)
    processes.be_killed_first()
    from graftbench.execution.worker import run_job_file  # noqa: PLC0415 - imported already; see main

    try:
        run_job_file(path)
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else 1
    except BaseException:  # noqa: BLE001 - the log keeps it, the driver makes the row
        with suppress(OSError):  # the log's disk is full
            traceback.print_exc()
        return 1
    return 0


def _answer(**message: object) -> None:
    os.write(1, msgspec.json.encode(message) + b"\n")


def _import_what_children_share() -> None:
    """Import torch, the built-in methods, the extractor's library: two seconds that each child would pay again.

    Plugins given by path are not among them: a child imports its own, so that one that crashes takes nobody along.
    timm imports W&B where it is installed, which makes temporary folders that a killed process leaves behind.
    """
    with _hidden("wandb"):
        importlib.import_module("timm")
    for module in (
        "graftbench.execution.worker",
        "graftbench.extractors.lite",
    ):
        importlib.import_module(module)
    registry = importlib.import_module("graftbench.plugins.registry")
    code_hash = importlib.import_module("graftbench.plugins.code_hash")
    registry.domains()
    for method in registry.methods().classes.values():
        code_hash.code_of(method)  # its cache is inherited by children


@contextmanager
def _hidden(package: str) -> Iterator[None]:
    """Let the import of a package fail inside, as if it were not installed, unless it is imported already."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # pyright: ignore[reportArgumentType] - what the import system takes for "not there"
    try:
        yield
    finally:
        del sys.modules[package]


def main() -> None:
    """Serve until standard input or output is closed; then end everything that was started, and this process at once.

    The interpreter's own end would take seconds with all that was imported, and there is nothing to put in order.
    """
    for number in NOT_OURS:
        signal.signal(number, signal.SIG_IGN)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)  # orphans of jobs become children of this process, and so stay findable
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # there is nothing to end yet, and the imports take seconds
    _import_what_children_share()
    _prctl(PR_SET_PDEATHSIG, 0)
    code = 1
    try:
        Server().serve()
        code = 0
    except BaseException:  # noqa: BLE001 - printed, as the interpreter would
        traceback.print_exc()
    finally:
        os._exit(code)


class Server:
    """Starts a child per job, keeps its limits, and reports its end."""

    def __init__(self) -> None:
        self._jobs: dict[int, _ChildJob] = {}
        self._buffer = b""
        self._watched = time.monotonic()
        self._wake, wake_write = os.pipe()
        for end in (self._wake, wake_write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector = selectors.DefaultSelector()
        self._selector.register(0, selectors.EVENT_READ)
        self._selector.register(self._wake, selectors.EVENT_READ)

    def serve(self) -> None:
        """Serve until the driver is gone."""
        try:
            _answer(ready=True)
            while self._read():
                self._watch()
                self._reap()
        except BrokenPipeError:
            pass
        finally:
            self._end_all()

    def _read(self) -> bool:
        """Take requests; return False when standard input has ended."""
        for ready, _ in self._selector.select(timeout=WATCH_SECONDS if self._jobs else None):
            if ready.fd == self._wake:
                os.read(self._wake, 4096)
                continue
            data = os.read(0, 65536)
            if not data:
                return False
            *lines, self._buffer = (self._buffer + data).split(b"\n")
            for line in lines:
                self._start(msgspec.json.decode(line, type=JobRequest))
        return True

    def _start(self, request: JobRequest) -> None:
        kills, parent = processes.kernel_kills(), os.getpid()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                code = _child(Path(request.job), parent)
            finally:
                for stream in (sys.stdout, sys.stderr):
                    with suppress(OSError, ValueError):  # the log's disk is full; the job has closed it
                        stream.flush()
                os._exit(code)  # nothing may keep a child from ending here: it would go on as a second server
        self._jobs[pid] = _ChildJob(request, processes.Family(pid), time.monotonic(), kills)
        _answer(key=request.key, pid=pid)

    def _watch(self) -> None:
        if time.monotonic() - self._watched < WATCH_SECONDS or not self._jobs:
            return
        self._watched = time.monotonic()
        table = processes.table()
        for pid, job in self._jobs.items():
            job.family.look(table)
            _cut_log(Path(job.request.job).with_name(LOG))
            if job.cause == Cause.ENDED and job.over_limit():
                processes.halt(pid)  # so that it does not go on without its children
                job.family.kill(spare=pid)  # children first: they are found while their parent lives
                processes.kill(pid)

    def _reap(self) -> None:
        for pid in list(self._jobs):
            ended_pid, status = os.waitpid(pid, os.WNOHANG)
            if ended_pid:
                job = self._jobs.pop(pid)
                job.family.kill()
                self._end_orphans()
                self._report(job, os.waitstatus_to_exitcode(status))

    def _report(self, job: _ChildJob, exit_code: int) -> None:
        if job.cause == Cause.ENDED and exit_code == -signal.SIGKILL and processes.kernel_kills() > job.kernel_kills:
            job.cause, job.detail = Cause.MEMORY, "killed by the kernel, which had no memory left"
        _cut_log(Path(job.request.job).with_name(LOG))
        _answer(key=job.request.key, exit_code=exit_code, cause=job.cause, detail=job.detail)

    def _end_orphans(self) -> None:
        """Kill orphans that no running job can have started, and collect the dead.

        A process that left its session and lost its parent between two looks cannot be matched to a job; but if it is
        older than every running job, its own job has ended.
        """
        oldest = min((job.family.born for job in self._jobs.values()), default=None)
        for process in processes.children_of(os.getpid()):
            if process.pid not in self._jobs and (oldest is None or process.born < oldest):
                processes.kill_tree(process.pid)
        for process in processes.children_of(os.getpid()):
            if process.pid not in self._jobs:
                os.waitpid(process.pid, os.WNOHANG)

    def _end_all(self) -> None:
        table = processes.table()
        for job in self._jobs.values():
            job.family.look(table)
            job.family.kill()
        self._jobs.clear()
        processes.end_children()


def _cut_log(path: Path) -> None:
    """Keep the end of a log that has become too long. What is written meanwhile may be lost, nothing else."""
    try:
        size = path.stat().st_size
        if size <= LOG_LIMIT_BYTES:
            return
        with path.open("r+b") as log:
            log.seek(-LOG_KEPT_BYTES, os.SEEK_END)
            tail = log.read()
            log.truncate(0)
            log.seek(0)
            log.write(b"[the first %d bytes were cut off]\n" % (size - len(tail)) + tail)
    except OSError:
        return


if __name__ == "__main__":
    main()
