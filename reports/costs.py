"""costs.md: what fits and samplers took of memory, time, arithmetic and energy, and what they leave to be stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from graftbench.contracts import Report

from ._figures.cost import device_notes, memory_kinds, shared_timing_notes
from ._tables.groups import groups, has_any, mixed_protocols, titles
from ._tables.numbers import DASH, quantity
from ._tables.origins import DECLARED_MARK, legend, row_mark
from ._tables.text import listing, markdown, markdown_table

if TYPE_CHECKING:
    from pathlib import Path

    from graftbench.records.run import Run

    from ._tables.groups import Group, Row


class CostTableColumn(NamedTuple):
    """A column.

    Attributes:
        field: Of the resources.
        heading: As printed.
        scale: Factor from the value to what is printed.
    """

    field: str
    heading: str
    scale: float = 1.0


MEMORY = (
    CostTableColumn("peak_memory_mib", "fit: allocated or resident"),
    CostTableColumn("reserved_memory_mib", "fit: reserved"),
    CostTableColumn("device_memory_mib", "fit: by the driver"),
    CostTableColumn("host_memory_mib", "fit: host"),
    CostTableColumn("sampling_memory_mib", "sampling: allocated or resident"),
    CostTableColumn("sampling_reserved_memory_mib", "sampling: reserved"),
    CostTableColumn("sampling_device_memory_mib", "sampling: by the driver"),
    CostTableColumn("sampling_host_memory_mib", "sampling: host"),
)
SPEED = (
    CostTableColumn("fit_seconds", "fit, s"),
    CostTableColumn("warmup_seconds", "of it warm-up, s"),
    CostTableColumn("steady_images_per_second", "images/s, steady"),
    CostTableColumn("step_seconds_p50", "step, ms (p50)", 1e3),
    CostTableColumn("step_seconds_p90", "p90", 1e3),
    CostTableColumn("step_seconds_p99", "p99", 1e3),
    CostTableColumn("flops_per_image", "GFLOPs an image", 1e-9),
    CostTableColumn("peak_flops_per_second", "peak, GFLOP/s", 1e-9),
    CostTableColumn("mfu", "MFU, %", 100),
)
LEFT = (
    CostTableColumn("joules_per_image", "J a training image"),
    CostTableColumn("joules_per_1000_samples", "J per 1,000 samples"),
    CostTableColumn("sampler_bytes", "sampler, MB", 1e-6),
    CostTableColumn("stored_bytes", "to be stored, MB", 1e-6),
)

TABLES = (
    ("Memory, MiB", MEMORY),
    ("Speed", SPEED),
    ("Energy, and what is left", LEFT),
)
"""Heading and columns."""
EXPLANATIONS = """\
Memory. Allocated: what torch's allocator handed out on a GPU; on a CPU, what the process had resident. Reserved: what
the allocator had taken from the device. By the driver: what NVML counts for the process, with CUDA's context: what a
card must have. Host: what the process had resident.

Speed. Warm-up: the first step and the slow ones that follow it (compiling, choosing kernels, counting operations); the
steps behind p50, p90, p99 and images/s are those after it. Peak: a product of two large matrices in the type in which
the fit multiplies, beside the fit. MFU: operations of the steady steps over that peak.

Energy, and what is left. To be stored: what someone who has the source model lacks; of a low-rank change its two
factors."""


class Costs(Report):
    """Memory by each count, speed in the steady state, energy and size: means over the cells that ended well.

    A column that no method has is left out, and below the table it is said why its values are missing.
    """

    name = "costs"
    title = "Memory, speed, energy and size of what is left (Markdown)"
    formats = (".md",)
    on_request = ("*",)

    def write(self, run: Run, out: Path) -> list[Path]:
        """Write costs.md."""
        with_costs = [group for group in groups(run) if any(_has_costs(row) for row in group.methods)]
        path = out / "costs.md"
        names = titles(with_costs)
        blocks = [f"# {markdown(run.name)}: costs"]
        if mixed := mixed_protocols(groups(run)):
            blocks.append(f"**{markdown(mixed)}**")
        blocks.append(EXPLANATIONS if with_costs else "No cell of a method that ended well has costs.")
        blocks += [block for group in with_costs for block in _section(group, names[group.key])]
        path.write_text("\n\n".join(blocks) + "\n", encoding="utf-8", newline="")
        return [path]


def _has_costs(row: Row) -> bool:
    return any(record.resources is not None for record in row.ok)


def _section(group: Group, title: str) -> list[str]:
    rows = [row for row in group.methods if _has_costs(row)]
    blocks = [f"## {markdown(title)}"]
    missing: dict[str, list[str]] = {}
    for heading, columns in TABLES:
        shown = [column for column in columns if any(row.cost(column.field) for row in rows)]
        for column in columns:
            if column not in shown:
                missing.setdefault(_reasons(rows, column.field), []).append(f"{heading}, {column.heading}")
        if shown:
            heads = ["Method", "n", *(column.heading for column in shown)]
            kinds = f" ({listing(memory_kinds(rows))})" if columns is MEMORY and memory_kinds(rows) else ""
            lines = [[_name(row), f"{row.data_budget:,}", *(_printed(row, column) for column in shown)] for row in rows]
            blocks += [f"### {heading}{kinds}", markdown_table(heads, lines)]
    notes = [f"Missing ({reason}): {listing(fields)}." for reason, fields in missing.items()]
    notes += [*device_notes(group.records), *shared_timing_notes(rows), *_types(rows)]
    notes += legend(rows, [column.field for _, columns in TABLES for column in columns])
    return [*blocks, "\n".join(f"- {markdown(note)}" for note in notes)] if notes else blocks


def _name(row: Row) -> str:
    mark = row_mark(row)
    return markdown(row.label) + (f"<sup>{mark}</sup>" if mark else "")


def _printed(row: Row, column: CostTableColumn) -> str:
    cost = row.cost(column.field)
    text = DASH if cost is None else quantity(cost.mean * column.scale)
    return text + (f"<sup>{DECLARED_MARK}</sup>" if row.declared(column.field) else "")


def _reasons(rows: list[Row], field: str) -> str:
    """Return why no row has a cost: its fits ran on devices of several kinds, or what the records say."""
    if has_any(rows, field):
        return "each row was measured on devices of several kinds"
    costs = [record.resources for row in rows for record in row.ok if record.resources is not None]
    reasons = dict.fromkeys(cost.unmeasured.get(field, "not in these records") for cost in costs)
    return "; ".join(reasons)


def _types(rows: list[Row]) -> list[str]:
    """Say in which type the peak was measured, and whose."""
    labels: dict[str, list[str]] = {}
    for row in rows:
        types = {record.resources.peak_flops_dtype for record in row.ok if record.resources is not None} - {""}
        for name in sorted(types):
            labels.setdefault(name, []).append(row.label)
    return [f"Peak in {name}: {listing(list(dict.fromkeys(those)))}." for name, those in labels.items()]
