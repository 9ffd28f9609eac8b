"""The share of high frequencies against closed forms: cosines, white noise, filters, and a transform written out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from graftbench.errors import GraftbenchError
from graftbench.metrics.spectrum import band_powers, high_frequency

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from graftbench.metrics.estimate import Estimate


def grey(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Grey images N×H×W of 0 to 255 as uint8 N×3×H×W: the luma of equal R, G, B is their value."""
    return np.repeat(np.rint(values).astype(np.uint8)[:, None], 3, axis=1)


def cosine(cycles: tuple[int, int], height: int = 32, width: int = 32) -> NDArray[np.uint8]:
    """One image: a wave of so many cycles down and across, of amplitude 100."""
    rows, columns = np.mgrid[:height, :width]
    phase = 2.0 * np.pi * (cycles[0] * rows / height + cycles[1] * columns / width) + 0.3
    return grey(127.0 + 100.0 * np.cos(phase)[None])


def noise(n: int, seed: int = 0, side: int = 32, sd: float = 30.0) -> NDArray[np.float64]:
    """White noise around 127, not rounded."""
    return np.random.default_rng(seed).normal(127.0, sd, (n, side, side))


def powers(values: Any, size: tuple[int, int] = (32, 32)) -> NDArray[np.float64]:
    """PluginSource powers as those of images of a size."""
    values = np.asarray(values, dtype=np.float64)
    return np.column_stack((values, np.full((values.size, 2), size)))


def value(score: Estimate) -> float:
    """The value of a score that has one."""
    assert score.value is not None, score.undefined
    return score.value


# -------------------------------------------------------------------------------------------------------- band powers


@pytest.mark.parametrize(
    ("cycles", "share"),
    [((0, 12), 1.0), ((12, 0), 1.0), ((16, 16), 1.0), ((8, 8), 1.0), ((0, 4), 0.0), ((3, 5), 0.0), ((0, 6), 0.0)],
)
def test_a_cosine_lies_in_the_band_or_not(cycles: tuple[int, int], share: float) -> None:
    """Of a wave well above 8 of 32 cycles the band holds all, of one well below nothing.

    A windowed wave of amplitude a has Σ|F|² = Σ(w·g)² ≈ HW·a²/2 (Parseval; the mean of w² is 1). Rounding to 8 bits
    leaves noise of variance 1/12: 8e-5 of the wave's, and 1e-4 is the tolerance below the cut.
    """
    image = cosine(cycles)
    u = np.minimum(np.arange(32), 32 - np.arange(32))
    band = int(((u[:, None] ** 2 + u**2) > 64).sum())  # frequencies in the band, counted one by one
    hann = (0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(32) + 0.5) / 32)) / math.sqrt(3 / 8)
    wave = (image[0, 0] - image[0, 0].mean()) / 255.0 * hann[:, None] * hann
    found = band_powers(image)[0]
    assert found[0] * band == pytest.approx(share * np.square(wave).sum(), rel=1e-3, abs=1e-4 * np.square(wave).sum())
    assert tuple(found[1:]) == (32.0, 32.0)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 12), (20, 15)])
def test_a_transform_written_out(height: int, width: int) -> None:
    """The sum over all frequencies of the plane, term by term, for even and odd sizes and for colours.

    20 pixels have the frequencies 3/20 and 4/20, which lie on the circle of radius ¼ together: they are not above it.
    """
    image = np.random.default_rng(1).integers(0, 256, (1, 3, height, width), dtype=np.uint8)
    g = (0.299 * image[0, 0] + 0.587 * image[0, 1] + 0.114 * image[0, 2]) / 255.0
    windows = [np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2 for n in (height, width)]  # Hann as sin²
    taper = np.outer(*(w / np.sqrt((w**2).mean()) for w in windows))
    z = (g - g.mean()) * taper
    total, count = 0.0, 0
    for i in range(height):
        for j in range(width):
            u, v = min(i, height - i) * width, min(j, width - j) * height  # in units of 1/(HW) cycles per pixel
            if 16 * (u * u + v * v) > (height * width) ** 2:
                rows, columns = np.mgrid[:height, :width]
                term = (z * np.exp(-2j * np.pi * (i * rows / height + j * columns / width))).sum()
                total += abs(term) ** 2 / (height * width)
                count += 1
    assert band_powers(image)[0] == pytest.approx([total / count, height, width], rel=1e-12)


@pytest.mark.parametrize("side", [8, 31, 64])
def test_white_noise_has_its_variance(side: int) -> None:
    """The power of white noise of variance σ² is σ² at every size, less what the mean takes (at most 3/side²).

    The mean over all frequencies of all images has a relative standard error below √(2·(35/18)²/count) for the count of
    values in the band (a window makes neighbours alike); four of them, and 0.005 for the mean and for rounding, which
    adds 1/12 to 900.
    """
    n = 40_000 // side
    found = band_powers(grey(noise(n, side=side)))[:, 0].mean() * 255.0**2 / 900.0
    count = n * side * side * 0.8
    assert abs(found - 1.0) < 4.0 * math.sqrt(2.0 * (35 / 18) ** 2 / count) + 0.005 + 3.0 / side**2


def test_a_smooth_slope_is_no_edge() -> None:
    """An image that is dark on the left and bright on the right has a power far below that of one step of a grey level.

    Taken for periodic it would have an edge of 200 grey levels at its border.
    """
    slope = grey(np.broadcast_to(np.linspace(20.0, 220.0, 32), (1, 32, 32)))
    edge = grey(np.where(np.arange(32) < 16, 20.0, 220.0)[None, None] + np.zeros((1, 32, 1)))
    assert band_powers(slope)[0, 0] < 1e-3 * band_powers(edge)[0, 0]


def test_constant_images_have_no_power_at_all() -> None:
    """Exactly 0, for grey values that no float holds."""
    flat = np.empty((4, 3, 17, 23), np.uint8)
    flat[:] = np.array([[0, 0, 0], [255, 255, 255], [1, 2, 3], [77, 130, 201]])[:, :, None, None]
    assert not band_powers(flat)[:, 0].any()


def test_turning_mirroring_and_inverting_change_nothing() -> None:
    """The band is round and power has no sign: equal up to rounding (1e-12)."""
    image = np.random.default_rng(2).integers(0, 256, (3, 3, 24, 24), dtype=np.uint8)
    base = band_powers(image)
    for other in (image[..., ::-1], image.swapaxes(2, 3), np.rot90(image, axes=(2, 3)), 255 - image):
        assert band_powers(other) == pytest.approx(base, rel=1e-12)


def test_batches_and_tensors_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of one image, slices and torch tensors give the same numbers to the bit; no images give no rows."""
    import torch

    from graftbench.metrics import spectrum

    image = np.random.default_rng(3).integers(0, 256, (7, 3, 16, 20), dtype=np.uint8)
    base = band_powers(image)
    assert np.array_equal(band_powers(torch.from_numpy(image)), base)
    assert np.array_equal(np.concatenate([band_powers(image[:3]), band_powers(image[3:])]), base)
    monkeypatch.setattr(spectrum, "_BLOCK", 1)
    assert np.array_equal(band_powers(image), base)
    assert band_powers(image[:0]).shape == (0, 3)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 3, 8, 8)),
        np.zeros((2, 1, 8, 8), np.uint8),
        np.zeros((3, 8, 8), np.uint8),
        np.zeros((2, 3, 0, 8), np.uint8),
    ],
)
def test_other_arrays_are_refused(images: NDArray[Any]) -> None:
    """Floats, one channel, one image, images without pixels: the sentence says what was found."""
    with pytest.raises(GraftbenchError, match=f"uint8 images N×3×H×W; found {images.dtype} "):
        band_powers(images)


# ------------------------------------------------------------------------------------------------------------- ratios


def test_a_ratio_of_means() -> None:
    """Powers 1, 3 against 4, 4, 4: ½. Relative variances of the means: 2/(2·2²) = ¼ and 0."""
    score = high_frequency(powers([1.0, 3.0]), powers([4.0, 4.0, 4.0]))
    assert score.value == 0.5
    assert score.standard_error == pytest.approx(0.5 * 0.5)
    assert score.interval is not None
    reach = math.tan(math.pi * 0.475) * 0.5  # one degree of freedom: Cauchy's quantile
    assert score.interval == pytest.approx((0.5 * math.exp(-reach), 0.5 * math.exp(reach)))
    assert (score.method, score.n_generated, score.n_reference) == ("delta method", 2, 3)


def test_a_box_blur_keeps_what_its_transfer_function_says() -> None:
    """White noise blurred over 3 neighbours across: the mean of |H|² over the band, H = (1 + 2cos 2πv)/3.

    The window mixes each frequency with its two neighbours, at ⅙, ⅔, ⅙ in each direction. Blurred and original noise
    are the same draw, so that most of the chance cancels: 1000 images of 819 frequencies leave below 0.5 % of the ratio
    (0.2 % was found over ten seeds). Rounding adds 1/12 to a power of about 2700/8.
    """
    sharp = noise(1000, sd=50.0).clip(0, 255)
    blurred = (sharp + np.roll(sharp, 1, axis=2) + np.roll(sharp, -1, axis=2)) / 3.0
    v = np.arange(32) / 32.0
    transfer = np.square((1.0 + 2.0 * np.cos(2.0 * np.pi * v)) / 3.0)
    mixed = (np.roll(transfer, 1) + 4.0 * transfer + np.roll(transfer, -1)) / 6.0
    u = np.minimum(v, 1.0 - v)
    inside = u[:, None] ** 2 + u**2 > 1 / 16
    expected = (np.broadcast_to(mixed, (32, 32))[inside]).mean()
    found = value(high_frequency(band_powers(grey(blurred)), band_powers(grey(sharp))))
    assert found == pytest.approx(expected, rel=0.01)
    assert expected < 0.5


def test_real_images_blurred_and_noisy(emoji: torch.Tensor) -> None:
    """Emoji against other emoji: about 1; averaged over 3×3 pixels: far below; with noise or a checkerboard: above.

    A 3×3 box keeps at most 0.11 of the power of a wave across at ¼ cycle per pixel and above.
    """
    images = emoji.numpy()
    half, rest = images[:120], images[120:]
    real = band_powers(rest)
    same = high_frequency(band_powers(half), real)
    assert same.interval is not None
    assert same.interval[0] < 1.0 < same.interval[1]
    whole = half.astype(np.float64)
    box = sum(np.roll(whole, (i, j), axis=(2, 3)) for i in (-1, 0, 1) for j in (-1, 0, 1)) / 9.0
    blurred = high_frequency(band_powers(np.rint(box).astype(np.uint8)), real)
    assert blurred.interval is not None
    assert blurred.interval[1] < 0.5
    board = 12 * ((np.arange(72)[:, None] + np.arange(72)) % 2)
    squared = (whole * (243 / 255) + board).round().astype(np.uint8)
    assert value(high_frequency(band_powers(squared), band_powers(half))) > 1.0


def test_intervals_cover_the_ratio() -> None:
    """Of 1500 draws of 20 and 40 skewed powers (relative spread ½), 92 to 97 % of the intervals hold the true ratio.

    Four standard errors of a share of 0.95 are 2.3 %.
    """
    rng = np.random.default_rng(4)
    hits = 0
    for _ in range(1500):
        score = high_frequency(powers(rng.gamma(4.0, 0.5, 20)), powers(rng.gamma(4.0, 1.0, 40)))
        assert score.interval is not None
        hits += score.interval[0] <= 0.5 <= score.interval[1]
    assert 0.92 <= hits / 1500 <= 0.973


@pytest.mark.parametrize(
    ("made", "real", "reason"),
    [
        (powers([]), powers([1.0]), "needs at least 1 images; found 0 generated"),
        (powers([1.0]), powers([]), "needs at least 1 images; found 0 reference"),
        (powers([1.0]), powers([0.0, 0.0]), "no reference image has power above half the Nyquist frequency"),
        (powers([1.0]), powers([1.0], (64, 48)), "of one size; found 32×32 generated and 48×64 reference"),
        (
            np.concatenate([powers([1.0], (n, n)) for n in (32, 33, 34, 35)]),
            powers([1.0]),
            "found 32×32, 33×33, 34×34 and 1 more generated and 32×32 reference",
        ),
        (powers([1.0], (7, 9)), powers([1.0], (7, 9)), "at least 8×8 pixels; found 9×7"),
    ],
)
def test_reasons(made: NDArray[np.float64], real: NDArray[np.float64], reason: str) -> None:
    """No images, constant reference images, sizes that differ or are tiny: undefined, and why."""
    score = high_frequency(made, real)
    assert score.value is None
    assert reason in score.undefined
    assert (score.n_generated, score.n_reference) == (len(made), len(real))


def test_constant_generated_images_keep_nothing() -> None:
    """The ratio is 0 and has no interval: how rare an image with an edge is, none of them tells."""
    flat = np.full((5, 3, 16, 16), 200, np.uint8)
    score = high_frequency(band_powers(flat), powers([1.0, 2.0], (16, 16)))
    assert (score.value, score.standard_error, score.interval, score.method) == (0.0, None, None, "")
    both = high_frequency(band_powers(flat), band_powers(flat))
    assert both.undefined == "no reference image has power above half the Nyquist frequency"


def test_equal_powers_leave_no_doubt() -> None:
    """Without any spread the interval is the value; one image a side has none."""
    assert high_frequency(powers([2.0, 2.0]), powers([4.0, 4.0])).interval == (0.5, 0.5)
    alone = high_frequency(powers([2.0]), powers([4.0, 5.0]))
    assert (alone.interval, alone.standard_error) == (None, None)
    assert alone.value == pytest.approx(2.0 / 4.5)


def test_what_is_no_powers_is_refused() -> None:
    """Features in their place, or NaN."""
    with pytest.raises(GraftbenchError, match=r"Powers are N×3 .*\(2, 6\)"):
        high_frequency(np.ones((2, 6)), np.ones((2, 6)))
    with pytest.raises(GraftbenchError, match="generated powers hold NaN"):
        high_frequency(powers([np.nan]), powers([1.0]))
