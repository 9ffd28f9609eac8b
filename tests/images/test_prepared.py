"""Image sets: splits that never part near-duplicates, and a cache that decodes once and trusts nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest

from graftbench.contracts import Domain, DomainImages
from graftbench.errors import GraftbenchError
from graftbench.images import prepared
from graftbench.images.splitting import split_of
from graftbench.plugins.registry import make_domain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

SPLITS = ("train", "validation", "reference")


class Counted(Domain):
    """Twenty small images of noise; counts how often they are decoded."""

    name = "counted"
    title = description = license = attribution = source = "made for a test"
    decoded: int = 0
    version: str = "1"
    bad: ClassVar[dict[str, str]] = {"broken.png": "the file is empty"}

    def fingerprint(self) -> str:
        """A version that a test may change."""
        return self.version

    def images(self, resolution: int) -> DomainImages:
        """Noise of a fixed seed."""
        self.decoded += 1
        noise = np.random.default_rng(0).integers(0, 256, (20, 3, resolution, resolution), np.uint8)
        ids = [f"image {i}" for i in range(20)]
        return DomainImages(ids, ids, noise, self.bad)


def _entry(cache: Path) -> Path:
    (entry,) = (path for path in (cache / "domains").iterdir() if path.is_dir())
    return entry


@pytest.mark.parametrize(
    ("group", "split"),
    [("hello", "train"), ("test", "validation"), ("abc", "reference"), ("", "reference")],
)
def test_split_follows_from_the_hash_of_the_group(group: str, split: str) -> None:
    """SHA-256 begins 2cf2 (0.18) for hello, 9f86 (0.62) for test, ba78 (0.73) for abc, e3b0 (0.89) for nothing."""
    assert split_of(group) == split


def test_shares_of_the_splits() -> None:
    """20,000 names: 50, 15 and 35 % within five standard deviations, √(p(1−p)/20000) ≤ 0.36 %."""
    splits = [split_of(str(i)) for i in range(20_000)]
    for split, share in zip(SPLITS, (0.50, 0.15, 0.35), strict=True):
        assert splits.count(split) / 20_000 == pytest.approx(share, abs=5 * 0.0036)


def test_splits_are_a_partition_in_order(tmp_path: Path) -> None:
    """Each image is in exactly one split, positions ascend, and `images` gives writable copies of those rows."""
    images = prepared.load(Counted(), "counted", 4, tmp_path)
    positions = [images.positions(split) for split in SPLITS]
    assert sorted(np.concatenate(positions)) == list(range(20))
    for split, where in zip(SPLITS, positions, strict=True):
        assert all(a < b for a, b in pairwise(where))
        assert all(images.splits[i] == split_of(images.groups[i]) == split for i in where)
        copy = images.images(split)
        assert np.array_equal(copy, images.pixels[where])
        assert copy.flags.writeable
        assert copy.flags.owndata
    assert not images.pixels.flags.writeable


def test_what_was_checked_and_not_touched_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan, which looks at no pixel, does not read them again; once a file is touched it does."""
    read: list[object] = []
    hash_of = prepared._hash_of
    monkeypatch.setattr(prepared, "_hash_of", lambda *given: read.append(given) or hash_of(*given))
    whole = prepared.load(Counted(), "counted", 4, tmp_path)
    read.clear()
    assert prepared.load(Counted(), "counted", 4, tmp_path, trusting=True).manifest == whole.manifest
    assert read == []
    prepared.load(Counted(), "counted", 4, tmp_path)
    assert len(read) == 1
    (_entry(tmp_path) / "pixels.npy").touch()
    prepared.load(Counted(), "counted", 4, tmp_path, trusting=True)
    assert len(read) == 2


def test_unknown_split_names_the_known_ones(tmp_path: Path) -> None:
    """A slip of the pen gets the nearest name."""
    with pytest.raises(GraftbenchError, match="Did you mean 'validation'"):
        prepared.load(Counted(), "counted", 4, tmp_path).positions("validatoin")


def test_equal_pixels_join_their_groups() -> None:
    """X is in a and b, Y in b and c: a, b and c become one group; d stays."""
    joined = prepared.join_groups(["c", "b", "b", "a", "d", "c"], prepared._equal([b"y", b"y", b"x", b"x", b"z", b"v"]))
    assert joined == ("a", "a", "a", "a", "d", "a")


def test_duplicates_lie_on_one_side(tmp_path: Path) -> None:
    """Every image is there twice under names that hash to different sides; the pairs are never parted."""

    class Twice(Counted):
        def images(self, resolution: int) -> DomainImages:
            once = super().images(resolution)
            ids = [*once.ids, *(f"copy of {i}" for i in once.ids)]
            return DomainImages(ids, ids, np.concatenate([once.pixels, once.pixels]))

    images = prepared.load(Twice(), "twice", 4, tmp_path)
    parted = sum(split_of(a) != split_of(b) for a, b in zip(images.ids, images.ids[20:], strict=False))
    assert parted > 0, "the names alone would have parted some pairs"
    assert images.splits[:20] == images.splits[20:]


def test_second_load_does_not_decode(tmp_path: Path) -> None:
    """The cache serves the second load, with everything that the first one gave."""
    domain = Counted()
    first, second = (prepared.load(domain, "counted", 4, tmp_path) for _ in range(2))
    assert domain.decoded == 1
    for name in ("domain", "resolution", "ids", "groups", "splits", "manifest", "excluded"):
        assert getattr(first, name) == getattr(second, name)
    assert np.array_equal(first.pixels, second.pixels)
    assert second.excluded == Counted.bad


def test_another_fingerprint_or_resolution_decodes_again(tmp_path: Path) -> None:
    """What the pixels depend on decides which entry serves."""
    domain = Counted()
    prepared.load(domain, "counted", 4, tmp_path)
    prepared.load(domain, "counted", 8, tmp_path)
    domain.version = "2"
    prepared.load(domain, "counted", 4, tmp_path)
    assert domain.decoded == 3


def test_manifest_depends_on_every_part(tmp_path: Path) -> None:
    """Name, resolution and one bit of one pixel each change the manifest; the place of the cache does not."""

    class Flipped(Counted):
        def images(self, resolution: int) -> DomainImages:
            images = super().images(resolution)
            images.pixels[7, 1, 2, 3] ^= 1
            return images

    manifests = [
        prepared.load(domain, name, resolution, tmp_path / str(i)).manifest
        for i, (domain, name, resolution) in enumerate(
            [(Counted(), "a", 4), (Counted(), "b", 4), (Counted(), "a", 5), (Flipped(), "a", 4), (Counted(), "a", 4)]
        )
    ]
    assert len(set(manifests)) == 4
    assert manifests[0] == manifests[-1]


def _cut_pixels(entry: Path) -> None:
    content = (entry / "pixels.npy").read_bytes()
    (entry / "pixels.npy").write_bytes(content[:-10])


def _flip_pixel(entry: Path) -> None:
    content = bytearray((entry / "pixels.npy").read_bytes())
    content[-1] ^= 1
    (entry / "pixels.npy").write_bytes(content)


def _cut_manifest(entry: Path) -> None:
    text = (entry / "manifest.json").read_text()
    (entry / "manifest.json").write_text(text[: len(text) // 2])


def _move_image(entry: Path) -> None:
    manifest = json.loads((entry / "manifest.json").read_text())
    manifest["splits"][0] = "train" if manifest["splits"][0] != "train" else "reference"
    (entry / "manifest.json").write_text(json.dumps(manifest))


def _empty_pixels(entry: Path) -> None:
    (entry / "pixels.npy").write_bytes(b"")


def _lose_pixels(entry: Path) -> None:
    (entry / "pixels.npy").unlink()


def _list_for_manifest(entry: Path) -> None:
    (entry / "manifest.json").write_text("[]")


def _file_for_entry(entry: Path) -> None:
    shutil.rmtree(entry)
    entry.write_text("")


@pytest.mark.parametrize(
    "damage",
    [
        _cut_pixels,
        _flip_pixel,
        _empty_pixels,
        _lose_pixels,
        _cut_manifest,
        _move_image,
        _list_for_manifest,
        _file_for_entry,
    ],
)
def test_damaged_entry_is_made_again(tmp_path: Path, damage: object) -> None:
    """Whatever befalls an entry, the next load decodes again and gives the same images."""
    assert callable(damage)
    domain = Counted()
    manifest = prepared.load(domain, "counted", 4, tmp_path).manifest
    damage(_entry(tmp_path))
    again = prepared.load(domain, "counted", 4, tmp_path)
    assert domain.decoded == 2
    assert again.manifest == manifest
    prepared.load(domain, "counted", 4, tmp_path)
    assert domain.decoded == 2


def test_failed_decoding_leaves_nothing(tmp_path: Path) -> None:
    """A domain that fails leaves no entry, and the next load decodes."""

    class Failing(Counted):
        def images(self, resolution: int) -> DomainImages:
            if self.decoded == 0:
                self.decoded += 1
                raise GraftbenchError("the disk was pulled out")
            return super().images(resolution)

    domain = Failing()
    with pytest.raises(GraftbenchError, match="pulled out"):
        prepared.load(domain, "counted", 4, tmp_path)
    assert len(prepared.load(domain, "counted", 4, tmp_path).ids) == 20


def test_unwritable_cache_is_a_sentence(tmp_path: Path) -> None:
    """A file where the cache folder should be: the error names it and GRAFTBENCH_CACHE."""
    (tmp_path / "cache").write_text("")
    with pytest.raises(GraftbenchError, match=r"cannot be written.*GRAFTBENCH_CACHE"):
        prepared.load(Counted(), "counted", 4, tmp_path / "cache")


_ZEROS = np.zeros((2, 3, 4, 4), np.uint8)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (DomainImages([], [], _ZEROS[:0]), "has no images"),
        (DomainImages(["a", "b"], ["a", "b"], _ZEROS.astype(np.float32)), "float32 pixels"),  # pyright: ignore[reportArgumentType]
        (DomainImages(["a", "b"], ["a", "b"], _ZEROS[:, :, :3]), r"expected uint8 of shape \(2, 3, 4, 4\)"),
        (DomainImages(["a", "a"], ["a", "a"], _ZEROS), "1 of them distinct"),
        (DomainImages(["a", "b"], ["a"], _ZEROS), "1 groups"),
    ],
)
def test_domain_that_breaks_its_contract_is_named(tmp_path: Path, given: DomainImages, sentence: str) -> None:
    """What a third party's domain gives is checked before it is cached."""

    class Wrong(Counted):
        def images(self, resolution: int) -> DomainImages:
            assert resolution == 4
            return given

    with pytest.raises(GraftbenchError, match=f"Domain 'wrong'.*{sentence}"):
        prepared.load(Wrong(), "wrong", 4, tmp_path)


def test_resolution_must_be_positive(tmp_path: Path) -> None:
    """No image has no pixels."""
    with pytest.raises(GraftbenchError, match="1 to 4096 pixels"):
        prepared.load(Counted(), "counted", 0, tmp_path)


def test_a_path_is_no_part_of_the_name(tmp_path: Path) -> None:
    """Of a path only the last component is public; other arguments stay whole."""

    class Path_(Counted):  # noqa: N801 - a stand-in
        takes_argument = "PATH"

    class Font(Counted):
        takes_argument = "FONT"

    (tmp_path / "cats").mkdir()
    assert prepared.public_name(Path_(), f"folder:{tmp_path}/cats/") == "folder:cats"
    assert prepared.public_name(Path_(), f"folder:{tmp_path}/cats/../cats/.") == "folder:cats"
    assert prepared.public_name(Font(), "font:a/b") == "font:a/b"


_RACE = """
import sys, time
from pathlib import Path
import numpy as np
from graftbench.images import prepared
from graftbench.contracts import Domain, DomainImages

cache, me, other = map(Path, sys.argv[1:])

class Slow(Domain):
    name = title = description = license = attribution = source = "slow"
    def fingerprint(self):
        return "1"
    def images(self, resolution):
        with (cache / "decoded").open("a") as log:
            log.write("once\\n")
        time.sleep(0.5)
        return DomainImages(["a"], ["a"], np.zeros((1, 3, resolution, resolution), np.uint8))

me.touch()
while not other.exists():
    time.sleep(0.001)
print(prepared.load(Slow(), "slow", 4, cache).manifest)
"""


def test_two_processes_decode_once(tmp_path: Path) -> None:
    """Two processes meet, then load the same images; one decodes, both get them."""
    names = [str(tmp_path / "one"), str(tmp_path / "two")]
    home = str(sys.modules["graftbench"].__file__).rsplit("/", 2)[0]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _RACE, str(tmp_path), *order],
            env={"PYTHONPATH": home},
            stdout=subprocess.PIPE,
            text=True,
        )
        for order in (names, names[::-1])
    ]
    manifests = [process.communicate(timeout=60)[0] for process in processes]
    assert (tmp_path / "decoded").read_text() == "once\n"
    assert manifests[0] == manifests[1]
    assert len(manifests[0].strip()) == 64


def test_emoji_are_split_in_halves(shared_cache: Path) -> None:
    """Validation and reference together hold half of Twemoji, within 4 %, and no two equal images are parted."""
    images = prepared.load(make_domain("twemoji"), "twemoji", 32, shared_cache)
    assert (len(images.ids) - len(images.positions("train"))) / len(images.ids) == pytest.approx(0.5, abs=0.04)
    sides: dict[bytes, set[str]] = {}
    pixels: NDArray[np.uint8] = images.pixels
    for image, split in zip(pixels, images.splits, strict=True):
        sides.setdefault(image.tobytes(), set()).add(split)
    assert len(sides) < len(images.ids), "there are equal flags among them"
    assert all(len(side) == 1 for side in sides.values())


class Reordered(Domain):
    """Some images of another set in an order that a test chooses."""

    name = title = description = license = attribution = source = "reordered"

    def __init__(self, images: prepared.ImageSet, order: Sequence[int]) -> None:
        super().__init__()
        self._given = images
        self._order = list(order)

    def fingerprint(self) -> str:
        """The order, so that each has an entry of its own."""
        return str(self._order)

    def images(self, resolution: int) -> DomainImages:
        """The images in that order."""
        assert resolution == self._given.resolution
        ids, groups = ([values[i] for i in self._order] for values in (self._given.ids, self._given.groups))
        return DomainImages(ids, groups, self._given.pixels[self._order])


def test_order_in_which_a_domain_gives_its_images_changes_nothing(tmp_path: Path, shared_cache: Path) -> None:
    """Folders are listed in another order on another disk: manifest, ids, groups, splits and pixels stay the same."""
    twemoji = prepared.load(make_domain("twemoji"), "twemoji", 32, shared_cache)
    count = len(twemoji.ids)
    orders = [range(count), range(count)[::-1], np.random.default_rng(0).permutation(count).tolist()]
    first, *others = (prepared.load(Reordered(twemoji, order), "reordered", 32, tmp_path) for order in orders)
    for other in others:
        assert (other.manifest, other.ids) == (first.manifest, first.ids)
        assert (other.groups, other.splits) == (first.groups, first.splits)
        assert np.array_equal(other.pixels, first.pixels)
    assert (first.ids, first.groups, first.splits) == (twemoji.ids, twemoji.groups, twemoji.splits)


def test_more_images_move_no_other_to_another_side(tmp_path: Path, shared_cache: Path) -> None:
    """Every second emoji alone is split as it is within the whole domain: a split follows from the group alone."""
    twemoji = prepared.load(make_domain("twemoji"), "twemoji", 32, shared_cache)
    half = prepared.load(Reordered(twemoji, range(0, len(twemoji.ids), 2)), "half", 32, tmp_path)
    assert half.ids == twemoji.ids[::2]
    assert half.splits == twemoji.splits[::2]


def test_damage_to_any_byte_of_the_header_is_seen(tmp_path: Path) -> None:
    """NumPy parses the header as Python text: whatever a byte becomes, the entry counts as missing or reads as before.

    Missing ones are made again, as after other damage.
    """
    good = prepared.load(Counted(), "counted", 4, tmp_path)
    entry = _entry(tmp_path)
    content = (entry / "pixels.npy").read_bytes()
    seen = 0
    for position in range(len(content) - good.pixels.nbytes):
        for value in b"\x00\xff([9 ":
            damaged = bytearray(content)
            damaged[position] = value
            (entry / "pixels.npy").write_bytes(damaged)
            found = prepared._read(entry, "counted", 4)
            seen += found is None
            assert found is None or np.array_equal(found.pixels, good.pixels)
    assert seen > 300, "most of the damage matters"
