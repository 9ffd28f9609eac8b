"""Heads of records: fast, and as strict as reading the records themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from made_cells import make_cell

from graftbench.errors import GraftbenchError
from graftbench.records.cell_spec import Protocol
from graftbench.records.heads import Head, Software
from graftbench.records.record import FORMAT, CurvePoint, Record, Resources, Score, Status
from graftbench.records.store import append, latest, read

if TYPE_CHECKING:
    from pathlib import Path


def record(seed: int, **changes: object) -> Record:
    """A whole record with everything that a head leaves out."""
    cell = make_cell("dcgan", seed, parameters={"lr": 0.002}, protocol=Protocol())
    whole = Record(
        id=cell.id,
        cell=cell,
        status=Status.OK,
        scores=[Score(name="fid", value=3.0, n_generated=600, n_reference=608, protocol="lite0@96")],
        resources=Resources(device="cpu", fit_seconds=41.5, images_seen=8000, peak_memory_mib=540.5),
        curve=[CurvePoint(images_seen=160, seconds=1.5, losses={"generator": 0.7})],
        environment={"graftbench": "0.1.0", "python": "3.11.7", "packages": {"torch": "2.11.0", "timm": None}},
        artifacts={"log": f"cells/{cell.id}/log.txt"},
        finished_at="2026-01-01T00:00:00+00:00",
        wall_seconds=50.0,
    )
    return msgspec.structs.replace(whole, **changes)


def written(folder: Path, *records: Record) -> Path:
    """A file of those records."""
    path = folder / "records.jsonl"
    for one in records:
        append(path, one)
    return path


def test_a_head_says_what_the_record_says(tmp_path: Path) -> None:
    """Every field of a head is the record's; a failed record without resources too."""
    path = written(tmp_path, record(0), record(1, status=Status.TIMEOUT, reason="too slow", resources=None))
    for head, whole in zip(read(path, Head)[0], read(path)[0], strict=True):
        for name in ("id", "cell", "status", "reason", "artifacts", "finished_at", "wall_seconds", "format"):
            assert getattr(head, name) == getattr(whole, name)
        assert head.environment == Software.of(whole.environment) == Software(**whole.environment)
        if whole.resources is None:
            assert head.resources is None
        else:
            assert head.resources is not None
            assert (head.resources.device, head.resources.fit_seconds) == ("cpu", 41.5)
            assert head.resources.peak_memory_mib == 540.5


def test_the_newest_record_of_an_id_counts(tmp_path: Path) -> None:
    """A cell that was run again keeps its place and has its newest status."""
    path = written(tmp_path, record(0, status=Status.OOM), record(1), record(0))
    assert [(h.cell.seed, h.status) for h in latest(read(path, Head)[0]).values()] == [(0, "ok"), (1, "ok")]


def test_no_file_has_no_heads(tmp_path: Path) -> None:
    """A folder that was never run is no error."""
    assert read(tmp_path / "records.jsonl", Head) == ([], [])


def test_an_unfinished_last_line_is_told_and_left_out(tmp_path: Path) -> None:
    """The same sentence as from `record.read`, and nothing on the disk changes."""
    path = written(tmp_path, record(0), record(1))
    torn = path.read_bytes()[:-40]
    path.write_bytes(torn)
    heads, warnings = read(path, Head)
    assert [head.cell.seed for head in heads] == [0]
    assert warnings == read(path)[1] != []
    assert path.read_bytes() == torn


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b'{"id": "x"}',
        b'{"id": "\xff"}',
        b'{"format": 99, "id": 7, "status": "enlightened"}',
        b'{"format": 99}',
    ],
)
def test_a_bad_line_is_refused_as_by_read(tmp_path: Path, line: bytes) -> None:
    """A line that is no record, or a newer version's, ends in an error that names its number; blank lines do not."""
    path = written(tmp_path, record(0))
    path.write_bytes(path.read_bytes() + b"\n" + line + b"\n")
    with pytest.raises(GraftbenchError, match="line 3") as ours:
        read(path, Head)
    with pytest.raises(GraftbenchError, match="line 3") as theirs:
        read(path)
    newer = "is newer than this version"
    assert (newer in str(ours.value)) == (newer in str(theirs.value)) == (b"99" in line)


def test_a_newer_record_that_still_looks_like_one_is_refused(tmp_path: Path) -> None:
    """Its fields may mean something else."""
    path = written(tmp_path, record(0), record(1, format=FORMAT + 1))
    with pytest.raises(GraftbenchError, match=f"line 2: record format {FORMAT + 1} is newer"):
        read(path, Head)
