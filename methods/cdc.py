"""CDC: what the source generator makes alike stays alike, and what it makes different stays different.

Two ideas. The adapted generator keeps the source's similarities between the images of a batch of latents (cross-domain
distance consistency). And only latents near a few fixed anchors, one a target image, must give whole images that pass
for real; all others are judged by patches, so that a handful of images is not what everything has to look like.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from graftbench.bounds import AtLeastTwo, NonNegative  # noqa: TC001 - msgspec reads them
from graftbench.references import cited
from graftbench.training.adversarial import gaussian_latents

from ._relaxed_realism import DIFFERS, Players, RelaxedConfig, RelaxedMethod

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.training.adversarial import GeneratorPass, GeneratorTerm


class Config(RelaxedConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Weight and batch of the consistency term, as in the published code.

    Attributes:
        consistency: Weight of the consistency term, a mean over samples and over the others that each is compared with.
            (The paper writes a sum over the others: of the four latents of a batch, three times as much.)
        consistency_batch: Latents that are compared with one another.
    """

    consistency: NonNegative = 1000.0
    consistency_batch: AtLeastTwo = 4


class Cdc(RelaxedMethod):
    """Ojha, Li, Lu, Efros, Lee, Shechtman, Zhang, CVPR 2021."""

    name = "cdc"
    title = "CDC"
    reference = cited("ojha2021few")
    frozen = "a copy of the source generator, whose similarities are kept"
    differs = (
        f"{DIFFERS}; one layer is drawn a step instead of one a sample; the consistency term is a mean over the other "
        "samples, as in the published code, where the paper's equation has a sum, three times as strong"
    )
    Config = Config

    def terms(self, players: Players) -> Sequence[GeneratorTerm]:
        """Return the consistency term, or nothing where its weight is 0."""
        return [_Consistency(self.config, players)] if self.config.consistency else []


class _Consistency:
    """The consistency term on fresh latents, at a block drawn for the step; the stem is left out, as in the code."""

    def __init__(self, config: Config, players: Players) -> None:
        self._config, self._players = config, players

    def __call__(self, _: GeneratorPass) -> dict[str, Tensor]:
        task = self._players.task
        z = gaussian_latents(self._config.consistency_batch, self._players.generator, task)
        kept, adapted = self._players.both_stages(z)
        layer = 1 + int(torch.randint(len(kept) - 1, (), generator=task.generator))
        return {"consistency": self._config.consistency * consistency_loss(kept[layer], adapted[layer])}


def similarities(features: Tensor) -> Tensor:
    """Return the log-softmax, over the other samples, of each sample's cosine similarity to them.

    Args:
        features: B×…, flattened.

    Returns:
        B×(B − 1).
    """
    unit = F.normalize(features.flatten(1), dim=1)
    size = len(unit)
    other = ~torch.eye(size, dtype=torch.bool, device=unit.device)
    return (unit @ unit.T)[other].view(size, size - 1).log_softmax(dim=1)


def consistency_loss(source: Tensor, adapted: Tensor) -> Tensor:
    """Return KL(source ‖ adapted) of the similarities, a mean over samples and the others; 0 for fewer than two.

    Args:
        source: Features of the source generator, B×….
        adapted: Features of the adapted one for the same latents.
    """
    if len(source) < 2:
        return adapted.sum() * 0
    return F.kl_div(similarities(adapted), similarities(source), reduction="none", log_target=True).mean()
