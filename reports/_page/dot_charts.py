"""The page's charts of rows: scores, seconds of training, closeness to training images, variety."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.metrics.catalogue import METRICS
from graftbench.records.provenance import known_cost

from .._tables.finding import MEMORIZER, ORACLE
from .._tables.numbers import decimals, finite, number
from .._tables.text import one_line
from .cost import measured_here, seconds_text
from .dots import DotChart, DotRow, lines_of, marks_of, spread_of
from .scale import scale_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.metrics.catalogue import Metric

    from .._tables.groups import Row

RATIO, COPIES, MODES, PAIRS = (METRICS[name] for name in ("train_distance_ratio", "copies", "modes", "variant_pairs"))


def dot_chart(
    rows: Sequence[Row],
    metric: Metric,
    lines: dict[str, float],
    notes: dict[int, str],
    *,
    from_zero: bool = False,
    places: int | None = None,
) -> DotChart:
    """Draw a score of some rows.

    Args:
        rows: In their order; one without the score says so.
        metric: The score.
        lines: Text -> value of a vertical line.
        notes: Id of a row -> what else is said of it.
        from_zero: Whether the axis begins at zero.
        places: Decimals of every number; by default each has its own, at most two.
    """
    methods = [value for row in rows if not row.is_reference for value in row.by_seed(metric).values()]
    marks = [summary.mean for row in rows if row.is_reference and (summary := row.summary(metric)) is not None]
    scale = scale_of(methods, [*marks, *lines.values()], from_zero=from_zero)
    dots = []
    for row in rows:
        summary, values = row.summary(metric), list(row.by_seed(metric).values())
        note = notes.get(id(row), "")
        if summary is None:
            dots.append(DotRow(row, "—", "", None, note or why_without(row, metric)))
            continue
        digits = min(2, decimals([summary.mean])) if places is None else places
        value, spread = number(summary.mean, digits), spread_of(values, summary, digits)
        dots.append(DotRow(row, value, spread, marks_of(scale, values, summary), note))
    return DotChart(tuple(dots), scale.ticks, lines_of(scale, lines), scale.logarithmic)


def why_without(row: Row, metric: Metric) -> str:
    """Say why a row has no such score."""
    if not row.ok:
        return row.outcome
    return one_line("; ".join(row.undefined(metric))) or "not measured"


def seconds(rows: Sequence[Row]) -> DotChart | None:
    """Draw what the trainings took, the fastest first."""
    timed = sorted((row for row in rows if row.cost("fit_seconds")), key=lambda row: (_mean_seconds(row), row.label))
    if not timed:
        return None
    by_row = {id(row): _seconds_of(row) for row in timed}
    own = [value for row in timed if measured_here(row) for value in by_row[id(row)]]
    scale = scale_of(own or [value for values in by_row.values() for value in values], from_zero=True)
    dots = []
    for row in timed:
        summary = row.cost("fit_seconds")
        assert summary is not None
        note = "" if measured_here(row) else "declared, not measured here"
        dots.append(DotRow(row, seconds_text(row), "", marks_of(scale, by_row[id(row)], summary), note))
    return DotChart(tuple(dots), scale.ticks)


def _mean_seconds(row: Row) -> float:
    summary = row.cost("fit_seconds")
    return 0.0 if summary is None else summary.mean


def _seconds_of(row: Row) -> list[float]:
    seconds = [finite(known_cost(record, "fit_seconds")) for record in row.ok]
    return [value for value in seconds if value is not None]


def memorization(methods: Sequence[Row], references: Sequence[Row]) -> dict[str, DotChart]:
    """Draw how far images are from the training images, relative to new real ones, and how many are copies of them.

    Returns:
        Name of the score -> its chart.
    """
    charts: dict[str, DotChart] = {}
    for metric, closest, lines in ((RATIO, 1, {"copies": 0.0, "new images": 1.0}), (COPIES, -1, {})):
        rows = [row for row in methods if row.summary(metric) is not None]
        if not rows:
            continue
        rows.sort(key=lambda row: (closest * _mean(row, metric), row.label))
        known = [row for row in references if row.method in (MEMORIZER, ORACLE) and row.summary(metric) is not None]
        places = 2 if metric is RATIO else None
        charts[metric.name] = dot_chart([*rows, *known], metric, lines, {}, from_zero=True, places=places)
    return charts


def truth(methods: Sequence[Row], references: Sequence[Row]) -> tuple[tuple[str, DotChart], ...]:
    """Draw how many variants, and pairs of variants, are made at all, where the target's factors are known."""
    truths = [record.truth for row in methods for record in row.ok if record.truth is not None]
    if not truths:
        return ()
    charts = []
    for metric, total, noun in ((MODES, truths[0].variants, "variants"), (PAIRS, truths[0].pairs, "pairs of variants")):
        rows = [row for row in methods if row.summary(metric) is not None]
        if not rows or not total:
            continue
        known = [row for row in references if row.method in (MEMORIZER, ORACLE) and row.summary(metric) is not None]
        lines = {f"all {total:,}": float(total)}
        charts.append(
            (
                f"{noun} made, of {total:,}",
                dot_chart([*rows, *known], metric, lines, {}, from_zero=True, places=1 if metric is MODES else 0),
            )
        )
    return tuple(charts)


def _mean(row: Row, metric: Metric) -> float:
    summary = row.summary(metric)
    return 0.0 if summary is None else summary.mean
