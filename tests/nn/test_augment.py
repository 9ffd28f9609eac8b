"""DiffAugment's steps do what the paper says, to the pixel, and gradients pass through them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F
from random_inputs import rng

from graftbench.errors import GraftbenchError
from graftbench.nn.augment import DiffAugment, brightness, color, contrast, cutout, saturation, translation

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

POLICIES = ("color", "translation", "cutout", "color,translation,cutout")
MANY = 400
"""Enough images for every one of 9 shifts to occur: each is missed with probability (8/9)^400 < 1e-20."""


def noise(*shape: int) -> Tensor:
    """Images that resemble none of their shifts, in [−1, 1]."""
    return torch.rand(*shape, generator=rng(1), dtype=torch.float64) * 2 - 1


def test_brightness_adds_one_number_to_each_image() -> None:
    """The difference is constant over an image, differs between images and fills [−½, ½]."""
    x = noise(MANY, 3, 4, 4)
    added = (brightness(x, rng()) - x).flatten(1)
    assert (added - added[:, :1]).abs().max() < 1e-12
    assert added.abs().max() <= 0.5
    assert added.min() < -0.45
    assert added.max() > 0.45


def test_saturation_scales_the_distance_from_grey() -> None:
    """Each pixel keeps its grey; its distance from it is scaled by one number per image, of [0, 2]: 0 is grey."""
    x = noise(MANY, 3, 4, 4)
    changed = saturation(x, rng())
    grey = x.mean(dim=1, keepdim=True)
    torch.testing.assert_close(changed.mean(dim=1, keepdim=True), grey)
    factors = scale_between(x - grey, changed - grey)
    assert factors.min() >= 0
    assert factors.max() <= 2
    assert factors.min() < 0.05
    assert factors.max() > 1.95


def test_saturation_leaves_grey_images() -> None:
    """Where the channels are equal there is nothing to scale."""
    x = noise(5, 1, 4, 4).expand(5, 3, 4, 4)
    torch.testing.assert_close(saturation(x, rng()), x)


def test_contrast_scales_the_distance_from_the_mean() -> None:
    """Each image keeps its mean; the distance from it is scaled by one number of [½, 3/2]."""
    x = noise(MANY, 3, 4, 4)
    changed = contrast(x, rng())
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    torch.testing.assert_close(changed.mean(dim=(1, 2, 3), keepdim=True), mean)
    factors = scale_between(x - mean, changed - mean)
    assert 0.5 <= factors.min() < 0.53
    assert 1.47 < factors.max() <= 1.5


def scale_between(before: Tensor, after: Tensor) -> Tensor:
    """The one factor per image that makes `after` of `before`; fails where there is none."""
    factors = (before * after).sum(dim=(1, 2, 3)) / before.square().sum(dim=(1, 2, 3))
    torch.testing.assert_close(before * factors[:, None, None, None], after)
    return factors


def test_color_is_brightness_saturation_contrast() -> None:
    """The three in this order, drawn one after the other."""
    x = noise(6, 3, 4, 4)
    one, other = rng(3), rng(3)
    expected = contrast(saturation(brightness(x, one), one), one)
    assert torch.equal(color(x, other), expected)


@pytest.mark.parametrize("side", [8, 32])
def test_translation_shifts_and_pads_with_zero(side: int) -> None:
    """Each image is one of the (2·side/8 + 1)² shifts of itself on a ground of 0, and each shift occurs."""
    reach = side // 8
    x = noise(MANY, 3, side, side)
    moved = translation(x, rng())
    padded = F.pad(x, (reach,) * 4)
    shifts: list[set[tuple[int, int]]] = [set() for _ in range(MANY)]
    for down, right in itertools.product(range(2 * reach + 1), repeat=2):
        candidate = padded[:, :, down : down + side, right : right + side]
        for i in (candidate == moved).flatten(1).all(dim=1).nonzero().flatten().tolist():
            shifts[i].add((down - reach, right - reach))
    assert all(len(found) == 1 for found in shifts)
    for axis in (0, 1):
        assert {shift[axis] for found in shifts for shift in found} == set(range(-reach, reach + 1))


def test_cutout_clears_a_square() -> None:
    """What is cleared is a square of half the side, or the part of one that lies inside; all else is as it was."""
    side, half = 16, 8
    x = noise(MANY, 3, side, side) + 2  # nowhere 0
    cut = cutout(x, rng())
    cleared = cut == 0
    assert torch.equal(torch.where(cleared, x, cut), x)
    assert torch.equal(cleared, cleared[:, :1].expand_as(cleared))
    whole = 0
    for mask in cleared[:, 0]:
        rows, columns = mask.any(dim=1).nonzero().flatten(), mask.any(dim=0).nonzero().flatten()
        assert mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()
        assert int(mask.sum()) == len(rows) * len(columns)
        for span in (rows, columns):
            at_border = int(span.min()) == 0 or int(span.max()) == side - 1
            assert len(span) == half or (at_border and half // 2 <= len(span) < half)
        whole += len(rows) * len(columns) == half * half
    assert 0 < whole < MANY


@pytest.mark.parametrize("policy", POLICIES)
def test_gradient(policy: str) -> None:
    """The derivative by finite differences is the one that is computed (float64, torch's gradcheck)."""

    def augmented(x: Tensor) -> Tensor:
        return DiffAugment(policy, rng(5))(x)

    assert torch.autograd.gradcheck(augmented, noise(2, 3, 8, 8).requires_grad_())


@pytest.mark.parametrize("policy", POLICIES)
def test_one_seed_one_augmentation(policy: str) -> None:
    """The same seed changes images in the same way; another seed does not; each call draws anew."""
    x = noise(4, 3, 8, 8)
    first, same, other = (DiffAugment(policy, rng(seed)) for seed in (1, 1, 2))
    once = first(x)
    assert torch.equal(once, same(x))
    assert not torch.equal(once, other(x))
    assert not torch.equal(once, first(x))
    assert once.shape == x.shape
    assert once.dtype == x.dtype


def test_steps_are_taken_in_the_order_written() -> None:
    """A cutout is cleared before it is shifted, or after."""
    steps: list[Callable[[Tensor, torch.Generator], Tensor]] = [cutout, translation]
    x = noise(4, 3, 8, 8)
    for names, order in (("cutout, translation", steps), ("translation,cutout", steps[::-1])):
        generator, expected = rng(7), x
        for step in order:
            expected = step(expected, generator)
        assert torch.equal(DiffAugment(names, rng(7))(x), expected)


def test_no_policy() -> None:
    """The empty policy returns its input and draws nothing."""
    generator = rng()
    x = noise(1, 3, 8, 8)
    assert DiffAugment("", generator)(x) is x
    assert torch.equal(generator.get_state(), rng().get_state())


def test_unknown_step() -> None:
    """The nearest step is offered."""
    with pytest.raises(GraftbenchError, match=r"Unknown augmentation 'colour'\. Did you mean 'color'\?"):
        DiffAugment("translation,colour", rng())
