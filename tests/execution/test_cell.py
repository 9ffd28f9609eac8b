"""What is not a cell's own fault is not its result: a cache that vanishes, a full disk."""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from tiny_suites import suite_toml

from graftbench.errors import GraftbenchError
from graftbench.execution import cell, worker
from graftbench.execution.job import EXIT_DISK_FULL, JOB, RESULT, CellJob
from graftbench.execution.prerequisites import entry_of
from graftbench.plugins import registry
from graftbench.plugins.code_hash import code_of
from graftbench.records.record import Status
from graftbench.suites.plan import make_plan
from graftbench.suites.suite import parse_suite
from graftbench.training import source

if TYPE_CHECKING:
    from collections.abc import Callable

TOML = suite_toml(
    "source",
    budget="{ kimg = 0.032 }",
    n_generated=20,
    more="""
[source_models.gan]
kimg = 512
parameters = { loss = "non-saturating", augment = "color,translation" }
""",
)


@pytest.fixture
def job(shared_cache: Path, tmp_path: Path) -> CellJob:
    """A cell of the untransferred source model, with images and model in places of its own."""
    suite = parse_suite(TOML, "tiny")
    plan = make_plan(suite, shared_cache)
    (spec,) = plan.cells
    images = {}
    for name in ("twemoji", "openmoji"):
        entry = Path(entry_of(plan.images[name, 32]))
        shutil.copytree(entry, tmp_path / name)
        images[name] = str(tmp_path / name)
    recipe = plan.sources[spec.source_model].recipe
    model = source.find(recipe, shared_cache)  # it comes with the package
    assert model is not None
    shutil.copyfile(model, tmp_path / "model.safetensors")
    (tmp_path / "job").mkdir()
    return CellJob(
        cell=spec,
        folder=str(tmp_path / "job"),
        cache=str(shared_cache),
        images=images,
        source_model_file=str(tmp_path / "model.safetensors"),
    )


@pytest.mark.slow
def test_a_record_holds_the_contents_of_its_source_model(job: CellJob) -> None:
    """The digest of its numbers."""
    record = cell.run_cell(job)
    assert (record.status, record.reason) == (Status.OK, "")
    model = source.load(Path(job.source_model_file), job.cell.source_model)
    assert record.source_model_sha256 == source.digest_of(model)


@pytest.mark.slow
def test_the_source_has_drifted_nowhere(job: CellJob) -> None:
    """A cell of the untransferred source has drift exactly 0 and a KID to its own domain; other scores stay."""
    protocol = msgspec.structs.replace(job.cell.protocol, metrics=["kid", "drift", "source_kid"])
    spec = msgspec.structs.replace(job.cell, protocol=protocol)
    plain = cell.run_cell(job)
    code = code_of(registry.methods()["source"], protocol.metrics)
    record = cell.run_cell(msgspec.structs.replace(job, cell=msgspec.structs.replace(spec, code=code)))
    assert (record.status, record.reason) == (Status.OK, "")
    assert [score.name for score in record.scores] == ["kid", "drift", "source_kid"]
    assert record.scores[0] == plain.scores[0]
    assert record.scores[1].value == 0
    assert record.scores[2].value is not None
    assert record.scores[2].n_reference > 0


@pytest.mark.parametrize("what", ["images", "model", "model's bits"])
def test_a_cache_that_vanishes_or_rots_skips_the_cell(what: str, job: CellJob) -> None:
    """The next run takes it up again by itself."""
    model = Path(job.source_model_file)
    if what == "images":
        shutil.rmtree(job.images["openmoji"])
    elif what == "model":
        model.unlink()
    else:
        model.write_bytes(model.read_bytes()[:-100])
    record = cell.run_cell(job)
    assert record.status == Status.SKIPPED
    assert "run the same command again" in record.reason


def _full_cache(_: object) -> None:
    raise GraftbenchError("The cache cannot be written.") from OSError(28, "No space left on device")


def _full_disk(_: object) -> None:
    raise OSError(28, "No space left on device")


class FullLog(io.StringIO):
    """A log on a full disk."""

    def write(self, _: str, /) -> int:
        """Fail."""
        raise OSError(28, "No space left on device")


def test_a_failure_names_no_folder(job: CellJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its reason nor the traceback that its record keeps: records are published."""

    def fails(_: object) -> None:
        raise ValueError("/home/somebody/nets/w.pth has no weights")

    monkeypatch.setattr(cell, "_run", fails)
    record = cell.run_cell(job)
    assert (record.status, record.reason) == (Status.ERROR, "ValueError: …/w.pth has no weights")
    assert 'File "…/test_cell.py"' in record.log_tail
    assert not [folder for folder in ("somebody", str(Path(__file__).parent)) if folder in record.log_tail]


@pytest.mark.parametrize("fails", [_full_cache, _full_disk])
def test_a_full_disk_is_no_record(
    fails: Callable[[object], None], job: CellJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it was turned into a sentence on the way, and where the log has no room for a word about it."""
    monkeypatch.setattr(cell, "_run", fails)
    (Path(job.folder) / JOB).write_bytes(msgspec.json.encode(job))
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", FullLog())
        with pytest.raises(SystemExit) as ended:
            worker.run_job_file(Path(job.folder) / JOB)
    assert ended.value.code == EXIT_DISK_FULL
    assert not (Path(job.folder) / RESULT).exists()
