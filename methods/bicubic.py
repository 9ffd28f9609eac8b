"""Reference row of super-resolution: the input enlarged by a cubic filter, with nothing learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.contracts import Family, Method
from graftbench.nn.paired import enlarged
from graftbench.references import cited
from graftbench.training.samplers import to_float, to_uint8
from graftbench.training.translation import ContentSampler

if TYPE_CHECKING:
    import torch

    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task
    from graftbench.records.cell_spec import Kind


class BicubicSampler(ContentSampler):
    """Enlarges to a side; see `nn.paired.enlarged`."""

    kind: ClassVar[str] = "bicubic"

    def __init__(self, contents: torch.Tensor, side: int) -> None:
        super().__init__(contents)
        self.side = side

    def translate(self, inputs: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Enlarge inputs: uint8 n×3×h×w -> n×3×side×side."""
        del generator
        return to_uint8(enlarged(to_float(inputs), self.side))

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
        """Return contents and side."""
        return {"contents": self.contents.images}, {"side": str(self.side)}

    @classmethod
    def from_state(cls, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> BicubicSampler:
        """Rebuild the sampler."""
        return cls(tensors["contents"], int(metadata["side"]))


class Bicubic(Method):
    """Keys, IEEE TASSP 1981."""

    name = "bicubic"
    family: ClassVar[Family] = "reference"
    title = "Bicubic enlargement"
    reference = cited("keys1981cubic")
    trains = "nothing"
    kinds: ClassVar[tuple[Kind, ...]] = ("superres4",)
    needs_pairs = True

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Keep the side, and the inputs to draw samples of."""
        del budget
        return BicubicSampler(task.pairs[0].cpu(), task.resolution)
