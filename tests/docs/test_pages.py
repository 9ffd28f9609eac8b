"""Every command and code block of README.md, CONTRIBUTING.md and docs/*.md does what the page says."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from page_blocks import ConsoleCommand, FencedBlock, blocks, commands, needs, variables
from page_fixtures import PROVIDED
from page_output import difference
from page_runs import PageRun, misspelt

from graftbench.cli.commands import COMMANDS, GROUPS

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LANGUAGES = {"console", "python", "toml", "yaml", "json", "text", "bibtex"}
MOST_UNRUN = 12
"""Blocks that may be left unrun in all. Find a way to run one before raising it."""


def unrun() -> list[str]:
    """Blocks that are left unrun, with their reasons."""
    return [
        f"{page.name}:{block.line}: {block.reason}"
        for page in PAGES
        for block in blocks(page.read_text("utf-8"))
        if block.reason
    ]


def test_few_blocks_are_left_unrun_and_each_has_its_reason(record_property: Callable[[str, object], None]) -> None:
    """A block that cannot be run says why; there are few of them, all in the test's report."""
    found = unrun()
    record_property("unrun", found)
    assert all(len(line.split(": ")[1].split()) >= 2 for line in found)
    assert len(found) <= MOST_UNRUN, "\n".join(found)


def test_every_block_of_a_page_has_a_language_and_every_need_is_known() -> None:
    """No block is skipped because nobody knew what it is; what a page needs can be made."""
    for page in PAGES:
        text = page.read_text("utf-8")
        assert set(needs(text)) <= set(PROVIDED), page.name
        for block in blocks(text):
            assert block.language in LANGUAGES, f"{page.name}:{block.line}: {block.language!r}"


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "```console" in page.read_text("utf-8")], ids=lambda page: page.stem
)
def test_commands_that_are_not_run_are_spelt_as_the_command_line_takes_them(page: Path) -> None:
    """Names and types of the options of every `graftbench …` in a block that is left unrun."""
    found = [block for block in blocks(page.read_text("utf-8")) if block.language == "console" and block.reason]
    assert [problem for block in found for command in commands(block) for problem in misspelt(command)] == []


def test_commands_that_the_text_names_exist() -> None:
    """Each `graftbench …` within a sentence names a command, or a group of them."""
    known = set(COMMANDS) | set(GROUPS)
    for page in PAGES:
        for words in re.findall(r"`graftbench ([a-z][a-z-]*(?: [a-z][a-z-]*)?)[^`]*`", page.read_text("utf-8")):
            assert {words, words.split()[0]} & known, f"{page.name}: graftbench {words}"


def test_the_parts_of_a_page_are_found() -> None:
    """Blocks with their marks, commands with their output, continued lines, needs and environment."""
    page = """<!-- needs: runs/quick, docs -->
<!-- with: SHA=HEAD -->
<!-- not run: it takes hours -->
```console
$ one \\
  --more
$ two
out
…
```
text
- item

  <!-- exit: 2 -->
  ```toml title="a.toml"
  x = 1
  ```
""".replace("\\\\", "\\")
    first, second = blocks(page)
    assert (first.line, first.language, first.reason, first.code) == (4, "console", "it takes hours", 0)
    assert commands(first) == [ConsoleCommand(5, "one \\\n  --more", None), ConsoleCommand(7, "two", "out\n…\n")]
    assert second == FencedBlock(15, "toml", "x = 1\n", "a.toml", "", 2)
    assert needs(page) == ["runs/quick", "docs"]
    assert variables(page) == {"SHA": "HEAD"}
    with pytest.raises(ValueError, match="not closed"):
        list(blocks("```toml\nx = 1\n"))
    with pytest.raises(ValueError, match="begins with a line"):
        commands(FencedBlock(1, "console", "one\n"))


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a b", "a\n  b", True),
        ("│ a │ 1 │", "┃ a ┃ 1 ┃", True),
        ("a … d", "a b c d", True),
        ("… d", "a b c", False),
        ("a", "a b", False),
        ("a …", "a", True),
        ("KID 1000", "KID 1040", True),
        ("KID 1000", "KID 1060", False),
        ("0.231", "0.232", True),
        ("0.2", "0.4", False),
        ("3 cells", "4 cells", False),
        ("took 3.5 s", "took 31 s", True),
        ("took 3.5s", "took 31s", True),
        ("+63 %", "+99 %", False),
        ("cell 61e2109263bcafee", "cell d36fceaa3cfad225", True),
        ("on 2026-01-31", "on 2027-02-01", True),
        ("a…z", "abcz", True),
        ("−3", "3", False),
    ],
)
def test_output_is_compared_by_the_rules(shown: str, printed: str, *, same: bool) -> None:
    """Words, gaps, numbers near enough, numbers with units, ids and dates."""
    assert (difference(shown, printed) == "") is same


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data of all pages; a folder of the caller's own where $GRAFTBENCH_CACHE names one."""
    named = os.environ.get("GRAFTBENCH_CACHE")
    return Path(named) if named else tmp_path_factory.mktemp("cache")


@pytest.mark.docs
@pytest.mark.parametrize(
    "page", [pytest.param(page, id=page.stem) for page in PAGES if "```" in page.read_text("utf-8")]
)
def test_the_blocks_of_a_page_run_and_print_what_it_shows(page: Path, tmp_path: Path, cache: Path) -> None:
    """Copied one after the other into an empty folder, the blocks work and print what stands below them."""
    problems = list(PageRun(page, tmp_path, cache).problems())
    assert not problems, "\n\n".join(problems)
