"""The table of scores, before it is Markdown, HTML or text: captions, rows, who is best, footnotes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from graftbench.stats import paired_difference

from ._groups import MARKS, devices, titles
from ._metrics import DASH, KID, Metric, decimals, mean_sd, metrics_of
from ._text import listing, one_line, plural, shorten_paths, span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.stats import Summary

    from ._groups import Group, Row


@dataclass(frozen=True)
class Cell:
    """One number of the table.

    Attributes:
        text: As printed.
        best: Whether it is the best of its data budget among methods.
        notes: Numbers of its footnotes.
    """

    text: str
    best: bool = False
    notes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Line:
    """One row of the table.

    Attributes:
        row: What it shows.
        scores: One cell a metric.
        fit_seconds: Mean ± sd over seeds.
        outcome: Number of seeds, or what became of them.
        notes: Numbers of the footnotes that belong to the whole row.
        marks: For a reference row: what it marks.
    """

    row: Row
    scores: tuple[Cell, ...]
    fit_seconds: Cell
    outcome: str
    notes: tuple[int, ...]
    marks: str = ""


@dataclass(frozen=True)
class ScoreTable:
    """A group of comparable cells as a table.

    Attributes:
        group: The cells.
        title: Task, compute budget, protocol.
        caption: The conditions in full.
        metrics: One a column.
        methods: Rows that compete.
        references: Rows that stand apart.
        footnotes: In order; footnote i+1 is `footnotes[i]`.
    """

    group: Group
    title: str
    caption: str
    metrics: tuple[Metric, ...]
    methods: tuple[Line, ...]
    references: tuple[Line, ...]
    footnotes: tuple[str, ...]


@dataclass
class _Footnotes:
    texts: list[str] = field(default_factory=list)

    def number(self, text: str) -> int:
        text = shorten_paths(one_line(text))
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1


def score_tables(found: Sequence[Group]) -> list[ScoreTable]:
    """One table a group."""
    metrics = metrics_of(record for group in found for record in group.records)
    names = titles(found)
    return [_table(group, names[group.key], metrics) for group in found]


def _table(group: Group, title: str, metrics: tuple[Metric, ...]) -> ScoreTable:
    footnotes = _Footnotes()
    places = {metric: _places([row.summary(metric) for row in group.rows]) for metric in metrics}
    fit_places = _places([row.cost("fit_seconds") for row in group.rows])
    best = {metric: _best(group.methods, metric) for metric in metrics}

    def line(row: Row) -> Line:
        return Line(
            row=row,
            notes=tuple(dict.fromkeys(footnotes.number(note) for record in row.records for note in record.notes)),
            scores=tuple(_score(row, m, places[m], footnotes, best=row in best[m]) for m in metrics),
            fit_seconds=_fit_seconds(row, fit_places, footnotes),
            outcome=row.outcome,
            marks=MARKS.get(row.method, "reference row") if row.is_reference else "",
        )

    methods, references = tuple(map(line, group.methods)), tuple(map(line, group.references))
    return ScoreTable(group, title, caption(group), metrics, methods, references, tuple(footnotes.texts))


def _places(summaries: list[Summary | None]) -> int:
    return decimals([summary.mean for summary in summaries if summary is not None])


def _best(rows: Sequence[Row], metric: Metric) -> list[Row]:
    """The leading rows of each data budget, ties included; none where there is nothing to compare.

    A row that looks at the scoring network does not compete.
    """
    leaders: list[Row] = []
    for budget in {row.data_budget for row in rows}:
        fair = [row for row in rows if row.data_budget == budget and not row.leaks]
        means = [(row, s.mean) for row in fair if (s := row.summary(metric)) is not None]
        if metric.better and len(means) > 1:
            top = max(metric.better * mean for _, mean in means)
            leaders += [row for row, mean in means if metric.better * mean == top]
    return leaders


def _score(row: Row, metric: Metric, places: int, footnotes: _Footnotes, *, best: bool) -> Cell:
    summary = row.summary(metric)
    notes = tuple(footnotes.number(f"{metric.label} undefined: {reason}") for reason in row.undefined(metric))
    if summary is None:
        return Cell("undefined" if notes else DASH, notes=notes)
    text = mean_sd(summary, places)
    if summary.n != len(row.ok):
        text += f" (n={summary.n})"
    return Cell(text, best, notes)


def _fit_seconds(row: Row, places: int, footnotes: _Footnotes) -> Cell:
    summary = row.cost("fit_seconds")
    if summary is None:
        return Cell(DASH)
    if not any(record.resources is not None and record.resources.timing_shared for record in row.ok):
        return Cell(mean_sd(summary, places))
    note = footnotes.number(
        "≤: other processes used more than a tenth of the CPU meanwhile; the time is an upper bound."
    )
    return Cell(f"≤ {mean_sd(summary, places)}", notes=(note,))


def caption(group: Group) -> str:
    """The conditions under which the group's numbers hold, in full sentences."""
    protocol = group.protocol
    size = "at the extractor's own size" if protocol.size is None else f"resized to {protocol.size} px"
    resize = "by the extractor's own rule" if protocol.resize == "extractor" else f"({protocol.resize})"
    weights = f", weights {protocol.weights_sha256[:12]}" if protocol.weights_sha256 else ""
    machines = listing(devices(group.records))
    seeds = f"{plural(len(group.seeds), 'seed')} ({', '.join(map(str, group.seeds))})"
    images = f"{span(group.n_generated)} generated images against {span(group.n_reference)}"
    sentences = [
        f"{group.task_title}; {group.compute_budget} per fit; {seeds}.",
        f"Protocol {protocol.label}: {images} of the split “{protocol.reference}”, {size} {resize}{weights}.",
        "Mean ± standard deviation over seeds (no ± where there is one).",
    ]
    if any(row.leaks for row in group.methods):
        sentences.append("A method that looks at the scoring network itself is marked and does not compete for bold.")
    if machines:
        sentences.append(f"Fitted on: {machines}.")
    return " ".join(sentences)


# ------------------------------------------------------------------------------------------------------ the lead


@dataclass(frozen=True)
class Lead:
    """Who leads by KID at one data budget, and whether the seeds settle it.

    Attributes:
        data_budget: Target training images.
        leader: Label of the leading method; empty where no method has a KID.
        score: Its KID×10³, mean ± sd.
        contested: Whether another method has a KID there.
        verdict: Who comes second, and whether the difference is settled.
        settled: Whether the 95 % interval of the seed-paired difference to the second leaves out 0.
    """

    data_budget: int
    leader: str
    score: str
    verdict: str
    contested: bool = False
    settled: bool = False


def leads(group: Group) -> list[Lead]:
    """The lead at each data budget that a method ran with."""
    return [_lead(group, budget) for budget in sorted({row.data_budget for row in group.methods})]


def _lead(group: Group, budget: int) -> Lead:
    rows = [row for row in group.methods if row.data_budget == budget]
    ranked = [(row, s) for row in rows if not row.leaks and (s := row.summary(KID)) is not None]
    if not ranked:
        return Lead(budget, "", "", "no method that may compete has a KID here")
    ranked.sort(key=lambda pair: (pair[1].mean, pair[0].label))
    places = decimals([summary.mean for _, summary in ranked])
    first, summary = ranked[0]
    if len(ranked) == 1:
        return Lead(budget, first.label, mean_sd(summary, places), "no other method has a KID here")
    second, runner_up = ranked[1]
    verdict, settled = _verdict(first, second)
    relation = "level with" if runner_up.mean == summary.mean else "ahead of"
    ahead = f"{relation} {second.label} ({mean_sd(runner_up, places)}); {verdict}{_out_of_competition(rows)}"
    return Lead(budget, first.label, mean_sd(summary, places), ahead, contested=True, settled=settled)


def _out_of_competition(rows: Sequence[Row]) -> str:
    """A clause that names the rows which look at the scoring network, with their scores."""
    found = [(row.label, s) for row in rows if row.leaks and (s := row.summary(KID)) is not None]
    if not found:
        return ""
    places = decimals([summary.mean for _, summary in found])
    leaking = [f"{label} ({mean_sd(summary, places)})" for label, summary in found]
    looks = "looks" if len(leaking) == 1 else "look"
    return f"; out of competition, {listing(leaking)} {looks} at the scoring network"


def _verdict(first: Row, second: Row) -> tuple[str, bool]:
    """Whether the 95 % interval of the seed-paired difference leaves out 0, in words and as a fact."""
    difference = paired_difference(second.by_seed(KID), first.by_seed(KID))
    if difference is None:
        return "no seed is common to both, so the order is not settled", False
    if difference.interval is None:
        return "one seed settles nothing", False
    seeds = plural(difference.n, "seed")
    if difference.interval.contains(0.0):
        return f"{seeds} do not settle the order (the 95 % interval of the paired difference contains 0)", False
    return f"the 95 % interval of the paired difference over {seeds} leaves out 0", True
