"""Training that methods share: the loop, the steps of each kind of model, checkpoints and source models."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graftbench.training.loop import Batches as Batches
    from graftbench.training.loop import Step as Step
    from graftbench.training.loop import TrainingConfig as TrainingConfig
    from graftbench.training.loop import TrainingLog as TrainingLog
    from graftbench.training.loop import adam as adam
    from graftbench.training.loop import check_between as check_between
    from graftbench.training.loop import descend as descend
    from graftbench.training.loop import load_prefixed as load_prefixed
    from graftbench.training.loop import note_small_budget as note_small_budget
    from graftbench.training.loop import prepare as prepare
    from graftbench.training.loop import source_spec as source_spec
    from graftbench.training.loop import staged as staged
    from graftbench.training.loop import train as train
    from graftbench.training.loop import trained as trained

_FROM_THE_LOOP = (
    *("Batches", "Step", "TrainingConfig", "TrainingLog", "adam", "check_between", "descend", "load_prefixed"),
    *("note_small_budget", "prepare", "source_spec", "staged", "train", "trained"),
)


def __getattr__(name: str) -> object:
    """Import the loop, and torch with it, only at the first use of one of its names (PEP 562)."""
    if name in _FROM_THE_LOOP:
        from graftbench.training import loop  # noqa: PLC0415 - torch comes with it

        return getattr(loop, name)
    raise AttributeError(f"module 'graftbench.training' has no attribute {name!r}")
