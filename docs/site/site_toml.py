"""The reference of suite files: every table and key, from the structs that read them."""

from __future__ import annotations

from site_structs import fields, first_paragraph, structs_within, table

from graftbench.suites.suite import Suite, packaged_suites

_BEFORE = """# Suite files

A suite is a TOML file. Each key is read into the struct of its table; a key that is not listed here is refused, naming
the nearest one. This page is made from those structs.

A file with `[variants.NAME]` tables alone can be given by `--plugin FILE.toml`; its methods are then known by those
names.
"""


def page() -> str:
    """Make the page `reference/toml.md`."""
    parts = [_BEFORE]
    for struct in structs_within(Suite):
        where = "the file itself" if struct is Suite else f"a table `{struct.__name__}`"
        parts.append(f"## {struct.__name__}\n\n{first_paragraph(struct.__doc__)} ({where})\n\n{table(fields(struct))}")
    parts.append(
        f"## A whole file\n\nThe packaged suite `quick`:\n\n```toml\n{packaged_suites()['quick'].strip()}\n```\n"
    )
    return "\n\n".join(parts)
