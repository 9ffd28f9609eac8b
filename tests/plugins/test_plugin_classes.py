"""Classes that are imported when their names are asked for: no look-up is a guess, and no list has a gap."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from graftbench.contracts import Domain, Method, Report
from graftbench.plugins import registry
from graftbench.plugins.plugin_classes import PluginClasses, names_in


class A:
    """Some class."""


class B:
    """Another."""


def test_a_file_waits_until_one_of_its_names_is_asked_for() -> None:
    """Once, whatever is asked for then; a name that turns out not to be in it is not there."""
    classes: PluginClasses[type] = PluginClasses()
    entered: list[str] = []

    def enter_a() -> None:
        entered.append("a")
        classes["a"] = A

    def enter_b() -> None:
        entered.append("b")
        classes["b"] = B

    classes.wait(["a", "no-class"], enter_a)
    classes.wait(["b"], enter_b)
    assert "c" not in classes
    assert entered == []
    assert "no-class" not in classes
    assert classes["a"] is A
    assert entered == ["a"]
    assert list(classes) == ["a", "b"]
    assert entered == ["a", "b"]
    assert len(classes) == 2
    del classes["b"]
    assert dict(classes) == {"a": A}


def test_files_that_may_have_one_name_are_imported_in_their_order() -> None:
    """So that the first keeps it and the second is reported."""
    classes: PluginClasses[type] = PluginClasses()
    entered: list[int] = []
    for i in range(3):
        classes.wait(["a"], lambda i=i: entered.append(i))
    assert "a" not in classes
    assert entered == [0, 1, 2]


def test_names_are_read_where_they_are_written() -> None:
    """With an annotation or without, in either kind of quotes; not deeper, not at the top."""
    source = """
name = "top"
class A:
    name = "one"
    name: ClassVar[str] = 'two'
    full_name = "three"
    if x:
        name = "four"
"""
    assert names_in(source) == ("one", "two")
    assert names_in("class A: ...") == ()


@pytest.mark.parametrize(("folder", "base"), [("methods", Method), ("datasets", Domain), ("reports", Report)])
def test_every_name_of_the_package_can_be_read_from_its_file(folder: str, base: type) -> None:
    """A class under a name that no file spells out would be found by a list and missed by a look-up."""
    for path in importlib.import_module(f"graftbench.{folder}").__path__:
        for file in Path(path).glob("[!_]*.py"):
            names = names_in(file.read_text("utf-8"))
            module = importlib.import_module(f"graftbench.{folder}.{file.stem}")
            defined = {cls.name for cls in registry._plugin_classes(module, base)}
            assert not names or defined <= set(names), file
