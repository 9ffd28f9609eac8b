"""Write the generated parts of README.md and docs/metrics.md: tables from the registry, results from records.

    python docs/readme.py

Each part stands between `<!-- NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from graftbench.cli.ls import markdown_table, rows_of
from graftbench.frame import read_run
from graftbench.registry import reports

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "docs" / "quick" / "records.jsonl"
FIGURE = ROOT / "docs" / "quick" / "quality.svg"


def parts() -> dict[str, str]:
    """Name -> generated Markdown; the whole table and the figure are written beside the records."""
    run = read_run(RECORDS)
    found = reports()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        for name in ("table", "figures"):
            found[name]().write(run, out)
        table = (out / "table.md").read_text("utf-8")
        FIGURE.write_bytes((out / "quality.svg").read_bytes())
    (ROOT / "docs" / "quick" / "table.md").write_text(table, "utf-8")
    _, _, section = table.partition("\n## ")
    _, conditions, *results = section.split("\n\n")
    environment = run.records[0].environment
    made = f"Commit {environment['commit'][:8]}, {run.records[0].finished_at[:10]}, {environment['cpu']['model']}."
    return {
        "conditions": f"*{conditions} {made}*",
        "results": headline("\n\n".join(results).strip()),
        "methods": markdown_table(rows_of("methods")),
        "domains": markdown_table(rows_of("domains")),
    }


def headline(results: str) -> str:
    """The first panel of the table with the footnotes that it uses; the others are in docs/quick/table.md."""
    first, *_ = results.split("\n### ")
    used = {number for marks in re.findall(r"<sup>([\d,]+)</sup>", first) for number in marks.split(",")}
    kept = [line for line in re.findall(r"^\d+\. .*$", results, re.MULTILINE) if line.split(".")[0] in used]
    more = (
        "Precision, recall, density, coverage, diversity and memorisation: [docs/quick/table.md](docs/quick/table.md)."
    )
    return "\n\n".join([first.strip(), "\n".join(kept), more])


def metrics_part() -> dict[str, str]:
    """The table in docs/metrics.md."""
    return {"metrics": markdown_table(rows_of("metrics"))}


def fill(text: str, contents: dict[str, str], where: str = "README.md") -> str:
    """Put each part between its marks."""
    for name, content in contents.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        text, count = re.subn(
            pattern, lambda found, content=content: f"{found[1]}\n{content}\n\n{found[2]}", text, flags=re.DOTALL
        )
        if count != 1:
            raise SystemExit(f"{where} has {count} parts '{name}'; expected 1.")
    return text


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(fill(readme.read_text("utf-8"), parts()), "utf-8")
    metrics = ROOT / "docs" / "metrics.md"
    metrics.write_text(fill(metrics.read_text("utf-8"), metrics_part(), metrics.name), "utf-8")
