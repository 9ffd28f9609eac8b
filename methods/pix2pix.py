"""pix2pix: a U-Net that learns from pairs what an input should become, from fresh weights.

Nothing is transferred: beside `pix2pix-frozen` it says what a pretrained encoder buys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.contracts import Family, Method
from graftbench.nn.build import seeded
from graftbench.nn.paired import PairedUNet, PairedUNetSpec
from graftbench.references import cited
from graftbench.training.paired import PairedConfig, check_judge, fit_pairs

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task
    from graftbench.records.cell_spec import Kind


class Pix2pix(Method):
    """Isola, Zhu, Zhou, Efros, CVPR 2017."""

    name = "pix2pix"
    family: ClassVar[Family] = "scratch"
    title = "pix2pix"
    reference = cited("isola2017image")
    trains = "a U-Net and a judge of pairs by patches of 16 px, from fresh weights"
    differs = (
        "half the channels, for a CPU; down to 2×2 instead of 1×1; no dropout, so that one input has one answer; "
        "batches of 32 at a fivefold rate instead of 1; no jitter or mirroring; an averaged translator in eval mode"
    )
    kinds: ClassVar[tuple[Kind, ...]] = ("superres4", "colorize", "stylize")
    needs_pairs = True
    resumable = True
    moves = ("translator.*", "judge.*")
    Config = PairedConfig

    def check(self, resolution: int) -> None:
        """Refuse a side of which the judge's halvings leave too little."""
        check_judge(self.config, resolution)

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Train on the task's pairs."""
        spec = PairedUNetSpec(task.resolution, self.config.channels)
        return fit_pairs(task, budget, self.config, seeded(lambda: PairedUNet(spec), task.generator))
