"""Exponential moving average of a network's parameters; buffers are copied."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Generic

import torch

from graftbench.nn.build import Net


class Ema(Generic[Net]):
    """θ̄ ← β θ̄ + (1 − β) θ after every step, with β = min(decay, (1 + t) / (10 + t)).

    The ramp makes an early average young (TensorFlow's ExponentialMovingAverage, `num_updates`); without it a short
    fit would still show its start. Batch-norm statistics are averages already and are copied.

    Attributes:
        model: The averaged copy, in eval mode.
    """

    def __init__(self, model: Net, *, decay: float, ramp: bool = True) -> None:
        self.model: Net = deepcopy(model).eval().requires_grad_(requires_grad=False)
        self.decay = decay
        self.ramp = ramp
        self.steps = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the averages, the buffers, and how many steps are in them."""
        return {"model": dict(self.model.state_dict()), "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Resume from a state that `state_dict` returned."""
        self.model.load_state_dict(state["model"])
        self.steps = state["steps"]

    @torch.no_grad()
    def update(self, model: Net) -> None:
        """Take one step of the average towards `model`."""
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps)) if self.ramp else self.decay
        self.steps += 1
        averages: list[torch.Tensor] = list(self.model.parameters())
        values: list[torch.Tensor] = list(model.parameters())
        torch._foreach_lerp_(averages, values, 1 - decay)  # pyright: ignore[reportPrivateImportUsage] - as torch.optim
        for average, value in zip(self.model.buffers(), model.buffers(), strict=True):
            average.copy_(value)
