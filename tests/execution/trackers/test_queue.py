"""Whatever a tracker does, the run goes on, the user is told once, and what did not arrive is counted."""

from __future__ import annotations

import json
import signal
import threading
import time
from typing import TYPE_CHECKING, ClassVar

import msgspec
import pytest
from tiny_suites import Heard

from graftbench.errors import GraftbenchError
from graftbench.execution.progress import Silent, read_curves
from graftbench.execution.trackers import attach, queue
from graftbench.execution.trackers.attach import RunTrackers, find
from graftbench.execution.trackers.base import Tracker
from graftbench.execution.trackers.group import group_of
from graftbench.execution.trackers.replay import replay
from graftbench.records.record import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from graftbench.execution.trackers.base import TrackedCell, TrackedPoint, TrackedResult, TrackedRun
    from graftbench.records.cell_spec import CellSpec
    from graftbench.records.record import Record


class Book(Tracker):
    """Writes down what it is told."""

    name: ClassVar[str] = "book"
    title: ClassVar[str] = "A book"

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, str]] = []
        self.curves: dict[str, list[TrackedPoint]] = {}
        self.results: dict[str, TrackedResult] = {}
        self.threads: set[int] = set()
        self.abandoned = False

    def abandon(self) -> None:
        """Nothing of it is left."""
        self.abandoned = True

    def _note(self, verb: str, cell: TrackedCell | None = None) -> None:
        self.threads.add(threading.get_ident())
        self.lines.append((verb, cell.id if cell else ""))

    def open(self, group: TrackedRun) -> None:
        """Note it."""
        del group
        self._note("open")

    def begin(self, cell: TrackedCell) -> None:
        """Note it."""
        self._note("begin", cell)
        self.curves[cell.id] = []

    def points(self, cell: TrackedCell, points: Sequence[TrackedPoint]) -> None:
        """Note it."""
        self._note("points", cell)
        self.curves[cell.id] += points

    def end(self, cell: TrackedCell, result: TrackedResult) -> None:
        """Note it."""
        self._note("end", cell)
        self.results[cell.id] = result

    def close(self) -> None:
        """Note it."""
        self._note("close")


class Broken(Book):
    """Raises at every call of some verbs."""

    name: ClassVar[str] = "broken"

    def __init__(self, *verbs: str, error: BaseException | None = None) -> None:
        super().__init__()
        self.verbs, self.error = verbs, error or ConnectionError("no route\nto host")

    def _note(self, verb: str, cell: TrackedCell | None = None) -> None:
        super()._note(verb, cell)
        if verb in self.verbs:
            raise self.error


class Hanging(Book):
    """Waits at a verb until it is let go."""

    name: ClassVar[str] = "hanging"

    def __init__(self, verb: str) -> None:
        super().__init__()
        self.verb, self.go, self.reached = verb, threading.Event(), threading.Event()

    def _note(self, verb: str, cell: TrackedCell | None = None) -> None:
        super()._note(verb, cell)
        if verb == self.verb:
            self.reached.set()
            self.go.wait()

    def abandon(self) -> None:
        """Let it go."""
        super().abandon()
        self.go.set()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits a minute here."""
    monkeypatch.setattr(queue, "READ_SECONDS", 0.02)
    monkeypatch.setattr(queue, "WAKE_SECONDS", 0.01)
    monkeypatch.setattr(attach, "END_SECONDS", 0.3)
    monkeypatch.setattr(attach, "STOPPED_SECONDS", 0.1)


def follow(run: Path, records: Sequence[Record], *trackers: Tracker, before: Sequence[Record] = ()) -> Heard:
    """Let trackers follow a run of these records."""
    heard = Heard()
    with RunTrackers(trackers).follow(heard, "tiny", run, before) as told:
        for record in records:
            told.started(record.cell, None)
            told.ended(record, 1.0)
    return heard


def test_a_cell_is_begun_drawn_and_ended(record: Callable[..., Record], tmp_path: Path) -> None:
    """In this order, all from one thread that is not the driver's."""
    book, made = Book(), record()
    heard = follow(tmp_path, [made], book)
    assert book.lines == [("open", ""), ("begin", made.id), ("points", made.id), ("end", made.id), ("close", "")]
    assert len(book.curves[made.id]) == 5
    assert book.results[made.id].ok
    assert len(book.threads) == 1
    assert threading.get_ident() not in book.threads
    assert heard.sentences == []
    assert heard.ends == [made.id]


def test_curves_are_live_and_no_point_comes_twice(record: Callable[..., Record], tmp_path: Path) -> None:
    """What the running cell writes is shown while it runs; at the end the rest comes from the record."""
    book, made, job = Book(), record(), tmp_path / "job"
    job.mkdir()
    with RunTrackers([book]).follow(Silent(), "tiny", tmp_path) as told:
        told.started(made.cell, job)
        for n in (2, 3):
            written = {"share": n / 4, "curve": made.curve[:n], "snapshots": made.snapshots if n == 3 else []}
            (job / "progress.json").write_bytes(msgspec.json.encode(written))
            wait_for(lambda n=n: len(book.curves.get(made.id, [])) == (2 if n == 2 else 4))
        assert not book.results
        told.ended(made, 1.0)
    seen = [(point.images_seen, *point.values) for point in book.curves[made.id]]
    assert len(set(seen)) == len(seen) == 5
    assert book.curves[made.id][-1].images_seen == 8000


def wait_for(condition: Callable[[], bool]) -> None:
    """Until it holds, for five seconds at most."""
    until = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("text", ["", "null", '{"curve": 3}', '{"curve": [{"x": 1}]}', '{"share": 0.5}', "\xff"])
def test_half_a_progress_file_is_no_curve(text: str, tmp_path: Path) -> None:
    """A cell's process writes what it likes."""
    (tmp_path / "progress.json").write_bytes(text.encode("latin-1"))
    assert read_curves(tmp_path).curve == []


def test_a_cell_that_starts_again_is_begun_again(record: Callable[..., Record], tmp_path: Path) -> None:
    """A lost machine's cell is tried again: its curve starts anew."""
    book, made, job = Book(), record(), tmp_path / "job"
    job.mkdir()
    (job / "progress.json").write_bytes(msgspec.json.encode({"curve": made.curve[:1]}))
    with RunTrackers([book]).follow(Silent(), "tiny", tmp_path) as told:
        told.started(made.cell, job)
        wait_for(lambda: len(book.curves.get(made.id, [])) == 1)
        told.started(made.cell, None)
        told.ended(made, 1.0)
    assert [verb for verb, _ in book.lines].count("begin") == 2
    assert len(book.curves[made.id]) == 5


@pytest.mark.parametrize("verbs", [("open",), ("begin",), ("points",), ("end",), ("open", "begin", "end", "close")])
def test_a_tracker_that_raises_is_reported_once(
    verbs: tuple[str, ...], record: Callable[..., Record], spec: Callable[..., CellSpec], tmp_path: Path
) -> None:
    """One sentence what failed and what to do, and at the end how much did not arrive; the run sees nothing of it."""
    records = [record(spec(seed=seed)) for seed in range(4)]
    tracker = Broken(*verbs)
    heard = follow(tmp_path / "my run", records, tracker)
    failed, missing = heard.sentences
    assert failed.startswith("Tracker 'broken' failed at ")
    assert "ConnectionError: no route to host" in failed
    assert f"send it later with: graftbench.execution.trackers.replay.send('{tmp_path}/my run', [...])" in failed
    assert missing == "Tracker 'broken': 4 of the 4 cells that were recorded now did not arrive."
    assert heard.ends == [made.id for made in records]
    assert [verb for verb, _ in tracker.lines if verb in verbs] == [verbs[0]] * 3  # then it is left alone
    assert tracker.abandoned


def test_a_cell_whose_curve_failed_arrives_with_its_record(
    record: Callable[..., Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes wrong on the way is made good at the end: the cell is begun again and has its whole curve."""
    tracker, made, job = Broken("points"), record(), tmp_path / "job"
    job.mkdir()
    (job / "progress.json").write_bytes(msgspec.json.encode({"curve": made.curve[:1]}))
    heard = Heard()
    with RunTrackers([tracker]).follow(heard, "tiny", tmp_path) as told:
        told.started(made.cell, job)
        wait_for(lambda: bool(heard.sentences))
        monkeypatch.setattr(tracker, "verbs", ())
        told.ended(made, 1.0)
    assert [verb for verb, _ in tracker.lines] == ["open", "begin", "points", "begin", "points", "end", "close"]
    assert len(tracker.curves[made.id]) == 5
    assert len(heard.sentences) == 1


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), MemoryError(), GraftbenchError("no login")])
def test_whatever_a_tracker_raises(error: BaseException, record: Callable[..., Record], tmp_path: Path) -> None:
    """A package may try to end the program; it ends nothing."""
    heard = follow(tmp_path, [record()], Broken("begin", error=error))
    assert ("no login" if isinstance(error, GraftbenchError) else type(error).__name__) in heard.sentences[0]
    assert len(heard.sentences) == 2


@pytest.mark.parametrize("verb", ["open", "begin", "points", "end", "close"])
def test_a_tracker_that_hangs_holds_nothing_up(
    verb: str, record: Callable[..., Record], spec: Callable[..., CellSpec], tmp_path: Path
) -> None:
    """The driver never waits for it; after the run it has its time, then it is left behind and said so."""
    tracker, heard = Hanging(verb), Heard()
    records = [record(spec(seed=seed)) for seed in range(3)]
    with RunTrackers([tracker]).follow(heard, "tiny", tmp_path) as told:
        start = time.monotonic()
        for made in records:
            told.started(made.cell, None)
            told.ended(made, 1.0)
        assert time.monotonic() - start < 0.2
        assert verb == "close" or tracker.reached.wait(5)
        ended = time.monotonic()
    assert 0.1 < time.monotonic() - ended < 2
    (sentence,) = heard.sentences
    assert sentence.startswith("Tracker 'hanging' was not done in time after the run and is left behind")
    arrived = 3 if verb == "close" else 0
    assert (f"{3 - arrived} of the 3 cells" in sentence) == (arrived < 3)
    assert tracker.abandoned
    wait_for(lambda: not any(t.name == "tracker hanging" for t in threading.enumerate()))


def test_more_than_it_can_hold_is_left_out_and_counted(
    record: Callable[..., Record], spec: Callable[..., CellSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow tracker does not fill the memory: its queue is bounded."""
    monkeypatch.setattr(queue, "WAITING", 4)
    monkeypatch.setattr(attach, "END_SECONDS", 5.0)
    tracker, heard = Hanging("open"), Heard()
    with RunTrackers([tracker]).follow(heard, "tiny", tmp_path) as told:
        first = record(spec(seed=100))
        told.ended(first, 1.0)
        assert tracker.reached.wait(5)
        for seed in range(10):
            told.ended(record(spec(seed=seed)), 1.0)
        tracker.go.set()
    (sentence,) = heard.sentences
    assert sentence == (
        "Tracker 'hanging': 6 of the 11 cells that were recorded now did not arrive. Send them with: "
        f"graftbench.execution.trackers.replay.send('{tmp_path}', [...])"
    )
    assert len(tracker.results) == 5


def test_one_of_two_trackers_is_down(record: Callable[..., Record], tmp_path: Path) -> None:
    """The other has everything."""
    book, made = Book(), record()
    heard = follow(tmp_path, [made], Broken("open"), book)
    assert book.results[made.id].ok
    assert all("'broken'" in sentence for sentence in heard.sentences)


def test_a_run_that_is_broken_off_waits_a_moment_only(record: Callable[..., Record], tmp_path: Path) -> None:
    """Ctrl-C goes through; the tracker is closed, so that it can mark cells without an end."""
    book, made = Book(), record()

    def broken_off() -> None:
        with RunTrackers([book, Hanging("begin")]).follow(Silent(), "tiny", tmp_path) as told:
            told.started(made.cell, None)
            wait_for(lambda: len(book.lines) == 2)
            raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert time.monotonic() - start < 2
    assert [verb for verb, _ in book.lines] == ["open", "begin", "close"]


def test_cells_that_nobody_had_recorded_are_shown_too(record: Callable[..., Record], tmp_path: Path) -> None:
    """Results that a killed driver left and this one took."""
    book, made = Book(), record()
    follow(tmp_path, [], book, before=[made])
    assert [verb for verb, _ in book.lines] == ["open", "begin", "points", "end", "close"]


def test_a_run_in_which_nothing_ends_asks_nobody(tmp_path: Path) -> None:
    """No tracker is opened before there is something to show."""
    book = Book()
    assert follow(tmp_path, [], book).sentences == []
    assert book.lines == []


def test_without_trackers_nothing_is_between(tmp_path: Path) -> None:
    """What is told is told to the same object."""
    heard = Heard()
    with RunTrackers([]).follow(heard, "tiny", tmp_path) as told:
        assert told is heard
    assert not list(tmp_path.iterdir())


def test_a_wait_is_announced_and_a_key_ends_it(
    record: Callable[..., Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every cell is recorded: Ctrl-C leaves the tracker behind, and the run ends as it would have."""
    monkeypatch.setattr(attach, "END_SECONDS", 30.0)
    monkeypatch.setattr(attach, "QUIET_SECONDS", 0.05)
    heard, main = Heard(), threading.main_thread().ident
    assert main is not None
    threading.Timer(0.4, lambda: signal.pthread_kill(main, signal.SIGINT)).start()
    start = time.monotonic()
    with RunTrackers([Hanging("begin")]).follow(heard, "tiny", tmp_path) as told:
        told.ended(record(), 1.0)
    assert time.monotonic() - start < 5
    waiting, left = heard.sentences
    assert waiting == "Waiting 30 s at most until 'hanging' has everything; Ctrl-C ends only the wait."
    assert "is left behind: 1 of the 1 cells" in left


# ------------------------------------------------------------------------------------------------------ what is asked


def test_an_unknown_tracker_names_the_nearest() -> None:
    """As everywhere."""
    with pytest.raises(GraftbenchError, match=r"Unknown tracker 'tensorbord'\. Did you mean 'tensorboard'\?"):
        find(["tensorbord"])


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("tensorboard:logdri=x", r"Unknown option 'logdri' of tracker 'tensorboard'\. Did you mean 'logdir'\?"),
        ("tensorboard:runs/tb", r"written tensorboard:key=value,key=value; found 'runs/tb'"),
        (
            "wandb:mode=offlin",
            r"tracker 'wandb' do not do: mode must be '', 'disabled', 'offline' or 'online'; found .*mean 'offline'",
        ),
        ("", r"Unknown tracker ''\. Available: .*mlflow, tensorboard, wandb"),
    ],
)
def test_options_that_do_not_do(written: str, words: str) -> None:
    """What was found and what was expected."""
    with pytest.raises(GraftbenchError, match=words):
        find([written])


def test_a_tracker_is_given_once() -> None:
    """Twice it would write over itself."""
    with pytest.raises(GraftbenchError, match="'book' is given 2 times"):
        find([Book(), Book])
    with pytest.raises(GraftbenchError, match="a name, a Tracker or its class; found 3"):
        find([3])  # pyright: ignore[reportArgumentType] - a mistake on purpose


@pytest.mark.parametrize(("name", "module"), [("tensorboard", "tensorboard"), ("wandb", "wandb"), ("mlflow", "mlflow")])
def test_a_missing_package_names_its_extra(name: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is run."""
    from graftbench.execution.trackers import base

    monkeypatch.setattr(base, "find_spec", lambda wanted: None if wanted == module else object())
    with pytest.raises(GraftbenchError, match=rf"pip install 'graftbench\[{name}\]'"):
        find([name])


def test_mlflow_needs_more_for_databases_than_for_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """mlflow-skinny alone talks to servers."""
    from graftbench.execution.trackers import base, mlflow

    monkeypatch.setattr(base, "find_spec", lambda _: object())
    monkeypatch.setattr(mlflow, "find_spec", lambda wanted: None if wanted == "alembic" else object())
    for written in ("mlflow", "mlflow:uri=sqlite:///x.db", "mlflow:uri=postgresql+psycopg://host/db"):
        with pytest.raises(GraftbenchError, match="needs 'alembic' for its database"):
            find([written])
    assert len(find(["mlflow:uri=http://host:5000"])) == 1
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:5000")
    assert len(find(["mlflow"])) == 1


# ------------------------------------------------------------------------------------------------------- run folders


def test_a_run_folder_has_a_key_of_its_own(tmp_path: Path) -> None:
    """Drawn once; two folders of one name are two."""
    first, second = tmp_path / "a" / "run", tmp_path / "b" / "run"
    for folder in (first, second):
        folder.mkdir(parents=True)
    group = group_of("tiny", first)
    assert group == group_of("tiny", first)
    assert group.name == "tiny: run"
    assert group.key != group_of("tiny", second).key
    (first / "trackers" / "key").write_text("damaged")
    assert len(group_of("tiny", first).key) == 16


def test_an_archive_has_a_key_too(tmp_path: Path) -> None:
    """A folder that cannot be written is known by its path; the file in its way stands for one, for root may write."""
    (tmp_path / "trackers").write_text("")
    assert group_of("tiny", tmp_path).key == group_of("tiny", tmp_path).key


# ------------------------------------------------------------------------------------------------------------- replay


def test_a_replay_tells_what_a_run_would_have_told(
    record: Callable[..., Record], spec: Callable[..., CellSpec], tmp_path: Path
) -> None:
    """The same calls for the same records."""
    records = [record(), record(spec(seed=1), Status.ERROR)]
    live, late, said = Book(), Book(), list[str]()
    follow(tmp_path, records, live)
    assert replay(late, "tiny", tmp_path, records, lambda one: said.append(one.id)) == 2
    assert late.lines == live.lines
    assert late.curves == live.curves
    assert late.results == live.results
    assert said == [one.id for one in records]


def test_a_replay_that_fails_says_where(
    record: Callable[..., Record], spec: Callable[..., CellSpec], tmp_path: Path
) -> None:
    """Here the tracker is what the user wants: its failure is an error."""
    records = [record(), record(spec(seed=1))]
    tracker = Broken("end")
    with pytest.raises(GraftbenchError, match=r"failed at finetune .* seed=0 \(ConnectionError: no route to host\)"):
        replay(tracker, "tiny", tmp_path, records, lambda _: None)
    assert tracker.lines[-1] == ("close", "")


def test_records_of_an_earlier_version_keep_their_ids(record: Callable[..., Record], tmp_path: Path) -> None:
    """A cell's id is what its record says, also where today's code would give it another."""
    book = Book()
    replay(book, "tiny", tmp_path, [record(id="0123456789abcdef")], lambda _: None)
    assert list(book.results) == ["0123456789abcdef"]


def test_what_is_written_into_progress_can_be_read(record: Callable[..., Record], tmp_path: Path) -> None:
    """Losses that were not finite are null in JSON."""
    made = record()
    (tmp_path / "progress.json").write_text(json.dumps(msgspec.to_builtins({"curve": made.curve})))
    assert read_curves(tmp_path).curve == made.curve
