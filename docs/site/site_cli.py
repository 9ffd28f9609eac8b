"""The reference of the command line, made by cyclopts from the commands themselves."""

from __future__ import annotations

import re
from importlib import import_module

import docstring_parser

from graftbench.cli import make_app
from graftbench.cli.commands import COMMANDS

_BEFORE = """# The command line

Exit codes of every command: 0 fine; 1 a regression was found; 2 usage, bad input or nothing to do; 3 some cells failed;
130 interrupted. Errors are one sentence on stderr. `graftbench --help` and `graftbench COMMAND --help` print what
stands here; `graftbench completion bash` (or `zsh`, `fish`) prints a script that completes commands and options.
"""


def page() -> str:
    """Make the page `reference/cli.md`."""
    text = make_app().generate_docs(heading_level=1, max_heading_level=4)
    _, *sections = re.split(r"^#{2,4} graftbench ", text, flags=re.MULTILINE)
    parts = [section.partition("\n") for section in sections]
    return "\n\n".join(
        [_BEFORE, *(_section(name.strip(), body) for name, _, body in parts if name.strip() in COMMANDS)]
    )


def _section(name: str, body: str) -> str:
    """Write one command: what cyclopts writes, the docstring's further paragraphs, the examples."""
    group, _, verb = name.rpartition(" ")
    module = import_module(f"graftbench.cli.{(group or verb).replace('-', '_')}")
    more = docstring_parser.parse(getattr(module, verb.replace("-", "_")).__doc__ or "").long_description or ""
    body = body.replace("**Parameters**:", f"{more}\n\n**Parameters**:" if more else "**Parameters**:")
    body = re.sub(r" \*\[default: (\[\]|False)\]\*", "", body).replace("```console\ngraftbench", "```text\ngraftbench")
    examples = "\n".join(f"$ {example}" for example in COMMANDS[name].examples)
    return f"## graftbench {name}\n{body.strip()}\n\n```console\n{examples}\n```"
