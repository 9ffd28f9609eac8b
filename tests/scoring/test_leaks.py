"""Whether samples hold the images that they are scored against."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from random_inputs import blobs

from graftbench.errors import GraftbenchError
from graftbench.images.prepared import ImageSet, Split
from graftbench.scoring.leaks import check_leaks

COUNTS: dict[Split, int] = {"train": 100, "validation": 30, "reference": 70}
SPLITS: tuple[Split, ...] = tuple(split for split, count in COUNTS.items() for _ in range(count))


@cache
def domain(side: int = 32) -> ImageSet:
    """200 images of which 70 are references."""
    ids = tuple(f"{position:03d}" for position in range(200))
    return ImageSet("blobs", side, ids, ids, SPLITS, blobs(200, 0, side), "manifest")


TRAIN = list(range(25))


def checked(images: np.ndarray, target: ImageSet | None = None, reference: str = "reference") -> list[str]:
    """The notes on images."""
    return check_leaks(torch.from_numpy(np.ascontiguousarray(images)), target or domain(), TRAIN, reference)


def jpeg(image: np.ndarray) -> np.ndarray:
    """As it comes back from a JPEG file of quality 75."""
    stream = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(stream, "JPEG", quality=75)
    return np.asarray(Image.open(stream)).transpose(2, 0, 1)


def brighter(image: np.ndarray) -> np.ndarray:
    """By 5 %."""
    return (image * 1.05).round().clip(0, 255).astype(np.uint8)


def noisy(image: np.ndarray) -> np.ndarray:
    """With noise of a standard deviation of 3 levels."""
    noise = np.random.default_rng(1).normal(0, 3, image.shape)
    return (image + noise).round().clip(0, 255).astype(np.uint8)


CHANGES = {
    "jpeg": jpeg,
    "brighter": brighter,
    "noisy": noisy,
    "moved": lambda image: np.roll(image, 1, axis=-1),
    "mirrored": lambda image: image[:, :, ::-1],
    "moved, mirrored, compressed": lambda image: jpeg(
        np.ascontiguousarray(np.roll(image, (1, -1), (1, 2))[:, :, ::-1])
    ),
}


def test_one_reference_image_is_enough() -> None:
    """A pixel-exact image of the reference split among 200 others: refused, counted, named."""
    images = blobs(200, 1)
    images[17] = domain().pixels[150]
    with pytest.raises(
        GraftbenchError, match=r"1 of the 200 images are equal to images of the reference split.*\(150\)"
    ):
        checked(images)


def test_no_more_than_three_are_named() -> None:
    """All of the reference split: the number of all, three ids."""
    with pytest.raises(GraftbenchError, match=r"70 of the 70 .* \(130, 131, 132, …\)"):
        checked(domain().images("reference"))


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found(change: str) -> None:
    """1 % of 600 samples, each a reference image that was changed a little, is refused, and the ids are right."""
    images = blobs(600, 2)
    for place, position in enumerate(range(140, 146)):
        images[100 * place] = CHANGES[change](np.array(domain().pixels[position]))
    with pytest.raises(GraftbenchError, match=r"[3-6] of the 600 images are nearly equal to .*\(140, 141, 142, …\)"):
        checked(images)


def test_one_near_image_is_noted() -> None:
    """A single one of 600 may be chance: a note with its id, no refusal."""
    images = blobs(600, 3)
    images[5] = jpeg(np.array(domain().pixels[199]))
    assert checked(images) == ["1 image is nearly equal to a reference image (199): so few may be chance."]


def test_training_images_are_no_leak() -> None:
    """Exact, compressed and blurred copies of training images are the memorisation metrics' business."""
    train = np.array(domain().pixels[:25])
    assert checked(np.concatenate([train, np.stack([jpeg(image) for image in train])])) == []


def test_real_images_outside_the_budget_are_noted() -> None:
    """Validation images, and training images that the budget does not have, are real images all the same."""
    images = np.concatenate([blobs(50, 4), domain().pixels[25:27], domain().pixels[110:111]])
    note = "3 of the 53 images are real images of the domain outside the data budget (025, 026, 110)."
    assert checked(images) == [note]


def test_the_reference_split_may_be_validation() -> None:
    """The protocol says which split is scored against; the other one is then outside the budget."""
    with pytest.raises(GraftbenchError, match="equal to images of the reference split"):
        checked(domain().images("validation"), reference="validation")
    assert "70 of the 70" in checked(domain().images("reference"), reference="validation")[0]


def test_flat_images_are_no_leak() -> None:
    """White, black and nearly flat images hold nothing, even where a reference image is white."""
    pixels = np.array(domain().pixels)
    pixels[130] = 255
    pixels[131] = 200 + (blobs(1, 5)[0] > 128)
    target = ImageSet("blobs", 32, domain().ids, domain().groups, domain().splits, pixels, "manifest")
    flat = np.stack([np.full((3, 32, 32), level, np.uint8) for level in (0, 128, 254, 255)])
    assert checked(np.concatenate([flat, flat]), target) == []


def test_what_is_near_by_nature_is_not_counted() -> None:
    """Where a training image is nearly the reference image, a sample as near as that tells nothing."""
    pixels = np.array(domain().pixels)
    for offset in range(70):
        pixels[offset] = noisy(pixels[130 + offset])  # each reference image has a twin among the training images
    twins = ImageSet("blobs", 32, domain().ids, domain().groups, SPLITS, pixels, "manifest")
    samples = np.stack([jpeg(image) for image in pixels[130:]])
    assert checked(samples, twins) == []
    with pytest.raises(GraftbenchError, match=r"(6|7)\d of the 70 images are nearly equal"):
        checked(samples)


def test_honest_images_are_not_counted() -> None:
    """New images of the same kind, and mixtures and halves of training images: not one of 900."""
    train = domain().images("train").astype(float)
    places = np.random.default_rng(6).integers(100, size=300)
    one, other = train[places], train[(places + 1) % 100]
    mixed = ((one + other[..., ::-1]) / 2).astype(np.uint8)
    halves = np.concatenate([one[..., :16], other[..., 16:]], axis=-1).astype(np.uint8)
    assert checked(np.concatenate([blobs(300, 7), mixed, halves])) == []


def test_blurred_images_are_not_counted() -> None:
    """The mean of all training images, blurred more and less: what a weak generator makes."""
    mean = Image.fromarray(domain().images("train").mean(axis=0).astype(np.uint8).transpose(1, 2, 0))
    blurred = [mean.filter(ImageFilter.GaussianBlur(float(radius))) for radius in np.linspace(0, 8, 40)]
    assert checked(np.stack([np.asarray(image).transpose(2, 0, 1) for image in blurred])) == []


@pytest.mark.parametrize("side", [8, 16, 64])
def test_other_sides(side: int) -> None:
    """Small images are compared as they are, large ones at 32 px: copies moved by a pixel are found."""
    target = domain(side)
    moved = np.roll(target.images("reference"), 1, axis=-1)
    with pytest.raises(GraftbenchError, match="nearly equal"):
        checked(moved, target)
    assert checked(blobs(100, 8, side), target) == []


def test_few_images_and_an_empty_split() -> None:
    """One sample; and a domain without reference images, or with nothing beside them."""
    assert checked(blobs(1, 9)) == []
    pixels = blobs(10, 10)
    ids = tuple(map(str, range(10)))
    for split in ("train", "reference"):
        alone = ImageSet("blobs", 32, ids, ids, (split,) * 10, pixels, "manifest")
        assert check_leaks(torch.from_numpy(blobs(2, 9)), alone, [], "reference") == []
    with pytest.raises(GraftbenchError, match="10 of the 10 images are nearly equal"):
        check_leaks(torch.from_numpy(np.stack([jpeg(image) for image in pixels])), alone, [], "reference")
