"""The process in which checks are made: it imports the plugins, and tells another process what it does as it goes.

A plugin may hang, crash or end its process; the other one (`supervision`) then starts this anew for what is left.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import tempfile
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from graftbench.checks.check import Result, Status, outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graftbench.checks.check import Check
    from graftbench.checks.fixtures import World
    from graftbench.checks.targets import Target


class PluginKey(NamedTuple):
    """A plugin among others: "method", "domain" or "report", and its name."""

    kind: str
    name: str


class Made(msgspec.Struct, frozen=True):
    """A check that was made already."""

    kind: str
    name: str
    check: str
    status: Status


class CheckRequest(msgspec.Struct, frozen=True):
    """Work of a checking process.

    Attributes:
        target: As `targets.plugin_sources` takes it.
        argument: Of domains that take one.
        made: What was made before this process was started.
    """

    target: str
    argument: str = ""
    made: list[Made] = []


class Plugin(msgspec.Struct, frozen=True):
    """A plugin that was found, and where."""

    kind: str
    name: str
    where: str


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of what is told; one of its fields is set.

    Attributes:
        plugins: What was found.
        unusable: Where -> why nothing there can be checked; comes with `plugins`.
        trouble: Why nothing can be checked at all.
        importing: The target is imported.
        preparing: What the suite itself prepares, for which the plugin is not to blame.
        begins: Kind, name and check.
        note: What a fit asked its budget.
        result: Of the check that had begun, or of one that is not made.
        of: Whose result it is: kind and name.
        ended: All is done.
    """

    plugins: list[Plugin] | None = None
    unusable: dict[str, str] = {}
    trouble: str = ""
    importing: bool = False
    preparing: str = ""
    begins: tuple[str, str, str] | None = None
    note: str = ""
    result: Result | None = None
    of: tuple[str, str] | None = None
    ended: bool = False


class Session:
    """Makes the checks of a request.

    Args:
        request: What is to be done.
        tell: Takes what is told.
        folder: For files of the checks.
    """

    def __init__(self, request: CheckRequest, tell: Callable[[Message], None], folder: Path) -> None:
        self._request, self._tell, self._folder = request, tell, folder
        self._statuses: dict[PluginKey, dict[str, Status]] = {}
        for one in request.made:
            self._statuses.setdefault(PluginKey(one.kind, one.name), {})[one.check] = one.status

    def run(self) -> None:
        """Find the plugins and make their checks, one after another."""
        from graftbench.checks.targets import plugins_of  # noqa: PLC0415 - it imports the plugin: told as trouble
        from graftbench.errors import GraftbenchError  # noqa: PLC0415 - likewise

        self._tell(Message(importing=True))
        try:
            plugins = plugins_of(self._request.target)
            subjects = [(PluginKey(one.kind, one.cls.name), *self._subject(one)) for one in plugins.classes]
            if any(key.kind == "method" for key, _, _ in subjects):
                self._prepare()
        except GraftbenchError as error:
            self._tell(Message(trouble=str(error)))
            return
        listed = [Plugin(one.kind, one.cls.name, one.where) for one in plugins.classes]
        self._tell(Message(plugins=listed, unusable=plugins.unusable))
        for key, subject, checks in subjects:
            for check in checks:
                if check.name not in self._statuses.setdefault(key, {}):
                    self._make(key, check, subject)
        self._tell(Message(ended=True))

    def _subject(self, one: Target) -> tuple[Any, Sequence[Check[Any]]]:
        """Return what the checks of a plugin look at, and the checks.

        Raises:
            GraftbenchError: A domain needs an argument that was not given.
        """
        from graftbench.errors import GraftbenchError  # noqa: PLC0415 - after the first import of torch

        cls = one.cls
        if one.kind == "method":
            from graftbench.checks import method  # noqa: PLC0415 - it imports torch

            return method.MethodSubject(cls, self._worlds, self._folder), method.CHECKS
        if one.kind == "report":
            from graftbench.checks import report  # noqa: PLC0415 - for reports alone

            return report.ReportSubject(cls, self._folder, one.given), report.CHECKS
        from graftbench.checks import domain  # noqa: PLC0415 - for domains alone

        argument = self._request.argument if cls.takes_argument else ""
        if cls.takes_argument and not argument and not cls.takes_argument.startswith("["):
            raise GraftbenchError(f"Domain '{cls.name}' takes an argument; give --argument {cls.takes_argument}.")
        return domain.DomainSubject(cls, argument, self._folder, one.given), domain.CHECKS

    @cached_property
    def _worlds(self) -> Callable[[int], World]:
        from graftbench.cache import cache_folder  # noqa: PLC0415 - for methods alone
        from graftbench.checks.fixtures import worlds  # noqa: PLC0415 - likewise

        return worlds(cache_folder(), self._folder, lambda note: self._tell(Message(note=note)))

    def _prepare(self) -> None:
        """Prepare the images before a plugin's time runs."""
        from graftbench.checks.method import SIDES  # noqa: PLC0415 - for methods alone

        for side in SIDES:
            self._tell(Message(preparing=f"real images of {side}×{side} pixels for the fits (once)"))
            self._worlds(side)

    def _make(self, key: PluginKey, check: Check[Any], subject: Any) -> None:  # noqa: ANN401 - each kind has its own
        self._tell(Message(begins=(key.kind, key.name, check.name)))
        statuses = self._statuses[key]
        wanting = [(name, statuses.get(name)) for name in check.needs if statuses.get(name) in ("failed", "not made")]
        if why := check.exempt(subject.cls):
            result = Result(check=check.name, rule=check.rule, status="does not apply", why=why)
        elif wanting:
            name, status = wanting[0]
            why = f"it needs '{name}', which {'failed' if status == 'failed' else 'was not made'}"
            result = Result(check=check.name, rule=check.rule, status="not made", why=why)
        else:
            result = outcome(check, subject)
        statuses[check.name] = result.status
        self._tell(Message(result=result, of=key))


PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str]) -> None:
    """Do what the request (JSON) in the first argument says; the second is the number of an open file for messages."""
    if sys.platform == "linux":  # a plugin that hangs must not outlive a command that was killed (prctl(2))
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    request, channel = msgspec.json.decode(arguments[0], type=CheckRequest), int(arguments[1])

    def tell(message: Message) -> None:
        os.write(channel, msgspec.json.encode(message) + b"\n")

    with tempfile.TemporaryDirectory(prefix="graftbench-check-") as folder:
        Session(request, tell, Path(folder)).run()


if __name__ == "__main__":
    main(sys.argv[1:])
