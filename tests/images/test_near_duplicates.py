"""Near-duplicates: what is found, what is not joined, and that the lookup misses no pair."""

from __future__ import annotations

import io
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


def test_thousands_of_blank_images_are_joined_through_their_neighbours() -> None:
    """Where one hash is everywhere, an image is compared with those nearest in brightness alone: work stays small."""
    found = pairs(np.zeros(1000, np.uint64), np.zeros((1000, 768), np.uint8))
    assert len(found) < 1000 * near_duplicates.MOST_PARTNERS
    groups = join_groups([str(i) for i in range(1000)], [(int(a), int(b)) for a, b in found])
    assert set(groups) == {"0"}


def test_nothing_and_one_have_no_pairs() -> None:
    """Empty sets are no error."""
    for count in (0, 1):
        assert pairs(np.zeros(count, np.uint64), np.zeros((count, 768), np.uint8)).shape == (0, 2)
