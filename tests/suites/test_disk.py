"""Room on the disk is asked for before a run, by what its cells left so far, else by a stated guess."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from made_cells import EMOJI_RECORDS

from graftbench.errors import GraftbenchError
from graftbench.records.cell_spec import CellSpec, TaskSpec
from graftbench.records.record import Record, Status
from graftbench.records.store import read
from graftbench.suites.disk import (
    NETWORK_BYTES,
    RECORD_BYTES,
    check_space,
    free_bytes,
    guessed_bytes,
    megabytes,
    needed_bytes,
    recorded_bytes,
)


@pytest.fixture(scope="module")
def cell() -> CellSpec:
    """A cell that was run: 32×32, 600 images generated."""
    return next(record.cell for record in read(EMOJI_RECORDS)[0] if record.cell.method == "finetune")


def recorded(folder: Path, cell: CellSpec, sizes: list[int], status: Status = Status.OK) -> list[Record]:
    """Records of cells of one method whose samplers have these sizes; sheets of 100 bytes, logs of 10."""
    found = []
    for seed, size in enumerate(sizes):
        spec = msgspec.structs.replace(cell, seed=1000 + seed)
        home = folder / "cells" / spec.id
        home.mkdir(parents=True)
        for name, count in {"sampler.safetensors": size, "samples.png": 100, "log.txt": 10}.items():
            (home / name).write_bytes(b"x" * count)
        found.append(Record(id=spec.id, cell=spec, status=status))
    return found


def test_what_is_free_is_that_of_the_disk(tmp_path: Path) -> None:
    """Of the nearest folder above that exists: a run folder need not be there yet."""
    free = shutil.disk_usage(tmp_path).free
    assert free_bytes(tmp_path / "not" / "there" / "yet") == pytest.approx(free, rel=0.05)
    assert free_bytes(Path("relative/folder")) > 0


@pytest.mark.parametrize(("keep", "extra"), [("sampler", 3000 + 110), ("samples", 110), ("nothing", 10)])
def test_the_median_of_a_method_counts(keep: str, extra: int, tmp_path: Path, cell: CellSpec) -> None:
    """Samplers of 1,000, 3,000 and 50,000 bytes: 3,000, and what the record takes; what is not kept costs nothing."""
    records = recorded(tmp_path, cell, [1000, 50_000, 3000])
    sizes = recorded_bytes(tmp_path, records, keep)
    assert needed_bytes([cell, cell], sizes, keep) == 2 * (extra + RECORD_BYTES)


def test_failures_and_folders_that_are_gone_tell_nothing(tmp_path: Path, cell: CellSpec) -> None:
    """A failure left no sampler; a cleaned folder nothing at all."""
    failed = recorded(tmp_path, cell, [1000], Status.ERROR)
    gone = Record(id="0" * 16, cell=cell, status=Status.OK)
    assert recorded_bytes(tmp_path, [*failed, gone], "sampler") == {}


def test_the_guess_grows_with_resolution_and_images(cell: CellSpec) -> None:
    """A network and four sheets of 32 uncompressed tiles; a bank of images where the family keeps one."""
    sheets = 4 * 32 * 3 * 32 * 32
    assert guessed_bytes(cell, "sampler") == RECORD_BYTES + sheets + NETWORK_BYTES
    assert guessed_bytes(cell, "samples") == RECORD_BYTES + sheets
    assert guessed_bytes(cell, "nothing") == RECORD_BYTES
    wide = msgspec.structs.replace(cell, task=TaskSpec("a", "b", 128), family="reference")
    many = msgspec.structs.replace(wide, protocol=msgspec.structs.replace(cell.protocol, n_generated=5000))
    image = 3 * 128 * 128
    assert guessed_bytes(many, "sampler") == RECORD_BYTES + 128 * image + 5000 * image


def test_the_guess_covers_what_a_real_run_left(cell: CellSpec) -> None:
    """Its largest sampler by a method took 1.44 MB and its largest sheet 80 KB: the guess is above, not by tenfold."""
    assert 1_443_572 + 80_000 < guessed_bytes(cell, "sampler") < 10 * 1_443_572


def test_too_little_room_is_refused_with_both_numbers(
    tmp_path: Path, cell: CellSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is needed, what is free, and what can be done; nothing where it is enough, or nothing is to run."""
    check_space(tmp_path, [cell], [], "sampler")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=50_000_000))
    with pytest.raises(GraftbenchError) as refused:
        check_space(tmp_path / "run", [cell] * 100, [], "sampler")
    needed = 100 * guessed_bytes(cell, "sampler") + 100_000_000
    assert f"100 cells need about {megabytes(needed)} in" in str(refused.value)
    assert "50.0 MB are free" in str(refused.value)
    assert "--keep samples" in str(refused.value)
    with pytest.raises(GraftbenchError) as refused:
        check_space(tmp_path / "run", [cell], [], "nothing")
    assert "--keep" not in str(refused.value)
    check_space(tmp_path / "run", [], [], "sampler")


def test_a_disk_that_does_not_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's error becomes a sentence."""

    def fail(_: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(shutil, "disk_usage", fail)
    with pytest.raises(GraftbenchError, match="does not say"):
        free_bytes(tmp_path)
