"""`graftbench merge`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from graftbench.cli.options import Flag

MOST_DUPLICATES = 20
"""Duplicates that differ are listed up to this many."""


def merge(
    runs: Annotated[list[Path], Parameter(required=True)],
    /,
    *,
    out: Path,
    link: Flag = False,
) -> int:
    """Join run folders of one suite that come from shards or from several machines.

    Of the records of one cell an ok one counts, else the newest. The runs are not changed.

    Args:
        runs: Run folders.
        out: The merged run folder: new, empty, or one to which more is added.
        link: Hard links to samplers and sheets instead of copies, where the file system can.
    """
    from graftbench.execution.merge import merge as join

    merged = join(runs, out, link=link)
    for note in merged.notes:
        print(note)
    if merged.duplicates:
        differ = [duplicate for duplicate in merged.duplicates if not duplicate.agrees]
        agree = len(merged.duplicates) - len(differ)
        print(
            f"{len(merged.duplicates)} cells were run more than once: {agree} agree to the digit, {len(differ)} differ."
        )
        for duplicate in differ[:MOST_DUPLICATES]:
            print(f"  {duplicate}")
        if len(differ) > MOST_DUPLICATES:
            print(f"  ... and {len(differ) - MOST_DUPLICATES} more")
    ended = ", ".join(f"{count} {status}" for status, count in merged.statuses.items()) or "no records"
    print(
        f"{merged.folder}: {merged.present} of {merged.total} cells; {merged.missing} missing. Records: {ended}. "
        f"Folders copied: {merged.copied}."
    )
    return 0
