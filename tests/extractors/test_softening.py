"""Softening: blur and content-seeded noise before the features."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch

from graftbench.errors import GraftbenchError
from graftbench.extractors.softening import softened
from graftbench.records.cell_spec import Protocol
from graftbench.scoring.protocol import Extraction, resolve_protocol


@pytest.fixture
def noise() -> torch.Tensor:
    """Return images of independent values around the middle, so that nothing is clipped."""
    return torch.from_numpy(np.random.default_rng(0).integers(96, 160, (20, 3, 32, 32), dtype=np.uint8))


def test_nothing_asked_is_nothing_done(noise: torch.Tensor) -> None:
    """Without blur and noise the images come back as they are."""
    assert softened(noise, 0, 0) is noise


def test_noise_has_the_stated_spread(noise: torch.Tensor) -> None:
    """The noise has mean 0 and the standard deviation asked for, and its rounding's 1/12 in the variance.

    61,440 values: the standard error of the mean is 8/√61440 = 0.032, of the variance 64·√(2/61440) = 0.37.
    """
    added = softened(noise, 0, 8).double() - noise.double()
    assert abs(added.mean()) < 5 * 0.033
    assert abs(added.var() - (64 + 1 / 12)) < 5 * 0.37


def test_noise_is_the_images_own(noise: torch.Tensor) -> None:
    """Equal images get equal noise wherever they stand, other images other noise, whatever the batch."""
    twice = torch.cat([noise[3:4], noise[:5]])
    soft = softened(twice, 0.7, 8)
    assert torch.equal(soft[0], soft[4])
    assert torch.equal(soft[1:], softened(noise[:5], 0.7, 8))
    added = softened(noise[:2], 0, 8).double() - noise[:2].double()
    assert abs(torch.corrcoef(added.flatten(1))[0, 1]) < 5 / np.sqrt(3072)


def test_blur_is_the_gaussian_cut_at_three_deviations() -> None:
    """A single bright point becomes the product of two normalised Gaussians."""
    image = torch.zeros(1, 3, 9, 9, dtype=torch.uint8)
    image[0, 1, 4, 4] = 255
    weights = np.exp(-0.5 * (np.arange(-4, 5) / 0.7) ** 2) * (np.abs(np.arange(-4, 5)) <= 2)  # int(3 · 0.7 + 0.5) = 2
    weights /= weights.sum()
    expected = np.rint(255 * np.outer(weights, weights))
    soft = softened(image, 0.7, 0)
    assert np.array_equal(soft[0, 1].numpy(), expected)
    assert not soft[0, [0, 2]].any()


def test_the_border_is_repeated() -> None:
    """A flat image is left as it is by the blur, to its border."""
    image = torch.full((1, 3, 8, 8), 200, dtype=torch.uint8)
    assert torch.equal(softened(image, 2, 0), image)


def test_protocols_take_the_extractors_default() -> None:
    """A protocol that says nothing is softened as its extractor is by default; 0 turns it off; the label says which."""
    resolved = resolve_protocol(Protocol())
    assert (resolved.blur, resolved.dither, resolved.label) == (0.7, 8, "lite0@96+blur0.7+dither8")
    plain = resolve_protocol(Protocol(blur=0, dither=0))
    assert (plain.blur, plain.dither, plain.label) == (0, 0, "lite0@96")
    assert resolve_protocol(resolved) == resolved
    assert resolve_protocol(plain) == plain
    assert Extraction.of(plain) == Extraction.of(resolve_protocol(Protocol(dither=0, blur=0.0)))
    assert Extraction.of(Protocol(size=96, resize="bicubic-antialias")).label == "lite0@96"


@pytest.mark.parametrize(("name", "value"), [("blur", -1), ("blur", 9), ("dither", 65), ("dither", float("nan"))])
def test_softening_out_of_range(name: str, value: float) -> None:
    """A blur or a noise that leaves nothing to score is refused with its range."""
    with pytest.raises(GraftbenchError, match=f"The protocol's {name} is {value:g}; expected 0 to"):
        resolve_protocol(msgspec.structs.replace(Protocol(), **{name: value}))
