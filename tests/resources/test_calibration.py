"""The unit of time beside every fit."""

from __future__ import annotations

import torch

from graftbench.resources.calibration import calibration_seconds


def test_it_leaves_the_random_state_and_the_gradient_mode_alone() -> None:
    """A fit after it draws what it would have drawn without it."""
    before = torch.random.get_rng_state()
    with torch.no_grad():
        calibration_seconds(repeats=1)
        assert not torch.is_grad_enabled()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_it_is_processor_time_of_the_work() -> None:
    """Above zero, and of the size of the work: 2 convolutions of 8×32×32×32×32×9 multiply-adds, three passes each.

    That is 0.9 GFLOP: between 0.1 ms (9 TFLOP/s, more than a core has) and 5 s (0.2 GFLOP/s).
    """
    assert 1e-4 < calibration_seconds(repeats=3) < 5
