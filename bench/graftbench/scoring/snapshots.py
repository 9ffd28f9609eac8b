"""Snapshots of a fit: at shares of its budget the averaged generator is sampled and scored, and the fit minds nothing.

They end up in the record as a learning curve, and as a strip of pictures: a row for each snapshot, made of the same
chances in each column.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import msgspec
import torch
from PIL import Image

from graftbench.metrics.catalogue import METRICS, resolve
from graftbench.plugins.code_hash import OF_SAMPLERS
from graftbench.records.record import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graftbench.budget import Meter
    from graftbench.contracts import Sampler
    from graftbench.records.cell_spec import Protocol
    from graftbench.scoring.score import Scored

STRIP_COLUMNS = 8
"""Images of each snapshot that are shown."""

ALWAYS = ("fid", "kid")
"""Scored whether the protocol names them or not."""


class Snapshots:
    """Takes the snapshots of one fit.

    Args:
        shares: Of the budget, ascending.
        score: Samples and scores a sampler; its randomness is its own.
        joules: Returns the fit's energy so far; None without a counter.

    Attributes:
        taken: Those so far.
    """

    def __init__(
        self,
        shares: Sequence[float],
        score: Callable[[Sampler], Scored],
        joules: Callable[[], float | None] = lambda: None,
    ) -> None:
        self.taken: list[Snapshot] = []
        self._shares, self._score, self._joules = list(shares), score, joules
        self._rows: list[torch.Tensor] = []

    @property
    def kid(self) -> float | None:
        """Return the KID of the last snapshot; None before the first."""
        return next((s.value for shot in self.taken[-1:] for s in shot.scores if s.name == "kid"), None)

    def take(self, budget: Meter, sampler: Callable[[], Sampler]) -> bool:
        """Sample and score if a share is due; several that one step has passed get the same scores."""
        waiting = self._shares[len(self.taken) :]
        due = [share for share in waiting if budget.share() >= share]
        if due:
            # Torch's global generators are left where they were, should a method or an extractor draw from them.
            devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
            with budget.paused(), torch.random.fork_rng(devices):
                scored = self._score(sampler())
                spent = {"images_seen": budget.images_seen, "seconds": budget.seconds(), "joules": self._joules()}
                self.taken += [Snapshot(share=share, scores=scored.scores, **spent) for share in due]
                self._rows += [scored.images[:STRIP_COLUMNS].clone() for _ in due]
                del scored
                gc.collect()  # an extractor may hold itself in a circle; its memory is not the fit's
        return bool(due)

    def strip(self) -> Image.Image | None:
        """Return a picture with one row for each snapshot; None where there is none."""
        if not self._rows:
            return None
        strip = torch.cat([torch.cat(list(row), dim=2) for row in self._rows], dim=1)
        return Image.fromarray(strip.permute(1, 2, 0).numpy())

    def state_dict(self) -> dict[str, Any]:
        """Return the snapshots taken so far."""
        return {"taken": msgspec.to_builtins(self.taken), "rows": list(self._rows)}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Resume from such a state."""
        self.taken = msgspec.convert(state["taken"], list[Snapshot])
        self._rows = state["rows"]


def protocol_of(protocol: Protocol) -> Protocol:
    """Return the protocol without metrics that look at training images, with FID and KID, by the first extractor alone.

    Features cost nearly all of a scoring's time, so the protocol's other metrics are had for little; those that look
    at training images are about what was learnt by heart, and belong to the end.
    """
    at_the_end = [name for name in METRICS if "train" in METRICS[name].needs or name in OF_SAMPLERS]
    names = [name for name in resolve(protocol.metrics) if name not in at_the_end]
    metrics = [*names, *(name for name in ALWAYS if name not in names)]
    return msgspec.structs.replace(protocol, metrics=metrics, second=msgspec.UNSET)
