"""The board that a run shows on a terminal, cut to the terminal's size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from graftbench.records.record import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table

FAILURES = 3
"""Failed cells that are shown, the last ones."""

BAR = 8
"""Characters of a running cell's bar."""

_GAP = 2
"""Spaces between columns."""

_CUT_RANK = 4
"""Columns of this rank and above are left out before a method's name is cut."""

_LEAST_NAME = 10
"""Characters of a method's name that are always shown, if there is room for as many."""


class FailureLine(NamedTuple):
    """A cell that failed, its status and its reason."""

    cell: str
    status: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class BoardLine:
    """A running cell.

    Attributes:
        method: Its method.
        task: As a suite writes it.
        images: Its data budget.
        seed: Its seed.
        elapsed: Seconds since it was started.
        share: Share of its compute budget that is spent, 0 to 1; None where it has not said.
        scoring: The fit is over.
        images_per_second: Of the fit; None where it has not said.
        kid: KID of its newest snapshot; None where there is none.
    """

    method: str
    task: str
    images: int
    seed: int
    elapsed: float
    share: float | None = None
    scoring: bool = False
    images_per_second: float | None = None
    kid: float | None = None


class _Column(NamedTuple):
    """A column of the table of running cells.

    Attributes:
        title: What stands above it.
        rank: Columns of a high rank are left out first; rank 0 never is.
        show: What it shows of a cell.
        flush_left: It is set flush left.
        always: It is shown even if it is empty for every cell.
    """

    title: str
    rank: int
    show: Callable[[BoardLine], str]
    flush_left: bool = False
    always: bool = True


def clock(seconds: float) -> str:
    """Format seconds as `4:07` or `1:02:33`, rounded to whole seconds."""
    minutes, whole_seconds = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole_seconds:02}" if hours else f"{minutes}:{whole_seconds:02}"


def style_of(status: str) -> str:
    """Return the colour of a status: green for ok, yellow for cells that were not tried, red for every failure."""
    return {str(Status.OK): "green", str(Status.SKIPPED): "yellow"}.get(status, "red")


def _budget(line: BoardLine) -> str:
    if line.scoring:
        return "━" * BAR + " score"
    if line.share is None:
        return ""
    full = round(line.share * BAR)
    return "━" * full + "┄" * (BAR - full) + f" {line.share:>5.0%}"


_COLUMNS = (
    _Column("method", 0, lambda line: line.method, flush_left=True),
    _Column("task", 7, lambda line: line.task, flush_left=True),
    _Column("images", 3, lambda line: str(line.images)),
    _Column("seed", 5, lambda line: str(line.seed)),
    _Column("budget", 1, _budget, flush_left=True, always=False),
    _Column(
        "images/s",
        6,
        lambda line: "" if line.images_per_second is None else f"{line.images_per_second:,.0f}",
        always=False,
    ),
    _Column("KID×10³", 4, lambda line: "" if line.kid is None else f"{line.kid * 1000:z.1f}", always=False),
    _Column("elapsed", 2, lambda line: clock(line.elapsed)),
)


@dataclass(frozen=True, kw_only=True)
class Board:
    """The state of a run; rich asks it for lines that fit the terminal.

    Attributes:
        total: Cells of the run.
        done: Those that have a record.
        statuses: Status -> number of cells that ended so.
        elapsed: Seconds since the run began.
        remaining: The remaining time in words; empty when the run is over.
        notice: A sentence that the user should read now; mostly empty.
        running: The running cells, the oldest first.
        failures: Failed cells, the newest last.
    """

    total: int
    done: int
    statuses: Sequence[tuple[str, int]] = ()
    elapsed: float = 0.0
    remaining: str = ""
    notice: str = ""
    running: Sequence[BoardLine] = ()
    failures: Sequence[FailureLine] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield head, running cells and failures. Only the head is wrapped; one line of the screen stays free."""
        width, free = options.max_width, options.size.height - 1
        head = self._head(console, width)
        failures = self._failures(width)
        del failures[: max(0, len(failures) - (free - len(head) - 2))]  # running cells go before failed ones
        yield from head[: max(1, free)]
        yield from self._table(width, free - len(head) - len(failures))
        yield from failures

    def _head(self, console: Console, width: int) -> list[RenderableType]:
        """Draw the bar, how cells have ended, the times, the notice."""
        from rich.progress_bar import ProgressBar  # noqa: PLC0415 - only on a terminal
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        cells = f"{self.done}/{self.total} cells"
        bar = Table.grid(padding=(0, 1))
        bar_width = max(4, min(40, width - len(cells) - 1))
        bar.add_row(
            ProgressBar(total=max(1, self.total), completed=self.done, width=bar_width, complete_style="green"), cells
        )
        counts = Text("  ").join(Text(f"{count} {name}", style=style_of(name)) for name, count in self.statuses)
        times = Text(f"elapsed {clock(self.elapsed)}")
        if self.remaining:
            times.append(f"  remaining {self.remaining}")
        below = [text for text in (counts, times, Text(self.notice, style="bold yellow")) if text.plain]
        return [bar, *(line for text in below for line in text.wrap(console, width))]

    def _table(self, width: int, room: int) -> list[RenderableType]:
        """Return at most `room` lines: titles, cells, and how many more cells are running."""
        from rich.text import Text  # noqa: PLC0415

        if not self.running or room < 1:
            return []
        titles = room > 2  # on less, a cell is worth more
        space = room - titles
        cells = self.running if len(self.running) <= space else self.running[: max(0, space - 1)]
        lines: list[RenderableType] = [_cells(cells, width, titles=titles)] if cells else []
        if more := len(self.running) - len(cells):
            lines.append(Text(f"... and {more} more" if cells else f"{more} running", style="dim"))
        return lines

    def _failures(self, width: int) -> list[RenderableType]:
        """Return a line for each of the last failures, cut to the width."""
        from rich.text import Text  # noqa: PLC0415

        lines: list[RenderableType] = []
        for failure in self.failures[-FAILURES:]:
            reason = " ".join(failure.reason.split())
            line = Text.assemble((failure.status, style_of(failure.status)), f" {failure.cell}: {reason}")
            line.truncate(width, overflow="ellipsis")
            lines.append(line)
        return lines


def _cells(lines: Sequence[BoardLine], width: int, *, titles: bool) -> Table:
    """Return a table with a line for each cell, in as many columns as fit."""
    from rich.table import Table  # noqa: PLC0415 - only on a terminal

    table = Table(box=None, show_header=titles, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    columns = _fitting(lines, width)
    for column, size in columns.items():
        side = "left" if column.flush_left else "right"
        table.add_column(column.title, justify=side, width=size, no_wrap=True, overflow="ellipsis")
    for line in lines:
        table.add_row(*(column.show(line) for column in columns))
    return table


def _fitting(lines: Sequence[BoardLine], width: int) -> dict[_Column, int]:
    """Return the columns that fit, and their widths.

    Columns are left out, those of the highest rank first, before names of methods are cut; the columns that matter
    most are left out only when the names are cut already.
    """
    from rich.cells import cell_len  # noqa: PLC0415 - only on a terminal

    texts = {column: [column.show(line) for line in lines] for column in _COLUMNS}
    sizes = {
        column: max(map(cell_len, (column.title, *column_texts)))
        for column, column_texts in texts.items()
        if column.always or any(column_texts)
    }
    name = _COLUMNS[0]

    def room() -> int:
        """Return the width that is free for the names of methods."""
        return width - sum(size + _GAP for column, size in sizes.items() if column is not name)

    for rank in range(max(column.rank for column in _COLUMNS), 0, -1):
        least = sizes[name] if rank >= _CUT_RANK else min(sizes[name], _LEAST_NAME)
        if room() < least:
            sizes = {column: size for column, size in sizes.items() if column.rank != rank}
    sizes[name] = max(1, min(sizes[name], room()))
    return sizes
