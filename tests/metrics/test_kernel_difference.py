"""The difference of two KIDs against one reference: value, laws, and by simulation its standard error."""

from __future__ import annotations

import math

import numpy as np
import pytest

from graftbench.errors import GraftbenchError
from graftbench.metrics import Estimate, kid, kid_difference


def samples(seed: int, references: int, shift: float = 0.3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two generators, 600 images of 64 features each, equally far from the reference."""
    rng = np.random.default_rng([seed, references])
    a, b = rng.normal(shift, 1.0, (2, 600, 64))
    return a, b, rng.normal(size=(references, 64))


def error_of(estimate: Estimate) -> float:
    """Its standard error."""
    assert estimate.standard_error is not None
    return estimate.standard_error


def test_it_is_the_difference_of_the_two_and_turns_its_sign() -> None:
    """To rounding; the error is the same either way; of a generator with itself, as two draws, it may be anything."""
    a, b, real = samples(0, 50)
    there, back = kid_difference(a, b, real), kid_difference(b, a, real)
    first, second = kid(a, real).value, kid(b, real).value
    assert first is not None
    assert second is not None
    assert there.value == pytest.approx(first - second, abs=1e-12)
    assert back.value == pytest.approx(-(first - second), abs=1e-12)
    assert error_of(back) == pytest.approx(error_of(there), rel=1e-9)
    assert (there.n_generated, there.n_reference, there.method) == (600, 50, "U-statistic")


@pytest.mark.slow
@pytest.mark.parametrize("references", [50, 200])
def test_the_error_is_that_of_repeated_draws(references: int) -> None:
    """100 repetitions: the standard deviation has an error of 1/√200, 7 %; five of these either way."""
    found = [kid_difference(*samples(seed, references)) for seed in range(100)]
    spread = float(np.std([each.value or 0.0 for each in found], ddof=1))
    expected = math.sqrt(float(np.mean([error_of(each) ** 2 for each in found])))
    assert spread == pytest.approx(expected, rel=0.35)
    covered = np.mean([each.interval is not None and each.interval[0] <= 0 <= each.interval[1] for each in found])
    assert covered >= 0.95 - 4 * math.sqrt(0.95 * 0.05 / 100)


@pytest.mark.parametrize(("references", "least", "most"), [(50, 2.2, 3.4), (200, 1.4, 2.0), (600, 1.15, 1.6)])
def test_two_separate_errors_are_too_wide(references: int, least: float, most: float) -> None:
    """About 2.5, 1.7 and 1.45 times too wide at 50, 200 and 600 references, which depends on how far both are off."""
    ratios = []
    for seed in range(3):
        a, b, real = samples(seed, references)
        separate = math.hypot(error_of(kid(a, real)), error_of(kid(b, real)))
        ratios.append(separate / error_of(kid_difference(a, b, real)))
    assert least < float(np.mean(ratios)) < most


def test_few_images_and_bad_ones() -> None:
    """Below four on a side there is no variance; widths that differ are refused."""
    a, b, real = samples(0, 50)
    assert "4" in kid_difference(a[:3], b, real).undefined
    assert kid_difference(a, b, real[:3]).undefined
    with pytest.raises(GraftbenchError):
        kid_difference(a, b[:, :5], real)
