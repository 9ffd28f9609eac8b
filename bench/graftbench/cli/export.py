"""`graftbench export`."""

from __future__ import annotations

from pathlib import Path

from graftbench.cli.options import Texts


def export(
    run: Path,
    /,
    *,
    tracker: Texts,
    select: str = "",
) -> int:
    """Send a run that is there to a tracker, as `graftbench run --tracker` would have shown it.

    Cells that the tracker shows already are replaced, so that it can be sent again.

    Args:
        run: A run folder.
        tracker: tensorboard, wandb, mlflow, that of an installed package or of a Python file; options as
            NAME:key=value,key=value. May be given several times.
        select: Only some cells: "task=twemoji->openmoji@32 budget<=100 method=dcgan,finetune", or digits of an id.
    """
    from rich.console import Console

    from graftbench.execution.trackers.replay import send

    with Console().status("") as status:
        sent = send(run, tracker, select=select, report=lambda record: status.update(str(record.cell)))
    for name, count in sent.items():
        print(f"{run}: {count} cells sent to {name}.")
    return 0
