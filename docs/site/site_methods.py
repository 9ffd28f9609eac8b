"""One page a method: its idea, where it comes from, what moves, its parameters, what was measured."""

from __future__ import annotations

import math
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from site_structs import fields, one_line, toml

from graftbench.citations import bibtex, entry_of
from graftbench.cli.ls import rows_of
from graftbench.plugins.registry import methods
from graftbench.records.run import read_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.contracts import Method
    from graftbench.records.record import Record

DOCS = Path(__file__).parents[1]
MEASURED = {"results": "the suite of [the results](../results.md)", "quick": "the suite `quick`"}
"""Folder of docs/ with records -> what they are of."""


def pages() -> dict[str, str]:
    """Return path in the site -> Markdown."""
    classes = methods().classes
    return {f"methods/{row['name']}.md": page(row, classes[row["name"]]) for row in rows_of("methods")}


def overview() -> str:
    """Make the table that stands in methods.md instead of all entries."""
    rows = rows_of("methods")
    lines = ["| method | family | title | trains |", "| --- | --- | --- | --- |"]
    lines += [
        f"| [`{row['name']}`](methods/{row['name']}.md) | {row['family']} | {row['title']} | {row['trains']} |"
        for row in rows
    ]
    return "\n".join(lines)


def page(row: dict[str, Any], method: type[Method]) -> str:
    """Write one method's page."""
    parts = [
        f"# `{row['name']}`: {row['title']}",
        (sys.modules[method.__module__].__doc__ or method.__doc__ or "").strip(),  # the idea
        _facts(row),
        "## Parameters",
        _parameters(method, row),
    ]
    if measured := _measured(row["name"]):
        parts += ["## Measured", measured]
    if row["reference"]["authors"] != "graftbench":
        parts += ["## To cite", f"```bibtex\n{bibtex([entry_of(method.reference)]).strip()}\n```"]
    return "\n\n".join(parts) + "\n"


def facts_of(row: dict[str, Any]) -> dict[str, str]:
    """Return what a method's entry and its page say of it: where it comes from, what moves, what differs."""
    paper, facts = row["reference"], {}
    if paper["authors"] != "graftbench":
        cited = f"{paper['authors']}: *{paper['title']}*, {paper['venue']} {paper['year']}".replace(",  ", ", ")
        arxiv = f", [arXiv {paper['arxiv']}](https://arxiv.org/abs/{paper['arxiv']})" if paper["arxiv"] else ""
        code = f"[{paper['code'].split('//')[-1]}]({paper['code']})" if paper["code"] else "none known"
        code_license = f" (licence: {paper['code_license']})" if paper["code_license"] else ""
        facts |= {"Paper": cited + arxiv, "Published code": code + code_license}
    needs = [f"a source model of kind `{row['source_model']}`"] if row["source_model"] else []
    needs += ["source images"] if row["needs_source_images"] else []
    start = " and ".join(needs) or ("what its parameters name" if row["adapter"] else "the target images alone")
    facts |= {"Trained": row["trains"], "Frozen": row["frozen"], "Starts from": start, "Differs": row["differs"]}
    if row["looks_at"]:
        facts["Looks at"] = f"the network of the extractor `{row['looks_at']}`: its scores under that one are marked"
    return facts


def _facts(row: dict[str, Any]) -> str:
    kinds = ", ".join(f"`{kind}`" for kind in row["kinds"])
    facts = {"Family": row["family"], "Kinds of task": kinds} | facts_of(row)
    if row.get("adapter"):
        facts["Used as"] = "a variant with parameters of its own (`[variants.NAME]`)"
    return "\n".join(["| | |", "| --- | --- |", *(f"| **{name}** | {_cell(text)} |" for name, text in facts.items())])


def _parameters(method: type[Method], row: dict[str, Any]) -> str:
    config_fields = fields(method.Config)
    if not config_fields:
        return "None."
    changed = {name: toml(value) for name, value in row["parameters"].items() if value is not None}
    lines = ["| parameter | default | meaning |", "| --- | --- | --- |"]
    for field in config_fields:
        value = changed.get(field.name, field.default)
        default = "required" if value is None else f"`{value}`" if value else "none"
        lines.append(f"| `{field.name}` | {default} | {_cell(field.meaning)} |")
    return "\n".join([f"In a suite: `[parameters.{row['name']}]`.", "", *lines])


def _measured(name: str) -> str:
    parts = []
    for folder, what in MEASURED.items():
        tasks: dict[str, dict[int, list[Record]]] = defaultdict(lambda: defaultdict(list))
        for record in read_run(DOCS / folder / "records.jsonl").records:
            cell = record.cell
            if cell.method == name and record.status == "ok":
                conditions = f"`{cell.task}`, {cell.compute_budget}, protocol {cell.protocol.label}"
                tasks[conditions][cell.data_budget].append(record)
        parts += [f"{conditions}: {what}.\n\n{_rows(cells)}" for conditions, cells in tasks.items()]
    return "\n\n".join(parts)


def _rows(cells: dict[int, list[Record]]) -> str:
    names = ("fid", "kid", "precision", "recall", "train_distance_ratio")
    lines = ["| images | FID ↓ | KID×10³ ↓ | precision ↑ | recall ↑ | train distance | seeds |", "| ---: " * 7 + "|"]
    for budget, records in sorted(cells.items()):
        scores = [_spread([_value(r, name) * (1000 if name == "kid" else 1) for r in records]) for name in names]
        lines.append(f"| {budget} | {' | '.join(scores)} | {len(records)} |")
    return "\n".join(lines)


def _value(record: Record, name: str) -> float:
    score = record.score(name)
    return math.nan if score is None or score.value is None else score.value


def _spread(values: Sequence[float]) -> str:
    """Print mean ± standard deviation over seeds."""
    if any(map(math.isnan, values)):
        return "—"
    mean = statistics.fmean(values)
    digits = 0 if abs(mean) >= 20 else 2
    spread = f" ± {statistics.stdev(values):,.{digits}f}" if len(values) > 1 else ""
    return f"{mean:,.{digits}f}{spread}"


def _cell(text: str) -> str:
    return one_line(text).replace("|", "&#124;")
