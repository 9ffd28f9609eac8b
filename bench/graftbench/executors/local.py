"""Cells side by side on this machine, one process and one thread each, with a hard time limit."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Ended:
    """How a cell's process ended.

    Attributes:
        key: The cell's id.
        exit_code: The process's exit code; negative for a signal; None where the process was lost.
        timed_out: True if it was killed because its time was up.
        seconds: From start to end.
    """

    key: str
    exit_code: int | None
    timed_out: bool
    seconds: float


@dataclass
class _Running:
    started: float
    pid: int = 0
    timed_out: bool = False


class LocalExecutor:
    """Forks cells from one process that has imported torch (see zygote.py).

    Args:
        seconds: Wall time after which a cell's process group is killed.
    """

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds
        self._running: dict[str, _Running] = {}
        environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self._zygote = subprocess.Popen(
            [sys.executable, "-m", "graftbench.executors.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        self._in, self._out = self._zygote.stdin, self._zygote.stdout
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._out, selectors.EVENT_READ)
        self._buffer = b""

    @property
    def running(self) -> int:
        """Cells that have been started and have not ended."""
        return len(self._running)

    def start(self, key: str, job: Path, log: Path) -> None:
        """Start a cell's process. It may wait for the first import of torch.

        Raises:
            GraftbenchError: The parent of the cells' processes has died.
        """
        request = json.dumps({"key": key, "job": str(job), "log": str(log)}) + "\n"
        try:
            self._in.write(request.encode())
            self._in.flush()
        except OSError as error:
            raise GraftbenchError("The process that starts cells has died; run the same command again.") from error
        self._running[key] = _Running(time.monotonic())

    def wait(self, seconds: float) -> Iterator[Ended]:
        """Cells that ended within the next `seconds`; returns early when one does."""
        if self._selector.select(timeout=seconds):
            data = os.read(self._out.fileno(), 65536)
            if not data:
                yield from self._lost()
                return
            *lines, self._buffer = (self._buffer + data).split(b"\n")
            for line in lines:
                ended = self._note(json.loads(line))
                if ended is not None:
                    yield ended
        self._enforce()

    def _note(self, message: dict[str, object]) -> Ended | None:
        key = message.get("key")
        if not isinstance(key, str) or key not in self._running:
            return None
        cell = self._running[key]
        if isinstance(pid := message.get("pid"), int):
            cell.pid, cell.started = pid, time.monotonic()
            return None
        code = message["exit_code"]
        assert isinstance(code, int)
        del self._running[key]
        return Ended(key, code, cell.timed_out, time.monotonic() - cell.started)

    def _lost(self) -> Iterator[Ended]:
        for key, cell in list(self._running.items()):
            del self._running[key]
            yield Ended(key, None, timed_out=False, seconds=time.monotonic() - cell.started)

    def _enforce(self) -> None:
        now = time.monotonic()
        for cell in self._running.values():
            if cell.pid and not cell.timed_out and now - cell.started > self._seconds:
                cell.timed_out = True
                _kill_group(cell.pid)

    def close(self) -> None:
        """Kill what is running and end."""
        for cell in self._running.values():
            if cell.pid:
                _kill_group(cell.pid)
        self._running.clear()
        self._selector.close()
        with suppress(OSError):  # it has died: there is nobody to tell
            self._in.close()
        try:
            self._zygote.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._zygote.kill()
            self._zygote.wait()
        self._out.close()


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
