"""The table of scores, before it is Markdown, HTML or text: captions, rows, who is best, footnotes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from graftbench.stats import paired_difference

from ._groups import MARKS, devices, titles
from ._metrics import DASH, KID, decimals, mean_sd, number
from ._panels import Panel, floors, panels
from ._text import listing, one_line, plural, shorten_paths, span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.metrics.catalogue import Metric
    from graftbench.stats import Summary

    from ._groups import Group, Row

FLOOR = "floor"
FLOOR_MARK = "what as many real held-out images score"


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


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row of a table.

    Attributes:
        label: Whose scores they are.
        family: The method's family; empty for the floor.
        data_budget: Target training images; None for the floor.
        scores: One cell a metric of the panel.
        fit_seconds: Mean ± sd over seeds.
        outcome: Number of seeds, or what became of them.
        complete: Whether all seeds are there and a cell ended well.
        notes: Numbers of the footnotes that belong to the whole row.
        marks: For a reference row: what it marks.
    """

    label: str
    family: str = ""
    data_budget: int | None = None
    scores: tuple[Cell, ...]
    fit_seconds: Cell = Cell(DASH)
    outcome: str = DASH
    complete: bool = True
    notes: tuple[int, ...] = ()
    marks: str = ""

    @property
    def images(self) -> str:
        """Training images as printed."""
        return DASH if self.data_budget is None else f"{self.data_budget:,}"


@dataclass(frozen=True)
class PanelTable:
    """Scores that are read together, as a table.

    Attributes:
        panel: What its columns are.
        methods: Rows that compete.
        references: Rows that stand apart; the floor first, where one of the scores has one.
    """

    panel: Panel
    methods: tuple[Line, ...]
    references: tuple[Line, ...]


@dataclass(frozen=True)
class ScoreTable:
    """A group of comparable cells as tables.

    Attributes:
        group: The cells.
        title: Task, compute budget, protocol.
        caption: The conditions in full.
        headline: FID, KID and IS, with cost and seeds.
        panels: The other scores.
        footnotes: Of all its tables, in order; footnote i+1 is `footnotes[i]`.
    """

    group: Group
    title: str
    caption: str
    headline: PanelTable
    panels: tuple[PanelTable, ...]
    footnotes: tuple[str, ...]

    @property
    def marks(self) -> tuple[tuple[str, str], ...]:
        """(reference row, what it marks), each once."""
        lines = [line for table in (self.headline, *self.panels) for line in table.references]
        return tuple(dict.fromkeys((line.label, line.marks) for line in sorted(lines, key=lambda i: i.label != FLOOR)))


@dataclass
class _Footnotes:
    """Sentences in order of appearance, each with the scores of which it tells: a reason is given once for all."""

    labels: dict[str, list[str]] = field(default_factory=dict)

    def number(self, text: str, label: str = "") -> int:
        text = shorten_paths(one_line(text))
        labels = self.labels.setdefault(text, [])
        if label and label not in labels:
            labels.append(label)
        return list(self.labels).index(text) + 1

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(f"{listing(labels)} {text}".strip() for text, labels in self.labels.items())


def score_tables(found: Sequence[Group]) -> list[ScoreTable]:
    """One set of tables a group."""
    names = titles(found)
    tables = []
    for group in found:
        footnotes = _Footnotes()
        headline, *others = [_panel_table(group, panel, footnotes) for panel in panels(group)]
        title = names[group.key]
        tables.append(ScoreTable(group, title, caption(group), headline, tuple(others), footnotes.texts))
    return tables


def _panel_table(group: Group, panel: Panel, footnotes: _Footnotes) -> PanelTable:
    places = places_of(group, panel)
    # Reference rows fit in no time: their milliseconds must not set the decimals of the methods.
    fit_places = _places([row.cost("fit_seconds") for row in group.methods or group.rows])
    best = {metric: _best(group.methods, metric) if panel.ranked else [] for metric in panel.metrics}

    def line(row: Row) -> Line:
        return Line(
            label=row.label,
            family=row.family,
            data_budget=row.data_budget,
            notes=tuple(dict.fromkeys(footnotes.number(note) for record in row.records for note in record.notes)),
            scores=tuple(_score(row, m, places[m], footnotes, best=row in best[m]) for m in panel.metrics),
            fit_seconds=_fit_seconds(row, fit_places, footnotes) if panel.is_headline else Cell(DASH),
            outcome=row.outcome,
            complete=bool(row.ok) and not row.missing,
            marks=MARKS.get(row.method, "reference row") if row.is_reference else "",
        )

    methods = tuple(map(line, group.methods))
    return PanelTable(panel, methods, (*_floor(group, panel, places), *map(line, group.references)))


def places_of(group: Group, panel: Panel) -> dict[Metric, int]:
    """Decimals of each column."""
    known = floors(group)
    return {
        metric: _places([row.summary(metric) for row in group.rows])
        if any(row.summary(metric) for row in group.rows)
        else decimals(known.get(metric.name, ()))
        for metric in panel.metrics
    }


def _places(summaries: list[Summary | None]) -> int:
    return decimals([summary.mean for summary in summaries if summary is not None])


def _floor(group: Group, panel: Panel, places: dict[Metric, int]) -> list[Line]:
    """The row of the floors; none where no score of the panel has one."""
    known = floors(group)
    texts = [
        " to ".join(dict.fromkeys(number(value, places[metric]) for value in known[metric.name]))
        if metric.name in known
        else DASH
        for metric in panel.metrics
    ]
    if set(texts) == {DASH}:
        return []
    return [Line(label=FLOOR, scores=tuple(map(Cell, texts)), marks=FLOOR_MARK)]


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
    notes = tuple(footnotes.number(f"undefined: {reason}", metric.label) for reason in row.undefined(metric))
    if summary is None:
        if not notes and "train" in metric.needs and row.ok:
            notes = (footnotes.number("not computed: the row has no training images to compare with.", metric.label),)
            return Cell(DASH, notes=notes)
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
