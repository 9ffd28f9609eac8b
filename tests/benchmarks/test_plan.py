"""A plan of 10,000 cells beside 10,000 records: seconds of this process, imports and decoding of images left out.

Processor seconds are timed, which what else the machine does changes least.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from graftbench.cache import cache_folder
from graftbench.records.cell_spec import ComputeBudget, Protocol
from graftbench.records.heads import Head
from graftbench.records.record import CurvePoint, Record, Resources, Score, Status
from graftbench.records.store import latest, read
from graftbench.suites import plan as plan_module
from graftbench.suites.forecast import look_ahead
from graftbench.suites.plan import Plan, make_plan
from graftbench.suites.suite import Suite

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

pytestmark = [
    pytest.mark.long,
    pytest.mark.usefixtures("shared_cache"),
    pytest.mark.benchmark(timer=time.process_time),
]

CELLS = 10_000
LIMIT_SECONDS = 1.0
"""The aim for planning and comparing together."""

SUITE = Suite(
    name="large",
    tasks=["twemoji->openmoji@32"],
    methods=["dcgan", "finetune", "freezed", "vae", "gatys", "oracle", "memorizer", "source", "gaussian", "lecam"],
    data_budgets=list(range(10, 60, 5)),
    compute_budget=ComputeBudget(kimg=8),
    seeds=list(range(100)),
    protocol=Protocol(),
)


@pytest.fixture(scope="module")
def planned(shared_cache: Path) -> Plan:
    """The plan, made once, with every method imported and every image decoded."""
    return make_plan(SUITE, shared_cache)


@pytest.fixture(scope="module")
def folder(planned: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a record of some 12 KB for every cell; those of odd seeds were made by other code."""
    run = tmp_path_factory.mktemp("large")
    names = planned.suite.protocol.metrics
    scores = [
        Score(name=name, value=1 / 3, interval=(0.1, 0.9), floor=2 / 3, n_generated=600, n_reference=608, protocol="x")
        for name in names
    ]
    curve = [CurvePoint(images_seen=160 * i, seconds=i / 3, losses={"g": i / 7, "d": i / 9}) for i in range(50)]
    with (run / "records.jsonl").open("wb") as file:
        for cell in planned.cells:
            there = msgspec.structs.replace(cell, code="0" * 64) if cell.seed % 2 else cell
            record = Record(
                id=there.id,
                cell=there,
                status=Status.OK,
                scores=scores,
                curve=curve,
                resources=Resources(device="cpu", fit_seconds=40.0, images_seen=8000, peak_memory_mib=500.0),
                environment={"graftbench": "0.1.0", "python": "3.11.7", "packages": {"torch": "2.11.0"}},
                wall_seconds=50.0,
                log_tail="." * 2000,
            )
            file.write(msgspec.json.encode(record) + b"\n")
    megabytes = (run / "records.jsonl").stat().st_size / 1e6
    assert 80 < megabytes < 160
    return run


def timed(benchmark: BenchmarkFixture, call: Callable[[], object]) -> float:
    """Seconds of the fastest of five rounds."""
    benchmark.pedantic(call, rounds=5, warmup_rounds=1)
    stats: Any = benchmark.stats  # untyped
    return float(stats.stats.min)


def test_make_plan(benchmark: BenchmarkFixture, planned: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the suite to 10,000 cells with their ids, images at hand."""
    monkeypatch.setattr(plan_module, "_images", lambda *_: planned.images)
    assert len(planned.cells) == CELLS
    assert timed(benchmark, lambda: make_plan(SUITE, cache_folder()).ids) < LIMIT_SECONDS / 2


def test_plan_against_a_folder(
    benchmark: BenchmarkFixture, planned: Plan, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole of `graftbench plan --json`: half of the cells are done, half changed, each has an estimate."""
    monkeypatch.setattr(plan_module, "_images", lambda *_: planned.images)

    def call() -> bytes:
        plan = make_plan(SUITE, cache_folder())
        return msgspec.json.encode(look_ahead(plan, cache_folder(), out=folder, jobs=8).as_json())

    totals = msgspec.json.decode(call())["totals"]
    assert (totals["done"], totals["changed"], totals["other_records"]) == (CELLS / 2, CELLS / 2, CELLS / 2)
    assert timed(benchmark, call) < LIMIT_SECONDS


def test_resume(benchmark: BenchmarkFixture, folder: Path) -> None:
    """What a driver reads before it goes on."""
    assert timed(benchmark, lambda: latest(read(folder / "records.jsonl", Head)[0])) < LIMIT_SECONDS / 2
