"""`graftbench ls`."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, get_args

from graftbench.cli.options import Plugins
from graftbench.cli.output import markdown_rows, print_json, print_lines

if TYPE_CHECKING:
    from msgspec import Struct

    from graftbench.contracts import Method


def ls(
    what: Literal["methods", "domains", "suites", "reports", "extractors", "metrics", "trackers"],
    *,
    plugin: Plugins = [],  # noqa: B006 - never changed
    json: bool = False,
    markdown: bool = False,
) -> int:
    """List what there is.

    Args:
        what: methods, domains, suites, reports, extractors, metrics or trackers.
        plugin: File or folder with more methods, domains, reports and metrics.
        json: Print a list of objects, each with a name.
        markdown: Print a Markdown table; tables of the documentation are made by it.
    """
    rows, broken = _rows(what, plugin)
    if json:
        print_json(rows)
    elif markdown:
        print(markdown_table(rows))
    else:
        _print(rows)
    for name, error in broken.items():
        print(f"graftbench: {name} could not be imported: {error}", file=sys.stderr)
    return 0


def rows_of(what: str) -> list[dict[str, Any]]:
    """Return the rows of a list, one dictionary a row."""
    return _rows(what, [])[0]


def _rows(what: str, plugin: Plugins) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return the rows of a list, and plugin file -> error for those that could not be imported."""
    from graftbench.contracts import Family
    from graftbench.errors import GraftbenchError
    from graftbench.plugins import registry

    if what == "methods":
        methods = registry.methods(plugin)  # by name; the sort keeps that order within a family
        families = get_args(Family)
        rows, wrong = [], dict[str, str]()
        for method in sorted(methods.classes.values(), key=lambda m: families.index(m.family)):
            try:
                rows.append(_method(method))
            except GraftbenchError as error:  # a variant with a wrong parameter
                wrong[method.name] = str(error)
        return rows, methods.broken | wrong
    if what == "domains":
        domains = registry.domains(plugin)
        names = ("title", "license", "source", "description", "attribution")
        rows = [
            {"name": d.name + (f":{d.takes_argument}" if d.takes_argument else "")} | {n: getattr(d, n) for n in names}
            for d in domains.classes.values()
        ]
        return rows, domains.broken
    if what == "reports":
        reports = registry.reports(plugin)
        return [{"name": r.name, "title": r.title} for r in reports.classes.values()], reports.broken
    if what == "trackers":
        from graftbench.execution.trackers.find import described

        return [dict(row) for row in described()], {}
    if what == "metrics":
        broken = registry.metrics(plugin)
        return _metrics(), broken
    makers = {"extractors": _extractors, "suites": _suites}
    return makers[what](), {}


def _method(m: type[Method]) -> dict[str, Any]:
    from msgspec import to_builtins

    from graftbench.plugins.config import config_of

    defaults, required = _defaults(m.Config)
    leaks = ""
    if not m.adapter:
        given = config_of(m.Config, dict(m.defaults), f"[variants.{m.name}]") if m.defaults else m.Config()
        leaks = m(given).leaks
    return {
        "name": m.name,
        "family": m.family,
        "title": m.title,
        "trains": m.trains,
        "frozen": m.frozen,
        "differs": m.differs,
        "moves": list(m.moves),
        "source_model": m.source_model,
        "needs_source_images": m.needs_source_images,
        "kinds": list(m.kinds),
        "adapter": m.adapter,
        "looks_at": leaks,
        "reference": to_builtins(m.reference),
        "parameters": {**defaults, **m.defaults},
        "required": required,
    }


def _extractors() -> list[dict[str, Any]]:
    import dataclasses

    from graftbench.extractors.load import describe, extractor_names

    return [dataclasses.asdict(describe(name)) for name in extractor_names()]


def _metrics() -> list[dict[str, Any]]:
    from graftbench.metrics.catalogue import EVERY_METRIC, SETS

    sets = {m: [name for name, members in SETS.items() if m in members and name != "all"] for m in EVERY_METRIC}
    return [
        {"name": m.name, "label": m.heading, "title": m.title, "sets": ", ".join(sets[m.name])}
        | {"needs": ", ".join(m.needs), "paper": m.paper, "better": m.better, "scale": m.scale}
        for m in EVERY_METRIC.values()
    ]


def _suites() -> list[dict[str, Any]]:
    from graftbench.suites.suite import packaged_suites, parse_suite

    names = ("name", "title", "tasks", "methods", "data_budgets", "seeds")
    suites = [parse_suite(text, name) for name, text in packaged_suites().items()]
    return [
        {name: getattr(suite, name) for name in names} | {"compute_budget": ", ".join(map(str, suite.compute_budgets))}
        for suite in suites
    ]


def _defaults(config: type[Struct]) -> tuple[dict[str, Any], list[str]]:
    """Return parameter -> default, None for one that must be given; and those that must."""
    from msgspec import NODEFAULT, structs, to_builtins

    # An instance tells without the fields' types, which take a while to read; there is none where one must be given.
    with suppress(TypeError):
        return {name: to_builtins(value) for name, value in structs.asdict(config()).items()}, []
    fields = structs.fields(config)
    values = {
        field.name: to_builtins(field.default if field.default_factory is NODEFAULT else field.default_factory())
        if not field.required
        else None
        for field in fields
    }
    return values, [field.name for field in fields if field.required]


_COLUMNS = (
    *("name", "label", "family", "title", "sets", "needs", "paper", "options", "missing", "license", "source"),
    *("description", "trains", "data_budgets", "compute_budget"),
)


def _print(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    sets = _sets(rows)
    wide = _WIDE if sets else _LONG if rows and "attribution" in rows[0] else ()
    columns = [column for column in _COLUMNS if rows and column in rows[0] and column not in wide]
    table = Table()
    for column in columns:  # a name is to be typed: it is shown whole
        table.add_column(column, no_wrap=column == "name")
    for row in rows:
        table.add_row(*(escape(str(row[column])) for column in columns))
    console = Console()
    console.print(table)
    print_lines(console, (f"{name}: {', '.join(members)}" for name, members in sets.items()))


_WIDE = ("label", "sets", "paper")
"""Columns of the metrics that a terminal has no room for; --json and --markdown have them."""
_LONG = ("source", "description")
"""Columns of domains that tables leave out; `graftbench data show` prints them too."""


def _sets(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Return set -> names of its metrics, where the rows are metrics."""
    sets: dict[str, list[str]] = {}
    for row in rows:
        for name in filter(None, row.get("sets", "").split(", ")):
            sets.setdefault(name, []).append(row["name"])
    return sets


def markdown_table(rows: list[dict[str, Any]]) -> str:
    """Return the columns of the terminal's table as Markdown, a method's paper behind its title."""
    columns = [column for column in _COLUMNS if rows and column in rows[0]]
    cells = ([_markdown_cell(row, column) for column in columns] for row in rows)
    return markdown_rows([columns, ["---"] * len(columns), *cells])


def _markdown_cell(row: dict[str, Any], column: str) -> str:
    text = str(row[column]).replace("|", "\\|")
    if column == "name":
        return f"`{text}`"
    if column == "title" and (reference := row.get("reference", {})).get("arxiv"):
        paper = f"{reference['authors'].split(',')[0]} {reference['year']}"
        return f"{text} ([{paper}](https://arxiv.org/abs/{reference['arxiv']}))"
    return text
