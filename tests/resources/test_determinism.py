"""The settings of `determinism = "portable"`: which process has them, and that nothing else changes by them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from made_cells import make_cell

from graftbench.errors import GraftbenchError
from graftbench.execution.executors import local
from graftbench.execution.job import CellJob, ReferenceJob, SourceJob, is_portable
from graftbench.execution.worker import run_job_file
from graftbench.records.cell_spec import CellSpec, ComputeBudget, Protocol, TaskSpec, content_hash
from graftbench.resources.determinism import PORTABLE, check_device, check_process, portable_parameters
from graftbench.scoring.protocol import key_of
from graftbench.suites.plan import resolve_suite
from graftbench.suites.suite import parse_suite
from graftbench.training.source import Recipe

if TYPE_CHECKING:
    from pathlib import Path

PORTABLY = Protocol(size=96, resize="bicubic-antialias", determinism="portable")
PLAINLY = msgspec.structs.replace(PORTABLY, determinism=msgspec.UNSET)
RECIPE = Recipe(kind="gan", domain="twemoji", resolution=32, manifest="0" * 64, kimg=1.0, seed=0, parameters={})


def cell(protocol: Protocol) -> CellSpec:
    """A cell under a protocol."""
    return make_cell(
        "dcgan",
        family="scratch",
        task=TaskSpec("none", "openmoji", 32),
        compute_budget=ComputeBudget(kimg=1),
        protocol=protocol,
    )


def test_it_is_part_of_the_id_and_a_suite_without_it_keeps_its_ids() -> None:
    """The ids are those from before there was the field; with it everything has another one."""
    assert cell(PLAINLY).id == "6008713f24c9ce2e"
    assert RECIPE.id == "gan-twemoji-32-eceedc56eab2"
    assert "determinism" not in msgspec.to_builtins(PLAINLY)
    assert cell(PORTABLY).id != cell(PLAINLY).id
    assert msgspec.structs.replace(RECIPE, determinism="portable").id != RECIPE.id
    assert key_of(PORTABLY, "images") != key_of(PLAINLY, "images")
    assert content_hash(PORTABLY) != content_hash(PLAINLY)


def test_jobs_say_whether_they_are_portable() -> None:
    """Cells and features by their protocol, source models by their recipe."""
    for protocol, expected in ((PORTABLY, True), (PLAINLY, False)):
        assert is_portable(CellJob(folder="", cache="", cell=cell(protocol))) == expected
        assert is_portable(ReferenceJob(folder="", cache="", protocol=protocol, images="", manifest="")) == expected
        recipe = msgspec.structs.replace(RECIPE, determinism=protocol.determinism)
        assert is_portable(SourceJob(folder="", cache="", recipe=recipe, images="")) == expected


def test_the_process_that_starts_jobs_gets_the_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the user's environment says; a job without it gets another process, with the user's own."""
    environments: list[dict[str, str]] = []

    def record(_self: local.LocalExecutor, _line: bytes) -> None:
        environments.append(local.spawn_environment(_self._variables))

    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "ALL")
    monkeypatch.delenv("MKL_CBWR", raising=False)
    monkeypatch.setattr(local.LocalExecutor, "_send", record)
    executor = local.LocalExecutor(jobs=2)
    job = CellJob(folder="", cache="", cell=cell(PORTABLY))
    executor.start("a", job, tmp_path, seconds=None, memory_mib=None)
    plain = msgspec.structs.replace(job, cell=cell(PLAINLY))
    with pytest.raises(GraftbenchError, match="side by side"):
        executor.start("b", plain, tmp_path, seconds=None, memory_mib=None)
    executor._running.clear()
    executor.start("b", plain, tmp_path, seconds=None, memory_mib=None)
    portable, own = environments
    assert {name: portable[name] for name in PORTABLE} == dict(PORTABLE)
    assert own["ONEDNN_MAX_CPU_ISA"] == "ALL"
    assert "MKL_CBWR" not in own


def test_a_process_without_the_variables_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names what was found and what is expected, and leaves no result."""
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    monkeypatch.delenv("MKL_CBWR", raising=False)
    job: Any = CellJob(folder=str(tmp_path), cache=str(tmp_path), cell=cell(PORTABLY))
    (tmp_path / "job.json").write_bytes(msgspec.json.encode(job))
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    with pytest.raises(GraftbenchError, match=r"MKL_CBWR=COMPATIBLE .*; found MKL_CBWR=\."):
        run_job_file(tmp_path / "job.json")
    assert not (tmp_path / "result.json").exists()
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    check_process(portable=True, device="cpu")


def test_the_precision_does_not_ask_the_cpu() -> None:
    """`auto` is bfloat16 on one CPU and float32 on another; what was asked for by name stays."""
    assert portable_parameters({"precision": "auto", "lr": 0.1}) == {"precision": "float32", "lr": 0.1}
    assert portable_parameters({"precision": "bfloat16"}) == {"precision": "bfloat16"}
    assert portable_parameters({}) == {}
    suite = parse_suite(
        'name = "x"\ntasks = ["none->openmoji@32"]\nmethods = ["dcgan"]\ndata_budgets = [25]\n'
        'compute_budget = { kimg = 1 }\n[protocol]\ndeterminism = "portable"\n',
        "x.toml",
    )
    assert resolve_suite(suite, []).methods[0].parameters["precision"] == "float32"
    plain = msgspec.structs.replace(suite, protocol=Protocol())
    assert resolve_suite(plain, []).methods[0].parameters["precision"] == "auto"


def test_a_gpu_is_refused() -> None:
    """Nothing was shown of it."""
    with pytest.raises(GraftbenchError, match=re.escape("holds for CPUs; the device is 'cuda:0'")):
        check_device("cuda:0")
