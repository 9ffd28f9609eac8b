"""Preparation: many pictures become one file in order, what cannot be used is named, and what is trusted is sound."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from skimage import data

from graftbench import digests
from graftbench.contracts import Domain, DomainImages, Item
from graftbench.digests import content_digest, remembered
from graftbench.errors import GraftbenchError
from graftbench.images import preparation, prepared
from graftbench.images.resizing import RULES, square
from graftbench.images.splitting import split_of
from graftbench.plugins.registry import make_domain
from graftbench.suites.plan import make_plan
from graftbench.suites.suite import parse_suite

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 100
OLD = 1_600_000_000


def _patches() -> dict[str, Image.Image]:
    """Twenty patches of a photograph of a cat and of a rocket, by name."""
    found = {}
    for name in ("chelsea", "rocket"):
        picture = Image.fromarray(getattr(data, name)())
        places = [(x, y) for y in (0, 100, 200) for x in range(0, picture.width - SIDE + 1, SIDE)]
        found |= {f"{name}-{x}-{y}.png": picture.crop((x, y, x + SIDE, y + SIDE)) for x, y in places[:10]}
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of real patches, written long ago."""
    root = tmp_path / "pictures"
    root.mkdir()
    for name, patch in _patches().items():
        patch.save(root / name)
        os.utime(root / name, (OLD, OLD))
    return root


def _load(folder: Path, *, resize: str = "lanczos-antialias", side: int = 32) -> prepared.ImageSet:
    name = f"folder:{folder}"
    return prepared.load(make_domain(name), name, side, folder.parent / "cache", resize=resize)


def test_the_file_is_what_numpy_would_save(folder: Path) -> None:
    """Byte for byte, although it is written before it is known how many pictures can be used."""
    (folder / "broken.png").write_bytes(b"")
    images = _load(folder)
    assert dict(images.excluded) == {"broken.png": "the file is empty"}
    assert images.entry is not None
    expected = io.BytesIO()
    np.save(expected, np.stack([square(patch, 32) for _, patch in sorted(_patches().items())]))
    assert (images.entry / "pixels.npy").read_bytes() == expected.getvalue()


def test_items_and_images_of_a_domain_are_the_same(folder: Path) -> None:
    """`images` of a folder gives what its items give, in the same order."""
    images, loaded = make_domain(f"folder:{folder}").images(32), _load(folder)
    assert list(images.ids) == list(loaded.ids)
    assert np.array_equal(images.pixels, loaded.pixels)


def test_order_does_not_depend_on_who_is_done_first() -> None:
    """Slow work at the front comes out first; an error is raised in its turn, and no thread is left."""

    def work(value: int) -> int:
        time.sleep(0.02 if value == 0 else 0)
        if value == 7:
            raise ValueError("seven")
        return value * value

    assert list(preparation.in_order(work, range(7), workers=4)) == [0, 1, 4, 9, 16, 25, 36]
    seen = []
    with pytest.raises(ValueError, match="seven"):
        seen.extend(preparation.in_order(work, range(20), workers=4))
    assert seen == [0, 1, 4, 9, 16, 25, 36]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("images")]


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_pixels_and_manifest_of_its_own(folder: Path, rule: str) -> None:
    """A rule is another task: other pixels, another manifest, the same ids; the cache gives back what was made."""
    images, again, default = _load(folder, resize=rule), _load(folder, resize=rule), _load(folder)
    assert np.array_equal(images.pixels[0], square(_patches()[images.ids[0]], 32, rule))
    assert (images.manifest == default.manifest) == (rule == "lanczos-antialias")
    assert (images.ids, images.resize, images.manifest) == (default.ids, rule, again.manifest)


@pytest.mark.long
def test_the_suite_chooses_the_rule(folder: Path) -> None:
    """`resize` in a suite file reaches the images; an unknown rule names the nearest; drawn domains refuse others."""
    text = """name = "t"\ntasks = ["none->{0}@32"]\nmethods = ["gaussian"]\ndata_budgets = [2]\nresize = "{1}"
compute_budget = {{ kimg = 1 }}\n[protocol]\nn_generated = 8\nmetrics = ["kid"]\n"""
    cache = folder.parent / "cache"
    plan = make_plan(parse_suite(text.format(f"folder:{folder}", "area"), "t"), cache)
    assert [images.resize for images in plan.images.values()] == ["area"]
    with pytest.raises(GraftbenchError, match="Did you mean 'area'"):
        parse_suite(text.format("openmoji", "areas"), "t")

    class Drawn(Domain):
        name = title = description = license = attribution = source = "drawn"

        def fingerprint(self) -> str:
            return "1"

        def images(self, resolution: int) -> DomainImages:
            return DomainImages(["a"], ["a"], np.zeros((1, 3, resolution, resolution), np.uint8))

    with pytest.raises(GraftbenchError, match="by 'lanczos-antialias' alone; found the resize rule 'area'"):
        prepared.load(Drawn(), "drawn", 8, cache, resize="area")


def _again(picture: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


def test_near_duplicates_share_a_side(folder: Path) -> None:
    """Every picture is there again, smaller or re-encoded: pairs are joined, listed and never parted."""
    for i, (name, patch) in enumerate(_patches().items()):
        again = patch.resize((80, 80), Image.Resampling.BICUBIC) if i % 2 else _again(patch, 70)
        again.save(folder / f"again {name}", "PNG")
    images = _load(folder)
    group, split = dict(zip(images.ids, images.groups, strict=True)), dict(zip(images.ids, images.splits, strict=True))
    assert all(group[name] == group[f"again {name}"] for name in _patches())
    assert all(split[name] == split[f"again {name}"] for name in _patches())
    assert {frozenset(members) for members in images.near_duplicates} == {
        frozenset((name, f"again {name}")) for name in _patches()
    }
    assert any(split_of(name) != split_of(f"again {name}") for name in _patches())


def test_curated_groups_are_left_alone(folder: Path) -> None:
    """A domain that says that its groups are complete keeps them: only equal images are joined."""

    class Curated(Domain):
        name = title = description = license = attribution = source = "curated"

        def fingerprint(self) -> str:
            return "1"

        def images(self, resolution: int) -> DomainImages:
            return preparation.gathered(self.items(resolution), resolution, "images")

        def items(self, resolution: int) -> list[Item]:
            patch = next(iter(_patches().values()))
            return [Item(f"{resolution} {q}", str(q), lambda q=q: _again(patch, min(q, 90))) for q in (70, 90, 91)]

    images = prepared.load(Curated(), "curated", 32, folder.parent / "cache")
    assert images.groups == ("70", "90", "90")
    assert images.near_duplicates == ()


def test_a_cell_reads_the_pixels_only_if_somebody_touched_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a full check, `reopen` trusts the files' size, times and number; a changed byte is noticed all the same."""
    images = _load(folder)
    assert images.entry is not None
    monkeypatch.setattr(prepared, "_hash_of", lambda *_: pytest.fail("the pixels were read"))
    assert prepared.reopen(images.entry, images.manifest).manifest == images.manifest
    monkeypatch.undo()
    file = images.entry / "pixels.npy"
    before = file.stat()
    with file.open("r+b") as stream:
        stream.seek(-1, io.SEEK_END)
        last = stream.read(1)
        stream.seek(-1, io.SEEK_END)
        stream.write(bytes([last[0] ^ 1]))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a careless copy would
    with pytest.raises(GraftbenchError, match="gone, damaged or others"):
        prepared.reopen(images.entry, images.manifest)


def test_a_lost_note_only_costs_a_check(folder: Path) -> None:
    """Without `checked.json`, or with rubbish in it, the images are checked in full and noted again."""
    images = _load(folder)
    assert images.entry is not None
    note = images.entry / "checked.json"
    for spoil in (note.unlink, lambda: note.write_text("{")):
        spoil()
        assert prepared.reopen(images.entry, images.manifest).manifest == images.manifest
        assert set(json.loads(note.read_text())) == {"manifest.json", "pixels.npy"}


def test_unchanged_files_are_not_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second command knows the digests; a file of another content, size or time is read."""
    monkeypatch.setattr(digests, "_SETTLED_NS", -1)  # else what a test has just written is read each time
    first = _load(folder)
    read: list[str] = []

    def noted(file: Path) -> bytes:
        read.append(file.name)
        return content_digest(file)

    monkeypatch.setattr(digests, "content_digest", noted)
    assert _load(folder).manifest == first.manifest
    assert read == []
    name = sorted(_patches())[3]
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1  # in the checksum behind the last chunk: same size
    (folder / name).write_bytes(content)
    os.utime(folder / name, (OLD, OLD))
    _load(folder)
    assert read == [name]


def test_notes_on_files_may_be_rubbish(tmp_path: Path) -> None:
    """They are a short cut: damaged, they are started anew; in a folder that cannot be made, done without."""
    file = tmp_path / "a"
    file.write_text("a")
    os.utime(file, (OLD, OLD))
    for text in ("", "[]", '{"a": 1}', '{"a": [[1], "xyz"]}'):
        (tmp_path / "notes").write_text(text)
        with remembered(tmp_path / "notes") as digest:
            assert digest(file) == content_digest(file)
    with remembered(file / "notes") as digest:
        assert digest(tmp_path / "missing") == content_digest(tmp_path / "missing")


def test_a_data_set_that_changed_has_another_manifest(folder: Path) -> None:
    """A picture replaced after the preparation: the next plan has another manifest, and so other cells."""
    before = _load(folder)
    first, second, *_ = sorted(_patches())
    shutil.copy(folder / first, folder / second)
    assert _load(folder).manifest != before.manifest


def test_links_in_a_circle_are_excluded_by_name(folder: Path) -> None:
    """Linked files that lead to each other are named; a link to a folder around this one is not followed."""
    (folder / "a.png").symlink_to("b.png")
    (folder / "b.png").symlink_to("a.png")
    (folder / "up").symlink_to("..")
    images = _load(folder)
    assert set(images.excluded) == {"a.png", "b.png", "up"}
    assert all("symbolic links" in images.excluded[name] for name in ("a.png", "b.png"))
    assert images.excluded["up"] == "a link to a folder that this one lies in"
    assert len(images.ids) == len(_patches())


def test_of_an_animation_the_first_frame_is_used(tmp_path: Path) -> None:
    """GIF, WebP and PNG alike."""
    first, second = Image.new("RGB", (16, 16), (255, 0, 0)), Image.new("RGB", (16, 16), (0, 0, 255))
    for name in ("a.gif", "a.webp", "a.png"):
        first.save(tmp_path / name, save_all=True, append_images=[second], duration=100, lossless=True)
    images = make_domain(f"folder:{tmp_path}").images(8)
    assert (images.pixels == np.reshape([255, 0, 0], (1, 3, 1, 1))).all()
    assert len(images.ids) == 3


_MEASURED = """
import resource, sys
from pathlib import Path
import numpy as np
from PIL import Image
from graftbench.images import prepared
from graftbench.contracts import Domain, Item

class Many(Domain):
    name = title = description = license = attribution = source = "many"
    curated_groups = False
    def fingerprint(self):
        return "1"
    def images(self, resolution):
        raise AssertionError
    def items(self, resolution):
        def draw(i):
            noise = np.random.default_rng(i).integers(0, 256, (8, 8, 3), np.uint8)
            return Image.fromarray(noise).resize((256, 256), Image.Resampling.NEAREST)
        return [Item(str(i), str(i), lambda i=i: draw(i)) for i in range(int(sys.argv[1]))]

prepared.load(Many(), "many", 256, Path(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_images(tmp_path: Path) -> None:
    """600 images of 256×256 are 113 MiB of pixels; the peak over that of 60 is below a fifth of it."""
    peaks: list[int] = []
    for count in (60, 600):
        done = subprocess.run(
            [sys.executable, "-c", _MEASURED, str(count), str(tmp_path / str(count))],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout))
    assert peaks[1] - peaks[0] < 113 * 1024 / 5  # ru_maxrss is in KiB on Linux
