"""A process that has imported torch once and forks a child per cell: a cell then starts in tens of milliseconds.

It imports torch but never touches CUDA, for a forked process cannot use a device that its parent has opened. It is not
`multiprocessing`'s fork server, which imports the caller's `__main__` again and so breaks scripts without a main guard.

It reads one JSON object a line from standard input, {"key": …, "job": PATH, "log": PATH}, and answers on standard
output with {"key": …, "pid": …} at the start and {"key": …, "exit_code": …} at the end (negative: a signal). When its
parent dies it dies, and with it every child.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import selectors
import signal
import sys
import traceback
from pathlib import Path

PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask Linux to kill this process when its parent dies; elsewhere the end of standard input has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _child(job: str, log: str) -> int:
    """Run one job in the forked process; its own session, so that the whole group can be killed."""
    os.setsid()
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    from graftbench.cell import run_job_file  # noqa: PLC0415 - imported already; see main

    try:
        run_job_file(Path(job))
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else 1
    except BaseException:  # noqa: BLE001 - the log keeps it, the driver makes the row
        traceback.print_exc()
        return 1
    return 0


def _answer(**message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _import_what_children_share() -> None:
    """Torch, the built-in methods, the extractor's library: two seconds that each child would pay again.

    Plugins given by path are not among them: a child imports its own, so that one that crashes takes nobody along.
    """
    importlib.import_module("graftbench.cell")
    importlib.import_module("timm")
    importlib.import_module("graftbench.registry").methods()


def main() -> None:
    """Serve until standard input ends or nobody listens any more; then end the children."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to handle
    _import_what_children_share()

    running: dict[int, str] = {}
    wake_read, wake_write = os.pipe()
    for end in (wake_read, wake_write):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    selector = selectors.DefaultSelector()
    selector.register(0, selectors.EVENT_READ)
    selector.register(wake_read, selectors.EVENT_READ)
    try:
        _serve(selector, wake_read, running)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the interpreter flushes standard output once more at its end
    finally:
        _kill(running)


def _serve(selector: selectors.BaseSelector, wake_read: int, running: dict[int, str]) -> None:
    """Start a child per request and answer when it has started and when it has ended."""
    _answer(ready=True)
    buffer = b""
    while True:
        for ready, _ in selector.select(timeout=1.0):
            if ready.fd == wake_read:
                os.read(wake_read, 4096)
                continue
            data = os.read(0, 65536)
            if not data:
                return
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                _start(json.loads(line), running)
        _reap(running)


def _start(request: dict[str, str], running: dict[int, str]) -> None:
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = _child(request["job"], request["log"])
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    running[pid] = request["key"]
    _answer(key=request["key"], pid=pid)


def _reap(running: dict[int, str]) -> None:
    for pid in list(running):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            _kill({pid: ""})  # what the cell left behind in its process group
            _answer(key=running.pop(pid), exit_code=os.waitstatus_to_exitcode(status))


def _kill(running: dict[int, str]) -> None:
    for pid in running:
        try:
            os.killpg(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


if __name__ == "__main__":
    main()
