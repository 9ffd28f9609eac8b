"""The classical baselines of kinds against Pillow's and scikit-image's implementations."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from random_inputs import rng
from skimage.exposure import match_histograms

if TYPE_CHECKING:
    from collections.abc import Callable


tone_curves = import_module("graftbench.methods.histogram_matching").tone_curves


def test_bicubic_is_pillows(fitted: Callable[..., Any]) -> None:
    """Within a grey level of Pillow's, which rounds and clips after each of the two axes; ours does at the end.

    Contrast is halved, so that nothing is clipped between: the filter overshoots by less than a quarter of a step.
    """
    fit = fitted("bicubic")
    inputs = fit.task.pairs[0] // 2 + 64
    found = fit.sampler.translate(inputs, rng()).permute(0, 2, 3, 1).numpy().astype(int)
    for image, made in zip(inputs, found, strict=True):
        picture = Image.fromarray(image.permute(1, 2, 0).numpy()).resize((32, 32), Image.Resampling.BICUBIC)
        assert np.abs(made - np.asarray(picture).astype(int)).max() <= 1


def test_grey_stays_grey(fitted: Callable[..., Any]) -> None:
    """The answer is the input, and not the same memory."""
    fit = fitted("grey")
    inputs = fit.task.pairs[0]
    made = fit.sampler.translate(inputs, rng())
    assert torch.equal(made, inputs)
    assert made.data_ptr() != inputs.data_ptr()


def test_curves_are_scikit_images(fitted: Callable[..., Any]) -> None:
    """All images laid side by side as one, matched by scikit-image, which leaves floats: equal within rounding."""
    fit = fitted("histogram-matching")
    inputs, targets = fit.task.pairs[0], fit.task.images
    one, other = (np.concatenate(list(x.permute(0, 2, 3, 1).numpy())) for x in (inputs, targets))
    expected = match_histograms(one.astype(float), other.astype(float), channel_axis=-1)
    found = np.concatenate(list(fit.sampler.translate(inputs, rng()).permute(0, 2, 3, 1).numpy()))
    assert np.abs(found - expected).max() <= 0.5 + 1e-9


def test_curves_rise() -> None:
    """A brighter pixel never becomes darker; equal histograms stay as they are."""
    x = torch.randint(256, (4, 3, 16, 16), generator=rng(), dtype=torch.uint8)
    y = torch.randint(100, 200, (4, 3, 16, 16), generator=rng(1), dtype=torch.uint8)
    curves = tone_curves(x, y)
    assert curves.shape == (3, 256)
    assert (curves.int().diff(dim=1) >= 0).all()
    same = tone_curves(x, x)
    for channel in range(3):
        there = x[:, channel].unique().long()
        assert torch.equal(same[channel][there].long(), there)
