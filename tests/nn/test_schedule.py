"""The noise schedules are the formulas of their papers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from graftbench.nn.schedule import ScheduleName, ScheduleSpec, cosine_betas, linear_betas

BOTH = pytest.mark.parametrize("name", ["cosine", "linear"])


def test_linear() -> None:
    """β runs from 1e-4 to 0.02 in 999 equal steps, and ᾱ is the running product of 1 − β (arXiv 2006.11239)."""
    betas = np.linspace(1e-4, 0.02, 1000)
    torch.testing.assert_close(linear_betas(1000), torch.from_numpy(betas))
    torch.testing.assert_close(ScheduleSpec("linear").alpha_bars(), torch.from_numpy(np.cumprod(1 - betas)))


def test_linear_ends_alike_for_every_t() -> None:
    """Fewer steps are larger ones: ᾱ_T stays what it is at T = 1000.

    log ᾱ_T = −Σβ − Σβ²/2 − …; Σβ = 10.05 for every T, and Σβ² ≈ T (0.02 · 1000/T)² / 3 = 133/T is 0.53 at T = 250,
    0.13 at T = 1000: half of the difference is 0.2, and the terms beyond add less than a tenth of it.
    """
    ends = [float(ScheduleSpec("linear", steps).alpha_bars()[-1].log()) for steps in (250, 1000)]
    assert ends[0] == pytest.approx(ends[1], abs=0.22)


def test_cosine() -> None:
    """ᾱ at t of T is cos² of (t/T + s)/(1 + s) · π/2 over its value at 0, s = 0.008 (arXiv 2102.09672, eq. 17).

    Index t − 1 holds step t. The last step is the one whose β is cut.
    """

    def f(t: int) -> float:
        return math.cos((t / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2

    alpha_bars = ScheduleSpec("cosine").alpha_bars().tolist()
    for t in (1, 2, 250, 500, 750, 999):
        assert alpha_bars[t - 1] == pytest.approx(f(t) / f(0), rel=1e-9)
    assert alpha_bars[499] == pytest.approx(0.4938, abs=5e-5)
    assert alpha_bars[999] == pytest.approx(0.001 * f(999) / f(0), rel=1e-9)


def test_no_step_takes_everything() -> None:
    """β of the cosine schedule is at most 0.999, which only the last step reaches; without it ᾱ_T would be 0."""
    betas = cosine_betas(1000)
    assert float(betas[-1]) == 0.999
    assert betas[:-1].max() < 0.8  # 1 − f(999) / f(998) is 3/4: f falls with the square of the distance to its zero
    assert linear_betas(4).max() == 0.999


@BOTH
@pytest.mark.parametrize("steps", [1, 2, 10, 1000])
def test_noise_grows(name: ScheduleName, steps: int) -> None:
    """ᾱ, and the signal-to-noise ratio ᾱ/(1 − ᾱ) with it, falls at every step and stays between 0 and 1."""
    alpha_bars = ScheduleSpec(name, steps).alpha_bars()
    assert alpha_bars.shape == (steps,)
    assert alpha_bars.dtype == torch.float64
    assert alpha_bars.min() > 0
    assert alpha_bars.max() < 1
    assert (alpha_bars.diff() < 0).all()


def test_an_image_lasts_longer_in_the_cosine_schedule() -> None:
    """Halfway half of the signal's power is left, not a tenth: the reason for it at small sides (their figure 5)."""
    cosine, linear = (float(ScheduleSpec(name).alpha_bars()[499]) for name in ("cosine", "linear"))
    assert cosine > 0.45
    assert linear < 0.1


def test_no_steps() -> None:
    """A process of no steps is refused."""
    with pytest.raises(ValueError, match="at least 1 step; found 0"):
        ScheduleSpec(steps=0)
