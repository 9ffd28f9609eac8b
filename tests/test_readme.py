"""The README says what the suite says."""

from __future__ import annotations

import re
from pathlib import Path

from graftbench.cli.commands import COMMANDS
from graftbench.cli.ls import markdown_table, rows_of
from graftbench.frame import read_run
from graftbench.registry import reports
from graftbench.suite import parse_suite

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def section(name: str) -> str:
    """What stands between `<!-- name -->` and `<!-- end -->`."""
    found = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- end -->", README, re.DOTALL)
    assert found, name
    return found.group(1).strip()


def test_the_tables_of_methods_and_domains_are_generated() -> None:
    """`graftbench ls methods --markdown` is the README's table, and so for the domains."""
    for what in ("methods", "domains"):
        assert section(what) == markdown_table(rows_of(what))


def test_the_results_are_the_records(tmp_path: Path) -> None:
    """The table of results is what the report makes of the committed records."""
    run = read_run(ROOT / "docs" / "quick" / "records.jsonl")
    reports()["table"]().write(run, tmp_path)
    rows = [line for line in section("results").splitlines() if line.startswith("|")]
    made = (tmp_path / "table.md").read_text("utf-8").splitlines()
    assert len(rows) > 20
    assert all(row in made for row in rows)


def test_the_suite_in_the_readme_is_valid() -> None:
    """The example of a suite file parses."""
    (toml,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    assert parse_suite(toml, "README").data_budgets == [10, 100]


def test_the_commands_in_the_readme_exist() -> None:
    """Each `$ graftbench …` line names a command."""
    lines = re.findall(r"^\$ graftbench (.*)$", README, re.MULTILINE)
    assert len(lines) >= 6
    assert all(any(line.startswith(name) for name in COMMANDS) for line in lines)
