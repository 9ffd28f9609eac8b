"""Near-duplicates: what is found, what is not joined, and that the lookup misses no pair."""

from __future__ import annotations

import io
from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from skimage import data

from graftbench.images import near_duplicates
from graftbench.images.near_duplicates import pairs, sketch
from graftbench.images.prepared import join_groups
from graftbench.images.resizing import square
from graftbench.plugins.registry import make_domain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

PICTURES = ("astronaut", "chelsea", "coffee", "rocket", "camera", "brick", "grass", "gravel", "moon", "page")
SIDE = 96


@pytest.fixture(scope="module")
def patches() -> list[Image.Image]:
    """Patches without overlap, up to twelve of a picture."""
    found = []
    for name in PICTURES:
        picture = Image.fromarray(getattr(data, name)()).convert("RGB")
        places = [(x, y) for y in range(0, picture.height - SIDE, SIDE) for x in range(0, picture.width - SIDE, SIDE)]
        found += [picture.crop((x, y, x + SIDE, y + SIDE)) for x, y in places[:: max(1, len(places) // 12)][:12]]
    return found


def _pairs(images: Sequence[NDArray[np.uint8]]) -> set[tuple[int, int]]:
    sketches = [sketch(image) for image in images]
    found = pairs(np.array([s.hash for s in sketches], np.uint64), np.stack([s.thumbnail for s in sketches]))
    return {(int(a), int(b)) for a, b in found}


def _jpeg(quality: int) -> Callable[[Image.Image], Image.Image]:
    def change(picture: Image.Image) -> Image.Image:
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=quality)
        return Image.open(stream)

    return change


def _smaller(picture: Image.Image) -> Image.Image:
    return picture.resize((67, 67), Image.Resampling.BICUBIC)


def _larger(picture: Image.Image) -> Image.Image:
    return picture.resize((192, 192), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("side", [32, 64, 256])
@pytest.mark.parametrize(
    ("change", "least"), [(_jpeg(70), 0.95), (_smaller, 0.99), (_larger, 0.99)], ids=["JPEG 70", "0.7×", "2×"]
)
def test_the_same_picture_in_another_form_is_found(
    patches: list[Image.Image], change: Callable[[Image.Image], Image.Image], least: float, side: int
) -> None:
    """Re-encoded and rescaled copies of photographs are found at every resolution."""
    images = [square(patch, side) for patch in patches] + [square(change(patch), side) for patch in patches]
    count = len(patches)
    found = _pairs(images)
    assert sum((i, i + count) in found for i in range(count)) >= least * count


@pytest.mark.parametrize("side", [32, 256])
def test_distinct_photographs_are_not_joined(patches: list[Image.Image], side: int) -> None:
    """No two patches that share no pixel are nearly the same, though they come from few pictures."""
    assert _pairs([square(patch, side) for patch in patches]) == set()


def test_another_colour_is_another_image() -> None:
    """The hash sees brightness alone; the thumbnails tell a red disc from a blue one of the same brightness."""
    y, x = np.mgrid[:32, :32] - 15.5
    disc = (x**2 + y**2 < 140)[None]
    red, blue = (
        np.where(disc, np.reshape(colour, (3, 1, 1)), 255).astype(np.uint8) for colour in ((200, 0, 0), (0, 60, 216))
    )
    assert _pairs([red, blue]) == set()
    assert _pairs([red, red.copy()]) == {(0, 1)}


@pytest.mark.parametrize("side", [1, 4, 8, 15, 17, 33])
def test_every_side_has_a_sketch(side: int) -> None:
    """Small and odd sides: a flat image is its own thumbnail and has no rises; a ramp rises everywhere."""
    flat = sketch(np.full((3, side, side), 77, np.uint8))
    assert (flat.thumbnail == 77).all()
    assert flat.hash == 0
    if side >= 9:
        ramp = np.broadcast_to(np.linspace(0, 255, side).astype(np.uint8), (3, side, side))
        assert sketch(ramp).hash == 2**64 - 1


def test_the_lookup_misses_no_pair() -> None:
    """Against all pairs of 300 hashes with 0 to 12 places turned: exactly those of at most seven are candidates."""
    rng = np.random.default_rng(0)
    base = rng.integers(0, 2**64, 30, np.uint64)
    hashes = base.repeat(10)
    for i in range(len(hashes)):
        for bit in rng.choice(64, rng.integers(0, 13), replace=False):
            hashes[i] ^= np.uint64(1) << np.uint64(bit)
    same = np.tile(rng.integers(0, 256, 768).astype(np.uint8), (len(hashes), 1))
    expected = {
        (a, b)
        for a, b in combinations(range(len(hashes)), 2)
        if (int(hashes[a]) ^ int(hashes[b])).bit_count() <= near_duplicates.BITS
    }
    assert {(int(a), int(b)) for a, b in pairs(hashes, same)} == expected
    assert len(expected) > 100


@pytest.mark.slow
def test_thousands_of_blank_images_are_joined_through_their_neighbours() -> None:
    """Where one hash is everywhere, an image is compared with those nearest in brightness alone: work stays small."""
    found = pairs(np.zeros(1000, np.uint64), np.zeros((1000, 768), np.uint8))
    assert len(found) < 1000 * near_duplicates.MOST_PARTNERS
    joined = near_duplicates.grouped(np.zeros(1000, np.uint64), np.zeros((1000, 768), np.uint8))
    groups = join_groups([str(i) for i in range(1000)], joined)
    assert set(groups) == {"0"}


def test_nothing_and_one_have_no_pairs() -> None:
    """Empty sets are no error."""
    for count in (0, 1):
        assert pairs(np.zeros(count, np.uint64), np.zeros((count, 768), np.uint8)).shape == (0, 2)


def _groups(images: Sequence[NDArray[np.uint8]]) -> tuple[str, ...]:
    sketches = [sketch(image) for image in images]
    hashes = np.array([s.hash for s in sketches], np.uint64)
    joined = near_duplicates.grouped(hashes, np.stack([s.thumbnail for s in sketches]))
    return join_groups([f"{i:04}" for i in range(len(images))], joined)


def test_a_chain_of_near_pictures_is_not_one_group(patches: list[Image.Image]) -> None:
    """One picture that turns into another in 120 steps: each is near to the next, and the ends are other pictures.

    Joined pair by pair, all were one group.
    """
    first, last = (square(patch, 32).astype(float) for patch in (patches[0], patches[40]))
    images = [(first + (last - first) * step / 119).round().astype(np.uint8) for step in range(120)]
    assert max(Counter(join_groups([f"{i:04}" for i in range(120)], _pairs(images))).values()) >= 118
    groups = _groups(images)
    sizes = Counter(groups)
    assert max(sizes.values()) <= 45
    assert len(sizes) >= 4
    for group in sizes:  # each a stretch of the way, without gaps
        members = [i for i, name in enumerate(groups) if name == group]
        assert members == list(range(members[0], members[-1] + 1))


def test_three_in_a_row_are_not_joined_by_the_middle_one() -> None:
    """A near to B and B near to C, but not A to C: the nearer pair is joined."""
    hashes = np.array([0, 0b111111, 0b1111110000111111], np.uint64)
    same = np.tile(np.random.default_rng(0).integers(0, 256, 768).astype(np.uint8), (3, 1))
    same[2, :20] ^= 1
    assert {(int(a), int(b)) for a, b in pairs(hashes, same)} == {(0, 1), (1, 2)}
    assert near_duplicates.grouped(hashes, same) == [(0, 1)]


def test_copies_of_a_picture_are_one_group(patches: list[Image.Image]) -> None:
    """Each picture with its re-encoded and rescaled copies, all at once, and apart from all other pictures."""
    changes = (_jpeg(70), _smaller, _larger)
    chosen = patches[::2]
    images = [square(change(patch), 32) for patch in chosen for change in (lambda picture: picture, *changes)]
    groups = _groups(images)
    whole = [len(set(groups[i : i + 4])) == 1 for i in range(0, len(images), 4)]
    assert sum(whole) >= 0.95 * len(chosen)
    assert all(len({i // 4 for i, name in enumerate(groups) if name == group}) == 1 for group in set(groups))


@pytest.mark.long
def test_aligned_avatars_do_not_hang_together() -> None:
    """Of 1,500 heads of one style the largest group holds at most 5 %; joined pair by pair it held 1,347."""
    images = make_domain("avatars:toon-head?images=1500").images(32)
    assert max(Counter(_groups(list(images.pixels))).values()) <= 75
