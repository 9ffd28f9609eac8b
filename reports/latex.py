"""table.tex and scores.tex: tables for a paper, a `table` environment for each group of comparable cells and panel."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from graftbench.citations import latex
from graftbench.contracts import Report
from graftbench.records.record import Status

from ._tables.groups import groups, mixed_protocols, outcome
from ._tables.origins import DECLARED_MARK, ROW_MARKS
from ._tables.scores import LEVEL_MARK, UNTESTED_MARK, Cell, PanelTable, ScoreLine, ScoreTable, score_tables
from ._tables.tasks import TaskTable, task_tables
from ._tables.text import one_line, shorten_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from graftbench.records.run import Run

MARKS = {LEVEL_MARK: r"$\dagger$", UNTESTED_MARK: r"$\ddagger$"}
MARKS |= {letter: rf"$\mathrm{{{letter}}}$" for letter in (DECLARED_MARK, *ROW_MARKS.values())}
"""The marks of `_tables.scores` in LaTeX."""
NARROW = 3
"""Most tasks in a table of the usual type size."""
NARROW_TYPE = (r"\scriptsize", r"\setlength{\tabcolsep}{3pt}")
WIDE = 4
"""Most scores beside each other in scores.tex."""


class Latex(Report):
    """FID, KID, IS, fit seconds and seeds for LaTeX with booktabs; one row per method and data budget.

    Best mean bold, second underlined; a dagger stands at what is not significantly worse than the best, as in table.md.
    Failed cells are named in their row. With several tasks follow tables of methods by tasks. The other scores stand in
    scores.tex, a table for each panel of table.md.
    """

    name = "latex"
    title = "Comparison table (LaTeX, booktabs)"
    formats = (".tex",)
    on_request = ("*",)
    for_paper = True

    def write(self, run: Run, out: Path) -> list[Path]:
        """Write table.tex, and scores.tex where there are other scores than those of table.tex."""
        tables = score_tables(groups(run))
        files = {"table.tex": headline_tables(run, tables), "scores.tex": panel_tables(run, tables)}
        paths = []
        for name, text in files.items():
            if text:
                paths.append(out / name)
                paths[-1].write_text(text, encoding="ascii", newline="")
        return paths


def headline_tables(run: Run, tables: Sequence[ScoreTable]) -> str:
    """Write the whole of table.tex, ASCII."""
    environments = [
        _float(_caption(table), table.group.key, [_tabular(table), *_below(table, table.headline)]) for table in tables
    ]
    over_tasks = [_tasks(table) for table in task_tables(tables)]
    return "\n\n".join([_head(run, tables), *environments, *over_tasks]) + "\n"


def panel_tables(run: Run, tables: Sequence[ScoreTable]) -> str:
    """Write the whole of scores.tex, ASCII; empty where no table has a panel below its headline."""
    environments = [each for table in tables for panel in table.panels for each in _panel(table, panel)]
    return "\n\n".join([_head(run, tables), *environments]) + "\n" if environments else ""


def _head(run: Run, tables: Sequence[ScoreTable]) -> str:
    """Say in comments what was run, and what the preamble must have."""
    sentences = [f"{run.name}: {outcome(run)}", mixed_protocols([table.group for table in tables])]
    comments = [f"% {_text(sentence)}" for sentence in sentences if sentence]
    return "\n".join([*comments, r"% In the preamble: \usepackage{booktabs}"])


def _float(caption: str, key: str, body: Sequence[str]) -> str:
    parts = [
        r"\begin{table}[tbp]",
        r"\centering",
        r"\setlength{\belowcaptionskip}{4pt}",
        rf"\caption{{{caption}}}",
        rf"\label{{tab:graftbench-{key}}}",
        r"\footnotesize",
        r"\setlength{\tabcolsep}{4pt}",
        *body,
        r"\end{table}",
    ]
    return "\n".join(parts)


# ----------------------------------------------------------------------------------------------------------- caption


def _caption(table: ScoreTable) -> str:
    """Write the conditions in full, then what the marks say."""
    sentences = [table.caption, "Fit: mean seconds of a fit."]
    if table.headline.methods and not table.group.too_few:
        second = "; underlined: second" if table.headline.has_second else ""
        sentences.append(f"Bold: best mean at that number of training images{second}.")
    return " ".join(_marked(sentence) for sentence in (*sentences, *table.headline.marking))


def _marked(sentence: str) -> str:
    """Write a sentence whose first character may be a mark, which no text font need have."""
    mark = MARKS.get(sentence[:1], "") if sentence[1:2] == ":" else ""
    return mark + _text(sentence[1:] if mark else sentence)


def _below(table: ScoreTable, panel: PanelTable, part: slice = slice(None)) -> list[str]:
    """Write what the reference rows of the headline mark, and the footnotes to which some scores of a panel refer."""
    lines = panel.references
    marks = "; ".join(f"{line.label}: {line.marks}" for line in {line.label: line for line in lines}.values())
    texts = [_text(f"{marks}.")] if marks and panel is table.headline else []
    lines = (*panel.methods, *lines)
    notes = {note for line in lines for cell in (line, line.fit_seconds, *line.scores[part]) for note in cell.notes}
    texts += [f"$^{{{i}}}$ {_text(table.footnotes[i - 1])}" for i in sorted(notes)]
    if not texts:
        return []
    joined = "\\\\\n".join(texts)
    return [rf"\par\smallskip\parbox{{\linewidth}}{{\scriptsize\raggedright {joined}}}"]


# ----------------------------------------------------------------------------------------------------------- tabular


def _tabular(table: ScoreTable) -> str:
    heads = ["Method", "Images", *table.headline.panel.headings, "Fit (s)", "Seeds"]
    return _grid(heads, _rows(table.headline, len(heads), _line))


def _rows(panel: PanelTable, columns: int, row: Callable[[ScoreLine], str]) -> list[str]:
    """Write the methods, budgets apart, then the reference rows."""
    rows: list[str] = []
    previous = None
    for line in panel.methods:
        if previous not in (None, line.data_budget):
            rows.append(r"\addlinespace")
        previous = line.data_budget
        rows.append(row(line))
    if panel.references:
        rows += [r"\midrule"] if rows else []
        rows += [rf"\multicolumn{{{columns}}}{{@{{}}l}}{{\emph{{Reference rows, which do not compete}}}} \\"]
        rows += map(row, panel.references)
    return rows


def _panel(table: ScoreTable, panel: PanelTable) -> list[str]:
    """Write one panel of other scores: a table for each `WIDE` of them, of equal width.

    The first caption says how to read them, under which conditions, and what is marked.
    """
    headings, count = panel.panel.headings, math.ceil(len(panel.panel.metrics) / WIDE)
    width = math.ceil(len(headings) / count)
    key = f"{table.group.key}-{panel.panel.title.lower().replace(' ', '-')}"
    floats: list[str] = []
    for first in range(0, len(headings), width):
        part = slice(first, first + width)
        heads = ["Method", "Images", *headings[part]]
        grid = _grid(heads, _rows(panel, len(heads), partial(_scores, part=part)))
        sentences = [f"{panel.panel.title}. {panel.panel.reading}".rstrip(), table.caption, *panel.marking]
        if floats:
            sentences = [f"{panel.panel.title}, continued from Table~\\ref{{tab:graftbench-{key}}}."]
        caption = sentences[0] if floats else " ".join(map(_marked, sentences))
        label = f"{key}-{len(floats) + 1}" if floats else key
        floats.append(_float(caption, label, [*NARROW_TYPE, grid, *_below(table, panel, part)]))
    return floats


def _scores(line: ScoreLine, part: slice) -> str:
    """Write some of the scores of a row; what became of it where none of its cells ended well."""
    name = _text(line.label) + _superscript(line.notes, line.origin_mark)
    if line.row is not None and not line.row.ok:
        ended = f"\\emph{{{_text(line.outcome)}}}"
        return _row([name, _text(line.images), rf"\multicolumn{{{len(line.scores[part])}}}{{c}}{{{ended}}}"])
    return _row([name, _text(line.images), *map(_cell, line.scores[part])])


def _grid(heads: Sequence[str], rows: Sequence[str]) -> str:
    body = [r"\toprule", _row([_text(head) for head in heads]), r"\midrule", *rows, r"\bottomrule"]
    columns = f"@{{}}l{'r' * (len(heads) - 1)}@{{}}"
    return "\n".join([rf"\begin{{tabular}}{{{columns}}}", *body, r"\end{tabular}"])


def _tasks(table: TaskTable) -> str:
    """Write methods by tasks, for one score and data budget."""
    rows = [
        _row(
            [
                _text(line.label) + _superscript((), line.origin_mark),
                *map(_cell, (*line.scores, line.rank)),
                _text(line.tasks),
            ]
        )
        for line in table.lines
    ]
    caption = f"{table.caption} Bold: best; underlined: second."
    key = f"tasks-{table.key}-{table.metric.name.replace('_', '-')}-{table.data_budget}"
    narrow = NARROW_TYPE if len(table.heads) > NARROW else ()
    return _float(_text(caption), key, [*narrow, _grid(["Method", *table.heads, "Rank", "Tasks"], rows)])


def _line(line: ScoreLine) -> str:
    """Write a row; where no cell ended well, what became of them stands in place of the numbers."""
    name = _text(line.label) + _superscript(line.notes, line.origin_mark)
    if line.row is None:
        seeds = _text(line.outcome)
    else:
        ok, total = len(line.row.ok), len(line.row.records) + line.row.missing
        failed = ", ".join(f"{count} {status}" for status, count in line.row.endings.items() if status != Status.OK)
        if not ok:
            span = rf"\multicolumn{{{len(line.scores) + 1}}}{{c}}{{\emph{{{_text(failed)}}}}}"
            return _row([name, line.images, span, f"0/{total}"])
        seeds = str(total) if ok == total else _text(f"{ok}/{total} ({failed})")
    fit = replace(line.fit_seconds, text=line.fit_seconds.text.partition(" ± ")[0])  # as on the terminal, for room
    return _row([name, _text(line.images), *map(_cell, line.scores), _cell(fit), seeds])


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _cell(cell: Cell) -> str:
    r"""Set the mean bold or underlined, and marks in no width of their own, so that digits stay under each other."""
    mean, sign, spread = cell.text.partition(" ± ")
    style = r"\textbf{%s}" if cell.best else r"\underline{%s}" if cell.second else "%s"
    marks = ",".join([*([MARKS[cell.mark].strip("$")] if cell.mark else []), *map(str, cell.notes)])
    text = style % _text(mean) + (f" $\\pm$ {_text(spread)}" if sign else "")
    return text + (rf"\rlap{{$^{{{marks}}}$}}" if marks else "")


def _superscript(notes: Sequence[int], letter: str = "") -> str:
    marks = [*([MARKS[letter].strip("$")] if letter else []), *map(str, notes)]
    return f"$^{{{','.join(marks)}}}$" if marks else ""


def _text(text: str) -> str:
    return latex(shorten_paths(one_line(text)))
