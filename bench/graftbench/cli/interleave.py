"""`graftbench interleave`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from graftbench.cli.options import SuiteName


def interleave(
    suite: SuiteName,
    *run_options: Annotated[str, Parameter(allow_leading_hyphen=True)],
    base: str,
    new: str = "graftbench",
    out: Path,
    repeats: int = 3,
) -> int:
    """Run a suite with two versions of graftbench by turns on this machine, for costs that compare.

    Afterwards `graftbench compare OUT/base OUT/new` judges.

    Args:
        suite: A packaged suite or a TOML file.
        run_options: Further options of `graftbench run`, after `--`.
        base: How the base's graftbench is called (../main/.venv/bin/graftbench).
        new: How the new one is called.
        out: Folder of both sides' runs.
        repeats: How often each side runs.
    """
    from graftbench.regression.interleave import interleave as by_turns

    by_turns({"base": base, "new": new}, [suite, *run_options], out, repeats, tell=lambda line: print(line, flush=True))
    print(f"graftbench compare {out / 'base'} {out / 'new'}")
    return 0
