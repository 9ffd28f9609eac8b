"""`graftbench time-to-quality`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from graftbench.cli.options import between
from graftbench.cli.output import print_json, print_lines, wide_console

MOST_PRICE = 1e9


def time_to_quality(
    run: Path,
    /,
    *more: Path,
    price_per_hour: Annotated[float | None, Parameter(validator=between(0, MOST_PRICE))] = None,
    json: bool = False,
) -> int:
    """Say what a quality costs: seconds, images, joules and money until the fits reach it.

    The levels lie between the untransferred source and real images; the suite must take `snapshots`.

    Args:
        run: A run folder, or a records.jsonl.
        more: More of them; their cells are taken together.
        price_per_hour: Of the machine, in any currency: states money too.
        json: Print an object.
    """
    from rich.table import Table
    from rich.text import Text

    from graftbench.comparison.quality_text import EXPLANATION, headings, quantities, remarks
    from graftbench.comparison.time_to_quality import quality_tables
    from graftbench.records.run import read_runs

    made = quality_tables(read_runs([run, *more]).records)
    if json:
        print_json({"tables": made.tables, "without": made.without, "price_per_hour": price_per_hour})
        return 0
    console = wide_console(120)
    for table in made.tables:
        for name, rows in quantities(table, price_per_hour):
            shown = Table(*headings(table), title=Text(f"{table.title}: {name}"), title_justify="left")
            for row in rows:
                shown.add_row(*map(Text, row))
            console.print(shown)
        print_lines(console, remarks(table))
    if made.tables:
        print_lines(console, [EXPLANATION])
    print_lines(console, [f"{title}: no table: {reason}." for title, reason in made.without.items()])
    return 0
