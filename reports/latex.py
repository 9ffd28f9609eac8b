"""table.tex: the comparison table for a paper, one `table` environment for each group of comparable cells."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from graftbench.bibliography import latex
from graftbench.contracts import Report, Run
from graftbench.record import Status
from graftbench.stats import paired_difference

from ._groups import completeness, groups, mixed_protocols
from ._scores import Cell, Line, ScoreTable, score_tables
from ._text import one_line, shorten_paths

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from graftbench.metrics.catalogue import Metric

    from ._groups import Row

LEVEL = 0.95
LEVEL_MARK, UNTESTED_MARK = r"\dagger", r"\ddagger"
_LEVEL_SENTENCE = (
    "not significantly worse than the best (the 95 % Student-t interval of the difference, paired over seeds, does not "
    "lie on the worse side of 0; no correction for the number of methods)"
)
_UNTESTED_SENTENCE = "not tested against the best: fewer than two seeds in common"


class Latex(Report):
    """FID, KID, IS, fit seconds and seeds for LaTeX with booktabs; one row per method and data budget.

    Best mean bold, second underlined; a dagger stands at what is not significantly worse than the best, by the same
    interval by which table.md says whether a lead is settled. Failed cells are named in their row. The other scores are
    in table.md.
    """

    name = "latex"
    title = "Comparison table (LaTeX, booktabs)"
    formats = (".tex",)

    def write(self, run: Run, out: Path) -> list[Path]:
        """Write table.tex."""
        path = out / "table.tex"
        path.write_text(to_latex(run), encoding="ascii", newline="")
        return [path]


def to_latex(run: Run) -> str:
    """The whole of table.tex, ASCII."""
    found = groups(run)
    sentences = [f"{run.name}: {completeness(run)}", mixed_protocols(found)]
    comments = [f"% {_text(sentence)}" for sentence in sentences if sentence]
    head = "\n".join([*comments, r"% In the preamble: \usepackage{booktabs}"])
    return "\n\n".join([head, *(_environment(table) for table in score_tables(found))]) + "\n"


def _environment(table: ScoreTable) -> str:
    standings = _standings(table)
    parts = [
        r"\begin{table}[tbp]",
        r"\centering",
        r"\setlength{\belowcaptionskip}{4pt}",
        rf"\caption{{{_caption(table, standings)}}}",
        rf"\label{{tab:graftbench-{table.group.key}}}",
        r"\footnotesize",
        r"\setlength{\tabcolsep}{4pt}",
        _tabular(table, standings),
        *_below(table),
        r"\end{table}",
    ]
    return "\n".join(parts)


# ------------------------------------------------------------------------------------------------------ significance


class Standing(NamedTuple):
    """Where a row stands in one column among the methods with as many training images.

    Attributes:
        second: Whether its mean comes next after a single best.
        level: Whether it is not significantly worse than the best, and not the best itself.
        tested: Whether it could be told; `level` is False where not.
    """

    second: bool = False
    level: bool = False
    tested: bool = True

    @property
    def mark(self) -> str:
        """In math mode; empty for the best, and for what is significantly worse or does not compete."""
        return UNTESTED_MARK if not self.tested else LEVEL_MARK if self.level else ""


Standings = list[tuple[Standing, ...]]
"""For each method's row, in the order of the table: its standing in each column."""


def _standings(table: ScoreTable) -> Standings:
    columns = [standings(table.group.methods, metric) for metric in table.headline.panel.metrics]
    return list(zip(*columns, strict=True))


def standings(rows: Sequence[Row], metric: Metric) -> list[Standing]:
    """How each row stands in a column; nothing to say where a metric has no direction or a budget one contender."""
    found = [Standing()] * len(rows)
    for budget in {row.data_budget for row in rows}:
        fair = [i for i, row in enumerate(rows) if row.data_budget == budget and not row.leaks]
        means = {i: metric.better * s.mean for i in fair if (s := rows[i].summary(metric)) is not None}
        if not metric.better or len(means) < 2:
            continue
        values = sorted(means.values(), reverse=True)
        best = next(i for i in fair if means.get(i) == values[0])
        for i, value in means.items():
            if value < values[0]:
                worse = _worse(rows[i], rows[best], metric)
                second = value == values[1]  # two that share the best leave no second
                found[i] = Standing(second, level=worse is False, tested=worse is not None)
    return found


def _worse(row: Row, best: Row, metric: Metric) -> bool | None:
    """Whether a row is significantly worse than the best; None where fewer than two seeds are common to both."""
    difference = paired_difference(row.by_seed(metric), best.by_seed(metric), LEVEL)
    if difference is None or difference.interval is None:
        return None
    return difference.interval.high < 0 if metric.better > 0 else difference.interval.low > 0


# ----------------------------------------------------------------------------------------------------------- caption


def _caption(table: ScoreTable, found: Standings) -> str:
    """The conditions in full, then what the marks say."""
    sentences = [_text(table.caption), "Fit: mean seconds of a fit."]
    if table.headline.methods:
        sentences.append("Bold: best mean at that number of training images; underlined: second.")
    marks = {standing.mark for row in found for standing in row}
    told = {LEVEL_MARK: _LEVEL_SENTENCE, UNTESTED_MARK: _UNTESTED_SENTENCE}
    sentences += [f"${mark}$: {_text(sentence)}." for mark, sentence in told.items() if mark in marks]
    return " ".join(sentences)


def _below(table: ScoreTable) -> list[str]:
    """What reference rows mark, and the footnotes to which the table refers."""
    lines = table.headline.references
    marks = "; ".join(f"{line.label}: {line.marks}" for line in {line.label: line for line in lines}.values())
    texts = [_text(f"{marks}.")] if marks else []
    texts += [f"$^{{{i}}}$ {_text(table.footnotes[i - 1])}" for i in _notes(table)]
    if not texts:
        return []
    joined = "\\\\\n".join(texts)
    return [rf"\par\smallskip\parbox{{\linewidth}}{{\scriptsize\raggedright {joined}}}"]


def _notes(table: ScoreTable) -> list[int]:
    """Footnotes of the headline; those of the other panels are table.md's."""
    lines = (*table.headline.methods, *table.headline.references)
    return sorted({n for line in lines for cell in (line, line.fit_seconds, *line.scores) for n in cell.notes})


# ----------------------------------------------------------------------------------------------------------- tabular


def _tabular(table: ScoreTable, found: Standings) -> str:
    heads = ["Method", "Images", *table.headline.panel.headings, "Fit (s)", "Seeds"]
    rows = _method_rows(table, found)
    references = _reference_rows(table)
    if references:
        rows += [r"\midrule"] if rows else []
        rows += [rf"\multicolumn{{{len(heads)}}}{{@{{}}l}}{{\emph{{Reference rows, which do not compete}}}} \\"]
    body = [r"\toprule", _row([_text(head) for head in heads]), r"\midrule", *rows, *references, r"\bottomrule"]
    columns = f"@{{}}l{'r' * (len(heads) - 1)}@{{}}"
    return "\n".join([rf"\begin{{tabular}}{{{columns}}}", *body, r"\end{tabular}"])


def _method_rows(table: ScoreTable, found: Standings) -> list[str]:
    lines: list[str] = []
    previous = None
    for row, line, standing in zip(table.group.methods, table.headline.methods, found, strict=True):
        if previous not in (None, row.data_budget):
            lines.append(r"\addlinespace")
        previous = row.data_budget
        lines.append(_line(line, row, standing))
    return lines


def _reference_rows(table: ScoreTable) -> list[str]:
    """The floor has no cells behind it, and stands first."""
    lines, rows = table.headline.references, table.group.references
    floor = len(lines) - len(rows)
    return [_line(line, None, ()) for line in lines[:floor]] + [
        _line(line, row, ()) for line, row in zip(lines[floor:], rows, strict=True)
    ]


def _line(line: Line, row: Row | None, standing: Sequence[Standing]) -> str:
    """A row; where no cell ended well, what became of them stands in place of the numbers."""
    name = _text(line.label) + _superscript(line.notes)
    if row is not None and not row.ok:
        span = rf"\multicolumn{{{len(line.scores) + 1}}}{{c}}{{\emph{{{_text(_failed(row))}}}}}"
        return _row([name, line.images, span, f"0/{_total(row)}"])
    marks = standing or [Standing()] * len(line.scores)
    cells = [_cell(cell, mark) for cell, mark in zip(line.scores, marks, strict=True)]
    seeds = _text(line.outcome) if row is None else _seeds(row)
    fit = Cell(line.fit_seconds.text.partition(" ± ")[0], notes=line.fit_seconds.notes)  # as on the terminal, for room
    return _row([name, _text(line.images), *cells, _cell(fit, Standing()), seeds])


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _cell(cell: Cell, standing: Standing) -> str:
    r"""Mean in bold or underlined, marks in no width of their own, so that the digits stay under each other."""
    mean, sign, spread = cell.text.partition(" ± ")
    style = r"\textbf{%s}" if cell.best else r"\underline{%s}" if standing.second else "%s"
    marks = ",".join([*([standing.mark] if standing.mark else []), *map(str, cell.notes)])
    text = style % _text(mean) + (f" $\\pm$ {_text(spread)}" if sign else "")
    return text + (rf"\rlap{{$^{{{marks}}}$}}" if marks else "")


def _superscript(notes: Sequence[int]) -> str:
    return f"$^{{{','.join(map(str, notes))}}}$" if notes else ""


def _total(row: Row) -> int:
    return len(row.records) + row.missing


def _seeds(row: Row) -> str:
    """`2`, or `1/3 (1 oom, 1 missing)`."""
    ok, total = len(row.ok), _total(row)
    return str(total) if ok == total else _text(f"{ok}/{total} ({_failed(row)})")


def _failed(row: Row) -> str:
    """`2 diverged`, `1 oom, 1 missing`."""
    counts = Counter(str(record.status) for record in row.records if record.status != Status.OK)
    parts = {str(status): counts[status] for status in Status} | {"missing": row.missing}
    return ", ".join(f"{count} {status}" for status, count in parts.items() if count)


def _text(text: str) -> str:
    return latex(shorten_paths(one_line(text)))
