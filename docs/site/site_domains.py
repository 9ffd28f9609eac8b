"""One page a domain: what it is, its licence, its counts and its contact sheets."""

from __future__ import annotations

import re
from pathlib import Path

from graftbench.cli.ls import rows_of

DOCS = Path(__file__).parents[1]


def pages() -> dict[str, str]:
    """Return path in the site -> Markdown."""
    sections = _sections()
    return {f"domains/{_base(row)}.md": _page(row, sections.get(_base(row), "")) for row in rows_of("domains")}


def overview() -> str:
    """Make the table that stands in domains.md instead of all entries."""
    lines = ["| domain | title | licence | comes with |", "| --- | --- | --- | --- |"]
    lines += [
        f"| [`{row['name']}`](domains/{_base(row)}.md) | {row['title']} | {row['license']} | {row['source']} |"
        for row in rows_of("domains")
    ]
    return "\n".join(lines)


def _page(row: dict[str, str], section: str) -> str:
    """Return the section of docs/domains.md, which has counts and sheets, if there is one; else the class's words."""
    head = f"# `{row['name']}`: {row['title']}\n\n"
    if section:
        return head + re.sub(r"!\[([^\]]+)\]\(domains/", r"`\1`\n\n![\1](", section)
    facts = {"Licence": row["license"], "Attribution": row["attribution"], "Source": row["source"]}
    lines = [f"- {name}: {text}" for name, text in facts.items() if text]
    return f"{head}{row['description']}\n\n" + "\n".join(lines) + "\n\nHow to have it: [data.md](../data.md).\n"


def _sections() -> dict[str, str]:
    """Return domain -> what docs/domains.md says below its heading."""
    text = (DOCS / "domains.md").read_text("utf-8")
    _, *parts = re.split(r"^## `([\w-]+)`: .*$", text, flags=re.MULTILINE)
    return {name: body.strip() + "\n" for name, body in zip(parts[::2], parts[1::2], strict=True)}


def _base(row: dict[str, str]) -> str:
    return row["name"].partition(":")[0]
