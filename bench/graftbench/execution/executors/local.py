"""Jobs side by side on this machine, one process each, under hard limits."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from graftbench.errors import GraftbenchError
from graftbench.execution.executors.placement import Placement
from graftbench.execution.executors.zygote import JobRequest
from graftbench.execution.job import JOB, Cause, Ended, Job, is_portable
from graftbench.resources import processes
from graftbench.resources.determinism import variables_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from graftbench.execution.executors import Limit

BACKSTOP_SECONDS = 30.0
"""This process enforces limits itself so much later than the process that keeps them."""


@dataclass
class _LocalJob:
    started: float
    device: str
    seconds: float | None
    pid: int = 0


class LocalExecutor:
    """Forks jobs from one process that has imported torch (see zygote.py).

    Args:
        jobs: How many run side by side at most.
        devices: Where they run, by turns; `cpu` alone or CUDA devices.
        placement: Decides which device has room; made from `devices` by default.
    """

    def __init__(self, *, jobs: int = 1, devices: Sequence[str] = ("cpu",), placement: Placement | None = None) -> None:
        self._jobs = jobs
        self._placement = placement or Placement(devices)
        self._running: dict[str, _LocalJob] = {}
        self._zygote: subprocess.Popen[bytes] | None = None
        self._variables: Mapping[str, str] = {}
        self._selector = selectors.DefaultSelector()
        self._buffer = b""

    @property
    def running(self) -> Sequence[str]:
        """Return the keys of the jobs that were started and have not been reported as ended."""
        return list(self._running)

    def room(self, memory_mib: float | None = None) -> bool:
        """Return whether another job may be started now.

        Args:
            memory_mib: Memory that it is expected to hold on its device; None where nobody knows. It counts on CUDA
                devices alone: a job of unknown size gets a device for itself.
        """
        return len(self._running) < self._jobs and self._device(memory_mib) is not None

    def _device(self, memory_mib: float | None) -> str | None:
        return self._placement.choose([job.device for job in self._running.values()], memory_mib)

    def start(
        self, key: str, job: Job, folder: Path, *, seconds: Limit, memory_mib: Limit, expected_mib: float | None = None
    ) -> None:
        """Start a job; see `Executor.start`. It may wait for the first import of torch.

        Args:
            key: The key under which its end is reported.
            job: The job; its device is set here.
            folder: The job's folder.
            seconds: Hard limit of wall time.
            memory_mib: Hard limit of resident memory.
            expected_mib: As in `room`.
        """
        device = self._device(expected_mib) or self._placement.devices[0]
        path = folder / JOB
        path.touch(0o600)  # it may hold secrets
        path.write_bytes(msgspec.json.encode(msgspec.structs.replace(job, device=device)))
        self._use(variables_of(portable=is_portable(job)))
        request = JobRequest(key=key, job=str(path), seconds=seconds, memory_mib=memory_mib)
        self._send(msgspec.json.encode(request) + b"\n")
        self._running[key] = _LocalJob(time.monotonic(), device, seconds)

    def _use(self, variables: Mapping[str, str]) -> None:
        """Have jobs started by a process with these variables: another one, once the jobs of the last have ended."""
        if variables != self._variables and self._running:
            raise GraftbenchError("Jobs under two kinds of `determinism` cannot run side by side; run them in turn.")
        if variables != self._variables and self._zygote is not None:
            self._bury()
        self._variables = variables

    def _send(self, line: bytes) -> None:
        """Send a line to the process that starts jobs; a dead one is replaced once."""
        for _ in range(2):
            zygote = self._zygote or self._spawn()
            assert zygote.stdin is not None
            try:
                zygote.stdin.write(line)
                zygote.stdin.flush()
            except OSError:
                self._bury()
            else:
                return
        raise GraftbenchError("The process that starts cells dies at once; run the same command again.")

    def _spawn(self) -> subprocess.Popen[bytes]:
        self._zygote = subprocess.Popen(  # noqa: S603 - this very program
            [*processes.PYTHON, "-m", "graftbench.execution.executors.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=spawn_environment(self._variables),
        )
        assert self._zygote.stdout is not None
        self._selector.register(self._zygote.stdout, selectors.EVENT_READ)
        self._buffer = b""
        return self._zygote

    def wait(self, seconds: float) -> list[Ended]:
        """Return jobs that ended within the next `seconds`; early when one does."""
        if self._zygote is None:
            return self._lose_all()
        ended: list[Ended] = []
        if self._selector.select(timeout=seconds):
            assert self._zygote.stdout is not None
            data = os.read(self._zygote.stdout.fileno(), 65536)
            if not data:
                self._bury()
                return self._lose_all()
            *lines, self._buffer = (self._buffer + data).split(b"\n")
            ended = [end for line in lines if (end := self._note(msgspec.json.decode(line))) is not None]
        self._enforce()
        return ended

    def _note(self, message: dict[str, object]) -> Ended | None:
        """Note the start of a job, or return its end."""
        key = message.get("key")
        if not isinstance(key, str) or key not in self._running:
            return None
        job = self._running[key]
        if isinstance(pid := message.get("pid"), int):
            job.pid, job.started = pid, time.monotonic()
            return None
        del self._running[key]
        code = message["exit_code"]
        assert isinstance(code, int)
        seconds = time.monotonic() - job.started
        return Ended(key, code, Cause(str(message["cause"])), seconds, str(message["detail"]))

    def _lose_all(self) -> list[Ended]:
        """Report all running jobs as lost: the process that started them is gone, and they with it."""
        now = time.monotonic()
        lost = [
            Ended(key, None, Cause.LOST, now - job.started, "the process that started the cell died")
            for key, job in self._running.items()
        ]
        self._running.clear()
        return lost

    def _enforce(self) -> None:
        """Enforce the limits that zygote.py keeps once more: its process may itself have been stopped."""
        now = time.monotonic()
        for job in self._running.values():
            if job.pid and job.seconds is not None and now - job.started > job.seconds + BACKSTOP_SECONDS:
                processes.kill_tree(job.pid)

    def _bury(self) -> None:
        """End the process that starts jobs, if it is there, and whatever it had started."""
        zygote, self._zygote = self._zygote, None
        if zygote is None:
            return
        assert zygote.stdin is not None
        assert zygote.stdout is not None
        self._selector.unregister(zygote.stdout)
        with suppress(OSError):  # it has died
            zygote.stdin.close()  # it then ends everything that it has started
        try:
            zygote.wait(timeout=10)
        except subprocess.TimeoutExpired:
            processes.kill_tree(zygote.pid)
            zygote.wait()
        for job in self._running.values():  # where it was killed, it could not
            if job.pid:
                processes.kill_tree(job.pid)
        zygote.stdout.close()

    def close(self) -> None:
        """Kill the running jobs and end."""
        self._bury()
        self._running.clear()


def spawn_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the process that starts jobs: this one's, and what must hold before torch computes."""
    # A job sets its own number of threads; NVML counts GPUs as CUDA does only in this order.
    fixed = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    return {**os.environ, **fixed, **variables}
