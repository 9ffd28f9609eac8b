"""The tables of what a quality costs, as text: for the report and for the command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.comparison.time_to_quality import WAY, money

if TYPE_CHECKING:
    from collections.abc import Callable

    from graftbench.comparison.survival import ArrivalCurve
    from graftbench.comparison.time_to_quality import LevelArrival, QualityRow, QualityTable

HALF = 0.5
"""The stated cost is that at which half of the runs have arrived."""

EXPLANATION = (
    "Each cell: what half of the runs had spent when they arrived (Kaplan–Meier median), and how many arrived. A run "
    "that never arrives is not dropped: it counts as waiting until its end. `> x`: less than half had arrived when the "
    "last run ended, after x. A run arrives with the first snapshot at or below the level; nobody looked in between."
)


def headings(table: QualityTable) -> list[str]:
    """Return the headings of a table: the method, then each level with its KID×10³."""
    levels = zip(WAY, table.levels, strict=True)
    return ["method", *(f"{100 * share:.0f} % of the way (KID×10³ {1000 * level:z,.0f})" for share, level in levels)]


def quantities(table: QualityTable, price_per_hour: float | None) -> list[tuple[str, list[list[str]]]]:
    """Return what is stated of each table: (quantity and unit, a row of texts a method).

    Args:
        table: The table.
        price_per_hour: Of the machine, in any currency; None leaves money out.
    """
    ways: list[tuple[str, Callable[[LevelArrival], ArrivalCurve | None], float]] = [
        ("seconds", lambda arrival: arrival.seconds, 1.0),
        ("training images", lambda arrival: arrival.images, 1.0),
        ("joules", lambda arrival: arrival.joules, 1.0),
    ]
    if price_per_hour is not None:
        of_a_second = money(1.0, price_per_hour)
        ways.append((f"money at {price_per_hour:g} per hour", lambda arrival: arrival.seconds, of_a_second))
    stated = []
    for name, curve_of, scale in ways:
        rows = [_row(row, curve_of, scale) for row in table.rows]
        if any("not measured" not in text for row in rows for text in row[1:]):
            stated.append((name, rows))
    return stated


def _row(row: QualityRow, curve_of: Callable[[LevelArrival], ArrivalCurve | None], scale: float) -> list[str]:
    if not row.arrivals:
        return [row.method, *["no run with a course"] * len(WAY)]
    return [row.method, *(_stated(curve_of(arrival), scale) for arrival in row.arrivals)]


def _stated(curve: ArrivalCurve | None, scale: float) -> str:
    if curve is None:
        return "not measured"
    half = curve.quantile(HALF)
    cost = f"> {_digits(curve.longest * scale)}" if half is None else _digits(half * scale)
    return f"{cost} ({curve.arrivals} of {curve.runs})"


def _digits(value: float) -> str:
    """Print four significant digits, or all before the point: `64,000` and not `6.4e+04`."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def remarks(table: QualityTable) -> list[str]:
    """Return sentences below a table: cells that are left out, and how variants converge."""
    lines = []
    for row in table.rows:
        if row.left_out:
            counts = ", ".join(f"{count} × {reason}" for reason, count in row.left_out.items())
            lines.append(f"{row.method}: left out: {counts}.")
        if row.started_elsewhere:
            lines.append(
                f"{row.method}: it started from another source model than the row source, by which the levels go, and "
                "may have been at one from the start."
            )
        left = [
            f"{arrival.left_again} of {arrival.seconds.arrivals} that were at {100 * share:.0f} %"
            for share, arrival in zip(WAY, row.arrivals, strict=False)  # a row without a course has no arrivals
            if arrival.left_again
        ]
        if left:
            lines.append(f"{row.method}: ended above the level: {', '.join(left)}; the first arrival counts.")
        if row.convergence:
            lines.append(f"{row.method}: {row.convergence}.")
    if table.shared:
        lines.append(
            f"{', '.join(table.shared)}: other programs used the machine meanwhile; seconds and money are upper bounds."
        )
    return lines
