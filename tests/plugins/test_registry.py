"""Plugins: found wherever they are, and harmless when they are broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from graftbench.errors import GraftbenchError
from graftbench.plugins import registry

if TYPE_CHECKING:
    from pathlib import Path

PLUGIN = '''
"""A method from outside."""
from graftbench.contracts import Method, Reference
from graftbench.training.samplers import ImageBankSampler

class Mirror(Method):
    name = "mirror"
    family = "scratch"
    title = "Training images, mirrored"
    reference = Reference(authors="A", title="T", venue="V", year=2026)
    trains = "nothing"

    def fit(self, task, budget):
        return ImageBankSampler(task.images.flip(3))
'''


def test_the_built_in_plugins_are_found() -> None:
    """All nine methods of the quick suite, the three families of domains, and reports; none is broken."""
    methods, domains, reports = registry.methods(), registry.domains(), registry.reports()
    assert {"dcgan", "finetune", "freezed", "vae", "gatys", "oracle", "memorizer", "source", "gaussian"} <= set(
        methods.classes
    )
    assert {"twemoji", "openmoji", "folder"} <= set(domains.classes)
    assert reports.classes
    assert not methods.broken
    assert not domains.broken
    assert not reports.broken


def test_a_plugin_file_adds_a_method(tmp_path: Path) -> None:
    """One new file is all that a new method needs, given by itself or by its folder."""
    file = tmp_path / "mirror.py"
    file.write_text(PLUGIN)
    assert registry.methods([file])["mirror"].title == "Training images, mirrored"
    assert registry.methods([tmp_path])["mirror"] is registry.methods([file])["mirror"]
    assert "mirror" not in registry.methods().classes


def test_a_broken_plugin_breaks_nothing_else(tmp_path: Path) -> None:
    """It is listed with its error; the others are there; asking for its method shows the error."""
    (tmp_path / "broken.py").write_text("import a_module_that_is_not_there\n")
    (tmp_path / "mirror.py").write_text(PLUGIN)
    found = registry.methods([tmp_path])
    assert "mirror" in found.classes
    ((where, error),) = found.broken.items()
    assert where.endswith("broken.py")
    assert "a_module_that_is_not_there" in error
    with pytest.raises(GraftbenchError, match="a_module_that_is_not_there"):
        _ = found["brokn"]


def test_a_taken_name_is_reported(tmp_path: Path) -> None:
    """A second plugin of one name neither replaces the first silently nor is ignored when the name is used."""
    (tmp_path / "again.py").write_text(PLUGIN.replace('"mirror"', '"dcgan"'))
    found = registry.methods([tmp_path])
    assert "exists already" in next(iter(found.broken.values()))
    assert found.classes["dcgan"].title == "DCGAN from scratch"
    with pytest.raises(GraftbenchError, match=r"'dcgan' is taken twice.*again\.py"):
        _ = found["dcgan"]


def test_unknown_names_get_the_nearest() -> None:
    """Methods and domains alike."""
    with pytest.raises(GraftbenchError, match=r"Unknown method 'finetun'. Did you mean 'finetune'\?"):
        _ = registry.methods()["finetun"]
    with pytest.raises(GraftbenchError, match=r"Unknown domain 'twemojis'. Did you mean 'twemoji'\?"):
        registry.make_domain("twemojis")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("folder", "needs an argument: folder:PATH"), ("photos:x", "Domain 'photos' takes no argument")],
)
def test_arguments_of_domains_are_checked(name: str, sentence: str) -> None:
    """`folder` needs its path; `photos` takes none."""
    with pytest.raises(GraftbenchError, match=sentence):
        registry.make_domain(name)


def test_a_missing_plugin_file_is_named(tmp_path: Path) -> None:
    """`--plugin` with a wrong path is an error, not an empty list."""
    with pytest.raises(GraftbenchError, match=r"There is no plugin at '.*none\.py'"):
        registry.methods([tmp_path / "none.py"])
    (tmp_path / "notes.txt").write_text("no code")
    with pytest.raises(GraftbenchError, match="neither a Python file nor a folder"):
        registry.methods([tmp_path / "notes.txt"])


def test_a_script_that_ends_itself_breaks_nothing_else(tmp_path: Path) -> None:
    """A folder may hold ordinary scripts, which call sys.exit when they are imported: they are listed as broken."""
    (tmp_path / "script.py").write_text("import sys\nsys.exit('usage: script.py DATA')\n")
    (tmp_path / "mirror.py").write_text(PLUGIN)
    found = registry.methods([tmp_path])
    assert "mirror" in found.classes
    assert list(found.broken.values()) == ["SystemExit: usage: script.py DATA"]
