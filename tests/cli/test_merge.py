"""`graftbench merge` as a user meets it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from made_cells import EMOJI_RECORDS, EMOJI_SUITE

from graftbench.execution.run_folder import RunFolder
from graftbench.records.record import Record, Status
from graftbench.records.store import read
from graftbench.suites.matrix import places
from graftbench.suites.suite import load_suite

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from command_line import Command


def make(folder: Path, records: Sequence[Record]) -> Path:
    """A run folder of the emoji suite."""
    made, suite = RunFolder(folder), load_suite(EMOJI_SUITE)
    with made.claimed("emoji"):
        made.write_suite(msgspec.structs.replace(suite, protocol=records[0].cell.protocol, cells=len(places(suite))))
        made.records.write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
    return folder


def test_shards_are_merged_and_what_is_missing_is_counted(run: Command, tmp_path: Path) -> None:
    """Exit code 0; cells there and missing, endings, duplicates that agree and that differ."""
    records, _ = read(EMOJI_RECORDS)
    total = len(records)
    again = msgspec.structs.replace(records[0], finished_at="2027-01-01T00:00:00+00:00")
    failed = msgspec.structs.replace(records[1], status=Status.KILLED, scores=[], finished_at="2027-01-01T00:00:00Z")
    a, b = make(tmp_path / "a", records[: total // 2]), make(tmp_path / "b", [again, failed, *records[total // 2 : -2]])
    code, out, err = run("merge", a, b, "--out", tmp_path / "all", "--link")
    assert (code, err) == (0, "")
    assert "2 cells were run more than once: 1 agree to the digit, 1 differ." in out
    assert f"  {records[1].cell}: ok, killed" in out
    assert f"{tmp_path / 'all'}: {total - 2} of {total} cells; 2 missing. Records: {total - 2} ok." in out
    assert len(read(tmp_path / "all" / "records.jsonl")[0]) == total


def test_what_does_not_belong_together_ends_with_two(run: Command, tmp_path: Path) -> None:
    """One sentence, no traceback: another protocol, a missing folder, no output, no runs."""
    records, _ = read(EMOJI_RECORDS)
    a, b = make(tmp_path / "a", records[:1]), make(tmp_path / "b", records[1:2])
    suite = RunFolder(b).suite()
    RunFolder(b).write_suite(
        msgspec.structs.replace(suite, protocol=msgspec.structs.replace(suite.protocol, n_generated=50))
    )
    code, _, err = run("merge", a, b, "--out", tmp_path / "all")
    assert code == 2
    assert "`n_generated` is 600" in err
    assert "50" in err
    code, _, err = run("merge", a, tmp_path / "none", "--out", tmp_path / "all")
    assert code == 2
    assert "is no run folder" in err
    assert run("merge", a)[0] == 2
    assert run("merge", "--out", tmp_path / "all")[0] == 2
    assert not (tmp_path / "all").exists()
