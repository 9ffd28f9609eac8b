"""Made-up cells and scores, and a real run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftbench.plugins import registry
from graftbench.plugins.code_hash import code_of
from graftbench.records.cell_spec import CellSpec, ComputeBudget, Protocol, TaskSpec
from graftbench.records.record import Score

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graftbench.images.prepared import ImageSet

EMOJI_RECORDS = Path(__file__).parent / "emoji" / "records.jsonl"
"""A real run's 36 records, all `ok`: nine methods, 25 and 400 images of OpenMoji, seeds 0 and 1."""
EMOJI_SUITE = Path(__file__).parents[2] / "docs" / "examples" / "emoji.toml"
"""Their suite."""
TASK = TaskSpec("twemoji", "openmoji", 32)
PROTOCOL = Protocol(size=96, resize="bicubic-antialias")


def make_cell(method: str = "finetune", seed: int = 0, images: int = 25, **fields: Any) -> CellSpec:
    """Make a cell of 8 kimg on emoji; any other field may be given."""
    fixed: dict[str, Any] = {
        "family": "fine-tune",
        "parameters": {},
        "task": TASK,
        "compute_budget": ComputeBudget(kimg=8),
        "protocol": PROTOCOL,
    }
    return CellSpec(method=method, seed=seed, data_budget=images, **(fixed | fields))


def make_quick_cell(method: str, target: ImageSet, protocol: Protocol, **parameters: Any) -> CellSpec:
    """Make a cell of 32 images on 25 of OpenMoji's, as a plan makes it of a registered method."""
    cls = registry.methods()[method]
    return make_cell(
        method,
        family=cls.family,
        parameters=parameters,
        task=TaskSpec("none", "openmoji", 32),
        compute_budget=ComputeBudget(kimg=0.032),
        protocol=protocol,
        manifests={"openmoji": target.manifest},
        code=code_of(cls),
    )


def make_scores(values: Mapping[str, float | None], protocol: str = PROTOCOL.label) -> list[Score]:
    """Make scores of 600 images against 620; those of None are undefined."""
    return [
        Score(
            name=name,
            value=value,
            undefined="" if value is not None else "too few images",
            n_generated=600,
            n_reference=620,
            protocol=protocol,
        )
        for name, value in values.items()
    ]
