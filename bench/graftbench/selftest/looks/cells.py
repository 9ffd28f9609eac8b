"""Cells side by side on the device: the scores of cells that ran alone, and one that runs out of memory is a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.execution.driver import run
from graftbench.execution.executors.local import LocalExecutor
from graftbench.execution.executors.placement import Placement
from graftbench.records.record import Status
from graftbench.records.run import newest_records, records_file
from graftbench.selftest.finding import judged, skipped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from graftbench.records.record import Record
    from graftbench.selftest.finding import Bench, SelftestFinding

METHODS = ("dcgan", "gaussian", "vae")

GREEDY = "greedy"
"""Name of the method that asks for more memory than there is."""

GREEDY_METHOD = '''"""A method that asks for more memory than any device has."""

import torch

from graftbench.contracts import Method, Reference


class Greedy(Method):
    """Ask for 64 TiB."""

    name = "greedy"
    family = "scratch"
    title = "Out of memory"
    reference = Reference(authors="graftbench", title="Selftest", venue="", year=2026)
    trains = "nothing"

    def fit(self, task, budget):
        """Ask for 64 TiB on the task's device."""
        next(budget.batches(4))
        return torch.empty(2**46, dtype=torch.uint8, device=task.device)
'''

SUITE = """name = "selftest"
tasks = ["twemoji->openmoji@32"]
methods = [{methods}]
data_budgets = [25]
seeds = [0]
compute_budget = {{ kimg = 0.064 }}

[protocol]
n_generated = 40
metrics = ["kid"]
"""


class Crowd(Placement):
    """Puts every job on the one device, whether its memory is known to suffice or not."""

    def choose(self, occupied: Sequence[str], memory_mib: float | None) -> str | None:
        """Return the device."""
        del occupied, memory_mib
        return self.devices[0]


def look(bench: Bench) -> Iterator[SelftestFinding]:
    """Run a few cells alone, then side by side with a greedy one."""
    if bench.quick:
        yield skipped("cells", "cells side by side, and out of memory", "not in the short form")
        return
    alone = _run(bench, "alone", METHODS, jobs=1)
    together = _run(bench, "together", (*METHODS, GREEDY), jobs=len(METHODS) + 1)

    # Side by side.
    facts = [
        [(record.cell.method, str(record.status), _kid(record)) for record in side if record.cell.method != GREEDY]
        for side in (alone, together)
    ]
    yield judged(
        "cells",
        f"{len(METHODS)} cells side by side",
        ok=facts[0] == facts[1] and all(status == Status.OK for _, status, _ in facts[0]),
        found=f"alone {facts[0]}, together {facts[1]} (method, status, KID)",
        expected="the same scores, to the bit",
    )

    # Out of memory.
    greedy = next((record for record in together if record.cell.method == GREEDY), None)
    yield judged(
        "cells",
        "out of memory is a row",
        ok=greedy is not None and greedy.status == Status.OOM,
        found="no row" if greedy is None else f"{greedy.status}: {greedy.reason[:200]}",
        expected="the status oom, and the other cells unharmed",
    )
    yield skipped("cells", "batch-size back-off", "no method takes a smaller batch by itself: it would be another cell")


def _run(bench: Bench, name: str, methods: Sequence[str], *, jobs: int) -> list[Record]:
    """Run one cell a method; return the records by method."""
    folder = bench.folder / name
    folder.mkdir(parents=True, exist_ok=True)
    suite, plugin = folder / "suite.toml", folder / "greedy.py"
    suite.write_text(SUITE.format(methods=", ".join(f'"{method}"' for method in methods)), encoding="utf-8")
    plugin.write_text(GREEDY_METHOD, encoding="utf-8")
    out: Path = folder / "run"
    crowd = Crowd([bench.device.name])
    run(
        suite,
        out,
        jobs=jobs,
        device=bench.device.name,
        plugins=[plugin],
        keep="nothing",
        executor=lambda: LocalExecutor(jobs=jobs, devices=crowd.devices, placement=crowd),
    )
    return sorted(newest_records(records_file(out)), key=lambda record: record.cell.method)


def _kid(record: Record) -> float | None:
    score = record.score("kid")
    return score.value if score else None
