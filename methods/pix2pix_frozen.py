"""pix2pix whose encoder is a frozen classifier: what a million photographs taught it is carried into translation."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.nn.build import seeded
from graftbench.nn.paired import FrozenUNet, FrozenUNetSpec
from graftbench.references import cited
from graftbench.training.paired import PairedConfig, check_judge, fit_pairs

from ._lite0 import Lite0Method

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Family, Sampler, Task
    from graftbench.records.cell_spec import Kind


class Pix2pixFrozen(Lite0Method):
    """pix2pix (Isola et al., CVPR 2017) on the maps of an ImageNet network, as here alone."""

    name = "pix2pix-frozen"
    family: ClassVar[Family] = "frozen"
    title = "pix2pix, frozen classifier as encoder"
    reference = cited("isola2017image")
    trains = "the way up of a U-Net and a judge of pairs by patches of 16 px, from fresh weights"
    frozen = "the ImageNet backbone EfficientNet-Lite0 that is the way down"
    differs = (
        "the paper trains its encoder; here it is a classifier's first stages, seen at twice the size, under a decoder "
        "of 3×3 convolutions and nearest-neighbour doublings; otherwise as pix2pix here"
    )
    kinds: ClassVar[tuple[Kind, ...]] = ("superres4", "colorize", "stylize")
    needs_pairs = True
    resumable = True
    moves = ("translator.decoder.*", "judge.*")
    Config = PairedConfig

    def check(self, resolution: int) -> None:
        """Refuse a side of which the judge's halvings leave too little."""
        check_judge(self.config, resolution)

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Train on the task's pairs."""
        spec = FrozenUNetSpec(task.resolution, self.config.channels)
        return fit_pairs(task, budget, self.config, seeded(lambda: FrozenUNet(spec), task.generator))
