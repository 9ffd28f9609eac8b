"""The pages that are made from the code say what the code has."""

from __future__ import annotations

import re
from statistics import fmean, stdev

import msgspec
import pytest
import site_cli
import site_domains
import site_methods
import site_python
import site_toml
from site_structs import Field, fields, meanings_of, structs_within, table, toml, type_words

import graftbench
from graftbench.cli import make_app
from graftbench.cli.commands import COMMANDS
from graftbench.plugins.registry import domains, methods
from graftbench.records.run import read_run
from graftbench.suites.suite import Suite


class Inner(msgspec.Struct):
    """A table within.

    Attributes:
        depth: In metres,
            below the ground.
    """

    depth: float = 1.5


class Outer(Inner, kw_only=True):
    """`names`: who is there.

    More words.
    """

    names: list[str]
    inner: Inner | list[Inner] = msgspec.field(default_factory=Inner)
    parts: dict[str, Inner] = {}
    limit: int | None = None


def test_fields_have_types_defaults_and_meanings() -> None:
    """Words for TOML, defaults as TOML writes them, and what docstrings of the struct and its base say."""
    assert fields(Outer) == [
        Field("depth", "number", "1.5", "In metres, below the ground."),
        Field("names", "list of strings", None, "who is there."),
        Field("inner", "table [`Inner`](#inner) or list of tables [`Inner`](#inner)", "{}", ""),
        Field("parts", "table: name → table [`Inner`](#inner)", "{}", ""),
        Field("limit", "integer", "", ""),
    ]
    assert list(structs_within(Outer)) == [Outer, Inner]
    assert table(fields(Inner)).splitlines()[-1] == "| `depth` | number | `1.5` | In metres, below the ground. |"


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), ("a", '"a"'), ([1, 2.5], "[1, 2.5]"), ({"a": "b"}, '{a = "b"}'), (None, "")],
)
def test_values_are_written_as_toml(value: object, text: str) -> None:
    """Booleans in lower case, strings quoted, tables inline, nothing for None."""
    assert toml(value) == text
    assert type_words(bool) == "true or false"


def test_every_key_of_a_suite_is_on_its_page_with_a_meaning() -> None:
    """All structs that a suite file is read into, every field with what it means."""
    page = site_toml.page()
    for struct in structs_within(Suite):
        assert f"## {struct.__name__}\n" in page
        for field in fields(struct):
            assert f"| `{field.name}` |" in page
            assert field.meaning, f"{struct.__name__}.{field.name} has no meaning in its docstring"


def test_every_command_and_option_is_on_the_page_of_the_command_line() -> None:
    """One section a command, with its options and its examples."""
    page = site_cli.page()
    for name, command in COMMANDS.items():
        section = page.partition(f"\n## graftbench {name}\n")[2].partition("\n## ")[0]
        assert section, name
        for example in command.examples:
            assert f"$ {example}" in section
        for option in set(re.findall(r"(--[a-z-]+)", " ".join(command.examples).split(" -- ")[0])):
            if not option.startswith(("--jobs",)) or name != "interleave":
                assert option in section, f"{name} {option}"
    assert make_app().name[0] == "graftbench"


@pytest.mark.docs
def test_every_public_name_is_on_the_page_of_python() -> None:
    """What `graftbench` offers lazily, and nothing that there is not."""
    page = site_python.page()
    for name in graftbench._LAZY:
        assert f"heading: graftbench.{name}\n" in page
    for path in re.findall(r"^::: (graftbench[\w.]+)", page, re.MULTILINE):
        module, _, name = path.rpartition(".")
        assert hasattr(__import__(module, fromlist=[name]), name), path


def test_every_method_and_domain_has_a_page() -> None:
    """A method's page has its title, its parameters, how to cite it, and measured rows if there are any."""
    pages = site_methods.pages()
    found = methods().classes
    assert set(pages) == {f"methods/{name}.md" for name in found}
    for name, method in found.items():
        page = pages[f"methods/{name}.md"]
        assert page.startswith(f"# `{name}`: {method.title}\n")
        for field in fields(method.Config):
            assert f"| `{field.name}` |" in page
    assert "@inproceedings{mo2020" in pages["methods/freezed.md"]
    assert set(site_domains.pages()) == {f"domains/{name}.md" for name in domains().classes}


@pytest.mark.slow
@pytest.mark.parametrize("folder", site_methods.MEASURED)
def test_what_was_measured_is_on_a_method_s_page_by_task(folder: str) -> None:
    """Under a sentence that names the task a row for each data budget, with means and deviations over seeds."""
    records = read_run(site_methods.DOCS / folder / "records.jsonl").records
    page = site_methods.pages()["methods/freezed.md"]
    places = {(r.cell.task, r.cell.data_budget) for r in records if r.cell.method == "freezed"}
    assert places
    for task, images in places:
        cells = [r for r in records if (r.cell.method, r.cell.task, r.cell.data_budget) == ("freezed", task, images)]
        kid = [1000 * score.value for r in cells if (score := r.score("kid")) and score.value is not None]
        conditions = f"`{task}`, {cells[0].cell.compute_budget}, protocol {cells[0].cell.protocol.label}"
        section = page.partition(f"{conditions}: {site_methods.MEASURED[folder]}.")[2]
        row = next(line for line in section.splitlines() if line.startswith(f"| {images} |"))
        assert f"| {fmean(kid):,.0f} ± {stdev(kid):,.0f} |" in row
        assert row.endswith(f"| {len(cells)} |")


def test_every_parameter_of_a_method_has_a_meaning() -> None:
    """Each field of a method's Config is described in its docstring or in that of a base."""
    missing = [
        f"{name}.{field.name}"
        for name, method in methods().classes.items()
        for field in fields(method.Config)
        if not meanings_of(method.Config).get(field.name)
    ]
    assert missing == []
