"""What a run tells while it runs: a live display on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from graftbench.record import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, RenderableType

    from graftbench.record import CellSpec, Record


class Progress(Protocol):
    """What `graftbench.run` calls."""

    def say(self, sentence: str) -> None:
        """Something worth knowing."""

    def begin(self, total: int, done: int) -> None:
        """The run has `total` cells, of which `done` are there already."""

    def started(self, cell: CellSpec) -> None:
        """A cell was started."""

    def ended(self, record: Record, seconds: float) -> None:
        """A cell left its record."""


class Silent:
    """Says nothing."""

    def say(self, sentence: str) -> None:
        """Nothing."""

    def begin(self, total: int, done: int) -> None:
        """Nothing."""

    def started(self, cell: CellSpec) -> None:
        """Nothing."""

    def ended(self, record: Record, seconds: float) -> None:
        """Nothing."""


class ConsoleProgress:
    """Lines for a log; on a terminal a bar with the running cells, elapsed and remaining time below them.

    Args:
        console: Where to print.
        jobs: Cells side by side, for the estimate of the remaining time.
    """

    def __init__(self, console: Console, *, jobs: int) -> None:
        self._console = console
        self._jobs = jobs
        self._total = self._done = 0
        self._began = time.monotonic()
        self._seconds: dict[str, list[float]] = {}
        self._waiting: dict[str, int] = {}
        self._running: dict[str, CellSpec] = {}

    @contextmanager
    def live(self) -> Iterator[ConsoleProgress]:
        """Show the live display while inside, if the console is a terminal."""
        if not self._console.is_terminal:
            yield self
            return
        from rich.live import Live  # noqa: PLC0415 - only on a terminal

        with Live(get_renderable=self._board, console=self._console, refresh_per_second=4, transient=True):
            yield self

    def say(self, sentence: str) -> None:
        """Print a sentence."""
        self._console.print(sentence, highlight=False, soft_wrap=True, markup=False)

    def begin(self, total: int, done: int) -> None:
        """Start the clock."""
        self._total, self._done, self._began = total, done, time.monotonic()

    def plan(self, waiting: dict[str, int]) -> None:
        """Method -> cells that still have to run."""
        self._waiting = dict(waiting)

    def started(self, cell: CellSpec) -> None:
        """Show it among the running."""
        self._running[cell.id] = cell

    def ended(self, record: Record, seconds: float) -> None:
        """Print its line."""
        self._running.pop(record.id, None)
        self._done += 1
        method = record.cell.method
        self._seconds.setdefault(method, []).append(seconds)
        self._waiting[method] = self._waiting.get(method, 1) - 1
        kid = record.score("kid")
        result = f"KID×10³ {kid.value * 1000:.0f}" if kid and kid.value is not None else record.reason
        status = "" if record.status == Status.OK else f"{record.status}: "
        width = len(str(self._total))
        self.say(
            f"[{self._done:>{width}}/{self._total}] {record.cell}  {seconds:.1f} s  {status}{result}"
            f"  (elapsed {_clock(time.monotonic() - self._began)}, remaining {self._remaining()})"
        )

    def _remaining(self) -> str:
        """Waiting cells at the mean duration of their method, or of all where none of theirs has ended."""
        known = [s for values in self._seconds.values() for s in values]
        if not known:
            return "?"
        overall = sum(known) / len(known)
        means = {method: sum(values) / len(values) for method, values in self._seconds.items()}
        left = sum(count * means.get(method, overall) for method, count in self._waiting.items() if count > 0)
        return "about " + _clock(left / self._jobs)

    def _board(self) -> RenderableType:
        from rich.console import Group  # noqa: PLC0415
        from rich.progress_bar import ProgressBar  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415

        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(total=max(1, self._total), completed=self._done, width=30),
            f"{self._done}/{self._total} cells, elapsed {_clock(time.monotonic() - self._began)}, "
            f"remaining {self._remaining()}",
        )
        return Group(*(f"  running {cell}" for cell in self._running.values()), bar)


def _clock(seconds: float) -> str:
    """`4:07`, `1:02:33`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
