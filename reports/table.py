"""table.md: the comparison table in Markdown, and the same table for the terminal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from graftbench.contracts import Report

from ._tables.groups import completeness, groups, mixed_protocols
from ._tables.numbers import KID
from ._tables.scores import FLOOR, FLOOR_MARK, Cell, PanelTable, ScoreLine, ScoreTable, leads, score_tables
from ._tables.tasks import TaskTable, task_tables
from ._tables.text import listing, markdown, one_line, plural

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table as RichTable
    from rich.text import Text

    from graftbench.records.run import Run


class Table(Report):
    """One row per method and data budget: FID, KID, IS over seeds, fit seconds; then a table for each kind of score.

    The best mean at each data budget is bold, the second in italics (on a terminal underlined), and † stands at what is
    not significantly worse than the best. With several tasks a table of methods by tasks follows, one a data budget,
    with average ranks. The terminal shows the first of these tables, and KID over tasks.
    """

    name = "table"
    title = "Comparison table (Markdown)"
    formats = (".md",)

    def write(self, run: Run, out: Path) -> list[Path]:
        """Write table.md."""
        path = out / "table.md"
        path.write_text(to_markdown(run), encoding="utf-8", newline="")
        return [path]

    def terminal(self, run: Run) -> list[Text | RichTable]:
        """Headlines for `rich.console.Console.print`: one `rich.table.Table` a group, sentences between them."""
        return to_terminal(run)


def to_markdown(run: Run) -> str:
    """Write the whole of table.md."""
    found = groups(run)
    blocks = [f"# {markdown(run.name)}", markdown(completeness(run))]
    if mixed := mixed_protocols(found):
        blocks.append(f"**{markdown(mixed)}**")
    tables = score_tables(found)
    for table in tables:
        blocks += _markdown_table(table)
    over_tasks = task_tables(tables)
    if over_tasks:
        blocks += ["## Over tasks", *(block for table in over_tasks for block in _markdown_tasks(table))]
    return "\n\n".join(blocks) + "\n"


def _markdown_table(table: ScoreTable) -> list[str]:
    heads = table.headline.panel.headings
    blocks = [f"## {markdown(table.title)}", markdown(table.caption)]
    if table.headline.methods:
        header = ["Method", "Images", *heads, "Fit, s", "Seeds"]
        blocks += [_grid(header, 1, [_markdown_line(line) for line in table.headline.methods])]
        blocks += [_markdown_marks(table.headline), _markdown_leads(table)]
    if table.headline.references:
        header = ["Reference row", "Images", *heads, "Fit, s", "Seeds", "Marks"]
        lines = [[*_markdown_line(line), markdown(line.marks)] for line in table.headline.references]
        blocks += ["Reference rows do not compete; they mark the scale:", _grid(header, 1, lines, words_last=True)]
    for panel in table.panels:
        blocks += _markdown_panel(panel)
    if table.footnotes:
        blocks.append("\n".join(f"{i}. {markdown(text)}" for i, text in enumerate(table.footnotes, start=1)))
    return blocks


def _markdown_panel(table: PanelTable) -> list[str]:
    """One table for methods and reference rows: what is to be read beside the floor stands under it."""
    header = ["Method", "Images", *table.panel.headings]
    lines = [_markdown_scores(line, markdown(line.label)) for line in table.methods]
    lines += [_markdown_scores(line, f"*{markdown(line.label)}*") for line in table.references]
    reading = " ".join([table.panel.reading, "Reference rows in italics." if table.references else ""]).strip()
    marks = [markdown(" ".join(table.marking))] if table.marking else []
    return [
        f"### {markdown(table.panel.title)}",
        *([markdown(reading)] if reading else []),
        _grid(header, 1, lines),
        *marks,
    ]


def _markdown_marks(table: PanelTable) -> str:
    second = ", in italics the second" if table.has_second else ""
    sentence = f"Bold: best mean among the methods at that number of training images{second}."
    return markdown(" ".join([sentence, *table.marking]))


def _markdown_tasks(table: TaskTable) -> list[str]:
    header = ["Method", *table.heads, "Average rank", "Tasks"]
    lines = [
        [
            markdown(line.label) + _superscript((), line.origin_mark),
            *map(_markdown_cell, (*line.scores, line.rank)),
            line.tasks,
        ]
        for line in table.lines
    ]
    return [f"### {markdown(table.title)}", markdown(table.caption), _grid(header, 1, lines)]


def _markdown_leads(table: ScoreTable) -> str:
    lines = []
    for lead in leads(table.group):
        images = plural(lead.data_budget, "image")
        told = f"{lead.leader} leads by KID×10³ ({lead.score}), {lead.verdict}" if lead.leader else lead.verdict
        lines.append(f"- {images}: {markdown(told)}.")
    return "\n".join(lines)


def _markdown_line(line: ScoreLine) -> list[str]:
    return [*_markdown_scores(line, markdown(line.label)), _markdown_cell(line.fit_seconds), markdown(line.outcome)]


def _markdown_scores(line: ScoreLine, name: str) -> list[str]:
    return [f"{name}{_superscript(line.notes, line.origin_mark)}", line.images, *map(_markdown_cell, line.scores)]


def _markdown_cell(cell: Cell) -> str:
    text = markdown(cell.text)
    styled = f"**{text}**" if cell.best else f"*{text}*" if cell.second else text
    return styled + _superscript(cell.notes, cell.mark)


def _superscript(notes: tuple[int, ...], mark: str = "") -> str:
    marks = [*filter(None, [mark]), *map(str, notes)]
    return f"<sup>{','.join(marks)}</sup>" if marks else ""


def _grid(header: list[str], words: int, lines: list[list[str]], *, words_last: bool = False) -> str:
    """Write a Markdown table: the first `words` columns (and the last, if it holds words) left, numbers right."""
    left = [i < words or (words_last and i == len(header) - 1) for i in range(len(header))]
    rule = ["---" if to_left else "---:" for to_left in left]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [[markdown(head) for head in header], rule, *lines])


# ------------------------------------------------------------------------------------------------------ terminal


def to_terminal(run: Run) -> list[Text | RichTable]:
    """Tables and sentences for a terminal of about 100 columns."""
    from rich.text import Text  # noqa: PLC0415 - other reports do not need rich

    found = groups(run)
    parts: list[Text | RichTable] = [Text(completeness(run))]
    if mixed := mixed_protocols(found):
        parts.append(Text(mixed, style="bold"))
    tables = score_tables(found)
    for table in tables:
        parts.append(terminal_table(table))
        used = _notes_of(table.headline)
        parts += [Text(f"[{i}] {text}", style="dim") for i, text in enumerate(table.footnotes, start=1) if i in used]
        parts += [Text(text, style="dim") for text in _terminal_marks(table.headline)]
    parts += [part for table in task_tables(tables) if table.metric is KID for part in _terminal_tasks(table)]
    parts += [Text(line, style="dim") for line in _more(tables)]
    return parts


def _terminal_marks(table: PanelTable) -> list[str]:
    second = ["Bold: best; underlined: second, at that number of images."] if table.has_second else []
    return [" ".join([*second, *table.marking])] if second or table.marking else []


def _terminal_tasks(table: TaskTable) -> list[Text | RichTable]:
    """Title, `rich.table.Table`, caption; a title of the table itself would break at the table's width."""
    from rich import box  # noqa: PLC0415 - other reports do not need rich
    from rich.table import Table as RichTable  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    view = RichTable(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False)
    view.add_column("Method", overflow="fold")
    for head in (*table.heads, "Rank", "Tasks"):
        view.add_column(Text(one_line(head)), justify="right", overflow="fold")
    for line in table.lines:
        view.add_row(Text(one_line(line.label)), *map(_terminal_cell, (*line.scores, line.rank)), Text(line.tasks))
    return [Text(one_line(table.title), style="italic"), view, Text(table.caption, style="dim")]


def _terminal_cell(cell: Cell) -> Text:
    from rich.text import Text  # noqa: PLC0415 - other reports do not need rich

    style = "bold" if cell.best else "underline" if cell.second else ""
    mark = f" [{cell.mark}]" if cell.declared else cell.mark
    return Text.assemble((one_line(cell.text), style), mark, "".join(f" [{note}]" for note in cell.notes))


def _notes_of(table: PanelTable) -> set[int]:
    """Numbers of the footnotes to which the terminal's columns refer."""
    lines = (*table.methods, *table.references)
    return {note for line in lines for notes in (line.notes, *(cell.notes for cell in line.scores)) for note in notes}


def _more(tables: list[ScoreTable]) -> list[str]:
    """Say what the row "floor" is, and where the scores are that the terminal has no room for."""
    floor = any(line.label == FLOOR for table in tables for line in table.headline.references)
    titles = dict.fromkeys(f"“{panel.panel.title}”" for table in tables for panel in table.panels)
    sentences = [f"{FLOOR}: {FLOOR_MARK}."] if floor else []
    return sentences + ([f"More scores in table.md and index.html: {listing(list(titles))}."] if titles else [])


def terminal_table(table: ScoreTable) -> RichTable:
    """Make the headline of one group as a `rich.table.Table`; markup in names is printed, not obeyed."""
    from rich import box  # noqa: PLC0415
    from rich.table import Table as RichTable  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    view = RichTable(
        title=Text(one_line(table.title)),
        caption=Text(table.caption),
        box=box.SIMPLE_HEAD,
        padding=(0, 0, 0, 1),  # 80 columns
        pad_edge=False,
    )
    view.add_column("Method", overflow="fold", min_width=len("references"))
    for head in ["Images", *table.headline.panel.headings, "Fit, s", "Seeds"]:
        view.add_column(
            head, justify="right", no_wrap=head != "Seeds", min_width=len("diverged") if head == "Seeds" else None
        )
    previous = None
    for line in table.headline.methods:
        if previous not in (None, line.data_budget):
            view.add_section()
        previous = line.data_budget
        view.add_row(*_terminal_line(line))
    if table.headline.references:
        view.add_section()
        view.add_row(Text("references", style="dim italic"))
        for line in table.headline.references:
            view.add_row(*_terminal_line(line), style="dim")
    return view


def _terminal_line(line: ScoreLine) -> list[Text]:
    from rich.text import Text  # noqa: PLC0415

    mark = (line.origin_mark,) if line.origin_mark else ()
    name = Text(one_line(line.label) + "".join(f" [{note}]" for note in (*mark, *line.notes)))
    # 80 columns: the spread, of how many seeds it is and the footnote are in table.md
    mean = line.fit_seconds.text.split(" ± ")[0].partition(" (")[0].replace("≤ ", "≤")
    fit = _terminal_cell(replace(line.fit_seconds, text=mean, notes=()))
    return [name, Text(line.images), *map(_terminal_cell, line.scores), fit, Text(line.outcome)]
