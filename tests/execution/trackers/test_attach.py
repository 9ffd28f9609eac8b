"""Runs that trackers follow: records and exit codes are those of a run that nobody follows."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import numpy as np
import pytest
from tiny_suites import Heard, suite_toml

from graftbench.contracts import Domain, DomainImages
from graftbench.errors import GraftbenchError
from graftbench.execution.driver import Summary, run
from graftbench.execution.job import RESULT, Cause, CellJob, Ended, Finished
from graftbench.execution.trackers import attach
from graftbench.execution.trackers.base import Tracker
from graftbench.records import store
from graftbench.records.record import CurvePoint, Record, Score, Status
from graftbench.suites.suite import Suite, parse_suite

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from graftbench.execution.job import Job
    from graftbench.execution.trackers.base import TrackedCell, TrackedPoint, TrackedResult, TrackedRun

TOML = suite_toml("memorizer", "gaussian", tasks=["none->noise@16"], images=10, n_generated=12)


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Sixty images of noise are prepared here once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRAFTBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


class Noise(Domain):
    """Random pixels."""

    name: ClassVar[str] = "noise"
    title: ClassVar[str] = "Noise"
    description: ClassVar[str] = "random pixels"
    license: ClassVar[str] = "CC0"
    attribution: ClassVar[str] = "nobody"
    source: ClassVar[str] = "a generator of random numbers"

    def fingerprint(self) -> str:
        """A name for them."""
        return "noise 1"

    def images(self, resolution: int) -> DomainImages:
        """Sixty of them."""
        names = [f"noise-{i}" for i in range(60)]
        pixels = np.random.default_rng(0).integers(0, 256, (60, 3, resolution, resolution), dtype=np.uint8)
        return DomainImages(ids=names, groups=names, pixels=pixels)


class Scripted:
    """An executor whose cells end at once with what a script says: what runs is not the question here.

    Args:
        statuses: Method -> how its cells end; `ok` where nothing is said.
    """

    def __init__(self, **statuses: Status) -> None:
        self.statuses = statuses
        self.ready: list[Ended] = []

    @property
    def running(self) -> Sequence[str]:
        """Those that nobody has asked about."""
        return [ended.key for ended in self.ready]

    def room(self, memory_mib: float | None = None) -> bool:
        """One at a time."""
        del memory_mib
        return not self.ready

    def start(self, key: str, job: Job, folder: Path, **_: Any) -> None:
        """It has ended."""
        result = self.record(job) if isinstance(job, CellJob) else Finished()
        (folder / RESULT).write_bytes(msgspec.json.encode(result))
        self.ready.append(Ended(key, 0, Cause.ENDED, 1.0))

    def record(self, job: CellJob) -> Record:
        """What the cell left."""
        status = self.statuses.get(job.cell.method, Status.OK)
        kid = Score(name="kid", value=0.05, n_generated=12, n_reference=12, protocol="lite0@96")
        return Record(
            id=job.cell.id,
            cell=job.cell,
            status=status,
            reason="" if status == Status.OK else "it was to",
            scores=[kid] if status == Status.OK else [],
            curve=[CurvePoint(images_seen=64, seconds=0.5, losses={"generator": 1.0})],
            finished_at="2026-01-02T03:04:05+00:00",
        )

    def wait(self, seconds: float) -> list[Ended]:
        """All that have ended."""
        del seconds
        ready, self.ready = self.ready, []
        return ready

    def close(self) -> None:
        """Nothing runs."""


class Book(Tracker):
    """Keeps what it is told, and what of it was on the disk already."""

    name: ClassVar[str] = "book"
    title: ClassVar[str] = "A book"

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[str] = []
        self.ended: list[tuple[str, str]] = []
        self.recorded: list[bool] = []

    def open(self, group: TrackedRun) -> None:
        """Where the records are."""
        self.folder = group.folder

    def begin(self, cell: TrackedCell) -> None:
        """Keep it."""
        self.begun.append(cell.id)

    def points(self, cell: TrackedCell, points: Sequence[TrackedPoint]) -> None:
        """Not of interest."""

    def end(self, cell: TrackedCell, result: TrackedResult) -> None:
        """Keep it."""
        self.ended.append((cell.method, result.status))
        self.recorded.append(cell.id in (self.folder / "records.jsonl").read_text())

    def close(self) -> None:
        """Nothing to send."""


class Down(Book):
    """Cannot be reached."""

    name: ClassVar[str] = "down"

    def open(self, group: TrackedRun) -> None:
        """Nobody answers."""
        raise ConnectionError(str(group.folder.name))


class Stuck(Book):
    """Hangs at its first cell."""

    name: ClassVar[str] = "stuck"

    def begin(self, cell: TrackedCell) -> None:
        """For good, as far as this test goes."""
        del cell
        threading.Event().wait(30)


def tiny(**changes: object) -> Suite:
    """Two cells of noise."""
    return msgspec.structs.replace(parse_suite(TOML, "tiny.toml"), **changes)


def go(out: Path, *trackers: Tracker, suite: Suite | None = None, **options: Any) -> tuple[Summary, Heard]:
    """Run it."""
    heard = Heard()
    executor = options.pop("executor", Scripted)
    summary = run(
        suite or tiny(), out, plugins=[Noise], executor=executor, progress=heard, trackers=trackers, **options
    )
    return summary, heard


def lines(out: Path) -> list[dict[str, Any]]:
    """The records without what tells the time."""
    found = [json.loads(line) for line in (out / "records.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "environment"} for line in found]


def test_trackers_change_neither_records_nor_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody, a good one, one that is down, and these two with one that hangs: the same bytes."""
    monkeypatch.setattr(attach, "END_SECONDS", 1.0)
    alone, _ = go(tmp_path / "alone", executor=lambda: Scripted(gaussian=Status.DIVERGED))
    assert alone.exit_code == 3
    for name, trackers in {
        "good": [Book()],
        "down": [Down()],
        "all": [Down(), Book(), Stuck()],
    }.items():
        followed, heard = go(tmp_path / name, *trackers, executor=lambda: Scripted(gaussian=Status.DIVERGED))
        assert (followed.exit_code, followed.statuses) == (3, alone.statuses)
        assert lines(tmp_path / name) == lines(tmp_path / "alone")
        said = [sentence for sentence in heard.sentences if "Tracker '" in sentence]
        assert len(said) == {"good": 0, "down": 2, "all": 3}[name], said


def test_a_record_is_on_the_disk_before_a_tracker_hears_of_it(tmp_path: Path) -> None:
    """Every one of them; failed cells are shown as failed."""
    book = Book()
    go(tmp_path, book, executor=lambda: Scripted(gaussian=Status.OOM))
    assert book.recorded == [True, True]
    assert sorted(book.ended) == [("gaussian", "oom"), ("memorizer", "ok")]


def test_going_on_shows_only_what_ran_now(tmp_path: Path) -> None:
    """A finished suite shows nothing; a new seed is new; a retry replaces what was shown of its cell."""
    first, nothing, more, again = Book(), Book(), Book(), Book()

    def failing() -> Scripted:
        return Scripted(gaussian=Status.ERROR)

    go(tmp_path, first, executor=failing)
    go(tmp_path, nothing, executor=failing)
    assert (len(first.ended), nothing.begun) == (2, [])
    go(tmp_path, more, suite=tiny(seeds=[0, 1]), executor=failing)
    assert len(more.ended) == 2
    assert not set(more.begun) & set(first.begun)
    go(tmp_path, again, suite=tiny(seeds=[0, 1]), retry=["error"])
    assert again.ended == [("gaussian", "ok")] * 2
    assert set(again.begun) < set(first.begun) | set(more.begun)


def test_results_that_a_dead_driver_left_are_shown(tmp_path: Path) -> None:
    """The next run records them, and shows them, though they did not run now."""
    go(tmp_path)
    records = tmp_path / "records.jsonl"
    (first, second), _ = store.read(records)
    left = tmp_path / "work" / f"{second.id}-0123abcd"
    (tmp_path / "cells" / second.id).rename(left)
    (left / RESULT).write_bytes(msgspec.json.encode(second))
    records.write_bytes(msgspec.json.encode(first) + b"\n")
    book = Book()
    summary, _ = go(tmp_path, book)
    assert (summary.ran, book.ended, book.recorded) == (0, [(second.cell.method, "ok")], [True])


def test_what_cannot_work_is_refused_before_anything_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing package or an unknown name is the user's error: not even the run folder is made."""
    from graftbench.execution.trackers import base

    with pytest.raises(GraftbenchError, match="Did you mean 'wandb'"):
        run(tiny(), tmp_path / "run", plugins=[Noise], trackers=["wanbd"])
    monkeypatch.setattr(base, "find_spec", lambda _: None)
    with pytest.raises(GraftbenchError, match=r"pip install 'graftbench\[tensorboard\]'"):
        run(tiny(), tmp_path / "run", plugins=[Noise], trackers=["tensorboard"])
    assert not (tmp_path / "run").exists()


# --------------------------------------------------------------------------------------------------- the command line


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command and keep what it prints."""
    return subprocess.run(
        [sys.executable, "-m", "graftbench", *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_the_command_sends_a_run_folder(run_folder: Path) -> None:
    """RunTrackers cells, and how many; what the tracker cannot do is exit code 2."""
    pytest.importorskip("tensorboard", reason="the extra 'tensorboard' is not installed")
    done = command("export", run_folder, "--tracker", "tensorboard", "--select", "method=dcgan,theirs")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{run_folder}: 2 cells sent to tensorboard.\n"
    assert len(list((run_folder / "tensorboard").iterdir())) == 2
    (run_folder / "file").write_text("")
    done = command("export", run_folder, "--tracker", f"tensorboard:logdir={run_folder}/file")
    assert done.returncode == 2
    assert done.stderr.startswith("graftbench: Tracker 'tensorboard' failed at finetune")


def test_a_wrong_tracker_is_exit_code_2(tmp_path: Path) -> None:
    """Before the suite is even read."""
    done = command("run", tmp_path / "no.toml", "--out", tmp_path / "run", "--tracker", "tensorbord")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Did you mean 'tensorboard'?" in done.stderr
