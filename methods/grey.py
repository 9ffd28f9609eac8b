"""Reference row of colourisation: the grey input as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graftbench.contracts import Family, Method, Reference
from graftbench.training.translation import ContentSampler

if TYPE_CHECKING:
    import torch

    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task
    from graftbench.records.cell_spec import Kind


class IdentitySampler(ContentSampler):
    """Answers with the input."""

    kind: ClassVar[str] = "identity"

    def translate(self, inputs: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return the inputs, uint8 n×3×R×R."""
        del generator
        return inputs.clone()

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
        """Return the contents."""
        return {"contents": self.contents.images}, {}

    @classmethod
    def from_state(cls, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> IdentitySampler:
        """Rebuild the sampler."""
        del metadata
        return cls(tensors["contents"])


class Grey(Method):
    """Does not colour."""

    name = "grey"
    family: ClassVar[Family] = "reference"
    title = "Grey as it is"
    reference = Reference(authors="graftbench", title="Reference row: the grey input", venue="", year=2026)
    trains = "nothing"
    kinds: ClassVar[tuple[Kind, ...]] = ("colorize",)
    needs_pairs = True

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Keep the inputs to draw samples of."""
        del budget
        return IdentitySampler(task.pairs[0])
