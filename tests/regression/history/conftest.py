"""Histories from formulas: every number is known, so is what must be found in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from made_cells import make_cell, make_scores

from graftbench.records.cell_spec import CellSpec, Protocol, TaskSpec
from graftbench.records.record import Record, Resources, Status
from graftbench.records.run import Run
from graftbench.regression.history.history import HistoryEntry, Value

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HARDWARE = {
    "cpu.model": "AMD EPYC",
    "cpu.cores_usable": "2",
    "threads.intra_op": "1",
    "device": "cpu",
    "gpu.name": "not recorded",
}
KEY = "finetune|twemoji->openmoji@32|25|8 kimg"


def commit(i: int) -> str:
    """A commit of 40 digits that tells its number."""
    return f"{i:010x}" * 4


@pytest.fixture
def entry() -> Callable[..., HistoryEntry]:
    """A line: number (day of the year 2026), values of one series, anything else of a HistoryEntry."""

    def make(i: int, values: dict[str, float] | None = None, *, key: str = KEY, **fields: Any) -> HistoryEntry:
        series = {key: {name: Value(float(value), 0.1, 3) for name, value in (values or {"kid": 1.0}).items()}}
        defaults: dict[str, Any] = {
            "run": "quick",
            "commit": commit(i),
            "date": f"2026-{1 + i // 28:02d}-{1 + i % 28:02d}T00:00:00Z",
            "hardware": HARDWARE,
            "protocol": "a" * 16,
            "images": {"twemoji->openmoji@32": "b" * 16},
            "cells": 3,
            "series": series,
        }
        return HistoryEntry(**(defaults | fields))

    return make


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Run]:
    """A run of three seeds whose kid is 1, 2, 3 and whose fit takes 10 s."""

    def make(*, shared: bool = False, failed: int = 0, **environment: Any) -> Run:
        records = [_record(seed, shared=shared, environment=environment) for seed in range(3)]
        records += [
            Record(id=f"f{i}", cell=_cell(7 + i), status=Status.ERROR, environment=records[0].environment)
            for i in range(failed)
        ]
        return Run(name="mine", records=records, folder=tmp_path, expected=len(records))

    return make


def _cell(seed: int) -> CellSpec:
    return make_cell(
        seed=seed,
        parameters={"lr": 0.1},
        task=TaskSpec("twemoji", "folder:/data/cats", 32),
        protocol=Protocol(size=96),
        manifests={"twemoji": "1", "folder:/data/cats": "2"},
    )


def _record(seed: int, *, shared: bool, environment: dict[str, Any]) -> Record:
    cell = _cell(seed)
    resources = Resources(device="cpu", fit_seconds=10.0, images_seen=8000, peak_memory_mib=800.0, timing_shared=shared)
    return Record(
        id=cell.id,
        cell=cell,
        status=Status.OK,
        scores=make_scores({"kid": 1.0 + seed}),
        resources=resources,
        environment={"commit": "c" * 40, "cpu": {"model": "AMD EPYC", "cores_usable": 2}, "device": "cpu"}
        | environment,
        finished_at=f"2026-03-01T12:00:0{seed}+01:00",
    )
