"""The page's table of costs, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from graftbench.records.costs import REPLAYED
from graftbench.records.provenance import HANDED_IN, is_known

from .._figures.cost import memory_kinds
from .._tables.groups import several_devices_note
from .._tables.numbers import DASH, decimals, mean_sd, number, quantity
from .._tables.origins import legend, partly_declared_note
from .._tables.text import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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


def cost_headings(group: Group) -> tuple[str, ...]:
    """Return the headings of the table's columns."""
    kinds = memory_kinds(group.methods)
    memory = f" ({kinds[0]})" if len(kinds) == 1 else ""
    columns = _columns(group)
    return tuple(column.heading + (memory if column.field == "peak_memory_mib" else "") for column in columns)


def _columns(group: Group) -> list[_CostColumn]:
    """Return the columns: those that every group has, and of the others those of which a row has a value."""
    return [each for each in _COST_COLUMNS if each.always or any(row.cost(each.field) for row in group.methods)]


def cost_lines(group: Group) -> tuple[CostLine, ...]:
    """Make a line a method and data budget."""
    several_kinds = len(memory_kinds(group.methods)) > 1  # device and resident memory meet: each says which it is
    columns = _columns(group)
    return tuple(_cost_line(row, columns, several_kinds=several_kinds) for row in group.methods)


def _cost_line(row: Row, columns: Sequence[_CostColumn], *, several_kinds: bool) -> CostLine:
    if not row.ok:
        return CostLine(row.label, row.data_budget, (row.outcome,))
    cells = tuple(column.printed(row, column.field) for column in columns)
    if several_kinds:
        cells = tuple(
            " ".join([text, *memory_kinds([row])]) if column.field == "peak_memory_mib" and text != DASH else text
            for column, text in zip(columns, cells, strict=True)
        )
    costs = [row.cost(column.field) if column.field else None for column in columns]
    means = tuple(cost and cost.mean for cost in costs)
    return CostLine(row.label, row.data_budget, cells, means, tuple(_declared(row, column.field) for column in columns))


def _declared(row: Row, name: str) -> str:
    """Return `declared`, or `declared of 1 of 2 seeds`; empty where it was measured."""
    count, seeds = len(row.declared(name)), plural(len(row.ok), "seed")
    return "" if not count else "declared" if count == len(row.ok) else f"declared of {count} of {seeds}"


def cost_marks(group: Group) -> tuple[str, ...]:
    """Explain the letters in the table of costs; then name whose costs are declared of some seeds alone."""
    names = [column.field for column in _columns(group) if column.field]
    several = several_devices_note(group.methods)
    return (*legend(group.methods, names), *partly_declared_note(group.methods, names), *([several] if several else []))


# ----------------------------------------------------------------------------------------------------------- columns


def measured_here(row: Row) -> bool:
    """Return whether the seconds of a row's trainings are the suite's own measurement."""
    return row.origin != HANDED_IN and not row.declared("fit_seconds")


def seconds_text(row: Row) -> str:
    """Print the mean seconds of a row's trainings; `≤` where other programs used the machine meanwhile."""
    cost = row.cost("fit_seconds")
    if cost is None:
        return DASH
    shared = any(record.resources is not None and record.resources.timing_shared for record in row.ok)
    return f"{'≤ ' if shared else ''}{number(cost.mean, decimals([cost.mean]))} s"


def _mean_sd(row: Row, name: str) -> str:
    cost = row.cost(name)
    return DASH if cost is None else mean_sd(cost, decimals([cost.mean]))


def _sampling(row: Row, name: str) -> str:
    """Print images per second, or that nothing was sampled: to hand out finished images again is no speed."""
    text = _mean_sd(row, name)
    return "replayed" if text == DASH and any(REPLAYED in record.notes for record in row.ok) else text


def _prefixed(row: Row, name: str) -> str:
    cost = row.cost(name)
    return quantity(None if cost is None else cost.mean)


def _billions(row: Row, name: str) -> str:
    cost = row.cost(name)
    return DASH if cost is None else number(cost.mean / 1e9, decimals([cost.mean / 1e9]))


def _percent(row: Row, name: str) -> str:
    cost = row.cost(name)
    return DASH if cost is None else number(100 * cost.mean, decimals([100 * cost.mean]))


def _megabytes(row: Row, name: str) -> str:
    cost = row.cost(name)
    return DASH if cost is None else number(cost.mean / 1e6, decimals([cost.mean / 1e6]))


def _energy(row: Row, name: str) -> str:
    sources = sorted({r.resources.energy_source for r in row.ok if r.resources is not None} - {""})
    text = _mean_sd(row, name)
    if text == DASH and row.origin == HANDED_IN:
        return DASH
    return "no counter" if text == DASH else " ".join([text, *(f"({source})" for source in sources)])


def _shared(row: Row, _: str) -> str:
    flags = [r.resources.timing_shared for r in row.ok if r.resources is not None and is_known(r, "timing_shared")]
    if not flags:
        return DASH
    return f"{sum(flags)} of {len(flags)}" if any(flags) else "no"


class _CostColumn(NamedTuple):
    """A column of the table.

    Attributes:
        heading: As printed.
        field: The field of the resources behind it; empty where there is none.
        printed: Makes its text of a row and the field.
        always: Whether it stands there although no row has a value.
    """

    heading: str
    field: str
    printed: Callable[[Row, str], str]
    always: bool = True


_COST_COLUMNS = (
    _CostColumn("fit, s", "fit_seconds", _mean_sd),
    _CostColumn("images shown", "images_seen", _prefixed),
    _CostColumn("training images/s", "training_images_per_second", _mean_sd),
    _CostColumn("sampling images/s", "sampling_images_per_second", _sampling),
    _CostColumn("peak memory, MiB", "peak_memory_mib", _mean_sd),
    _CostColumn("of it the fit, MiB", "fit_memory_mib", _mean_sd),
    _CostColumn("reserved, MiB", "reserved_memory_mib", _mean_sd, always=False),
    _CostColumn("by the driver, MiB", "device_memory_mib", _mean_sd, always=False),
    _CostColumn("energy, J", "energy_joules", _energy),
    _CostColumn("J per 1,000 samples", "joules_per_1000_samples", _mean_sd, always=False),
    _CostColumn("parameters, all", "parameters_total", _prefixed),
    _CostColumn("parameters, trained", "parameters_trained", _prefixed),
    _CostColumn("GFLOPs per image", "flops_per_image", _billions),
    _CostColumn("MFU, %", "mfu", _percent, always=False),
    _CostColumn("to be stored, MB", "stored_bytes", _megabytes, always=False),
    _CostColumn("timings shared", "", _shared),
)
