"""Finding and ending every process that a job started, by Linux's /proc; elsewhere only process groups are known."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PYTHON = (sys.executable, "-P")
"""The command of every Python that is started for the package's own work. Without `-P` a `random.py` or `timm.py` that
happens to lie in the working directory would be imported in place of the real one."""

_PROC = Path("/proc")
_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20
_PATIENCE = 5.0


class Process(NamedTuple):
    """A line of the process table.

    Attributes:
        pid: Its number.
        parent: Its parent's.
        session: Its session's.
        born: Clock ticks from boot to its start: with the pid, what makes it unique.
        dead: It has ended and waits to be collected.
    """

    pid: int
    parent: int
    session: int
    born: int
    dead: bool


def _process(pid: int | str) -> Process | None:
    """Read one process (proc(5), /proc/PID/stat), or None if it is gone."""
    try:
        text = (_PROC / str(pid) / "stat").read_text("utf-8", "replace")
    except OSError:
        return None
    # The command's name stands in parentheses and may itself hold parentheses and spaces.
    fields = text[text.rindex(")") + 2 :].split()
    return Process(int(pid), int(fields[1]), int(fields[3]), int(fields[19]), fields[0] in "ZX")


def table() -> dict[int, Process]:
    """Return every process there is; empty where there is no /proc."""
    try:
        names = [entry.name for entry in os.scandir(_PROC)]
    except OSError:
        return {}
    processes = (_process(name) for name in names if name.isdigit())
    return {process.pid: process for process in processes if process}


def children_of(pid: int) -> list[Process]:
    """Return the direct children of a process."""
    return [process for process in table().values() if process.parent == pid]


def kill(pid: int) -> None:
    """End a process at once, if it is there."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def halt(pid: int) -> None:
    """Stop a process where it is, if it is there."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGSTOP)


def kill_group(pid: int) -> None:
    """End a process group at once, if it is there."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def kill_tree(pid: int) -> None:
    """End a process and all that descend from it."""
    family = Family(pid)
    family.look(table())
    family.kill()


def end_children() -> None:
    """End every descendant of this process, and wait for it.

    Orphans become children of this process (it is their subreaper), so the loop comes to an end when there are none.
    """
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        for process in children_of(os.getpid()):
            if process.dead:
                with suppress(ChildProcessError):
                    os.waitpid(process.pid, os.WNOHANG)
            else:
                kill_tree(process.pid)
        if not children_of(os.getpid()):
            return
        time.sleep(0.01)


class Family:
    """A process with its own session, and everything that comes from it.

    Members are remembered once seen: a process that leaves the session and loses its parent is still known.

    Args:
        pid: The first process.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        first = _process(pid)
        self.born = first.born if first else 0
        self._members = {pid: self.born}

    @property
    def members(self) -> list[int]:
        """Return the pids as of the last look; those that have ended and were not collected among them."""
        return list(self._members)

    def adopt(self, process: Process) -> None:
        """Count a process, and all that comes from it, as a member: an orphan that nothing else tells to be one."""
        self._members[process.pid] = process.born

    def look(self, processes: dict[int, Process]) -> None:
        """Bring the list of members up to date with the process table."""
        self._members = {
            pid: born for pid, born in self._members.items() if pid in processes and processes[pid].born == born
        }
        grown = True
        while grown:
            grown = False
            for process in processes.values():
                ours = process.parent in self._members or process.session == self.pid
                if ours and process.pid not in self._members and process.born >= self.born:
                    self._members[process.pid] = process.born
                    grown = True

    def held_mib(self, limit_mib: float) -> float:
        """Return the resident memory of all members together in MiB.

        A page that several processes share (what a fork has not changed) counts in parts (PSS of proc(5)). That takes
        the kernel milliseconds per process, so it is asked for only where the sum of whole counts is above the limit.
        """
        whole = sum(_resident_mib(pid) for pid in self._members)
        return whole if whole <= limit_mib else sum(_proportional_mib(pid) for pid in self._members)

    def kill(self, *, spare: int = 0) -> None:
        """End all members, also those that are being started meanwhile.

        Args:
            spare: A pid to leave alive.
        """
        deadline = time.monotonic() + _PATIENCE
        if not spare:
            kill_group(self.pid)
        while time.monotonic() < deadline:
            alive = table()
            self.look(alive)
            targets = [pid for pid in self._members if pid != spare and not alive[pid].dead]
            if not targets:
                return
            for pid in targets:
                kill(pid)
            time.sleep(0.002)


def _resident_mib(pid: int) -> float:
    try:
        return int((_PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE_MIB
    except (OSError, IndexError):
        return 0.0


def _proportional_mib(pid: int) -> float:
    try:
        text = (_PROC / str(pid) / "smaps_rollup").read_text()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1024


def be_killed_first() -> None:
    """Tell the kernel to end this process rather than its parents when memory runs out."""
    with suppress(OSError):
        (_PROC / "self" / "oom_score_adj").write_text("500")


def kernel_kills() -> int:
    """Count the processes that the kernel ended for want of memory since boot: in this control group, or anywhere."""
    for file in (Path("/sys/fs/cgroup/memory.events"), _PROC / "vmstat"):
        with suppress(OSError, ValueError):
            for line in file.read_text().splitlines():
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
    return 0
