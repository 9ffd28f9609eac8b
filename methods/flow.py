"""Flow matching on the target images: a U-Net learns the velocity of straight paths from noise to images."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.contracts import Family, Method
from graftbench.references import cited
from graftbench.training.flow_matching import FlowConfig, fit_flow, new_velocity

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task


class Flow(Method):
    """Lipman, Chen, Ben-Hamu, Nickel, Le, ICLR 2023; the same loss as in Liu, Gong, Liu, ICLR 2023 (rectified flow)."""

    name = "flow"
    family: ClassVar[Family] = "scratch"
    title = "Flow matching"
    reference = cited("lipman2023flow")
    trains = "the U-Net, from fresh weights"
    differs = (
        "a U-Net of 0.5 M parameters (one block per side, attention at 8×8, no dropout) at ten times the rate, and 12 "
        "steps of a fixed solver instead of an adaptive one, so that a fit and its samples take a minute on one CPU "
        "core; the path ends on the image itself (σ_min = 0), as in rectified flow (arXiv 2209.03003), of which it is "
        "the first round: no path is straightened by a second"
    )
    resumable = True
    moves = ("unet.*",)
    Config = FlowConfig

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Minimise ‖(x_1 − x_0) − v_θ(x_t, t)‖² until the budget is spent; the sampler follows averaged weights."""
        return fit_flow(task, budget, self.config, new_velocity(task, self.config))
