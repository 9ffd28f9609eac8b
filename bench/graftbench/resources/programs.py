"""A program of somebody else, run and watched: its time, its memory, its words, and every process that it starts.

It gets a session of its own and no input. When its first process has ended, or its time is up, all that it started is
ended too: what is read of its files afterwards does not change any more. On Linux that includes processes that left
the session and lost their parents; elsewhere the program's process group is all that is known.
"""

from __future__ import annotations

import codecs
import ctypes
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftbench.errors import GraftbenchError
from graftbench.resources import processes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

FIRST_LOOK_SECONDS, LOOK_SECONDS = 0.005, 0.2
"""How often processes and memory are looked at: at first soon, then by and by less often. A look takes milliseconds; a
peak that is shorter than the time between two may be missed."""

PATIENCE_SECONDS = 0.5
"""Helpers that end by themselves when the first process has ended (workers that load data) are not left behind."""

KILL_SECONDS = 10.0
"""So long is tried to end what is left behind."""

LOG_CHARACTERS = 16 << 20
"""So much of what a program prints goes into the log; of what follows only the end is kept."""

TAIL_CHARACTERS = 4000
"""So much of the end is handed back."""

PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER = 36, 37


@dataclass(frozen=True)
class Program:
    """A program to run.

    Attributes:
        words: The program and its arguments; no shell reads them.
        folder: The working directory.
        environment: All of it; nothing is inherited.
    """

    words: Sequence[str]
    folder: Path
    environment: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Ran:
    """The end of a program, and what it used.

    Attributes:
        exit_code: Of its first process; negative: the signal that ended it.
        timed_out: It was ended because its time was up.
        out_of_memory: The kernel has ended it for want of memory.
        seconds: From its start to the end of its first process.
        peak_memory_mib: The most memory that all its processes held at once, resident; None where nobody can tell.
        device_memory_mib: The same on the device; None where nobody looked or its processes were never seen there.
        left_behind: How many of its processes ran still after its first one had ended.
        tail: The end of what it printed.
    """

    exit_code: int
    timed_out: bool
    out_of_memory: bool
    seconds: float
    peak_memory_mib: float | None
    device_memory_mib: float | None
    left_behind: int
    tail: str


def run(
    program: Program,
    *,
    seconds: float | None = None,
    held_on_device: Callable[[Collection[int]], float | None] = lambda _: None,
    say: Callable[[str], None] | None = None,
) -> Ran:
    """Run a program to its end.

    Args:
        program: What.
        seconds: When its time is up, counted from its start; None for no limit.
        held_on_device: MiB that processes with these pids hold on the device, None where none is seen.
        say: Told what it prints, while it does; by default that goes to standard error.

    Raises:
        GraftbenchError: It cannot be started.
    """
    with _adopting_orphans():
        started, kills = time.monotonic(), processes.kernel_kills()
        others = {process.pid for process in processes.children_of(os.getpid())}
        try:
            process = _started(program)
            watch, log = _Watch(process.pid, others, held_on_device), _Log(process, say or _to_stderr)
        except BaseException:  # an interrupt that came before the watch began
            _end_sessions(process.pid for process in processes.children_of(os.getpid()) if process.pid not in others)
            raise
        try:
            timed_out = not watch.wait(None if seconds is None else started + seconds)
            lasted = time.monotonic() - started
            survivors = 0 if timed_out else watch.left_behind()
        finally:
            watch.end()
            process.returncode = watch.exit_code
            tail = log.end()
    return Ran(
        exit_code=watch.exit_code,
        timed_out=timed_out,
        out_of_memory=watch.exit_code == -signal.SIGKILL and not timed_out and processes.kernel_kills() > kills,
        seconds=lasted,
        peak_memory_mib=watch.peak_mib or None,
        device_memory_mib=watch.device_mib,
        left_behind=survivors,
        tail=tail,
    )


def _started(program: Program) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - to run what the user says is what this is for
            list(program.words),
            cwd=program.folder,
            env=dict(program.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:  # ValueError: a zero byte in a word
        why = error.strerror if isinstance(error, OSError) else error
        raise GraftbenchError(f"'{program.words[0]}' cannot be started: {why}.") from error


def _end_sessions(leaders: Iterable[int]) -> None:
    """Kill the processes of sessions that this process has started, and collect their leaders."""
    for pid in leaders:
        with suppress(ProcessLookupError, PermissionError, ChildProcessError):
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@contextmanager
def _adopting_orphans() -> Iterator[None]:
    """Let processes that lose their parents within the block become children of this one, where Linux can do that."""
    if sys.platform != "linux":
        yield
        return
    libc, before = ctypes.CDLL(None, use_errno=True), ctypes.c_int()
    libc.prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(PR_SET_CHILD_SUBREAPER, before.value, 0, 0, 0)


class _Watch:
    """Looks at a program's processes until the first has ended, and then ends them all.

    Args:
        pid: The first.
        others: Children of this process that are not the program's.
        held_on_device: As in `run`.

    Attributes:
        exit_code: Of the first process.
        peak_mib: The most that was seen held, in MiB; 0 where nothing can be seen.
        device_mib: The same on the device; None where nothing was seen.
    """

    def __init__(
        self, pid: int, others: Collection[int], held_on_device: Callable[[Collection[int]], float | None]
    ) -> None:
        self.exit_code = -signal.SIGKILL
        self.peak_mib = 0.0
        self.device_mib: float | None = None
        self._pid, self._others, self._held_on_device = pid, others, held_on_device
        self._family = processes.Family(pid)
        self._reaped = False
        self._own_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def wait(self, deadline: float | None) -> bool:
        """Wait until the first process has ended (True) or the deadline has come (False)."""
        with _end_of(self._pid) as ended:
            pause = FIRST_LOOK_SECONDS
            while True:
                self._look()
                ended(pause if deadline is None else max(0.0, min(pause, deadline - time.monotonic())))
                pause = min(2 * pause, LOOK_SECONDS)
                if self._reap():
                    return True
                if deadline is not None and time.monotonic() >= deadline:
                    return False

    def left_behind(self) -> int:
        """Return how many other processes run on, after a moment in which they may end."""
        patience = time.monotonic() + PATIENCE_SECONDS
        while alive := self._alive():
            if time.monotonic() > patience:
                return len(alive)
            time.sleep(0.02)
        return 0

    def end(self) -> None:
        """End all processes and collect those that are this one's."""
        patience = time.monotonic() + KILL_SECONDS
        while True:
            self._family.kill()
            for pid in self._family.members:
                if pid != self._pid:
                    with suppress(ChildProcessError):
                        os.waitpid(pid, os.WNOHANG)
            if not self._alive() or time.monotonic() > patience:  # some may have become orphans meanwhile
                break
        while not self._reaped:  # it has been killed
            if not self._reap():
                time.sleep(0.005)

    def _alive(self) -> list[int]:
        table = processes.table()
        self._adopt(table)
        self._family.look(table)
        return [pid for pid in self._family.members if pid != self._pid and not table[pid].dead]

    def _look(self) -> None:
        alive = self._alive()
        family_mib = self._family.held_mib(self.peak_mib)
        self.peak_mib = max(self.peak_mib, family_mib, *(peak_mib(pid) for pid in (self._pid, *alive)))
        on_device = self._held_on_device([self._pid, *alive])
        if on_device is not None:
            self.device_mib = max(self.device_mib or 0.0, on_device)

    def _adopt(self, table: dict[int, processes.Process]) -> None:
        """Adopt orphans, which are this process's children now; those that it had before are somebody else's."""
        for process in table.values():
            if process.parent == os.getpid() and process.pid not in self._others and process.born >= self._family.born:
                self._family.adopt(process)

    def _reap(self) -> bool:
        """Return whether the first process has ended; its exit code and its own peak of memory are then known."""
        if not self._reaped:
            pid, status, usage = os.wait4(self._pid, os.WNOHANG)
            self._reaped = pid == self._pid
            if self._reaped:
                self.exit_code = os.waitstatus_to_exitcode(status)
                # The kernel's own mark, unless it is that of the process that forked (this one), which says nothing.
                if usage.ru_maxrss > self._own_kib and sys.platform == "linux":
                    self.peak_mib = max(self.peak_mib, usage.ru_maxrss / 1024)
        return self._reaped


def peak_mib(pid: int) -> float:
    """Return the most memory that a process has held resident, in MiB (proc(5), VmHWM); 0 where nobody can tell."""
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/status").read_text("utf-8", "replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


@contextmanager
def _end_of(pid: int) -> Iterator[Callable[[float], object]]:
    """Give a function that waits for so many seconds, or until the process has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except (AttributeError, OSError):  # another system, or an old one
        yield lambda seconds: time.sleep(min(seconds, 0.02))
        return
    try:
        yield lambda seconds: select.select([descriptor], [], [], seconds)
    finally:
        os.close(descriptor)


class _Log:
    """Passes on what a program prints while it runs, as text, and keeps the end."""

    def __init__(self, process: subprocess.Popen[Any], say: Callable[[str], None]) -> None:
        assert process.stdout is not None
        self._stream, self._say = process.stdout, say
        self._tail, self._said = "", 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        with suppress(OSError, ValueError):  # closed
            while data := os.read(self._stream.fileno(), 1 << 16):
                self._tell(decoder.decode(data))

    def _tell(self, text: str) -> None:
        self._tail = (self._tail + text)[-TAIL_CHARACTERS:]
        if self._said < LOG_CHARACTERS:
            self._say(text)
            if self._said + len(text) >= LOG_CHARACTERS:
                self._say("\n[it prints more than is kept; what follows is left out]\n")
        self._said += len(text)

    def end(self) -> str:
        """Return the end of what was printed. The program has ended, so that nothing more comes."""
        self._reader.join(timeout=5)  # a process that could not be ended would hold the pipe open
        if not self._reader.is_alive():
            self._stream.close()
        return self._tail


def _to_stderr(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
