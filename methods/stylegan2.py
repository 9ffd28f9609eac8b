"""StyleGAN2 from scratch: styles scale the kernels of each layer, the discriminator is residual, R1 keeps it smooth."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.contracts import Family, Method
from graftbench.references import cited
from graftbench.training.stylegan2 import StyleGanConfig, fit_stylegan2, new_style_networks

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task


class StyleGan2(Method):
    """Karras, Laine, Aittala, Hellsten, Lehtinen, Aila, CVPR 2020."""

    name = "stylegan2"
    family: ClassVar[Family] = "scratch"
    title = "StyleGAN2 from scratch"
    reference = cited("karras2020analyzing")
    trains = "mapping, generator and discriminator, from fresh weights"
    differs = (
        "channels double from 16 at full resolution up to 128, where configuration F has 512 at all sides up to 64; "
        "latents of 128 and four layers of mapping; no mixing of styles and, by default, no path-length penalty; "
        "DiffAugment (colour, translation) by default, and R1's gradient is taken at the augmented images; Adam's rate "
        "is not lowered for the lazy penalties; samples have fixed noise maps"
    )
    resumable = True
    moves = ("generator.*", "discriminator.*")
    Config = StyleGanConfig

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Train all networks on the target images."""
        return fit_stylegan2(task, budget, self.config, *new_style_networks(task, self.config))
