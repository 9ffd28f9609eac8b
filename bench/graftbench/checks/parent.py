"""Makes the checks of plugins in a process of their own, and ends what hangs. Nothing of a plugin is imported here."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from graftbench.checks.check import Fault, Result
from graftbench.checks.child import CheckRequest, Made, Message, Plugin
from graftbench.errors import GraftbenchError
from graftbench.resources import processes

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 120.0
"""A check that takes longer is ended, if nothing else is said."""

IMPORT_SECONDS = 60.0
"""An import is given so much time at least: torch alone takes some of it."""

PREPARING_SECONDS = 900.0
"""The limit of what the suite itself prepares."""

_TAIL_CHARACTERS = 2000


@dataclass
class CheckedPlugins:
    """Results of checking a target.

    Attributes:
        results: Plugin -> its results, in order.
        unusable: Where -> why nothing there could be checked.
    """

    results: dict[Plugin, list[Result]] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Return whether a check failed."""
        return any(result.status == "failed" for results in self.results.values() for result in results)


@dataclass
class Listener:
    """Told what happens; each is a function that may do nothing.

    Attributes:
        found: A plugin was found.
        made: A check was made.
        preparing: The suite prepares something.
    """

    found: Callable[[Plugin], None] = lambda _: None
    made: Callable[[Plugin, Result], None] = lambda _plugin, _result: None
    preparing: Callable[[str], None] = lambda _: None


def check(
    target: str, *, argument: str = "", seconds: float = SECONDS, listener: Listener | None = None
) -> CheckedPlugins:
    """Make all checks of the plugins in a target.

    Args:
        target: A Python file, a folder, a TOML file of variants, or `package.module:Class`.
        argument: Of domains that take one.
        seconds: Limit of one check.
        listener: Told what happens.

    Raises:
        GraftbenchError: There is no such target, or nothing can be checked.
    """
    watch = _Supervisor(target, argument, seconds, listener or Listener())
    while not watch.ended:
        watch.one_process()
    return watch.checked


class _Supervisor:
    """Results so far, over all processes that were started for a target."""

    def __init__(self, target: str, argument: str, seconds: float, listener: Listener) -> None:
        self.checked, self.ended = CheckedPlugins(), False
        self._target, self._argument, self._seconds, self._listener = target, argument, seconds, listener
        self._known = False
        self._begun: tuple[str, str, str] | None = None
        self._notes: list[str] = []
        self._limit = PREPARING_SECONDS

    def one_process(self) -> None:
        """Start a process and follow it to its end.

        Raises:
            GraftbenchError: See `check`.
        """
        self._begun, self._limit = None, PREPARING_SECONDS
        read, write = os.pipe()
        with tempfile.TemporaryFile() as log:
            command = [*processes.PYTHON, "-m", "graftbench.checks.child", self._request(), str(write)]
            environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
            process = subprocess.Popen(  # noqa: S603 - this Python
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[write],
                env=environment,
                start_new_session=True,
            )
            os.close(write)
            try:
                in_time = self._follow(read)
            finally:
                os.close(read)
                if self.ended:  # it has told everything: let it end by itself, and tidy up
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(timeout=5)
                processes.kill_tree(process.pid)
                process.wait()
            log.seek(0)
            if not self.ended:
                self._note_end(process.returncode, log.read()[-_TAIL_CHARACTERS:].decode("utf-8", "replace"), in_time)

    def _request(self) -> str:
        made = [
            Made(plugin.kind, plugin.name, result.check, result.status)
            for plugin, results in self.checked.results.items()
            for result in results
        ]
        return msgspec.json.encode(CheckRequest(self._target, self._argument, made)).decode()

    def _follow(self, channel: int) -> bool:
        """Read what is told until all is done, the process has ended (True) or its time is up (False)."""
        buffer, last = b"", time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(channel, selectors.EVENT_READ)
            while not self.ended:
                seconds_left = last + self._limit - time.monotonic()
                if seconds_left <= 0 or not selector.select(timeout=seconds_left):
                    return False
                data = os.read(channel, 65536)
                if not data:
                    return True
                *lines, buffer = (buffer + data).split(b"\n")
                for line in lines:
                    message = msgspec.json.decode(line, type=Message)
                    if not message.note:  # what a fit asks is no reason to give it more time
                        last = time.monotonic()
                    self._take(message)
        return True

    def _take(self, message: Message) -> None:
        if message.trouble:
            raise GraftbenchError(message.trouble)
        if message.importing:
            self._limit = max(self._seconds, IMPORT_SECONDS)
        if message.preparing:
            self._limit = PREPARING_SECONDS
            if not self._known:
                self._listener.preparing(message.preparing)
        if message.plugins is not None and not self._known:
            self._known = True
            self.checked.unusable |= message.unusable
            for plugin in message.plugins:
                self.checked.results[plugin] = []
        if message.begins:
            self._begun, self._notes, self._limit = message.begins, [], self._seconds
        self._notes += [message.note] if message.note else []
        if message.result is not None and message.of is not None:
            self._add(message.of, message.result)
            self._begun = None
        self.ended = self.ended or message.ended

    def _add(self, of: tuple[str, str], result: Result) -> None:
        plugin = next(one for one in self.checked.results if (one.kind, one.name) == of)
        if not self.checked.results[plugin]:
            self._listener.found(plugin)
        self.checked.results[plugin].append(result)
        self._listener.made(plugin, result)

    def _note_end(self, code: int, tail: str, in_time: bool) -> None:  # noqa: FBT001 - what `_follow` said
        """Note that a process did not come to its end: blame the check that had begun, or give up."""
        end = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        how = f"the process {end}" if in_time else f"nothing was heard for {self._limit:g} s"
        if self._begun is None:
            self.ended = True
            what = "between two checks" if self._known else "while it was imported"
            last = f" (it said: {' '.join(tail.split())[-300:]})" if tail.strip() else ""
            self.checked.unusable[self._target] = f"{what}, {how}{last}"
            return
        kind, name, check = self._begun
        fault = _crash(how) if in_time else self._overdue(kind)
        result = Result(check=check, rule=fault.expected, status="failed", faults=[fault], trace=tail.strip())
        self._add((kind, name), result)

    def _overdue(self, kind: str) -> Fault:
        """Return what a check that was ended for its time comes to."""
        reason = f"it had not ended after {self._seconds:g} s"
        mend = "make it quicker, or allow it more time (--seconds)"
        if kind == "method" and "refused" in self._notes:
            reason += ", and went on when its budget granted nothing: it does not heed the budget"
        elif kind == "method" and "asked" in self._notes:
            reason += ", with its budget not yet spent"
        elif kind == "method":
            reason += ", and does not ask the budget"
        if kind == "method":
            mend = f"loop with `for size in budget.batches(batch_size):`, which ends when the budget does; or {mend}"
        return Fault(reason, "an end", mend)


def _crash(how: str) -> Fault:
    return Fault(
        how,
        "a check that comes to its end",
        "raise exceptions and leave the process alone (no os._exit); its last words stand below",
    )
