"""What a report costs: the table of the committed records."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from made_cells import EMOJI_RECORDS

from graftbench.plugins.registry import reports
from graftbench.records.run import read_runs
from graftbench.report import write_reports

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

pytestmark = pytest.mark.long


def test_table(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """The Markdown table of a run's 36 cells, from reading the records to a file on disk."""
    found = reports()
    only = replace(found, classes={"table": found.classes["table"]})
    benchmark.group, benchmark.name = "report, table of 36 cells", "graftbench"
    benchmark.extra_info["who"] = "graftbench"
    written = benchmark.pedantic(
        lambda: write_reports(read_runs([EMOJI_RECORDS]), tmp_path, only, formats=["md"]), rounds=3, warmup_rounds=1
    )
    assert written
