"""The averaged network follows the formula, step by step."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from graftbench.nn.ema import Ema


def scalar(value: float) -> nn.Linear:
    """A network of one number."""
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, value)
    return network


def averages(ema: Ema[nn.Linear], values: list[float]) -> list[float]:
    """The average after each of the values."""
    seen = []
    for value in values:
        ema.update(scalar(value))
        seen.append(float(ema.model.weight.detach()))
    return seen


def test_without_ramp() -> None:
    """θ̄ ← ¾ θ̄ + ¼ θ from 8 over 0, 4, −8: 6, 5.5, 2.125."""
    assert averages(Ema(scalar(8), decay=0.75, ramp=False), [0, 4, -8]) == [6, 5.5, 2.125]


def test_with_ramp() -> None:
    """β is 1/10, 2/11, 3/12, then the decay of 0.3, for 4/13 is above it."""
    first = 0.1 * 0 + 0.9 * 1
    second = 2 / 11 * first + 9 / 11 * 2
    third = 0.25 * second + 0.75 * 3
    fourth = 0.3 * third + 0.7 * 4
    found = averages(Ema(scalar(0), decay=0.3), [1, 2, 3, 4])
    assert found == pytest.approx([first, second, third, fourth], rel=1e-6)  # float32


def test_buffers_are_copied() -> None:
    """Batch-norm statistics are averages already: the copy has the network's, its counter included."""
    network = nn.BatchNorm1d(3)
    ema = Ema(network, decay=0.9)
    network(torch.arange(12.0).view(4, 3))
    ema.update(network)
    for name, buffer in network.named_buffers():
        assert torch.equal(ema.model.get_buffer(name), buffer)
    assert int(ema.model.get_buffer("num_batches_tracked")) == 1


def test_the_average_is_a_copy() -> None:
    """It is in eval mode, wants no gradient, and the network it follows is left alone."""
    network = scalar(1).train()
    ema = Ema(network, decay=0.5)
    ema.update(scalar(3))
    assert not ema.model.training
    assert not ema.model.weight.requires_grad
    assert network.training
    assert network.weight.requires_grad
    assert float(network.weight.detach()) == 1


def test_what_does_not_move_stays_exactly() -> None:
    """A frozen weight's average is the weight, to the last bit, after any number of steps."""
    network = nn.Linear(50, 50)
    ema = Ema(network, decay=0.998)
    for _ in range(20):
        ema.update(network)
    assert torch.equal(ema.model.weight, network.weight)
