"""The page's table of costs, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graftbench.records.provenance import HANDED_IN, is_known

from .._figures.cost import memory_kinds
from .._tables.numbers import DASH, decimals, mean_sd, number, quantity
from .._tables.origins import legend, partly_declared
from .._tables.text import listing, plural

if TYPE_CHECKING:
    from .._tables.groups import Group, Row


@dataclass(frozen=True)
class CostLine:
    """One row of the cost table.

    Attributes:
        label: Whose costs they are.
        data_budget: Target training images.
        cells: As text, in the order of the section's headings; the outcome alone where no cell ended well.
        values: The numbers behind them, None where there is none.
        declared: Of which seeds each was declared; empty where it was measured.
    """

    label: str
    data_budget: int
    cells: tuple[str, ...]
    values: tuple[float | None, ...] = ()
    declared: tuple[str, ...] = ()


_FIELDS = (
    "fit_seconds",
    "images_seen",
    "training_images_per_second",
    "sampling_images_per_second",
    "peak_memory_mib",
    "energy_joules",
    "parameters_total",
    "parameters_trained",
    "flops_per_image",
    "",
)
"""The field of the resources behind each column; empty where there is none."""


def cost_headings(group: Group) -> tuple[str, ...]:
    """Columns of the table."""
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


def cost_lines(group: Group) -> tuple[CostLine, ...]:
    """One a method and data budget."""
    several_kinds = len(memory_kinds(group.methods)) > 1  # device and resident memory meet: each says which it is
    return tuple(_cost_line(row, several_kinds=several_kinds) for row in group.methods)


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
    if not row.ok:
        return CostLine(row.label, row.data_budget, (row.outcome,))
    found = [row.cost(name) if name else None for name in _FIELDS]
    values = tuple(summary and summary.mean for summary in found)
    return CostLine(row.label, row.data_budget, cells, values, tuple(_declared(row, name) for name in _FIELDS))


def _declared(row: Row, name: str) -> str:
    """Write `declared`, or `declared of 1 of 2 seeds`; empty where it was measured."""
    count, seeds = len(row.declared(name)), plural(len(row.ok), "seed")
    return "" if not count else "declared" if count == len(row.ok) else f"declared of {count} of {seeds}"


def cost_marks(group: Group) -> tuple[str, ...]:
    """Sentences that explain the letters in the table of costs; then whose costs are declared of some seeds alone."""
    names = [name for name in _FIELDS if name]
    mixed = sorted({row.label for row in group.methods if any(partly_declared(row, name) for name in names)})
    more = [f"Of some seeds declared and of others measured: {listing(mixed)}."] if mixed else []
    return (*legend(group.methods, names), *more)


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
    if text == DASH and row.origin == HANDED_IN:
        return DASH
    return "no counter" if text == DASH else " ".join([text, *(f"({source})" for source in sources)])


def _shared(row: Row) -> str:
    flags = [r.resources.timing_shared for r in row.ok if r.resources is not None and is_known(r, "timing_shared")]
    if not flags:
        return DASH
    return f"{sum(flags)} of {len(flags)}" if any(flags) else "no"
