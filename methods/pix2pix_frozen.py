"""pix2pix whose encoder is a frozen classifier: what a million photographs taught it is carried into translation."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.nn.build import seeded
from graftbench.nn.paired import FrozenUNet, FrozenUNetSpec
from graftbench.training.paired import fit_pairs

from .pix2pix import Pix2pix

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Family, Sampler, Task


class Pix2pixFrozen(Pix2pix):
    """pix2pix (Isola et al., CVPR 2017) on the maps of an ImageNet network, as here alone."""

    name = "pix2pix-frozen"
    family: ClassVar[Family] = "frozen"
    title = "pix2pix, frozen classifier as encoder"
    trains = "the way up of a U-Net and a judge of pairs by patches of 16 px, from fresh weights"
    frozen = "the ImageNet backbone EfficientNet-Lite0 that is the way down"
    differs = (
        "the paper trains its encoder; here it is a classifier's first stages, seen at twice the size, under a decoder "
        "of 3×3 convolutions and nearest-neighbour doublings; otherwise as pix2pix here"
    )
    moves = ("translator.decoder.*", "judge.*")

    @property
    def leaks(self) -> str:
        """Name the default extractor, whose network is the backbone."""
        return "lite0"

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Train on the task's pairs."""
        spec = FrozenUNetSpec(task.resolution, self.config.channels)
        return fit_pairs(task, budget, self.config, seeded(lambda: FrozenUNet(spec), task.generator))
