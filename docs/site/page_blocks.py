"""The fenced blocks of a Markdown page, with what the comments before them say.

A comment right before a block tells how it is tested; a reader of the page does not see it:

    <!-- not run: REASON -->   the block is not run; commands of graftbench in it are still parsed
    <!-- exit: 2 -->           the last command of the block ends with this code

A comment anywhere on the page names what its folder holds before the first block (`page_fixtures.PROVIDED`):

    <!-- needs: runs/quick, runs/main -->

and another one what its environment holds:

    <!-- with: GITHUB_STEP_SUMMARY=summary.md -->
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[\w-]*)(?P<rest>.*)$")
_TITLE = re.compile(r'title="([^"]+)"')
_NEEDS = re.compile(r"<!-- needs: (.*?) -->")
_WITH = re.compile(r"<!-- with: (\w+)=(.*?) -->")
_COMMENT = re.compile(r"<!-- (not run|exit): (.*?) -->")


class FencedBlock(NamedTuple):
    """A fenced block.

    Attributes:
        line: Number of its opening line in the page.
        language: The word after the fence.
        text: What stands between the fences, without their indentation; ends with a newline.
        title: Name of the file that it is, or empty.
        reason: Why it is not run, or empty.
        code: Exit code of its last command.
    """

    line: int
    language: str
    text: str
    title: str = ""
    reason: str = ""
    code: int = 0


class ConsoleCommand(NamedTuple):
    """A line after `$ `, and the output that stands below it.

    Attributes:
        line: Number of the line in the page.
        text: The command, with its continued lines.
        output: The lines below it; None where there are none.
    """

    line: int
    text: str
    output: str | None


def blocks(page: str) -> Iterator[FencedBlock]:
    """Yield the fenced blocks of a page's text, in order.

    Raises:
        ValueError: A block is not closed.
    """
    lines = page.splitlines()
    marks: dict[str, str] = {}
    number = 0
    while number < len(lines):
        line = lines[number]
        if fence := _FENCE.match(line):
            end = _end(lines, number, fence["indent"])
            body = [text.removeprefix(fence["indent"]) for text in lines[number + 1 : end]]
            title = _TITLE.search(fence["rest"])
            yield FencedBlock(
                number + 1,
                fence["language"],
                "".join(f"{text}\n" for text in body),
                title[1] if title else "",
                marks.get("not run", ""),
                int(marks.get("exit", 0)),
            )
            marks, number = {}, end
        elif comment := _COMMENT.search(line):
            marks[comment[1]] = comment[2]
        elif line.strip():
            marks = {}
        number += 1


def needs(page: str) -> list[str]:
    """Return the names of what the page's folder holds before its first block."""
    return [name.strip() for names in _NEEDS.findall(page) for name in names.split(",")]


def variables(page: str) -> dict[str, str]:
    """Return what the environment of the page's commands holds beside the usual."""
    return dict(_WITH.findall(page))


def commands(block: FencedBlock) -> list[ConsoleCommand]:
    """Return the commands of a `console` block: lines after `$ `, continued where they end with a backslash.

    Raises:
        ValueError: It begins with something else.
    """
    console_commands: list[ConsoleCommand] = []
    for offset, line in enumerate(block.text.splitlines(), start=1):
        if line.startswith("$ "):
            console_commands.append(ConsoleCommand(block.line + offset, line[2:], None))
        elif not console_commands:
            raise ValueError(f"line {block.line + offset}: a console block begins with a line after '$ '")
        elif console_commands[-1].output is None and console_commands[-1].text.endswith("\\"):
            console_commands[-1] = console_commands[-1]._replace(text=f"{console_commands[-1].text}\n{line}")
        else:
            console_commands[-1] = console_commands[-1]._replace(output=f"{console_commands[-1].output or ''}{line}\n")
    return console_commands


def _end(lines: list[str], start: int, indent: str) -> int:
    for number in range(start + 1, len(lines)):
        if lines[number].rstrip() == f"{indent}```":
            return number
    raise ValueError(f"line {start + 1}: the block is not closed")
