"""The share of copies: planted ones of each kind, new images, twins, the correction for chance, and its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from graftbench.errors import GraftbenchError
from graftbench.metrics import copying as module
from graftbench.metrics.copying import copies, copy_distances, share_of_copies

if TYPE_CHECKING:
    from collections.abc import Callable

    from graftbench.metrics.estimate import Estimate

    Change = Callable[[Image.Image], Image.Image]


def drawings(n: int, seed: int) -> np.ndarray:
    """Images of smooth colours with a few rectangles on them: no two are alike, all have edges."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(n):
        ground = Image.fromarray(rng.integers(60, 196, (3, 3, 3), dtype=np.uint8)).resize(
            (32, 32), Image.Resampling.BICUBIC
        )
        for _ in range(4):
            left, top = rng.integers(2, 22, 2).tolist()
            width, height = rng.integers(4, 10, 2).tolist()
            colour = tuple(rng.integers(0, 256, 3).tolist())
            ground.paste(colour, (left, top, left + width, top + height))
        made.append(np.asarray(ground).transpose(2, 0, 1))
    return np.stack(made)


def changed(images: np.ndarray, change: Change) -> np.ndarray:
    """Change each image."""
    return np.stack([
        np.asarray(change(Image.fromarray(image.transpose(1, 2, 0)))).transpose(2, 0, 1) for image in images
    ])  # fmt: skip


def crop(left: int, top: int, side: int) -> Change:
    """A square of the image, as large as it."""
    return lambda image: image.crop((left, top, left + side, top + side)).resize((32, 32), Image.Resampling.LANCZOS)


def hues_turned(image: Image.Image) -> Image.Image:
    """A quarter of the circle of hues."""
    hue, saturation, value = image.convert("HSV").split()
    turned = hue.point([(level + 64) % 256 for level in range(256)])
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


CHANGES: dict[str, Change] = {
    "plain": lambda image: image,
    "cropped by a pixel": crop(1, 1, 30),
    "cropped in a corner": crop(0, 3, 29),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "moved": lambda image: Image.fromarray(np.asarray(image)[[0, *range(31)]][:, [*range(2, 32), 31, 31]]),
    "recoloured": hues_turned,
    "darker": lambda image: image.point([round(0.8 * level) for level in range(256)] * 3),
}


def outlines(n: int, seed: int) -> np.ndarray:
    """Thin rectangles and ellipses on white, as emoji are drawn: averages of several are dark blobs."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(n):
        image = Image.new("RGB", (32, 32), "white")
        draw = ImageDraw.Draw(image)
        for shape in (draw.rectangle, draw.ellipse, draw.ellipse):
            left, top = rng.integers(2, 14, 2).tolist()
            width, height = rng.integers(8, 16, 2).tolist()
            shape((left, top, left + width, top + height), outline=tuple(rng.integers(0, 140, 3).tolist()))
        made.append(np.asarray(image).transpose(2, 0, 1))
    return np.stack(made)


def blurred(images: np.ndarray, pixels: float) -> np.ndarray:
    """A Gaussian blur."""
    smooth = gaussian_filter(images.astype(np.float64), (0, 0, pixels, pixels), mode="nearest")
    return smooth.round().astype(np.uint8)


def averages(images: np.ndarray, of: int, n: int = 100) -> np.ndarray:
    """Images averaged with random weights."""
    rng = np.random.default_rng(4)
    rows, weights = rng.integers(0, len(images), (n, of)), rng.dirichlet(np.full(of, 8.0), n)
    return np.einsum("ni,nichw->nchw", weights, images[rows]).round().astype(np.uint8)


TRAIN, HELD_OUT, NEW = drawings(40, seed=1), drawings(120, seed=2), drawings(120, seed=3)


def bounds(estimate: Estimate) -> tuple[float, float]:
    """The interval, which is there."""
    assert estimate.interval is not None
    return estimate.interval


@pytest.mark.parametrize("kind", CHANGES)
def test_a_copy_is_found(kind: str) -> None:
    """Training images alone, changed in one way, are nearly all copies."""
    found = copies(changed(TRAIN, CHANGES[kind]), HELD_OUT, TRAIN)
    assert found.value is not None
    assert found.value > 0.94


FEW, OTHERS, STRANGE = outlines(25, seed=5), outlines(400, seed=6), outlines(100, seed=7)
SMEARS: dict[str, Callable[[], np.ndarray]] = {
    "new images, blurred by 2 pixels": lambda: blurred(STRANGE, 2),
    "training images, blurred by 3 pixels": lambda: blurred(FEW, 3),
    "averages of 12 training images, blurred by 0.7 pixel": lambda: blurred(averages(FEW, 12), 0.7),
    "averages of 12 new images": lambda: averages(STRANGE, 12),
    "averages of 6 training images, blurred by a pixel": lambda: blurred(averages(FEW, 6), 1),
}


@pytest.mark.parametrize("kind", SMEARS)
def test_a_smear_is_no_copy(kind: str) -> None:
    """A patch without edges has the outline of some training image, at a fraction of its strength: chance at most."""
    found = copies(SMEARS[kind](), OTHERS, FEW)
    assert found.value is not None
    assert found.value <= 0.02


@pytest.mark.parametrize("images", [FEW, TRAIN], ids=["outlines", "drawings"])
def test_a_softened_copy_is_found(images: np.ndarray) -> None:
    """A decoder's copy, softened by 0.7 pixel at four fifths of the contrast, is still one."""
    soft = blurred(images, 0.7)
    means = soft.mean(axis=(1, 2, 3), keepdims=True)
    faint = (means + 0.8 * (soft - means)).round().astype(np.uint8)
    found = copies(faint, OTHERS if images is FEW else HELD_OUT, images)
    assert found.value is not None
    assert found.value > 0.94


def test_edges_that_are_missing() -> None:
    """At 30 % of the contrast 30 % of the edges are there: the distance is 1 − 0.3/0.4; at 60 % none are missing."""
    means = FEW.mean(axis=(1, 2, 3), keepdims=True)
    faint = {share: (means + share * (FEW - means)).round().astype(np.uint8) for share in (0.3, 0.6)}
    assert copy_distances(faint[0.3], FEW) == pytest.approx(np.full(25, 0.25), abs=0.03)
    assert copy_distances(faint[0.6], FEW).max() < 0.05


def test_a_blank_training_image_is_copied() -> None:
    """Of a flat image no edges are missing."""
    blank = np.full((1, 3, 32, 32), 255, np.uint8)
    assert copy_distances(blank, blank).tolist() == [0.0]


@pytest.mark.parametrize("planted", [0, 6, 60])
def test_a_planted_share_is_read(planted: int) -> None:
    """Of 120 images none, a twentieth and a half are cropped training images: the interval holds that share."""
    made = np.concatenate((changed(TRAIN, crop(1, 0, 30))[np.arange(planted) % 40], NEW[planted:]))
    found = copies(made, HELD_OUT, TRAIN)
    low, high = bounds(found)
    assert low <= planted / 120 <= high
    assert found.value == pytest.approx(planted / 120, abs=0.03)
    assert (found.n_generated, found.n_reference, found.n_train) == (120, 120, 40)
    assert "cropped by a pixel 100% count" in found.note


def test_training_images_that_are_there_twice_hide_no_copy() -> None:
    """AuthPct takes a copy of a training image with a twin for authentic; here no training image meets another."""
    twins = np.concatenate((TRAIN, TRAIN))
    assert not copy_distances(TRAIN, twins).any()
    assert copies(TRAIN, HELD_OUT, twins).value == 1.0


def test_distances_of_copies_are_zero_and_of_others_are_not() -> None:
    """An image is 0 from itself and from its mirror image; images of one colour are far from all."""
    assert not copy_distances(TRAIN, TRAIN).any()
    assert not copy_distances(TRAIN[..., ::-1], TRAIN).any()
    assert copy_distances(np.full((2, 3, 32, 32), 128, np.uint8), TRAIN).min() > 0.1
    assert copy_distances(NEW[:0], TRAIN).shape == (0,)


def test_distances_do_not_depend_on_who_is_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images in blocks have the distances that they have at once, up to rounding."""
    whole = copy_distances(NEW[:20], TRAIN)
    monkeypatch.setattr(module, "_AT_ONCE", 7)
    assert copy_distances(NEW[:20], TRAIN) == pytest.approx(whole, rel=1e-3)


def test_what_counts_by_chance_is_taken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 199 held-out images the second nearest is the threshold: 10 of 50 below it are (0.2 − 0.01)/0.99."""
    distances = np.concatenate((np.arange(1.0, 200.0), np.where(np.arange(50) < 10, 1.5, 2.0), np.zeros(40)))
    monkeypatch.setattr(module, "copy_distances", lambda images, _: distances[: len(images)])
    found = copies(np.zeros((50, 3, 32, 32), np.uint8), np.zeros((199, 3, 32, 32), np.uint8), TRAIN)
    assert found.value == pytest.approx(0.19 / 0.99)


@pytest.mark.parametrize(("share", "m", "n"), [(0.0, 600, 600), (0.05, 600, 600), (0.5, 100, 200), (0.01, 300, 100)])
def test_intervals_cover(share: float, m: int, n: int) -> None:
    """Counts drawn as the model says: the true share is in at least 93 % of 400 intervals."""
    rng = np.random.default_rng(0)
    j = max(1, (n + 1) // 100)
    covered = 0
    for _ in range(400):
        chance = rng.beta(j, n + 1 - j)
        count = int(rng.binomial(m, share + (1 - share) * chance))
        low, high = share_of_copies(count, m, j, n)[2]
        assert 0.0 <= low <= high <= 1.0
        covered += low <= share <= high
    assert covered >= 372


def test_images_that_do_not_suffice() -> None:
    """Too few images on a side leave the score undefined, and so do reference images that were trained on."""
    assert "found 0 generated" in copies(NEW[:0], HELD_OUT, TRAIN).undefined
    assert "19 reference images; found 18" in copies(NEW, HELD_OUT[:18], TRAIN).undefined
    assert "no training images" in copies(NEW, HELD_OUT, TRAIN[:0]).undefined
    assert "1 of 40 reference images are training images" in copies(NEW, TRAIN, TRAIN).undefined


def test_other_arrays_are_refused() -> None:
    """Thumbnails are 32×32 and of bytes."""
    with pytest.raises(GraftbenchError, match="held-out thumbnails must be uint8 N×3×32×32; found float64"):
        copies(NEW, HELD_OUT.astype(float), TRAIN)
    with pytest.raises(GraftbenchError, match="training thumbnails must be"):
        copy_distances(NEW, TRAIN[:, :, :16])
