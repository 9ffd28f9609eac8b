"""The hash of a method's code follows what the method really runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench import registry
from graftbench.code import code_hash

if TYPE_CHECKING:
    from pathlib import Path


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
