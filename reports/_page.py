"""What the page shows, as plain values; the template only arranges them."""

from __future__ import annotations

import base64
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graftbench.record import Status

from ._cost import cost_panel, measured, memory_kinds, unmeasured_note
from ._groups import titles
from ._metrics import DASH, decimals, finite, mean_sd, number, quantity
from ._quality import PANELS, group_looks, not_drawn, quality_panel
from ._samples import Strip, alt_text, spaced_png, strips
from ._scores import Lead, PanelTable, ScoreTable, leads, places_of, score_tables
from ._style import inline_svg, style
from ._text import one_line, plural, shorten_paths

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from graftbench.contracts import Run
    from graftbench.metrics.catalogue import Metric
    from graftbench.record import Record

    from ._groups import Group, Row


@dataclass(frozen=True)
class Figure:
    """An inline figure.

    Attributes:
        svg: The element, already safe to print as it is.
        notes: Sentences under it.
    """

    svg: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CostLine:
    """One row of the cost table: name, training images, and the cells as text in the order of the section's headings.

    A row without a cell that ended well has its outcome as its only cell.
    """

    label: str
    data_budget: int
    cells: tuple[str, ...]


@dataclass(frozen=True)
class IntervalCell:
    """Two 95 % intervals as text: of the mean over seeds, and within one cell. Empty where there is none.

    Without either, `none` says why.
    """

    seeds: str = ""
    within: str = ""
    none: str = ""


@dataclass(frozen=True)
class IntervalLine:
    """One row of a table of intervals: name, training images, and one cell for each metric of the panel."""

    label: str
    data_budget: int
    cells: tuple[IntervalCell, ...]


@dataclass(frozen=True)
class PanelSection:
    """A table of scores on the page.

    Attributes:
        anchor: Id of its heading.
        title: Its heading.
        table: The scores.
        intervals: Rows of the table of intervals.
        columns: (label, what it says) of each column.
    """

    anchor: str
    title: str
    table: PanelTable
    intervals: tuple[IntervalLine, ...]
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Section:
    """All that the page says about one group.

    Attributes:
        anchor: Id of its heading.
        title: Its heading.
        headline: Who leads at each data budget, in one sentence, as (text, is a name) pieces.
        leads: The same in detail.
        table: Scores: caption, marks of the reference rows, footnotes.
        panels: Its tables, the headline first.
        quality: Figures of quality.
        cost_figures: Figures of cost.
        cost_note: What has no counter.
        cost_headings: Columns of the cost table.
        cost: Its rows.
        samples: (strip, data URI of its picture or empty, alternative text).
    """

    anchor: str
    title: str
    headline: tuple[tuple[str, bool], ...]
    leads: tuple[Lead, ...]
    table: ScoreTable
    panels: tuple[PanelSection, ...]
    quality: tuple[Figure, ...]
    cost_figures: tuple[Figure, ...]
    cost_note: str
    cost_headings: tuple[str, ...]
    cost: tuple[CostLine, ...]
    samples: tuple[tuple[Strip, str, str], ...]


def sections(found: Sequence[Group], folder: Path) -> list[Section]:
    """One section a group."""
    names = titles(found)
    tables = {table.group.key: table for table in score_tables(found)}
    quality, costs = _figures(found)
    return [
        Section(
            anchor=f"set-{i}",
            title=one_line(names[group.key]),
            headline=headline(group),
            leads=tuple(leads(group)),
            table=tables[group.key],
            panels=_panel_sections(tables[group.key], f"set-{i}"),
            quality=quality[group.key],
            cost_figures=costs[group.key],
            cost_note=unmeasured_note(group),
            cost_headings=_cost_headings(group),
            cost=tuple(_cost_line(row, several_kinds=len(memory_kinds(group.methods)) > 1) for row in group.methods),
            samples=tuple((strip, _data_uri(strip), alt_text(strip)) for strip in strips(group, folder)),
        )
        for i, group in enumerate(found, start=1)
    ]


def headline(group: Group) -> tuple[tuple[str, bool], ...]:
    """Who leads at each data budget and under which conditions, in pieces (text, whether it is a method's name)."""
    seeds = plural(len(group.seeds), "seed")
    conditions = f"{group.compute_budget} per fit, {seeds}, protocol {group.protocol.label}"
    pieces: list[tuple[str, bool]] = [(f"{group.task_title} ({conditions}): ", False)]
    told = [lead for lead in leads(group) if lead.leader]
    if not told:
        return (*pieces, ("no method has a KID, so none leads.", False))
    contested = [lead for lead in told if lead.contested]
    none_settled = len(contested) > 1 and not any(lead.settled for lead in contested)
    for i, lead in enumerate(told):
        images = plural(lead.data_budget, "training image")
        doubt = lead.contested and not lead.settled and not none_settled
        pieces += [
            (f"{'; ' if i else ''}with {images} ", False),
            (lead.leader, True),
            (_leads_by(lead) + (", which these seeds do not settle" if doubt else ""), False),
        ]
    return (*pieces, (f". None of these leads is settled by {seeds}." if none_settled else ".", False))


def _leads_by(lead: Lead) -> str:
    if not lead.contested:
        return f" is the only method with a KID (×10³: {lead.score})"
    return f" leads with KID×10³ {lead.score}"


# ------------------------------------------------------------------------------------------------------- figures


def _figures(found: Sequence[Group]) -> tuple[dict[str, tuple[Figure, ...]], dict[str, tuple[Figure, ...]]]:
    palette = group_looks(found)
    quality: dict[str, tuple[Figure, ...]] = {}
    costs: dict[str, tuple[Figure, ...]] = {}
    with style(text_as_paths=False):
        for i, group in enumerate(found, start=1):
            quality[group.key] = tuple(
                Figure(
                    inline_svg(
                        quality_panel(group, metric, palette),
                        f"g{i}-{metric.name}",
                        f"{metric.label} against target training images, one line a method; the numbers are in the "
                        "table of scores above.",
                    ),
                    tuple(not_drawn(group, metric)),
                )
                for metric in PANELS
            )
            costs[group.key] = tuple(
                Figure(
                    inline_svg(
                        cost_panel(group, cost, palette),
                        f"g{i}-{cost.name.replace('_', '-')}",
                        f"Bars, one a method: {cost.heading}; the numbers are in the table of costs below.",
                    )
                )
                for cost in measured(group)
            )
    return quality, costs


def _data_uri(strip: Strip) -> str:
    if strip.image is None:
        return ""
    return "data:image/png;base64," + base64.b64encode(spaced_png(strip.image)).decode()


# -------------------------------------------------------------------------------------------------------- tables


def _cost_headings(group: Group) -> tuple[str, ...]:
    kinds = memory_kinds(group.methods)
    return (
        "fit, s",
        "images shown",
        "training images/s",
        "sampling images/s",
        f"peak memory, MiB ({kinds[0]})" if len(kinds) == 1 else "peak memory, MiB",
        "energy, J",
        "parameters, all",
        "parameters, trained",
        "GFLOPs per image",
        "timings shared",
    )


def _cost_line(row: Row, *, several_kinds: bool) -> CostLine:
    cells = (
        _measure(row, "fit_seconds"),
        _prefixed(row, "images_seen"),
        _measure(row, "training_images_per_second"),
        _measure(row, "sampling_images_per_second"),
        _memory(row) if several_kinds else _measure(row, "peak_memory_mib"),
        _energy(row),
        _prefixed(row, "parameters_total"),
        _prefixed(row, "parameters_trained"),
        _gflops(row),
        _shared(row),
    )
    return CostLine(row.label, row.data_budget, cells if row.ok else (row.outcome,))


def _measure(row: Row, name: str) -> str:
    summary = row.cost(name)
    return DASH if summary is None else mean_sd(summary, decimals([summary.mean]))


def _prefixed(row: Row, name: str) -> str:
    summary = row.cost(name)
    return quantity(None if summary is None else summary.mean)


def _gflops(row: Row) -> str:
    summary = row.cost("flops_per_image")
    return DASH if summary is None else number(summary.mean / 1e9, decimals([summary.mean / 1e9]))


def _memory(row: Row) -> str:
    text = _measure(row, "peak_memory_mib")
    return text if text == DASH else " ".join([text, *memory_kinds([row])])


def _energy(row: Row) -> str:
    sources = sorted({r.resources.energy_source for r in row.ok if r.resources is not None} - {""})
    text = _measure(row, "energy_joules")
    return "no counter" if text == DASH else " ".join([text, *(f"({source})" for source in sources)])


def _shared(row: Row) -> str:
    flags = [r.resources.timing_shared for r in row.ok if r.resources is not None]
    if not flags:
        return DASH
    return f"{sum(flags)} of {len(flags)}" if any(flags) else "no"


def _panel_sections(table: ScoreTable, anchor: str) -> tuple[PanelSection, ...]:
    return tuple(
        PanelSection(
            anchor=f"{anchor}-scores-{i}" if i else f"{anchor}-scores",
            title=part.panel.title or "Scores",
            table=part,
            intervals=tuple(_intervals(table.group, part)),
            columns=tuple((metric.label, _says(metric, ranked=part.panel.ranked)) for metric in part.panel.metrics),
        )
        for i, part in enumerate((table.headline, *table.panels))
    )


def _says(metric: Metric, *, ranked: bool) -> str:
    direction = {-1: "; lower is better", 0: "", 1: "; higher is better"}[metric.better if ranked else 0]
    return f"{metric.title}{direction}{f' (arXiv {metric.paper})' if metric.paper else ''}"


def _intervals(group: Group, table: PanelTable) -> list[IntervalLine]:
    """For methods and reference rows; a floor has no interval."""
    places = places_of(group, table.panel)
    return [
        IntervalLine(row.label, row.data_budget, tuple(_interval_cell(row, m, places[m]) for m in table.panel.metrics))
        for row in (*group.methods, *group.references)
    ]


def _interval_cell(row: Row, metric: Metric, places: int) -> IntervalCell:
    summary = row.summary(metric)
    if summary is None:
        return IntervalCell(none=DASH)
    seeds = "" if summary.interval is None else _range(summary.interval.low, summary.interval.high, places)
    within = _within(row, metric, places)
    return IntervalCell(
        seeds=f"{seeds} (n={summary.n})" if seeds else "",
        within=within,
        none="" if seeds or within else f"none (n={summary.n})",
    )


def _within(row: Row, metric: Metric, places: int) -> str:
    """The interval of the lowest seed that has one, in the metric's printed scale: `seed 0: 9.1 to 10.9`."""
    for record in row.ok:
        score = record.score(metric.name)
        if score is None or score.interval is None or finite(score.value) is None:
            continue
        low, high = (finite(end) for end in score.interval)
        if low is not None and high is not None:
            return f"seed {record.cell.seed}: {_range(metric.scale * low, metric.scale * high, places)}"
    return ""


def _range(low: float, high: float, places: int) -> str:
    return f"{number(low, places)} to {number(high, places)}"


# ------------------------------------------------------------------------------------------- failures, environment


@dataclass(frozen=True)
class Failure:
    """A cell that did not end well, as text."""

    id: str
    cell: str
    status: str
    exit_code: str
    reason: str
    log_tail: str


def failures(found: Sequence[Group]) -> list[Failure]:
    """Every cell whose status is not `ok`, in the order of the tables."""
    return [
        Failure(
            id=record.id,
            cell=str(record.cell),
            status=str(record.status),
            exit_code="" if record.exit_code is None else str(record.exit_code),
            reason=shorten_paths(record.reason) or "no reason was recorded",
            log_tail=shorten_paths(record.log_tail).strip("\n"),
        )
        for group in found
        for record in group.records
        if record.status != Status.OK
    ]


def environment(records: Sequence[Record]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Key -> its values over the records, each with how many cells had it (empty where all had the same)."""
    flat = [dict(_flatten(record.environment)) for record in records]
    keys = sorted({key for values in flat for key in values})
    rows = []
    for key in keys:
        counts = Counter(values.get(key, "not recorded") for values in flat)
        single = len(counts) == 1
        rows.append((key, [(v, "" if single else plural(n, "cell")) for v, n in sorted(counts.items())]))
    return rows


def _flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        if name == "domains":  # has a section of its own
            continue
        if isinstance(value, dict):
            pairs += _flatten(value, f"{name}.")
        else:
            pairs.append((one_line(name), shorten_paths(_plain(value))))
    return pairs


def _plain(value: object) -> str:
    if value is None:
        return "none"
    return one_line(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def domains(records: Sequence[Record]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Domain -> (field, text) from `environment["domains"]`, for the domains that the records' tasks name."""
    used = sorted({name for record in records for name in (record.cell.task.source, record.cell.task.target)})
    told: dict[str, Any] = {}
    for record in records:
        given = record.environment.get("domains")
        if isinstance(given, dict):
            told |= {str(name): value for name, value in sorted(given.items()) if name not in told}
    return [(name, _domain_fields(told.get(name))) for name in used]


def _domain_fields(given: object) -> list[tuple[str, str]]:
    if isinstance(given, dict):
        return [(one_line(str(key)), shorten_paths(_plain(value))) for key, value in given.items() if value]
    return [("license", one_line(given))] if isinstance(given, str) and given else []


def command(run: Run) -> str:
    """The command that made the records, if they say it; else the one that runs a suite of that name."""
    commands = {record.environment.get("command") for record in run.records}
    given = sorted(one_line(text) for text in commands if isinstance(text, str) and text)
    return shorten_paths(given[0]) if given else f"graftbench run {one_line(run.name)}"


def when(records: Sequence[Record]) -> str:
    """First and last time at which a cell ended; empty if unknown."""
    times = sorted(record.finished_at for record in records if record.finished_at)
    return "" if not times else times[0] if times[0] == times[-1] else f"{times[0]} to {times[-1]}"
