"""ADA's augmentations: each against a known answer, then what all of them keep to."""

from __future__ import annotations

import math

import pytest
import torch
from random_inputs import rng
from torch import Tensor

from graftbench.nn.ada import AdaptiveAugment, Colour, Geometry, draw_colour, draw_geometry, recolour, warp

SIDES = pytest.mark.parametrize("side", [8, 32, 64])
HALF_TURN = math.pi


def noise(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Images that resemble none of their changes, in [−1, 1]."""
    return torch.rand(*shape, generator=rng(1), dtype=dtype) * 2 - 1


def geometry(n: int, **changes: float | list[float]) -> Geometry:
    """The same change for n images; all else rests."""
    tensors = {
        name: torch.tensor(value).repeat(n, *([1] if isinstance(value, list) else []))
        for name, value in changes.items()
    }
    return Geometry.none(n)._replace(**tensors)


def colour(n: int, **changes: float) -> Colour:
    """The same change for n images; all else rests."""
    return Colour.none(n)._replace(**{name: torch.full((n,), value) for name, value in changes.items()})


def place(x: float, y: float, **changes: float | list[float]) -> list[float]:
    """Where a point goes, in half sides from the centre."""
    point = torch.tensor([x, y, 1], dtype=torch.float64)
    return (geometry(1, **changes).matrix()[0] @ point)[:2].tolist()


# ---------------------------------------------------------------------------------------------------------- places


@SIDES
def test_nothing_changes_nothing(side: int) -> None:
    """Neutral parameters return the same bits."""
    x = noise(3, 3, side, side)
    assert torch.equal(warp(x, Geometry.none(3)), x)
    assert torch.equal(recolour(x, Colour.none(3)), x)


@SIDES
def test_flip(side: int) -> None:
    """−1 mirrors left and right, to the bit."""
    x = noise(3, 3, side, side)
    assert torch.equal(warp(x, geometry(3, flip=-1.0)), x.flip(3))


@SIDES
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_quarter_turns(side: int, turns: int) -> None:
    """To the bit; y points down, so a turn from x to y is clockwise: torch's rot90 with a minus."""
    x = noise(3, 3, side, side)
    assert torch.equal(warp(x, geometry(3, quarter_turns=float(turns))), torch.rot90(x, -turns, (2, 3)))


@SIDES
def test_shift(side: int) -> None:
    """By whole pixels to the right and up, to the bit; what comes in is the image mirrored at its edge."""
    x = noise(3, 3, side, side)
    moved = warp(x, geometry(3, shift=[2 / side, -1 / side]))
    assert torch.equal(moved[:, :, :-1, 2:], x[:, :, 1:, :-2])
    assert torch.equal(moved[:, :, :-1, :2], x[:, :, 1:, :2].flip(3))
    assert torch.equal(moved[:, :, -1, 2:], x[:, :, -1, :-2])


def test_each_image_has_its_own_change() -> None:
    """A batch of different parameters is the images one by one."""
    x, each = noise(6, 3, 16, 16), draw_geometry(6, 0.9, 16, rng())
    tints = draw_colour(6, 0.9, rng())
    for i in range(6):
        alone = Geometry(*(value[i : i + 1] for value in each))
        torch.testing.assert_close(warp(x, each)[i : i + 1], warp(x[i : i + 1], alone))
        tint = Colour(*(value[i : i + 1] for value in tints))
        torch.testing.assert_close(recolour(x, tints)[i : i + 1], recolour(x[i : i + 1], tint))


def test_turn_agrees_with_quarter_turns() -> None:
    """A turn by π/2 before or after the stretching is a quarter turn, up to the rounding of places.

    A place is off by some 1e-7 of half a side, which is below 1e-5 of a pixel: no pixel differs by more than that
    share of its neighbours' difference, 2.
    """
    x = noise(2, 3, 32, 32)
    for name in ("turn_before", "turn_after"):
        turned = warp(x, geometry(2, **{name: math.pi / 2}))
        torch.testing.assert_close(turned, torch.rot90(x, -1, (2, 3)), rtol=0, atol=2e-5)


def test_drift_by_half_a_pixel() -> None:
    """It is the mean of two neighbours, and by a whole pixel the shift by one."""
    x = noise(2, 3, 32, 32)
    half = warp(x, geometry(2, drift=[0.5 / 32, 0.0]))
    torch.testing.assert_close(half[..., 1:], (x[..., 1:] + x[..., :-1]) / 2)
    assert torch.equal(warp(x, geometry(2, drift=[1 / 32, 0.0])), warp(x, geometry(2, shift=[1 / 32, 0.0])))


def test_places_by_hand() -> None:
    """Where points go, for each change alone."""
    assert place(0.5, 0.25) == [0.5, 0.25]
    assert place(0.5, 0.25, flip=-1.0) == [-0.5, 0.25]
    assert place(0.5, 0.25, quarter_turns=1.0) == [-0.25, 0.5]
    assert place(0.5, 0.25, shift=[0.125, -0.25]) == [0.75, -0.25]
    assert place(0.5, 0.25, scale=2.0) == [1.0, 0.5]
    assert place(0.5, 0.25, stretch=2.0) == [1.0, 0.125]
    assert place(0.5, 0.25, drift=[0.5, 0.0]) == [1.5, 0.25]
    assert place(1.0, 0.0, turn_before=HALF_TURN / 3) == pytest.approx([0.5, 0.75**0.5], abs=1e-6)


def test_order_of_places() -> None:
    """Flip, quarter turn, shift, scale, turn, stretch, turn, drift: the paper's order, by hand for a point.

    (1, 0) flipped (−1, 0), turned (0, −1), shifted (0.5, −1), scaled (1, −2), turned half (−1, 2), stretched (−2, 1),
    turned half (2, −1), drifted (2, 0).
    """
    found = place(
        1.0,
        0.0,
        flip=-1.0,
        quarter_turns=1.0,
        shift=[0.25, 0.0],
        scale=2.0,
        turn_before=HALF_TURN,
        stretch=2.0,
        turn_after=HALF_TURN,
        drift=[0.0, 0.5],
    )
    assert found == pytest.approx([2, 0], abs=1e-6)


def test_magnification() -> None:
    """An image magnified twice shows its middle half: the mean of its centre's four pixels stays in the centre."""
    ramp = torch.linspace(-1, 1, 33, dtype=torch.float64)[:-1] + 1 / 32  # pixel centres of a linear ramp
    x = ramp.expand(1, 3, 32, 32).contiguous()
    torch.testing.assert_close(warp(x, geometry(1, scale=2.0)), x / 2)


# --------------------------------------------------------------------------------------------------------- colours


def test_colours_by_hand() -> None:
    """One pixel (0.6, 0.0, −0.3) of mean 0.1 through each change alone."""

    def change(**changes: float) -> list[float]:
        pixel = torch.tensor([0.6, 0.0, -0.3], dtype=torch.float64).view(1, 3, 1, 1)
        return recolour(pixel, colour(1, **changes)).flatten().tolist()

    assert change(brightness=0.25) == pytest.approx([0.85, 0.25, -0.05])
    assert change(contrast=2.0) == pytest.approx([1.2, 0.0, -0.6])
    assert change(luma_flip=1.0) == pytest.approx([0.4, -0.2, -0.5])
    assert change(saturation=0.0) == pytest.approx([0.1, 0.1, 0.1])
    assert change(saturation=2.0) == pytest.approx([1.1, -0.1, -0.7])
    third = 2 * math.pi / 3
    assert change(hue=third) == pytest.approx([-0.3, 0.6, 0.0], abs=1e-6)  # red becomes green, green blue, blue red
    assert change(hue=-third) == pytest.approx([0.0, -0.3, 0.6], abs=1e-6)


def test_order_of_colours() -> None:
    """Brightness, contrast, luma flip, hue, saturation: ((x + b)·c) flipped about grey 0, then without colour."""
    pixel = torch.tensor([0.6, 0.0, -0.3], dtype=torch.float64).view(1, 3, 1, 1)
    found = recolour(pixel, colour(1, brightness=0.5, contrast=2.0, luma_flip=1.0, saturation=0.0))
    assert found.flatten().tolist() == pytest.approx([-1.2] * 3)


def test_hue_keeps_grey_and_distance() -> None:
    """A turn about the greys: each pixel keeps its mean and its length, and a full turn is none."""
    x, turns = noise(50, 3, 2, 2, dtype=torch.float64), draw_colour(50, 1.0, rng()).hue
    turned = recolour(x, Colour.none(50)._replace(hue=turns))
    torch.testing.assert_close(turned.mean(dim=1), x.mean(dim=1))
    torch.testing.assert_close(turned.norm(dim=1), x.norm(dim=1))
    torch.testing.assert_close(recolour(turned, Colour.none(50)._replace(hue=-turns)), x)


# ----------------------------------------------------------------------------------------------------------- draws

MANY = 10_000


def share_changed(drawn: Geometry | Colour, neutral: Geometry | Colour) -> dict[str, float]:
    """Kind -> share of images that it changes."""
    pairs = zip(drawn._fields, drawn, neutral, strict=True)
    return {name: float((a != b).view(MANY, -1).any(dim=1).float().mean()) for name, a, b in pairs}


@pytest.mark.parametrize("p", [0.0, 0.2, 1.0])
def test_each_kind_is_drawn_with_probability_p(p: float) -> None:
    """Half of the flips, a quarter of the quarter turns and 1/64 of the shifts at 32 px that are chosen change nothing.

    Shifts: 8·U(−½, ½) rounds to 0 with probability 1/8 a direction. Turns are drawn twice, so that either or both come
    with probability p. Tolerance: 4.5 standard deviations of a share of 10,000, at most 0.0225.
    """
    places = share_changed(draw_geometry(MANY, p, 32, rng()), Geometry.none(MANY))
    colours = share_changed(draw_colour(MANY, p, rng()), Colour.none(MANY))
    turn = 1 - math.sqrt(1 - p)
    expected = dict.fromkeys([*Geometry._fields, *Colour._fields], p)
    expected |= {"flip": p / 2, "quarter_turns": 0.75 * p, "shift": p * 63 / 64, "luma_flip": p / 2}
    expected |= {"turn_before": turn, "turn_after": turn}
    for name, share in (places | colours).items():
        assert share == pytest.approx(expected[name], abs=0.0225), name
    drawn = draw_geometry(MANY, p, 32, rng())
    turned = ((drawn.turn_before != 0) | (drawn.turn_after != 0)).float().mean()
    assert float(turned) == pytest.approx(p, abs=0.0225)


def test_strengths_are_the_papers() -> None:
    """Standard deviations and ranges of appendix B, at p = 1.

    Tolerance: a standard deviation of 10,000 normal draws is off by 1/√20,000 = 0.7 %, so 3 % is more than four times
    that.
    """
    places, colours = draw_geometry(MANY, 1.0, 32, rng()), draw_colour(MANY, 1.0, rng())
    assert float(places.scale.log2().std()) == pytest.approx(0.2, rel=0.03)
    assert float(places.stretch.log2().std()) == pytest.approx(0.2, rel=0.03)
    assert float(places.drift.std()) == pytest.approx(0.125, rel=0.03)
    assert float(colours.brightness.std()) == pytest.approx(0.2, rel=0.03)
    assert float(colours.contrast.log2().std()) == pytest.approx(0.5, rel=0.03)
    assert float(colours.saturation.log2().std()) == pytest.approx(1.0, rel=0.03)
    for angle in (places.turn_before, places.turn_after, colours.hue):
        assert math.pi * 0.99 < float(angle.abs().max()) <= math.pi
        assert float(angle.std()) == pytest.approx(math.pi / math.sqrt(3), rel=0.03)
    pixels = places.shift * 32
    assert torch.equal(pixels, pixels.round())
    assert sorted(set(pixels.flatten().tolist())) == list(range(-4, 5))
    assert set(places.quarter_turns.tolist()) == {0, 1, 2, 3}
    assert set(places.flip.tolist()) == {-1, 1}


# --------------------------------------------------------------------------------------------------------- the pipeline


def augment_at(p: float, seed: int = 0) -> AdaptiveAugment:
    """The pipeline at a probability."""
    augment = AdaptiveAugment(rng(seed))
    augment.p = p
    return augment


def test_p_zero_is_the_identity() -> None:
    """It returns what it is given, and draws nothing."""
    generator, x = rng(), noise(2, 3, 8, 8)
    before = generator.get_state()
    assert AdaptiveAugment(generator)(x) is x
    assert torch.equal(generator.get_state(), before)


def test_unchosen_images_keep_their_bits() -> None:
    """At p = 0.05 each of 12 kinds passes over an image with 95 %: about half the images are left as they are.

    0.95^12 = 0.54 for twelve probabilities (the two turns share one), somewhat more for what changes nothing; the
    standard deviation of a share of 400 images is 0.025.
    """
    x = noise(400, 3, 8, 8)
    same = (augment_at(0.05)(x) == x).flatten(1).all(dim=1).float().mean()
    assert 0.5 < float(same) < 0.75


def test_one_seed_one_augmentation() -> None:
    """The same seed changes images in the same way, another does not; each call draws anew; form and type are kept."""
    x = noise(4, 3, 32, 32)
    first = augment_at(0.5)
    once = first(x)
    assert torch.equal(once, augment_at(0.5)(x))
    assert not torch.equal(once, augment_at(0.5, seed=1)(x))
    assert not torch.equal(once, first(x))
    assert once.shape == x.shape
    assert once.dtype == x.dtype
    assert once.isfinite().all()


def test_gradient() -> None:
    """The derivative by finite differences is the one that is computed (float64, torch's gradcheck)."""

    def augmented(x: Tensor) -> Tensor:
        return augment_at(0.9, seed=2)(x)

    assert torch.autograd.gradcheck(augmented, noise(2, 3, 4, 4, dtype=torch.float64).requires_grad_())


def test_one_image() -> None:
    """The last batch of a budget may hold one."""
    assert augment_at(0.8)(noise(1, 3, 32, 32)).shape == (1, 3, 32, 32)
