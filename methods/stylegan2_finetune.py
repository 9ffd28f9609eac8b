"""Fine-tuned StyleGAN2: generator and discriminator start from a StyleGAN2 source model, and all of both is trained.

The source may be a public checkpoint (docs/sources.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.contracts import Family, Method, SourceNeed
from graftbench.references import cited
from graftbench.training.stylegan2 import StyleGanConfig, fit_stylegan2, source_style_networks

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task


class StyleGan2Finetune(Method):
    """Karras, Aittala, Hellsten, Laine, Lehtinen, Aila, NeurIPS 2020: their transfer, section 4.2."""

    name = "stylegan2-finetune"
    family: ClassVar[Family] = "fine-tune"
    title = "StyleGAN2 (full fine-tune)"
    reference = cited("karras2020training")
    trains = "mapping, generator and discriminator, from the source model"
    differs = (
        "DiffAugment instead of the adaptive augmentation, which `ada` has; no mixing of styles and, by default, no "
        "path-length penalty; R1's gradient is taken at the augmented images; samples have fixed noise maps"
    )
    source_model: ClassVar[SourceNeed] = "stylegan2"
    source_parts = ("network",)
    resumable = True
    moves = ("generator.*", "discriminator.*")
    Config = StyleGanConfig

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Train both source networks on the target images."""
        networks = source_style_networks(task.source_model, task.resolution)
        return fit_stylegan2(task, budget, self.config, *networks)
