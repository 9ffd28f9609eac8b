"""Write the generated parts of README.md and docs/: tables and entries from the registry, results from records.

    python docs/site/readme.py

Each part stands between `<!-- NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samples import picture
from short_results import conditions, duration, finding, five_lines, groups_in_order
from site_methods import facts_of

from graftbench.cli.claims import markdown_table as claims_table
from graftbench.cli.ls import markdown_table, rows_of
from graftbench.comparison.claims import check_claims
from graftbench.plugins.registry import reports
from graftbench.records.run import read_run

if TYPE_CHECKING:
    from graftbench.records.run import Run

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "docs"))
fill = import_module("page_parts").fill
QUICK = ROOT / "docs" / "quick"
RESULTS = ROOT / "docs" / "results"


def parts() -> dict[str, str]:
    """Name -> generated Markdown of the README."""
    run = read_run(QUICK / "records.jsonl")
    return {
        "samples": picture("docs/quick/samples.png", run),
        "demo": duration(run),
        "findings": findings(run),
    }


def index_parts() -> dict[str, str]:
    """Name -> generated Markdown of docs/index.md, which has the README's picture and its table."""
    run = read_run(QUICK / "records.jsonl")
    return {"samples": picture("quick/samples.png", run), "findings": findings(run)}


def findings(run: Run) -> str:
    """Write the table of five lines, what its numbers are, and the finding of each task."""
    all_groups = groups_in_order(run)
    sentences = "\n".join(f"- {finding(group)}" for group in all_groups)
    return "\n\n".join([five_lines(all_groups), conditions(all_groups), sentences])


def quick_parts() -> dict[str, str]:
    """Name -> generated Markdown of docs/quick.md."""
    return results(QUICK, "quick/table.md")


def domains_part() -> dict[str, str]:
    """Make the table of docs/data.md: the domains that pip installs."""
    columns = ("name", "title", "license", "description")
    rows = [row for row in rows_of("domains") if row["source"].startswith("Python package")]
    return {"domains": markdown_table([{name: row[name] for name in columns} for row in rows])}


def results_parts() -> dict[str, str]:
    """Name -> generated Markdown of docs/results.md."""
    claims = check_claims(read_run(RESULTS / "records.jsonl").records)
    return results(RESULTS, "results/table.md") | {"claims": claims_table(claims)}


def results(folder: Path, link: str) -> dict[str, str]:
    """Write conditions and first panels of a folder's records; the whole table and the figure lie beside them.

    Of several tasks each has a heading and its conditions below it, in the order of the records.
    """
    run = read_run(folder / "records.jsonl")
    plugins = reports()
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary)
        for name in ("table", "figures"):
            plugins[name]().write(run, out)
        table = (out / "table.md").read_text("utf-8")
        (folder / "quality.svg").write_bytes((out / "quality.svg").read_bytes())
    (folder / "table.md").write_text(table, "utf-8")
    first = run.records[0]
    provenance = f"Commit {first.environment['commit'][:8]}, {first.finished_at[:10]}"
    provenance += f", {first.environment['cpu']['model']}."
    sections = task_sections(
        table, [f"{record.cell.task.source} → {record.cell.task.target} " for record in run.records]
    )
    more = f"Precision, recall, density, coverage, diversity and memorisation: [{link}]({link})."
    if len(sections) == 1:
        _, conditions, panels = sections[0]
        return {"conditions": f"*{conditions} {provenance}*", "results": f"{headline(panels)}\n\n{more}"}
    parts = [f"### {title}\n\n*{conditions}*\n\n{headline(panels)}" for title, conditions, panels in sections]
    titles = "; ".join(title for title, _, _ in sections)
    return {"conditions": f"*{titles}. {provenance}*", "results": "\n\n".join([*parts, more])}


def task_sections(table: str, titles: list[str]) -> list[tuple[str, str, str]]:
    """Return title, conditions and panels of table.md's sections of one task, in the order of these titles."""
    sections = []
    for section in table.split("\n## ")[1:]:
        title, conditions, *panels = section.strip().split("\n\n")
        if title != "Over tasks":
            place = next((i for i, beginning in enumerate(titles) if title.startswith(beginning)), len(titles))
            sections.append((place, (title, conditions, "\n\n".join(panels))))
    return [section for _, section in sorted(sections)]


def headline(panels: str) -> str:
    """Return the first panel of a section with the footnotes that it uses."""
    first, *_ = panels.split("\n### ")
    used = {number for marks in re.findall(r"<sup>([\d,]+)</sup>", first) for number in marks.split(",")}
    kept = [line for line in re.findall(r"^\d+\. .*$", panels, re.MULTILINE) if line.split(".")[0] in used]
    return "\n\n".join(filter(None, [first.strip(), "\n".join(kept)]))


def metrics_part() -> dict[str, str]:
    """Make the table in docs/metrics.md."""
    return {"metrics": markdown_table(rows_of("metrics"))}


FAMILIES = {
    "scratch": "From scratch",
    "fine-tune": "Full fine-tune",
    "frozen": "Frozen backbone",
    "vae": "Variational autoencoders",
    "style": "Style transfer",
    "submitted": "Made elsewhere",
    "reference": "Reference rows",
}


def methods_part() -> dict[str, str]:
    """Make the body of docs/methods.md: a table of all, then one entry a method, by family."""
    rows = rows_of("methods")
    sections = [markdown_table(rows)]
    for family, heading in FAMILIES.items():
        entries = [entry(row) for row in rows if row["family"] == family]
        sections.append("\n\n".join([f"## {heading}", *entries]))
    return {"methods": "\n\n".join(sections)}


def entry(row: dict[str, Any]) -> str:
    """Write one method: where it comes from, what moves, what differs, its parameters."""
    required = row["required"]
    parameters = ", ".join(
        f"`{name}` (required)" if name in required else f"`{name} = {value!r}`"
        for name, value in row["parameters"].items()
    )
    lines = [f"- **{name}:** {text}" for name, text in facts_of(row).items()]
    lines += [f"- **Parameters:** {parameters}"] if parameters else []
    return "\n".join([f"### `{row['name']}`: {row['title']}", "", *lines])


PAGES = {
    "README.md": parts,
    "docs/index.md": index_parts,
    "docs/quick.md": quick_parts,
    "docs/data.md": domains_part,
    "docs/metrics.md": metrics_part,
    "docs/methods.md": methods_part,
    "docs/results.md": results_parts,
}
"""File -> what makes its generated parts."""


if __name__ == "__main__":
    for name, make in PAGES.items():
        fill(ROOT / name, make())
