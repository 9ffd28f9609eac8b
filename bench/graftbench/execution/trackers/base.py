"""The base class of trackers, and what it gets. A tracker from elsewhere imports this and nothing above it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Failed(Exception):  # noqa: N818 - it is raised for its words
    """Raised by a tracker where the words alone tell the user what is wrong, not the exception's type."""


def words_of(error: BaseException) -> str:
    """Return an exception in one line."""
    plain = isinstance(error, Failed | GraftbenchError)
    return " ".join((str(error) if plain else f"{type(error).__name__}: {error}").split())


Value = str | int | float | bool
"""A fact about a cell; unknown facts are left out."""


@dataclass(frozen=True)
class TrackedRun:
    """The run folder whose cells are shown.

    Attributes:
        suite: The suite's name.
        folder: The run folder, absolute. What a tracker keeps on this machine lies in a folder of its own in there,
            unless its options or its own settings say otherwise.
        key: 16 hexadecimal digits that no other run folder has: the same cell in two folders is two.
    """

    suite: str
    folder: Path
    key: str

    @property
    def name(self) -> str:
        """Return suite and folder: `quick: nightly`."""
        return f"{self.suite}: {self.folder.name}"


@dataclass(frozen=True)
class TrackedCell:
    """A cell that has started.

    Attributes:
        id: The cell's id, 16 hexadecimal digits.
        name: `finetune twemoji->openmoji@32 n=25 seed=0`.
        method: The method's name.
        config: What determines the result: `method`, `task`, `data_budget`, `parameters.lr`, `protocol.extractor`, …
        began: When it started, in seconds since 1970.
    """

    id: str
    name: str
    method: str
    config: Mapping[str, Value]
    began: float


@dataclass(frozen=True)
class TrackedPoint:
    """Numbers of a cell at a moment of its fit.

    Attributes:
        images_seen: Training images shown: the x axis of every curve.
        seconds: Seconds of fitting until then.
        values: `loss/generator` (mean since the point before) or `snapshot/kid_n600_ref620_lite0@96`; finite.
    """

    images_seen: int
    seconds: float
    values: Mapping[str, float]


@dataclass(frozen=True)
class TrackedResult:
    """The content of a cell's record.

    Attributes:
        ok: Whether it has its scores.
        status: `ok`, `error`, `oom`, …
        reason: One sentence for every status but `ok`.
        numbers: `score/NAME`, NAME with the protocol in it; where they are known `interval_low/NAME`,
            `interval_high/NAME` (95 %, within the cell) and `floor/NAME`; `cost/fit_seconds`, …, the unit in the name.
            What was declared and not measured is under `cost_declared/` instead.
        facts: Other things known at the end: `status`, `origin`, `notes`, `environment.torch`, …
        tags: A few words to filter by: family, status, `submitted`, `costs declared`, …
        images_seen: Where on the x axis the end is.
        ended: When, in seconds since 1970.
        pictures: Kind (`samples`, `progress`, `neighbors`, `interpolation`) -> PNG file, which exists.
        log_tail: The end of a failed cell's log.
    """

    ok: bool
    status: str
    reason: str
    numbers: Mapping[str, float]
    facts: Mapping[str, Value]
    tags: Sequence[str]
    images_seen: int
    ended: float
    pictures: Mapping[str, Path] = field(default_factory=dict)
    log_tail: str = ""


class Tracker(ABC):
    """Shows cells somewhere. A package offers one through an entry point in the group `graftbench.trackers`.

    `check` is called before a run begins and its errors are the user's. Everything else is called from one thread,
    which is not the program's main one, and may take its time and raise what it likes: the run does not wait, and the
    user is told once.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    """Modules that must be there; those of a built-in tracker come with the extra of its name."""
    Options: ClassVar[type[msgspec.Struct]] = msgspec.defstruct("NoOptions", [], frozen=True)
    """Options behind the tracker's name, `NAME:key=value,key=value`; unknown keys are refused."""

    def __init__(self, options: Any = None) -> None:  # noqa: ANN401 - each tracker has its own Options
        self.options: Any = self.Options() if options is None else options

    def check(self) -> None:
        """Refuse what no network could mend: a package that is missing, options that contradict.

        Raises:
            GraftbenchError: It says what to install or to change.
        """
        for module in self.needs:
            if find_spec(module) is None:
                raise GraftbenchError(
                    f"Tracker '{self.name}' needs the package '{module}', which is not installed: "
                    f"pip install 'graftbench[{self.name}]'."
                )

    @abstractmethod
    def open(self, group: TrackedRun) -> None:
        """Get ready to show cells of this run folder."""

    @abstractmethod
    def begin(self, cell: TrackedCell) -> None:
        """Show a cell. One that was shown before, in this process or in another, is replaced: it runs again."""

    @abstractmethod
    def points(self, cell: TrackedCell, points: Sequence[TrackedPoint]) -> None:
        """Add to a cell's curves. No point comes twice, and earlier points come first."""

    @abstractmethod
    def end(self, cell: TrackedCell, result: TrackedResult) -> None:
        """Complete a cell. All its points were added before."""

    @abstractmethod
    def close(self) -> None:
        """Send what is not sent. Cells that were begun and not ended were interrupted."""

    def abandon(self) -> None:  # noqa: B027 - most have nothing that outlives them
        """End at once all that outlives this object, whatever a call in another thread is waiting for."""
