"""`graftbench export-task`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, validators

from graftbench.cli.options import Flag, Plugins, Seed, SuiteName


def export_task(
    task: str,
    out: Path,
    *,
    budget: Annotated[int, Parameter(validator=validators.Number(gte=1))],
    seed: Seed,
    suite: SuiteName | None = None,
    run: Path | None = None,
    form: Annotated[Literal["png", "zip"], Parameter(name="--format")] = "png",
    source: Flag = False,
    plugin: Plugins = [],  # noqa: B006 - never changed
) -> int:
    """Write the images that a fit of a cell gets, a manifest, and a README of what to hand back.

    Args:
        task: A task of the suite, as it writes it.
        out: Folder, empty or not there.
        budget: Number of target training images.
        seed: Which draw of them.
        suite: Packaged suite or TOML file that the task is of; quick by default.
        run: Run folder whose suite it is, instead.
        form: png, for files; zip, for one file as StyleGAN and EDM read them.
        source: Write the source domain's training images too.
        plugin: File or folder with more domains.
    """
    import sys

    from graftbench.errors import GraftbenchError
    from graftbench.execution.run_folder import SUITE, RunFolder
    from graftbench.suites.export import export_task as export

    if run is not None and suite is not None:
        raise GraftbenchError("The task is of a suite or of a run's: give --suite or --run, not both.")
    if run is not None and not (run / SUITE).is_file():
        raise GraftbenchError(f"'{run}' is no run folder: it holds no {SUITE}.")
    manifest = export(
        task,
        out,
        budget=budget,
        seed=seed,
        suite=RunFolder(run).suite() if run is not None else suite or "quick",
        form=form,
        with_source=source,
        plugins=plugin,
        say=lambda sentence: print(sentence, file=sys.stderr),
    )
    images, origin = "1 image" if budget == 1 else f"{budget} images", manifest.source_images
    also = "" if origin is None else f" and {len(origin.images)} of {origin.name}"
    print(f"{out}: {images} of {manifest.target.name}{also}, {manifest.resolution} px. What to hand back: README.md")
    return 0
