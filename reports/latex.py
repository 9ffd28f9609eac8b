"""table.tex: the comparison table for a paper, one `table` environment for each group of comparable cells."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from graftbench.citations import latex
from graftbench.contracts import Report
from graftbench.records.record import Status

from ._tables.groups import groups, mixed_protocols, outcome
from ._tables.origins import DECLARED_MARK, ROW_MARKS
from ._tables.scores import LEVEL_MARK, UNTESTED_MARK, Cell, ScoreLine, ScoreTable, score_tables
from ._tables.tasks import TaskTable, task_tables
from ._tables.text import one_line, shorten_paths

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from graftbench.records.run import Run

MARKS = {LEVEL_MARK: r"$\dagger$", UNTESTED_MARK: r"$\ddagger$"}
MARKS |= {letter: rf"$\mathrm{{{letter}}}$" for letter in (DECLARED_MARK, *ROW_MARKS.values())}
"""The marks of `_tables.scores` in LaTeX."""
NARROW = 3
"""Most tasks in a table of the usual type size."""


class Latex(Report):
    """FID, KID, IS, fit seconds and seeds for LaTeX with booktabs; one row per method and data budget.

    Best mean bold, second underlined; a dagger stands at what is not significantly worse than the best, as in table.md.
    Failed cells are named in their row. With several tasks follow tables of methods by tasks. The other scores are in
    table.md.
    """

    name = "latex"
    title = "Comparison table (LaTeX, booktabs)"
    formats = (".tex",)
    on_request = ("*",)
    for_paper = True

    def write(self, run: Run, out: Path) -> list[Path]:
        """Write table.tex."""
        path = out / "table.tex"
        path.write_text(to_latex(run), encoding="ascii", newline="")
        return [path]


def to_latex(run: Run) -> str:
    """Write the whole of table.tex, ASCII."""
    all_groups = groups(run)
    sentences = [f"{run.name}: {outcome(run)}", mixed_protocols(all_groups)]
    comments = [f"% {_text(sentence)}" for sentence in sentences if sentence]
    head = "\n".join([*comments, r"% In the preamble: \usepackage{booktabs}"])
    tables = score_tables(all_groups)
    environments = [_float(_caption(table), table.group.key, [_tabular(table), *_below(table)]) for table in tables]
    over_tasks = [_tasks(table) for table in task_tables(tables)]
    return "\n\n".join([head, *environments, *over_tasks]) + "\n"


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


def _below(table: ScoreTable) -> list[str]:
    """Write what reference rows mark, and the footnotes to which the table refers."""
    lines = table.headline.references
    marks = "; ".join(f"{line.label}: {line.marks}" for line in {line.label: line for line in lines}.values())
    texts = [_text(f"{marks}.")] if marks else []
    lines = (*table.headline.methods, *lines)
    notes = {note for line in lines for cell in (line, line.fit_seconds, *line.scores) for note in cell.notes}
    texts += [f"$^{{{i}}}$ {_text(table.footnotes[i - 1])}" for i in sorted(notes)]
    if not texts:
        return []
    joined = "\\\\\n".join(texts)
    return [rf"\par\smallskip\parbox{{\linewidth}}{{\scriptsize\raggedright {joined}}}"]


# ----------------------------------------------------------------------------------------------------------- tabular


def _tabular(table: ScoreTable) -> str:
    heads = ["Method", "Images", *table.headline.panel.headings, "Fit (s)", "Seeds"]
    rows: list[str] = []
    previous = None
    for line in table.headline.methods:
        if previous not in (None, line.data_budget):
            rows.append(r"\addlinespace")
        previous = line.data_budget
        rows.append(_line(line))
    if table.headline.references:
        rows += [r"\midrule"] if rows else []
        rows += [rf"\multicolumn{{{len(heads)}}}{{@{{}}l}}{{\emph{{Reference rows, which do not compete}}}} \\"]
        rows += map(_line, table.headline.references)
    return _grid(heads, rows)


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
    narrow = [r"\scriptsize", r"\setlength{\tabcolsep}{3pt}"] if len(table.heads) > NARROW else []
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
