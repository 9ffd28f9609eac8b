"""`graftbench cite`."""

from __future__ import annotations

import sys
from pathlib import Path

from graftbench.cli.options import Plugins


def cite(
    run: Path,
    /,
    *more: Path,
    plugin: Plugins = [],  # noqa: B006 - never changed
) -> int:
    """Print BibTeX for what a run used: methods, domains, metrics, extractor, graftbench.

    Exit code 2: a method or a domain is not known here, and left out.

    Args:
        run: A run folder, or a records.jsonl.
        more: More of them; what is used in several is printed once.
        plugin: File or folder with the methods and domains that the run had from one.
    """
    from graftbench.citations import GIVE_PLUGIN, bibliography, bibtex
    from graftbench.plugins.registry import domains, methods, metrics
    from graftbench.records.run import read_runs

    metrics(plugin)
    entries, missing = bibliography(read_runs([run, *more]).records, methods(plugin).classes, domains(plugin).classes)
    print(bibtex(entries), end="")
    for sentence in missing:
        print(f"graftbench: {sentence}", file=sys.stderr)
    return 2 if any(GIVE_PLUGIN in sentence for sentence in missing) else 0
