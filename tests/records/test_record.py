"""Cells have stable identities, and the file of records survives torn lines, full disks and newer versions."""

from __future__ import annotations

import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from made_cells import make_cell

from graftbench.errors import GraftbenchError
from graftbench.records.cell_spec import CellSpec, ComputeBudget, Protocol, SecondExtractor, TaskSpec, content_hash
from graftbench.records.record import FORMAT, CurvePoint, Record, Resources, Score, Status
from graftbench.records.store import append, latest, read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROTOCOL = Protocol(size=96, resize="bicubic-antialias", weights_sha256="ab" * 32)
CELL = make_cell(
    "freezed",
    seed=1,
    parameters={"learning_rate": 0.002, "frozen_layers": 4},
    compute_budget=ComputeBudget(kimg=20.0),
    protocol=PROTOCOL,
    source_model="0123456789abcdef",
    manifests={"openmoji": "cd" * 32, "twemoji": "ef" * 32},
    code="01" * 32,
)


def _record(seed: int = 1, **changes: Any) -> Record:
    cell = msgspec.structs.replace(CELL, seed=seed)
    return msgspec.structs.replace(Record(id=cell.id, cell=cell, status=Status.OK), **changes)


FULL = _record(
    reason="umlauts (ä, π) and\nline ends are text like any other",
    exit_code=-9,
    log_tail='Traceback:\n\t"\\" \u2028 \x00 end\n',
    scores=[
        Score(name="fid", value=12.25, standard_error=0.5, n_generated=600, n_reference=620, protocol="lite0@96"),
        Score(name="coverage", value=None, undefined="k > n", n_generated=3, n_reference=620, protocol="lite0@96"),
    ],
    resources=Resources(device="cpu", fit_seconds=1.5, images_seen=20_000, energy_joules=None, timing_shared=True),
    curve=[CurvePoint(images_seen=64, seconds=0.1, losses={"generator": 0.7, "discriminator": 1.4})],
    notes=["Sampled with replacement."],
    environment={"packages": {"torch": "2.14.1"}, "gpu": None},
    artifacts={"samples": f"cells/{CELL.id}/samples.png"},
    finished_at="2026-01-02T03:04:05Z",
)


# --------------------------------------------------------------------------------------------------------- identity


def test_the_id_is_pinned() -> None:
    """The same cell has the same id on every machine and in every version; old runs depend on it."""
    assert CELL.id == "159a829db638015d"


def test_the_id_does_not_depend_on_the_order_of_keys() -> None:
    """Parameters and manifests are sets of facts; the order in which they were written is none."""
    reordered = msgspec.structs.replace(
        CELL,
        parameters=dict(reversed(CELL.parameters.items())),
        manifests=dict(reversed(CELL.manifests.items())),
    )
    assert reordered.id == CELL.id


def test_the_id_survives_the_file() -> None:
    """A cell that was written and read again is the same cell."""
    again = msgspec.json.decode(msgspec.json.encode(CELL), type=CellSpec)
    assert again == CELL
    assert again.id == CELL.id


CELL_CHANGES: dict[str, Any] = {
    "method": "freezed2",
    "family": "scratch",
    "parameters": {"learning_rate": 0.002, "frozen_layers": 5},
    "task": TaskSpec("twemoji", "openmoji", 64),
    "data_budget": 26,
    "compute_budget": ComputeBudget(seconds=20.0),
    "seed": 2,
    "protocol": msgspec.structs.replace(PROTOCOL, n_generated=601),
    "source_model": "",
    "manifests": {"openmoji": "cd" * 32, "twemoji": "ee" * 32},
    "code": "02" * 32,
    "variant_of": "finetune",
    "files": {"weights": "03" * 32},
}
PROTOCOL_CHANGES: dict[str, Any] = {
    "extractor": "inception",
    "size": None,
    "resize": "extractor",
    "weights_sha256": "",
    "n_generated": 5000,
    "reference": "validation",
    "metrics": ["fid"],
    "blur": 0.7,
    "dither": 8.0,
    "determinism": "portable",
    "second": SecondExtractor(extractor="vgg16"),
}
TASK_CHANGES: dict[str, Any] = {"source": "openmoji", "target": "twemoji", "resolution": 64, "kind": "stylize"}


def test_a_path_counts_by_what_lies_there() -> None:
    """Of a parameter that is a path the contents are part of the id, the place is not."""
    here, there = (
        msgspec.structs.replace(CELL, parameters={"file": path, "latent": 8}, files={"file": "ab" * 32})
        for path in ("/home/one/g.pt", "/data/two/g.pt")
    )
    assert here.id == there.id
    assert here.shown_parameters == {"file": "sha256:abababababab", "latent": 8}
    assert msgspec.structs.replace(here, files={"file": "cd" * 32}).id != here.id
    assert msgspec.structs.replace(here, parameters={"file": "/home/one/g.pt", "latent": 9}).id != here.id


def test_where_the_weights_lie_does_not_count() -> None:
    """Neither the first extractor's nor the second's; a second with other weights is another cell."""

    def spec(second: SecondExtractor, weights: str = "") -> CellSpec:
        protocol = msgspec.structs.replace(CELL.protocol, weights=weights, second=second)
        return msgspec.structs.replace(CELL, protocol=protocol)

    here = spec(SecondExtractor(extractor="vgg16", weights="/one/w.pth", weights_sha256="ab"), "/one/v.pth")
    there = spec(SecondExtractor(extractor="vgg16", weights="/two/w.pth", weights_sha256="ab"), "/two/v.pth")
    assert here.id == there.id
    assert here.protocol.with_weights_at(lambda _: "") == there.protocol.with_weights_at(lambda _: "")
    assert spec(SecondExtractor(extractor="vgg16", weights_sha256="cd")).id != here.id


def test_of_images_handed_in_twice_the_newest_count() -> None:
    """Other pixels for the same cell are another id, and replace the first; other seeds do not."""
    ids = {"samples": "01" * 32}, {"samples": "02" * 32}
    first, second = (msgspec.structs.replace(CELL, variant_of="samples", files=files) for files in ids)
    other = msgspec.structs.replace(second, seed=5)
    records = [Record(id=cell.id, cell=cell, status=Status.OK) for cell in (first, other, second)]
    assert set(latest(records)) == {second.id, other.id}


def test_every_field_is_tried() -> None:
    """A field that is added to a cell must be added to the three tables above."""
    assert set(CELL_CHANGES) == set(CellSpec.__struct_fields__)
    assert set(PROTOCOL_CHANGES) == set(Protocol.__struct_fields__) - {"weights"}
    assert set(TASK_CHANGES) == set(TaskSpec.__struct_fields__)


@pytest.mark.parametrize("field", CELL_CHANGES)
def test_the_id_changes_with_every_field(field: str) -> None:
    """Each field can change the result, so each changes the id."""
    assert msgspec.structs.replace(CELL, **{field: CELL_CHANGES[field]}).id != CELL.id


@pytest.mark.parametrize("field", PROTOCOL_CHANGES)
def test_the_id_changes_with_the_protocol(field: str) -> None:
    """Each part of the protocol changes the numbers."""
    protocol = msgspec.structs.replace(PROTOCOL, **{field: PROTOCOL_CHANGES[field]})
    assert msgspec.structs.replace(CELL, protocol=protocol).id != CELL.id


@pytest.mark.parametrize("field", TASK_CHANGES)
def test_the_id_changes_with_the_task(field: str) -> None:
    """Source, target and resolution are three different things to change."""
    task = msgspec.structs.replace(CELL.task, **{field: TASK_CHANGES[field]})
    assert msgspec.structs.replace(CELL, task=task).id != CELL.id


def test_the_id_changes_with_the_budget_s_amount() -> None:
    """20 kimg are not 21, and 20 kimg are not 20 seconds (CELL_CHANGES)."""
    assert msgspec.structs.replace(CELL, compute_budget=ComputeBudget(kimg=21.0)).id != CELL.id


def test_where_the_weights_lie_is_no_part_of_the_id() -> None:
    """The same weights file in another folder gives the same numbers; its hash stands for it."""
    protocol = msgspec.structs.replace(PROTOCOL, weights="/somewhere/else/inception.pth")
    assert msgspec.structs.replace(CELL, protocol=protocol).id == CELL.id


def test_content_hash_is_sha256_of_canonical_json() -> None:
    """SHA-256 of the bytes {"a":[1,2],"b":null}, whatever the order of the keys."""
    # printf '{"a":[1,2],"b":null}' | sha256sum
    assert content_hash({"b": None, "a": [1, 2]}) == "f25109c4111335e4a32d49373585e7a788ff5b10e70023f7004b170e7f84716a"


# ----------------------------------------------------------------------------------------------------- small structs


def test_names_in_words() -> None:
    """What tables and logs print."""
    assert str(CELL) == "freezed twemoji->openmoji@32 n=25 seed=1"
    assert str(ComputeBudget(kimg=20.0)) == "20 kimg"
    assert str(ComputeBudget(seconds=2.5)) == "2.5 seconds"
    assert PROTOCOL.label == "lite0@96"
    assert Protocol(extractor="inception", size=None).label == "inception"
    assert FULL.scores[0].full_name == "fid_n600_ref620_lite0@96"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "found none"),
        ({"kimg": 1.0, "seconds": 2.0}, "found kimg, seconds"),
        ({"kimg": 0.0}, "must be positive and finite; found kimg = 0"),
        ({"seconds": -1.0}, "must be positive"),
        ({"gflops": float("nan")}, "must be positive"),
    ],
)
def test_a_compute_budget_is_exactly_one_positive_number(given: dict[str, float], message: str) -> None:
    """None of the three, two of them, or an amount that is not above zero cannot be made, nor read from a file."""
    with pytest.raises(ValueError, match=message):
        ComputeBudget(**given)


def test_an_unknown_key_in_a_cell_is_an_error() -> None:
    """A misspelt key must not pass for a default."""
    text = msgspec.json.encode(CELL).replace(b'"n_generated"', b'"n_generatd"')
    with pytest.raises(msgspec.ValidationError, match="n_generatd"):
        msgspec.json.decode(text, type=CellSpec)


def test_score_by_name() -> None:
    """A metric that was not measured is None, one that is undefined is a score without a value."""
    assert FULL.score("fid") == FULL.scores[0]
    coverage = FULL.score("coverage")
    assert coverage is not None
    assert coverage.value is None
    assert FULL.score("kid") is None


def test_the_newest_of_each_id() -> None:
    """A cell that ran twice counts once, with its last record, at the place of its first."""
    first, other, again = _record(1, status=Status.KILLED), _record(2), _record(1)
    assert list(latest([first, other, again]).items()) == [(first.id, again), (other.id, other)]


# --------------------------------------------------------------------------------------------------------- the file


def test_a_record_comes_back_as_it_went(tmp_path: Path) -> None:
    """All fields, odd characters and None included; each record is one line."""
    path = tmp_path / "records.jsonl"
    append(path, FULL)
    append(path, _record(2))
    assert read(path) == ([FULL, _record(2)], [])
    assert path.read_bytes().count(b"\n") == 2


@pytest.mark.parametrize("status", list(Status))
def test_every_status_is_a_row(tmp_path: Path, status: Status) -> None:
    """However a cell ended, its row comes back."""
    append(tmp_path / "records.jsonl", _record(status=status))
    (record,), _ = read(tmp_path / "records.jsonl")
    assert record.status is status


def test_no_file_no_records(tmp_path: Path) -> None:
    """A run that has not finished a cell yet has no file."""
    assert read(tmp_path / "records.jsonl") == ([], [])


def test_runs_merge_by_concatenation(tmp_path: Path) -> None:
    """`cat a b > c` is a valid file with all records of both."""
    for name, seed in (("a", 1), ("b", 2)):
        append(tmp_path / name, _record(seed))
    (tmp_path / "c").write_bytes((tmp_path / "a").read_bytes() + (tmp_path / "b").read_bytes())
    assert read(tmp_path / "c") == ([_record(1), _record(2)], [])


def test_a_torn_line_is_left_out_then_moved_aside(tmp_path: Path) -> None:
    """A writer that was killed in mid-line costs its own line only, wherever it was cut; every byte is kept."""
    whole = tmp_path / "whole"
    append(whole, _record(1))
    first = whole.read_bytes()
    append(whole, _record(2))
    both = whole.read_bytes()
    for cut in [len(first) + 1, *range(len(first) + 2, len(both) - 1, 97), len(both) - 1]:
        path = tmp_path / f"{cut}.jsonl"
        path.write_bytes(both[:cut])
        records, warnings = read(path)
        assert records == [_record(1)]
        assert len(warnings) == 1
        assert f"{cut - len(first)} bytes" in warnings[0]
        assert path.read_bytes() == both[:cut], "reading must change nothing"
        append(path, _record(3))
        assert read(path) == ([_record(1), _record(3)], [])
        assert path.with_name(f"{cut}.jsonl.torn").read_bytes() == both[len(first) : cut] + b"\n"


def test_a_file_that_is_one_torn_line(tmp_path: Path) -> None:
    """Killed in the first line ever: no records, a warning, and the next append begins anew."""
    path = tmp_path / "records.jsonl"
    path.write_bytes(b'{"id":"12')
    assert read(path)[0] == []
    assert len(read(path)[1]) == 1
    append(path, _record())
    assert read(path) == ([_record()], [])


def test_torn_lines_gather(tmp_path: Path) -> None:
    """A second torn line does not overwrite the first."""
    path = tmp_path / "records.jsonl"
    for torn in (b'{"id":"one', b'{"id":"two'):
        with path.open("ab") as file:
            file.write(torn)
        append(path, _record())
    assert (tmp_path / "records.jsonl.torn").read_bytes() == b'{"id":"one\n{"id":"two\n'


@pytest.mark.parametrize("corrupt", [b"not json", b'{"id":"x"}', b"[]", b'{"id":"x","format":"one"}'])
def test_a_corrupt_line_stops_the_reader(tmp_path: Path, corrupt: bytes) -> None:
    """A whole line that is no record is somebody's mistake: file and line are named, and nothing is touched."""
    path = tmp_path / "records.jsonl"
    append(path, _record(1))
    with path.open("ab") as file:
        file.write(corrupt + b"\n")
    append(path, _record(2))
    before = path.read_bytes()
    with pytest.raises(GraftbenchError, match=r"records\.jsonl, line 2 is no record"):
        read(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    """A file of a later version is not misread, whatever else has changed in it."""
    path = tmp_path / "records.jsonl"
    path.write_text(f'{{"format":{FORMAT + 1},"what":"a later version writes"}}\n')
    with pytest.raises(GraftbenchError, match=rf"line 1: record format {FORMAT + 1} is newer.*\({FORMAT}\)"):
        read(path)


def test_blank_lines_are_nothing(tmp_path: Path) -> None:
    """Concatenating by hand leaves some."""
    path = tmp_path / "records.jsonl"
    append(path, _record())
    path.write_bytes(b"\n" + path.read_bytes() + b"  \n")
    assert read(path) == ([_record()], [])


@contextmanager
def _files_no_longer_than(size: int) -> Iterator[None]:
    """Writes past `size` bytes fail half-way, as on a full disk (setrlimit(2): EFBIG where a disk says ENOSPC)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_costs_the_new_line_only(tmp_path: Path) -> None:
    """The error reaches the caller, the lines before stay, and once there is room the file goes on."""
    path = tmp_path / "records.jsonl"
    append(path, _record(1))
    before = path.read_bytes()
    with _files_no_longer_than(len(before) + 40), pytest.raises(OSError, match="File too large"):
        append(path, _record(2))
    assert path.read_bytes()[: len(before)] == before
    assert path.stat().st_size == len(before) + 40, "the disk was to fill up in mid-line"
    assert read(path)[0] == [_record(1)]
    append(path, _record(2))
    assert read(path) == ([_record(1), _record(2)], [])


def test_the_id_does_not_know_where_a_folder_lies() -> None:
    """The same images in another place make the same cell; other images under the same name another."""
    here, there, other = (
        msgspec.structs.replace(
            CELL,
            task=TaskSpec("twemoji", name, 32),
            manifests={"twemoji": "aa", name: sha256},
        )
        for name, sha256 in (("folder:/data/cats", "bb"), ("folder:/home/cats/", "bb"), ("folder:/data/cats", "cc"))
    )
    assert here.id == there.id
    assert here.id != other.id
