"""history.jsonl: what a run becomes, and what happens to the file."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from graftbench.errors import GraftbenchError
from graftbench.records.cell_spec import Protocol
from graftbench.regression.history.history import FILE, FORMAT, SeriesKey, Value, add, entry_of, read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graftbench.records.run import Run
    from graftbench.regression.history.history import HistoryEntry

KEY = "finetune|twemoji->folder:cats@32|25|8 kimg"


def with_first(run: Run, **fields: Any) -> Run:
    """The run, its first record changed."""
    return replace(run, records=[msgspec.structs.replace(run.records[0], **fields), *run.records[1:]])


# ----------------------------------------------------------------------------------------------------- run -> entry


def test_what_a_run_becomes(run: Callable[..., Run]) -> None:
    """Mean, spread and number of seeds by hand; commit and date from the records; folders without their path."""
    entry, notes = entry_of(run())
    assert entry.series[KEY]["kid"] == Value(2.0, 1.0, 3)
    assert entry.series[KEY]["fit_seconds"] == Value(10.0, 0.0, 3)
    assert (entry.commit, entry.date, entry.run, entry.failed) == ("c" * 40, "2026-03-01T11:00:02Z", "mine", 0)
    assert (entry.hardware["cpu.model"], entry.hardware["gpu.name"]) == ("AMD EPYC", "not recorded")
    assert entry.machine == "processor AMD EPYC, usable cores 2, device cpu"
    assert notes == []


def test_what_is_told_and_left_out(run: Callable[..., Run]) -> None:
    """Wall times beside other processes, failed cells, a changed checkout."""
    entry, notes = entry_of(run(shared=True, failed=2, dirty=True))
    assert "fit_seconds" not in entry.series[KEY]
    assert entry.series[KEY]["peak_memory_mib"].mean == 800
    assert (entry.cells, entry.failed) == (5, 2)
    assert [note.split()[0] for note in notes] == ["Files", "2", "Wall"]


def test_commit_and_date_can_be_said(run: Callable[..., Run]) -> None:
    """Another zone is turned to UTC; a date without one is UTC."""
    entry, _ = entry_of(run(), commit="v1.2", date="2026-01-31T01:00+02:00")
    assert (entry.commit, entry.date) == ("v1.2", "2026-01-30T23:00:00Z")
    assert entry_of(run(), date="2026-01-31")[0].date == "2026-01-31T00:00:00Z"


def test_what_cannot_be_a_line(run: Callable[..., Run]) -> None:
    """No commit, several, no date, several protocols, no good cell: each says what to do."""
    with pytest.raises(GraftbenchError, match=r"records name none. Say which: --commit SHA"):
        entry_of(run(commit=None))
    two = with_first(run(), environment={"commit": "d" * 40})
    with pytest.raises(GraftbenchError, match=rf"records name {'c' * 40}, {'d' * 40}"):
        entry_of(two)
    with pytest.raises(GraftbenchError, match=r"'yesterday' is no date"):
        entry_of(run(), date="yesterday")
    mixed = with_first(run(), cell=msgspec.structs.replace(run().records[0].cell, protocol=Protocol(size=64)))
    with pytest.raises(GraftbenchError, match=r"2 protocols \(lite0@64, lite0@96\)"):
        entry_of(mixed)
    failed = replace(run(), records=run(failed=1).records[3:])
    with pytest.raises(GraftbenchError, match=r"No cell of 'mine' ended well"):
        entry_of(failed)


def test_metrics_and_paths_of_weights_are_no_other_protocol(run: Callable[..., Run]) -> None:
    """They change no number."""
    same = Protocol(size=96, metrics=["kid"], weights="elsewhere")
    cell = msgspec.structs.replace(run().records[0].cell, protocol=same)
    other = replace(run(), records=[msgspec.structs.replace(run().records[0], cell=cell)])
    assert entry_of(other)[0].protocol == entry_of(run())[0].protocol


def test_variants_are_told_apart(run: Callable[..., Run]) -> None:
    """By the parameters in which they differ."""
    two = with_first(run(), cell=msgspec.structs.replace(run().records[0].cell, parameters={"lr": 0.2}))
    found = [SeriesKey.parse(text).method for text in entry_of(two)[0].series]
    assert found == ["finetune (lr=0.2)", "finetune (lr=0.1)"]


def test_keys() -> None:
    """As text and back; a bar in a name does not break it."""
    key = SeriesKey("finetune", "twemoji->openmoji@32", 25, "8 kimg")
    assert SeriesKey.parse(key.text) == key
    assert SeriesKey.parse(key._replace(method="a|b").text).method == "a¦b"
    for text in ("a|b|c", "a|b|many|8 kimg"):
        with pytest.raises(GraftbenchError, match=r"names no series"):
            SeriesKey.parse(text)


# ------------------------------------------------------------------------------------------------------------- file


def test_lines_are_appended(tmp_path: Path, entry: Callable[..., HistoryEntry]) -> None:
    """One line a run, each with its format; what is read is what was written."""
    entries = [entry(i, {"kid": i}) for i in range(3)]
    for one in entries:
        assert add(tmp_path / "new" / "history", one).written
    lines = (tmp_path / "new" / "history" / FILE).read_text("utf-8").splitlines()
    assert [json.loads(line)["format"] for line in lines] == [FORMAT] * 3
    assert read(tmp_path / "new" / "history") == (entries, [])
    assert read(tmp_path / "new" / "history" / FILE) == (entries, [])


def test_read_in_the_order_of_time(tmp_path: Path, entry: Callable[..., HistoryEntry]) -> None:
    """An old commit that is run late stands where it belongs."""
    for i in (5, 2, 9):
        add(tmp_path, entry(i))
    assert [one.date[8:10] for one in read(tmp_path)[0]] == ["03", "06", "10"]


def test_the_same_run_again(tmp_path: Path, entry: Callable[..., HistoryEntry]) -> None:
    """Nothing is written, and a sentence says so; the suite's name does not matter."""
    add(tmp_path, entry(1))
    before = (tmp_path / FILE).read_bytes()
    again = add(tmp_path, entry(1, run="other"))
    assert (again.written, (tmp_path / FILE).read_bytes()) == (False, before)
    assert "nothing was added" in again.sentence


def test_a_commit_twice(tmp_path: Path, entry: Callable[..., HistoryEntry]) -> None:
    """Refused with other values; replaced when asked for, with both lines left in the file."""
    add(tmp_path, entry(1, {"kid": 1}))
    with pytest.raises(GraftbenchError, match=r"has other values of commit .* add --replace"):
        add(tmp_path, entry(1, {"kid": 2}))
    done = add(tmp_path, entry(1, {"kid": 2}), replace=True)
    assert "take the place" in done.sentence
    assert len((tmp_path / FILE).read_text("utf-8").splitlines()) == 2
    (left,) = read(tmp_path)[0]
    assert next(iter(left.series.values()))["kid"].mean == 2


def test_the_last_line_counts_whatever_its_date(tmp_path: Path, entry: Callable[..., HistoryEntry]) -> None:
    """Replacing goes by the order of the file, not by that of time."""
    add(tmp_path, entry(1, {"kid": 1}))
    add(tmp_path, entry(1, {"kid": 2}, date="2020-01-01T00:00:00Z"), replace=True)
    (left,) = read(tmp_path)[0]
    assert (left.date[:4], next(iter(left.series.values()))["kid"].mean) == ("2020", 2)


def test_a_commit_on_other_hardware_or_with_other_series(tmp_path: Path, entry: Callable[..., HistoryEntry]) -> None:
    """Both are additions, not replacements."""
    first = entry(1)
    add(tmp_path, first)
    assert add(tmp_path, entry(1, hardware={**first.hardware, "cpu.model": "Xeon"})).written
    assert add(tmp_path, entry(1, key="vae|twemoji->openmoji@32|25|8 kimg")).written
    assert len(read(tmp_path)[0]) == 3


def test_a_torn_last_line(tmp_path: Path, entry: Callable[..., HistoryEntry]) -> None:
    """Left out with a warning when read, and set aside by the next addition; no run is lost."""
    add(tmp_path, entry(1))
    path = tmp_path / FILE
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:50])
    entries, (warning,) = read(tmp_path)
    assert len(entries) == 1
    assert "unfinished (50 bytes)" in warning
    assert "history.jsonl.torn" in add(tmp_path, entry(2)).sentence
    assert (tmp_path / "history.jsonl.torn").read_bytes() == whole[:50] + b"\n"
    assert (len(read(tmp_path)[0]), read(tmp_path)[1]) == (2, [])


def test_a_newer_format_is_refused(tmp_path: Path, entry: Callable[..., HistoryEntry]) -> None:
    """With the line and both versions; nothing is added to such a file."""
    add(tmp_path, entry(1))
    with (tmp_path / FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"format": FORMAT + 1, "shape": "unknown"}) + "\n")
    for action in (lambda: read(tmp_path), lambda: add(tmp_path, entry(2))):
        with pytest.raises(GraftbenchError, match=rf"line 2: history format {FORMAT + 1} is newer .*{FORMAT}"):
            action()


def test_an_older_line_lacks_fields(tmp_path: Path, entry: Callable[..., HistoryEntry]) -> None:
    """What it lacks takes its default; what is unknown is passed over."""
    fields = msgspec.to_builtins(entry(1))
    for name in ("format", "images", "cells", "failed"):
        del fields[name]
    (tmp_path / FILE).write_text(json.dumps(fields | {"remark": "kept by hand"}) + "\n\n", "utf-8")
    (found,) = read(tmp_path)[0]
    assert (found.format, found.images, found.cells) == (FORMAT, {}, 0)


def test_what_is_no_history(tmp_path: Path, entry: Callable[..., HistoryEntry]) -> None:
    """No file: how to start one. A line that is none: which, and that nothing was changed. A file for a folder."""
    with pytest.raises(GraftbenchError, match=r"There is no history at .* starts one"):
        read(tmp_path)
    (tmp_path / FILE).write_text('{"run": 1}\n', "utf-8")
    with pytest.raises(GraftbenchError, match=r"line 1 is no run .* Nothing was changed"):
        read(tmp_path)
    with pytest.raises(GraftbenchError, match="is a file; the history is a folder"):
        add(tmp_path / FILE, entry(1))
