"""The comparison table for a terminal of about 100 columns: the headline of each group, and KID over tasks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from .failures import failures
from .finding import words
from .groups import groups, mixed_protocols, outcome
from .numbers import KID
from .overall import overall
from .scores import FLOOR, FLOOR_MARK, score_tables
from .tasks import task_tables
from .text import listing, one_line

if TYPE_CHECKING:
    from graftbench.records.run import Run

    from .scores import Cell, ScoreLine, ScoreTable
    from .tasks import TaskTable


def to_terminal(run: Run) -> list[Text | RichTable]:
    """Make tables and sentences; markup in names is printed, not obeyed."""
    all_groups = groups(run)
    parts: list[Text | RichTable] = [Text(outcome(run))]
    if mixed := mixed_protocols(all_groups):
        parts.append(Text(mixed, style="bold"))
    if together := overall(all_groups):
        parts.append(Text(one_line(together), style="bold"))
    tables = score_tables(all_groups)
    for table in tables:
        if not table.group.too_few:
            parts.append(Text(one_line(words(table.group)), style="bold"))
        parts.append(_headline(table))
        parts += [Text(sentence, style="dim") for sentence in _below(table)]
    for over_tasks in task_tables(tables):
        if over_tasks.metric is KID:
            parts += _tasks(over_tasks)
    # What the row "floor" is, and where the scores are that the terminal has no room for.
    if any(line.label == FLOOR for table in tables for line in table.headline.references):
        parts.append(Text(f"{FLOOR}: {FLOOR_MARK}.", style="dim"))
    if titles := dict.fromkeys(f"“{panel.panel.title}”" for table in tables for panel in table.panels):
        parts.append(Text(f"More scores in table.md and index.html: {listing(list(titles))}.", style="dim"))
    return parts


def _headline(table: ScoreTable) -> RichTable:
    """Make the headline of one group, methods by data budget, then reference rows."""
    view = RichTable(
        title=Text(one_line(table.title)),
        caption=Text(table.caption),
        box=box.SIMPLE_HEAD,
        padding=(0, 0, 0, 1),  # 80 columns
        pad_edge=False,
    )
    view.add_column("Method", overflow="fold", min_width=len("references"))
    for head in ["Images", *table.headline.panel.headings, "Fit, s"]:
        view.add_column(head, justify="right", no_wrap=True)
    view.add_column("Seeds", justify="right", min_width=len("diverged"))
    previous = None
    numbers = _numbers(table)
    for line in table.headline.methods:
        if previous not in (None, line.data_budget):
            view.add_section()
        previous = line.data_budget
        view.add_row(*_line(line, numbers))
    if table.headline.references:
        view.add_section()
        view.add_row(Text("references", style="dim italic"))
        for line in table.headline.references:
            view.add_row(*_line(line, numbers), style="dim")
    return view


def _numbers(table: ScoreTable) -> dict[int, int]:
    """Return footnote of the table -> its number here: those that the terminal shows, without gaps."""
    lines = (*table.headline.methods, *table.headline.references)
    used = {note for line in lines for cell in (line, *line.scores) for note in cell.notes}
    return {note: i for i, note in enumerate(sorted(used), start=1)}


def _line(line: ScoreLine, numbers: dict[int, int]) -> list[Text]:
    marks = [*filter(None, [line.origin_mark]), *(numbers[note] for note in line.notes)]
    name = Text(one_line(line.label) + "".join(f" [{mark}]" for mark in marks))
    # 80 columns: the spread, of how many seeds it is and the footnote are in table.md
    mean = line.fit_seconds.text.split(" ± ")[0].partition(" (")[0].replace("≤ ", "≤")
    fit = _cell(replace(line.fit_seconds, text=mean, notes=()))
    scores = [_cell(replace(cell, notes=tuple(numbers[note] for note in cell.notes))) for cell in line.scores]
    return [name, Text(line.images), *scores, fit, Text(line.outcome)]


def _cell(cell: Cell) -> Text:
    style = "bold" if cell.best else "underline" if cell.second else ""
    mark = f" [{cell.mark}]" if cell.declared else cell.mark
    return Text.assemble((one_line(cell.text), style), mark, "".join(f" [{note}]" for note in cell.notes))


def _below(table: ScoreTable) -> list[str]:
    """Return the footnotes to which the headline's columns refer, then what its marks mean."""
    sentences = [f"[{i}] {table.footnotes[note - 1]}" for note, i in _numbers(table).items()]
    second = ["Bold: best; underlined: second, at that number of images."] if table.headline.has_second else []
    bounds = any("≤" in line.fit_seconds.text for line in (*table.headline.methods, *table.headline.references))
    upper = ["≤: an upper bound, for other programs used the CPU meanwhile."] if bounds else []
    marks = " ".join([*second, *table.headline.marking, *upper])
    failed = [f"Failed, {line}" for line in failures(table.group)]
    return [*failed, *sentences, *([marks] if marks else [])]


def _tasks(table: TaskTable) -> list[Text | RichTable]:
    """Make title, `rich.table.Table`, caption; a title of the table itself would break at the table's width."""
    view = RichTable(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False)
    view.add_column("Method", overflow="fold")
    for head in (*table.heads, "Rank", "Tasks"):
        view.add_column(Text(one_line(head)), justify="right", overflow="fold")
    for line in table.lines:
        view.add_row(Text(one_line(line.label)), *map(_cell, (*line.scores, line.rank)), Text(line.tasks))
    return [Text(one_line(table.title), style="italic"), view, Text(table.caption, style="dim")]
