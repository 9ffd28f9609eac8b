"""Noise schedules: the growth of noise over the steps of a diffusion process."""

from __future__ import annotations

import math
from typing import Literal

import msgspec
import torch
from torch import Tensor

ScheduleName = Literal["cosine", "linear"]


class ScheduleSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A noise schedule; a denoising network is of use under its own only.

    Attributes:
        name: `cosine` (arXiv 2102.09672) or `linear` (arXiv 2006.11239).
        steps: T, the number of noise levels.
    """

    name: ScheduleName = "cosine"
    steps: int = 1000

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"a diffusion process has at least 1 step; found {self.steps}")

    def betas(self) -> Tensor:
        """Return β of each step: float64, T."""
        return cosine_betas(self.steps) if self.name == "cosine" else linear_betas(self.steps)

    def alpha_bars(self) -> Tensor:
        """Return ᾱ_t = Π_{s ≤ t} (1 − β_s), the share of the image in x_t: float64, T.

        Index 0 is the papers' t = 1: the first noise level, not the clean image.
        """
        return (1 - self.betas()).cumprod(0)


def linear_betas(steps: int) -> Tensor:
    """Return β from 1e-4 to 0.02 in equal steps (arXiv 2006.11239, section 4, T = 1000): float64, T.

    Other T scale both ends by 1000 / T, which keeps ᾱ_T (as guided-diffusion does; the paper has one T only).
    """
    scale = 1000 / steps
    return torch.linspace(1e-4 * scale, 0.02 * scale, steps, dtype=torch.float64).clamp(max=0.999)


def cosine_betas(steps: int, offset: float = 0.008) -> Tensor:
    """Return β = 1 − ᾱ_t / ᾱ_{t−1}, at most 0.999, for ᾱ_t = f(t) / f(0), f(t) = cos²((t / T + s) / (1 + s) · π / 2).

    arXiv 2102.09672, eq. 17 and the lines after it, s = 0.008: float64, T.
    """
    time = torch.arange(steps + 1, dtype=torch.float64) / steps
    alpha_bar = ((time + offset) / (1 + offset) * (math.pi / 2)).cos().square()
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=0.999)
