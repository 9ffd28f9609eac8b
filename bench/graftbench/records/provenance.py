"""Tell measured from declared values of a record, and who made the generator: for whatever prints a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from graftbench.records.cell_spec import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graftbench.records.cell_spec import Origin
    from graftbench.records.record import Record

HANDED_IN: Origin = "submitted"
FOREIGN: Origin = "command"
HERE = "suite"
"""Value of `--select origin=` for cells that the suite fitted itself: an empty one cannot be given there."""
SAYS: dict[Origin, str] = {
    HANDED_IN: "submitted (made elsewhere, only scored here)",
    FOREIGN: "trained by a foreign program under the suite's clock",
}
"""Origin -> what it means."""
_COUNTED = ("images_seen", "parameters_total", "parameters_trained")
_SILENT: dict[Origin, tuple[str, ...]] = {"": (), FOREIGN: _COUNTED, HANDED_IN: (*_COUNTED, "timing_shared")}
"""Origin -> fields of the resources in which 0 (or no) says that nobody told: they cannot be None."""


def origin_of(record: Record) -> Origin:
    """Return who made the generator; of images that were handed in also where their cell failed."""
    return record.origin or (HANDED_IN if record.cell.variant_of == SAMPLES else "")


def is_declared(record: Record, name: str) -> bool:
    """Return whether a cost (a field of `Resources`) was declared and not measured here."""
    return record.resources is not None and name in record.resources.declared


def is_known(record: Record, name: str) -> bool:
    """Return whether a cost was measured or declared."""
    value = None if record.resources is None else getattr(record.resources, name, None)
    silent = not value and name in _SILENT[origin_of(record)] and not is_declared(record, name)
    return value is not None and not silent


def known_cost(record: Record, name: str) -> float | None:
    """Return a cost that is a number, as recorded; None where it is not known."""
    return getattr(record.resources, name) if is_known(record, name) else None


def costs_of(record: Record) -> list[tuple[str, object, bool]]:
    """Return each cost that is known, in the record's order: name, value, whether declared. Empty texts are none."""
    if record.resources is None:
        return []
    return [
        (name, value, is_declared(record, name))
        for name, value in msgspec.structs.asdict(record.resources).items()
        if name not in ("declared", "unmeasured") and value != "" and is_known(record, name)
    ]


def declared_by(records: Iterable[Record]) -> str:
    """Say who declared what these records declare: `declared by whoever handed the images in; not measured here`."""
    origins = {origin_of(record) for record in records if record.resources is not None and record.resources.declared}
    makers = ["whoever handed the images in"] if HANDED_IN in origins else []
    makers += ["the program that trained"] if origins - {HANDED_IN} else []
    return f"declared by {' or by '.join(makers or ['whoever made the generator'])}; not measured here"
