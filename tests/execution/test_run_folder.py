"""A run folder with things in it that are not the run's, and files that cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from made_cells import EMOJI_RECORDS, EMOJI_SUITE

from graftbench.errors import GraftbenchError
from graftbench.execution import merge as merge_module
from graftbench.execution.clean import clean_run
from graftbench.execution.merge import merge
from graftbench.execution.run_folder import RunFolder, clear
from graftbench.records.store import append, read
from graftbench.suites.suite import load_suite

if TYPE_CHECKING:
    from pathlib import Path

RECORD = read(EMOJI_RECORDS)[0][0]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder of one cell."""
    folder = RunFolder(tmp_path / "run")
    with folder.claimed("emoji"):
        folder.write_suite(msgspec.structs.replace(load_suite(EMOJI_SUITE), protocol=RECORD.cell.protocol))
        append(folder.records, RECORD)
    return folder.path


def test_what_is_no_job_s_folder_stays(run: Path, tmp_path: Path) -> None:
    """Files of a file manager, links, folders of the user's: a run settles its own and leaves the rest alone."""
    folder = RunFolder(run)
    own = folder.work("gan-twemoji-32-0123456789ab")
    stray = run / "work"
    (stray / ".DS_Store").write_text("x")
    (stray / f"{RECORD.id}-01234567").write_text("a file of a job folder's name")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "thesis.tex").write_text("mine")
    (stray / f"{RECORD.id}-89abcdef").symlink_to(tmp_path / "elsewhere")
    (stray / "backup").mkdir()
    before = {path for path in stray.iterdir() if path != own}
    assert folder.settle({}) == ([], {})
    assert set(stray.iterdir()) == before
    assert clean_run(run, work=True).items == []
    assert (tmp_path / "elsewhere" / "thesis.tex").exists()


@pytest.mark.parametrize("kind", ["file", "link", "missing"])
def test_a_work_folder_that_is_none_holds_no_jobs(kind: str, run: Path) -> None:
    """Nothing was left behind in it."""
    if kind == "file":
        (run / "work").write_text("")
    elif kind == "link":
        (run / "work").symlink_to("work")
    assert RunFolder(run).settle({}) == ([], {})


def test_links_in_a_job_s_folder_are_removed_and_not_followed(tmp_path: Path) -> None:
    """A method may link its scratch folder to a large disk."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "data").write_text("mine")
    job = tmp_path / "job"
    job.mkdir()
    (job / "scratch").symlink_to(tmp_path / "disk")
    (job / "checkpoint.pt").symlink_to("nowhere")
    clear(job)
    assert list(job.iterdir()) == []
    assert (tmp_path / "disk" / "data").exists()


# -------------------------------------------------------------------------------------------------- what cannot be read


@pytest.mark.parametrize("name", ["suite.toml", "records.jsonl", "records.jsonl.torn"])
def test_a_folder_in_place_of_a_file_is_named(name: str, run: Path, tmp_path: Path) -> None:
    """Whatever reads it says which file and why; no word of room on a disk."""
    (run / name).unlink(missing_ok=True)
    (run / name).mkdir()
    with pytest.raises(GraftbenchError, match=rf"{name}.*cannot be read|holds no suite\.toml") as raised:
        merge([run], tmp_path / "out")
    assert "room" not in str(raised.value)
    if name == "suite.toml":
        with pytest.raises(GraftbenchError, match="cannot be read"):
            RunFolder(run).suite()
    if name == "records.jsonl":
        with pytest.raises(GraftbenchError, match=r"cannot be read \(Is a directory\)"):
            read(run / name)


def test_artifacts_that_cannot_be_read_stop_a_merge(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not taken for missing: the merged folder would be without them, and the exit code 0."""
    (run / "cells" / RECORD.id).mkdir(parents=True)

    def refuse(path: Path) -> Path:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(merge_module, "own_folder", refuse)
        with pytest.raises(GraftbenchError, match=rf"{RECORD.id}' cannot be read \(Permission denied\)"):
            merge([run], tmp_path / "out")

    def walk(folder: Path, onerror: object = None) -> list[object]:
        assert callable(onerror)
        onerror(PermissionError(13, "Permission denied", str(folder / "deep")))
        return []

    with monkeypatch.context() as patch:
        patch.setattr(merge_module.os, "walk", walk)
        with pytest.raises(GraftbenchError, match=r"deep' cannot be read"):
            merge([run], tmp_path / "out")
