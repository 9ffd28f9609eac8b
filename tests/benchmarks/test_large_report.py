"""Reports of 10,000 records (5 tasks, 4 data budgets, 10 seeds, 50 methods, all scores) in seconds and MiB.

Each step is a process of its own, so that imports and peak memory are counted; processor seconds are what is held
against the limits, for what else the machine does changes them least. Limits are two to four times what one quiet core
needs. The figures for print are left out: their time goes with the number of pictures, not of records.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from graftbench.records.cell_spec import TaskSpec

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="peak memory is read from Linux's /proc"),
]

GENERATED = Path(__file__).parents[1] / "reports" / "conftest.py"
TASKS, METHODS, BUDGETS, SEEDS = 5, 50, (10, 25, 100, 400), 10
STEP = """
import sys, time
from pathlib import Path
{work}
# Not ru_maxrss: Linux hands the parent's peak on to what it starts.
(peak,) = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(time.process_time(), int(peak) / 1024)
"""
READ = "from graftbench.records.run import read_runs; assert len(read_runs([Path(sys.argv[1])]).records) == 10_000"
LOAD = "import graftbench; assert len(graftbench.load(sys.argv[1]).query('data_budget <= 100')) == 7_500"
REPORT = """
from graftbench.plugins.registry import reports
from graftbench.records.run import read_runs
from graftbench.report import write_reports
assert write_reports(read_runs([Path(sys.argv[1])]), Path(sys.argv[2]), reports(), formats=sys.argv[3].split(","))
"""
STEPS = {
    "read": (READ, "", 3.0, 300),
    "load as a DataFrame": (LOAD, "", 8.0, 500),
    "tex": (REPORT, "tex", 8.0, 400),
    "md,csv,tex,html": (REPORT, "md,csv,tex,html", 60.0, 800),
}
"""Step -> (code, formats, most seconds, most MiB). The aim for all formats to be read together: 5 s and 500 MiB."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder."""
    spec = importlib.util.spec_from_file_location("generated_records", GENERATED)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    names = [*module.FAMILIES, *(f"method{i}" for i in range(METHODS - len(module.FAMILIES)))]
    cells = [
        (task, name, budget, seed)
        for task in range(TASKS)
        for name in names
        for budget in BUDGETS
        for seed in range(SEEDS)
    ]
    run = tmp_path_factory.mktemp("large")
    with (run / "records.jsonl").open("wb") as file:
        for task, name, budget, seed in cells:
            record = module.make_record(name, budget, seed, full=True)
            cell = msgspec.structs.replace(record.cell, task=TaskSpec("twemoji", f"target{task}", 32))
            file.write(msgspec.json.encode(msgspec.structs.replace(record, cell=cell, id=cell.id)) + b"\n")
    return run


@pytest.mark.parametrize("step", STEPS)
def test_ten_thousand_records(benchmark: BenchmarkFixture, folder: Path, tmp_path: Path, step: str) -> None:
    """Within the limits; the real numbers are printed."""
    work, formats, most_seconds, most_mebibytes = STEPS[step]
    code = STEP.replace("{work}", work)
    used: list[float] = []

    def run() -> None:
        command = [sys.executable, "-c", code, str(folder), str(tmp_path / "report"), formats]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        used.extend(map(float, done.stdout.split()[-2:]))

    benchmark.pedantic(run, rounds=1)
    seconds, mebibytes = used
    size = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) / 1e6
    print(f"\n{step}: {seconds:.1f} s of a processor, {mebibytes:.0f} MiB, {size:.1f} MB written")
    assert seconds < most_seconds
    assert mebibytes < most_mebibytes
