"""Runs of shards and machines become one: what counts, what is kept, what is refused, and that nothing is lost."""

from __future__ import annotations

import itertools
import shutil
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from made_cells import EMOJI_RECORDS, EMOJI_SUITE

from graftbench.errors import GraftbenchError
from graftbench.execution.merge import Merged, merge
from graftbench.execution.run_folder import RunFolder
from graftbench.records.cell_spec import ComputeBudget
from graftbench.records.record import Record, Status
from graftbench.records.run import read_run
from graftbench.records.store import latest, read
from graftbench.suites.matrix import places, united_suite
from graftbench.suites.suite import CellLimits, Suite, load_suite

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


@pytest.fixture(scope="module")
def records() -> list[Record]:
    """The emoji suite's records."""
    return read(EMOJI_RECORDS)[0]


def suite_of(records: Sequence[Record], **changes: Any) -> Suite:
    """The emoji suite as resolved when it was run."""
    suite = load_suite(EMOJI_SUITE)
    resolved = msgspec.structs.replace(suite, protocol=records[0].cell.protocol, cells=len(places(suite)))
    return msgspec.structs.replace(resolved, **changes)


def make(folder: Path, records: Sequence[Record], *, artifacts: bool = True, **changes: Any) -> Path:
    """A run folder with these records; each cell's folder holds files that say whose they are."""
    run = RunFolder(folder)
    with run.claimed("emoji"):
        run.write_suite(suite_of(records, **changes))
        run.records.write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
        for record in latest(list(records)).values() if artifacts else ():
            for name in record.artifacts.values():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(f"{folder.name} {record.status} {record.finished_at} {name}")
    return folder


def changed(record: Record, status: Status = Status.OK, at: str = "2027-01-01T00:00:00+00:00", **more: Any) -> Record:
    """The same cell, run again."""
    if status != Status.OK:
        more = {"scores": [], "reason": f"it ended as {status}"} | more
    return msgspec.structs.replace(record, status=status, finished_at=at, **more)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder but the lock."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


@pytest.fixture
def shards(tmp_path: Path, records: list[Record]) -> list[Path]:
    """Three shards of the emoji suite, eight cells of it missing."""
    kept = records[: len(records) - 8]
    return [make(tmp_path / f"shard{k}", kept[k::3]) for k in range(3)]


# ------------------------------------------------------------------------------------------------------- what is merged


def test_shards_become_one_run(shards: list[Path], tmp_path: Path, records: list[Record]) -> None:
    """All records with their folders; the cells that no shard has are counted; reports and runs read the result."""
    out = tmp_path / "all"
    merged = merge(shards, out)
    kept = records[: len(records) - 8]
    assert (merged.present, merged.total, merged.missing) == (len(kept), len(records), 8)
    assert merged.statuses == {"ok": len(kept)}
    assert (merged.copied, merged.duplicates, merged.notes) == (len(kept), [], [])
    found = {record.id: record for record in read_run(out).records}
    assert found == {record.id: record for record in kept}
    assert read_run(out).expected == len(records)
    for record in kept:
        for name in record.artifacts.values():
            assert (out / name).read_text().endswith(name)
    with RunFolder(out).claimed("emoji"):
        pass


def test_the_inputs_stay_as_they_are(shards: list[Path], tmp_path: Path) -> None:
    """Bytes, names and times of every file, locks and folders included."""

    def state(folder: Path) -> dict[str, Any]:
        return {
            str(p): (s.st_mtime_ns, s.st_size, s.st_mode, p.read_bytes() if p.is_file() else None)
            for p in sorted(folder.rglob("*"))
            if (s := p.lstat())
        }

    (shards[0] / ".lock").unlink()
    before = [state(shard) for shard in shards]
    merge(shards, tmp_path / "all")
    assert [state(shard) for shard in shards] == before


def test_merging_again_changes_no_byte(shards: list[Path], tmp_path: Path) -> None:
    """The same runs, some of them, all at once or one by one, in any order."""
    out = tmp_path / "all"
    merge(shards, out)
    once = contents(out)
    again = merge(shards, out)
    assert (contents(out), again.copied) == (once, 0)
    merge(shards[1:], out)
    assert contents(out) == once
    for number, order in enumerate(itertools.permutations(shards)):
        other = tmp_path / f"order{number}"
        for shard in order:
            merge([shard], other)
        assert contents(other) == once
        shutil.rmtree(other)


def test_a_later_shard_adds_what_is_new(shards: list[Path], tmp_path: Path) -> None:
    """A merged folder grows; what was there is not copied again."""
    out = tmp_path / "all"
    first = merge(shards[:2], out)
    second = merge(shards[2:], out)
    assert second.present == first.present + second.copied
    assert second.copied == len(read(shards[2] / "records.jsonl")[0])


def test_an_ok_record_beats_failures_and_a_newer_one_an_older(records: list[Record], tmp_path: Path) -> None:
    """Whichever run it is in; its folder comes with it, and every line is kept."""
    one, two, three = records[:3]
    old, new, late = "2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00", "2026-03-01T00:00:00Z"
    a = make(tmp_path / "a", [changed(one, at=old), changed(two, at=new), changed(three, Status.OOM, at=old)])
    b = make(
        tmp_path / "b",
        [changed(one, Status.TIMEOUT, at=new), changed(two, at=old), changed(three, Status.ERROR, at=late)],
    )
    for runs in ([a, b], [b, a]):
        out = tmp_path / f"out-{runs[0].name}"
        merged = merge(runs, out)
        lines, _ = read(out / "records.jsonl")
        newest = latest(lines)
        assert len(lines) == 6
        assert [newest[r.id].finished_at for r in (one, two, three)] == [old, new, late]
        assert [str(newest[r.id].status) for r in (one, two, three)] == ["ok", "ok", "error"]
        owners = {r.id: (out / r.artifacts["log"]).read_text().split()[0] for r in (one, two, three)}
        assert owners == {one.id: "a", two.id: "a", three.id: "b"}
        assert merged.statuses == {"ok": 2, "error": 1}
    assert contents(tmp_path / "out-a") == contents(tmp_path / "out-b")


def test_a_folder_goes_with_its_own_record_only(records: list[Record], tmp_path: Path) -> None:
    """A cell that was `ok` and failed when run again left the failure's log: that is not the `ok` record's."""
    fine = changed(records[0], at="2026-01-01T00:00:00Z")
    failed = changed(records[0], Status.KILLED, at="2026-02-01T00:00:00Z")
    run = make(tmp_path / "a", [fine, failed])
    merged = merge([run], tmp_path / "out")
    assert latest(read(tmp_path / "out" / "records.jsonl")[0])[fine.id] == fine
    assert not (tmp_path / "out" / "cells" / fine.id).exists()
    assert "The artifacts of 1 records are in none of the runs." in merged.notes


def test_the_winner_replaces_the_folder_of_a_failure(records: list[Record], tmp_path: Path) -> None:
    """First merged: a failure with its log. Then comes the run in which the cell was `ok`."""
    a = make(tmp_path / "a", [changed(records[0], Status.LOST, at="2026-05-01T00:00:00Z")])
    b = make(tmp_path / "b", [changed(records[0], at="2026-01-01T00:00:00Z")])
    merge([a], tmp_path / "out")
    merge([b], tmp_path / "out")
    assert (tmp_path / "out" / records[0].artifacts["sampler"]).read_text().startswith("b ok")
    assert (tmp_path / "out" / records[0].artifacts["log"]).read_text().startswith("b ok")


def test_links_share_the_files(shards: list[Path], tmp_path: Path, records: list[Record]) -> None:
    """With `link`, artifacts are one file on the disk; without, two."""
    name = records[0].artifacts["sampler"]
    merge(shards, tmp_path / "linked", link=True)
    merge(shards, tmp_path / "copied")
    original = (shards[0] / name).stat().st_ino
    assert (tmp_path / "linked" / name).stat().st_ino == original
    assert (tmp_path / "copied" / name).stat().st_ino != original
    assert contents(tmp_path / "linked") == contents(tmp_path / "copied")


def test_a_link_in_a_run_is_not_followed(records: list[Record], tmp_path: Path) -> None:
    """What a link points at is not the run's: the link is copied as a link."""
    run = make(tmp_path / "a", records[:1])
    (tmp_path / "secret").write_text("not the run's")
    (run / "cells" / records[0].id / "link").symlink_to(tmp_path / "secret")
    merge([run], tmp_path / "out")
    assert (tmp_path / "out" / "cells" / records[0].id / "link").is_symlink()


def test_what_a_killed_merge_left_is_cleared(shards: list[Path], tmp_path: Path) -> None:
    """Half a folder under a temporary name goes, and the rest is done."""
    out = tmp_path / "all"
    merge(shards[:1], out)
    half = out / "cells" / ".0123456789abcdef.part"
    half.mkdir()
    (half / "sampler.safetensors").write_text("half")
    merge(shards, out)
    assert not half.exists()


# ----------------------------------------------------------------------------------------------------------- duplicates


def test_equal_lines_are_one_record(records: list[Record], tmp_path: Path) -> None:
    """A shard that was copied and run on: its lines come once, and are no duplicates."""
    a, b = make(tmp_path / "a", records[:3]), make(tmp_path / "b", records[:5])
    merged = merge([a, b, a], tmp_path / "out")
    assert len(read(tmp_path / "out" / "records.jsonl")[0]) == 5
    assert merged.duplicates == []


def test_duplicates_that_agree_are_told_from_those_that_differ(records: list[Record], tmp_path: Path) -> None:
    """To the last digit, or by how much in which metric; other endings are named."""
    one, two, three = records[:3]
    fid = two.scores[0]
    assert fid.name == "fid"
    assert fid.value is not None
    other = [msgspec.structs.replace(fid, value=fid.value * 1.25), *two.scores[1:]]
    a = make(tmp_path / "a", [one, two, three])
    b = make(tmp_path / "b", [changed(one), changed(two, scores=other), changed(three, Status.TIMEOUT)])
    merged = merge([a, b], tmp_path / "out")
    found = {duplicate.id: duplicate for duplicate in merged.duplicates}
    assert found.keys() == {one.id, two.id, three.id}
    assert found[one.id].agrees
    assert not found[two.id].agrees
    assert found[two.id].values == (fid.value, fid.value * 1.25)
    assert str(found[two.id]) == f"{two.cell}: fid {fid.value:.6g} and {fid.value * 1.25:.6g}, 2.0e-01 of it apart"
    assert str(found[three.id]) == f"{three.cell}: ok, timeout"
    assert len(merge([a, b], tmp_path / "out").duplicates) == 3


def test_a_score_that_is_undefined_in_one_run_differs(records: list[Record], tmp_path: Path) -> None:
    """No number agrees with none."""
    none = msgspec.structs.replace(records[0].scores[0], value=None, undefined="too few images")
    a = make(tmp_path / "a", records[:1])
    b = make(tmp_path / "b", [changed(records[0], scores=[none, *records[0].scores[1:]])])
    (duplicate,) = merge([a, b], tmp_path / "out").duplicates
    assert str(duplicate).endswith("fid is undefined in some of them")


def test_several_versions_of_a_cell_are_kept_and_said(records: list[Record], tmp_path: Path) -> None:
    """Machines with different code: other ids in the same place of the matrix."""
    cell = msgspec.structs.replace(records[0].cell, code="ab" * 32)
    a = make(tmp_path / "a", records[:1])
    b = make(tmp_path / "b", [msgspec.structs.replace(records[0], id=cell.id, cell=cell, artifacts={})])
    merged = merge([a, b], tmp_path / "out")
    assert merged.present == 1
    assert len(read(tmp_path / "out" / "records.jsonl")[0]) == 2
    assert any(note.startswith("1 cells were run in more than one version") for note in merged.notes)


# ------------------------------------------------------------------------------------------------ torn lines, code.json


def test_unfinished_lines_are_set_aside(shards: list[Path], tmp_path: Path) -> None:
    """What a killed writer left is in no record and is not lost; it is said; twice is as once."""
    with (shards[0] / "records.jsonl").open("ab") as file:
        file.write(b'{"id":"0123')
    (shards[1] / "records.jsonl.torn").write_bytes(b'{"id":"ab\n')
    merged = merge(shards, tmp_path / "out")
    assert (tmp_path / "out" / "records.jsonl.torn").read_bytes() == b'{"id":"0123\n{"id":"ab\n'
    assert any(note.startswith("2 unfinished lines were set aside") for note in merged.notes)
    before = contents(tmp_path / "out")
    merge(shards, tmp_path / "out")
    assert contents(tmp_path / "out") == before


def test_a_damaged_line_is_refused_and_named(shards: list[Path], tmp_path: Path) -> None:
    """Damage in the middle is not passed over."""
    path = shards[1] / "records.jsonl"
    path.write_bytes(b"{not json}\n" + path.read_bytes())
    with pytest.raises(GraftbenchError, match=r"shard1.*line 1 is no record"):
        merge(shards, tmp_path / "out")


def test_the_maps_of_code_are_united(shards: list[Path], tmp_path: Path) -> None:
    """Code hash -> files of all runs; one that cannot be read is said and left out."""
    (shards[0] / "code.json").write_text('{"b": {"x.py": "1"}, "a": {}}')
    (shards[1] / "code.json").write_text('{"c": {}, "a": {}}')
    (shards[2] / "code.json").write_text("{")
    merged = merge(shards, tmp_path / "out")
    assert msgspec.json.decode((tmp_path / "out" / "code.json").read_bytes()) == {"a": {}, "b": {"x.py": "1"}, "c": {}}
    assert any("code.json" in note and "shard2" in note for note in merged.notes)


# ---------------------------------------------------------------------------------------------------- what is refused


def refused(match: str, run: Callable[[], Merged]) -> None:
    """It is refused with that sentence."""
    with pytest.raises(GraftbenchError, match=match):
        run()


def test_another_protocol_is_refused(records: list[Record], tmp_path: Path) -> None:
    """The field and both values are named; nothing is made. Where weights lie does not matter."""
    protocol = records[0].cell.protocol
    a = make(tmp_path / "a", records[:1])
    b = make(tmp_path / "b", records[1:2], protocol=msgspec.structs.replace(protocol, n_generated=5000))
    refused(r"`n_generated` is 600 in .*/a', 5000 in .*/b'", lambda: merge([a, b], tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    c = make(tmp_path / "c", records[1:2], protocol=msgspec.structs.replace(protocol, weights="/elsewhere"))
    assert merge([a, c], tmp_path / "out").present == 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"compute_budget": ComputeBudget(kimg=9)}, "`compute_budget` is 8 kimg .* 9 kimg"),
        ({"parameters": {"dcgan": {"batch_size": 8}}}, "`parameters.dcgan` is .*'batch_size': 8"),
        ({"name": "other", "seeds": [7]}, r"`seeds` is .* \[7\]"),
    ],
)
def test_another_suite_is_refused(
    changes: dict[str, Any], sentence: str, records: list[Record], tmp_path: Path
) -> None:
    """What a cell's result depends on must be the same; and all of it, where the name is another."""
    a, b = make(tmp_path / "a", records[:1]), make(tmp_path / "b", records[1:2])
    RunFolder(b).write_suite(suite_of(records, **changes))
    refused(sentence, lambda: merge([a, b], tmp_path / "out"))


def test_another_name_alone_is_no_obstacle(records: list[Record], tmp_path: Path) -> None:
    """All the rest fits: it is said, and merged under the first name."""
    a, b = make(tmp_path / "a", records[:1]), make(tmp_path / "b", records[1:2])
    RunFolder(b).write_suite(suite_of(records, name="renamed"))
    merged = merge([a, b], tmp_path / "out")
    assert RunFolder(tmp_path / "out").suite().name == "emoji"
    assert any("'renamed'" in note for note in merged.notes)


def test_parts_of_a_suite_are_united(records: list[Record], tmp_path: Path) -> None:
    """Machines that ran other methods or seeds of one suite: the whole is its union; other limits are only said."""
    a = make(tmp_path / "a", records[:1], methods=["dcgan", "oracle"], parameters={"dcgan": {"batch_size": 8}})
    other = {"methods": ["oracle", "vae"], "parameters": {}, "seeds": [5], "limits": CellLimits(cell_seconds=9)}
    b = make(tmp_path / "b", records[1:2], **other)
    merged = merge([a, b], tmp_path / "out")
    suite = RunFolder(tmp_path / "out").suite()
    assert suite.methods == ["dcgan", "oracle", "vae"]
    assert suite.parameters == {"dcgan": {"batch_size": 8}}
    assert suite.seeds == [*load_suite(EMOJI_SUITE).seeds, 5]
    assert suite.cells == merged.total == len(places(suite))
    assert any("`limits`" in note for note in merged.notes)


def test_domains_that_lie_elsewhere_are_the_same(records: list[Record]) -> None:
    """A task's folders are a machine's business."""
    here = suite_of(records, tasks=["folder:/data/cats->openmoji@32"])
    there = suite_of(records, tasks=["folder:/home/me/cats->openmoji@32"])
    united, _ = united_suite([here, there], ["a", "b"])
    assert united.tasks == here.tasks
    assert places(here) == places(there)


def test_a_run_at_work_is_refused(shards: list[Path], tmp_path: Path) -> None:
    """The lock of an input is held: refused, at once. So it is where the output's is held."""
    with RunFolder(shards[1]).claimed("emoji"):
        refused("shard1' at this moment", lambda: merge(shards, tmp_path / "out"))
    merge(shards[:1], tmp_path / "out")
    with RunFolder(tmp_path / "out").claimed("emoji"):
        refused("Another run is working", lambda: merge(shards, tmp_path / "out"))


def test_the_output_is_none_of_the_inputs(shards: list[Path], tmp_path: Path) -> None:
    """Nor in one of them, by whatever name; nor a folder that holds something else."""
    refused("is the run", lambda: merge(shards, shards[0]))
    refused("is the run", lambda: merge(shards, shards[2] / "deep" / "merged"))
    (tmp_path / "alias").symlink_to(shards[0])
    refused("is the run", lambda: merge(shards, tmp_path / "alias"))
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("mine")
    refused("holds no run", lambda: merge(shards, foreign))
    refused("no run folder", lambda: merge([foreign], tmp_path / "out"))
    refused("nothing to merge", lambda: merge([], tmp_path / "out"))
