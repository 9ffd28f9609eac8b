"""The table of scores, before it is Markdown, HTML or text: captions, rows, who is best, what marks say, footnotes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from graftbench.comparison.best import Standing, Standings, contest, standings
from graftbench.comparison.multiplicity import after_holm
from graftbench.comparison.paired import LEVEL, of_one_cell, p_clause, paired
from graftbench.comparison.stats import summarize
from graftbench.records.provenance import HANDED_IN

from .groups import MARKS, devices, grouped, titles
from .near_copies import note_on_copies
from .numbers import DASH, KID, decimals, mean_sd, number
from .origins import DECLARED_MARK, legend, partly_declared, row_mark
from .panels import Panel, floors, panels
from .second import note_on_reversals
from .text import listing, one_line, plural, shorten_paths, span
from .unbeaten import note_on, unbeaten

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graftbench.comparison.stats import SeedSummary
    from graftbench.metrics.catalogue import Metric

    from .groups import Group, Row

FLOOR = "floor"
ORACLE = "oracle"
FLOOR_MARK = "what as many real held-out images score"
MOST_CASES = 3
"""Most sentences about seeds that are too few in one table."""
LEVEL_MARK, UNTESTED_MARK = "†", "‡"


@dataclass(frozen=True)
class Cell:
    """One number of the table.

    Attributes:
        text: As printed.
        best: Whether it is the best of its data budget among methods.
        notes: Numbers of its footnotes.
        second: Whether it comes next after a single best.
        level: Whether it is not significantly worse than the best; False for the best itself, and where nothing could
            be told.
        untested: Whether it alone has too few seeds in common with the best to be told apart.
        declared: Whether it is a cost that was declared, of one seed at least, and not measured.
    """

    text: str
    best: bool = False
    notes: tuple[int, ...] = ()
    second: bool = False
    level: bool = False
    untested: bool = False
    declared: bool = False

    @property
    def mark(self) -> str:
        """Return `†` for level with the best, `‡` for untested, `d` for a declared cost, else empty."""
        if self.declared:
            return DECLARED_MARK
        return LEVEL_MARK if self.level else UNTESTED_MARK if self.untested else ""


@dataclass(frozen=True, kw_only=True)
class ScoreLine:
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
        origin_mark: `s` or `c` after the label of a row that others made.
        row: The row itself; None for the floor.
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
    origin_mark: str = ""
    row: Row | None = None

    @property
    def images(self) -> str:
        """Return the number of training images as printed."""
        return DASH if self.data_budget is None else f"{self.data_budget:,}"


@dataclass(frozen=True)
class PanelTable:
    """Scores that are read together, as a table.

    Attributes:
        panel: What its columns are.
        methods: Rows that compete.
        references: Rows that stand apart; the floor first, where one of the scores has one.
        marking: Sentences that say what `†`, `‡` and the letters mean here, and where seeds are too few for the former.
    """

    panel: Panel
    methods: tuple[ScoreLine, ...]
    references: tuple[ScoreLine, ...]
    marking: tuple[str, ...] = ()

    @property
    def has_second(self) -> bool:
        """Return whether a row comes second anywhere, so that its mark is to be explained."""
        return any(cell.second for line in self.methods for cell in line.scores)


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
        """Return (reference row, what it marks), each once."""
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


def score_tables(groups: Sequence[Group]) -> list[ScoreTable]:
    """Make one set of tables a group."""
    names = titles(groups)
    tables = []
    for group in groups:
        footnotes = _Footnotes()
        headline, *below = [_panel_table(group, panel, footnotes) for panel in panels(group)]
        tables.append(ScoreTable(group, names[group.key], caption(group), headline, tuple(below), footnotes.texts))
    return tables


def _panel_table(group: Group, panel: Panel, footnotes: _Footnotes) -> PanelTable:
    places = places_of(group, panel)
    # Reference rows fit in no time: their milliseconds must not set the decimals of the methods, nor must the hours
    # that others declare.
    fitted = [row for row in group.methods if not row.declared("fit_seconds")]
    fit_places = _decimals_of([row.cost("fit_seconds") for row in fitted or group.methods or group.rows])
    ranked = panel.ranked and not group.too_few
    ceilings = {metric: ceiling(group, metric) for metric in panel.metrics}
    columns = {m: column(group.methods, m, ceilings[m]) for m in panel.metrics if ranked and m.better}

    def line(row: Row, position: int | None = None) -> ScoreLine:
        standing = {} if position is None else {metric: column.each[position] for metric, column in columns.items()}
        return ScoreLine(
            label=row.label,
            family=row.family,
            data_budget=row.data_budget,
            notes=tuple(dict.fromkeys(footnotes.number(note) for note in _notes(group, row))),
            scores=tuple(_score(row, m, places[m], footnotes, standing.get(m, Standing())) for m in panel.metrics),
            fit_seconds=_fit_seconds(row, fit_places, footnotes) if panel.is_headline else Cell(DASH),
            outcome=row.outcome,
            complete=bool(row.ok) and not row.missing,
            marks=MARKS.get(row.method, "reference row") if row.is_reference else "",
            origin_mark=row_mark(row),
            row=row,
        )

    methods = tuple(line(row, i) for i, row in enumerate(group.methods))
    references = (*_floor(group, panel, places), *map(line, group.references))
    letters = legend(group.rows, ("fit_seconds",) if panel.is_headline else ())
    few = [group.too_few] if panel.ranked and group.too_few else []
    return PanelTable(panel, methods, references, (*few, *marking(columns), *_beyond(columns, places), *letters))


def _notes(group: Group, row: Row) -> list[str]:
    """Return the notes of a row: its records', that it beats nothing that learnt nothing, that it copies, reversals."""
    names = unbeaten(group, row)
    of_row = [note_on(names) if names else "", note_on_copies(row), note_on_reversals(group, row)]
    return [*(note for record in row.records for note in record.notes), *filter(None, of_row)]


def places_of(group: Group, panel: Panel) -> dict[Metric, int]:
    """Choose the decimals of each column, by its floors where no row has a score."""
    ends = floors(group)
    return {
        metric: _decimals_of([row.summary(metric) for row in group.rows])
        if any(row.summary(metric) for row in group.rows)
        else decimals(ends.get(metric.name, ()))
        for metric in panel.metrics
    }


def _decimals_of(summaries: list[SeedSummary | None]) -> int:
    return decimals([summary.mean for summary in summaries if summary is not None])


def _floor(group: Group, panel: Panel, places: dict[Metric, int]) -> list[ScoreLine]:
    """Return the row of the floors; none where no score of the panel has one."""
    ends = floors(group)
    texts = [
        " to ".join(dict.fromkeys(number(value, places[metric]) for value in ends.get(metric.name, ()))) or DASH
        for metric in panel.metrics
    ]
    if set(texts) == {DASH}:
        return []
    return [ScoreLine(label=FLOOR, scores=tuple(map(Cell, texts)), marks=FLOOR_MARK)]


@dataclass(frozen=True)
class Column:
    """Ranks of a table's rows by one metric, each among those of its data budget.

    Attributes:
        rows: The rows.
        each: One standing a row.
        budgets: Data budget -> how its rows stand together.
        ceiling: What real images have, where more says nothing good.
        beyond: The rows that have more: at their data budgets nobody is ranked.
    """

    rows: tuple[Row, ...]
    each: tuple[Standing, ...]
    budgets: dict[int, Standings]
    ceiling: float | None = None
    beyond: tuple[Row, ...] = ()

    def standing(self, row: Row) -> Standing:
        """Return the standing of a row."""
        return self.each[self.rows.index(row)]

    def is_worse(self, row: Row) -> bool:
        """Return whether a row is significantly worse than the best of its data budget: tested, and found worse."""
        standing = self.standing(row)
        tested = self.budgets[row.data_budget].tested
        return tested and not (standing.best or standing.level or standing.untested)

    def undecided(self, data_budget: int) -> str:
        """Say that seeds are too few to tell any rows of a budget apart, and how many could; empty where some can."""
        together = self.budgets.get(data_budget)
        return "" if together is None or together.tested or not together.others else _few(together)


def column(rows: Sequence[Row], metric: Metric, most: float | None = None) -> Column:
    """Compare the rows by a metric that has a direction.

    Rows trained with the scoring network do not compete. Where the mean of one is above `most`, the metric ranks nobody
    at that data budget: who stays below would lead by being worse.

    Args:
        rows: The rows.
        metric: The metric.
        most: What real images have, in the metric's printed scale, where more says nothing good.
    """
    each = [Standing()] * len(rows)
    budgets: dict[int, Standings] = {}
    means = [row.summary(metric) for row in rows]
    beyond = tuple(most is not None and summary is not None and summary.mean > most for summary in means)
    for budget in sorted({row.data_budget for row in rows}):
        of_budget = [i for i, row in enumerate(rows) if row.data_budget == budget]
        ranks = not any(beyond[i] for i in of_budget)
        competing = [i for i in of_budget if ranks and rows[i].competes_by(metric)]
        scores = [rows[i].by_seed(metric) for i in competing]
        budgets[budget] = together = standings(scores, lower_is_better=metric.better < 0, level=LEVEL)
        for i, standing in zip(competing, together.each, strict=True):
            # Where nothing could be told, one sentence says so, and only rows that do not compete are marked.
            each[i] = standing if together.tested else replace(standing, untested=standing.out)
    return Column(
        tuple(rows), tuple(each), budgets, most, tuple(row for row, is_out in zip(rows, beyond, strict=True) if is_out)
    )


MORE_IS_NO_MERIT = ("inception_score", "density", "vendi_score")
"""Scores that are better higher up to what real images have: beyond it images are surer of their class, more crowded or
more unlike each other than those that they are to be like."""


def ceiling(group: Group, metric: Metric) -> float | None:
    """Return the most that real images have of a score of which more is no merit; None where there is no such thing.

    That is the highest of the floors and, where it was run, of the oracle's seeds.
    """
    if metric.name not in MORE_IS_NO_MERIT:
        return None
    of_oracle = [value for row in group.references if row.method == ORACLE for value in row.by_seed(metric).values()]
    return max([*floors(group).get(metric.name, ()), *of_oracle], default=None)


def _beyond(columns: Mapping[Metric, Column], places: Mapping[Metric, int]) -> list[str]:
    """Say which rows have more of a score than real images do, and that it ranks nobody there."""
    sentences = []
    for metric, one in columns.items():
        budgets_by_names: dict[tuple[str, ...], list[int]] = {}
        for budget in sorted({row.data_budget for row in one.beyond}):
            names = dict.fromkeys(_called(row) for row in one.beyond if row.data_budget == budget)
            budgets_by_names.setdefault(tuple(names), []).append(budget)
        for all_names, budgets in budgets_by_names.items():
            names = list(all_names[:MOST_CASES])
            if len(all_names) > MOST_CASES:
                names.append(plural(len(all_names) - MOST_CASES, "more method"))
            verb = "has" if len(names) == 1 else "have"
            most = number(one.ceiling, places[metric])
            images = listing([f"{budget:,}" for budget in budgets])
            sentences.append(
                f"{metric.label} marks no best with {images} images: {listing(names)} {verb} more than real images "
                f"({most}), which says nothing good."
            )
    return sentences


def marking(columns: Mapping[Metric, Column]) -> tuple[str, ...]:
    """Say what the marks in the table mean, then where seeds are too few."""
    each = [standing for column in columns.values() for standing in column.each]
    sentences: list[str] = []
    if any(standing.level for standing in each):
        sentences.append(
            f"{LEVEL_MARK}: not significantly worse than the best (paired t test of the logarithms over seeds, or of "
            f"relative differences where a score is not above zero, with Holm's correction over the methods at that "
            f"number of images; level {LEVEL:g})."
        )
    if any(standing.untested for standing in each):
        sentences.append(f"{UNTESTED_MARK}: too few seeds in common with the best to be told apart from it.")
    return (*sentences, *_unequal_seeds(columns), *_too_few(columns))


def _unequal_seeds(columns: Mapping[Metric, Column]) -> list[str]:
    """Say which rows have too few seeds to compete, and where the others compete on fewer seeds than they have."""
    out = {
        f"{_called(row)} with {plural(row.data_budget, 'image')}: {seeds_of(row, metric)}"
        for metric, column in columns.items()
        for row, standing in zip(column.rows, column.each, strict=True)
        if standing.out
    }
    sentences = [f"Not compared, for want of seeds: {'. '.join(sorted(out))}."] if out else []
    shared = {
        f"{plural(len(together.contest.seeds), 'seed')} (with {plural(budget, 'image')})"
        for column in columns.values()
        for budget, together in column.budgets.items()
        if together.contest.left_out
    }
    if shared:
        sentences.append(
            f"Best and second go by the means over seeds that all compared rows have: {listing(sorted(shared))}."
        )
    return sentences


def seeds_of(row: Row, metric: Metric) -> str:
    """Return how many of its seeds have the score, and why not the others: `1 of 5 seeds; the others failed`."""
    count, total = len(row.by_seed(metric)), len(row.records) + row.missing
    if count == total:
        return plural(total, "seed")
    reasons = [
        word
        for word, some_are in (
            ("failed", len(row.ok) < len(row.records)),
            ("are missing", row.missing > 0),
            ("have no such score", count < len(row.ok)),
        )
        if some_are
    ]
    return f"{count} of {plural(total, 'seed')}; the others {' or '.join(reasons)}"


def _too_few(columns: Mapping[Metric, Column]) -> list[str]:
    """Say for each case in which nothing can be told how many seeds and methods; where, if not everywhere."""
    contested = [
        (budget, metric.label, together)
        for metric, column in columns.items()
        for budget, together in column.budgets.items()
        if together.others
    ]
    undecided = [case for case in contested if not case[2].tested]
    cases = grouped(undecided, lambda case: (case[2].pairs, case[2].contenders))
    sentences = []
    for alike in cases.values():
        images = listing([f"{budget:,}" for budget in sorted({budget for budget, _, _ in alike})])
        labels = listing(list(dict.fromkeys(label for _, label, _ in alike)))
        scope = "" if len(alike) == len(contested) else f" ({labels} at {images} images)"
        sentences.append(_few(alike[0][2], scope))
    if len(sentences) > MOST_CASES:
        cases_left = plural(len(sentences) - MOST_CASES, "more case")
        return [*sentences[:MOST_CASES], f"Seeds are too few in {cases_left} of this table, left unmarked."]
    return sentences


def _few(together: Standings, scope: str = "") -> str:
    seeds = plural(together.pairs, "seed") + (" in common" if together.pairs == 0 else "")
    return f"{seeds} cannot tell {together.contenders:,} methods apart: it takes 2 or more{scope}."


def _score(row: Row, metric: Metric, places: int, footnotes: _Footnotes, standing: Standing) -> Cell:
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
    return Cell(text, standing.best, notes, standing.second, standing.level, standing.untested)


def _fit_seconds(row: Row, places: int, footnotes: _Footnotes) -> Cell:
    summary = row.cost("fit_seconds")
    if summary is None:
        notes = [f"Run on {listing(list(row.devices))}: times of different devices have no mean."]
        return Cell(DASH, notes=tuple(footnotes.number(note) for note in notes if len(row.devices) > 1))
    declared = row.declared("fit_seconds")
    text, notes = mean_sd(summary, decimals([summary.mean]) if declared else places), []
    if summary.n != len(row.ok):
        text += f" (n={summary.n})"
    if any(record.resources is not None and record.resources.timing_shared for record in row.ok):
        text = f"≤ {text}"
        notes.append(
            footnotes.number(
                "≤: other processes used more than a tenth of the CPU meanwhile; the time is an upper bound."
            )
        )
    if part := partly_declared(row, "fit_seconds"):
        notes.append(footnotes.number(f"Declared are the seconds of {part}; the others' were measured."))
    return Cell(text, notes=tuple(notes), declared=bool(declared))


def caption(group: Group) -> str:
    """Write the conditions under which the group's numbers hold, in full sentences."""
    protocol = group.protocol
    size = "at the extractor's own size" if protocol.size is None else f"resized to {protocol.size} px"
    resize = "by the extractor's own rule" if protocol.resize == "extractor" else f"({protocol.resize})"
    weights = f", weights {protocol.weights_sha256[:12]}" if protocol.weights_sha256 else ""
    seeds = f"{plural(len(group.seeds), 'seed')} ({', '.join(map(str, group.seeds))})"
    counted = f"{span(group.n_reference)} of " if group.n_reference else ""
    images = f"{span(group.n_generated or {protocol.n_generated})} generated images against {counted}the split"
    sentences = [
        f"{group.task_title}; {group.compute_budget} per fit; {seeds}.",
        f"Protocol {protocol.label}: {images} “{protocol.reference}”, {size} {resize}{weights}.",
        "Mean ± standard deviation over seeds (no ± where there is one).",
    ]
    if any(row.leaks for row in group.methods):
        sentences.append("A method that was trained with the scoring network itself does not compete for bold.")
    if second := protocol.second:
        weights = f", weights {second.weights_sha256[:12]}" if second.weights_sha256 else ""
        sentences.append(f"Second extractor: {second.label}, the same images and the same split{weights}.")
    if any(row.origin == HANDED_IN for row in group.methods):
        sentences.append("What submitted rows spent was not checked.")
    if machines := _machines(group):
        sentences.append(f"Fitted on: {machines}.")
    return " ".join(sentences)


def _machines(group: Group) -> str:
    """Name the devices of the fits; of several each with its methods: `NVIDIA H200: finetune; cpu: dcgan, vae`."""
    names = devices(group.records)
    if len(names) < 2:
        return listing(names)
    labels = {name: dict.fromkeys(row.label for row in group.methods if name in devices(row.ok)) for name in names}
    return "; ".join(f"{name}: {', '.join(labels[name])}" if labels[name] else name for name in names)


# ------------------------------------------------------------------------------------------------------ the lead


@dataclass(frozen=True)
class Lead:
    """The leader by KID at one data budget, and whether the seeds settle it.

    Attributes:
        data_budget: Target training images.
        leader: The leading method by its label, which says so where it was submitted; empty where no method has a KID.
        score: Its KID×10³, mean ± sd.
        contested: Whether another method has a KID there.
        verdict: Who comes second, and whether the difference is settled.
        settled: Whether the second is significantly worse (`Column.is_worse`).
        unbeaten: The reference rows that the leader should beat and does not (`unbeaten`); else empty.
    """

    data_budget: int
    leader: str
    score: str
    verdict: str
    contested: bool = False
    settled: bool = False
    unbeaten: str = ""


def ranked_rows(rows: Iterable[Row], kid: Metric = KID) -> list[tuple[Row, SeedSummary]]:
    """Return the rows of one data budget that compete, best KID first, each with its KID×10³ over the seeds of all.

    Args:
        rows: Of one data budget.
        kid: KID by the first extractor, or by the second.
    """
    may_compete = [row for row in rows if row.competes_by(kid)]
    scores = [row.by_seed(kid) for row in may_compete]
    chosen = contest(scores)
    ranked = [(may_compete[i], summarize([scores[i][seed] for seed in chosen.seeds])) for i in chosen.members]
    return sorted(ranked, key=lambda pair: (pair[1].mean, pair[0].label))


def leads(group: Group) -> list[Lead]:
    """Return the lead at each data budget that a method ran with; none where nothing can be ranked."""
    if group.too_few:
        return []
    return [_lead(group, budget) for budget in group.method_budgets]


def _lead(group: Group, budget: int) -> Lead:
    rows = group.methods_at(budget)
    ranked = ranked_rows(rows)
    excluded = _not_compared(rows, ranked) + _out_of_competition(rows)
    if not ranked:
        scored = any(row.by_seed(KID) for row in rows if not row.leaks)
        reason = "the methods have no seed in common" if scored else "no method that may compete has a KID here"
        return Lead(budget, "", "", reason + excluded)
    places = decimals([summary.mean for _, summary in ranked])
    first, summary = ranked[0]
    not_beaten = listing(unbeaten(group, first))
    caveats = (f"; {_called(first)} does not beat {not_beaten}" if not_beaten else "") + excluded
    if len(ranked) == 1:
        alone = "no other method has a KID here" if not excluded else "no other method competes here"
        return Lead(budget, _called(first), mean_sd(summary, places), alone + caveats, unbeaten=not_beaten)
    second, runner_up = ranked[1]
    verdict, settled = _verdict(rows, first, second)
    relation = "level with" if runner_up.mean == summary.mean else "ahead of"
    ahead = f"{relation} {_called(second)} ({mean_sd(runner_up, places)}); {verdict}{caveats}"
    score = mean_sd(summary, places)
    return Lead(budget, _called(first), score, ahead, contested=True, settled=settled, unbeaten=not_beaten)


def _not_compared(rows: Sequence[Row], ranked: Sequence[tuple[Row, SeedSummary]]) -> str:
    """Write clauses that say on how many seeds the ranked rows compete, where not on all, and who has too few."""
    competing = [row for row, _ in ranked]
    clauses = []
    if competing and any(len(row.by_seed(KID)) > ranked[0][1].n for row in competing):
        clauses.append(f"; by the {plural(ranked[0][1].n, 'seed')} that all compared methods have")
    out = [row for row in rows if not row.leaks and row not in competing and row.by_seed(KID)]
    clauses += [f"; {_called(row)} does not compete ({seeds_of(row, KID)})" for row in out]
    return "".join(clauses)


def _called(row: Row) -> str:
    """Return the label, and that the row was made elsewhere: a lead is read without the table's marks."""
    return f"{row.label} (submitted)" if row.origin == HANDED_IN else row.label


def _out_of_competition(rows: Sequence[Row]) -> str:
    """Write a clause that names the rows that were trained with the scoring network, with their scores."""
    leaking = [(row.label, kid) for row in rows if row.leaks and (kid := row.summary(KID)) is not None]
    if not leaking:
        return ""
    places = decimals([summary.mean for _, summary in leaking])
    names = [f"{label} ({mean_sd(summary, places)})" for label, summary in leaking]
    return f"; not ranked, as trained with the scoring network: {listing(names)}"


def _verdict(rows: Sequence[Row], first: Row, second: Row) -> tuple[str, bool]:
    """Say whether the second is significantly worse than the first, in words and as a fact."""
    standings = column(rows, KID)
    shared = len(first.by_seed(KID).keys() & second.by_seed(KID).keys())
    seeds = plural(shared, "seed")
    if undecided := standings.undecided(first.data_budget):
        return undecided.removesuffix("."), False
    differences = paired(of_one_cell(first.by_seed(KID)), of_one_cell(second.by_seed(KID)))
    if standings.standing(second).untested or differences is None:
        return f"{seeds} in common cannot tell the two apart", False
    p = p_clause(differences.p)
    if standings.is_worse(second):
        return f"{seeds} settle it ({p}, also {after_holm(standings.budgets[first.data_budget].tests)})", True
    if differences.verdict(differences.p, lower_is_better=True) == "better":
        return f"{seeds} settle it between these two alone ({p}), and not among all methods", False
    needed = differences.pairs_needed()
    more = f"; {needed:,} would" if needed is not None and needed > shared else ""
    return f"{seeds} do not settle the order ({p}){more}", False
