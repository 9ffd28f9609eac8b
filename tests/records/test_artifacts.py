"""A record that comes from elsewhere names no folder and no file but its own: it is refused when it is read."""

from __future__ import annotations

import shlex
import tomllib
from typing import TYPE_CHECKING

import msgspec
import pytest
from made_cells import EMOJI_RECORDS, EMOJI_SUITE

from graftbench.errors import GraftbenchError
from graftbench.execution.clean import clean_run
from graftbench.execution.merge import merge
from graftbench.execution.run_folder import RunFolder
from graftbench.execution.trackers.entries import result_of
from graftbench.records.artifacts import artifact_file
from graftbench.records.cell_view import view_cell
from graftbench.records.heads import Head
from graftbench.records.record import HASHED_FORMAT, Record
from graftbench.records.run import Run, read_run
from graftbench.records.store import read
from graftbench.suites.suite import load_suite

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ONE = read(EMOJI_RECORDS)[0][0]
"""A record of a real run, whose id is the hash of its cell."""

READERS: tuple[Callable[[Path], object], ...] = (read, lambda path: read(path, Head))
"""Of records, and of their heads."""

BAD_IDS = ("../../precious", "/etc", "", ".", "x; rm -rf ~", ONE.id.upper(), f"{ONE.id}\n", f"{ONE.id[:15]}", "０" * 16)
BAD_PATHS = (
    "/etc/hostname",
    "../private.png",
    "records.jsonl",
    "",
    ".",
    f"cells/{ONE.id}",
    f"cells/{ONE.id}/",
    f"cells/{ONE.id}/..",
    f"cells/{ONE.id}/../../suite.toml",
    f"cells/{ONE.id}/deep/samples.png",
    f"cells/{ONE.id}/..\\..\\samples.png",
    f"cells/{'0' * 16}/samples.png",
    f"cells/{ONE.id}/a\x00b",
)


def run_of(folder: Path, *records: Record) -> Path:
    """A run folder of the emoji suite with these records, written past the store."""
    with RunFolder(folder).claimed("emoji"):
        RunFolder(folder).write_suite(msgspec.structs.replace(load_suite(EMOJI_SUITE), protocol=ONE.cell.protocol))
    lines = [msgspec.json.encode(record) + b"\n" for record in records]
    (folder / "records.jsonl").write_bytes(b"".join(lines))
    return folder


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("bad", BAD_IDS)
@pytest.mark.parametrize("version", [1, HASHED_FORMAT])
def test_an_id_is_sixteen_hexadecimal_digits(
    bad: str, version: int, reader: Callable[[Path], object], tmp_path: Path
) -> None:
    """It becomes the name of a folder that is read, replaced and removed; the error names the line."""
    run_of(tmp_path, ONE, msgspec.structs.replace(ONE, id=bad, artifacts={}, format=version))
    with pytest.raises(GraftbenchError, match=r"records\.jsonl, line 2 is refused: its id is"):
        reader(tmp_path / "records.jsonl")


def test_an_id_is_the_hash_of_its_cell(tmp_path: Path) -> None:
    """So that one cell cannot stand for another. Ids of older formats were hashes by older rules: their form counts."""
    other = msgspec.structs.replace(ONE, id="0123456789abcdef", artifacts={})
    run_of(tmp_path, msgspec.structs.replace(other, format=HASHED_FORMAT))
    with pytest.raises(GraftbenchError, match=rf"line 1 is refused: its id is 0123456789abcdef.* {ONE.id}"):
        read(tmp_path / "records.jsonl")
    run_of(tmp_path, old := msgspec.structs.replace(other, format=HASHED_FORMAT - 1))
    assert read(tmp_path / "records.jsonl") == ([old], [])


@pytest.mark.parametrize("bad", BAD_PATHS)
def test_artifacts_lie_in_the_folder_of_their_cell(bad: str, tmp_path: Path) -> None:
    """Whatever the version of the record."""
    run_of(tmp_path, msgspec.structs.replace(ONE, artifacts={"log": bad}))
    for reader in READERS:
        with pytest.raises(GraftbenchError, match=r"line 1 is refused: its artifact 'log' is"):
            reader(tmp_path / "records.jsonl")


@pytest.mark.parametrize(
    "use",
    [
        lambda run, out: merge([run], out),
        lambda run, _: clean_run(run, keep="nothing", superseded=True),
        lambda run, _: view_cell(read_run(run), ONE.id[:3]),
    ],
    ids=["merge", "clean", "show"],
)
def test_no_command_takes_a_foreign_record(use: Callable[[Path, Path], object], tmp_path: Path) -> None:
    """Neighbours of the run folder and of the merged one stay as they are."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").write_text("mine")
    run = run_of(tmp_path / "run", msgspec.structs.replace(ONE, id="../../precious", artifacts={}))
    with pytest.raises(GraftbenchError, match="line 1 is refused"):
        use(run, tmp_path / "out")
    assert (tmp_path / "precious" / "thesis.tex").read_text() == "mine"


# ---------------------------------------------------------------------------------------------------------------- links


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A folder outside the run that holds files of an artifact's name."""
    folder = tmp_path / "private"
    folder.mkdir()
    for name in ("samples.png", "log.txt", "sampler.safetensors"):
        (folder / name).write_text("private")
    return folder


def test_links_out_of_a_cell_s_folder_are_not_followed(private: Path, tmp_path: Path) -> None:
    """Neither for `show` nor for trackers; a link to another file of the cell is one of its files."""
    run = run_of(tmp_path / "run", ONE)
    cell = run / "cells" / ONE.id
    cell.mkdir(parents=True)
    (cell / "log.txt").symlink_to(private / "log.txt")
    (cell / "samples.png").symlink_to(private / "samples.png")
    (cell / "real").write_text("own")
    (cell / "sampler.safetensors").symlink_to("real")
    view = view_cell(read_run(run), ONE.id)
    assert view.log == ""
    assert {artifact.kind for artifact in view.artifacts if artifact.there} == {"sampler"}
    assert result_of(ONE, run).pictures == {}
    assert artifact_file(ONE, "sampler", run) == cell / "sampler.safetensors"


def test_a_cell_s_folder_that_is_a_link_is_not_its_own(private: Path, tmp_path: Path) -> None:
    """Nothing behind it is read, copied or removed; `cells` as a whole may be a link to another disk."""
    run = run_of(tmp_path / "run", ONE)
    (run / "cells").mkdir()
    (run / "cells" / ONE.id).symlink_to(private)
    assert artifact_file(ONE, "log", run) is None
    assert clean_run(run, keep="nothing").items == []
    assert merge([run], tmp_path / "out").copied == 0
    assert not (tmp_path / "out" / "cells" / ONE.id).exists()
    assert len(list(private.iterdir())) == 3

    (run / "cells" / ONE.id).unlink()
    (run / "cells").rmdir()
    (tmp_path / "disk" / ONE.id).mkdir(parents=True)
    (tmp_path / "disk" / ONE.id / "log.txt").write_text("own")
    (run / "cells").symlink_to(tmp_path / "disk")
    assert view_cell(read_run(run), ONE.id).log == "own"


# ------------------------------------------------------------------------------------------------------------- pasting


def test_what_is_printed_for_pasting_is_what_is_seen() -> None:
    """Characters that steer a terminal or turn the line are written as TOML's escapes; the suite reads the same."""
    name = "a\u202eb\x9b31m\x1b"
    cell = msgspec.structs.replace(ONE.cell, parameters={name: name})
    record = msgspec.structs.replace(
        ONE, cell=cell, id=cell.id, artifacts={}, environment={"threads": {"intra_op": "1; rm -rf ~"}}
    )
    run = read_run(EMOJI_RECORDS)
    view = view_cell(Run(run.name, [record], run.folder), record.id)
    assert all(c.isprintable() or c == "\n" for c in view.command)
    assert tomllib.loads(view.suite)["parameters"][cell.method] == {name: name}
    assert shlex.split(view.command.splitlines()[-1])[-2:] == ["--threads", "1; rm -rf ~"]
