"""Thumbnails of images: areas by hand, sizes that do not divide, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from graftbench.errors import GraftbenchError
from graftbench.metrics.thumbnail import averaging, thumbnails


def images(side: tuple[int, int], n: int = 3) -> np.ndarray:
    """Noise of a size."""
    return np.random.default_rng(0).integers(0, 256, (n, 3, *side), dtype=np.uint8)


def test_areas_are_averaged() -> None:
    """Of 64 pixels two by two are averaged; 32 stay as they are; of 16 each becomes two by two."""
    large, same, small = images((64, 64)), images((32, 32)), images((16, 16))
    means = large.reshape(3, 3, 32, 2, 32, 2).astype(np.float64).mean(axis=(3, 5))
    assert np.abs(thumbnails(large) - means).max() <= 0.5
    assert np.array_equal(thumbnails(same), same)
    assert np.array_equal(thumbnails(small), small.repeat(2, axis=2).repeat(2, axis=3))


def test_a_part_of_a_pixel_counts_as_that_part() -> None:
    """Three pixels in two parts: each has one pixel and a half; beyond the image it is as its outermost pixel."""
    assert averaging(0, 3, 2, 3) == pytest.approx(np.array([[2, 1, 0], [0, 1, 2]]) / 3)
    assert averaging(-2, 3, 3, 3) == pytest.approx(np.array([[1, 0, 0]] * 3))
    assert averaging(0.5, 1, 1, 2) == pytest.approx(np.array([[0.5, 0.5]]))


@pytest.mark.parametrize("side", [(48, 48), (33, 70), (1, 5), (250, 32)])
def test_images_of_one_colour_keep_it(side: tuple[int, int]) -> None:
    """Whatever the size is, the weights of an average add up to 1."""
    assert (thumbnails(np.full((2, 3, *side), 201, np.uint8)) == 201).all()


@pytest.mark.parametrize(
    "wrong", [np.zeros((2, 3, 8, 8)), np.zeros((2, 1, 8, 8), np.uint8), np.zeros((3, 8), np.uint8)]
)
def test_other_arrays_are_refused(wrong: np.ndarray) -> None:
    """Floats, one channel, a matrix: the message says what was found."""
    with pytest.raises(GraftbenchError, match=r"uint8 images N×3×H×W; found"):
        thumbnails(wrong)
