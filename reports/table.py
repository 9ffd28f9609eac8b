"""table.md: the comparison table in Markdown, and the same table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.contracts import Report

from ._tables.failures import failures
from ._tables.finding import words
from ._tables.groups import groups, mixed_protocols, outcome
from ._tables.overall import overall
from ._tables.scores import leads, score_tables
from ._tables.tasks import task_tables
from ._tables.text import markdown, markdown_table, plural

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table as RichTable
    from rich.text import Text

    from graftbench.records.run import Run

    from ._tables.scores import Cell, PanelTable, ScoreLine, ScoreTable
    from ._tables.tasks import TaskTable


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
        """Make headlines for `rich.console.Console.print`: one `rich.table.Table` a group, sentences between them."""
        from ._tables.terminal import to_terminal  # noqa: PLC0415 - other reports do not need rich

        return to_terminal(run)


def to_markdown(run: Run) -> str:
    """Write the whole of table.md."""
    all_groups = groups(run)
    blocks = [f"# {markdown(run.name)}", markdown(outcome(run))]
    if mixed := mixed_protocols(all_groups):
        blocks.append(f"**{markdown(mixed)}**")
    if together := overall(all_groups):
        blocks.append(markdown(together))
    tables = score_tables(all_groups)
    for table in tables:
        blocks += _markdown_table(table)
    if over_tasks := task_tables(tables):
        blocks += ["## Over tasks", *(block for table in over_tasks for block in _task_blocks(table))]
    blocks.append("Every word of these tables stands in plain words in graftbench's glossary, docs/glossary.md.")
    return "\n\n".join(blocks) + "\n"


def _markdown_table(table: ScoreTable) -> list[str]:
    headline = table.headline
    header = ["Method", "Images", *headline.panel.headings, "Fit, s", "Seeds"]
    blocks = [f"## {markdown(table.title)}", markdown(table.caption)]
    if not table.group.too_few:
        blocks.append(f"Finding: {markdown(words(table.group))}")
    if headline.methods:
        second = ", in italics the second" if headline.has_second else ""
        marks = f"Bold: best mean among the methods at that number of training images{second}. "
        blocks += [
            markdown_table(header, map(_line, headline.methods)),
            markdown(("" if table.group.too_few else marks) + " ".join(headline.marking)),
            *filter(None, [_leads(table)]),
        ]
    if headline.references:
        header = ["Reference row", *header[1:], "Marks"]
        lines = [[*_line(line), markdown(line.marks)] for line in headline.references]
        blocks.append("For comparison, not ranked:")
        blocks.append(markdown_table(header, lines, words=(0, len(header) - 1)))
    if failed := failures(table.group):
        blocks += ["Failed cells:", "\n".join(f"- {markdown(line)}" for line in failed)]
    for panel in table.panels:
        blocks += _panel_blocks(panel)
    if table.footnotes:
        blocks.append("\n".join(f"{i}. {markdown(text)}" for i, text in enumerate(table.footnotes, start=1)))
    return blocks


def _panel_blocks(table: PanelTable) -> list[str]:
    """Write one table for methods and reference rows: what is to be read beside the floor stands under it."""
    lines = [_scores(line, markdown(line.label)) for line in table.methods]
    lines += [_scores(line, f"*{markdown(line.label)}*") for line in table.references]
    reading = " ".join([table.panel.reading, "Reference rows in italics." if table.references else ""]).strip()
    blocks = [
        f"### {markdown(table.panel.title)}",
        markdown(reading),
        markdown_table(["Method", "Images", *table.panel.headings], lines),
        markdown(" ".join(table.marking)),
    ]
    return [block for block in blocks if block]


def _task_blocks(table: TaskTable) -> list[str]:
    lines = [
        [
            markdown(line.label) + _superscript((), line.origin_mark),
            *map(_cell, (*line.scores, line.rank)),
            line.tasks,
        ]
        for line in table.lines
    ]
    header = ["Method", *table.heads, "Average rank", "Tasks"]
    return [f"### {markdown(table.title)}", markdown(table.caption), markdown_table(header, lines)]


def _leads(table: ScoreTable) -> str:
    lines = []
    for lead in leads(table.group):
        sentence = f"{lead.leader} leads by KID×10³ ({lead.score}), {lead.verdict}" if lead.leader else lead.verdict
        lines.append(f"- {plural(lead.data_budget, 'image')}: {markdown(sentence)}.")
    return "\n".join(lines)


def _line(line: ScoreLine) -> list[str]:
    return [*_scores(line, markdown(line.label)), _cell(line.fit_seconds), markdown(line.outcome)]


def _scores(line: ScoreLine, name: str) -> list[str]:
    return [f"{name}{_superscript(line.notes, line.origin_mark)}", line.images, *map(_cell, line.scores)]


def _cell(cell: Cell) -> str:
    text = markdown(cell.text)
    styled = f"**{text}**" if cell.best else f"*{text}*" if cell.second else text
    return styled + _superscript(cell.notes, cell.mark)


def _superscript(notes: tuple[int, ...], mark: str = "") -> str:
    marks = [*filter(None, [mark]), *map(str, notes)]
    return f"<sup>{','.join(marks)}</sup>" if marks else ""
