"""`graftbench clean`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from graftbench.cli.options import Flag
from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from graftbench.execution.clean import Cleaned


def clean(
    run: Path | None = None,
    /,
    *,
    keep: Literal["sampler", "samples", "nothing"] | None = None,
    superseded: Flag = False,
    work: Flag = False,
    cache: Flag = False,
    source_models: Flag = False,
    dry_run: Flag = False,
) -> int:
    """Remove artifacts and leftovers from a run folder, or prepared data from the cache. Records stay as they are.

    Without --keep, --superseded and --work, a run folder is looked through and nothing is removed. Do not clear the
    cache while a suite runs: its cells read their images from there.

    Args:
        run: Run folder.
        keep: Artifacts that stay: sampler (all), samples (sample sheets and logs) or nothing (logs alone).
        superseded: Remove cells that later ones have replaced, and folders without a record.
        work: Remove what killed runs left, unrecorded results and checkpoints included.
        cache: Clear the cache instead: prepared images, features, moments, floors, classifiers of factors.
        source_models: With --cache: trained source models, too.
        dry_run: Remove nothing, list what would be removed.
    """
    from graftbench.cache import cache_folder
    from graftbench.execution.clean import clean_cache, clean_run
    from graftbench.suites.disk import megabytes

    _check(run, cache=cache, source_models=source_models, other=bool(keep or superseded or work))
    survey = run is not None and not (keep or superseded or work)
    folder = run or cache_folder()
    if run is None:
        removal = clean_cache(folder, source_models=source_models, dry_run=dry_run)
    else:
        removal = clean_run(
            run,
            keep="nothing" if survey else keep or "sampler",
            superseded=survey or superseded,
            work=survey or work,
            dry_run=survey or dry_run,
        )
    _print_removal(removal, items=dry_run)
    outcome = "would be removed" if dry_run else "could be removed" if survey else "removed"
    print(f"{folder}: {megabytes(removal.size)} {outcome}.")
    if survey and removal.items:
        print("Say what: --keep samples, --keep nothing, --superseded, --work.")
    return 0


def _print_removal(removal: Cleaned, *, items: bool) -> None:
    """Print what was removed, or would be: each item where that is asked for, then the sum of each kind."""
    from graftbench.suites.disk import megabytes

    if items:
        for item in removal.items:
            print(f"{item.path}  {megabytes(item.size)}")
    for kind, (count, size) in removal.kinds().items():
        print(f"{kind}: {count}, {megabytes(size)}")
    for path in removal.in_use:
        print(f"in use, left alone: {path}")


def _check(run: Path | None, *, cache: bool, source_models: bool, other: bool) -> None:
    """Refuse options that do not go together."""
    if (run is None) is not cache:
        raise GraftbenchError("Name a run folder, or give --cache; one of the two.")
    if source_models and not cache:
        raise GraftbenchError("--source-models goes with --cache.")
    if other and cache:
        raise GraftbenchError("--keep, --superseded and --work are about a run folder; they do not go with --cache.")
