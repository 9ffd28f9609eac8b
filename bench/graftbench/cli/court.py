"""`graftbench court`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from graftbench.cli.options import Plugins, Seed, comma_separated
from graftbench.cli.output import wide_console

if TYPE_CHECKING:
    from graftbench.scoring.court.trial import CourtResults


def court(
    *runs: Path,
    out: Path = Path("runs/court"),
    metrics: str = "",
    domain: str = "avatars:micah",
    quick: bool = False,
    seed: Seed = 0,
    plugin: Plugins = [],  # noqa: B006 - never changed
) -> int:
    """Try scores where the truth is known: sanity checks, planted failures, fitted generators.

    Args:
        runs: Run folders whose targets know their factors; their ranks are compared with the truth.
        out: Folder for results.json, court.md and the figures. What is in it under the same settings is not computed
            again.
        metrics: Comma-separated names or sets; by default all that can be tried.
        domain: Images that know their factors, at 32 px.
        quick: Try little, in about a minute: too little for verdicts.
        seed: Of all draws.
        plugin: File or folder with more metrics and domains.
    """
    from graftbench.cache import cache_folder
    from graftbench.errors import GraftbenchError
    from graftbench.images.prepared import load
    from graftbench.metrics.catalogue import resolve
    from graftbench.plugins import registry
    from graftbench.records.cell_spec import Protocol
    from graftbench.records.run import read_runs
    from graftbench.scoring.court.page import draw, tables
    from graftbench.scoring.court.trial import FULL, SMALL, try_scores
    from graftbench.scoring.court.values import JUDGED
    from graftbench.scoring.features import FeatureReader
    from graftbench.scoring.protocol import resolve_protocol

    registry.metrics(plugin)
    names = [*resolve(comma_separated(metrics))] if metrics else [*JUDGED]
    records = read_runs(runs).records if runs else []
    images = load(registry.make_domain(domain, plugin), domain, 32)
    if not images.factors:
        raise GraftbenchError(
            f"The images of '{domain}' are not labelled with factors, so no truth is known; use avatars:STYLE."
        )
    reader = FeatureReader(resolve_protocol(Protocol(size=96)), cache_folder())

    def say(step: str) -> None:
        print(step, file=sys.stderr, flush=True)

    out.mkdir(parents=True, exist_ok=True)
    results = try_scores(names, SMALL if quick else FULL, images, reader, out, records=records, seed=seed, say=say)
    (out / "court.md").write_text(f"# The court\n\n{tables(results)}\n", "utf-8")
    draw(results, out)
    _print(results)
    print(f"Written to {out}: results.json, court.md, told.svg, shares.svg.")
    return 0


def _print(results: CourtResults) -> None:
    from rich import box
    from rich.table import Table

    from graftbench.scoring.court.page import verdict_rows

    head, *rows = verdict_rows(results)
    table = Table(box=box.SIMPLE_HEAD)
    for heading in head:
        table.add_column(heading)
    for row in rows:
        table.add_row(*row)
    wide_console(200).print(table)
