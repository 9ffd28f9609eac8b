"""A check of a plugin, and its result."""

from __future__ import annotations

import re
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import msgspec

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Subject = TypeVar("Subject")

_TRACE_CHARACTERS = 3000


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong with a plugin.

    Attributes:
        found: What is there, as a clause or sentence without a final period.
        expected: What should be there; likewise.
        mend: What to change; likewise.
    """

    found: str
    expected: str
    mend: str

    def __str__(self) -> str:
        return f"found: {self.found}; expected: {self.expected}; to mend it: {self.mend}."


class Broken(Exception):  # noqa: N818 - it says that a plugin is, not that a check went wrong
    """A fault that is found where nothing can be yielded: within a fit."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


@dataclass(frozen=True)
class Check(Generic[Subject]):
    """One rule of the contract.

    Attributes:
        name: A few words, distinct among the checks of a kind.
        look: Yields what is wrong. What the plugin's own code raises goes through it.
        needs: Names of checks without whose success this one cannot be made.
        unless: Why the rule does not apply to a plugin class; empty if it does.
    """

    name: str
    look: Callable[[Subject], Iterable[Fault]]
    needs: tuple[str, ...] = ()
    unless: Callable[[Any], str] = lambda _: ""

    @property
    def rule(self) -> str:
        """Return what must hold: the first paragraph of what `look` says of itself."""
        first, _, _ = (getattr(self.look, "func", self.look).__doc__ or "").strip().partition("\n\n")
        return " ".join(first.split())

    def exempt(self, cls: type[Any]) -> str:
        """Return why the rule does not apply to a plugin class; empty too where the class raises when it is asked.

        The check is then made, and says what is wrong.
        """
        try:
            return self.unless(cls)
        except Exception:  # noqa: BLE001 - the plugin's own code may raise anything
            return ""


Status = Literal["passed", "failed", "does not apply", "not made"]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """Result of a check.

    Attributes:
        check: Its name.
        rule: What must hold.
        status: `not made` where a check that it needs has failed.
        faults: What is wrong, where it failed.
        why: Why it does not apply or was not made.
        trace: The end of the plugin's traceback or output, where there is one.
    """

    check: str
    rule: str
    status: Status
    faults: list[Fault] = []
    why: str = ""
    trace: str = ""


def outcome(check: Check[Subject], subject: Subject) -> Result:
    """Make a check. Whatever the plugin raises, SystemExit included, is a fault.

    Raises:
        KeyboardInterrupt: The user's.
    """
    try:
        faults, trace = list(check.look(subject)), ""
    except KeyboardInterrupt:
        raise
    except Broken as broken:
        faults, trace = [broken.fault], ""
    except BaseException as error:  # noqa: BLE001 - a plugin may raise anything, and the other checks go on
        faults = [raised(error, check.rule)]
        trace = "" if isinstance(error, GraftbenchError) else traceback.format_exc()[-_TRACE_CHARACTERS:]
    status: Status = "failed" if faults else "passed"
    return Result(check=check.name, rule=check.rule, status=status, faults=faults, trace=trace)


def raised(error: BaseException, rule: str) -> Fault:
    """Make a fault of an exception, with the place that raised it; a sentence for users stands for itself."""
    if isinstance(error, GraftbenchError):
        return Fault(str(error).rstrip("."), _lowered(rule), "do what the sentence says")
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not re.search(r"[/\\]graftbench[/\\]checks[/\\]", frame.filename)]
    line = f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
    message = " ".join(str(error).split())[:400]
    text = f"{type(error).__name__}{f': {message}' if message else ''}{line}"
    return Fault(f"an exception: {text}", _lowered(rule), "see where it was raised; the traceback stands below")


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:].rstrip(".")


def summary(name: str, results: Sequence[Result]) -> str:
    """Write `my-method: 14 checks, all passed`, or which failed."""
    made = [result for result in results if result.status in ("passed", "failed")]
    failed = [result.check for result in made if result.status == "failed"]
    checks = f"{len(made)} check{'s' if len(made) != 1 else ''}"
    text = f"{len(failed)} of {checks} failed: {', '.join(failed)}" if failed else f"{checks}, all passed"
    statuses = [result.status for result in results]
    rest = [f"{n} {words}" for words in ("does not apply", "not made") if (n := statuses.count(words))]
    plural = [text.replace("does not apply", "do not apply") if not text.startswith("1 ") else text for text in rest]
    return f"{name}: {text}" + (f" ({'; '.join(plural)})" if plural else "")
