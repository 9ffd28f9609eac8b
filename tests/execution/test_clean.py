"""What `graftbench clean` removes, what it leaves, and that nothing else is touched."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from made_cells import EMOJI_RECORDS, EMOJI_SUITE

from graftbench.cache import locked
from graftbench.errors import GraftbenchError
from graftbench.execution.clean import clean_cache, clean_run
from graftbench.execution.run_folder import RunFolder
from graftbench.plugins.registry import reports
from graftbench.records.record import Record, Status
from graftbench.records.run import read_run
from graftbench.records.store import read
from graftbench.suites.matrix import places
from graftbench.suites.suite import load_suite

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SIZES = {"sampler": 5000, "samples": 700, "log": 30, "progress": 200}


@pytest.fixture(scope="module")
def records() -> list[Record]:
    """Four of the emoji suite's records, with a strip of snapshots each."""
    return [
        msgspec.structs.replace(r, artifacts=r.artifacts | {"progress": f"cells/{r.id}/progress.png"})
        for r in read(EMOJI_RECORDS)[0][:4]
    ]


def make(folder: Path, records: Sequence[Record]) -> Path:
    """A run folder with these records and files of known sizes."""
    run = RunFolder(folder)
    suite = load_suite(EMOJI_SUITE)
    with run.claimed("emoji"):
        run.write_suite(msgspec.structs.replace(suite, protocol=records[0].cell.protocol, cells=len(places(suite))))
        run.records.write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
        for record in records:
            for kind, name in record.artifacts.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(b"x" * SIZES[kind])
    return folder


@pytest.fixture
def run(tmp_path: Path, records: list[Record]) -> Path:
    """A run folder of four cells."""
    return make(tmp_path / "run", records)


def files(folder: Path) -> set[str]:
    """All files but the lock."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def other_code(record: Record, code: str = "ab" * 32, **changes: Any) -> Record:
    """The record of the same place under other code."""
    cell = msgspec.structs.replace(record.cell, code=code)
    artifacts = {kind: name.replace(record.id, cell.id) for kind, name in record.artifacts.items()}
    return msgspec.structs.replace(record, id=cell.id, cell=cell, artifacts=artifacts, **changes)


# ----------------------------------------------------------------------------------------------------------- artifacts


@pytest.mark.parametrize(
    ("keep", "gone"),
    [("sampler", set()), ("samples", {"sampler"}), ("nothing", {"sampler", "samples", "progress"})],
)
def test_artifacts_go_by_kind(keep: Any, gone: set[str], run: Path, records: list[Record]) -> None:
    """Samplers, or sheets and strips too; logs and records stay. What goes is counted in bytes."""
    before, lines = files(run), (run / "records.jsonl").read_bytes()
    expected = {record.artifacts[kind] for record in records for kind in gone}
    cleaned = clean_run(run, keep=keep)
    assert before - files(run) == expected
    assert cleaned.kinds() == {kind: (4, 4 * SIZES[kind]) for kind in sorted(gone, key=lambda k: -SIZES[k])}
    assert cleaned.size == sum(4 * SIZES[kind] for kind in gone)
    assert (run / "records.jsonl").read_bytes() == lines
    assert clean_run(run, keep=keep).items == []


def test_a_dry_run_says_the_same_and_removes_nothing(run: Path) -> None:
    """Items and sizes of what a real one removes then."""
    (run / "work" / "x-01234567").mkdir(parents=True)
    before = files(run)
    dry = clean_run(run, keep="nothing", superseded=True, work=True, dry_run=True)
    assert files(run) == before
    assert (run / "work" / "x-01234567").exists()
    assert clean_run(run, keep="nothing", superseded=True, work=True) == dry


def test_a_record_cannot_name_what_is_not_its_own(run: Path, records: list[Record], tmp_path: Path) -> None:
    """Paths out of the cell's folder are refused: records may come from elsewhere."""
    (tmp_path / "thesis.tex").write_text("mine")
    before = files(run)
    for artifacts in (
        {"sampler": "../thesis.tex"},
        {"samples": str(tmp_path / "thesis.tex")},
        {"sampler": "records.jsonl"},
        {"samples": records[2].artifacts["log"]},
    ):
        foreign = msgspec.structs.replace(records[0], artifacts=artifacts)
        (run / "records.jsonl").write_bytes(msgspec.json.encode(foreign) + b"\n")
        with pytest.raises(GraftbenchError, match="line 1 is refused"):
            clean_run(run, keep="nothing")
    assert files(run) == before
    assert (tmp_path / "thesis.tex").exists()


def test_a_hard_link_frees_nothing(run: Path, records: list[Record], tmp_path: Path) -> None:
    """A sampler that a merged folder shares is removed here, but the disk gets no room from it."""
    os.link(run / records[0].artifacts["sampler"], tmp_path / "shared")
    cleaned = clean_run(run, keep="samples")
    assert cleaned.kinds() == {"sampler": (4, 3 * SIZES["sampler"])}


@pytest.mark.slow
def test_reports_cope_with_artifacts_that_are_gone(run: Path, tmp_path: Path) -> None:
    """Records keep naming them; every report is written all the same (`budgets` only of several compute budgets)."""
    clean_run(run, keep="nothing")
    for report in reports().classes.values():
        (tmp_path / report.name).mkdir()
        assert report().write(read_run(run), tmp_path / report.name) or report.name == "budgets"


# ------------------------------------------------------------------------------------------------ superseded and work


def test_superseded_cells_go(tmp_path: Path, records: list[Record]) -> None:
    """A cell that was run again under other code leaves its place; a folder without a record goes, too."""
    newer = other_code(records[0], status=Status.OK)
    sweep = msgspec.structs.replace(records[1].cell, compute_budget=type(records[1].cell.compute_budget)(kimg=99))
    other_budget = msgspec.structs.replace(
        records[1], id=sweep.id, cell=sweep, artifacts={"log": f"cells/{sweep.id}/log.txt"}
    )
    run = make(tmp_path / "run", [*records, newer, other_budget])
    (run / "cells" / "0123456789abcdef").mkdir()
    (run / "cells" / "0123456789abcdef" / "log.txt").write_bytes(b"x" * 10)
    cleaned = clean_run(run, superseded=True)
    assert cleaned.kinds() == {"superseded cells": (1, sum(SIZES.values())), "folders of no record": (1, 10)}
    left = {path.name for path in (run / "cells").iterdir()}
    assert left == {records[1].id, records[2].id, records[3].id, newer.id, other_budget.id}


def test_work_goes_by_what_it_is(run: Path) -> None:
    """Results that nobody recorded and checkpoints are told from mere leftovers, for they are worth something."""
    for name, file in {"a": "result.json", "b": "checkpoint.safetensors", "c": "job.json"}.items():
        (RunFolder(run).work(name) / file).write_bytes(b"x" * 10)
    assert clean_run(run, keep="nothing", superseded=True, dry_run=True).kinds().keys().isdisjoint({"checkpoints"})
    cleaned = clean_run(run, work=True)
    assert set(cleaned.kinds()) == {"unrecorded results", "checkpoints", "unfinished jobs"}
    assert list((run / "work").iterdir()) == []


def test_a_run_at_work_is_refused(run: Path) -> None:
    """Nothing is removed under a driver's hands, nor looked at."""
    before = files(run)
    with RunFolder(run).claimed("emoji"), pytest.raises(GraftbenchError, match="Another run is working"):
        clean_run(run, keep="nothing", work=True)
    assert files(run) == before


def test_only_run_folders_are_cleaned(tmp_path: Path) -> None:
    """A folder that holds something else, or does not exist, is refused and not made."""
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(GraftbenchError, match="is no run folder"):
            clean_run(folder, keep="nothing")
    assert list(tmp_path.iterdir()) == []


# ----------------------------------------------------------------------------------------------------------- the cache


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache with one entry of each kind."""
    cache = tmp_path / "cache"
    for name in (
        "domains/k1/pixels.npy",
        "features/f.npz",
        "moments/m.npz",
        "floors/f.json",
        "factors/c.safetensors",
        "source_models/gan-1.safetensors",
    ):
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / name).write_bytes(b"x" * 100)
    for name in ("domains/k1.lock", "source_models/gan-1.lock"):
        (cache / name).touch()
    (cache / "own").mkdir()
    (cache / "own" / "notes.txt").write_text("mine")
    return cache


def test_the_cache_loses_what_can_be_made_again(cache: Path) -> None:
    """What can be made again goes; trained models only when asked; lock files and unknown folders stay."""
    cleaned = clean_cache(cache)
    assert cleaned.kinds() == dict.fromkeys(["domains", "features", "moments", "floors", "factors"], (1, 100))
    locks = {"domains/k1.lock", "source_models/gan-1.lock", "own/notes.txt"}
    assert {str(p.relative_to(cache)) for p in cache.rglob("*") if p.is_file() and p.suffix != ".safetensors"} == {
        name for name in locks if (cache / name).exists()
    }
    assert (cache / "domains" / "k1.lock").exists()
    assert (cache / "source_models" / "gan-1.safetensors").exists()
    assert clean_cache(cache, source_models=True).kinds() == {"source models": (1, 100)}
    assert (cache / "source_models" / "gan-1.lock").exists()
    assert clean_cache(cache, source_models=True).items == []


def test_a_dry_run_of_the_cache(cache: Path) -> None:
    """Nothing is removed; the cache need not exist."""
    before = files(cache)
    assert clean_cache(cache, source_models=True, dry_run=True).size == 600
    assert files(cache) == before
    assert clean_cache(cache / "none").items == []


def test_entries_in_use_are_left_alone(cache: Path) -> None:
    """What a process prepares or trains at this moment, half-made folders included."""
    half = cache / "domains" / ".k1.partial"
    half.mkdir()
    with locked(cache / "domains" / "k1.lock"), locked(cache / "source_models" / "gan-1.lock"):
        cleaned = clean_cache(cache, source_models=True)
    assert sorted(path.name for path in cleaned.in_use) == [".k1.partial", "gan-1.safetensors", "k1"]
    assert half.is_dir()
    assert (cache / "domains" / "k1").is_dir()
    clean_cache(cache, source_models=True)
    assert not half.exists()


def test_temporary_files_are_somebodys_until_they_are_old(cache: Path) -> None:
    """A file that is being written has no lock; a day later its writer is gone."""
    part = cache / "features" / ".f.npz.abcdef.partial"
    part.write_bytes(b"half")
    assert part in clean_cache(cache).in_use
    os.utime(part, (0, 0))
    assert [item.path for item in clean_cache(cache).items] == [part]


def test_the_locks_of_the_cache_are_free_afterwards(cache: Path) -> None:
    """Cleaning holds each only while it removes."""
    clean_cache(cache)
    with (cache / "domains" / "k1.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
