"""A run as a DataFrame, and as what a report reads."""

from __future__ import annotations

import gc
import logging
import math
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from command_line import imports_of
from made_cells import make_cell, make_scores

import graftbench
from graftbench.comparison.table import frame, load
from graftbench.errors import GraftbenchError
from graftbench.records.cell_spec import ComputeBudget
from graftbench.records.record import Record, Resources, Score, Status
from graftbench.records.run import read_run
from graftbench.records.store import append

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = [
    *("id", "method", "family", "task", "source", "target", "resolution", "data_budget", "compute_budget", "seed"),
    *("status", "reason", "protocol", "fid", "kid", "inception_score", "n_generated", "n_reference", "fit_seconds"),
    *(
        "fit_cpu_seconds",
        "images_seen",
        "training_images_per_second",
        "sampling_images_per_second",
        "peak_memory_mib",
        "fit_memory_mib",
        "memory_kind",
    ),
    *("energy_joules", "parameters_total", "parameters_trained", "flops_per_image", "flops", "other_cpu_share"),
    *("timing_shared", "device", "calibration_seconds"),
    *("reserved_memory_mib", "device_memory_mib", "host_memory_mib"),
    *("sampling_memory_mib", "sampling_reserved_memory_mib", "sampling_device_memory_mib", "sampling_host_memory_mib"),
    *("joules_per_image", "joules_per_1000_samples", "warmup_seconds", "steady_images_per_second"),
    *("step_seconds_p50", "step_seconds_p90", "step_seconds_p99", "mfu", "peak_flops_per_second", "peak_flops_dtype"),
    *("sampler_bytes", "stored_bytes", "variant_of", "origin", "declared"),
]


def make(seed: int = 0, status: Status = Status.OK, kid: float | None = 0.0123456789012345678) -> Record:
    """One cell; a failed one has neither scores nor resources."""
    cell = make_cell("freezed", seed, family="frozen", compute_budget=ComputeBudget(kimg=30))
    if status != Status.OK:
        return Record(id=cell.id, cell=cell, status=status, reason="The loss left the finite numbers.")
    scores = make_scores({"fid": 80.5, "kid": kid, "inception_score": 5.5})
    resources = Resources(device="cpu", fit_seconds=31.5, images_seen=30_000, timing_shared=True)
    return Record(id=cell.id, cell=cell, status=status, scores=scores, resources=resources)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of one good and one failed cell; the first was tried twice."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "suite.toml").write_text('name = "quick"\ncells = 3\n')
    append(run / "records.jsonl", make(0, Status.ERROR))
    append(run / "records.jsonl", make(1, Status.DIVERGED))
    append(run / "records.jsonl", make(0))
    return run


def test_one_row_a_cell_in_the_promised_columns(folder: Path) -> None:
    """The newest record of a cell counts; columns stand in the documented order; floats are not rounded."""
    table = load(folder)
    assert list(table.columns) == COLUMNS
    assert list(table["seed"]) == [0, 1]
    assert list(table["status"]) == ["ok", "diverged"]
    good = table.iloc[0]
    assert good["task"] == "twemoji->openmoji@32"
    assert (good["source"], good["target"], good["resolution"]) == ("twemoji", "openmoji", 32)
    assert (good["compute_budget"], good["protocol"]) == ("30 kimg", "lite0@96")
    assert good["kid"] == 0.0123456789012345678
    assert (good["n_generated"], good["n_reference"], good["images_seen"]) == (600, 620, 30_000)
    assert good["timing_shared"]


def test_what_was_not_measured_is_missing_and_never_zero(folder: Path) -> None:
    """A failed cell keeps its row and reason; its numbers are missing, and columns keep their types."""
    table = load(folder)
    failed = table.iloc[1]
    assert failed["reason"] == "The loss left the finite numbers."
    assert table[["fid", "kid", "fit_seconds", "images_seen", "device", "energy_joules"]].iloc[1].isna().all()
    assert pd.isna(table["energy_joules"].iloc[0])
    assert table["energy_joules"].dtype == table["kid"].dtype == "float64"
    assert (str(table["images_seen"].dtype), str(table["timing_shared"].dtype)) == ("Int64", "boolean")


def test_folder_file_and_string_read_alike(folder: Path) -> None:
    """A records.jsonl alone is enough; `graftbench.load` is the same function."""
    pd.testing.assert_frame_equal(load(folder), load(folder / "records.jsonl"))
    pd.testing.assert_frame_equal(load(folder), graftbench.load(str(folder)))


def test_another_score_gets_a_column_of_its_own() -> None:
    """FID, KID and IS come first; then what else there is in the catalogue's order; then what it does not know."""
    others = make_scores(dict.fromkeys(("own", "authpct", "coverage", "precision", "another"), 0.5))
    table = frame([make(0), Record(id="x", cell=make(1).cell, status=Status.OK, scores=others)])
    added = ["precision", "coverage", "authpct", "another", "own"]
    assert list(table.columns) == [*COLUMNS[:16], *added, *COLUMNS[16:]]
    assert [str(table[name].dtype) for name in added] == ["float64"] * 5
    assert [table[name].iloc[1] for name in added] == [0.5] * 5
    assert table["fid"].isna().tolist() == [False, True]


def test_counts_of_images_are_those_of_the_scores_that_need_them() -> None:
    """A score without reference images, or of the training images alone, does not make their number 0."""
    scores = [
        Score(name="authpct", value=41.0, n_generated=600, n_reference=0, n_train=25, protocol="lite0@96"),
        Score(name="fid", value=80.5, n_generated=600, n_reference=620, protocol="lite0@96"),
        Score(name="vendi_score", value=12.5, n_generated=600, n_reference=0, protocol="lite0@96"),
    ]
    table = frame([Record(id="x", cell=make().cell, status=Status.OK, scores=scores)])
    assert (table["n_generated"].iloc[0], table["n_reference"].iloc[0]) == (600, 620)


def test_an_undefined_score_is_missing_and_so_is_a_cost_that_is_no_number() -> None:
    """Neither becomes a zero, and no infinity is passed on to a mean."""
    record = make(kid=None)
    broken = Resources(device="cpu", fit_seconds=math.inf, images_seen=1, flops_per_image=math.nan)
    table = frame([record, Record(id="y", cell=record.cell, status=Status.OK, resources=broken)])
    assert pd.isna(table["kid"].iloc[0])
    assert table[["fit_seconds", "flops_per_image"]].iloc[1].isna().all()


def test_a_missing_run_is_one_clear_sentence(tmp_path: Path) -> None:
    """The path and what was expected are named, for a folder, an empty folder and a file."""
    for path in (tmp_path / "nowhere", tmp_path, tmp_path / "records.jsonl"):
        for read in (load, read_run):
            with pytest.raises(GraftbenchError, match=r"no records at .*expected a run folder with records\.jsonl"):
                read(path)


def test_a_run_knows_its_name_and_size(folder: Path) -> None:
    """Both come from suite.toml; by the folder or by its records."""
    for path in (folder, folder / "records.jsonl"):
        run = read_run(path)
        assert (run.name, run.expected, run.folder) == ("quick", 3, folder)
        assert [record.status for record in run.records] == [Status.OK, Status.DIVERGED]


def test_a_run_without_a_suite_goes_by_its_folder(folder: Path) -> None:
    """Two runs merged by hand have no suite.toml: the size is then unknown."""
    (folder / "suite.toml").unlink()
    assert (read_run(folder).name, read_run(folder).expected) == ("run", 0)


def test_a_broken_suite_is_named(folder: Path) -> None:
    """The file is named in the error."""
    (folder / "suite.toml").write_text("name = ")
    with pytest.raises(GraftbenchError, match=r"suite\.toml cannot be read"):
        read_run(folder)


def test_a_torn_last_line_is_told_and_left_out(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A killed writer's half line costs its own cell only, and the log says so."""
    with (folder / "records.jsonl").open("ab") as file:
        file.write(b'{"id": "ab')
    with caplog.at_level(logging.WARNING):
        assert len(load(folder)) == 2
    assert "unfinished" in caplog.text


def test_importing_it_costs_neither_pandas_nor_torch() -> None:
    """The command line imports this module on its way to --help."""
    code = "import graftbench.comparison.table, graftbench.comparison.stats"
    assert imports_of(code, ("pandas", "torch", "scipy"))[0] == set()


def test_it_can_be_asked_questions(folder: Path) -> None:
    """Pandas' query, by task, budget and status."""
    table = load(folder)
    assert len(table.query("task == 'twemoji->openmoji@32' and data_budget <= 100")) == 2
    assert list(table.query("status == 'ok' and kid < 0.1")["seed"]) == [0]


def test_reading_leaves_the_garbage_collector_as_it_was(folder: Path, tmp_path: Path) -> None:
    """Also where there is nothing to read, and where it was off."""
    for on in (True, False):
        (gc.enable if on else gc.disable)()
        try:
            load(folder)
            with pytest.raises(GraftbenchError):
                load(tmp_path / "nowhere")
            assert gc.isenabled() == on
        finally:
            gc.enable()
