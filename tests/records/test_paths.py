"""Texts of records name files without their folders."""

from __future__ import annotations

import pytest

from graftbench.records.paths import without_folders


@pytest.mark.parametrize(
    ("text", "shorter"),
    [
        ('File "/home/jane/x/graft.py", line 3', 'File "…/graft.py", line 3'),
        ('File "/home/Jane Doe/my files/a b.py", line 3', 'File "…/a b.py", line 3'),
        ("cannot open /data/secret/cats/0001.png: no", "cannot open …/0001.png: no"),
        (r"C:\Users\jane\w.pt is missing", "…/w.pt is missing"),
        ("see https://example.org/a/b and relative/path/x.py", "see https://example.org/a/b and relative/path/x.py"),
        ("loss 3/4 and …/already/short", "loss 3/4 and …/already/short"),
        ("nothing here", "nothing here"),
    ],
)
def test_absolute_paths_are_cut(text: str, shorter: str) -> None:
    """Quoted with spaces too; links, relative paths and what is cut already stay."""
    assert without_folders(text) == shorter
    assert without_folders(shorter) == shorter
