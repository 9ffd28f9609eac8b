"""A run of hundreds of cells: neither the driver nor the processes that it forks cells from grow with their number."""

from __future__ import annotations

import os
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import msgspec
import pytest
from tiny_suites import Heard, suite_toml

from graftbench.execution.driver import run
from graftbench.suites.suite import parse_suite

if TYPE_CHECKING:
    from graftbench.records.record import Record

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("shared_cache", "warm_executor")]

CELLS, LATE_FROM, EARLY = 300, 250, slice(50, 100)
MOST_GROWTH_MIB = 8
"""200 records of some 20 kB are 4 MiB; a leaked image set, model or pipe of each cell is more."""


class Memory(Heard):
    """Notes what this process and its children, the fork server among them, have resident when a cell ends."""

    def __init__(self) -> None:
        super().__init__()
        self.driver_mib: list[float] = []
        self.server_mib: list[float] = []

    def ended(self, record: Record, seconds: float) -> None:
        """Note it."""
        super().ended(record, seconds)
        self.driver_mib.append(_resident_mib(os.getpid()))
        self.server_mib.append(sum(map(_resident_mib, _children(os.getpid()))))


def test_three_hundred_cells_take_no_more_memory_than_a_hundred(tmp_path: Path) -> None:
    """Between the cells 50 to 100 and the last 50 the medians differ by what the records themselves take, at most."""
    suite = parse_suite(suite_toml("blank", metrics=["kid"]), "many.toml")
    suite = msgspec.structs.replace(suite, data_budgets=[10, 20], seeds=list(range(CELLS // 2)))
    memory = Memory()
    assert run(suite, tmp_path / "run", progress=memory).statuses == {"ok": CELLS}
    for name, values in (("driver", memory.driver_mib), ("fork server", memory.server_mib)):
        early, late = median(values[EARLY]), median(values[LATE_FROM:])
        assert late - early < MOST_GROWTH_MIB, f"{name}: {early:.1f} MiB, then {late:.1f}"


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]


def _resident_mib(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    except OSError:  # it has ended
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
