"""What holds for every report: a pure function of the records, light to import, clear when there is nothing."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from graftbench.contracts import Report
from graftbench.errors import GraftbenchError
from graftbench.records.run import Run, read_run

if TYPE_CHECKING:
    from pathlib import Path

REPORTS = {
    "csv": "Csv",
    "table": "Table",
    "figures": "Figures",
    "page": "Page",
    "latex": "Latex",
    "comparisons": "Comparisons",
}
WRITE = """
import hashlib, sys
from importlib import import_module
from pathlib import Path
from graftbench.records.run import read_run
run, out = read_run(sys.argv[1]), Path(sys.argv[2])
for name, cls in {names}.items():
    for path in getattr(import_module("graftbench.reports." + name), cls)().write(run, out):
        print(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
print("torch" in sys.modules)
"""


def report(name: str) -> Report:
    """One report."""
    return getattr(import_module(f"graftbench.reports.{name}"), REPORTS[name])()


def write_elsewhere(folder: Path, out: Path, hash_seed: str) -> list[str]:
    """All reports from another process: names and hashes of the files, then whether torch was imported."""
    out.mkdir()
    code = WRITE.replace("{names}", repr(REPORTS))
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "TZ": f"UTC-{hash_seed}", "LC_ALL": "C"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(out)], capture_output=True, text=True, check=True, env=environment
    )
    return done.stdout.splitlines()


@pytest.mark.slow
def test_the_same_records_give_the_same_bytes_anywhere_and_never_import_torch(
    quick_folder: Path, quick_run: Run, tmp_path: Path
) -> None:
    """Another process, hash seed, time zone, folder and order of the records: eleven files, byte for byte the same."""
    moved = tmp_path / "moved"
    shutil.copytree(quick_folder, moved)
    lines = (moved / "records.jsonl").read_bytes().splitlines(keepends=True)
    (moved / "records.jsonl").write_bytes(b"".join(reversed(lines)))
    *elsewhere, torch = write_elsewhere(moved, tmp_path / "there", "3")
    (tmp_path / "here").mkdir()
    here = [
        f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for name in REPORTS
        for path in report(name).write(quick_run, tmp_path / "here")
    ]
    assert here == elsewhere
    assert len(here) == 15
    assert torch == "False"


@pytest.mark.slow
def test_no_output_holds_an_absolute_path(quick_run: Run, tmp_path: Path) -> None:
    """Not the run's folder, not the output's, not a home."""
    for name in REPORTS:
        for path in report(name).write(quick_run, tmp_path):
            data = path.read_bytes()
            for place in (quick_run.folder, tmp_path, "/home/someone"):
                assert str(place).encode() not in data


@pytest.mark.parametrize("name", REPORTS)
def test_a_run_without_records_is_refused(name: str, tmp_path: Path) -> None:
    """An empty page would look like a result."""
    with pytest.raises(GraftbenchError, match="no records"):
        report(name).write(Run(name="quick", records=[], folder=tmp_path), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", REPORTS)
def test_metadata_is_complete(name: str) -> None:
    """The name is that of the file; there is a title and a docstring to list."""
    found = report(name)
    assert isinstance(found, Report)
    assert found.name == name
    assert found.title
    assert type(found).__doc__


@pytest.mark.slow
def test_writing_does_not_change_how_matplotlib_draws(quick_run: Run, tmp_path: Path) -> None:
    """A caller's own settings are theirs again afterwards."""
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    report("figures").write(quick_run, tmp_path)
    assert dict(mpl.rcParams) == before


@pytest.mark.slow
def test_a_run_folder_is_only_read(quick_folder: Path, tmp_path: Path) -> None:
    """Reports leave the run as it was."""
    before = {path: path.stat().st_mtime_ns for path in quick_folder.rglob("*")}
    for name in REPORTS:
        report(name).write(read_run(quick_folder), tmp_path)
    assert {path: path.stat().st_mtime_ns for path in quick_folder.rglob("*")} == before
