"""A tracker's process: what happens in it happens to it alone, and it never outlives the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from tiny_suites import Heard

from graftbench.errors import GraftbenchError
from graftbench.execution.trackers import attach
from graftbench.execution.trackers.attach import RunTrackers, find

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graftbench.records.record import Record

PLUGIN = '''
import os, signal, subprocess, sys, time
from pathlib import Path
import msgspec
from graftbench.execution.trackers.base import Tracker


class Options(msgspec.Struct, frozen=True):
    do: str = ""
    book: str = ""


class Foreign(Tracker):
    """Writes what it is told into a file, and misbehaves where it is asked to."""

    name = "foreign"
    title = "Foreign"
    Options = Options

    def note(self, verb, cell=None):
        with open(self.options.book, "a") as book:
            book.write(f"{verb} {cell.name if cell else ''}\\n")
        if self.options.do == f"hang in {verb}":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            subprocess.Popen(["sleep", "1000"])
            time.sleep(1000)
        if self.options.do == f"die in {verb}":
            os._exit(9)
        if self.options.do == f"exit in {verb}":
            sys.exit(4)
        if self.options.do == f"ask in {verb}":
            input("Password: ")
        print(f"printed in {verb}")

    def open(self, group): self.note("open")
    def begin(self, cell): self.note("begin", cell)
    def points(self, cell, points): self.note("points", cell)
    def end(self, cell, result): self.note("end", cell)
    def close(self): self.note("close")


class NoTracker:
    pass
'''

POINTS = """[graftbench.trackers]
foreign = foreign_tracker:Foreign
broken = foreign_tracker_that_is_not_there:Broken
wrong = foreign_tracker:NoTracker
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that brings trackers, as pip leaves it; and the book that one of them writes."""
    site = tmp_path / "site"
    about = site / "foreign_tracker-1.0.dist-info"
    about.mkdir(parents=True)
    (site / "foreign_tracker.py").write_text(PLUGIN)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign-tracker\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)
    return tmp_path / "book.txt"


def follow(run: Path, written: str, records: list[Record]) -> list[str]:
    """Let a tracker follow a run; what the user was told, but for a wait that a busy machine makes long."""
    heard = Heard()
    run.mkdir(exist_ok=True)
    with RunTrackers([written]).follow(heard, "tiny", run) as told:
        for record in records:
            told.started(record.cell, None)
            told.ended(record, 1.0)
    return [sentence for sentence in heard.sentences if not sentence.startswith("Waiting")]


def test_a_tracker_of_an_installed_package_works_by_its_name(
    installed: Path, record: Callable[..., Record], tmp_path: Path, left_over: Callable[[], list[str]]
) -> None:
    """In a process of its own; what it prints is kept beside the run and not shown."""
    assert follow(tmp_path / "run", f"foreign:book={installed}", [record()]) == []
    name = "finetune twemoji->openmoji@32 n=25 seed=0"
    lines = [line.strip() for line in installed.read_text().splitlines()]
    assert lines == ["open", f"begin {name}", f"points {name}", f"end {name}", "close"]
    assert "printed in end" in (tmp_path / "run" / "trackers" / "foreign.log").read_text()
    assert left_over() == []


def test_a_package_that_does_not_work_says_so_before_the_run(installed: Path) -> None:
    """Named with its reason; others do not suffer."""
    with pytest.raises(GraftbenchError, match=r"'broken' \(foreign_tracker_that_is.*\) cannot be imported: ModuleNotF"):
        find(["broken"])
    with pytest.raises(GraftbenchError, match=r"'wrong' .* is no class that derives from Tracker"):
        find(["wrong"])
    assert find([f"foreign:book={installed}"])[0].name == "foreign"
    with pytest.raises(GraftbenchError, match="Did you mean 'foreign'"):
        find(["foriegn"])


def test_a_file_is_a_tracker_too(record: Callable[..., Record], tmp_path: Path) -> None:
    """PluginSource by its path; a file without one, or with several, is refused."""
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN)
    assert follow(tmp_path / "run", f"{file}:book={tmp_path}/book.txt", [record()]) == []
    assert "end finetune" in (tmp_path / "book.txt").read_text()
    (tmp_path / "none.py").write_text("x = 1\n")
    (tmp_path / "broken.py").write_text("x = \n")
    for name, words in {
        "none": "must define one tracker with a name; found 0",
        "broken": "cannot be imported: SyntaxError",
        "gone": "There is no file",
    }.items():
        with pytest.raises(GraftbenchError, match=words):
            find([f"{tmp_path}/{name}.py"])


@pytest.mark.parametrize("do", ["die in begin", pytest.param("exit in end", marks=pytest.mark.long), "ask in open"])
def test_what_it_does_to_its_process_it_does_to_itself(
    do: str, installed: Path, record: Callable[..., Record], tmp_path: Path, left_over: Callable[[], list[str]]
) -> None:
    """A crash, an exit, a question: the user is told, nothing waits for an answer."""
    failed, missing = follow(tmp_path / "run", f"foreign:book={installed},do={do}", [record()])
    reason = "EOFError" if do.startswith("ask") else "its process has ended"
    assert reason in failed
    assert missing.endswith("1 of the 1 cells that were recorded now did not arrive.")
    assert left_over() == []


@pytest.mark.parametrize(
    "verb", [pytest.param("open", marks=pytest.mark.long), "end", pytest.param("close", marks=pytest.mark.long)]
)
def test_a_hanging_tracker_is_ended_with_all_that_it_started(
    verb: str,
    installed: Path,
    record: Callable[..., Record],
    left_over: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also one that hears no signal."""
    monkeypatch.setattr(attach, "END_SECONDS", 1.5)
    (sentence,) = follow(installed.parent / "run", f"foreign:book={installed},do=hang in {verb}", [record()])
    assert "is left behind" in sentence
    assert verb in installed.read_text()
    assert left_over() == []


DRIVER = """
import sys, time
from pathlib import Path
from graftbench.execution.progress import Silent
from graftbench.records.store import read
from graftbench.execution.trackers import subprocess_tracker, attach
from graftbench.execution.trackers.attach import RunTrackers

subprocess_tracker.ORPHAN_SECONDS = attach.STOPPED_SECONDS = 0.5
run, written = Path(sys.argv[1]), sys.argv[2]
(record, *_), _ = read(run / "records.jsonl")
with RunTrackers([written]).follow(Silent(), "tiny", run) as told:
    told.started(record.cell, None)
    time.sleep(1000)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "do"),
    [
        (signal.SIGKILL, ""),
        (signal.SIGKILL, "hang in begin"),
        pytest.param(signal.SIGINT, "hang in begin", marks=pytest.mark.long),
    ],
)
def test_no_process_outlives_its_driver(
    number: int, do: str, installed: Path, run_folder: Path, left_over: Callable[[], list[str]]
) -> None:
    """Killed or interrupted: the tracker's process ends, at once where it can still close, else after its time."""
    run = [sys.executable, "-c", DRIVER, run_folder, f"foreign:book={installed},do={do}"]
    driver = subprocess.Popen(run, stderr=subprocess.DEVNULL)
    wait_until(lambda: installed.exists() and "begin" in installed.read_text())
    driver.send_signal(number)
    driver.wait(20)
    wait_until(lambda: left_over() == [])
    assert ("close" in installed.read_text()) == (do == "")


def wait_until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    """Until it holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)
