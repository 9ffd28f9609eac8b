"""time-to-quality.md: what a quality costs, in seconds, images and joules; runs that never arrive are censored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.comparison.quality_text import EXPLANATION, headings, quantities, remarks
from graftbench.comparison.time_to_quality import quality_tables
from graftbench.contracts import Report

from ._tables.groups import groups, mixed_protocols
from ._tables.text import markdown, markdown_table

if TYPE_CHECKING:
    from pathlib import Path

    from graftbench.comparison.time_to_quality import QualityTable
    from graftbench.records.run import Run


class TimeToQuality(Report):
    """Seconds, images and joules until the snapshots of a method's fits reach levels between source and floor.

    Of runs whose fits were not looked at on the way (`snapshots` in the suite) it says so.
    """

    name = "time-to-quality"
    title = "What a quality costs: seconds, images, joules (Markdown)"
    formats = (".md",)
    on_request = ("*",)

    def write(self, run: Run, out: Path) -> list[Path]:
        """Write time-to-quality.md."""
        all_groups = groups(run)
        made = quality_tables(record for group in all_groups for record in group.records)
        path = out / "time-to-quality.md"
        blocks = [f"# {markdown(run.name)}: what a quality costs"]
        if mixed := mixed_protocols(all_groups):
            blocks.append(f"**{markdown(mixed)}**")
        blocks.append(EXPLANATION if made.tables else "No task has fits that were looked at on the way (`snapshots`).")
        blocks += [block for table in made.tables for block in _section(table)]
        if made.without:
            blocks += ["## Without a table"]
            blocks += ["\n".join(f"- {markdown(title)}: {markdown(reason)}." for title, reason in made.without.items())]
        path.write_text("\n\n".join(blocks) + "\n", encoding="utf-8", newline="")
        return [path]


def _section(table: QualityTable) -> list[str]:
    ends = f"KID×10³: source {1000 * table.source:z,.0f}, floor {1000 * table.floor:z,.0f}."
    blocks = [f"## {markdown(table.title)}", ends]
    heads = headings(table)
    for name, rows in quantities(table, None):
        blocks += [
            f"### {name.capitalize()}",
            markdown_table(heads, [[markdown(text) for text in row] for row in rows]),
        ]
    if lines := remarks(table):
        blocks.append("\n".join(f"- {markdown(line)}" for line in lines))
    return blocks
