"""Portable runs: the same numbers whatever instruction sets the libraries may choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tiny_suites import suite_toml

from graftbench.execution.driver import run
from graftbench.records import store
from graftbench.resources.determinism import PORTABLE
from graftbench.suites.suite import parse_suite

if TYPE_CHECKING:
    from pathlib import Path

    from graftbench.records.record import Record

pytestmark = pytest.mark.usefixtures("shared_cache")

SUITE = suite_toml(
    "dcgan",
    "finetune",
    budget="{ kimg = 0.128 }",
    top="source_models.gan.kimg = 0.064",
    metrics=["kid", "fid"],
    determinism="portable",
)

ENVIRONMENTS: tuple[dict[str, str], ...] = (
    {},
    {"ATEN_CPU_CAPABILITY": "default"},
    {"ATEN_CPU_CAPABILITY": "avx2"},
    {"ONEDNN_MAX_CPU_ISA": "ALL", "MKL_CBWR": "AUTO", "OMP_NUM_THREADS": "4"},
)
"""What the user's environment may say. That of the libraries' own choice stands first."""


@pytest.mark.long
def test_scores_do_not_depend_on_the_instruction_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained and fine-tuned cells, to the last bit; and the record says what the process had."""
    runs: list[dict[str, Record]] = []
    for i, environment in enumerate(ENVIRONMENTS):
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            run(parse_suite(SUITE, "portable.toml"), tmp_path / str(i), threads=2)
        records, _ = store.read(tmp_path / str(i) / "records.jsonl")
        runs.append({record.cell.method: record for record in records})
    values = [{(m, s.name): s.value for m, record in each.items() for s in record.scores} for each in runs]
    assert len(runs[0]) == 2
    assert values[0]
    assert all(each == values[0] for each in values[1:])
    for record in (record for each in runs for record in each.values()):
        assert {name: record.environment["variables"][name] for name in PORTABLE} == PORTABLE
        assert record.environment["threads"]["intra_op"] == 1
        assert record.environment["cpu"]["capability"] == "AVX2"
        assert record.cell.parameters["precision"] == "float32"
