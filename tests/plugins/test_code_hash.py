"""The hash of a method's code follows what the method really runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.plugins import registry
from graftbench.plugins.code_hash import code_hash, code_of, files_of, hash_of

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_an_edited_helper_changes_the_hash(tmp_path: Path) -> None:
    """A plugin's neighbour counts as much as the plugin: no stale result after an edit in a shared helper."""
    (tmp_path / "helper.py").write_text("VALUE = 1\n")
    (tmp_path / "other.py").write_text("VALUE = 1\n")
    plugin = tmp_path / "plugin.py"
    plugin.write_text("import helper\n")
    before = code_hash([plugin])
    (tmp_path / "other.py").write_text("VALUE = 2\n")
    assert code_hash([plugin]) == before
    (tmp_path / "helper2.py").write_text("VALUE = 3\n")
    assert code_hash([plugin]) == before
    fresh = tmp_path / "again"
    fresh.mkdir()
    (fresh / "helper.py").write_text("VALUE = 2\n")
    (fresh / "plugin.py").write_text("import helper\n")
    assert code_hash([fresh / "plugin.py"]) != before


def test_an_import_added_in_a_running_session_is_seen(tmp_path: Path) -> None:
    """A notebook edits its plugin: the new neighbour counts from then on."""
    (tmp_path / "late.py").write_text("X = 1\n")
    plugin = tmp_path / "plugin.py"
    plugin.write_text("X = 0\n")
    code_hash([plugin])
    plugin.write_text("import late\n")
    before = code_hash([plugin])
    (tmp_path / "late.py").write_text("X = 2\n")
    assert code_hash([plugin]) != before


def test_where_a_file_lies_does_not_count(tmp_path: Path) -> None:
    """Two checkouts of one state have one hash, with either line ending."""
    for name, end in (("a", "\n"), ("b", "\r\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "method.py").write_bytes(f"import helper{end}".encode())
        (tmp_path / name / "helper.py").write_bytes(f"X = 1{end}".encode())
    assert code_hash([tmp_path / "a" / "method.py"]) == code_hash([tmp_path / "b" / "method.py"])


def test_type_checking_imports_do_not_count(tmp_path: Path) -> None:
    """What is imported for the type checker alone does not run."""
    (tmp_path / "types_only.py").write_text("X = 1\n")
    plugin = tmp_path / "plugin.py"
    plugin.write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import types_only\n")
    before = code_hash([plugin])
    (tmp_path / "types_only.py").write_text("X = 2\n")
    assert code_hash([plugin]) == before


def test_the_shared_loop_counts_for_gans_alone() -> None:
    """Every built-in method has its own hash, and reaches the modules that it imports."""
    methods = registry.methods().classes
    hashes = {name: code_hash([registry.file_of(cls)]) for name, cls in methods.items()}
    assert len(set(hashes.values())) == len(hashes)


def test_the_files_behind_a_hash_are_named_alike_everywhere() -> None:
    """Names are the package's, no path of this machine; the hash follows from the files alone."""
    dcgan = registry.methods()["dcgan"]
    files = files_of(dcgan)
    assert {"graftbench/methods/dcgan.py", "graftbench/scoring.py", "graftbench/cell.py"} <= files.keys()
    assert not [name for name in files if name.startswith(("/", "..")) or not name.startswith("graftbench/")]
    assert "graftbench/methods/vae.py" not in files
    assert hash_of(files) == code_of(dcgan)


PLUGIN = """
from helper import VALUE
from graftbench.contracts import Method, Reference
class {name}(Method):
    name = "{name}"
    family = "scratch"
    title = "T"
    reference = Reference(authors="A", title="T", venue="V", year=2026)
    trains = "nothing"
    def fit(self, task, budget):
        raise NotImplementedError
"""


def test_files_of_a_plugin_are_named_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edited helper is the one name whose hash differs; a linked file and the suite's own of that name stay two."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "helper.py").write_text("VALUE = 1\n")
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "planted_names.py").write_text(PLUGIN.format(name="planted_names"))
    (folder / "helper.py").symlink_to(elsewhere / "helper.py")
    monkeypatch.syspath_prepend(folder)
    method = registry.methods([folder / "planted_names.py"])["planted_names"]
    before = files_of(method)
    assert {"planted_names.py", "helper.py"} == {name for name in before if not name.startswith("graftbench/")}
    (elsewhere / "helper.py").write_text("VALUE = 2\n")
    after = files_of(method)
    assert {name for name in after if before.get(name) != after[name]} == {"helper.py"}
    assert hash_of(after) == code_of(method) != hash_of(before)


def test_imports_count_at_any_depth_but_not_for_the_type_checker(tmp_path: Path) -> None:
    """In functions, branches, handlers and cases; under `if typing.TYPE_CHECKING` only what else runs."""
    lines = [
        "import typing",
        "def f(x):",
        "    match x:",
        "        case 1:",
        "            import in_case",
        "    try:",
        "        with x:",
        "            import in_with",
        "    except ValueError:",
        "        import in_handler",
        "    finally:",
        "        import in_finally",
        "if typing.TYPE_CHECKING:",
        "    import types_only",
        "else:",
        "    import in_else",
    ]
    plugin = tmp_path / "plugin.py"
    plugin.write_text("\n".join(lines) + "\n")
    for name in ("in_case", "in_with", "in_handler", "in_finally", "in_else", "types_only"):
        before = code_hash([plugin])
        (tmp_path / f"{name}.py").write_text("X = 1\n")
        plugin.write_text(plugin.read_text() + "\n")  # what a file imports is remembered by its contents
        blank = code_hash([plugin])
        (tmp_path / f"{name}.py").write_text("X = 2\n")
        assert (code_hash([plugin]) != blank) == (name != "types_only"), name
        assert blank != before
