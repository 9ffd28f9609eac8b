"""The heads of records: what resuming, planning and estimating need of them, without scores and curves.

A record holds some 12 KB, most of it scores and the training log, which a head skips while it is read (`store.read`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from graftbench.records.cell_spec import CellSpec
from graftbench.records.record import FORMAT, Status


class Software(msgspec.Struct, frozen=True, gc=False):
    """The software that a record was made with: that part of `environment.describe()`.

    Attributes:
        graftbench: Version.
        python: Version.
        packages: Distribution -> version, None where it was not installed.
    """

    graftbench: str = ""
    python: str = ""
    packages: dict[str, str | None] = {}

    @classmethod
    def of(cls, environment: dict[str, Any]) -> Software:
        """Return that of a record's `environment`; empty fields for what it does not say."""
        return msgspec.convert(environment, cls)


class HeadCost(msgspec.Struct, frozen=True, gc=False):
    """The part of a record's `resources` that estimates rest on; see `record.Resources`."""

    device: str
    fit_seconds: float | None
    peak_memory_mib: float | None = None


class Head(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A record without scores, curve and log; the fields are those of `record.Record`."""

    id: str
    cell: CellSpec
    status: Status
    reason: str = ""
    resources: HeadCost | None = None
    environment: Software = Software()
    artifacts: dict[str, str] = {}
    finished_at: str = ""
    wall_seconds: float | None = None
    format: int = FORMAT
