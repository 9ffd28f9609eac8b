"""Fine-tuned diffusion: the U-Net starts from the source model, and all of it is trained on.

The plain way of transferring a diffusion model, and the baseline of every cleverer one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.contracts import Family, Method, SourceNeed
from graftbench.references import cited
from graftbench.training.diffusion import DiffusionConfig, fit_diffusion, source_unet

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task


class DdpmFinetune(Method):
    """Ho, Jain, Abbeel, NeurIPS 2020: their loss, from the source model on; what `ddpm-pa` adds its terms to."""

    name = "ddpm-finetune"
    family: ClassVar[Family] = "fine-tune"
    title = "DDPM (full fine-tune)"
    reference = cited("ho2020denoising")
    trains = "the U-Net, from the source model's averaged weights"
    differs = (
        "the paper trains from fresh weights; the shared small U-Net, which visits 25 noise levels per image, and the "
        "rate of the training from scratch, because a small budget has a few hundred steps"
    )
    source_model: ClassVar[SourceNeed] = "diffusion"
    source_parts = ("network",)
    resumable = True
    moves = ("unet.*",)
    Config = DiffusionConfig

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Minimise ‖ε − ε_θ(x_t, t)‖² on the target images, starting from the source U-Net and under its schedule."""
        return fit_diffusion(task, budget, self.config, source_unet(task.source_model, task.resolution))
