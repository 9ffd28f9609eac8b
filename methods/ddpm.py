"""Denoising diffusion on the target images: a U-Net learns to predict the noise that was added to an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.contracts import Family, Method
from graftbench.references import cited
from graftbench.training.diffusion import DiffusionConfig, fit_diffusion, new_unet

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task


class Ddpm(Method):
    """Ho, Jain, Abbeel, NeurIPS 2020; schedule as Nichol, Dhariwal, ICML 2021; sampling as Song et al., ICLR 2021."""

    name = "ddpm"
    family: ClassVar[Family] = "scratch"
    title = "DDPM"
    reference = cited("ho2020denoising")
    trains = "the U-Net, from fresh weights"
    differs = (
        "a U-Net of 0.5 M parameters instead of 36 M (one block per side, attention at 8×8, no dropout) at ten times "
        "the rate, and sampling that visits 25 of the 1000 levels (arXiv 2010.02502, η = 1), so that a fit and its "
        "samples take a minute on one CPU core; cosine schedule (arXiv 2102.09672), because the linear one drowns "
        "small images too early; the layers predict the velocity, from which the noise follows (arXiv 2202.00512; the "
        "loss is still the noise's), because otherwise the samples of a few hundred steps are noise"
    )
    resumable = True
    moves = ("unet.*",)
    Config = DiffusionConfig

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Minimise ‖ε − ε_θ(x_t, t)‖² until the budget is spent; the sampler denoises with averaged weights."""
        return fit_diffusion(task, budget, self.config, new_unet(task, self.config))
