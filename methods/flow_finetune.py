"""Fine-tuned flow matching: the velocity network starts from the source model, and all of it is trained on.

The plain way of transferring a flow, and the counterpart of `ddpm-finetune`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.contracts import Family, Method, SourceNeed
from graftbench.references import cited
from graftbench.training.flow_matching import FlowConfig, fit_flow, source_velocity

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task


class FlowFinetune(Method):
    """Lipman, Chen, Ben-Hamu, Nickel, Le, ICLR 2023: their loss, from the source model on."""

    name = "flow-finetune"
    family: ClassVar[Family] = "fine-tune"
    title = "Flow matching (full fine-tune)"
    reference = cited("lipman2023flow")
    trains = "the U-Net, from the source model's averaged weights"
    differs = "the paper trains from fresh weights; network, rate and solver as in `flow`"
    source_model: ClassVar[SourceNeed] = "flow"
    source_parts = ("network",)
    resumable = True
    moves = ("unet.*",)
    Config = FlowConfig

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Minimise ‖(x_1 − x_0) − v_θ(x_t, t)‖² on the target images, starting from the source U-Net."""
        return fit_flow(task, budget, self.config, source_velocity(task.source_model, task.resolution))
