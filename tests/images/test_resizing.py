"""The rules by which pictures become squares: by hand, by law, and against Pillow and torch."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from graftbench.errors import GraftbenchError
from graftbench.images.resizing import DEFAULT, RULES, square

ALL = tuple(RULES)


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    """A cat, 451×300."""
    return Image.fromarray(data.chelsea())


def _row(values: list[int]) -> Image.Image:
    """A square picture whose rows all have these values."""
    return Image.fromarray(np.tile(np.array(values, np.uint8), (len(values), 1)))


@pytest.mark.parametrize("rule", ALL)
@pytest.mark.parametrize("side", [8, 32, 300, 512])
def test_flat_stays_flat(rule: str, side: int) -> None:
    """Every rule's weights sum to one, reduced and enlarged."""
    assert (
        square(Image.new("RGB", (300, 300), (7, 128, 255)), side, rule) == np.reshape([7, 128, 255], (3, 1, 1))
    ).all()


@pytest.mark.parametrize("rule", ALL)
def test_same_side_changes_nothing(rule: str, photograph: Image.Image) -> None:
    """A picture of the right side is only cropped."""
    crop = np.asarray(photograph.crop((75, 0, 375, 300))).transpose(2, 0, 1)
    assert np.array_equal(square(photograph, 300, rule), crop)


@pytest.mark.parametrize("rule", ALL)
def test_turning_and_resizing_commute(rule: str, photograph: Image.Image) -> None:
    """No rule treats rows and columns differently; Pillow rounds 8-bit images between the two: one level."""
    upright = square(photograph, 64, rule).astype(int)
    turned = square(photograph.transpose(Image.Transpose.TRANSPOSE), 64, rule).astype(int)
    assert np.abs(upright - turned.transpose(0, 2, 1)).max() <= 1


def test_default_is_pillows_lanczos(photograph: Image.Image) -> None:
    """What domains gave before there was a choice, bit for bit."""
    crop = photograph.crop((75, 0, 375, 300)).resize((64, 64), Image.Resampling.LANCZOS)
    assert DEFAULT == "lanczos-antialias"
    assert np.array_equal(square(photograph, 64), np.asarray(crop).transpose(2, 0, 1))


def test_area_by_hand() -> None:
    """3 to 2 pixels: (0 + 90/2)/1.5 = 30 and (90/2 + 255)/1.5 = 200; half a level goes up: (0 + 1)/2 is 1."""
    assert square(_row([0, 90, 255]), 2, "area")[0, 0].tolist() == [30, 200]
    assert (square(_row([0, 1]), 1, "area") == 1).all()


def test_area_is_exact(photograph: Image.Image) -> None:
    """The mean over the covered area in fractions, halves up, for a reduction that is not by a whole number."""
    source = np.asarray(photograph.crop((100, 100, 110, 110)))[:, :, 0].astype(int)
    ours = square(Image.fromarray(source.astype(np.uint8)), 7, "area")[0]
    for i, j in np.ndindex(7, 7):
        total = sum(
            (
                int(source[y, x])
                * max(Fraction(0), min(Fraction(10 * (i + 1), 7), y + 1) - max(Fraction(10 * i, 7), y))
                * max(Fraction(0), min(Fraction(10 * (j + 1), 7), x + 1) - max(Fraction(10 * j, 7), x))
            )
            for y, x in np.ndindex(10, 10)
        )
        assert ours[i, j] == int(total * Fraction(49, 100) + Fraction(1, 2))


def test_legacy_bilinear_is_torchs(photograph: Image.Image) -> None:
    """PyTorch's `interpolate` without antialias, to its rounding in float32: half a level and 255·2^-20."""
    crop = torch.from_numpy(np.asarray(photograph.crop((75, 0, 375, 300))).transpose(2, 0, 1).copy())[None].double()
    for side in (32, 100, 400):
        theirs = torch.nn.functional.interpolate(crop, (side, side), mode="bilinear", align_corners=False)[0].numpy()
        assert np.abs(square(photograph, side, "legacy-bilinear") - theirs).max() < 0.5 + 1e-6


def test_clean_is_bicubic_in_floats(photograph: Image.Image) -> None:
    """A level at most from Pillow's bicubic on 8-bit channels, which rounds once more in between; not the same."""
    crop = photograph.crop((75, 0, 375, 300)).resize((64, 64), Image.Resampling.BICUBIC)
    difference = square(photograph, 64, "clean").astype(int) - np.asarray(crop).transpose(2, 0, 1)
    assert np.abs(difference).max() == 1


def test_only_legacy_bilinear_aliases() -> None:
    """One-pixel lines, one in three, reduced 8 times: their mean is 85 everywhere; legacy-bilinear shows 0 or 255.

    The area rule still wavers by 255·(3/8 - 1/3) = 11 to 21 levels: eight pixels hold two or three lines.
    """
    stripes = np.zeros((256, 256), np.uint8)
    stripes[:, ::3] = 255
    inner = {rule: square(Image.fromarray(stripes), 32, rule)[0, 8:-8, 8:-8].astype(int) for rule in ALL}
    assert {int(v) for v in np.unique(inner["area"])} == {64, 96}
    for rule in (DEFAULT, "clean"):
        assert np.abs(inner[rule] - 85).max() <= 2
    assert np.ptp(inner["legacy-bilinear"]) >= 127


def test_unknown_rule_names_the_nearest() -> None:
    """A slip of the pen."""
    with pytest.raises(GraftbenchError, match="Did you mean 'legacy-bilinear'"):
        square(Image.new("L", (8, 8)), 4, "legacy_bilinear")
